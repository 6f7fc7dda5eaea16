"""What was recorded: one sample, its poses in file order."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float32, Int64, UInt32

TargetValue: TypeAlias = int | float | tuple[int, ...]
MetaValue: TypeAlias = str | int | float
Segment: TypeAlias = tuple[int, int, int]  # start, end (half open), label


@dataclass(frozen=True, eq=False)
class Sample:
    """One recorded clip or untrimmed sequence. A pose is one person in one frame."""

    sample_id: str  # the owner's name, without folder and extension
    n_frames: int  # frames recorded, those without a pose included
    frame: UInt32[np.ndarray, " poses"]  # frame of each pose, 0 <= frame < n_frames
    person: Int64[np.ndarray, " poses"]  # the source's own id; -1 where it has none
    keypoints: Float32[np.ndarray, "poses joints channels"]  # in the card's units; NaN = missing
    score: Float32[np.ndarray, "poses joints"] | None  # the detector's confidence; NaN = not given
    targets: Mapping[str, TargetValue]  # by target name, such as {"label": 3}
    segments: tuple[Segment, ...]  # untrimmed sets only
    meta: Mapping[str, MetaValue]  # subject, camera, take, ...: columns of samples.parquet


def same(one: Sample, other: Sample) -> bool:
    """Whether two samples hold the same recording, bit for bit but for the payload of NaN.

    Args:
        one: A sample.
        other: Another.

    Returns:
        True when all fields agree; NaN equals NaN, and -0.0 differs from 0.0.
    """
    if (one.score is None) != (other.score is None):
        return False
    arrays = [(one.frame, other.frame), (one.person, other.person), (one.keypoints, other.keypoints)]
    if one.score is not None and other.score is not None:
        arrays.append((one.score, other.score))
    return (
        one.sample_id == other.sample_id
        and one.n_frames == other.n_frames
        and dict(one.targets) == dict(other.targets)
        and tuple(one.segments) == tuple(other.segments)
        and dict(one.meta) == dict(other.meta)
        and all(_same_array(left, right) for left, right in arrays)
    )


def _same_array(left: np.ndarray, right: np.ndarray) -> bool:
    """Equal dtype, shape and bits, any NaN equal to any other."""
    if left.dtype != right.dtype or left.shape != right.shape:
        return False
    if left.dtype.kind != "f":
        return bool(np.array_equal(left, right))
    missing = np.isnan(left)
    return bool(
        np.array_equal(missing, np.isnan(right))
        and np.array_equal(left[~missing], right[~missing])
        and np.array_equal(np.signbit(left[~missing]), np.signbit(right[~missing]))
    )
