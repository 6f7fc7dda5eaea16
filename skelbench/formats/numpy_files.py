"""NumPy's own files, `.npy` and `.npz`, without pickle: numbers, truth values and text only.

A file from strangers may claim any size. Here every size is held against the bytes that are there before anything
is allocated, packed members inflate up to a bound, and arrays of objects are refused, since reading them runs code.

Source: NumPy Enhancement Proposal 1, "A Simple File Format for NumPy Arrays"; PKWARE, APPNOTE.TXT.
"""

import io
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping

import numpy as np

from skelbench.errors import RawFormatError

_MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 1 << 14  # characters; NumPy itself refuses headers of more than 10,000
_AXES = 8  # poses need five
_EMPTY_AXIS = 1 << 20  # the longest axis of an array without values, whose size nothing else bounds
_MEMBERS = 10_000  # arrays in one npz
_ALLOWED = frozenset(["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"])
_HEADER = re.compile(
    r"""\s*\{\s*['"]descr['"]\s*:\s*(?P<type>['"][^'"]{1,20}['"]|\[.*\])\s*,"""
    r"""\s*['"]fortran_order['"]\s*:\s*(?P<fortran>True|False)\s*,"""
    r"""\s*['"]shape['"]\s*:\s*\((?P<shape>[\d, L]{0,400})\)\s*,?\s*\}\s*""",
    re.ASCII | re.DOTALL,
)
_LOCAL = struct.Struct("<4s5H3L2H")
_DATE = (1980, 1, 1, 0, 0, 0)  # of the members that are written here, which shall not depend on the day


def npy(data: bytes | memoryview, where: str) -> np.ndarray:
    """Read one array.

    Args:
        data: The whole file.
        where: Name of the file, for messages.

    Returns:
        The array in this machine's byte order, read only; where the file has that order too it is a view of `data`.

    Raises:
        RawFormatError: If the file is no `.npy` file, is cut, claims another size than it has, or holds something
            else than numbers, truth values or text.
    """
    view = memoryview(data)
    kind, fortran, shape, start = _header(view, where)
    size, room = math.prod(shape) * kind.itemsize, len(view) - start
    if size != room:
        hint = "; is it cut?" if size > room else "; is something appended?"
        raise RawFormatError(f"{where}: an array of {shape} {kind} needs {size} bytes, found {room}{hint}")
    if not size and max(shape, default=0) > _EMPTY_AXIS:
        raise RawFormatError(f"{where}: an array of {shape} holds nothing, expected values.")
    values = np.frombuffer(view[start:], np.uint8 if kind.kind == "b" else kind) if size else np.zeros(0, kind)
    if kind.kind == "b":
        values = values != 0  # any other byte than 0 and 1 is no truth value to NumPy
    if kind.kind == "U" and size:
        _check_text(values, where)
    values = values.reshape(shape, order="F" if fortran else "C").astype(kind.newbyteorder("="), copy=False)
    values.flags.writeable = False
    return values


def npz(data: bytes | memoryview, where: str, *, inflated: int = 1 << 29) -> dict[str, np.ndarray]:
    """Read all arrays of an archive.

    Args:
        data: The whole file.
        where: Name of the file, for messages.
        inflated: The most bytes that its packed arrays may take together; arrays that are merely stored are views
            of `data` and take none.

    Returns:
        By name, without `.npy`, arrays as `npy` gives them.

    Raises:
        RawFormatError: If the file is no zip, is cut or damaged, inflates beyond the bound, holds two arrays of one
            name, or a member that `npy` refuses.
    """
    view = memoryview(data)
    found: dict[str, np.ndarray] = {}
    room = inflated
    for member in _members(view, where):
        name = member.filename.removesuffix(".npy")
        here = f"{where}, array '{name[:80]}'"
        if name == member.filename or name in found:
            raise RawFormatError(f"{here}: {'stands there twice' if name in found else 'is no .npy member'}.")
        content: bytes | memoryview = _packed(view, member, here)
        if member.compress_type != zipfile.ZIP_STORED:
            if member.file_size > room:
                raise RawFormatError(f"{here}: inflates to {member.file_size} bytes, {room} are left of {inflated}.")
            content = _inflated(content, member.file_size, here)
            room -= member.file_size
        if len(content) != member.file_size or zlib.crc32(content) != member.CRC:
            raise RawFormatError(f"{here}: damaged: size or checksum do not fit.")
        found[name] = npy(content, here)
    return found


def render_npy(array: np.ndarray) -> bytes:
    """Write one array, the inverse of `npy`.

    Args:
        array: Numbers, truth values or text.

    Returns:
        The file, in version 1.0 of the format.

    Raises:
        ValueError: If the array holds objects or records.
    """
    if array.dtype.kind not in "US" and array.dtype.str[1:] not in _ALLOWED:
        raise ValueError(f"an array of {array.dtype}, expected numbers, truth values or text.")
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=(1, 0), allow_pickle=False)
    return file.getvalue()


