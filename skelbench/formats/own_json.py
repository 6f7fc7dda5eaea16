"""Nested JSON of a stranger: lists of frames, of people and of joints, that are objects on any level."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NoReturn

import numpy as np

from skelbench.card import Card
from skelbench.errors import RawFormatError
from skelbench.formats import strict_json
from skelbench.formats.own import Options, joint_names, near, normal, text_of

AXES = {"N": "samples", "M": "persons", "T": "frames", "V": "joints", "C": "channels", "D": "joints x channels"}
_NUMBERS = frozenset({int, float, type(None)})
_RAGGED = frozenset("NMT")  # axes of which not every entry has as many
_SAME = {"u": "x", "v": "y"}  # what files call the channels of an image
_MOST = 1 << 28  # numbers of one array


@dataclass(frozen=True)
class _Way:
    """What is known on the way through one file."""

    channels: tuple[str, ...]
    options: Options
    where: str
    joints: Mapping[str, int]
    people: dict[str, int] = field(default_factory=dict)  # the slot of each id, in order of first appearance


def gather(found: object, card: Card, options: Options, where: str) -> np.ndarray:
    """The poses of nested lists and objects as an array of the axes that `options.axes` names.

    Lists are axes. Objects are passed through by the keys of `options.array`, which stand between points; behind the
    last one an object is one of joints by their names, or of channels by theirs (and of the confidence, which
    `options.score` names). Entries of frames may bear their number, and those of people an id.

    Args:
        found: What the file holds, or one entry of it.
        card: Joints and channels.
        options: Keys and axes.
        where: Name of the file, for messages.

    Returns:
        Numbers, NaN where nobody or nothing is; the last axis has one more than the channels where there is a score.

    Raises:
        RawFormatError: If a key is missing, lists are deeper or less deep than the axes, or hold no numbers.
    """
    return array_of(found, card.channels, joint_names(card, options), options, where)


def array_of(
    found: object, channels: tuple[str, ...], joints: Sequence[str], options: Options, where: str
) -> np.ndarray:
    """The same where there is no card yet; raises like `gather`."""
    known = {normal(name): place for place, name in enumerate(joints)}
    keys = tuple(options.array.split(".")) if options.array else ()
    array = _gather(found, options.axes, keys, _Way(channels, options, where, known))
    if array is None:
        raise RawFormatError(f"{where}: no pose under '{options.array}' (options.array), expected one at least.")
    return array


def nested(value: list[Any], depth: int) -> np.ndarray | None:
    """Lists of lists of numbers as an array; None where they are not regular."""
    shape, level = [len(value)], value
    for _ in range(depth - 1):
        if not level or set(map(type, level)) != {list} or len(set(map(len, level))) != 1:
            return None
        shape.append(len(level[0]))
        level = list(chain.from_iterable(level))
    if not level or not _NUMBERS.issuperset(map(type, level)):
        return None
    try:
        return np.array(level, np.float64).reshape(shape)
    except OverflowError:
        return None


def labels(found: object, options: Options, where: str) -> list[object]:
    """What `options.frame_label`, keys with points between, names of each frame: through objects and one list.

    Raises:
        RawFormatError: If there is no such key or no list.
    """
    for place, key in enumerate(keys := options.frame_label.split(".")):
        if isinstance(found, list):
            rest = keys[place:]
            return [_reached(one, rest, f"{where}, entry {at}") for at, one in enumerate(found)]
        found = _reached(found, [key], where)
    if not isinstance(found, list):
        raise RawFormatError(f"{where}: '{options.frame_label}' (options.frame_label) is no list of a label a frame.")
    return found


def _reached(found: object, keys: Sequence[str], where: str) -> object:
    """A value within objects."""
    for key in keys:
        if not isinstance(found, dict) or key not in found:
            known = found if isinstance(found, dict) else {}
            raise RawFormatError(f"{where}: no key '{key}' (options.frame_label). {near(key, known)}")
        found = found[key]
    return found


def _gather(value: object, axes: str, keys: tuple[str, ...], way: _Way) -> np.ndarray | None:
    """The array of a value; None where it is empty."""
    if value is None or value == [] or value == {}:
        return None
    if isinstance(value, dict):
        if keys:
            if keys[0] not in value:
                raise RawFormatError(f"{way.where}: no key '{keys[0]}' (options.array). {near(keys[0], value)}")
            return _gather(value[keys[0]], axes, keys[1:], way)
        return _named(value, axes, way)
    if isinstance(value, list) and axes:
        whole = None if keys else nested(value, len(axes))
        return _listed(value, axes, keys, way) if whole is None else whole
    if axes or keys or isinstance(value, bool) or not isinstance(value, (int, float)):
        _refuse(value, axes, keys, way)
    return np.array(float(value))


def _refuse(value: object, axes: str, keys: tuple[str, ...], way: _Way) -> NoReturn:
    """Say what was met and what was expected."""
    wanted = f"an object with '{keys[0]}' (options.array)" if keys else "a number"
    if axes and not keys:
        wanted = f"a list of {AXES[axes[0]]}"
    raise RawFormatError(
        f'{way.where}: {strict_json.kind(value)}, {str(value)[:40]}, where options.axes = "{way.options.axes}" and '
        f'options.array = "{way.options.array}" lead to, expected {wanted}.'
    )


def _named(value: Mapping[str, Any], axes: str, way: _Way) -> np.ndarray:
    """An object whose keys are joints or channels."""
    if axes == "C":
        known = {normal(key): one for key, one in value.items()}
        names = [name if name in known else _SAME.get(name, name) for name in way.channels]
        names += [normal(way.options.score)] if way.options.score else []
        lacking = next((name for name in names if name not in known), None)
        if lacking is not None:
            raise RawFormatError(f"{way.where}: a joint has no '{lacking}'. {near(lacking, value)}")
        found = [_gather(known[name], "", (), way) for name in names]
        return np.array([np.nan if one is None else float(one) for one in found])
    if axes == "VC":
        entries = {normal(key): one for key, one in value.items()}
        if not entries.keys() & way.joints.keys():
            raise RawFormatError(
                f"{way.where}: an object with {', '.join(list(value)[:6])}, none of which is a joint (options.joints "
                "says what the files call them). Does options.array lack a key?"
            )
        poses = {way.joints[name]: _gather(one, "C", (), way) for name, one in entries.items() if name in way.joints}
        return _filled(poses, len(way.joints), "V", way)
    raise RawFormatError(
        f"{way.where}: an object with {', '.join(list(value)[:6])} where options.axes has {AXES[axes[0]]}. "
        'options.array names the keys that lead through objects, such as "frames.landmarks".'
        if axes
        else f"{way.where}: an object with {', '.join(list(value)[:6])}, expected a number."
    )


def _listed(value: Sequence[Any], axes: str, keys: tuple[str, ...], way: _Way) -> np.ndarray | None:
    """A list of objects or lists."""
    places = _places(value, axes[0], way)
    found = {}
    for place, one in zip(places, value, strict=True):
        if place in found:
            raise RawFormatError(f"{way.where}: two entries of {AXES[axes[0]]} have the number or name of one.")
        found[place] = _gather(one, axes[1:], keys, way)
    count = max(places) + 1 if axes[0] != "V" or not way.options.joint else len(way.joints)
    if all(one is None for one in found.values()):
        return None
    return _filled(found, count, axes[0], way)


def _places(value: Sequence[Any], axis: str, way: _Way) -> list[int]:
    """The place of each entry of a list: its own, or what its number, id or name says."""
    key = {"T": way.options.frame, "M": way.options.person, "V": way.options.joint}.get(axis, "")
    if not key or not all(isinstance(one, dict) and key in one for one in value):
        return list(range(len(value)))
    if axis == "M":
        return [way.people.setdefault(text_of(one[key]), len(way.people)) for one in value]
    if axis == "V":
        strange = next((one[key] for one in value if normal(one[key]) not in way.joints), None)
        if strange is not None:
            raise RawFormatError(f"{way.where}: no joint '{str(strange)[:40]}'. {near(str(strange)[:40], way.joints)}")
        return [way.joints[normal(one[key])] for one in value]
    numbers = [one[key] for one in value]
    wrong = next(
        (one for one in numbers if type(one) is not int or not 0 <= one - way.options.first_frame < _MOST), None
    )
    if wrong is not None:
        raise RawFormatError(
            f"{way.where}: '{key}' is {str(wrong)[:40]}, expected a whole number from {way.options.first_frame} on "
            "(options.frame and options.first_frame)."
        )
    return [number - way.options.first_frame for number in numbers]


def _filled(found: Mapping[int, np.ndarray | None], count: int, axis: str, way: _Way) -> np.ndarray:
    """Arrays side by side, NaN where none is; those of ragged axes are filled up."""
    there = {place: one for place, one in found.items() if one is not None}
    dimensions = {one.ndim for one in there.values()}
    if not there or len(dimensions) > 1:
        raise RawFormatError(f"{way.where}: entries of {AXES[axis]} are not alike.")
    rest = way.options.axes[way.options.axes.index(axis) + 1 :]
    shapes = np.array([one.shape for one in there.values()]).reshape(len(there), len(rest))
    for place, letter in enumerate(rest):
        if letter not in _RAGGED and len(set(shapes[:, place].tolist())) > 1:
            low, high = shapes[:, place].min(), shapes[:, place].max()
            raise RawFormatError(f"{way.where}: {low} {AXES[letter]} in one place and {high} in another.")
    shape = (count, *shapes.max(axis=0).tolist())
    if np.prod(shape, dtype=float) > _MOST:
        raise RawFormatError(f"{way.where}: {shape} numbers, more than expected. Is options.frame another key?")
    array = np.full(shape, np.nan)
    for place, one in there.items():
        part: tuple[int | slice, ...] = (place, *(slice(size) for size in one.shape))
        array[part] = one
    return array
