"""Distances between all joints of a pose, and a pose from its distances.

Distances say nothing of where a person stands, which way they face, and of left against right-handed space. So a pose
that is made of them stands in a frame of its own: the first hip and the second lie on x as far from the origin as each
other, the neck stands above in the plane of x and y, and z is the third axis of a right-handed frame. Whether z points
forward or backward the distances do not tell; one side is chosen for a whole clip.

Source: classical multidimensional scaling, Torgerson, Psychometrika 17, 1952.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

_STEP = 2.0**-20  # of the grid that coordinates are rounded to, so that the distances of a pose give the same pose
_FLAT = 1e-3  # share of the largest distance below which hips or neck give no frame
_DIMENSIONS = 3


@dataclass(frozen=True)
class Anchors:
    """The joints that fix the frame of a pose; places on the joint axis."""

    first: int  # the hip at negative x
    second: int  # the hip at positive x
    above: int  # at positive y, z = 0
    forward: tuple[int, ...]  # joints that lie before the plane of hips and neck on the whole, such as knees and nose


def distances(keypoints: Float32[np.ndarray, "poses joints 3"]) -> Float64[np.ndarray, "poses pairs"]:
    """Distances between all joints, the upper triangle of the matrix row by row.

    Args:
        keypoints: Any coordinates; NaN where missing.

    Returns:
        Same unit; NaN where one of the two joints is missing.
    """
    first, second = np.triu_indices(keypoints.shape[1], 1)
    wide = keypoints.astype(np.float64)
    found: np.ndarray = np.sqrt(((wide[:, first] - wide[:, second]) ** 2).sum(axis=2))
    return found


def coordinates(
    pairs: Float64[np.ndarray, "poses pairs"], joints: int, anchors: Anchors
) -> Float32[np.ndarray, "poses joints 3"]:
    """Poses whose distances are those given, as nearly as three dimensions allow.

    Args:
        pairs: Finite distances of each pose as `distances` orders them, or NaN throughout.
        joints: Of a pose.
        anchors: What fixes the frame.

    Returns:
        Coordinates in the unit of the distances, on a grid of 2^-20 of it. NaN throughout where the distances are, or
        where hips and neck lie on one line.
    """
    found = np.full((len(pairs), joints, _DIMENSIONS), np.nan)
    there = ~np.isnan(pairs).any(axis=1)
    placed = _placed(_scaled(pairs[there], joints), anchors)
    whole = ~np.isnan(placed).any(axis=(1, 2))
    found[np.flatnonzero(there)[whole]] = _one_side(placed[whole], anchors)
    return (np.round(found / _STEP) * _STEP + 0.0).astype(np.float32)  # + 0.0: there is no negative zero


def _scaled(pairs: np.ndarray, joints: int) -> Float64[np.ndarray, "poses joints 3"]:
    """Classical scaling: the best three dimensions of the centred squared distances."""
    squares = np.zeros((len(pairs), joints, joints))
    first, second = np.triu_indices(joints, 1)
    squares[:, first, second] = squares[:, second, first] = pairs**2
    inner = squares - squares.mean(axis=1, keepdims=True) - squares.mean(axis=2, keepdims=True)
    inner += squares.mean(axis=(1, 2), keepdims=True)
    values, vectors = np.linalg.eigh(-inner / 2)
    roots = np.sqrt(np.maximum(values[:, -_DIMENSIONS:], 0))
    found: np.ndarray = vectors[:, :, -_DIMENSIONS:] * roots[:, None]
    return found


def _placed(points: np.ndarray, anchors: Anchors) -> Float64[np.ndarray, "poses joints 3"]:
    """Poses in the frame of their hips and neck; NaN where these lie on one line."""
    first, second = points[:, anchors.first], points[:, anchors.second]
    points = points - ((first + second) / 2)[:, None]
    size = np.sqrt((points**2).sum(axis=2)).max(axis=1, initial=0.0)
    x = _unit(second - first, size)
    above = points[:, anchors.above]
    y = _unit(above - (above * x).sum(axis=1, keepdims=True) * x, size)
    found = np.stack([(points * axis[:, None]).sum(axis=2) for axis in (x, y, np.cross(x, y))], axis=2)
    found[:, (anchors.first, anchors.second), 1:] = 0.0 * found[:, (anchors.first, anchors.second), 1:]
    found[:, anchors.above, 2] *= 0.0  # by the choice of the axes, but for rounding
    return found


def _unit(vector: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Directions; NaN where a vector is short against the size of its pose."""
    length = np.sqrt((vector**2).sum(axis=1))
    usable = length > _FLAT * size
    return vector / np.where(usable, length, np.nan)[:, None]


def _one_side(points: np.ndarray, anchors: Anchors) -> np.ndarray:
    """The z of a clip's poses with one sign: as each pose resembles the one before, and knees and nose lie before."""
    if not len(points):
        return points
    z = points[..., 2]
    alike = np.where((z[1:] * z[:-1]).sum(axis=1) < 0, -1.0, 1.0)
    sign = np.cumprod(np.concatenate([[1.0], alike]))
    z = z * sign[:, None]
    if z[:, list(anchors.forward)].sum() < 0:
        z = -z
    return np.concatenate([points[..., :2], z[..., None]], axis=2)
