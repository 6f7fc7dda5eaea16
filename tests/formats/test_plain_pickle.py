import io
import os
import pickle
import pickletools
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from skelbench.errors import RawFormatError
from skelbench.formats import plain_pickle, plain_pickle_out

ARRAYS = hnp.arrays(
    st.one_of(hnp.integer_dtypes(endianness="?"), hnp.floating_dtypes(sizes=(16, 32, 64)), hnp.boolean_dtypes()),
    hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=3),
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
KEYS = st.text() | st.integers(-(2**31) + 1, 2**31 - 1)
VALUES = st.recursive(
    LEAVES | ARRAYS,
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        other = other.astype(other.dtype.newbyteorder("="))
        return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
    if isinstance(one, (list, tuple)):
        return type(one) is type(other) and len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(equal(one[key], other[key]) for key in one)
    return type(one) is type(other) and bool(one == other)


@settings(deadline=None)
@given(value=VALUES, protocol=st.integers(0, 5))
def test_plain_values_are_read_as_python_reads_them(value: Any, protocol: int) -> None:
    assert equal(plain_pickle.load(pickle.dumps(value, protocol), "a.pkl"), value)


@settings(deadline=None)
@given(value=VALUES)
def test_what_is_written_python_and_we_open(value: Any) -> None:
    file = io.BytesIO()
    plain_pickle_out.dump(value, file)
    assert equal(plain_pickle.load(file.getvalue(), "a.pkl"), value)
    assert equal(pickle.loads(file.getvalue()), value)


def test_a_dict_written_piece_by_piece_is_a_dict() -> None:
    file = io.BytesIO()
    stream = plain_pickle_out.Stream(file)
    stream.entry("split", {"train": ["a"]})
    stream.entries("annotations", ({"label": at, "x": np.zeros(at)} for at in range(3)))
    stream.close()
    found = pickle.loads(file.getvalue())
    assert found["split"] == {"train": ["a"]}
    assert [one["label"] for one in found["annotations"]] == [0, 1, 2]


def test_arrays_bear_the_name_that_old_and_new_numpy_know() -> None:
    file = io.BytesIO()
    plain_pickle_out.dump(np.zeros(3), file)
    named = [argument for code, argument, _ in pickletools.genops(file.getvalue()) if code.name == "GLOBAL"]
    assert named == ["numpy.core.multiarray _reconstruct", "numpy ndarray", "numpy dtype"]


def test_numbers_of_numpy_become_those_of_python() -> None:
    found = plain_pickle.load(pickle.dumps([np.int64(3), np.float32(1.5), np.bool_(True)]), "a.pkl")
    assert equal(found, [3, 1.5, True])


def test_texts_of_python_2_are_read() -> None:
    old = b"((lp0\nS'S001.skeleton'\np1\naS'it\\'s'\na(lp2\nI3\naI01\naL5L\natp3\n."
    assert plain_pickle.load(old, "a.pkl") == (["S001.skeleton", "it's"], [3, True, 5])


def test_one_array_used_twice_is_read_twice() -> None:
    array = np.arange(3)
    found = plain_pickle.load(pickle.dumps([array, array]), "a.pkl")
    assert equal(found, [array, array])


class Evil:
    def __init__(self, function: object, *arguments: object) -> None:
        self.reduced = function, arguments

    def __reduce__(self) -> Any:
        return self.reduced


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    ("function", "arguments"),
    [(os.system, ("true",)), (eval, ("1",)), (getattr, ("a", "b")), (np.load, ("a",)), (np.zeros, (9,)), (Path, ())],
)
def test_code_in_a_pickle_is_refused_by_name_and_not_run(protocol: int, function: Any, arguments: Any) -> None:
    with pytest.raises(RawFormatError, match=r"^a.pkl, byte \d+: the file names '[\w.]+', a class or function"):
        plain_pickle.load(pickle.dumps([Evil(function, *arguments)], protocol), "a.pkl")


