"""Lists in text files, an entry a line, plain or gzipped."""

import zlib
from functools import partial

from skelbench.errors import RawFormatError
from skelbench.raw import RawSource

_LARGEST = 1 << 26  # bytes, unpacked; the longest official list has 2.3 million


def lines(raw: RawSource, path: str) -> tuple[str, ...]:
    """Read the lines of a shared member, once a process.

    Args:
        raw: The source.
        path: A member of it; `.gz` at its end says that it is packed.

    Returns:
        Lines without their ends, empty ones included.

    Raises:
        RawFormatError: If the member is damaged, no UTF-8, or larger than any list.
    """
    return raw.once(path, partial(_parse, packed=path.endswith(".gz"), where=raw.where(path)))


def _parse(data: bytes, packed: bool, where: str) -> tuple[str, ...]:
    """Unpack and cut a list."""
    try:
        plain = zlib.decompressobj(31).decompress(data, _LARGEST + 1) if packed else data
        if len(plain) > _LARGEST:
            raise RawFormatError(f"{where}: more than {_LARGEST} bytes, expected a list.")
        return tuple(line.rstrip("\r") for line in plain.decode("utf-8-sig").split("\n"))
    except (zlib.error, UnicodeDecodeError) as error:
        raise RawFormatError(f"{where}: no text: {error}.") from error
