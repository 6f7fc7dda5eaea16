"""Untrimmed videos: who does what from when to when, and one file of poses a video by some detector.

The annotation is the JSON of the detection papers: `{video: {"subset", "duration", "actions": [[class, start, end]]}}`.
"""

import json
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeGuard

import numpy as np

from skelbench.card import Card
from skelbench.errors import RawFormatError
from skelbench.formats import alphapose, coco_keypoints, lcrnet, mmpose, names, numpy_files, strict_json
from skelbench.formats.detections import Detections
from skelbench.raw import RawSource
from skelbench.sample import Segment

Number: TypeAlias = int | float
Action: TypeAlias = tuple[int, Number, Number]  # class, start, end, as they stand in the file
SUBSETS = ("training", "testing")
PLANE = 2  # channels of arrays of poses
# LCR-Net's thirteen in the order of COCO's seventeen, whose nose stands for the head
COCO = (16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 0)
_COCO_JOINTS = 17
_LARGEST = 256 << 20  # bytes of an annotation; packed ones are not read beyond
_MOST = 1e9  # a start or end, frames or seconds


@dataclass(frozen=True)
class Video:
    """What is said of one video."""

    subset: str
    duration: Number
    actions: tuple[Action, ...]


def annotations(data: bytes, classes: int, where: str) -> Mapping[str, Video]:
    """Read the actions of all videos.

    Args:
        data: The file, packed by gzip or not.
        classes: How many there are.
        where: Name of the file, for messages.

    Returns:
        What is said of each video.

    Raises:
        RawFormatError: If the file is not what the format says, naming the video.
    """
    found = {}
    for name, entry in strict_json.load(unpacked(data, where), where).items():
        here = f"{where}, video {name[:40]!r}"
        if not isinstance(entry, dict):
            raise RawFormatError(f"{here}: {strict_json.kind(entry)}, expected an object.")
        subset, duration = strict_json.field(entry, "subset", str, here), entry.get("duration")
        if subset not in SUBSETS or not _is_number(duration):
            raise RawFormatError(
                f"{here}: 'subset' is {subset[:40]!r}, 'duration' {str(duration)[:40]}, expected one of "
                f"{', '.join(SUBSETS)}, and a number."
            )
        actions = []
        for action in strict_json.field(entry, "actions", list, here):
            right = type(action) is list and len(action) == 3 and all(map(_is_number, action))
            if not right or type(action[0]) is not int or not 0 <= action[0] < classes:
                raise RawFormatError(
                    f"{here}: the action {str(action)[:60]}, expected [class, start, end] with a class below {classes}."
                )
            actions.append((action[0], action[1], action[2]))
        found[name] = Video(subset, duration, tuple(actions))
    return found


def render_annotations(videos: Mapping[str, Video]) -> bytes:
    """Write what `annotations` reads."""
    said = {
        name: {"subset": one.subset, "duration": one.duration, "actions": [list(action) for action in one.actions]}
        for name, one in videos.items()
    }
    return json.dumps(said, allow_nan=False).encode("ascii")


def unpacked(data: bytes, where: str) -> bytes:
    """The content of a file that may be packed by gzip.

    Raises:
        RawFormatError: If it is damaged, or larger than any annotation.
    """
    if not data.startswith(b"\x1f\x8b"):
        return data
    reader = zlib.decompressobj(wbits=31)
    try:
        found = reader.decompress(data, _LARGEST)
    except zlib.error as error:
        raise RawFormatError(f"{where}: damaged gzip: {error}.") from error
    if not reader.eof:
        raise RawFormatError(f"{where}: a cut gzip, or one of more than {_LARGEST >> 20} MB.")
    return found


def segments(
    actions: Iterable[Action], ends: Callable[[Number, Number], tuple[int, int]], n_frames: int
) -> tuple[tuple[Segment, ...], int]:
    """The actions of a video in frames, within the video.

    Args:
        actions: Class, start, end.
        ends: Gives the first frame of an action and the one after its last.
        n_frames: Frames of the video.

    Returns:
        Segments in the order of the file, and how many actions last no frame of the video.
    """
    found, left_out = list[Segment](), 0
    for label, *said in actions:
        start, end = (min(max(one, 0), n_frames) for one in ends(said[0], said[1]))
        if start < end:
            found.append((start, end, label))
        else:
            left_out += 1
    return tuple(found), left_out


