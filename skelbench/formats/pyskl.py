"""The annotation pickle of PYSKL and MMAction2: `{"split": {name: [id, ...]}, "annotations": [dict, ...]}`.

A dict holds `frame_dir` (the id; `filename` in older files), `total_frames`, `label`, `keypoint` (persons, frames,
joints, channels), and for 2-D poses `keypoint_score` (persons, frames, joints), `img_shape` and `original_shape`
(height first). A person who is not in a frame is zeros there.

Source: kennymckormick/pyskl, tools/data/README.md and pyskl/datasets/pose_dataset.py.
"""

import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64, UInt32

from skelbench.errors import RawFormatError
from skelbench.formats import plain_pickle, plain_pickle_out
from skelbench.sample import Sample

_FRAMES = 1 << 20  # ten hours; an array without persons could claim any number


@dataclass(frozen=True)
class Annotations:
    """What a file holds, its clips not looked into."""

    parts: Mapping[str, tuple[str, ...]]  # ids by the name of a split
    entries: tuple[tuple[str, Mapping[str, Any]], ...]  # an id and what stands under it, in file order
    by_name: Mapping[str, Mapping[str, Any]]  # the same; of two with one id the first
    strange: tuple[tuple[int, str], ...] = ()  # places of entries without an id, and what is wrong with them


@dataclass(frozen=True)
class Clip:
    """One clip: its poses by frame, and in a frame by person."""

    n_frames: int
    label: int  # -1 where there is none
    size: tuple[int, int]  # width and height of the image; zeros where they are not told
    frame: UInt32[np.ndarray, " poses"]
    person: Int64[np.ndarray, " poses"]  # place on the axis of persons
    keypoints: Float32[np.ndarray, "poses joints channels"]  # NaN where coordinates and score are zero
    score: Float32[np.ndarray, "poses joints"] | None


def parse(data: bytes, where: str) -> Annotations:
    """Read a file; code in it is refused, see `plain_pickle`.

    Args:
        data: The whole file.
        where: Its name, for messages.

    Returns:
        Splits and entries; a file that is a mere list of entries has no splits.

    Raises:
        RawFormatError: If the file is no such pickle.
    """
    found = plain_pickle.load(data, where)
    entries, parts = (found, {}) if isinstance(found, list) else (None, {})
    if isinstance(found, dict):
        entries, parts = found.get("annotations"), found.get("split", {})
    if not isinstance(entries, list) or not isinstance(parts, dict):
        raise RawFormatError(
            f"{where}: holds no 'annotations' (a list) and 'split' (a dict); is it an annotation file?"
        )
    for name, ids in parts.items():
        if (
            not isinstance(name, str)
            or not isinstance(ids, (list, tuple))
            or not all(isinstance(one, str) for one in ids)
        ):
            raise RawFormatError(f"{where}: the split {_shown(name)} is no list of ids.")
    listed, strange = list[tuple[str, Mapping[str, Any]]](), list[tuple[int, str]]()
    for place, entry in enumerate(entries):
        name = (entry.get("filename") or entry.get("frame_dir")) if isinstance(entry, dict) else None
        if isinstance(name, str):
            listed.append((name, entry))
        else:
            told = f"'frame_dir' is {_shown(name)}" if name is not None else "it has no 'frame_dir'"
            strange.append((place, f"{told}, expected the id of a clip as text"))
    if strange and not listed:
        raise RawFormatError(f"{where}: annotation 0 has no 'frame_dir': {strange[0][1]}.")
    split = {name: tuple(ids) for name, ids in parts.items()}
    return Annotations(split, tuple(listed), dict(reversed(listed)), tuple(strange))


def clip(entry: Mapping[str, Any], joints: int, channels: int, where: str) -> Clip:
    """Read one entry.

    Args:
        entry: As `parse` found it.
        joints: Joints that it must have.
        channels: Coordinates that every joint must have.
        where: Name of file and clip, for messages.

    Returns:
        The clip. Persons are left out of frames in which all their numbers are zero.

    Raises:
        RawFormatError: If a key is missing, a shape contradicts another, or a value is infinite.
    """
    keypoint = _array(entry, "keypoint", 4, where)
    persons, frames = keypoint.shape[:2]
    if keypoint.shape[2:] != (joints, channels):
        raise RawFormatError(
            f"{where}: 'keypoint' is {keypoint.shape}, expected persons x frames x {joints} x {channels}."
        )
    if not 0 < frames <= _FRAMES or not persons:
        raise RawFormatError(f"{where}: {persons} persons in {frames} frames, expected one at least of each.")
    told = entry.get("total_frames", frames)
    if told != frames:
        raise RawFormatError(f"{where}: 'total_frames' is {_shown(told)}, 'keypoint' has {frames} frames.")
    score = _array(entry, "keypoint_score", 3, where) if entry.get("keypoint_score") is not None else None
    if score is not None and score.shape != keypoint.shape[:3]:
        raise RawFormatError(f"{where}: 'keypoint_score' is {score.shape}, 'keypoint' {keypoint.shape}.")
    zero = (keypoint == 0).all(axis=3) if score is None else (keypoint == 0).all(axis=3) & (score == 0)
    frame, person = np.nonzero(~zero.all(axis=2).T)
    poses = keypoint[person, frame]
    if score is not None:
        poses[zero[person, frame]] = np.nan
    return Clip(
        n_frames=frames,
        label=_label(entry, where),
        size=_size(entry, where),
        frame=frame.astype(np.uint32),
        person=person.astype(np.int64),
        keypoints=poses,
        score=None if score is None else score[person, frame],
    )


