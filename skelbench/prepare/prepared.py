"""One sample as persons × frames, and the steps that make it from poses."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt32

from skelbench.errors import RunError
from skelbench.sample import MetaValue, Sample

_LARGEST = 1 << 30  # coordinates of one sample (4 GB): more is a broken frame count or broken identities


@dataclass(frozen=True, eq=False)
class Prepared:
    """One sample, its poses grouped. Persons, frames or both may be none."""

    keypoints: Float32[np.ndarray, "persons frames joints channels"]  # NaN = missing
    score: Float32[np.ndarray, "persons frames joints"] | None  # the detector's confidence; NaN = none given
    frame: Int64[np.ndarray, " frames"]  # frame of the recording, ascending
    meta: Mapping[str, MetaValue]  # what the store says of the sample

    @property
    def known(self) -> Bool[np.ndarray, "persons frames joints"]:
        """Which joints are there: true where no channel is missing."""
        missing = np.isnan(self.keypoints)
        axes = [missing[..., axis] for axis in range(missing.shape[3])]  # eight times as fast as any(-1)
        known: np.ndarray = ~np.logical_or.reduce(axes)
        return known

    @property
    def seen(self) -> Bool[np.ndarray, " persons"]:
        """Which persons show a joint in any frame."""
        if self.keypoints.shape[1] and not np.isnan(self.keypoints[:, 0]).any():  # as it mostly is
            return np.ones(len(self.keypoints), bool)
        return np.asarray(self.known.any((1, 2)))


def by_id(sample: Sample) -> Prepared:
    """Make a person of every id of the source, in order of first appearance; keep all frames.

    Where a frame holds one id twice, its first pose goes on with the person and the second becomes (or goes on
    with) another: no pose is dropped. Poses without an id follow the same rule among themselves, so that they go
    by their position in the frame.

    Raises:
        RunError: If persons × frames would not fit into memory.
    """
    _, identity = np.unique(sample.person, return_inverse=True)
    nth = nth_in_frame(sample.frame, identity)
    return _group(sample, identity * (int(nth.max(initial=0)) + 1) + nth)


def by_position(sample: Sample) -> Prepared:
    """Make a person of every position in a frame, whatever the source's ids say; keep all frames.

    Raises:
        RunError: If persons × frames would not fit into memory.

    Source: the readers of ST-GCN (Yan et al., AAAI 2018) and 2s-AGCN (Shi et al., CVPR 2019).
    """
    return _group(sample, nth_in_frame(sample.frame, np.zeros(sample.frame.shape, np.int64)))


def nth_in_frame(
    frame: UInt32[np.ndarray, " poses"], identity: Int64[np.ndarray, " poses"]
) -> Int64[np.ndarray, " poses"]:
    """Count the poses of the same frame and identity that stand before each.

    Args:
        frame: Of each pose.
        identity: Of each pose, any numbers.

    Returns:
        0 for the first of its frame and identity in file order, 1 for the second, and so on.
    """
    order = np.lexsort((identity, frame))
    changes = np.ones(len(order), bool)
    changes[1:] = (np.diff(frame[order]) != 0) | (np.diff(identity[order]) != 0)
    place = np.arange(len(order))
    nth = np.empty(len(order), np.int64)
    nth[order] = place - np.maximum.accumulate(np.where(changes, place, 0))
    return nth


def _group(sample: Sample, person: np.ndarray) -> Prepared:
    """Put every pose at its person and frame; persons in the order in which frames first show them."""
    order = np.argsort(sample.frame, kind="stable")
    _, first, person = np.unique(person[order], return_index=True, return_inverse=True)
    place = np.empty(len(first), np.int64)
    place[np.argsort(first)] = np.arange(len(first))
    shape = (len(first), sample.n_frames, *sample.keypoints.shape[1:])
    if np.prod(shape, dtype=float) > _LARGEST:
        raise RunError(
            f"{sample.sample_id}: {shape[0]} persons × {shape[1]} frames do not fit into memory. "
            "Leave the sample out, or correct its ids or frames in the raw data."
        )
    where = place[person], sample.frame[order]
    keypoints = np.full(shape, np.nan, np.float32)
    keypoints[where] = sample.keypoints[order]
    score = None
    if sample.score is not None:
        score = np.full(shape[:3], np.nan, np.float32)
        score[where] = sample.score[order]
    return Prepared(keypoints, score, np.arange(sample.n_frames), sample.meta)
