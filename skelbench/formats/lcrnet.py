"""LCR-Net's JSON: one file a video, for each frame a list of detections with 2-D and 3-D joints side by side."""

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt32

from skelbench.errors import RawFormatError
from skelbench.formats import strict_json
from skelbench.formats.detections import Detections, dumps, field_of, in_frames, numbers, plain

_PLANE, _SPACE = 2, 3  # channels
_EXTRA = 3  # numbers that some re-processed copies append to the 3-D joints


def parse(data: bytes, joints: int, where: str) -> Detections:
    """Read a file.

    Args:
        data: The file.
        joints: Joints that each detection must have.
        where: Name of the file, for messages.

    Returns:
        Channels u, v, x, y, z; x, y, z are NaN where a detection has no 3-D joints. The score is the detection's
        `cumscore` at each of its joints, NaN where it has none. No detection has an identity.

    Raises:
        RawFormatError: If the file is not what the format says, naming frame and detection.
    """
    found = strict_json.load(data, where)
    if found.get("njts", joints) != joints:
        raise RawFormatError(f"{where}: 'njts' is {str(found['njts'])[:40]}, expected {joints}.")
    frames = strict_json.field(found, "frames", list, where)
    if not frames:
        raise RawFormatError(f"{where}: holds no frame, expected one at least.")
    if not set(map(type, frames)) <= {list}:
        at = next(at for at, one in enumerate(frames) if type(one) is not list)
        raise RawFormatError(f"{where}, frame {at}: {strict_json.kind(frames[at])}, expected a list of detections.")
    frame = np.repeat(np.arange(len(frames)), list(map(len, frames)))
    detections = list(chain.from_iterable(frames))

    def place(at: int) -> str:
        """Name a detection for people."""
        return f"{where}, frame {frame[at]}, detection {at - int(np.searchsorted(frame, frame[at]))}"

    plane = numbers(field_of(detections, "pose2d", place), _PLANE * joints, "pose2d", place)
    space = _space(detections, joints, place)
    keypoints = np.concatenate([_channels(plane, joints), _channels(space, joints)], axis=2)
    given = numbers([[one.get("cumscore")] for one in detections], 1, "cumscore", place)
    return in_frames(
        frame,
        np.full(len(frame), -1, np.int64),
        keypoints,
        np.repeat(given, joints, axis=1),
        n_frames=len(frames),
        where=where,
    )


def render(
    n_frames: int,
    frame: UInt32[np.ndarray, " poses"],
    keypoints: Float32[np.ndarray, "poses joints channels"],
    score: Float32[np.ndarray, "poses joints"],
) -> bytes:
    """Write a file, the inverse of `parse`.

    Args:
        n_frames: Frames of the video.
        frame: Of each pose, ascending.
        keypoints: Channels u, v, x, y, z.
        score: The same at all joints of a pose.

    Returns:
        The file; a missing number is `null`, and so is a missing `cumscore`.

    Raises:
        ValueError: If the file cannot say what the arrays hold.
    """
    same = (score == score[:, :1]) | (np.isnan(score) & np.isnan(score[:, :1]))
    if not same.all() or (np.diff(frame.astype(np.int64)) < 0).any():
        raise ValueError("a detection has one score, and detections stand in the order of their frames")
    joints = keypoints.shape[1]
    rows = plain(keypoints.transpose(0, 2, 1).reshape(len(frame), (_PLANE + _SPACE) * joints))
    frames: list[list[dict[str, Any]]] = [[] for _ in range(n_frames)]
    for at, row, given in zip(frame.tolist(), rows, plain(score[:, 0]), strict=True):
        frames[at].append({"pose2d": row[: 2 * joints], "pose3d": row[2 * joints :], "cumscore": given})
    return dumps({"njts": joints, "frames": frames})


def _space(
    detections: Sequence[dict[str, Any]], joints: int, place: Callable[[int], str]
) -> Float32[np.ndarray, "poses numbers"]:
    """The 3-D joints of all detections; NaN for those that have none."""
    wanted = _SPACE * joints
    rows = [one.get("pose3d") for one in detections]
    missing: list[float | None] = [None] * wanted
    # extra numbers at the end are cut off, before anything is said of the length
    longer = wanted + _EXTRA
    cut = [
        missing if row is None or row == [] else row[:wanted] if type(row) is list and len(row) == longer else row
        for row in rows
    ]
    return numbers(cut, wanted, "pose3d", place)


def _channels(rows: Float32[np.ndarray, "poses numbers"], joints: int) -> Float32[np.ndarray, "poses joints channels"]:
    """All x, then all y and so on, as one row a joint."""
    return np.ascontiguousarray(rows.reshape(len(rows), rows.shape[1] // joints, joints).transpose(0, 2, 1))
