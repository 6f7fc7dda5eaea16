"""Clips with exactly one pose in every frame, of a person without an id: what many sets with one performer hold."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float32

from skelbench.raw import RawItem
from skelbench.sample import MetaValue, Sample, TargetValue


def sample(
    item: RawItem,
    keypoints: Float32[np.ndarray, "frames joints channels"],
    targets: Mapping[str, TargetValue],
    *,
    meta: Mapping[str, MetaValue] | None = None,
    score: Float32[np.ndarray, "frames joints"] | None = None,
) -> Sample:
    """Make a sample of one pose a frame.

    Args:
        item: Its name, and its columns unless `meta` has them.
        keypoints: The pose of each frame, in the card's unit; NaN = missing.
        targets: Its labels.
        meta: Its columns, where the file knows more than the name.
        score: The detector's confidence of every joint, where there is one.

    Returns:
        The sample, without segments.
    """
    return Sample(
        sample_id=item.sample_id,
        n_frames=len(keypoints),
        frame=np.arange(len(keypoints), dtype=np.uint32),
        person=np.full(len(keypoints), -1, np.int64),
        keypoints=keypoints,
        score=score,
        targets=targets,
        segments=(),
        meta=item.meta if meta is None else meta,
    )


def check(found: Sample) -> None:
    """Refuse to write what has no pose in a frame, or several: files with a row a frame cannot say it.

    Raises:
        ValueError: If a frame has no pose or several.
    """
    if not np.array_equal(found.frame, np.arange(found.n_frames)):
        raise ValueError(f"{found.sample_id}: a clip of this set has one pose in every frame.")
