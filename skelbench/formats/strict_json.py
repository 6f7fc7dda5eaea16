"""JSON from strangers: the standard's grammar and nothing that Python adds to it; arrays without surprises."""

import json
from collections.abc import Callable, Sequence
from functools import cache
from itertools import chain
from typing import Any, NoReturn

import numpy as np
from jaxtyping import Float32

from skelbench.errors import RawFormatError

_WIDE = 2.0**63
_PLAIN = frozenset({int, float, bool, type(None), str})  # what holds no object
_NUMBERS = frozenset({int, float})  # what lists of poses begin with, and then hold nothing else


def load(data: bytes, where: str) -> dict[str, Any]:
    """Parse a file that holds one JSON object.

    Args:
        data: UTF-8 text, with or without a byte order mark.
        where: Name of the file, for messages.

    Returns:
        The object. With the extra `fast` an integer of more than 64 bits is a float where it stands in a list.

    Raises:
        RawFormatError: If the bytes are not UTF-8 or not JSON, nest too deeply, repeat a key, hold
            `NaN` or `Infinity`, or hold something else than an object.
    """
    found = parse(data, where)
    if not isinstance(found, dict):
        raise RawFormatError(f"{where}: holds {kind(found)}, expected an object.")
    return found


def parse(data: bytes, where: str) -> Any:
    """Parse a file that holds any one JSON value; all else is as in `load`."""
    if not data.strip():
        raise RawFormatError(f"{where}: the file is empty, expected JSON.")
    found = _quickly(data)
    if found is not None:
        return found
    try:
        return json.loads(
            data.decode("utf-8").removeprefix("\ufeff"), object_pairs_hook=_unique, parse_constant=_no_constant
        )
    except RecursionError as error:
        raise RawFormatError(f"{where}: nested too deeply for a file of poses.") from error
    except UnicodeDecodeError as error:
        raise RawFormatError(f"{where}: byte {error.start} is not UTF-8.") from error
    except ValueError as error:
        raise RawFormatError(f"{where}: not JSON: {error}.") from error


def field(found: dict[str, Any], key: str, wanted: type, where: str) -> Any:
    """Take one value of an object.

    Args:
        found: The object.
        key: Its key.
        wanted: `int`, `float`, `str`, `list` or `dict`; true and false are no integers.
        where: Name of the file, for messages.

    Returns:
        The value.

    Raises:
        RawFormatError: If the key is missing or its value of another type.
    """
    if key not in found:
        raise RawFormatError(f"{where}: the key '{key}' is missing; found {', '.join(sorted(found)[:8]) or 'none'}.")
    if type(found[key]) is not wanted:
        raise RawFormatError(f"{where}: '{key}' is {kind(found[key])}, expected {kind(wanted())}.")
    return found[key]


def poses(
    frames: Sequence[Any], joints: int, channels: int, where: str
) -> Float32[np.ndarray, "frames joints channels"]:
    """Turn nested lists into an array, one pose a frame.

    Args:
        frames: For each frame a list of joints, each a list of numbers; `null` is a missing number.
        joints: Joints that every frame must have.
        channels: Numbers that every joint must have.
        where: Name of the file and of the list in it, for messages.

    Returns:
        `np.float32(float(text))` of every number; NaN where it is missing.

    Raises:
        RawFormatError: If there is no frame, a list is ragged or something else than a list, or a value is no
            number that float32 can hold; the frame and joint are named.
    """
    if not frames:
        raise RawFormatError(f"{where}: holds no frame, expected one at least.")
    # Types are checked in bulk: NumPy alone would take true for 1 and "3" for 3.
    regular = _lists(frames, joints)
    inner = list(chain.from_iterable(frames)) if regular else []
    regular = regular and _lists(inner, channels)
    numbers = list(chain.from_iterable(inner)) if regular else []
    if not regular or not set(map(type, numbers)) <= {int, float, type(None)}:
        _explain(frames, joints, channels, where)
    try:
        values = np.array(numbers, np.float64).reshape(len(frames), joints, channels)
    except OverflowError as error:
        raise RawFormatError(f"{where}: an integer of more than 300 digits, expected a coordinate.") from error
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float32)
    for frame, joint, channel in np.argwhere(np.isinf(rounded)).tolist():
        raise RawFormatError(
            f"{where}, frame {frame}, joint {joint}: {values[frame, joint, channel]:g}, "
            "expected a finite number that float32 can hold."
        )
    return rounded


def kind(value: object) -> str:
    """Name the type of a JSON value."""
    names = {bool: "true or false", int: "an integer", float: "a number", str: "a text", list: "a list"}
    return names.get(type(value), "an object" if isinstance(value, dict) else "null")


def _lists(values: Sequence[Any], length: int) -> bool:
    """Whether all are lists of one length."""
    return set(map(type, values)) <= {list} and set(map(len, values)) <= {length}


def _explain(frames: Sequence[Any], joints: int, channels: int, where: str) -> NoReturn:
    """Find what is wrong with nested lists and say where."""
    for frame, pose in enumerate(frames):
        if type(pose) is not list or len(pose) != joints:
            found = f"{len(pose)} joints" if type(pose) is list else kind(pose)
            raise RawFormatError(f"{where}, frame {frame}: {found}, expected {joints}.")
        for joint, point in enumerate(pose):
            if type(point) is not list or len(point) != channels:
                found = f"{len(point)} numbers" if type(point) is list else kind(point)
                raise RawFormatError(f"{where}, frame {frame}, joint {joint}: {found}, expected {channels} numbers.")
            for number in point:
                if type(number) not in (int, float, type(None)):
                    raise RawFormatError(f"{where}, frame {frame}, joint {joint}: {kind(number)}, expected a number.")
    raise RawFormatError(f"{where}: not an array of {joints} joints.")


@cache
def _quick() -> Callable[[bytes], Any] | None:
    """The quick parser, where the extra `fast` is installed."""
    try:
        import orjson
    except ImportError:
        return None
    return orjson.loads


def _quickly(data: bytes) -> dict[str, Any] | list[Any] | None:
    """The object or list, where the quick parser takes the text and no object in it repeats a key; else None."""
    quick = _quick()
    if quick is None:
        return None
    try:
        found = quick(data)
    except ValueError:  # or a text beyond its own bounds; the other parser knows, and says what is wrong
        return None
    # A pair has one colon at least, and of two of the same key only one is left.
    return found if isinstance(found, (dict, list)) and _has_pairs(found, data.count(b":")) else None


def _has_pairs(found: dict[str, Any] | list[Any], wanted: int) -> bool:
    """Whether an object, with all objects within it, holds as many pairs, and no value that was rounded."""
    count = 0
    waiting: list[Any] = [found]
    while waiting and count < wanted:
        one = waiting.pop()
        if isinstance(one, dict):
            if any(type(value) is float and abs(value) >= _WIDE for value in one.values()):
                return False  # perhaps an integer of more than 64 bits, which the quick parser rounds
            count += len(one)
            waiting += one.values()
        elif isinstance(one, list) and one and type(one[0]) not in _NUMBERS and not _PLAIN.issuperset(map(type, one)):
            waiting += one  # an object behind a number is missed, and then so is its pair: the slow parser decides
    return count == wanted


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys differ."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object repeats a key")
    return found


def _no_constant(name: str) -> NoReturn:
    """Refuse what Python takes beyond the standard."""
    raise ValueError(f"{name} is no JSON value; a missing number is null")
