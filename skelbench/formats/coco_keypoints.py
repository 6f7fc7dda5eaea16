"""Keypoint results in COCO's form: one list of detections, each with its image, joints and score.

AlphaPose writes the same with names of images instead of numbers, see `alphapose`.
"""

from collections.abc import Callable, Sequence
from typing import Any

from skelbench.errors import RawFormatError
from skelbench.formats import strict_json
from skelbench.formats.detections import (
    MOST_FRAMES,
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

_PLANE = 2  # channels
_TRACKS = ("track_id", "idx")  # under what the trackers write who it is


def parse(data: bytes, joints: int, where: str, *, first: int = 0, n_frames: int | None = None) -> Detections:
    """Read the results of one video, whose images are numbered.

    Args:
        data: The file.
        joints: Joints that each detection must have.
        where: Name of the file, for messages.
        first: `image_id` of the first frame.
        n_frames: Frames of the video; None for up to the last one with a detection.

    Returns:
        Channels u, v. `person` is `track_id` or `idx` where the file has it. The score of a whole detection is not
        kept, that of each joint is.

    Raises:
        RawFormatError: If the file is not what the format says, naming the detection.
    """
    return parse_results(data, joints, where, lambda image: _number(image, first), n_frames)


def render(found: Detections, *, first: int = 0) -> bytes:
    """Write results, the inverse of `parse`.

    Raises:
        ValueError: If the file cannot say what the arrays hold.
    """
    return render_results(found, lambda frame: frame + first, "track_id")


def parse_results(
    data: bytes, joints: int, where: str, number: Callable[[Any], int | None], n_frames: int | None
) -> Detections:
    """The same for any naming of images; `number` says which frame an `image_id` is, or None."""
    found = strict_json.parse(data, where)
    if not isinstance(found, list):
        raise RawFormatError(f"{where}: holds {strict_json.kind(found)}, expected a list of detections.")

    def place(at: int) -> str:
        """Name a detection for people."""
        return f"{where}, detection {at}" if found else where

    frame = _frames(field_of(found, "image_id", place), number, place)
    points = numbers(field_of(found, "keypoints", place), (_PLANE + 1) * joints, "keypoints", place)
    track = next((name for name in _TRACKS if found and name in found[0]), "")
    person = ids((one.get(track) for one in found), place)
    count = max(frame, default=-1) + 1 if n_frames is None else n_frames
    return in_frames(frame, person, *split(points, _PLANE), n_frames=count, where=where)


def render_results(found: Detections, image: Callable[[int], int | str], track: str) -> bytes:
    """The inverse of `parse_results`."""
    rows = plain(joined(found.keypoints, found.score))
    known = bool((found.person >= 0).any())
    return dumps([
        {"image_id": image(at), "category_id": 1, "keypoints": row, "score": 1.0}
        | ({track: person} if known else {})
        for at, person, row in zip(found.frame.tolist(), found.person.tolist(), rows, strict=True)
    ])  # fmt: skip


def _frames(images: Sequence[Any], number: Callable[[Any], int | None], place: Callable[[int], str]) -> list[int]:
    """The frame of every detection."""
    frames = []
    for at, image in enumerate(images):
        frame = number(image)
        if frame is None or not 0 <= frame < MOST_FRAMES:
            raise RawFormatError(f"{place(at)}: 'image_id' is {str(image)[:40]!r}, expected the number of a frame.")
        frames.append(frame)
    return frames


def _number(image: Any, first: int) -> int | None:
    """The frame of an image by its number."""
    return image - first if type(image) is int else None
