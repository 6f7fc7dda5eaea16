"""What CTR-GCN's cleaning asks of the poses of a body: how much they move, and which are too wide for a person."""

from collections.abc import Callable
from functools import cache

import numpy as np
from jaxtyping import Bool, Float32

WIDE = 0.8  # of the height
_SPACE = 3  # channels, as the compiled functions take them


def motion(values: Float32[np.ndarray, "poses joints channels"]) -> np.float32:
    """Variances of the channels over all joints and poses, added up.

    Args:
        values: Poses of one body, at least one.

    Returns:
        The same to the bit as `np.var(points, axis=0).sum()`, which adds one point after the other.
    """
    fast = _fast()
    if fast is not None and values.shape[2] == _SPACE:
        return np.float32(fast[0](values))
    points = np.ascontiguousarray(values.reshape(-1, values.shape[2]).T)
    with np.errstate(over="ignore", invalid="ignore"):
        points -= np.cumsum(points, axis=1)[:, -1:] / points.shape[1]
        np.square(points, out=points)
        return np.float32((np.cumsum(points, axis=1)[:, -1] / points.shape[1]).sum())


def narrow(keypoints: Float32[np.ndarray, "poses joints channels"]) -> Bool[np.ndarray, " poses"]:
    """Which poses measure in x at most 0.8 times what they measure in y; none of which a joint is missing."""
    fast = _fast()
    if fast is not None:
        return fast[1](keypoints)
    joints = np.ascontiguousarray(keypoints[..., :2].transpose(1, 0, 2))  # poses side by side: many times as fast
    size = joints.max(0) - joints.min(0)
    fits: np.ndarray = size[:, 0] <= WIDE * size[:, 1]
    return fits


@cache
def _fast() -> tuple[Callable[[np.ndarray], np.float32], Callable[[np.ndarray], np.ndarray]] | None:
    """The compiled functions, where the extra `fast` is installed."""
    try:
        from skelbench.prepare import motion_fast
    except ImportError:
        return None
    return motion_fast.motion, motion_fast.narrow
