"""Plain arrays in MATLAB 5 files, numbers and text only.

A file from strangers may claim any size. Here every size is held against the bytes that are there
before anything is allocated, compressed variables inflate up to a bound, and cells, structs, objects
and sparse or complex arrays are refused; poses need none of them.

Source: MathWorks, "MAT-File Format", Level 5.
"""

import math
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np

from skelbench.errors import RawFormatError

HEADER = 128
VARIABLES = 1000  # far more than files of poses have
MATRIX, COMPRESSED = 14, 15
NUMERIC = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
CHAR = 4
REFUSED = {1: "a cell array", 2: "a struct", 3: "an object", 5: "a sparse array", 16: "a function", 17: "an object"}
# How the numbers of an array are stored, which may be narrower than its class says.
STORED = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
    16: "u1",
    17: "u2",
}
COMPLEX_FLAG = 0x0800


@dataclass(frozen=True)
class _Element:
    """One tagged piece of a file."""

    kind: int
    data: memoryview


def variables(data: bytes, where: str, *, inflated: int = 1 << 24) -> dict[str, np.ndarray | str]:
    """Read all variables of a file.

    Args:
        data: The whole file.
        where: Name of the file, for messages.
        inflated: The most bytes that its compressed variables may take together.

    Returns:
        By name, arrays in MATLAB's shape and class; text as `str`.

    Raises:
        RawFormatError: If the file is no MATLAB 5 file, is cut, inflates beyond the bound, contradicts
            itself, or holds something else than plain numbers and text.
    """
    order = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}.get(data[124:128])  # version 1 of the format is MATLAB 5
    if order is None:
        raise RawFormatError(f"{where}: not a MATLAB 5 file (of {len(data)} bytes); was it saved with -v7.3 or -v4?")
    found: dict[str, np.ndarray | str] = {}
    room = inflated
    for count, element in enumerate(_elements(memoryview(data)[HEADER:], order, where)):
        if count == VARIABLES:
            raise RawFormatError(f"{where}: more than {VARIABLES} variables; no file of poses needs as many.")
        if element.kind == COMPRESSED:
            content = _inflate(element.data, room, where)
            room -= len(content)
            element = _only(content, order, where)  # noqa: PLW2901 - what it holds stands for it
        if element.kind != MATRIX:
            raise RawFormatError(f"{where}: an element of type {element.kind}, expected variables only.")
        name, value = _variable(element.data, order, where)
        if name in found:
            raise RawFormatError(f"{where}: the variable '{name}' stands there twice.")
        found[name] = value
    return found


def render(found: Mapping[str, np.ndarray | str]) -> bytes:
    """Write variables as a MATLAB 5 file, each compressed; the inverse of `variables`.

    Args:
        found: By name, numeric arrays of two axes, or ASCII text of one line.

    Returns:
        The file; it depends on the variables alone, where other writers put date and machine into it.

    Raises:
        ValueError: If a variable is something else.
    """
    head = b"MATLAB 5.0 MAT-file, written by skelbench".ljust(124) + struct.pack("<H2s", 0x0100, b"IM")
    body = [zlib.compress(_tagged(MATRIX, _matrix(name, value))) for name, value in found.items()]
    return head + b"".join(struct.pack("<II", COMPRESSED, len(content)) + content for content in body)


def _elements(data: memoryview, order: str, where: str) -> Iterator[_Element]:
    """Cut a stretch of bytes at its tags; a short element holds its data inside its tag."""
    at = 0
    while at < len(data):
        if len(data) - at < 8:
            raise RawFormatError(f"{where}: ends inside a tag; is the file cut?")
        kind, size = struct.unpack_from(f"{order}II", data, at)
        if kind >> 16:
            kind, size, start, end = kind & 0xFFFF, kind >> 16, at + 4, at + 8
        else:
            start = at + 8
            end = start + size + (0 if kind == COMPRESSED else -size % 8)
        if size > len(data) - start or (start == at + 4 and size > 4):
            raise RawFormatError(f"{where}: an element claims {size} bytes, {len(data) - start} are left; is it cut?")
        yield _Element(kind, data[start : start + size])
        at = end


