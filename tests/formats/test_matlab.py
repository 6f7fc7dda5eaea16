import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.io import loadmat, savemat

from skelbench.errors import RawFormatError
from skelbench.formats.matlab import render, variables

ARRAYS = {
    "x": np.arange(26.0).reshape(2, 13),
    "flag": np.array([[0, 1]], np.uint8),
    "train": np.array([[-1]], np.int32),
}
HEAD = render({})
KINDS = ("f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")


def saved(**found: object) -> bytes:
    content = io.BytesIO()
    savemat(content, found, do_compression=True)
    return content.getvalue()


def compressed(content: bytes) -> bytes:
    packed = zlib.compress(content)
    return HEAD + struct.pack("<II", 15, len(packed)) + packed


@pytest.mark.parametrize("packed", [True, False])
def test_files_of_another_writer_are_read_alike(packed: bool) -> None:
    content = io.BytesIO()
    savemat(content, {**ARRAYS, "action": "bowl", "empty": np.zeros((0, 13))}, do_compression=packed)
    found = variables(content.getvalue(), "f")
    assert list(found) == ["x", "flag", "train", "action", "empty"]
    assert found["action"] == "bowl"
    assert np.shape(found["empty"]) == (0, 13)
    for name, array in ARRAYS.items():
        assert np.array_equal(found[name], array)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(KINDS).flatmap(lambda kind: hnp.arrays(kind, hnp.array_shapes(min_dims=2, max_dims=2, min_side=0)))
)
def test_what_is_written_reads_back_and_scipy_agrees(array: np.ndarray) -> None:
    content = render({"a": array, "name": "back"})
    found = variables(content, "f")
    assert isinstance(found["a"], np.ndarray)
    assert found["a"].dtype == array.dtype
    assert found["a"].shape == array.shape
    assert found["a"].tobytes() == array.tobytes()
    assert found["name"] == "back"
    assert np.array_equal(loadmat(io.BytesIO(content))["a"], array, equal_nan=array.dtype.kind == "f")


def test_the_same_variables_give_the_same_bytes() -> None:
    assert render(ARRAYS) == render(ARRAYS)


@pytest.mark.parametrize("value", [np.zeros(3), np.zeros((1, 1, 1)), np.zeros((1, 1), complex), "ü"])
def test_what_the_file_cannot_say_is_not_written(value: np.ndarray | str) -> None:
    with pytest.raises(ValueError, match=r"'a' is|ascii"):
        render({"a": value})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a MATLAB 5 file"),
        (b"x" * 500, "not a MATLAB 5 file"),
        (b"\x89HDF\r\n\x1a\n".ljust(126) + b"IM" + bytes(9), "not a MATLAB 5 file"),
        (HEAD[:124] + b"\0\2IM" + bytes(400), "not a MATLAB 5 file .* -v7.3"),
        (compressed(b""), "nothing in a compressed one"),
        (HEAD + b"".join(saved(**{f"v{place}": 0.0})[128:] for place in range(1001)), "more than 1000 variables"),
        (compressed((struct.pack("<II", 14, 8) + bytes(8)) * 2), "two variables in a compressed one"),
        (HEAD + b"abc", "ends inside a tag"),
        (HEAD + struct.pack("<II", 14, 1000), "claims 1000 bytes, 0 are left"),
        (HEAD + struct.pack("<II", 15, 0xFFFF0) + b"x", "claims 1048560 bytes, 1 are left"),
        (HEAD + struct.pack("<II", 15, 4) + b"abcd", "compressed variable is damaged"),
        (HEAD + struct.pack("<II", 9, 8) + bytes(8), "an element of type 9, expected variables only"),
        (HEAD + struct.pack("<II", 14, 0), "without flags, dimensions and name"),
        (compressed(bytes(1 << 25)), "inflates to more than 16777216 bytes"),
        (compressed(struct.pack("<II", 14, 1 << 30)), "claims 1073741824 bytes"),
        (saved(a=np.zeros((2, 2))) + saved(a=np.ones((2, 2)))[128:], "'a' stands there twice"),
        (saved(a={"b": 1}), "variable 'a': a struct, expected numbers or text"),
        (saved(a=np.array([1, "x"], object)), "variable 'a': a cell array"),
        (saved(a=np.array([[1 + 2j]])), "variable 'a': 5 parts"),
        (saved(a=np.array([["ab"], ["cd"]])), "variable 'a': text of shape"),
    ],
    ids=lambda value: None if isinstance(value, str) else "",
)
def test_other_files_are_refused(content: bytes, words: str) -> None:
    with pytest.raises(RawFormatError, match=f"^f.*{words}"):
        variables(content, "f")


@pytest.mark.parametrize("shape", [(1 << 30, 1 << 30), (-1, -8), (3, 5), (0, 0), (1 << 31 - 1, 1)])
def test_dimensions_that_the_bytes_do_not_fill_are_refused(shape: tuple[int, int]) -> None:
    content = bytearray(zlib.decompress(render({"a": np.zeros((2, 4))})[136:]))
    at = content.index(struct.pack("<ii", 2, 4))
    content[at : at + 8] = struct.pack("<qq", *shape)[:4] + struct.pack("<q", shape[1])[:4]
    with pytest.raises(RawFormatError, match="do not make an array of"):
        variables(compressed(bytes(content)), "f")


def test_a_file_cut_anywhere_holds_fewer_variables_or_is_refused() -> None:
    whole = render(ARRAYS)
    for end in range(len(whole)):
        try:
            found = variables(whole[:end], "f")
        except RawFormatError:
            continue
        assert len(found) < len(ARRAYS)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=8))
def test_a_variable_with_other_bytes_in_it_is_read_or_refused(at: int, other: bytes) -> None:
    content = bytearray(zlib.decompress(render({"name": ARRAYS["x"]})[136:]))
    at %= len(content)
    content[at : at + len(other)] = other
    with contextlib.suppress(RawFormatError):
        variables(compressed(bytes(content)), "f")
