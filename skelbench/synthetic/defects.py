"""The faults of real recordings, put into samples that have none."""

from dataclasses import replace

import numpy as np

from skelbench.sample import Sample

_SHARE = 0.2  # of the samples has each fault


def spoil(sample: Sample, rng: np.random.Generator, *, tracked: bool, most: int = 0) -> Sample:
    """Give a sample some of the faults that sensors make, or none.

    Args:
        sample: Without faults.
        rng: Draws which faults, and where.
        tracked: Whether the source gives ids to people and may lose or invent some: then ids change, furniture is
            taken for a body, people are lost for a while, and frames are empty.
        most: Without ids, how many people a frame may hold: then somebody is detected who is not there, people are
            missing in single frames, and frames are empty. 0 where every frame has its one pose.

    Returns:
        Another sample; missing coordinates are NaN. A scored sample that is not tracked stays as it is,
        since its score already says what was not seen.
    """
    if tracked:
        for fault in (_change_id, _track_furniture, _lose_person, _empty_frames):
            if rng.random() < _SHARE:
                sample = fault(sample, rng)
    elif most:
        for fault in (_miss_people, _empty_frames):
            if rng.random() < _SHARE:
                sample = fault(sample, rng)
        if rng.random() < _SHARE:
            sample = _detect_more(sample, rng, most)
    if sample.score is None and rng.random() < _SHARE:
        sample = _lose_joints(sample, rng)
    return sample


def _change_id(sample: Sample, rng: np.random.Generator) -> Sample:
    """One person goes on under another id."""
    person = sample.person.copy()
    chosen, since = _someone(sample, rng), rng.integers(sample.n_frames)
    person[(person == chosen) & (sample.frame >= since)] = person.max() + 1
    return replace(sample, person=person)


def _track_furniture(sample: Sample, rng: np.random.Generator) -> Sample:
    """A flat body that hardly moves appears for a while, before or after the others in its frames."""
    if not sample.frame.size:
        return sample
    frames = np.arange(sample.n_frames, dtype=np.uint32)[rng.integers(sample.n_frames) :][: rng.integers(5, 40)]
    shape = sample.keypoints[rng.integers(len(sample.keypoints))] * np.array([3, 0.2, 1], np.float32)
    shaking = rng.normal(0, 0.002, (len(frames), *shape.shape)).astype(np.float32)
    order = np.argsort(np.concatenate([sample.frame, frames]), kind="stable")
    if rng.random() < 0.5:  # in front: among equal frames the later entries first
        order = np.lexsort((-np.arange(len(order)), np.concatenate([sample.frame, frames])))
    return replace(
        sample,
        frame=np.concatenate([sample.frame, frames])[order],
        person=np.concatenate([sample.person, np.full(len(frames), sample.person.max() + 7)])[order],
        keypoints=np.concatenate([sample.keypoints, shape + shaking])[order],
    )


def _lose_person(sample: Sample, rng: np.random.Generator) -> Sample:
    """One person is gone for a while."""
    start = rng.integers(sample.n_frames)
    gone = (sample.frame >= start) & (sample.frame < start + rng.integers(2, 20))
    return _keep(sample, ~(gone & (sample.person == _someone(sample, rng))))


def _miss_people(sample: Sample, rng: np.random.Generator) -> Sample:
    """Single people of single frames are not detected."""
    return _keep(sample, rng.random(len(sample.frame)) > 0.1)


def _detect_more(sample: Sample, rng: np.random.Generator, most: int) -> Sample:
    """In some frames a body is detected twice, a little aside, as far as a frame may hold it."""
    room = np.bincount(sample.frame, minlength=sample.n_frames)[sample.frame] < most
    first = np.diff(sample.frame, prepend=np.uint32(2**32 - 1)) != 0
    places = np.flatnonzero(room & first & (rng.random(len(room)) < 0.1))
    order = np.sort(np.concatenate([np.arange(len(room)), places]), kind="stable")
    again = np.zeros(len(order), bool)
    again[1:] = np.diff(order) == 0
    sample = _keep(sample, order)
    keypoints = np.where(again[:, None, None], sample.keypoints * np.float32(1.02), sample.keypoints)
    return replace(sample, keypoints=keypoints)


def _empty_frames(sample: Sample, rng: np.random.Generator) -> Sample:
    """Single frames without anybody."""
    return _keep(sample, ~np.isin(sample.frame, np.flatnonzero(rng.random(sample.n_frames) < 0.06)))


def _lose_joints(sample: Sample, rng: np.random.Generator) -> Sample:
    """Single joints without coordinates."""
    keypoints = sample.keypoints.copy()
    keypoints[rng.random(keypoints.shape[:2]) < 0.02] = np.nan
    return replace(sample, keypoints=keypoints)


def _someone(sample: Sample, rng: np.random.Generator) -> int:
    """The id of a person of the sample; -1 where there is nobody."""
    return int(rng.choice(sample.person)) if sample.person.size else -1


def _keep(sample: Sample, keep: np.ndarray) -> Sample:
    """Some of a sample's poses, by a mask or by their places."""
    return replace(
        sample, frame=sample.frame[keep], person=sample.person[keep], keypoints=sample.keypoints[keep],
        score=None if sample.score is None else sample.score[keep],
    )  # fmt: skip
