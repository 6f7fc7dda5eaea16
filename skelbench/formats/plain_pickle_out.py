"""Pickles of plain containers and NumPy arrays, written so that any Python 3 with any NumPy opens them.

Python's own pickler names arrays as the NumPy of the day does, which older ones do not know. `plain_pickle` reads
such files.

Source: CPython, Lib/pickletools.py.
"""

import struct
from collections.abc import Callable, Iterable
from io import BufferedIOBase, BytesIO
from typing import Any, NoReturn

import numpy as np

_KINDS = frozenset(["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"])


def dump(value: object, file: BufferedIOBase) -> None:
    """Write plain things as a pickle that any Python 3 with any NumPy opens; `plain_pickle.load` is the inverse.

    Args:
        value: What `load` returns, keys of dicts in their order.
        file: Where to write; arrays go to it one after the other.

    Raises:
        TypeError: If there is something else in it.
    """
    file.write(b"\x80\x03")
    _dump(value, file)
    file.write(b".")


def dumps(value: object) -> bytes:
    """The same as bytes; raises like `dump`."""
    file = BytesIO()
    dump(value, file)
    return file.getvalue()


class Stream:
    """A pickle of one dict, written piece by piece, so that no more than one piece is ever in memory."""

    def __init__(self, file: BufferedIOBase) -> None:
        """Begin the dict."""
        self._file = file
        file.write(b"\x80\x03}")

    def entry(self, key: str, value: object) -> None:
        """Add one entry."""
        _dump(key, self._file)
        _dump(value, self._file)
        self._file.write(b"s")

    def entries(self, key: str, values: Iterable[object]) -> None:
        """Add one entry that is a list, its values taken one by one."""
        _dump(key, self._file)
        self._file.write(b"]")
        for value in values:
            _dump(value, self._file)
            self._file.write(b"a")
        self._file.write(b"s")

    def close(self) -> None:
        """End the dict."""
        self._file.write(b".")


def _dump(value: object, file: BufferedIOBase) -> None:
    """Write one value, those within it first."""
    writer = _WRITERS.get(type(value))
    if writer is None:
        _no_writer(value)
    writer(value, file)


def _no_writer(value: object) -> NoReturn:
    """Say what cannot be written."""
    raise TypeError(f"{type(value).__name__} is no plain value.")


def _dump_int(value: int, file: BufferedIOBase) -> None:
    """An integer of any size."""
    if -(1 << 31) <= value < 1 << 31:
        file.write(b"J" + struct.pack("<i", value))
    else:
        content = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
        file.write(b"\x8b" + struct.pack("<i", len(content)) + content)


def _dump_text(value: str, file: BufferedIOBase) -> None:
    """A text."""
    content = value.encode("utf-8", "surrogatepass")
    file.write(b"X" + struct.pack("<I", len(content)) + content)


def _dump_bytes(value: bytes, file: BufferedIOBase) -> None:
    """Bytes."""
    file.write(b"B" + struct.pack("<I", len(value)) + value)


def _dump_list(value: list[object], file: BufferedIOBase) -> None:
    """A list."""
    file.write(b"](")
    for one in value:
        _dump(one, file)
    file.write(b"e")


def _dump_tuple(value: tuple[object, ...], file: BufferedIOBase) -> None:
    """A tuple."""
    file.write(b"(")
    for one in value:
        _dump(one, file)
    file.write(b"t")


def _dump_dict(value: dict[object, object], file: BufferedIOBase) -> None:
    """A dict."""
    file.write(b"}(")
    for key, one in value.items():
        _dump(key, file)
        _dump(one, file)
    file.write(b"u")


def _dump_array(value: np.ndarray, file: BufferedIOBase) -> None:
    """An array, under the name that NumPy's old and new versions know."""
    kind = value.dtype.newbyteorder("<").str
    if kind[1:] not in _KINDS:
        raise TypeError(f"an array of {value.dtype} is no plain value.")
    file.write(b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R(K\x01")
    _dump_tuple(value.shape, file)
    file.write(b"cnumpy\ndtype\n")
    _dump_text(kind[1:], file)
    file.write(b"\x89\x88\x87R(K\x03")
    _dump_text(kind[0], file)
    file.write(b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89")
    _dump_bytes(value.astype(kind, copy=False).tobytes(), file)
    file.write(b"tb")


_WRITERS: dict[type, Callable[[Any, BufferedIOBase], object]] = {
    type(None): lambda _, file: file.write(b"N"),
    bool: lambda value, file: file.write(b"\x88" if value else b"\x89"),
    int: _dump_int,
    float: lambda value, file: file.write(b"G" + struct.pack(">d", value)),
    str: _dump_text,
    bytes: _dump_bytes,
    list: _dump_list,
    tuple: _dump_tuple,
    dict: _dump_dict,
    np.ndarray: _dump_array,
}
