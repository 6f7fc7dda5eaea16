"""Arrays and detections of a stranger: NPY, NPZ, nested JSON, and what pose detectors write."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from skelbench.card import Card
from skelbench.errors import RawFormatError
from skelbench.formats import alphapose, coco_keypoints, mmpose, numpy_files, openpose, own_json, strict_json
from skelbench.formats.detections import Detections
from skelbench.formats.own import Clip, Options, fields_error, text_of


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
    records = _records(found) if options.id else None
    if records is None:
        return _arrays(_values(found, card, options, where), card, options, where)
    clips = {}
    for place, record in enumerate(records):
        here = f"{where}, entry {place}"
        values = _values(record, card, options, here)
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


def _values(found: object, card: Card, options: Options, where: str) -> dict[str, np.ndarray]:
    """The values of an object by key; numbers nested as deep as the axes are arrays, and so is what `array` names."""
    depth = len(options.axes)
    table = found if isinstance(found, dict) else {"": found}
    values = {}
    for key, value in table.items():
        if isinstance(value, list) and key != options.array:
            array = own_json.nested(value, depth - (key == options.score))
            if array is not None:
                values[key] = array
            elif not any(isinstance(one, (list, dict)) for one in value):
                values[key] = np.array([text_of(one) for one in value], np.str_)
        elif not isinstance(value, dict):
            values[key] = np.array(text_of(value) if not isinstance(value, (int, float)) else value)
    if options.array:
        values[options.array] = own_json.gather(found, card, options, where)
    if "." in options.frame_label:
        values[options.frame_label] = np.array(list(map(text_of, own_json.labels(found, options, where))), np.str_)
    return values


def _arrays(values: Mapping[str, np.ndarray], card: Card, options: Options, where: str) -> dict[str, Clip]:
    """The clips of named arrays."""
    key = _key(values, options, where)
    poses = _ordered(_scored(values, key, card, options, where), card, options, where)
    rest = {name: value for name, value in values.items() if name not in (key, options.score)}
    if "N" not in options.axes:
        fields = {name: value.reshape(-1)[0] for name, value in rest.items() if value.size == 1}
        fields |= {name: tuple(value.tolist()) for name, value in rest.items() if value.ndim == 1 and value.size > 1}
        shown = np.atleast_1d(rest[options.frame_label]) if options.frame_label in rest else None
        return {"": _shown(_clip(poses[0], card, options, fields, cut=False), shown, options, where)}
    each = {name: value for name, value in rest.items() if value.ndim >= 1 and len(value) == len(poses)}
    ids = each.get(options.id) if options.id else None
    if options.id and ids is None:
        raise RawFormatError(f"{where}: no array '{options.id}' of {len(poses)} ids; found {fields_error(values)}.")
    names = [f"{place:06d}" for place in range(len(poses))] if ids is None else [text_of(one) for one in ids]
    if len(set(names)) < len(names) or "" in names:
        raise RawFormatError(f"{where}: the ids under '{options.id}' are not all there and different.")
    found = {}
    for place, name in enumerate(names):
        clip = _clip(poses[place], card, options, {one: value[place] for one, value in each.items()}, cut=True)
        shown = each[options.frame_label][place][: clip.n_frames] if options.frame_label in each else None
        found[name] = _shown(clip, shown, options, where)
    return found


def _shown(clip: Clip, shown: np.ndarray | None, options: Options, where: str) -> Clip:
    """A clip with the labels of its frames."""
    if not options.frame_label:
        return clip
    if shown is None or len(shown) != clip.n_frames:
        held = "there is none" if shown is None else f"it has {len(shown)}"
        raise RawFormatError(
            f"{where}: '{options.frame_label}' (options.frame_label) must have a label for each of the "
            f"{clip.n_frames} frames; {held}."
        )
    return replace(clip, labelled=(np.arange(clip.n_frames), tuple(shown.tolist())))


def _scored(values: Mapping[str, np.ndarray], key: str, card: Card, options: Options, where: str) -> np.ndarray:
    """The poses, the confidence behind the channels where another array holds it."""
    poses = values[key]
    if not options.score:
        return poses
    alone = poses.ndim != len(options.axes) or poses.shape[options.axes.find("C")] <= len(card.channels)
    if options.score not in values and alone and "C" in options.axes:
        raise RawFormatError(
            f"{where}: no array '{options.score}' (options.score), and no channel behind those of the card; found "
            f"{fields_error(values)}."
        )
    if options.score not in values or "C" not in options.axes:
        return poses
    score, place = values[options.score], options.axes.index("C")
    if poses.ndim != len(options.axes) or score.shape != poses.shape[:place] + poses.shape[place + 1 :]:
        raise RawFormatError(
            f"{where}: '{options.score}' (options.score) is {score.shape}, expected that of '{key}', {poses.shape}, "
            f"without its axis of channels ({options.axes})."
        )
    return np.concatenate([poses, np.expand_dims(score, place)], axis=place)


def _key(values: Mapping[str, np.ndarray], options: Options, where: str) -> str:
    """The key of the poses."""
    if options.array:
        if options.array not in values:
            raise RawFormatError(f"{where}: no array '{options.array}' (options.array); found {fields_error(values)}.")
        return options.array
    fitting = [
        name
        for name, value in values.items()
        if value.ndim == len(options.axes) and value.dtype.kind in "fiu" and (not name or name != options.score)
    ]
    if len(fitting) != 1:
        shapes = ", ".join(f"{name or 'one'} {value.shape}" for name, value in list(values.items())[:6]) or "none"
        raise RawFormatError(
            f"{where}: {len(fitting)} arrays of the {len(options.axes)} axes '{options.axes}' (options.axes), expected "
            f'one, or its key in options.array (of objects within lists the keys, such as "frames.landmarks"); '
            f"found {shapes}."
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
            score = " If the last channel is a confidence, say in the card's key 'score' what it means."
            hint = score if axis == "C" and size == channels + 1 else ""
            raise RawFormatError(
                f"{where}: an array of {array.shape}, but '{axis}' of the axes '{axes}' is {own_json.AXES[axis]}, "
                f"{wanted} by the card.{hint}"
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


def _clip(poses: np.ndarray, card: Card, options: Options, fields: Mapping[str, object], *, cut: bool) -> Clip:
    """One clip; who is missing altogether has no pose, padding at the end is cut, a channel too many is a score."""
    persons, frames, joints, _ = poses.shape
    score = None
    if poses.shape[-1] > len(card.channels):
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