def _only(content: bytes, order: str, where: str) -> _Element:
    """The one element that a compressed one holds."""
    inside = list(islice(_elements(memoryview(content), order, where), 2))
    if len(inside) != 1:
        raise RawFormatError(f"{where}: {'two variables' if inside else 'nothing'} in a compressed one.")
    return inside[0]


def _inflate(data: memoryview, room: int, where: str) -> bytes:
    """Inflate a compressed variable, up to a bound."""
    stream = zlib.decompressobj()
    try:
        content = stream.decompress(data, room + 1)
    except zlib.error as error:
        raise RawFormatError(f"{where}: a compressed variable is damaged: {error}.") from error
    if len(content) > room:
        raise RawFormatError(f"{where}: inflates to more than {room} bytes; no file of poses needs as many.")
    # MATLAB leaves some streams without their end mark; the tags inside show whether anything lacks.
    return content


def _variable(data: memoryview, order: str, where: str) -> tuple[str, np.ndarray | str]:
    """Name and value of one variable."""
    parts = list(islice(_elements(data, order, where), 6))  # an imaginary part would be the fifth
    if len(parts) < 3 or len(parts[0].data) != 8 or len(parts[1].data) % 4:
        raise RawFormatError(f"{where}: a variable without flags, dimensions and name.")
    (flags,) = struct.unpack_from(f"{order}I", parts[0].data)
    shape = tuple(np.frombuffer(parts[1].data, f"{order}i4").tolist())
    name = bytes(parts[2].data).decode("ascii", "backslashreplace")
    here = f"{where}, variable '{name}'"
    category = flags & 0xFF
    if category not in NUMERIC and category != CHAR:
        raise RawFormatError(f"{here}: {REFUSED.get(category, f'class {category}')}, expected numbers or text.")
    if flags & COMPLEX_FLAG or len(parts) != 4:
        raise RawFormatError(f"{here}: {len(parts)} parts, expected flags, dimensions, name and real numbers.")
    values = _values(parts[3], shape, order, here)
    if category == CHAR:
        return name, _text(values, here)
    with np.errstate(all="ignore"):
        return name, values.astype(NUMERIC[category])


def _values(part: _Element, shape: tuple[int, ...], order: str, here: str) -> np.ndarray:
    """The stored numbers in MATLAB's shape, column by column."""
    if part.kind not in STORED:
        raise RawFormatError(f"{here}: numbers of the unknown type {part.kind}.")
    stored = np.dtype(order + STORED[part.kind])
    if not 2 <= len(shape) <= 8 or min(shape) < 0 or math.prod(shape) * stored.itemsize != len(part.data):
        raise RawFormatError(f"{here}: {len(part.data)} bytes do not make an array of {shape}.")
    return np.frombuffer(part.data, stored).reshape(shape, order="F")


def _text(values: np.ndarray, here: str) -> str:
    """A row of characters."""
    if values.ndim != 2 or (values.size and len(values) != 1):
        raise RawFormatError(f"{here}: text of shape {values.shape}, expected one line.")
    # what is no printable ASCII is spelled out: the file does not say which encoding it means
    return "".join(chr(code) if 32 <= code < 127 else f"\\x{code:02x}" for code in values.ravel().tolist())


def _matrix(name: str, value: np.ndarray | str) -> bytes:
    """Flags, dimensions, name and numbers of one variable."""
    array = np.frombuffer(value.encode("ascii"), np.uint8)[None] if isinstance(value, str) else value
    codes = {kind: code for code, kind in STORED.items() if code not in (16, 17)}
    classes = {kind: code for code, kind in NUMERIC.items()}
    kind = array.dtype.str[1:]
    if array.ndim != 2 or kind not in codes:
        raise ValueError(f"'{name}' is {array.dtype} {array.shape}, expected numbers of two axes or a text.")
    parts = [
        (6, struct.pack("<II", CHAR if isinstance(value, str) else classes[kind], 0)),
        (5, struct.pack("<ii", *array.shape)),
        (1, name.encode("ascii")),
        (16 if isinstance(value, str) else codes[kind], array.astype(f"<{kind}").tobytes(order="F")),
    ]
    return b"".join(_tagged(code, content) for code, content in parts)


def _tagged(code: int, content: bytes) -> bytes:
    """A piece with its tag, filled up to eight bytes."""
    return struct.pack("<II", code, len(content)) + content + bytes(-len(content) % 8)
