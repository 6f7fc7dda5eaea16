"""Text of numbers: one row a line, blanks or commas between them, the same count in every line."""

import io

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from skelbench.errors import RawFormatError

_DECIMALS = 6  # of the numbers that are read all at once, as C's printf writes them
_NEWLINE, _MINUS, _POINT, _ZERO = 10, 45, 46, 48
_LONGEST_FIELD = 80  # characters; what is longer is no number


def rows(data: bytes, columns: int, where: str) -> Float32[np.ndarray, "rows columns"]:
    """Read a text of numbers.

    Args:
        data: ASCII, perhaps after a byte order mark; blank lines at the end are left out.
        columns: Numbers of every line.
        where: Name of the file, for messages.

    Returns:
        `np.float32(float(text))` of every number; NaN where the text says `nan`.

    Raises:
        RawFormatError: If there is no line, a line has another count, or a field is no finite number.
    """
    data = data.removeprefix(b"\xef\xbb\xbf").rstrip()
    if not data:
        raise RawFormatError(f"{where}: an empty file, expected {columns} numbers in each line.")
    values = _plain(np.frombuffer(data, np.uint8), columns)
    return _any(data, columns, where) if values is None else values.astype(np.float32)


def text(values: Float32[np.ndarray, "rows columns"]) -> bytes:
    """Write what `rows` reads back unchanged: nine digits, which name every float32; NaN is `nan`."""
    line = " ".join(["%.9g"] * values.shape[1]) + "\n"
    return "".join([line % tuple(row) for row in values.tolist()]).encode()


def _plain(u: UInt8[np.ndarray, " bytes"], columns: int) -> Float64[np.ndarray, "rows columns"] | None:
    """Numbers of one digit before the point and six after it, all at once; None where any byte is of another kind.

    The digits make a whole number that 64-bit floats hold exactly, as they do 10^6: their quotient is the nearest
    to what is written.
    """
    if np.count_nonzero(u == _POINT) * (_DECIMALS + 3) > len(u) + 1:  # more than numbers of this form can have
        return None
    point = np.flatnonzero(u == _POINT)
    if len(point) % columns or not len(point) or point[0] < 1 or point[-1] + _DECIMALS >= len(u):
        return None
    negative = np.zeros(len(point), bool)
    negative[1:] = u[point[1:] - 2] == _MINUS
    negative[0] = point[0] > 1 and u[point[0] - 2] == _MINUS
    blank = u <= 32
    whole, digits = np.zeros(len(point), np.int64), np.ones(len(point), bool)
    for place in (-1, *range(1, _DECIMALS + 1)):
        digit = u[point + place] - np.uint8(_ZERO)  # what is below wraps around
        digits &= digit <= 9
        whole = whole * 10 + digit
    # with nothing else in the text than these, and a blank after each, no byte is left unread
    after = point[:-1] + _DECIMALS + 1
    if (
        not digits.all()
        or len(u) - blank.sum() != len(point) * (_DECIMALS + 2) + negative.sum()
        or not blank[after].all()
    ):
        return None
    ends = np.append(np.flatnonzero(u == _NEWLINE), len(u))
    if not np.array_equal(np.searchsorted(point, ends), columns * np.arange(1, len(ends) + 1)):
        return None
    values: np.ndarray = np.where(negative, -whole, whole) / 10.0**_DECIMALS * _signs(negative, whole)
    return values.reshape(-1, columns)


def _signs(negative: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """-1 where a zero is written as `-0.000000`, 1 elsewhere: integers have no negative zero."""
    return np.where(negative & (whole == 0), -1.0, 1.0)


def _any(data: bytes, columns: int, where: str) -> Float32[np.ndarray, "rows columns"]:
    """Numbers of any form, line by line."""
    found = []
    for number, line in enumerate(io.BytesIO(data), 1):
        if len(line) > columns * _LONGEST_FIELD:
            raise RawFormatError(f"{where}, line {number}: {len(line)} characters, expected {columns} numbers.")
        fields = line.split(b",") if b"," in line else line.split()
        if len(fields) != columns:
            raise RawFormatError(f"{where}, line {number}: {len(fields)} numbers, expected {columns}; is it cut?")
        found.append(_floats(fields, f"{where}, line {number}"))
    return np.stack(found)


def _floats(fields: list[bytes], where: str) -> Float32[np.ndarray, " columns"]:
    """The numbers of one line."""
    try:
        values = np.array([float(field) for field in fields])
    except ValueError:
        values = np.array([])
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float32)
    if not len(values) or np.isinf(rounded).any() or any(b"_" in field for field in fields):
        wrong = next(field for field in fields if not _finite(field))
        raise RawFormatError(f"{where}: {wrong[:_LONGEST_FIELD]!r}, expected a finite number.")
    return rounded


def _finite(field: bytes) -> bool:
    """Whether a field is a number that float32 can hold, or `nan`."""
    try:
        with np.errstate(over="ignore"):
            return b"_" not in field and not np.isinf(np.float32(float(field)))
    except ValueError:
        return False
