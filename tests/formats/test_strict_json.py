import contextlib
import json
import struct
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelbench.errors import RawFormatError
from skelbench.formats import strict_json
from skelbench.formats.strict_json import field, load, poses


@pytest.fixture(autouse=True, params=["quick", "plain"], scope="module")
def way(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test runs with the quick parser and without it."""
    if request.param == "quick":
        pytest.importorskip("orjson")
        assert strict_json._quick() is not None
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strict_json, "_quick", lambda: None)
        yield


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_an_object_is_read_with_or_without_a_byte_order_mark(mark: bytes) -> None:
    assert load(mark + '{"a": [1, 2.5, "ü", null, true]}'.encode(), "f") == {"a": [1, 2.5, "ü", None, True]}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the file is empty"),
        (b'{"a": 1', "not JSON"),
        (b'{"a": 1} x', "not JSON: Extra data"),
        (b"[1, 2]", "holds a list, expected an object"),
        (b"null", "holds null, expected an object"),
        (b"true", "holds true or false"),
        (b'{"a": NaN}', "NaN is no JSON value; a missing number is null"),
        (b'{"a": -Infinity}', "-Infinity is no JSON value"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "an object repeats a key"),
        (b'{"a": "\xff"}', "byte 7 is not UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "byte 0 is not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON: Exceeds the limit"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "not UTF-8"),
    ],
    ids=lambda value: None if isinstance(value, str) else "",
)
def test_what_is_no_json_object_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(RawFormatError, match=f"^f: .*{words}"):
        load(data, "f")


texts = st.text(st.sampled_from('a:"\\ ü\u2028\n{}[],'), max_size=4)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False, width=64), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(texts, values, max_size=4), st.booleans())
def test_any_object_is_read_as_it_was_written(found: dict[str, object], ascii_only: bool) -> None:
    try:
        data = json.dumps(found, allow_nan=False, ensure_ascii=ascii_only).encode()
    except ValueError:
        return  # infinite: JSON cannot say it
    assert repr(load(data, "f")) == repr(found)


@pytest.mark.parametrize(
    "data",
    [
        '{"a":1,"a":1}',
        '{"a":[[{"b":":","b":":"}]]}',
        '{"a":{},"b":[0,{"c":{"d":1,"d":2}}],":":":"}',
        '{"":0,"":{}}',
        '{"a":[0,{"b":1,"b":2}]}',
        '{"a":[0.5,{"b":[1,{"c":1}]},{"d":1,"d":1}]}',
    ],
)
def test_a_repeated_key_is_found_however_deep_it_lies(data: str) -> None:
    with pytest.raises(RawFormatError, match="an object repeats a key"):
        load(data.encode(), "f")


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 2**64, -(10**30)])
def test_an_integer_of_any_size_stays_one(number: int) -> None:
    assert load(json.dumps({"a": {"b": number}}).encode(), "f") == {"a": {"b": number}}
    assert type(load(json.dumps({"a": number}).encode(), "f")["a"]) is int


def test_a_field_has_its_type() -> None:
    assert field({"label": 3}, "label", int, "f") == 3


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({}, "the key 'label' is missing; found none"),
        ({"other": 1}, "the key 'label' is missing; found other"),
        ({"label": True}, "'label' is true or false, expected an integer"),
        ({"label": 1.0}, "'label' is a number, expected an integer"),
        ({"label": "1"}, "'label' is a text"),
        ({"label": None}, "'label' is null"),
        ({"label": {}}, "'label' is an object"),
    ],
)
def test_a_field_of_another_type_is_refused(found: dict[str, object], words: str) -> None:
    with pytest.raises(RawFormatError, match=f"^f: {words}"):
        field(found, "label", int, "f")


def test_missing_numbers_become_nan() -> None:
    found = poses([[[1, None], [0.5, -0.0]]], 2, 2, "f")
    assert np.isnan(found[0, 0, 1])
    assert np.signbit(found[0, 1, 1])
    assert found.dtype == np.float32


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-3e38, 3e38), min_size=6, max_size=6))
def test_every_value_equals_that_of_float(numbers: list[float]) -> None:
    text = json.dumps({"p": [[numbers[:3], numbers[3:]]]})
    found = poses(load(text.encode(), "f")["p"], 2, 3, "f")
    assert found.tobytes() == np.array(numbers, np.float32).tobytes()


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        ([], "holds no frame"),
        ([[[1, 2, 3]]], "frame 0: 1 joints, expected 2"),
        ([[[1, 2, 3]] * 2, [[1, 2, 3]] * 3], "frame 1: 3 joints, expected 2"),
        ([[[1, 2, 3], [1, 2]]], "frame 0, joint 1: 2 numbers, expected 3"),
        ([[[1, 2, 3], 5]], "frame 0, joint 1: an integer, expected 3 numbers"),
        ([[[1, 2, 3], [1, 2, "3"]]], "frame 0, joint 1: a text, expected a number"),
        ([[[1, 2, 3], [1, 2, True]]], "frame 0, joint 1: true or false, expected a number"),
        ([[[1, 2, 3], [1, 2, [3]]]], "frame 0, joint 1: a list, expected a number"),
        ([None], "frame 0: null, expected 2"),
        (["ab"], "frame 0: a text, expected 2"),
        ([{"a": 1, "b": 2}], "frame 0: an object, expected 2"),
        ([[[1, 2, 3], [1, 2, float("inf")]]], "frame 0, joint 1: inf, expected a finite number"),
        ([[[1, 2, 3], [1, 2, 1e39]]], r"frame 0, joint 1: 1e\+39, expected a finite number"),
        ([[[1, 2, 3], [1, 2, 10**400]]], "more than 300 digits"),
    ],
)
def test_ragged_or_strange_arrays_are_refused_with_their_place(frames: list[object], words: str) -> None:
    with pytest.raises(RawFormatError, match=f"^f.*{words}"):
        poses(frames, 2, 3, "f")


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_noise_is_refused_or_an_object(data: bytes) -> None:
    with contextlib.suppress(RawFormatError):
        assert isinstance(load(data, "f"), dict)


def test_the_nearest_float32_is_taken() -> None:
    (value,) = struct.unpack("<f", struct.pack("<I", 0x3F800001))
    assert poses([[[float(f"{value:.9g}")]]], 1, 1, "f")[0, 0, 0] == np.float32(value)


def test_a_list_at_the_top_is_taken_where_any_value_is() -> None:
    assert strict_json.parse(b'[{"a": 1}, 2]', "f") == [{"a": 1}, 2]
    assert strict_json.parse(b"5", "f") == 5
    with pytest.raises(RawFormatError, match="repeats a key"):
        strict_json.parse(b'[{"a": 1, "a": 1}]', "f")
