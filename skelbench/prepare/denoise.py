"""CTR-GCN's cleaning of Kinect recordings: which tracked bodies are people, and which two of them act.

The sensor gives one person several ids in turn, takes furniture for people, and loses both. The rules, in order:

1. Frames without a body are dropped, the others renumbered. A recording with a single id is taken as it is.
2. Ids seen in 11 frames or fewer are noise.
3. A body is too wide in a frame if it measures more in x than 0.8 times what it measures in y. Ids of which 0.69754 of
   the frames or more are too wide are noise, unless no other id is left.
4. The motion of an id is the variance of x plus that of y plus that of z over its joints and frames; without its wide
   frames where that is less. Ids go by their motion, the liveliest first.
5. The first id is the first actor. Each further id goes on with the first actor if the two share one frame at most,
   from their first frames to their last, else with the second actor by the same rule, else it is dropped. The second
   actor's time begins at frame 0 in any case. In a frame that two ids share, the later one stays.
6. Frames in which no actor is left are dropped.

Source: Uason-Chen/CTR-GCN @ e13d758, data/ntu/get_raw_skes_data.py and get_raw_denoised_data.py, which have the rules
from SGN (Zhang et al., CVPR 2020).
"""

from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float32

from skelbench.prepare.motion import motion, narrow
from skelbench.prepare.prepared import Prepared, nth_in_frame
from skelbench.sample import Sample

ACTORS = 2
_SHORT = 11  # frames
_NOISY = 0.69754  # share of the frames
_NOBODY = -1  # in tables of poses, and the id of a pose that has none


class _Body(NamedTuple):
    """The poses of one id."""

    poses: np.ndarray  # places in the sample
    frames: np.ndarray  # where each goes in the result, ascending
    motion: np.float32

    def overlap(self, start: int, end: int) -> int:
        """Frames from the start to the end of both, less one."""
        return min(end, int(self.frames[-1])) - max(start, int(self.frames[0]))


def ctr_denoise(sample: Sample, mode: Literal["honest", "exact"] = "honest") -> Prepared:
    """Find the one or two people who act, by the rules of CTR-GCN; `exact` keeps what its authors inherited.

    `exact` gives the authors' arrays bit for bit, 0 for NaN. There an id's poses stand one after the other from its
    first frame on, whatever lies between: gaps are closed, and what follows them comes too early. `honest` leaves
    every pose in its frame: an id's time runs from its first frame to its last, and gaps stay missing. With it goes
    care for what the authors' data does not show: a second body of an id in one frame is another id, poses without a
    joint or with all joints at 0 do not count, and a missing joint counts as the mean of its pose in widths and
    motions. All else is equal.

    A recording on which the authors' script stops gets the honest result by either name: where rule 2 leaves nobody
    it is not applied, and an id that stands twice in a frame cannot run past the last frame. Poses without an id go
    by their position in the frame.

    Args:
        sample: What was recorded.
        mode: `honest` or `exact`.

    Returns:
        One person where a single id was recorded or is left, else two, of whom the second may never be seen.
        Frames in which nobody is left are dropped.
    """
    sample = _in_order(sample)
    if mode == "exact" and _of_one(sample):
        return _alone(sample, sample.frame.astype(np.int64))
    exact = _exact(sample) if mode == "exact" else None
    return _honest(sample) if exact is None else exact


def _exact(sample: Sample) -> Prepared | None:
    """The authors' result; None where their script stops."""
    frames, turn = _renumbered(sample.frame)
    nameless = sample.person == _NOBODY
    nth = nth_in_frame(sample.frame, nameless.astype(np.int64)) * nameless if nameless.any() else None
    who = _first_come(sample.person, nth)
    if not who.any():
        return _alone(sample, frames) if len(frames) == len(who) else None
    bodies = _long(_bodies(who, _squashed(who, turn)))
    actors = _cast(bodies, sample.keypoints)
    if not bodies or any(body.frames[-1] >= len(frames) for actor in actors for body in actor):
        return None
    poses = _table(actors, len(frames))
    values = sample.keypoints.take(poses, 0)
    values[poses == _NOBODY] = 0
    kept = values.reshape(len(values), -1).sum(1) != 0
    if not kept.any():
        return None
    poses, values = poses[kept], values[kept]
    # the authors know an absent body by coordinates that add up to 0
    poses[values.reshape(*poses.shape, -1).sum(2) == 0] = _NOBODY
    return _of(sample, poses, frames[kept])


def _honest(sample: Sample) -> Prepared:
    """The result without the inherited quirk."""
    sample = _that_show_something(sample)
    frames, turn = _renumbered(sample.frame)
    who = _first_come(sample.person, nth_in_frame(sample.frame, sample.person))
    if not who.any():
        return _alone(sample, frames)
    bodies = _bodies(who, turn)
    poses = _table(_cast(_long(bodies) or bodies, _measurable(sample.keypoints)), len(frames))
    kept = (poses != _NOBODY).any(1)
    return _of(sample, poses[kept], frames[kept])


def _in_order(sample: Sample) -> Sample:
    """The poses by their frames, those of one frame as they stand."""
    rising = bool((sample.frame[1:] >= sample.frame[:-1]).all())
    return sample if rising else _some(sample, np.argsort(sample.frame, kind="stable"))


def _of_one(sample: Sample) -> bool:
    """Whether all poses are of one id, each in a frame of its own; they are in order."""
    person, frame = sample.person, sample.frame
    return bool(len(person)) and bool((person == person[0]).all()) and bool((frame[1:] > frame[:-1]).all())


