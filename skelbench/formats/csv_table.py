"""Comma-separated text: tables of numbers alone."""

import numpy as np
from jaxtyping import Float64

from skelbench.errors import RawFormatError

_OF_NUMBERS = b"0123456789+-.eENa, \t\r\n"  # all that numbers, and NaN where one is missing, are made of
_LONGEST = 40  # characters of a number that a message shows


def numbers(data: bytes, columns: int, where: str) -> Float64[np.ndarray, "rows columns"]:
    """Read a table of numbers without a header, one row a line.

    Args:
        data: ASCII, perhaps after a byte order mark; the last line ends as the others do, so that a file that was cut
            shows it.
        columns: Numbers of every row.
        where: Name of the file, for messages.

    Returns:
        All numbers, finite or NaN.

    Raises:
        RawFormatError: If there is no row, one has another count, the last one does not end, or a field is neither
            a number that float32 can hold nor NaN.
    """
    data = data.removeprefix(b"\xef\xbb\xbf")
    strange = data.translate(None, _OF_NUMBERS)
    if strange or not data.endswith(b"\n"):
        found = f"holds {strange[:20]!r}" if strange else "does not end with the end of a line; is it cut?"
        raise RawFormatError(f"{where}: {found}, expected lines of {columns} numbers with commas between.")
    lines = data.splitlines()
    for line, text in enumerate(lines, 1):
        if text.count(b",") != columns - 1:
            raise RawFormatError(f"{where}, line {line}: {text.count(b',') + 1} numbers, expected {columns}.")
    try:
        values = np.array([float(field) for line in lines for field in line.split(b",")])
    except ValueError as error:
        raise RawFormatError(f"{where}: {str(error)[-_LONGEST:]}, expected numbers with commas between.") from error
    values = values.reshape(-1, columns)
    for row, column in np.argwhere(np.abs(values) > np.finfo(np.float32).max)[:1].tolist():
        raise RawFormatError(f"{where}, line {row + 1}: {values[row, column]:g}, expected what float32 can hold.")
    return values


def render_numbers(values: Float64[np.ndarray, "rows columns"]) -> bytes:
    """Write a table of numbers, the inverse of `numbers`."""
    rows = [",".join("NaN" if value != value else repr(value) for value in row) for row in values.tolist()]
    return "".join(f"{row}\n" for row in rows).encode()
