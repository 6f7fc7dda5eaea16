"""Metrics of untrimmed samples: of every frame, and of the events that frames in a row make.

An event is a run of frames of one class; annotated segments of a class that overlap or touch are one event. What is
found are runs of frames whose probability is above 0.9, 0.8, ... 0.1, each with its mean probability as score; of two
runs, one within the other, the longer gives way where the shorter covers half of it.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int64

from skelbench.errors import RunError
from skelbench.metrics import Metric, average_precision

OVERLAPS = (10, 20, 30, 40, 50)  # percent of intersection over union that make an event found
LEVELS = tuple(level / 10 for level in range(9, 0, -1))  # probabilities above which frames are runs
COVERED = 0.5  # share of a run that a surer one within it covers, from which on the run gives way


class Runs(NamedTuple):
    """Frames in a row of one class of one sample, by class, then by start."""

    label: Int64[np.ndarray, " runs"]
    start: Int64[np.ndarray, " runs"]
    end: Int64[np.ndarray, " runs"]  # half open
    score: Float[np.ndarray, " runs"]  # mean probability


def frame_metrics(
    logits: Float[np.ndarray, "frames classes"], target: Bool[np.ndarray, "frames classes"], lengths: Sequence[int]
) -> dict[str, Metric]:
    """Every metric of frames.

    Args:
        logits: Of all frames of all samples, one sample after another; finite, larger = more likely.
        target: Which classes are on.
        lengths: Frames of each sample.

    Returns:
        `frame_map`: the mean over classes of the average precision of all frames, n being frames; `event_map_10` to
        `event_map_50`: that of events found by an intersection over union of so many percent, n being events. Classes
        without a positive are left out of the mean, None in `per_class`. `per_class_frames` and `per_class_events`
        count them.

    Raises:
        RunError: If the arrays do not fit together.
    """
    if logits.shape != target.shape or sum(lengths) != len(logits):
        raise RunError(f"Logits {logits.shape} and target {target.shape} do not fit {sum(lengths)} frames.")
    classes = range(logits.shape[1])
    values = [average_precision(logits[:, k].astype(np.float32), target[:, k]) for k in classes]
    events = list(_events(logits, target, lengths))
    found = {"frame_map": _mean_of(values, len(logits))}
    for overlap in OVERLAPS:
        each = [event_average_precision(events, k, overlap / 100) for k in classes]
        found[f"event_map_{overlap}"] = _mean_of(each, sum(len(real.label) for real, _ in events))
    counts = np.sum([np.bincount(real.label, minlength=len(classes)) for real, _ in events], axis=0, dtype=np.int64)
    frames = target.sum(axis=0)
    found["per_class_frames"] = Metric(n=len(logits), per_class=tuple(frames.tolist()))
    found["per_class_events"] = Metric(n=int(counts.sum()), per_class=tuple(np.atleast_1d(counts).tolist()))
    return found


def runs(on: Bool[np.ndarray, "frames classes"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Class, start and end (half open) of every run of frames in a row."""
    edges = np.diff(np.pad(on.T, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    label, start = np.nonzero(edges > 0)
    return label, start, np.nonzero(edges < 0)[1]


def found_events(probability: Float[np.ndarray, "frames classes"]) -> Runs:
    """The events that probabilities of frames make.

    Args:
        probability: Of each class in each frame of one sample, in [0, 1].

    Returns:
        Runs above each level, the surer ones first asked: one that holds surer runs is left out where the longest of
        these covers half of it.
    """
    total = np.concatenate([np.zeros((1, probability.shape[1])), np.cumsum(probability, axis=0, dtype=np.float64)])
    span = len(total) + 1
    none = np.zeros(0, np.int64)
    kept = Runs(none, none, none, np.zeros(0))
    for level in LEVELS:
        label, start, end = runs(probability > level)
        longest = np.zeros(len(label), np.int64)
        within = np.searchsorted(label * span + start, kept.label * span + kept.start, side="right") - 1
        np.maximum.at(longest, within, kept.end - kept.start)  # every run of a higher level lies in one of this
        new = longest < COVERED * (end - start)
        label, start, end = label[new], start[new], end[new]
        score = (total[end, label] - total[start, label]) / (end - start)
        parts = zip(kept, (label, start, end, score), strict=True)
        kept = Runs(*(np.concatenate(pair) for pair in parts))
    order = np.lexsort((kept.end, kept.start, kept.label))
    return Runs(*(column[order] for column in kept))


def event_average_precision(events: Sequence[tuple[Runs, Runs]], label: int, overlap: float) -> float | None:
    """Average precision of the events of one class.

    Found events are taken by their scores, the highest first; each finds the real event of its sample that it
    overlaps most, if no other has found it, and is wrong where there is none.

    Args:
        events: Real and found events of each sample.
        label: The class.
        overlap: Least intersection over union.

    Returns:
        The area under precision over recall, precision at each recall being the best at it or beyond; None without a
        real event.

    Source: the definition of PASCAL VOC since 2010, on intervals of time.
    """
    total, scores, pairs, first, before = 0, list[np.ndarray](), list[np.ndarray](), 0, 0
    for real, found in events:
        truth, guess = (Runs(*(column[some.label == label] for column in some)) for some in (real, found))
        guess_at, truth_at, share = _overlaps(guess, truth)
        near = share >= overlap
        pairs.append(np.stack([guess_at[near] + first, truth_at[near] + before, share[near]], axis=1))
        scores.append(guess.score)
        first, before, total = first + len(guess.score), before + len(truth.start), total + len(truth.start)
    if not total:
        return None
    score, pair = np.concatenate([np.zeros(0), *scores]), np.concatenate([np.zeros((0, 3)), *pairs])
    order = np.argsort(-score, kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    right, taken = np.zeros(len(order), bool), set[int]()
    rank = place[pair[:, 0].astype(np.int64)]
    for at, real_at in zip(*(column[np.lexsort((-pair[:, 2], rank))] for column in (rank, pair[:, 1])), strict=True):
        if not right[at] and real_at not in taken:
            right[at] = True
            taken.add(real_at)
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float(best[right].sum() / total)


def _events(logits: np.ndarray, target: np.ndarray, lengths: Sequence[int]) -> Iterator[tuple[Runs, Runs]]:
    """Real and found events, sample by sample."""
    ends = np.cumsum(lengths).tolist()
    for end, length in zip(ends, lengths, strict=True):
        label, start, stop = runs(target[end - length : end])
        probability = 1 / (1 + np.exp(-logits[end - length : end].astype(np.float32).clip(-80, 80)))
        yield Runs(label, start, stop, np.ones(len(label))), found_events(probability)


def _overlaps(guess: Runs, truth: Runs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All pairs of events of one class that overlap, and their intersection over union."""
    low = np.searchsorted(truth.end, guess.start, side="right")
    high = np.searchsorted(truth.start, guess.end, side="left")
    count = np.maximum(high - low, 0)
    at = np.repeat(np.arange(len(count)), count)
    other = np.arange(len(at)) - np.repeat(np.cumsum(count) - count, count) + low[at]
    shared = np.minimum(guess.end[at], truth.end[other]) - np.maximum(guess.start[at], truth.start[other])
    both = (guess.end - guess.start)[at] + (truth.end - truth.start)[other]
    return at, other, shared / (both - shared)


def _mean_of(values: Sequence[float | None], n: int) -> Metric:
    """The mean over the classes that have a value."""
    there = [value for value in values if value is not None]
    return Metric(value=float(np.mean(there)) if there else None, n=n, per_class=tuple(values))
