"""A sample put on paper: where every joint is seen, in the image and in space, and which are missing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from skelbench.prepare.prepared import Prepared
from skelbench.skeletons import Layout

_HEADS, _FEET = ("head", "nose", "neck", "spine"), ("ankle", "foot", "toe", "knee", "hip", "waist")
_WIDE = 0.6  # share of the widest from which on the first axis is the one to the right, as for a camera in front
_MARGIN = 0.06  # of the picture's side


@dataclass(frozen=True, eq=False)
class Sight:
    """How the joints are seen: in the image, or in space."""

    spots: Float64[np.ndarray, "persons frames joints axes"]  # right, down (and away), in shares of the picture's side
    gone: Bool[np.ndarray, "persons frames joints"]  # missing; the spot is then where the joint was seen last, or next

    @property
    def there(self) -> Bool[np.ndarray, "persons frames"]:
        """Whether the person has any joint."""
        found: np.ndarray = np.asarray(~self.gone.all(-1))
        return found


@dataclass(frozen=True, eq=False)
class Scene:
    """A sample on paper."""

    name: str  # of the sample, and what was done to it
    layout: Layout
    sights: tuple[Sight, ...]  # the one that pictures show first; a set with both image and space has two
    frame: np.ndarray  # (frames,) of the recording

    @property
    def spots(self) -> Float64[np.ndarray, "persons frames joints 2"]:
        """Where pictures show the joints."""
        return self.sights[0].spots[..., :2]

    @property
    def gone(self) -> Bool[np.ndarray, "persons frames joints"]:
        """Which joints pictures show as missing."""
        return self.sights[0].gone

    @property
    def there(self) -> Bool[np.ndarray, "persons frames"]:
        """Whom pictures show."""
        return self.sights[0].there

    def place(self, frame: int) -> int:
        """Where a frame of the recording stands, or the last one before it that was kept."""
        return max(int(np.searchsorted(self.frame, frame, side="right")) - 1, 0)

    @property
    def length(self) -> int:
        """Frames of the recording up to the last one that was kept."""
        return int(self.frame[-1]) + 1 if len(self.frame) else 0


def scene(prepared: Prepared, layout: Layout, channels: Sequence[str], name: str) -> Scene:
    """Put a sample on paper: in the image plane where it has one, and in space, seen where people look tallest.

    A joint is missing in the image where u or v is, and in space where any of x y z is: a detector that gave only the
    image's coordinates is seen there, and one without them in space.

    Args:
        prepared: Persons and frames.
        layout: Their joints.
        channels: Names of the coordinates.
        name: What the picture is called.

    Returns:
        The scene, scaled so that all of it is seen.
    """
    values = prepared.keypoints.astype(np.float64)
    made = []
    for axes in ("uv", "xyz"):
        places = [channels.index(axis) for axis in axes if axis in channels]
        part = values[..., places]
        if len(places) > 1 and (~np.isnan(part).any(-1)).any():
            made.append(_sight(part if axes == "uv" else _turned(part, layout)))
    nowhere = np.full((*values.shape[:3], 2), np.nan)
    return Scene(name, layout, tuple(made) or (_sight(nowhere),), prepared.frame)


def _sight(values: np.ndarray) -> Sight:
    """Coordinates as shares of the picture's side, what is missing carried on from where it was."""
    gone: np.ndarray = np.asarray(np.isnan(values).any(-1))
    known = values[~gone]
    low, high = (known.min(0), known.max(0)) if len(known) else (np.zeros(values.shape[-1]), np.ones(values.shape[-1]))
    extent = max(float((high - low)[:2].max()), 1e-9)
    spots = (np.where(gone[..., None], np.nan, values) - (low + high) / 2) / extent * (1 - 2 * _MARGIN) + 0.5
    return Sight(_carried(spots, gone), gone)


def _turned(values: np.ndarray, layout: Layout) -> np.ndarray:
    """Coordinates in space as right, down and, where there are three, away."""
    values = np.where(np.isnan(values).any(-1, keepdims=True), np.nan, values)
    heads, feet = (
        [place for place, joint in enumerate(layout.joints) if any(word in joint.lower() for word in words)]
        for words in (_HEADS, _FEET)
    )
    up, sign = 1, 1.0
    if heads and feet:
        tall = _median(_mean(values[:, :, heads]) - _mean(values[:, :, feet]))
        up = int(np.argmax(np.abs(tall)))
        sign = float(np.sign(tall[up])) or 1.0
    others = [axis for axis in range(values.shape[-1]) if axis != up]
    wide = _median(np.ptp(np.where(np.isnan(values), _mean(values)[:, :, None], values), axis=2))
    across = next(axis for axis in others if wide[axis] >= _WIDE * max(wide[other] for other in others))
    seen = [values[..., across], -sign * values[..., up]]
    return np.stack([*seen, *(values[..., axis] for axis in others if axis != across)], -1)


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over the joints that are there; NaN where none is."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, values, 0).sum(2) / known.sum(2))


def _median(values: np.ndarray) -> np.ndarray:
    """Median over persons and frames."""
    flat = values.reshape(-1, values.shape[-1])
    known = flat[~np.isnan(flat).any(-1)]
    return np.asarray(np.median(known, 0) if len(known) else np.zeros(values.shape[-1]))


def _carried(spots: np.ndarray, gone: np.ndarray) -> np.ndarray:
    """Where each joint was seen last, or else is seen next; NaN where it never is."""
    frames = spots.shape[1]
    place = np.arange(frames)[None, :, None]
    last = np.maximum.accumulate(np.where(gone, -1, place), axis=1)
    following = np.minimum.accumulate(np.where(gone, frames, place)[:, ::-1], axis=1)[:, ::-1]
    chosen = np.where(last >= 0, last, following)
    filled = np.take_along_axis(spots, np.minimum(chosen, max(frames - 1, 0))[..., None], axis=1)
    return np.asarray(np.where((chosen < frames)[..., None], filled, np.nan))
