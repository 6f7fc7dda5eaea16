"""The steps of a prepare list after the grouping: each takes one prepared sample and returns another.

A step keeps NaN as the mark of a missing joint, leaves a sample in which nothing is seen as it is, may drop persons
and frames, and never reorders frames. To add one, write a function and name it in `STEPS`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal, TypeAlias

import numpy as np
from jaxtyping import Float32

from skelbench.errors import RecipeError
from skelbench.mapping import JointMapping, apply_mapping, apply_to_score
from skelbench.prepare.prepared import Prepared

_FLAT = 1e-6  # a spread below this share of the coordinates is rounding, not extent
_MOST_FRAMES = 100_000
_SPACE = 3  # channels
_TINY = 1e-6  # bones and angles below it are not turned, as in the source

Lost: TypeAlias = Literal["later", "zero"]  # a joint that is missing where it is needed: its next place, or the origin


def first(prepared: Prepared, persons: int) -> Prepared:
    """Keep the first persons, in their order.

    Raises:
        RecipeError: If the number is below 1.
    """
    return _persons(prepared, np.arange(len(prepared.keypoints))[: _at_least_one(persons)])


def select_energy(prepared: Prepared, persons: int) -> Prepared:
    """Keep the persons that move most, the liveliest first; among equals the one who appeared first.

    Energy is the standard deviation of x over all joints and frames in which they are seen, plus that of y, plus
    that of z (where there is one), in the unit of the data. Frames in which all joints of a person lie at 0 do not
    count, as in the source, whose order of equals hangs on the processor.

    Raises:
        RecipeError: If the number is below 1.

    Source: 2s-AGCN (Shi et al., CVPR 2019), the authors' preparation of NTU RGB+D.
    """
    keep = _at_least_one(persons)
    if len(prepared.keypoints) <= 1:
        return prepared
    values = prepared.keypoints.astype(np.float64)
    known = (prepared.known & (values != 0).any((2, 3))[..., None])[..., None]
    centred = values - _mean(values, known, (1, 2))
    energy = np.sqrt(_mean(centred**2, known, (1, 2))).sum((1, 2, 3))
    return _persons(prepared, np.argsort(-energy, kind="stable")[:keep])


def centre_first(prepared: Prepared, joint: int, lost: Lost = "later") -> Prepared:
    """Move the origin to one joint in the first frame in which the first person is seen; one shift for the sample.

    Where that frame lacks the joint, the place it is next seen at stands in; for a person who never shows it, the
    mean of the joints seen in the frame. With `zero` the sample then stays where it is, as it does in UNIK's script.

    Raises:
        RecipeError: If the skeleton has no such joint.

    Source: CTR-GCN (Chen et al., ICCV 2021), the authors' preparation of NTU RGB+D.
    """
    _check_joint(prepared, joint)
    start = _first_seen(prepared)
    if start is None:
        return prepared
    person, frame = start
    origin = prepared.keypoints[person, frame, joint]
    if np.isnan(origin).any():
        if lost == "zero":
            return prepared
        origin = _path(prepared.keypoints[person], joint)[frame]
    everywhere = origin[None].repeat(prepared.keypoints.shape[2], 0)  # numpy takes a pose at a time then, not a joint
    return replace(prepared, keypoints=prepared.keypoints - everywhere)


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


def close_up(prepared: Prepared) -> Prepared:
    """Move the frames in which a person is seen to the front, for each person who is not seen in the first frame.

    This closes all gaps of such a person, also later ones, and may put two people out of step; who is there from the
    start keeps gaps. Joints at 0 in all channels are taken for missing, which 0 means in the source.

    Source: 2s-AGCN (Shi et al., CVPR 2019) and UNIK (Yang et al., BMVC 2021), the authors' pre-normalisation.
    """
    zero = prepared.keypoints == 0
    if zero.any():
        prepared = replace(prepared, keypoints=np.where(zero.all(-1, keepdims=True), np.nan, prepared.keypoints))
    seen = np.asarray(prepared.known.any(2))
    late = np.asarray(seen.any(1) & ~seen[:, :1].any(1))
    if not late.any():
        return prepared
    order = np.where(late[:, None], np.argsort(~seen, axis=1, kind="stable"), np.arange(seen.shape[1]))
    return _reordered(prepared, order, prepared.frame)


def even_out(prepared: Prepared, frames: int) -> Prepared:
    """Where people end at different frames, replay each from the start, over so many frames and until all are seen.

    Samples whose people end together stay as they are: a clip step that replays each person comes to the same. For the
    others it does not where people are centred on each other frame by frame, as in the source, after the replay.

    Raises:
        RecipeError: If the number of frames is not within 1-100,000.

    Source: 2s-AGCN (Shi et al., CVPR 2019), the authors' pre-normalisation, which fills up 300 frames.
    """
    if not 1 <= frames <= _MOST_FRAMES:
        raise RecipeError(f"even-out: {frames} frames, expected 1 to {_MOST_FRAMES:,}.")
    seen = np.asarray(prepared.known.any(2))
    there = seen.any(1)
    ends = seen.shape[1] - seen[:, ::-1].argmax(1) if seen.size else np.ones(len(seen), np.int64)
    if len(set(ends[there])) <= 1:
        return prepared
    last = max(frames, int(ends[there].max())) - 1
    order = np.arange(last + seen.shape[1]) % ends[:, None]
    # a person whom the last frame does not show would seem to end earlier
    shown = np.take_along_axis(seen, order, 1)[there, last:]
    count = last + 1 + int(shown.argmax(1).max())
    after = np.arange(max(count - len(prepared.frame), 0)) + prepared.frame[-1] + 1
    return _reordered(prepared, order[:, :count], np.concatenate([prepared.frame, after])[:count])


def copy_lone(prepared: Prepared) -> Prepared:
    """Give a sample of one person the same person as a second one; samples of more persons stay as they are.

    Source: CTR-GCN (Chen et al., ICCV 2021), the authors' preparation of NTU RGB+D 120.
    """
    return _persons(prepared, np.zeros(2, np.int64)) if len(prepared.keypoints) == 1 else prepared


def rotate(prepared: Prepared, bottom: int, top: int, right: int, left: int, lost: Lost = "later") -> Prepared:
    """Turn the sample until the bone bottom → top points along +z, then until left → right points along +x.

    The bones are the first person's, each in the first frame that shows both its ends; without one there is no turn,
    nor for a bone that is shorter than a millionth or (anti)parallel already. The second turn undoes part of the first.
    With `zero` both bones are of the first frame that shows the person, and an end that it lacks lies at the origin, as
    in the source.

    Raises:
        RecipeError: If joints have not three channels, or the skeleton has no such joint.

    Source: 2s-AGCN (Shi et al., CVPR 2019), the authors' pre-normalisation, in their precision.
    """
    for joint in (bottom, top, right, left):
        _check_joint(prepared, joint)
    if prepared.keypoints.shape[3] != _SPACE:
        raise RecipeError(f"rotate: joints have {prepared.keypoints.shape[3]} channels, expected {_SPACE}.")
    keypoints = prepared.keypoints
    for tail, head, axis in ((bottom, top, 2), (left, right, 0)):
        bone = _bone(keypoints, tail, head, lost)
        if bone is not None:
            turned = keypoints.astype(np.float64) @ _onto(bone, axis).T
            keypoints = turned.astype(np.float32)
    return replace(prepared, keypoints=keypoints)


def to_layout(prepared: Prepared, mapping: JointMapping) -> Prepared:
    """Make the joints of another layout; persons and frames stay, also those in which no joint is left."""
    keypoints = apply_mapping(mapping, prepared.keypoints)
    score = None if prepared.score is None else apply_to_score(mapping, prepared.score)
    return replace(prepared, keypoints=keypoints, score=score)


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
    "close-up": close_up,
    "even-out": even_out,
    "copy-lone": copy_lone,
    "rotate": rotate,
    "drop-empty": drop_empty,
}


def _persons(prepared: Prepared, keep: np.ndarray) -> Prepared:
    """Some persons, in the order given."""
    score = None if prepared.score is None else prepared.score[keep]
    return replace(prepared, keypoints=prepared.keypoints[keep], score=score)


def _reordered(prepared: Prepared, order: np.ndarray, frame: np.ndarray) -> Prepared:
    """Frames of every person from where the table (persons, frames) says."""
    keypoints = np.take_along_axis(prepared.keypoints, order[:, :, None, None], 1)
    score = None if prepared.score is None else np.take_along_axis(prepared.score, order[:, :, None], 1)
    return replace(prepared, keypoints=keypoints, score=score, frame=frame)


def _bone(keypoints: np.ndarray, tail: int, head: int, lost: Lost) -> np.ndarray | None:
    """From one joint of the first person who is seen to another, where both are first seen, or the person is."""
    persons = np.flatnonzero(~np.isnan(keypoints).all((1, 2, 3)))
    if persons.size == 0:
        return None
    person = keypoints[persons[0]]
    there = ~np.isnan(person).any(2).all(1)
    ends = np.nan_to_num(person) if lost == "zero" else person
    bones = ends[:, head] - ends[:, tail]
    there &= ~np.isnan(bones).any(1)
    return np.asarray(bones[there.argmax()]) if there.any() else None


def _onto(bone: np.ndarray, axis: int) -> np.ndarray:
    """The matrix (3, 3) of the shortest turn that takes a bone onto an axis."""
    one, other = (axis + 1) % 3, (axis + 2) % 3
    around = np.zeros(3)  # bone × axis
    around[one], around[other] = bone[other], -bone[one]
    if np.abs(bone).sum() < _TINY or np.abs(around).sum() < _TINY:
        return np.eye(3)
    # the bone's length in float32: near an axis the angle hangs on the last digit
    angle = np.arccos(np.clip(np.float64((bone / np.linalg.norm(bone))[axis]), -1, 1))
    if angle < _TINY:
        return np.eye(3)
    x, y, z = around / np.linalg.norm(around)
    crossed = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    matrix: np.ndarray = np.eye(3) + np.sin(angle) * crossed + (1 - np.cos(angle)) * crossed @ crossed
    return matrix


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
    """The first person who shows a joint at all, and the first frame in which it is so.

    Frames in which all joints lie at 0 come last: that is how some sources write that nobody was seen.
    """
    if prepared.keypoints.size == 0:
        return None
    pose = prepared.keypoints[0, 0]
    if pose.any() and not np.isnan(pose).any():  # as it mostly is
        return 0, 0
    seen = np.asarray(prepared.known.any(2))
    persons = np.flatnonzero(seen.any(1))
    if persons.size == 0:
        return None
    person, frame = int(persons[0]), int(seen[persons[0]].argmax())
    if not np.nan_to_num(prepared.keypoints[person, frame]).any():
        frame = max(frame, int((np.nan_to_num(prepared.keypoints[person]) != 0).any((1, 2)).argmax()))
    return person, frame


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