def entry(sample: Sample, *, label: int, size: tuple[int, int], half: bool) -> dict[str, object]:
    """Say a sample as one entry, the inverse of `clip` where `half` is not wanted.

    Args:
        sample: Its persons, where they are not -1, are places on the axis of persons; else their order in a frame is.
        label: -1 for none.
        size: Width and height of the image; zeros leave them out.
        half: Whether numbers are float16, as in published files: about half a pixel at 1,000.

    Returns:
        The entry; keys in the order of published files. NaN stays NaN, and is for the caller to avoid.

    Raises:
        ValueError: If two poses of a frame have one place.
    """
    place = sample.person if (sample.person >= 0).all() else places(sample)
    persons = int(place.max(initial=0)) + 1
    if len(np.unique(place * (sample.n_frames + 1) + sample.frame)) < len(place):
        raise ValueError(f"{sample.sample_id}: two poses of one frame have the same person.")
    shape = persons, sample.n_frames, *sample.keypoints.shape[1:]
    kind = np.dtype(np.float16 if half else np.float32)
    keypoint = np.zeros(shape, kind)
    keypoint[place, sample.frame] = sample.keypoints
    found: dict[str, object] = {"frame_dir": sample.sample_id, "total_frames": sample.n_frames}
    if label >= 0:
        found["label"] = label
    if all(size):
        found |= {"img_shape": (size[1], size[0]), "original_shape": (size[1], size[0])}
    found["keypoint"] = keypoint
    if sample.score is not None:
        score = np.zeros(shape[:3], kind)
        score[place, sample.frame] = sample.score
        found["keypoint_score"] = score
    return found


def places(sample: Sample) -> Int64[np.ndarray, " poses"]:
    """How many poses stand before each one in its frame."""
    order = np.argsort(sample.frame, kind="stable")
    first = np.searchsorted(sample.frame[order], sample.frame[order])
    found = np.empty(len(order), np.int64)
    found[order] = np.arange(len(order)) - first
    return found


def render(entries: Iterable[Mapping[str, object]], parts: Mapping[str, Iterable[str]]) -> bytes:
    """Write a file, the inverse of `parse`.

    Args:
        entries: As `entry` makes them.
        parts: Ids by the name of a split.

    Returns:
        The pickle, which opens with any NumPy.
    """
    file = io.BytesIO()
    split = {name: list(ids) for name, ids in parts.items()}
    plain_pickle_out.dump({"split": split, "annotations": [dict(one) for one in entries]}, file)
    return file.getvalue()


def memberships(found: Annotations, columns: Mapping[str, Iterable[str]], where: str) -> Iterator[dict[str, str]]:
    """Say for each entry which split of each column lists it.

    Args:
        found: A file.
        columns: By name of a column, the splits of which at most one may list an id.
        where: Name of the file, for messages.

    Yields:
        For each entry, in file order, the name of that split by column; empty where none lists it.

    Raises:
        RawFormatError: If two splits of one column list the same id.
    """
    tables: dict[str, dict[str, str]] = {}
    for column, names in columns.items():
        table = tables.setdefault(column, {})
        for name in names:
            for one in found.parts.get(name, ()):
                if table.setdefault(one, name) != name:
                    raise RawFormatError(f"{where}: '{one[:80]}' is in the splits '{table[one]}' and '{name}'.")
    for name, _ in found.entries:
        yield {column: table.get(name, "") for column, table in tables.items()}


def _array(entry: Mapping[str, Any], key: str, axes: int, where: str) -> Float32[np.ndarray, "..."]:
    """The numbers of a key as float32 that may be changed."""
    values = entry.get(key)
    if values is None and "raw_file" in entry:
        raise RawFormatError(
            f"{where}: '{key}' is missing: its poses stand in {_shown(entry['raw_file'])}, the form of Kinetics "
            "in PYSKL. Put them into the annotation first."
        )
    if not isinstance(values, np.ndarray) or values.ndim != axes or values.dtype.kind not in "fiu":
        found = "missing" if values is None else getattr(values, "shape", "no array")
        raise RawFormatError(f"{where}: '{key}' is {found}, expected an array of {axes} axes.")
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float32)
    for at in np.argwhere(np.isinf(rounded))[:1].tolist():
        raise RawFormatError(f"{where}, person {at[0]}, frame {at[1]}, joint {at[2]}: '{key}' is infinite.")
    return rounded


def _label(entry: Mapping[str, Any], where: str) -> int:
    """The class, -1 where there is none."""
    label = entry.get("label", -1)
    if type(label) is not int or label < -1:
        raise RawFormatError(f"{where}: 'label' is {_shown(label)}, expected one class, counted from 0.")
    return label


def _size(entry: Mapping[str, Any], where: str) -> tuple[int, int]:
    """Width and height of the image."""
    shape = entry.get("img_shape")
    shape = (0, 0) if shape is None else shape
    if (
        not isinstance(shape, (tuple, list))
        or len(shape) != 2
        or not all(type(side) is int and 0 <= side < 1 << 20 for side in shape)
    ):
        raise RawFormatError(f"{where}: 'img_shape' is {_shown(shape)}, expected height and width.")
    return shape[1], shape[0]


def _shown(value: object) -> str:
    """A value in a message: plain ones themselves, others by their type."""
    return repr(value)[:40] if isinstance(value, (int, float, str)) else f"of type {type(value).__name__}"
