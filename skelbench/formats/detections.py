"""What a pose detector wrote, whoever it was: poses in the order of their frames, and numbers without surprises."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64, UInt32

from skelbench.errors import RawFormatError
from skelbench.formats.strict_json import kind
from skelbench.raw import RawItem
from skelbench.sample import MetaValue, Sample, Segment, TargetValue

MOST_FRAMES = 2_000_000  # of one video: 18 hours at 30 frames a second; more is a broken number
_IDS = range(-(2**63), 2**63)
_NUMBERS = frozenset({int, float, type(None)})


@dataclass(frozen=True, eq=False)
class Detections:
    """The poses of one video. A pose is one detection in one frame."""

    n_frames: int  # frames of the video as far as the file tells, those without a detection included
    frame: UInt32[np.ndarray, " poses"]  # ascending, from 0
    person: Int64[np.ndarray, " poses"]  # the detector's tracking id; -1 where it gives none
    keypoints: Float32[np.ndarray, "poses joints channels"]  # NaN = missing
    score: Float32[np.ndarray, "poses joints"]  # confidence; NaN = not given


def numbers(
    rows: Sequence[Any], count: int, name: str, place: Callable[[int], str]
) -> Float32[np.ndarray, "rows count"]:
    """Turn lists of numbers into an array.

    Args:
        rows: Lists of `count` numbers each; `null` is a missing number.
        count: Numbers that each must have.
        name: What the lists are called, for messages.
        place: File, frame and so on of a row, for messages.

    Returns:
        `np.float32(float(text))` of every number; NaN where it is missing.

    Raises:
        RawFormatError: If a list has another length or is none, or a value is no number that float32 can hold.
    """
    # Types are checked in bulk: NumPy alone would take true for 1 and "3" for 3.
    regular = set(map(type, rows)) <= {list} and set(map(len, rows)) <= {count}
    flat = list(chain.from_iterable(rows)) if regular else []
    if not regular or not _NUMBERS.issuperset(map(type, flat)):
        raise _strange(rows, count, name, place)
    try:
        values = np.array(flat, np.float64).reshape(len(rows), count)
    except OverflowError as error:
        raise RawFormatError(f"{place(0)}: '{name}' holds an integer of more than 300 digits.") from error
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float32)
    for row, column in np.argwhere(np.isinf(rounded)).tolist():
        raise RawFormatError(
            f"{place(row)}: '{name}' holds {values[row, column]:g}, expected finite numbers that float32 can hold."
        )
    return rounded


def split(
    points: Float32[np.ndarray, "poses numbers"], channels: int
) -> tuple[Float32[np.ndarray, "poses joints channels"], Float32[np.ndarray, "poses joints"]]:
    """Part rows of `x, y, confidence, x, y, confidence, ...` into coordinates and confidence.

    A joint of confidence 0 that lies at 0 was not found: that is how these detectors write it.

    Returns:
        Coordinates, NaN where a joint was not found, and the confidence, 0 there.
    """
    parts = points.reshape(len(points), points.shape[1] // (channels + 1), channels + 1)
    keypoints, score = parts[..., :channels].copy(), parts[..., channels].copy()
    keypoints[(score == 0) & (keypoints == 0).all(-1)] = np.nan
    return keypoints, score


def joined(
    keypoints: Float32[np.ndarray, "poses joints channels"], score: Float32[np.ndarray, "poses joints"]
) -> Float32[np.ndarray, "poses numbers"]:
    """Put coordinates and confidence side by side again; the inverse of `split`.

    Raises:
        ValueError: If a joint of confidence 0 lies at 0, which would read back as one that was not found.
    """
    keypoints = keypoints.copy()
    if ((score == 0) & (keypoints == 0).all(-1)).any():
        raise ValueError("a joint at 0 of confidence 0 cannot be told from one that was not found")
    keypoints[(score == 0) & np.isnan(keypoints).all(-1)] = 0
    count = score.shape[1] * (keypoints.shape[2] + 1)
    return np.concatenate([keypoints, score[..., None]], axis=-1).reshape(len(keypoints), count)


def plain(values: Float32[np.ndarray, "*axes"]) -> Any:
    """Numbers as nested lists that JSON writes in nine digits, which name every float32; NaN is None.

    Raises:
        ValueError: If a value is infinite, which JSON cannot say.
    """
    if np.isinf(values).any():
        raise ValueError("an infinite number cannot be written as JSON")
    flat = [None if value != value else float(f"{value:.9g}") for value in values.ravel().tolist()]
    return np.array(flat, object).reshape(values.shape).tolist()


def dumps(found: object) -> bytes:
    """An object as JSON in ASCII, without NaN."""
    return json.dumps(found, allow_nan=False).encode("ascii")


def field_of(rows: Sequence[Any], name: str, place: Callable[[int], str]) -> list[Any]:
    """One value of each object.

    Raises:
        RawFormatError: If one is no object, or lacks the key.
    """
    try:
        if set(map(type, rows)) <= {dict}:
            return [row[name] for row in rows]
    except KeyError:
        pass
    row = next(at for at, one in enumerate(rows) if type(one) is not dict or name not in one)
    found = f"the keys {', '.join(sorted(rows[row])[:8])}" if isinstance(rows[row], dict) else kind(rows[row])
    raise RawFormatError(f"{place(row)}: {found or 'no key'}, expected an object with '{name}'.")


def ids(rows: Iterable[Any], place: Callable[[int], str]) -> Int64[np.ndarray, " poses"]:
    """Tracking ids as the detectors write them: a whole number, a list of one, or nothing (-1).

    Raises:
        RawFormatError: If an id is something else, or of more than 64 bits.
    """
    found = []
    for at, value in enumerate(rows):
        one = value[0] if isinstance(value, list) and len(value) == 1 else value
        if one is None or one == []:
            one = -1
        elif type(one) is float and one.is_integer():
            one = int(one)
        if type(one) is not int or one not in _IDS:
            raise RawFormatError(f"{place(at)}: a tracking id is {str(value)[:40]}, expected a whole number.")
        found.append(one)
    return np.array(found, np.int64)


def in_frames(
    frame: Sequence[int] | np.ndarray,
    person: Int64[np.ndarray, " poses"],
    keypoints: Float32[np.ndarray, "poses joints channels"],
    score: Float32[np.ndarray, "poses joints"],
    *,
    n_frames: int,
    where: str,
) -> Detections:
    """Put detections in the order of their frames; within a frame the file's order stays.

    Raises:
        RawFormatError: If a frame is not within the video, or the video longer than any.
    """
    if not 0 <= n_frames <= MOST_FRAMES:
        raise RawFormatError(f"{where}: {n_frames} frames, expected at most {MOST_FRAMES}.")
    wrong = [one for one in (frame if isinstance(frame, list) else []) if not 0 <= one < n_frames]
    if wrong:
        raise RawFormatError(f"{where}: a detection is in frame {wrong[0]}, expected 0 to {n_frames - 1}.")
    numbered = np.asarray(frame, np.int64)
    order = np.argsort(numbered, kind="stable")
    return Detections(
        n_frames=n_frames,
        frame=numbered[order].astype(np.uint32),
        person=person[order],
        keypoints=keypoints[order],
        score=score[order],
    )


def sample(
    item: RawItem,
    found: Detections,
    targets: Mapping[str, TargetValue],
    *,
    segments: tuple[Segment, ...] = (),
    meta: Mapping[str, MetaValue] | None = None,
) -> Sample:
    """Make a sample of what a detector found.

    Args:
        item: Its name, and its columns unless `meta` has them.
        found: Its poses.
        targets: Its labels.
        segments: Of an untrimmed video.
        meta: Its columns, where more is known than the item's.

    Returns:
        The sample.
    """
    return Sample(
        sample_id=item.sample_id,
        n_frames=found.n_frames,
        frame=found.frame,
        person=found.person,
        keypoints=found.keypoints,
        score=found.score,
        targets=targets,
        segments=segments,
        meta=item.meta if meta is None else meta,
    )


def _strange(rows: Sequence[Any], count: int, name: str, place: Callable[[int], str]) -> RawFormatError:
    """What is wrong with lists of numbers, of which one is, and where."""
    listed = (type(row) is list and len(row) == count and _NUMBERS.issuperset(map(type, row)) for row in rows)
    at, row = next((at, row) for (at, row), good in zip(enumerate(rows), listed, strict=True) if not good)
    if type(row) is not list or len(row) != count:
        found = f"{len(row)} numbers" if type(row) is list else kind(row)
        return RawFormatError(f"{place(at)}: '{name}' is {found}, expected {count} numbers.")
    value = next(value for value in row if type(value) not in _NUMBERS)
    return RawFormatError(f"{place(at)}: '{name}' holds {kind(value)}, expected numbers.")
