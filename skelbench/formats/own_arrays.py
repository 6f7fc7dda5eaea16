"""Arrays and detections of a stranger: NPY, NPZ, nested JSON, and what pose detectors write."""

from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np

from skelbench.card import Card
from skelbench.errors import RawFormatError
from skelbench.formats import alphapose, coco_keypoints, mmpose, numpy_files, openpose, strict_json
from skelbench.formats.detections import Detections
from skelbench.formats.own import Clip, Options, fields_error, text_of

_NUMBERS = frozenset({int, float, type(None)})
_AXES = {"N": "samples", "M": "persons", "T": "frames", "V": "joints", "C": "channels", "D": "joints x channels"}


def clips(data: bytes, name: str, card: Card, options: Options, where: str) -> dict[str, Clip]:
    """The clips of a file of arrays.

    Args:
        data: NPY, NPZ or JSON.
        name: The file's name; its ending tells which.
        card: Joints and channels.
        options: Axes and keys.
        where: Name of the file, for messages.

    Returns:
        By id; by an empty text where the file is one clip. Fields are what else the file holds: one value, or one
        a sample where the axes have N.

    Raises:
        RawFormatError: If the file is not what its ending says, no array fits, or samples have no id.
    """
    if name.lower().endswith(".json"):
        return _json(data, card, options, where)
    if name.lower().endswith(".npy"):
        return _arrays({"": numpy_files.npy(data, where)}, card, options, where)
    return _arrays(numpy_files.npz(data, where), card, options, where)


def detected(form: str, data: bytes, card: Card, options: Options, where: str) -> Clip:
    """The clip of a detector's file, in pixels.

    Args:
        form: `alphapose`, `mmpose` or `coco`.
        data: The file.
        card: Joints; its channels are u and v (of MMPose x, y, z too) and it says what a score is.
        options: The number of the first frame.
        where: Name of the file, for messages.

    Returns:
        Its poses.

    Raises:
        RawFormatError: If the file is not what the format says.
    """
    joints, first = len(card.layout.joints), options.first_frame
    if form == "mmpose":
        return _found(mmpose.parse(data, joints, len(card.channels), where), card)
    parse = alphapose.parse if form == "alphapose" else coco_keypoints.parse
    return _found(parse(data, joints, where, first=first), card)


def frames_of_openpose(files: Mapping[int, tuple[bytes, str]], card: Card, options: Options) -> Clip:
    """The clip of OpenPose's files, one a frame; raises like `openpose.parse`."""
    return _found(openpose.parse(files, len(card.layout.joints), first=options.first_frame), card)


def _found(found: Detections, card: Card) -> Clip:
    """Detections as a clip; the confidence is kept where the card says what it means."""
    score = found.score if card.score else None
    return Clip(found.keypoints, found.frame.astype(np.int64), found.person, score, found.n_frames)


def _json(data: bytes, card: Card, options: Options, where: str) -> dict[str, Clip]:
    """Nested lists: alone, under a key of an object, or of each object of a list."""
    found = strict_json.parse(data, where)
    records = _records(found)
    if records is None:
        return _arrays(_values(found, options, where), card, options, where)
    clips = {}
    for place, record in enumerate(records):
        here = f"{where}, entry {place}"
        values = _values(record, options, here)
        name = text_of(values.get(options.id, np.array(""))) if options.id else ""
        if not name or name in clips or values[options.id].size > 1:
            found_id = f"'{name[:40]}' twice" if name in clips else "no id of one value"
            raise RawFormatError(f"{here}: {found_id} under '{options.id}' (options.id), expected one of its own.")
        (clip,) = _arrays(values, card, options, here).values()
        clips[name] = clip
    return clips


def _records(found: object) -> list[Any] | None:
    """The objects of a list, or of an object's only list of objects; None where there are none."""
    lists = [found] if isinstance(found, list) else list(found.values()) if isinstance(found, dict) else []
    listed = [one for one in lists if isinstance(one, list) and one and set(map(type, one)) == {dict}]
    return listed[0] if len(listed) == 1 else None


def _values(found: object, options: Options, where: str) -> dict[str, np.ndarray]:
    """The values of an object by key; numbers nested as deep as the axes are arrays."""
    depth = len(options.axes)
    table = found if isinstance(found, dict) else {"": found}
    values = {}
    for key, value in table.items():
        if isinstance(value, list):
            array = _nested(value, depth)
            if array is not None:
                values[key] = array
            elif key == options.array:
                raise RawFormatError(f"{where}: '{key}' is not {depth} regular lists of numbers within each other.")
            elif not any(isinstance(one, (list, dict)) for one in value):
                values[key] = np.array([text_of(one) for one in value], np.str_)
        elif not isinstance(value, dict):
            values[key] = np.array(text_of(value) if not isinstance(value, (int, float)) else value)
    return values


