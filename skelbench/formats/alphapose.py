"""AlphaPose's JSON: results in COCO's form whose images are named, such as `17.jpg` or `frame_000017.png`."""

import re
from typing import Any

from skelbench.formats.coco_keypoints import parse_results, render_results
from skelbench.formats.detections import Detections

_IMAGE = re.compile(r".*?(\d{1,9})(?:\.[A-Za-z]{1,5})?", re.ASCII | re.DOTALL)


def parse(data: bytes, joints: int, where: str, *, first: int = 0, n_frames: int | None = None) -> Detections:
    """Read the results of one video.

    Args:
        data: The file.
        joints: Joints that each detection must have.
        where: Name of the file, for messages.
        first: Number in the name of the first frame.
        n_frames: Frames of the video; None for up to the last one with a detection.

    Returns:
        Channels u, v. `person` is the tracker's `idx` where the file has it.

    Raises:
        RawFormatError: If the file is not what the format says, naming the detection.
    """
    return parse_results(data, joints, where, lambda image: _number(image, first), n_frames)


def render(found: Detections, *, first: int = 0) -> bytes:
    """Write results, the inverse of `parse`.

    Raises:
        ValueError: If the file cannot say what the arrays hold.
    """
    return render_results(found, lambda frame: f"{frame + first}.jpg", "idx")


def _number(image: Any, first: int) -> int | None:
    """The frame of an image: the last digits of its name."""
    match = _IMAGE.fullmatch(image) if isinstance(image, str) and len(image) <= 255 else None
    return int(match[1]) - first if match else None