def render_npz(arrays: Mapping[str, np.ndarray], *, packed: bool = False) -> bytes:
    """Write arrays into one archive, the inverse of `npz`.

    Args:
        arrays: By name.
        packed: Whether they are deflated.

    Returns:
        The file; it depends on the arrays alone.

    Raises:
        ValueError: If an array holds objects or records.
    """
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy", _DATE)
            member.external_attr = 0o644 << 16
            archive.writestr(member, render_npy(array), zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED)
    return file.getvalue()


def _header(view: memoryview, where: str) -> tuple[np.dtype, bool, tuple[int, ...], int]:
    """Type, order, shape and where the values begin."""
    if bytes(view[:6]) != _MAGIC or len(view) < 10:
        raise RawFormatError(f"{where}: not a .npy file (of {len(view)} bytes).")
    wide = view[6] >= 2
    start = 12 if wide else 10
    if view[6] not in (1, 2, 3) or len(view) < start:
        raise RawFormatError(f"{where}: version {view[6]} of the .npy format, expected 1 to 3.")
    (length,) = struct.unpack_from("<I" if wide else "<H", view, 8)
    if length > min(_LONGEST_HEADER, len(view) - start):
        raise RawFormatError(f"{where}: claims a header of {length} bytes; is the file cut?")
    match = _HEADER.fullmatch(bytes(view[start : start + length]).decode("latin-1"))
    if match is None:
        raise RawFormatError(f"{where}: a header that says no type, order and shape as NumPy writes them.")
    sizes = [part.strip().removesuffix("L") for part in match["shape"].split(",") if part.strip()]
    if len(sizes) > _AXES or not all(size.isdigit() and len(size) <= 18 for size in sizes):
        raise RawFormatError(f"{where}: the shape ({match['shape'][:80]}), expected at most {_AXES} axes.")
    return _type(match["type"], where), match["fortran"] == "True", tuple(map(int, sizes)), start + length


def _type(text: str, where: str) -> np.dtype:
    """The type of the values, if it is plain."""
    name = text.strip("'\"")
    if re.fullmatch(r"[<>|=]?O\d{0,2}", name):
        raise RawFormatError(
            f"{where}: an array of Python objects, which only pickle could read, and that may run code. "
            "Save it again as numbers or text."
        )
    plain = re.fullmatch(r"([<>|=]?)([biuf][1248])", name)
    if plain and plain[2] in _ALLOWED:
        return np.dtype(name)
    if re.fullmatch(r"[<>|=]?[US][1-9]\d{0,4}", name):
        return np.dtype(name)
    raise RawFormatError(f"{where}: values of the type {name[:40]}, expected numbers, truth values or text.")


def _check_text(values: np.ndarray, where: str) -> None:
    """Refuse characters that there are not, over which NumPy would stumble later."""
    order = ">" if values.dtype.str.startswith(">") else "<"
    codes = np.frombuffer(values.data.cast("B"), f"{order}u4")
    if (codes > 0x10FFFF).any() or ((codes >= 0xD800) & (codes < 0xE000)).any():
        raise RawFormatError(f"{where}: text with characters that Unicode does not have.")


def _members(view: memoryview, where: str) -> Iterator[zipfile.ZipInfo]:
    """The files of a zip, as its list has them."""
    try:
        with zipfile.ZipFile(_Window(view)) as archive:
            listed = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError, struct.error, EOFError) as error:
        raise RawFormatError(f"{where}: not a .npz file (of {len(view)} bytes), or cut: {error}.") from error
    if len(listed) > _MEMBERS:
        raise RawFormatError(f"{where}: {len(listed)} arrays, expected at most {_MEMBERS}.")
    for member in listed:
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or member.flag_bits & 1:
            raise RawFormatError(f"{where}: the member '{member.filename[:80]}' is encrypted or packed unusually.")
        yield member


def _packed(view: memoryview, member: zipfile.ZipInfo, here: str) -> memoryview:
    """The bytes of a member as they stand in the zip."""
    at = member.header_offset
    if not 0 <= at <= len(view) - _LOCAL.size:
        raise RawFormatError(f"{here}: lies outside the file; is it cut?")
    head = _LOCAL.unpack_from(view, at)
    start = at + _LOCAL.size + head[-2] + head[-1]
    if head[0] != b"PK\x03\x04" or start + member.compress_size > len(view):
        raise RawFormatError(f"{here}: lies outside the file; is it cut?")
    return view[start : start + member.compress_size]


def _inflated(packed: bytes | memoryview, size: int, here: str) -> bytes:
    """A packed member unpacked, at most one byte more than it says."""
    try:
        return zlib.decompressobj(-15).decompress(packed, size + 1)
    except zlib.error as error:
        raise RawFormatError(f"{here}: damaged: {error}.") from error


class _Window:
    """A view of bytes as a file that copies only what is asked for."""

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._at = 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a place."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._view)}[whence]
        if base + offset < 0:
            raise ValueError("a place before the beginning")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        """Where it stands."""
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Some bytes, or all that are left."""
        end = len(self._view) if size < 0 else self._at + size
        part = bytes(self._view[self._at : end])
        self._at += len(part)
        return part