def labels(found: Sequence[Segment] | None, classes: int) -> tuple[int, ...]:
    """Which classes occur; all unknown where nothing was annotated."""
    if found is None:
        return (-1,) * classes
    shown = {label for _, _, label in found}
    return tuple(int(label in shown) for label in range(classes))


def poses(raw: RawSource, path: str, card: Card) -> Detections:
    """Read one video's file of poses.

    Args:
        raw: The source.
        path: A JSON file in the form that `options.poses` names, or an array of frames x joints x 2, `.npy` or `.npz`.
        card: Joints, channels, and the form.

    Returns:
        The detections.

    Raises:
        RawFormatError: If the file is not what the form says.
    """
    where, joints = raw.where(path), len(card.layout.joints)
    if names.file_name(path).lower().endswith((".npz", ".npy")):
        return _array(raw.read(path), path, card, where)
    return _READERS[card.options["poses"]](raw.read(path), joints, where)


def render_poses(found: Detections, card: Card) -> bytes:
    """Write what `poses` reads from JSON.

    Raises:
        ValueError: If the form cannot say what the arrays hold.
    """
    return _WRITERS[card.options["poses"]](found)


def _array(data: bytes, path: str, card: Card, where: str) -> Detections:
    """One pose a frame, pixels; a joint at (0, 0) was not found; COCO's joints may be asked for as LCR-Net's."""
    joints, channels = len(card.layout.joints), len(card.channels)
    arrays = {"": numpy_files.npy(data, where)} if path.lower().endswith(".npy") else numpy_files.npz(data, where)
    points = arrays.get("kpts", next(iter(arrays.values()), None))
    known = {joints, _COCO_JOINTS} if joints == len(COCO) else {joints}
    if points is None or points.ndim != 3 or points.dtype.kind != "f" or points.shape[1] not in known:
        shape = "missing" if points is None else f"{points.dtype} {points.shape}"
        raise RawFormatError(f"{where}: an array {shape}, expected numbers of frames x {max(known)} x {PLANE}.")
    if not len(points) or points.shape[2] != PLANE or channels < PLANE:
        raise RawFormatError(f"{where}: an array {points.shape}, expected frames x {max(known)} x {PLANE}.")
    with np.errstate(over="ignore"):
        chosen = (points if points.shape[1] == joints else points[:, COCO]).astype(np.float32)
    if np.isinf(chosen).any():
        raise RawFormatError(f"{where}: an infinite coordinate, expected pixels.")
    chosen[(chosen == 0).all(-1)] = np.nan
    seen = np.flatnonzero(~np.isnan(chosen).all((1, 2)))
    keypoints = np.full((len(seen), joints, channels), np.nan, np.float32)
    keypoints[..., :PLANE] = chosen[seen]
    score = np.full(keypoints.shape[:2], np.nan, np.float32)
    return Detections(len(points), seen.astype(np.uint32), np.full(len(seen), -1, np.int64), keypoints, score)


def _is_number(value: object) -> TypeGuard[Number]:
    """Whether a value of JSON is a number of sensible size."""
    return (type(value) is int or isinstance(value, float)) and abs(value) < _MOST


_READERS: Mapping[str, Callable[[bytes, int, str], Detections]] = {
    "lcrnet": lcrnet.parse,
    "mmpose": lambda data, joints, where: mmpose.parse(data, joints, PLANE, where),
    "alphapose": alphapose.parse,
    "coco": coco_keypoints.parse,
}
_WRITERS: Mapping[str, Callable[[Detections], bytes]] = {
    "lcrnet": lambda found: lcrnet.render(found.n_frames, found.frame, found.keypoints, found.score),
    "mmpose": mmpose.render,
    "alphapose": alphapose.render,
    "coco": coco_keypoints.render,
}
