"""Pickles that hold nothing but plain containers and NumPy arrays, read without running anything.

Python's own unpickler calls whatever a file names. This one is a machine of its own: it knows the instructions that
numbers, texts, lists, tuples, dicts and arrays need, and builds each thing itself from bytes that are there. All
else, above all the name of a class or function, is refused by that name.

`plain_pickle_out` writes such files.

Source: CPython, Lib/pickletools.py, which documents every instruction, protocols 0 to 5.
"""

import codecs
import math
import re
import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from skelbench.errors import RawFormatError

_DIGITS = 4000  # of an integer; more take long to read and mean nothing
_KEY = 1 << 31  # integers beyond are no keys, since many of them could be made to collide
_AXES = 8
_ESCAPED = re.compile(rb"(?:[^\\]|\\(?:[\\'\"abfnrtv\n]|x[0-9a-fA-F]{2}|[0-3]?[0-7]{1,2}))*", re.DOTALL)
_KINDS = re.compile(r"[<>|=]?(b1|i[1248]|u[1248]|f[248])")
_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
_RECONSTRUCT = frozenset(f"{module}._reconstruct" for module in _MODULES)
_SCALAR = frozenset(f"{module}.scalar" for module in _MODULES)
_FROM_BUFFER = frozenset({"numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer"})
_BYTES = frozenset({"builtins.bytes", "__builtin__.bytes"})
_KNOWN = _RECONSTRUCT | _SCALAR | _FROM_BUFFER | _BYTES | {"numpy.ndarray", "numpy.dtype", "_codecs.encode"}


class _Global(str):
    """The full name of something that the machine knows how to build."""

    __slots__ = ()


class _Array:
    """An array that is announced, and once built what it holds."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: np.ndarray | None = None


class _Kind:
    """The type of an array's values."""

    __slots__ = ("name", "order")

    def __init__(self, name: str) -> None:
        self.name, self.order = name, ""

    def dtype(self) -> np.dtype:
        """As NumPy has it; the name is one that was checked."""
        return np.dtype(self.name.lstrip("<>|=") if not self.order else self.order + self.name.lstrip("<>|="))


class _RefusedError(ValueError):
    """What the machine does not take; the reader adds where."""


def load(data: bytes, where: str) -> Any:
    """Read a pickle of plain things.

    Args:
        data: The whole file; texts of Python 2 are taken as Latin-1.
        where: Name of the file, for messages.

    Returns:
        What was stored: None, bool, int, float, str, bytes, list, tuple, dict and read-only `np.ndarray` in this
        machine's byte order; NumPy's scalars become Python's. Memory is bounded by a small multiple of the file's
        size. A list may hold itself: walk only as deep as the format goes.

    Raises:
        RawFormatError: If the file is no pickle, is cut, names a class or function other than NumPy's arrays, or
            claims more than it holds.
    """
    machine = _Machine(data)
    try:
        return machine.run()
    except _RefusedError as error:
        raise RawFormatError(f"{where}, byte {machine.at}: {error}") from error
    except (IndexError, struct.error) as error:
        raise RawFormatError(f"{where}, byte {machine.at}: the pickle ends or is damaged here; is it cut?") from error
    except (ValueError, TypeError, OverflowError, MemoryError, UnicodeDecodeError) as error:
        raise RawFormatError(f"{where}, byte {machine.at}: a damaged pickle: {error}.") from error