def _nested(value: list[Any], depth: int) -> np.ndarray | None:
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


def _arrays(values: Mapping[str, np.ndarray], card: Card, options: Options, where: str) -> dict[str, Clip]:
    """The clips of named arrays."""
    key = _key(values, options, where)
    poses = _ordered(values[key], card, options, where)
    rest = {name: value for name, value in values.items() if name != key}
    if "N" not in options.axes:
        fields = {name: value.reshape(-1)[0] for name, value in rest.items() if value.size == 1}
        fields |= {name: value for name, value in rest.items() if value.ndim == 1 and value.size > 1}
        return {"": _clip(poses[0], options, fields, cut=False)}
    each = {name: value for name, value in rest.items() if value.ndim >= 1 and len(value) == len(poses)}
    ids = each.get(options.id) if options.id else None
    if options.id and ids is None:
        raise RawFormatError(f"{where}: no array '{options.id}' of {len(poses)} ids; found {fields_error(values)}.")
    names = [f"{place:06d}" for place in range(len(poses))] if ids is None else [text_of(one) for one in ids]
    if len(set(names)) < len(names) or "" in names:
        raise RawFormatError(f"{where}: the ids under '{options.id}' are not all there and different.")
    return {
        name: _clip(poses[place], options, {one: value[place] for one, value in each.items()}, cut=True)
        for place, name in enumerate(names)
    }


def _key(values: Mapping[str, np.ndarray], options: Options, where: str) -> str:
    """The key of the poses."""
    if options.array:
        if options.array not in values:
            raise RawFormatError(f"{where}: no array '{options.array}' (options.array); found {fields_error(values)}.")
        return options.array
    fitting = [name for name, value in values.items() if value.ndim == len(options.axes) and value.dtype.kind in "fiu"]
    if len(fitting) != 1:
        shapes = ", ".join(f"{name or 'one'} {value.shape}" for name, value in list(values.items())[:6]) or "none"
        raise RawFormatError(
            f"{where}: {len(fitting)} arrays of the {len(options.axes)} axes '{options.axes}' (options.axes), expected "
            f"one, or its key in options.array; found {shapes}."
        )
    return fitting[0]


def _ordered(array: np.ndarray, card: Card, options: Options, where: str) -> np.ndarray:
    """An array brought to samples x persons x frames x joints x channels, as float32."""
    axes, joints, channels = options.axes, len(card.layout.joints), len(card.channels)
    sizes = {"V": joints, "C": channels, "D": joints * channels}
    if array.ndim != len(axes) or array.dtype.kind not in "fiu":
        raise RawFormatError(f"{where}: {array.dtype} of {array.ndim} axes, expected numbers of '{axes}'.")
    for axis, size in zip(axes, array.shape, strict=True):
        wanted = sizes.get(axis, max(size, 1))
        if axis == "C" and size == channels + 1 and card.score:
            continue
        if size != wanted:
            raise RawFormatError(
                f"{where}: an array of {array.shape}, but '{axis}' of the axes '{axes}' is {_AXES[axis]}, {wanted}."
            )
    if "D" in axes:
        place = axes.index("D")
        array = array.reshape(*array.shape[:place], joints, channels, *array.shape[place + 1 :])
        axes = axes.replace("D", "VC")
    for axis in "NM":
        if axis not in axes:
            array, axes = array[None], axis + axes
    with np.errstate(over="ignore", invalid="ignore"):  # infinities are refused later; NaN may have any bits
        return np.asarray(array.transpose([axes.index(axis) for axis in "NMTVC"]), np.float32)


def _clip(poses: np.ndarray, options: Options, fields: Mapping[str, object], *, cut: bool) -> Clip:
    """One clip; who is missing altogether has no pose, and padding at the end is cut."""
    persons, frames, joints, _ = poses.shape
    score = None
    if options.score:
        poses, score = poses[..., :-1], poses[..., -1]
    if options.missing == "zero":
        poses = np.where((poses == 0).all(axis=-1, keepdims=True), np.float32(np.nan), poses)
    there = ~np.isnan(poses).all(axis=(2, 3)).T  # frames x persons
    if cut and there.any():
        frames = int(np.flatnonzero(there.any(axis=1))[-1]) + 1
        there = there[:frames]
    frame, person = np.nonzero(there)
    return Clip(
        keypoints=poses[person, frame],
        frame=frame,
        person=person if persons > 1 else np.full(len(frame), -1),
        score=None if score is None else score[person, frame].reshape(len(frame), joints),
        n_frames=frames,
        fields=fields,
    )