def _that_show_something(sample: Sample) -> Sample:
    """The poses with a joint, not all at 0."""
    count, joints, channels = sample.keypoints.shape
    shows = sample.keypoints.reshape(count, joints * channels).any(1)
    missing = np.isnan(sample.keypoints)
    if missing.any():
        shows &= ~missing.any(2).all(1)
    return sample if shows.all() else _some(sample, np.flatnonzero(shows))


def _some(sample: Sample, poses: np.ndarray) -> Sample:
    """Some of the poses of a sample, in the order given."""
    score = None if sample.score is None else sample.score[poses]
    return replace(
        sample,
        frame=sample.frame[poses],
        person=sample.person[poses],
        keypoints=sample.keypoints[poses],
        score=score,
    )


def _renumbered(frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The frames that hold a body, and each pose's place among them."""
    new = np.ones(len(frame), bool)
    np.not_equal(frame[1:], frame[:-1], out=new[1:])
    return frame[new].astype(np.int64), np.cumsum(new) - 1


def _first_come(person: np.ndarray, nth: np.ndarray | None) -> np.ndarray:
    """Number ids from 0 in the order in which they appear; where `nth` differs, equal ids are different ones."""
    if nth is None or not nth.any():
        if (person == person[:1]).all():
            return np.zeros(len(person), np.int64)
        code = person
    else:
        code = np.unique(person, return_inverse=True)[1] * (int(nth.max()) + 1) + nth
    _, first, which = np.unique(code, return_index=True, return_inverse=True)
    number = np.empty(len(first), np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    return number[which]


def _squashed(who: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """The frame of every pose if those of an id followed each other from its first frame on."""
    order = np.argsort(who, kind="stable")
    counts = np.bincount(who)
    first = np.cumsum(counts) - counts
    squashed = np.empty(len(who), np.int64)
    squashed[order] = np.arange(len(who)) + np.repeat(turn[order[first]] - first, counts)
    return squashed


def _bodies(who: np.ndarray, frames: np.ndarray) -> list[_Body]:
    """The poses of every id, in the order in which ids appear; motions are not yet known."""
    order = np.argsort(who, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(who))[:-1])
    return [_Body(poses, frames[poses], np.float32(0)) for poses in parts]


def _long(bodies: list[_Body]) -> list[_Body]:
    """Rule 2."""
    return [body for body in bodies if len(body.poses) > _SHORT]


def _cast(bodies: list[_Body], keypoints: Float32[np.ndarray, "poses joints channels"]) -> list[list[_Body]]:
    """Rules 3 to 5: the bodies of each actor, in the order in which they are written."""
    bodies = _liveliest_first(bodies, keypoints) if len(bodies) > 1 else bodies
    if len(bodies) < ACTORS:
        return [bodies]
    actors: list[list[_Body]] = [[], []]
    times = [(int(bodies[0].frames[0]),) * 2, (0, 0)]
    for body in bodies:
        for actor, time in enumerate(times):
            if body.overlap(*time) <= 0:
                actors[actor].append(body)
                times[actor] = min(time[0], int(body.frames[0])), max(time[1], int(body.frames[-1]))
                break
    return actors


def _liveliest_first(bodies: list[_Body], keypoints: np.ndarray) -> list[_Body]:
    """Rules 3 and 4."""
    fitting = narrow(keypoints)
    left: list[_Body] = []
    for place, body in enumerate(bodies):
        moved = motion(keypoints[body.poses])
        fits = fitting[body.poses]
        wide = len(fits) - int(fits.sum())
        alone = not left and place == len(bodies) - 1
        if wide and not alone:
            if wide / len(fits) >= _NOISY:
                continue
            moved = min(moved, motion(keypoints[body.poses[fits]]))
        left.append(body._replace(motion=moved))
    return sorted(left, key=lambda body: body.motion, reverse=True)


def _measurable(keypoints: np.ndarray) -> np.ndarray:
    """Poses whose missing joints stand at the mean of those seen, of which there must be one."""
    if not np.isnan(keypoints).any():
        return keypoints
    missing = np.isnan(keypoints).any(2, keepdims=True)
    mean = np.where(missing, 0, keypoints).sum(1, keepdims=True) / (~missing).sum(1, keepdims=True)
    return np.where(missing, mean.astype(np.float32), keypoints)


def _table(actors: list[list[_Body]], frames: int) -> np.ndarray:
    """(frames, actors): the pose that stands there, later bodies over earlier ones."""
    poses = np.full((frames, len(actors)), _NOBODY)
    for actor, bodies in enumerate(actors):
        for body in bodies:
            poses[body.frames, actor] = body.poses
    return poses


def _alone(sample: Sample, frames: np.ndarray) -> Prepared:
    """All poses as one person's; nobody where there are none."""
    one = slice(None) if len(frames) else slice(0)
    score = None if sample.score is None else sample.score[None][one]
    return Prepared(sample.keypoints[None][one], score, frames, sample.meta)


def _of(sample: Sample, poses: np.ndarray, frames: np.ndarray) -> Prepared:
    """Put poses where a table (frames, actors) says."""
    absent = poses.T == _NOBODY
    keypoints = sample.keypoints.take(poses.T, 0)
    keypoints[absent] = np.nan
    score = None
    if sample.score is not None:
        score = sample.score.take(poses.T, 0)
        score[absent] = np.nan
    return Prepared(keypoints, score, frames, sample.meta)