ARRAY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
FLOATS = b"cnumpy\ndtype\nX\x02\x00\x00\x00f4\x89\x88\x87R"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is it cut"),
        (b"\x00" * 100, "the instruction 0x00"),
        (b"(" * 100_000, "is it cut"),
        (b"]" * 100_000, "is it cut"),
        (b"(" * 100_000 + b"t" * 99_999 + b"Nds.", "is the key of a dict"),
        (b"K\x00" + b"\x85" * 100_000 + b"q\x00}h\x00Ns.", "is the key of a dict"),
        (b"K\x00" + b"\x85" * 100_000 + b".", ""),
        (b"Nr\xff\xff\xff\xff.", ""),
        (b"h\x05.", "value 5 is used before"),
        (b"X\xff\xff\xff\xffabc", "4294967295 bytes are claimed, 3 are left"),
        (b"\x8e" + b"\xff" * 8, "are claimed"),
        (b"\x96" + b"\xff" * 7 + b"\x0f", "are claimed"),
        (b"\x8b\xff\xff\xff\x7f", "a number of 2147483647 bytes"),
        (b"I" + b"9" * 5000 + b"\n.", "a number of 5000 digits"),
        (b"\x80\x09.", "protocol 9"),
        (b"S'\\q'\n.", "an escape"),
        (b"}J\xff\xff\xff\x7fNs." + b"", ""),
        (b"}\x8a\x05\x00\x00\x00\x00\x01Ns.", "is the key of a dict"),
        (b"}]Ns.", "is the key of a dict"),
        (b"}(N", "is it cut"),
        (b"NNNs.", "in what is no dict"),
        (b"NNa.", "to what is no list"),
        (b"P1\n.", "the instruction 0x50"),
        (b"\x82\x01.", "the instruction 0x82"),
        (b"N)R.", "a call of something that is no name"),
        (b"cnumpy\nndarray\n)R.", "a call of 'numpy.ndarray'"),
        (ARRAY + b".", "never filled"),
        (ARRAY.replace(b"K\x00\x85", b"J\x00\x00\x00\x7f\x85") + b".", "announced in an unknown way"),
        (
            ARRAY + b"(K\x01J\x00\x00\x00\x7f\x85" + FLOATS + b"\x89C\x00tb.",
            r"an array of \(2130706432,\) float32 in 0",
        ),
        (ARRAY + b"(K\x01K\x01\x85" + FLOATS + b"\x89]tb.", "an array of objects"),
        (b"cnumpy\ndtype\nX\x02\x00\x00\x00O8\x89\x88\x87R.", "an array of Python objects"),
        (b"cnumpy\ndtype\nX\x03\x00\x00\x00V99\x89\x88\x87R.", "expected numbers"),
        (b"cnumpy.core.multiarray\nscalar\n" + FLOATS + b"C\x08abcdefgh\x86R.", "in 8 bytes"),
        (b"c_codecs\nencode\nX\x01\x00\x00\x00aX\x04\x00\x00\x00zlib\x86R.", "unknown encoding"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_pickles_that_claim_too_much_are_refused(content: bytes, words: str) -> None:
    if not words:
        plain_pickle.load(content, "bad.pkl")
        return
    with pytest.raises(RawFormatError, match=f"^bad.pkl, byte.*{words}"):
        plain_pickle.load(content, "bad.pkl")


def test_classes_that_only_look_plain_are_refused() -> None:
    with pytest.raises(RawFormatError, match=r"'collections.OrderedDict'"):
        plain_pickle.load(pickle.dumps(OrderedDict(a=1)), "a.pkl")


def test_other_values_are_not_written() -> None:
    for value in ({1, 2}, np.array(["a"]), np.float32(1)):
        with pytest.raises(TypeError, match="no plain value"):
            plain_pickle_out.dump(value, io.BytesIO())


WHOLE = [pickle.dumps({"a": [np.arange(3, dtype=np.float16), "x"], "b": (1, 2.5)}, protocol) for protocol in range(6)]


@settings(max_examples=500, deadline=None)
@given(data=st.data(), content=st.sampled_from(WHOLE))
def test_damaged_pickles_are_read_or_refused(data: st.DataObject, content: bytes) -> None:
    at = data.draw(st.integers(0, len(content) - 1))
    spoilt = content[:at] + data.draw(st.binary(max_size=4)) + content[at + data.draw(st.integers(0, 8)) :]
    try:
        plain_pickle.load(spoilt, "a.pkl")
    except RawFormatError:
        return


def test_a_cut_pickle_is_refused_wherever_it_is_cut() -> None:
    for content in WHOLE:
        for end in range(len(content)):
            with pytest.raises(RawFormatError):
                plain_pickle.load(content[:end], "a.pkl")
