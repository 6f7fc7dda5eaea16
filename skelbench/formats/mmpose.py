"""MMPose's JSON: what its demos and its inferencer save of a video, one entry a frame with its instances."""

from itertools import chain
from typing import Any

import numpy as np

from skelbench.errors import RawFormatError
from skelbench.formats import strict_json
from skelbench.formats.detections import MOST_FRAMES, Detections, dumps, field_of, ids, in_frames, numbers, plain


def parse(data: bytes, joints: int, channels: int, where: str) -> Detections:
    """Read a file.

    Args:
        data: The file: an object with `instance_info` (the demos), or that list alone (the inferencer).
        joints: Joints that each instance must have.
        channels: Numbers of each joint: 2, or 3 after lifting.
        where: Name of the file, for messages.

    Returns:
        Frames are counted from the first entry's `frame_id`, which is 0 or 1. `person` is `track_id` where the file
        has it.

    Raises:
        RawFormatError: If the file is not what the format says, naming frame and instance.
    """
    found = strict_json.parse(data, where)
    if isinstance(found, dict):
        found = strict_json.field(found, "instance_info", list, where)
    if not isinstance(found, list) or not found:
        raise RawFormatError(f"{where}: {strict_json.kind(found)} without entries, expected one a frame.")
    numbered = _frame_numbers(found, where)
    lists = field_of(found, "instances", lambda at: f"{where}, entry {at}")
    if not set(map(type, lists)) <= {list}:
        raise RawFormatError(f"{where}: 'instances' is not always a list, expected one a frame.")
    people = list(chain.from_iterable(lists))
    frame = np.repeat(np.array(numbered, np.int64), list(map(len, lists)))

    def place(at: int) -> str:
        """Name an instance for people."""
        return (
            f"{where}, frame {frame[at]}, instance {at - int(np.searchsorted(frame, frame[at]))}" if people else where
        )

    listed = field_of(people, "keypoints", place)
    points = numbers([_flat(one, channels) for one in listed], joints * channels, "keypoints", place)
    score = numbers(field_of(people, "keypoint_scores", place), joints, "keypoint_scores", place)
    return in_frames(
        frame,
        ids((one.get("track_id") for one in people), place),
        points.reshape(-1, joints, channels),
        score,
        n_frames=numbered[-1] + 1,
        where=where,
    )


def render(found: Detections) -> bytes:
    """Write a file as the demos do, the inverse of `parse`.

    Raises:
        ValueError: If the file cannot say what the arrays hold.
    """
    people: list[list[dict[str, Any]]] = [[] for _ in range(found.n_frames)]
    known = bool((found.person >= 0).any())
    rows = zip(found.frame.tolist(), found.person.tolist(), plain(found.keypoints), plain(found.score), strict=True)
    for at, person, points, score in rows:
        one = {"keypoints": points, "keypoint_scores": score}
        people[at].append(one | ({"track_id": person} if known else {}))
    entries = [{"frame_id": at + 1, "instances": there} for at, there in enumerate(people)]
    return dumps({"meta_info": {}, "instance_info": entries})


def _flat(points: Any, channels: int) -> Any:
    """A list of points as one list of numbers, where it is one; what it is instead is said later."""
    if type(points) is list and set(map(type, points)) <= {list} and set(map(len, points)) <= {channels}:
        return list(chain.from_iterable(points))
    return points


def _frame_numbers(entries: list[Any], where: str) -> list[int]:
    """The frame of every entry, counted from 0."""
    found = field_of(entries, "frame_id", lambda at: f"{where}, entry {at}")
    first = 1 if found[0] == 1 and type(found[0]) is int else 0
    last = first - 1
    for at, number in enumerate(found):
        if type(number) is not int or not last < number <= MOST_FRAMES:
            raise RawFormatError(
                f"{where}, entry {at}: 'frame_id' is {str(number)[:40]}, expected {last + 1} or more, ascending."
            )
        last = number
    return [number - first for number in found]