class _Machine:
    """A stack, a memory, and a place in the file."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """Follow all instructions up to the end mark."""
        data, steps = self.data, _STEPS
        while True:
            code = data[self.at]
            self.at += 1
            if code == 0x2E:  # the end
                return self._value(self.stack.pop())
            step = steps.get(code)
            if step is None:
                raise _RefusedError(f"the instruction 0x{code:02x}, which no pickle of plain values needs.")
            step(self)

    def take(self, count: int) -> bytes:
        """The next bytes."""
        part = self.data[self.at : self.at + count]
        if len(part) != count:
            raise _RefusedError(f"{count} bytes are claimed, {len(part)} are left; is the file cut?")
        self.at += count
        return part

    def line(self) -> bytes:
        """The bytes up to the end of the line."""
        end = self.data.find(b"\n", self.at)
        if end < 0:
            raise _RefusedError("a line without end; is the file cut?")
        part = self.data[self.at : end]
        self.at = end + 1
        return part

    def number(self, form: str, size: int) -> Any:
        """A number of fixed size."""
        return struct.unpack(form, self.take(size))[0]

    def push(self, value: Any) -> None:
        """Put a value on the stack."""
        self.stack.append(value)

    def pop(self) -> Any:
        """Take a finished value from the stack."""
        return self._value(self.stack.pop())

    def since_mark(self) -> list[Any]:
        """Take all values since the last mark."""
        start = self.marks.pop()
        values = [self._value(value) for value in self.stack[start:]]
        del self.stack[start:]
        return values

    def keep(self, place: int) -> None:
        """Remember the topmost value."""
        self.memo[place] = self.stack[-1]

    def recall(self, place: int) -> None:
        """Put a remembered value on the stack."""
        if place not in self.memo:
            raise _RefusedError(f"value {place} is used before it is stored.")
        self.stack.append(self.memo[place])

    @staticmethod
    def _value(value: Any) -> Any:
        """A value as others see it: an array, not its announcement."""
        if type(value) is _Array:
            if value.values is None:
                raise _RefusedError("an array that is announced and never filled.")
            return value.values
        return value


def _extend(machine: _Machine, values: Sequence[Any]) -> None:
    """Append values to the list on the stack."""
    target = machine.stack[-1]
    if type(target) is not list:
        raise _RefusedError("something is appended to what is no list.")
    target.extend(values)


def _update(machine: _Machine, values: Sequence[Any]) -> None:
    """Set entries of the dict on the stack, keys and values by turns."""
    target = machine.stack[-1]
    if type(target) is not dict or len(values) % 2:
        raise _RefusedError("an entry is set in what is no dict.")
    for key, value in zip(values[::2], values[1::2], strict=True):
        if type(key) not in (str, int, float) or (type(key) is int and not -_KEY < key < _KEY):
            raise _RefusedError(f"{_shown(key)} is the key of a dict, expected a text or small number.")
        target[key] = value


def _global(machine: _Machine, module: Any, name: Any) -> None:
    """Name something; only what this machine builds itself has a name."""
    full = f"{module}.{name}"
    if full not in _KNOWN:
        raise _RefusedError(
            f"the file names {full[:80]!r}, a class or function. Reading it could run code, so nothing but NumPy "
            "arrays and plain lists, dicts, texts and numbers is read. Save the data again as such."
        )
    machine.push(_Global(full))


def _call(machine: _Machine) -> None:
    """Build what a known name and its arguments stand for."""
    arguments, name = machine.pop(), machine.pop()
    if type(name) is not _Global or type(arguments) is not tuple:
        raise _RefusedError("a call of something that is no name.")
    build = _BUILDERS.get(name)
    if build is None:
        raise _RefusedError(f"a call of '{name}', expected to be built otherwise.")
    machine.push(build(arguments))


def _fill(machine: _Machine) -> None:
    """Give an announced array its values, or a type its byte order."""
    state, target = machine.pop(), machine.stack[-1]
    if type(state) is not tuple:
        raise _RefusedError("the state of an array is no tuple.")
    if type(target) is _Array and len(state) == 5:
        if target.values is not None:
            raise _RefusedError("an array is filled twice.")
        target.values = _filled(state[4], state[2], state[1], "F" if state[3] else "C")
    elif type(target) is _Kind and len(state) >= 2 and state[1] in ("<", ">", "|", "="):
        target.order = state[1]
    else:
        raise _RefusedError("a state is given to what is neither array nor type.")


def _filled(raw: Any, kind: Any, shape: Any, order: str) -> np.ndarray:
    """An array over bytes that are there."""
    if type(kind) is not _Kind:
        raise _RefusedError("an array whose type is not told.")
    if isinstance(raw, str):  # written by Python 2
        raw = raw.encode("latin-1")
    if type(raw) is not bytes:
        raise _RefusedError("an array of objects, expected numbers.")
    if type(shape) is not tuple or len(shape) > _AXES or not all(type(one) is int and one >= 0 for one in shape):
        raise _RefusedError(f"an array of the shape {_shown(shape)}.")
    dtype = kind.dtype()
    if math.prod(shape) * dtype.itemsize != len(raw) or (not raw and max(shape, default=0) > 1 << 20):
        raise _RefusedError(f"an array of {shape} {dtype} in {len(raw)} bytes.")
    values = np.frombuffer(raw, np.uint8 if dtype.kind == "b" else dtype) if raw else np.zeros(0, dtype)
    values = values != 0 if dtype.kind == "b" else values
    values = values.reshape(shape, order="F" if order == "F" else "C").astype(dtype.newbyteorder("="), copy=False)
    values.flags.writeable = False
    return values


def _announced(arguments: tuple[Any, ...]) -> _Array:
    """An array without values; the type it announces is told again when it is filled."""
    if len(arguments) != 3 or arguments[0] != "numpy.ndarray" or arguments[1] not in ((0,), (0, 0)):
        raise _RefusedError("an array is announced in an unknown way.")
    return _Array()


def _kind(arguments: tuple[Any, ...]) -> _Kind:
    """A type of numbers."""
    name = arguments[0] if arguments else None
    if type(name) is not str or not _KINDS.fullmatch(name):
        objects = type(name) is str and name.startswith("O")
        raise _RefusedError(f"an array of {'Python objects' if objects else _shown(name)}, expected numbers.")
    return _Kind(name)


def _scalar(arguments: tuple[Any, ...]) -> bool | int | float:
    """One of NumPy's numbers as one of Python's."""
    if len(arguments) != 2:
        raise _RefusedError("a number without type or value.")
    found = _filled(arguments[1], arguments[0], (1,), "C").tolist()[0]
    return found if isinstance(found, (bool, int, float)) else float(found)


def _from_buffer(arguments: tuple[Any, ...]) -> np.ndarray:
    """An array of protocol 5."""
    if len(arguments) != 4:
        raise _RefusedError("an array in an unknown form.")
    return _filled(arguments[0], arguments[1], arguments[2], "F" if arguments[3] == "F" else "C")


def _encode(arguments: tuple[Any, ...]) -> bytes:
    """Bytes that an old protocol holds as text."""
    if len(arguments) != 2 or type(arguments[0]) is not str or arguments[1] not in ("latin1", "latin-1"):
        raise _RefusedError("bytes in an unknown encoding.")
    return arguments[0].encode("latin-1")


def _no_bytes(arguments: tuple[Any, ...]) -> bytes:
    """Empty bytes of an old protocol."""
    if arguments:
        raise _RefusedError("bytes in an unknown form.")
    return b""


def _integer(text: bytes) -> int | bool:
    """A number in digits; 00 and 01 are false and true."""
    if text in (b"00", b"01"):
        return text == b"01"
    if len(text) > _DIGITS:
        raise _RefusedError(f"a number of {len(text)} digits.")
    return int(text.removesuffix(b"L"))


def _long(machine: _Machine, size: int) -> int:
    """A number of any size, in bytes."""
    if not 0 <= size <= _DIGITS // 4:  # of which each makes two or three digits
        raise _RefusedError(f"a number of {size} bytes.")
    return int.from_bytes(machine.take(size), "little", signed=True)


def _quoted(text: bytes) -> str:
    """A text of Python 2 in quotes."""
    if len(text) < 2 or text[0] != text[-1] or text[:1] not in (b"'", b'"'):
        raise _RefusedError("a text without quotes.")
    if not _ESCAPED.fullmatch(text[1:-1]):
        raise _RefusedError("a text with an escape that Python does not write.")
    return codecs.escape_decode(text[1:-1])[0].decode("latin-1")


def _tuple(count: int) -> Callable[[_Machine], None]:
    """The instruction that packs some values."""

    def step(machine: _Machine) -> None:
        """Pack them."""
        values = [machine.pop() for _ in range(count)]
        machine.push(tuple(reversed(values)))

    return step


def _stack_global(machine: _Machine) -> None:
    """Name something by two texts on the stack."""
    name, module = machine.pop(), machine.pop()
    _global(machine, module, name)


def _item(machine: _Machine) -> None:
    """Set one entry."""
    value, key = machine.pop(), machine.pop()
    _update(machine, [key, value])


def _dict(machine: _Machine) -> None:
    """A dict of all since the mark."""
    values = machine.since_mark()
    machine.push({})
    _update(machine, values)


def _protocol(machine: _Machine) -> None:
    """The number of the protocol."""
    version = machine.take(1)[0]
    if version > 5:
        raise _RefusedError(f"protocol {version}, expected at most 5.")


def _text(size: int, form: str) -> Callable[[_Machine], None]:
    """The instruction of a text whose length stands in some bytes."""
    return lambda machine: machine.push(str(machine.take(machine.number(form, size)), "utf-8", "surrogatepass"))


def _raw(size: int, form: str) -> Callable[[_Machine], None]:
    """The instruction of bytes whose length stands in some bytes."""
    return lambda machine: machine.push(machine.take(machine.number(form, size)))


def _old(size: int, form: str) -> Callable[[_Machine], None]:
    """The instruction of a text of Python 2 whose length stands in some bytes."""
    return lambda machine: machine.push(str(machine.take(machine.number(form, size)), "latin-1"))


_BUILDERS: dict[str, Callable[[tuple[Any, ...]], Any]] = {
    **dict.fromkeys(_RECONSTRUCT, _announced),
    **dict.fromkeys(_SCALAR, _scalar),
    **dict.fromkeys(_FROM_BUFFER, _from_buffer),
    **dict.fromkeys(_BYTES, _no_bytes),
    "numpy.dtype": _kind,
    "_codecs.encode": _encode,
}

_STEPS: dict[int, Callable[[_Machine], Any]] = {
    0x80: _protocol,
    0x95: lambda machine: machine.take(8),  # a frame: its length helps only those who read piece by piece
    ord("("): lambda machine: machine.marks.append(len(machine.stack)),
    ord("N"): lambda machine: machine.push(None),
    0x88: lambda machine: machine.push(True),
    0x89: lambda machine: machine.push(False),
    ord("I"): lambda machine: machine.push(_integer(machine.line())),
    ord("L"): lambda machine: machine.push(_integer(machine.line())),
    ord("F"): lambda machine: machine.push(float(machine.line()[:_DIGITS])),
    ord("J"): lambda machine: machine.push(machine.number("<i", 4)),
    ord("K"): lambda machine: machine.push(machine.number("<B", 1)),
    ord("M"): lambda machine: machine.push(machine.number("<H", 2)),
    ord("G"): lambda machine: machine.push(machine.number(">d", 8)),
    0x8A: lambda machine: machine.push(_long(machine, machine.number("<B", 1))),
    0x8B: lambda machine: machine.push(_long(machine, machine.number("<i", 4))),
    ord("S"): lambda machine: machine.push(_quoted(machine.line())),
    ord("T"): _old(4, "<I"),
    ord("U"): _old(1, "<B"),
    ord("V"): lambda machine: machine.push(str(machine.line(), "raw-unicode-escape")),
    ord("X"): _text(4, "<I"),
    0x8C: _text(1, "<B"),
    0x8D: _text(8, "<Q"),
    ord("B"): _raw(4, "<I"),
    ord("C"): _raw(1, "<B"),
    0x8E: _raw(8, "<Q"),
    0x96: _raw(8, "<Q"),
    ord("]"): lambda machine: machine.push([]),
    ord("a"): lambda machine: _extend(machine, [machine.pop()]),
    ord("e"): lambda machine: _extend(machine, machine.since_mark()),
    ord("l"): lambda machine: machine.push(machine.since_mark()),
    ord(")"): lambda machine: machine.push(()),
    ord("t"): lambda machine: machine.push(tuple(machine.since_mark())),
    0x85: _tuple(1),
    0x86: _tuple(2),
    0x87: _tuple(3),
    ord("}"): lambda machine: machine.push({}),
    ord("s"): _item,
    ord("u"): lambda machine: _update(machine, machine.since_mark()),
    ord("d"): _dict,
    ord("p"): lambda machine: machine.keep(_integer(machine.line())),
    ord("q"): lambda machine: machine.keep(machine.number("<B", 1)),
    ord("r"): lambda machine: machine.keep(machine.number("<I", 4)),
    0x94: lambda machine: machine.keep(len(machine.memo)),
    ord("g"): lambda machine: machine.recall(_integer(machine.line())),
    ord("h"): lambda machine: machine.recall(machine.number("<B", 1)),
    ord("j"): lambda machine: machine.recall(machine.number("<I", 4)),
    ord("c"): lambda machine: _global(machine, str(machine.line(), "ascii"), str(machine.line(), "ascii")),
    0x93: _stack_global,
    ord("R"): _call,
    ord("b"): _fill,
}


def _shown(value: object) -> str:
    """A value in a message: plain ones themselves, others by their type."""
    if isinstance(value, str):
        return repr(value[:40])
    return repr(value) if isinstance(value, float) else f"a value of type {type(value).__name__.strip('_').lower()}"
