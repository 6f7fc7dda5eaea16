"""OpenPose's JSON: one file a frame, as the program writes it, or one file a clip, as Kinetics-Skeleton has it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt32

from skelbench.errors import RawFormatError
from skelbench.formats import strict_json
from skelbench.formats.detections import (
    Detections,
    dumps,
    field_of,
    ids,
    in_frames,
    joined,
    numbers,
    plain,
    split,
)

FILE = re.compile(r"(?P<clip>.*?)_?(?P<frame>\d{1,12})_keypoints\.json", re.ASCII | re.DOTALL)
_PLANE = 2  # channels


@dataclass(frozen=True, eq=False)
class Clip:
    """A clip of Kinetics-Skeleton."""

    detections: Detections  # channels u, v: shares of the image's width and height
    label: str  # name of the class
    index: int  # and its number


def parse(files: Mapping[int, tuple[bytes, str]], joints: int, *, first: int = 0) -> Detections:
    """Read the files of one video.

    Args:
        files: For each frame by number its file and how to name it in messages.
        joints: Joints that each person must have.
        first: Number of the first frame.

    Returns:
        Channels u, v. A frame whose file is missing has no pose; `person` is the program's `person_id`.

    Raises:
        RawFormatError: If a file is not what the format says, naming it and the person, or there is none.
    """
    if not files:
        raise RawFormatError("A video without a file, expected one for each frame.")
    people: list[Any] = []
    frame: list[int] = []
    wheres: list[str] = []
    for number in sorted(files):
        data, where = files[number]
        found = strict_json.field(strict_json.load(data, where), "people", list, where)
        people += found
        frame += [number - first] * len(found)
        wheres += [f"{where}, person {at}" for at in range(len(found))]
    name = "pose_keypoints" if people and isinstance(people[0], dict) and "pose_keypoints" in people[0] else _KEY
    some = files[min(files)][1]
    points = numbers(
        field_of(people, name, wheres.__getitem__), (_PLANE + 1) * joints, name, lambda at: [*wheres, some][at]
    )
    given = ids((one.get("person_id") for one in people), wheres.__getitem__)
    return in_frames(frame, given, *split(points, _PLANE), n_frames=max(files) - first + 1, where=some)


def render(found: Detections, *, first: int = 0) -> dict[int, bytes]:
    """Write the files of one video by frame number, the inverse of `parse`.

    Raises:
        ValueError: If the files cannot say what the arrays hold.
    """
    rows = plain(joined(found.keypoints, found.score))
    people: list[list[dict[str, Any]]] = [[] for _ in range(found.n_frames)]
    for at, person, row in zip(found.frame.tolist(), found.person.tolist(), rows, strict=True):
        people[at].append({"person_id": [person], _KEY: row})
    return {at + first: dumps({"version": 1.3, "people": there}) for at, there in enumerate(people)}


def parse_kinetics(data: bytes, joints: int, where: str, *, most: int) -> Clip:
    """Read a clip of Kinetics-Skeleton.

    Args:
        data: The file.
        joints: Joints that each person must have.
        where: Name of the file, for messages.
        most: Frames that a clip may have.

    Returns:
        The clip; its frames are counted from 0, the file's from 1. Frames that the file leaves out have no pose.

    Raises:
        RawFormatError: If the file is not what the format says, naming frame and person.
    """
    found = strict_json.load(data, where)
    frames = strict_json.field(found, "data", list, where)
    numbered = _frame_numbers(frames, most, where)
    lists = field_of(frames, "skeleton", lambda at: f"{where}, entry {at}")
    for at, one in enumerate(lists):
        if type(one) is not list:
            raise RawFormatError(f"{where}, frame {numbered[at]}: 'skeleton' is {strict_json.kind(one)}.")
    people = list(chain.from_iterable(lists))
    frame = np.repeat(np.array(numbered, np.int64), list(map(len, lists)))

    def place(at: int) -> str:
        """Name a person for people."""
        return f"{where}, frame {frame[at]}, person {at - int(np.searchsorted(frame, frame[at]))}" if people else where

    coordinates = numbers(field_of(people, "pose", place), _PLANE * joints, "pose", place)
    score = numbers(field_of(people, "score", place), joints, "score", place)
    points = np.concatenate([coordinates.reshape(len(people), joints, _PLANE), score[..., None]], axis=2)
    detections = in_frames(
        frame - 1,
        np.full(len(people), -1, np.int64),
        *split(points.reshape(len(people), (_PLANE + 1) * joints), _PLANE),
        n_frames=numbered[-1] if numbered else 0,
        where=where,
    )
    label = strict_json.field(found, "label", str, where)
    return Clip(detections, label, strict_json.field(found, "label_index", int, where))


def render_kinetics(
    n_frames: int,
    frame: UInt32[np.ndarray, " poses"],
    keypoints: Float32[np.ndarray, "poses joints channels"],
    score: Float32[np.ndarray, "poses joints"],
    label: tuple[str, int],
) -> bytes:
    """Write a clip of Kinetics-Skeleton, the inverse of `parse_kinetics`.

    Args:
        n_frames: Frames of the clip.
        frame: Of each pose, ascending.
        keypoints: Channels u, v.
        score: Confidence.
        label: Name and number of the class.

    Returns:
        The file.

    Raises:
        ValueError: If the file cannot say what the arrays hold.
    """
    joints = score.shape[1]
    points = joined(keypoints, score).reshape(len(frame), joints, _PLANE + 1)
    poses, scores = plain(points[..., :_PLANE].reshape(len(frame), _PLANE * joints)), plain(points[..., _PLANE])
    people: list[list[dict[str, Any]]] = [[] for _ in range(n_frames)]
    for at, pose, given in zip(frame.tolist(), poses, scores, strict=True):
        people[at].append({"pose": pose, "score": given})
    data = [{"frame_index": at + 1, "skeleton": there} for at, there in enumerate(people)]
    return dumps({"data": data, "label": label[0], "label_index": label[1]})


_KEY = "pose_keypoints_2d"  # older versions: pose_keypoints


def _frame_numbers(frames: Sequence[Any], most: int, where: str) -> list[int]:
    """The `frame_index` of every entry: whole, from 1, ascending."""
    found = field_of(frames, "frame_index", lambda at: f"{where}, entry {at}")
    last = 0
    for at, number in enumerate(found):
        if type(number) is not int or not last < number <= most:
            raise RawFormatError(
                f"{where}, entry {at}: 'frame_index' is {str(number)[:40]}, expected {last + 1} to {most}, ascending."
            )
        last = number
    return found
