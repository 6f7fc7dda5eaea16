import io
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from skelbench.errors import RawFormatError
from skelbench.formats import numpy_files

PLAIN = st.one_of(
    hnp.integer_dtypes(endianness="?"),
    hnp.unsigned_integer_dtypes(endianness="?"),
    hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
    hnp.boolean_dtypes(),
    hnp.unicode_string_dtypes(endianness="?", min_len=1, max_len=5),
)
ARRAYS = hnp.arrays(PLAIN, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))


def header(text: str, *, version: int = 1) -> bytes:
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(text)) + text.encode()


def claim(shape: str, *, kind: str = "<f4", fortran: bool = False) -> bytes:
    return header(f"{{'descr': '{kind}', 'fortran_order': {fortran}, 'shape': ({shape}), }}\n")


def equal(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype.newbyteorder("=") and one.tolist() == other.tolist()


@given(array=ARRAYS, fortran=st.booleans())
def test_arrays_are_read_as_numpy_reads_them(array: np.ndarray, fortran: bool) -> None:
    array = np.asarray(np.nan_to_num(array) if array.dtype.kind == "f" else array)
    array = np.asfortranarray(array) if fortran else array
    file = io.BytesIO()
    np.save(file, array)
    assert equal(numpy_files.npy(file.getvalue(), "a.npy"), array)
    assert equal(numpy_files.npy(numpy_files.render_npy(array), "a.npy"), array)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_archives_are_read_as_numpy_reads_them(save: object) -> None:
    arrays = {"x": np.arange(6.0).reshape(2, 3), "name": np.array(["a", "bc"]), "empty": np.zeros((0, 3), np.float32)}
    file = io.BytesIO()
    save(file, **arrays)  # type: ignore[operator]
    found = numpy_files.npz(file.getvalue(), "a.npz")
    assert found.keys() == arrays.keys()
    assert all(equal(found[name], array) for name, array in arrays.items())


@pytest.mark.parametrize("packed", [False, True])
def test_what_is_written_numpy_opens(packed: bool) -> None:
    arrays = {"x": np.arange(6.0).reshape(2, 3), "on": np.array([True, False])}
    content = numpy_files.render_npz(arrays, packed=packed)
    with np.load(io.BytesIO(content)) as found:
        assert all(equal(found[name], array) for name, array in arrays.items())
    assert content == numpy_files.render_npz(arrays, packed=packed)


def test_a_stored_array_is_a_view_that_nobody_can_write_into() -> None:
    content = numpy_files.render_npz({"x": np.arange(1000.0)})
    array = numpy_files.npz(content, "a.npz")["x"]
    assert not array.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", r"not a .npy file \(of 0 bytes\)"),
        (b"\x93NUMPY", "not a .npy file"),
        (b"PK\x03\x04" * 8, "not a .npy file"),
        (claim("2,")[:40], "claims a header of"),
        (b"\x93NUMPY\x09\x00" + bytes(20), "version 9"),
        (header("{}"), "no type, order and shape"),
        (header("[" * 9000), "no type, order and shape"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(100), "claims a header of 4294967295"),
        (claim("1000000000, 25, 3"), "needs 300000000000 bytes, found 0; is it cut"),
        (claim("9" * 18 + ", " + "9" * 18), "is it cut"),
        (claim("9" * 30), "the shape"),
        (claim("1, " * 9), "at most 8 axes"),
        (claim("0, 1000000000"), "holds nothing"),
        (claim("1,") + bytes(5), "something appended"),
        (claim("1,", kind="|O") + bytes(8), "Python objects, which only pickle"),
        (claim("1,", kind="<M8[s]") + bytes(8), "the type <M8"),
        (claim("1,", kind="<c8") + bytes(8), "the type <c8"),
        (claim("1,", kind="<f7") + bytes(7), "the type <f7"),
        (claim("1,", kind="<V8") + bytes(8), "the type <V8"),
        (claim("1,", kind="<U99999999") + bytes(8), "the type <U99999999"),
        (header("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }"), r"the type \[\('a'"),
        (claim("1,", kind="<U1") + b"\xff\xff\xff\x7f", "characters that Unicode does not have"),
        (claim("1,", kind="<U1") + b"\x00\xd8\x00\x00", "characters that Unicode does not have"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_files_that_are_no_plain_array_are_refused(content: bytes, words: str) -> None:
    with pytest.raises(RawFormatError, match=f"^bad.npy.*{words}"):
        numpy_files.npy(content, "bad.npy")


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


ONE = numpy_files.render_npy(np.arange(4))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a .npz file"),
        (ONE, "not a .npz file"),
        (zipped({"a.txt": b""}), "'a.txt': is no .npy member"),
        (zipped({"a.npy": ONE}, zipfile.ZIP_BZIP2), "packed unusually"),
        (zipped({"a.npy": ONE[:-1]}), "array 'a': an array of .* needs 32 bytes, found 31"),
        (zipped({"a.npy": ONE + bytes(1 << 20)}), "inflates to 1048736 bytes, 4096 are left"),
        (zipped({"a.npy": ONE}, zipfile.ZIP_STORED).replace(ONE, ONE[:-1] + b"\x01"), "size or checksum"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_archives_that_hold_something_else_are_refused(content: bytes, words: str) -> None:
    with pytest.raises(RawFormatError, match=f"^bad.npz.*{words}"):
        numpy_files.npz(content, "bad.npz", inflated=4096)


def test_a_member_that_grows_beyond_what_it_says_is_refused() -> None:
    content = bytearray(zipped({"a.npy": ONE + bytes(1 << 16)}))
    for signature, field in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", content, content.index(signature) + field, len(ONE))
    with pytest.raises(RawFormatError, match="size or checksum"):
        numpy_files.npz(bytes(content), "bad.npz")


@settings(max_examples=300, deadline=None)
@given(data=st.data(), packed=st.booleans())
def test_damaged_archives_are_read_or_refused(data: st.DataObject, packed: bool) -> None:
    content = numpy_files.render_npz({"x": np.arange(6.0), "name": np.array(["ab", "c"])}, packed=packed)
    at = data.draw(st.integers(0, len(content) - 1))
    spoilt = content[:at] + data.draw(st.binary(max_size=4)) + content[at + data.draw(st.integers(0, 40)) :]
    try:
        found = numpy_files.npz(spoilt, "a.npz")
    except RawFormatError:
        return
    assert all(array.size <= 6 for array in found.values())
