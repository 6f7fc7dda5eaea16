"""The steps of a prepare list after the grouping: each takes one prepared sample and returns another.

A step keeps NaN as the mark of a missing joint, leaves a sample in which nothing is seen as it is, may drop persons
and frames, and never reorders frames. To add one, write a function and name it in `STEPS`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float32

from skelbench.errors import RecipeError
from skelbench.prepare.prepared import Prepared

_FLAT = 1e-6  # a spread below this share of the coordinates is rounding, not extent


def first(prepared: Prepared, persons: int) -> Prepared:
    """Keep the first persons, in their order.

    Raises:
        RecipeError: If the number is below 1.
    """
    return _persons(prepared, np.arange(len(prepared.keypoints))[: _at_least_one(persons)])


def select_energy(prepared: Prepared, persons: int) -> Prepared:
    """Keep the persons that move most, the liveliest first; among equals the one who appeared first.

    Energy is the standard deviation of x over all joints and frames in which they are seen, plus that of y, plus
    that of z (where there is one), in the unit of the data.

    Raises:
        RecipeError: If the number is below 1.

    Source: 2s-AGCN (Shi et al., CVPR 2019), the authors' preparation of NTU RGB+D.
    """
    keep = _at_least_one(persons)
    values = prepared.keypoints.astype(np.float64)
    known = prepared.known[..., None]
    centred = values - _mean(values, known, (1, 2))
    energy = np.sqrt(_mean(centred**2, known, (1, 2))).sum((1, 2, 3))
    return _persons(prepared, np.argsort(-energy, kind="stable")[:keep])


def centre_first(prepared: Prepared, joint: int) -> Prepared:
    """Move the origin to one joint in the first frame in which the first person is seen; one shift for the sample.

    Where that frame lacks the joint, the place it is next seen at stands in; for a person who never shows it, the
    mean of the joints seen in the frame.

    Raises:
        RecipeError: If the skeleton has no such joint.

    Source: CTR-GCN (Chen et al., ICCV 2021), the authors' preparation of NTU RGB+D.
    """
    _check_joint(prepared, joint)
    start = _first_seen(prepared)
    if start is None:
        return prepared
    person, frame = start
    origin = _path(prepared.keypoints[person], joint)[frame]
    return replace(prepared, keypoints=prepared.keypoints - origin)


def centre_each(prepared: Prepared, joint: int) -> Prepared:
    """Move the origin of every frame to one joint of the first person.

    A frame in which the first person does not show the joint stays where it is, as it does in the source.

    Raises:
        RecipeError: If the skeleton has no such joint.

    Source: 2s-AGCN (Shi et al., CVPR 2019), the authors' pre-normalisation.
    """
    _check_joint(prepared, joint)
    if prepared.keypoints.size == 0:
        return prepared
    origin = prepared.keypoints[0, :, joint]
    origin = np.where(np.isnan(origin).any(-1, keepdims=True), np.float32(0), origin)
    return replace(prepared, keypoints=prepared.keypoints - origin[:, None])


def centre_path(prepared: Prepared, joint: int) -> Prepared:
    """Take every pose relative to its own joint; the joint itself carries its path from the sample's start.

    So posture and travel stay apart. The path is measured from where `centre_first` would put the origin, for all
    persons, so that two people keep their distance. Where a pose lacks the joint (which stays missing), the place
    it was last seen at stands in, before that the first one; for a person who never shows it, the mean of the
    joints seen in the frame.

    Raises:
        RecipeError: If the skeleton has no such joint.
    """
    _check_joint(prepared, joint)
    start = _first_seen(prepared)
    if start is None:
        return prepared
    paths = np.stack([_path(person, joint) for person in prepared.keypoints])
    keypoints = prepared.keypoints - paths[:, :, None]
    keypoints[:, :, joint] = prepared.keypoints[:, :, joint] - paths[start]
    return replace(prepared, keypoints=keypoints)


def screen(prepared: Prepared) -> Prepared:
    """Scale pixels by the width of the image: u to -1..1, v to ±height/width, the aspect kept.

    Raises:
        RecipeError: If the sample has no `width` and `height`, or fewer than two channels.

    Source: UNIK (Yang et al., BMVC 2021), the authors' preparation of 2-D poses.
    """
    size = [prepared.meta.get(name) for name in ("width", "height")]
    width, height = (float(side) if isinstance(side, (int, float)) and side > 0 else None for side in size)
    if width is None or height is None or prepared.keypoints.shape[3] < 2:
        raise RecipeError(
            f"Step 'screen' needs image coordinates and the columns width and height; found width={size[0]!r}, "
            f"height={size[1]!r}. Use 'box' or 'clip', which need neither."
        )
    keypoints = prepared.keypoints.copy()
    keypoints[..., :2] = keypoints[..., :2] * np.float32(2 / width) - np.array([1, height / width], np.float32)
    return replace(prepared, keypoints=keypoints)


def box(prepared: Prepared) -> Prepared:
    """Fit the joints seen in the sample into -1..1: centre of their bounding box, half of its longest side."""
    known = prepared.known
    if not known.any():
        return prepared
    seen = prepared.keypoints[known].astype(np.float64)
    low, high = seen.min(0), seen.max(0)
    return _rescaled(prepared, (low + high) / 2, float((high - low).max()) / 2)


def clip(prepared: Prepared) -> Prepared:
    """Standardise the joints seen in the sample: minus their mean, over their root mean square distance from it.

    One spread for all channels, so that the aspect is kept.
    """
    known = prepared.known
    if not known.any():
        return prepared
    seen = prepared.keypoints[known].astype(np.float64)
    centre = seen.mean(0)
    return _rescaled(prepared, centre, float(np.sqrt(((seen - centre) ** 2).sum(1).mean())))


def drop_empty(prepared: Prepared) -> Prepared:
    """Drop the frames in which nobody shows a joint."""
    keep = prepared.known.any((0, 2))
    return replace(
        prepared,
        keypoints=prepared.keypoints[:, keep],
        score=None if prepared.score is None else prepared.score[:, keep],
        frame=prepared.frame[keep],
    )


STEPS: Mapping[str, Callable[..., Prepared]] = {
    "first": first,
    "select-energy": select_energy,
    "centre-first": centre_first,
    "centre-each": centre_each,
    "centre-path": centre_path,
    "screen": screen,
    "box": box,
    "clip": clip,
    "drop-empty": drop_empty,
}


def _persons(prepared: Prepared, keep: np.ndarray) -> Prepared:
    """Some persons, in the order given."""
    score = None if prepared.score is None else prepared.score[keep]
    return replace(prepared, keypoints=prepared.keypoints[keep], score=score)


def _at_least_one(persons: int) -> int:
    """The number of persons to keep, checked."""
    if persons < 1:
        raise RecipeError(f"A step keeps {persons} persons; expected 1 or more.")
    return persons


def _check_joint(prepared: Prepared, joint: int) -> None:
    """Refuse a joint that the layout lacks."""
    joints = prepared.keypoints.shape[2]
    if not 0 <= joint < joints:
        raise RecipeError(f"A step centres on joint {joint}; the layout has the joints 0 to {joints - 1}.")


def _first_seen(prepared: Prepared) -> tuple[int, int] | None:
    """The first person who shows a joint at all, and the first frame in which it is so."""
    seen = np.asarray(prepared.known.any(2))
    persons = np.flatnonzero(seen.any(1))
    return None if persons.size == 0 else (int(persons[0]), int(seen[persons[0]].argmax()))


def _path(person: Float32[np.ndarray, "frames joints channels"], joint: int) -> np.ndarray:
    """Where one person's joint is in every frame, held over gaps: (frames, channels); NaN for one never seen."""
    path = person[:, joint]
    known = ~np.isnan(path).any(1)
    if known.all():
        return path
    if not known.any():
        seen = ~np.isnan(person).any(2, keepdims=True)
        known = seen.any((1, 2))
        path = _mean(person, seen, 1)[:, 0]
    if not known.any():
        return np.full_like(path, np.nan)
    last = np.maximum.accumulate(np.where(known, np.arange(len(path)), -1))
    held: np.ndarray = path[np.where(last < 0, known.argmax(), last)]
    return held


def _mean(values: np.ndarray, known: np.ndarray, axis: int | tuple[int, ...]) -> Any:
    """Mean of the known values, axes kept; 0 where none is known."""
    count = known.sum(axis, keepdims=True)
    return np.where(known, values, 0).sum(axis, keepdims=True) / np.maximum(count, 1).astype(values.dtype)


def _rescaled(prepared: Prepared, centre: np.ndarray, spread: float) -> Prepared:
    """Minus a centre, over a spread; a sample without extent is only shifted."""
    if spread <= _FLAT * float(np.abs(centre).max()):
        spread = 1.0
    moved = (prepared.keypoints - centre) / spread
    return replace(prepared, keypoints=moved.astype(np.float32))
