"""Metrics of frames and events beside a plain implementation, and on cases made by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from skelbench.detection import COVERED, LEVELS, Runs, event_average_precision, found_events, frame_metrics, runs
from skelbench.errors import RunError

Event = tuple[int, int, int, float]  # class, start, end, score


def plain_runs(on: np.ndarray) -> list[tuple[int, int, int]]:
    found = []
    for label in range(on.shape[1]):
        start = None
        for frame in range(len(on) + 1):
            here = frame < len(on) and on[frame, label]
            if here and start is None:
                start = frame
            elif not here and start is not None:
                found.append((label, start, frame))
                start = None
    return found


def plain_events(probability: np.ndarray) -> list[Event]:
    kept: list[Event] = []
    for level in LEVELS:
        new = []
        for label, start, end in plain_runs(probability > level):
            inner = [e - s for k, s, e, _ in kept if k == label and s >= start and e <= end]
            if max(inner, default=0) < COVERED * (end - start):
                new.append((label, start, end, float(probability[start:end, label].mean())))
        kept += new
    return sorted(kept)


def plain_share(one: tuple[int, int], other: tuple[int, int]) -> float:
    shared = min(one[1], other[1]) - max(one[0], other[0])
    return max(shared, 0) / (max(one[1], other[1]) - min(one[0], other[0]))


def plain_ap(samples: list[tuple[list[Event], list[Event]]], label: int, overlap: float) -> float | None:
    truth = [[(s, e) for k, s, e, _ in real if k == label] for real, _ in samples]
    guesses = [(p, at, s, e) for at, (_, found) in enumerate(samples) for k, s, e, p in found if k == label]
    total = sum(map(len, truth))
    if not total:
        return None
    taken: set[tuple[int, int]] = set()
    hits = []
    for _, at, start, end in sorted(guesses, key=lambda guess: -guess[0]):
        free = [n for n in range(len(truth[at])) if (at, n) not in taken]
        shares = {n: plain_share((start, end), truth[at][n]) for n in free}
        best = max(shares, key=lambda n: shares[n], default=None)
        hit = best is not None and shares[best] >= overlap
        if hit:
            taken.add((at, best))  # type: ignore[arg-type]
        hits.append(hit)
    area, reached = 0.0, 0
    for place, hit in enumerate(hits):
        if hit:
            reached += 1
            later = [sum(hits[: n + 1]) / (n + 1) for n in range(place, len(hits))]
            area += max(later) / total
    return area


def as_events(found: Runs) -> list[Event]:
    return sorted(zip(*(column.tolist() for column in found), strict=True))


def as_runs(events: list[Event]) -> Runs:
    columns = np.array(sorted(events)).reshape(-1, 4).T
    return Runs(*(column.astype(np.int64) for column in columns[:3]), columns[3])


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), frames=st.integers(1, 60), classes=st.integers(1, 4))
def test_events_are_those_of_a_plain_search(seed: int, frames: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(0, 0.25, (frames, classes)), axis=0)
    probability = 1 / (1 + np.exp(-walk))
    found, expected = as_events(found_events(probability)), plain_events(probability)
    assert [event[:3] for event in found] == [event[:3] for event in expected]
    np.testing.assert_allclose([event[3] for event in found], [event[3] for event in expected])


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), overlap=st.sampled_from([0.1, 0.3, 0.5]))
def test_event_average_precision_is_that_of_a_plain_search(seed: int, overlap: float) -> None:
    rng = np.random.default_rng(seed)
    samples = []
    for _ in range(rng.integers(1, 4)):
        on = rng.random((40, 2)) < rng.uniform(0.3, 0.95)
        real = [(*run, 1.0) for run in plain_runs(on)]
        found = [
            (int(k), int(s), int(s + n), float(p))
            for k, s, n, p in zip(
                rng.integers(0, 2, 12), rng.integers(0, 30, 12), rng.integers(1, 12, 12), rng.random(12), strict=True
            )
        ]
        samples.append((real, found))
    events = [(as_runs(real), as_runs(found)) for real, found in samples]
    for label in (0, 1):
        expected = plain_ap(samples, label, overlap)
        value = event_average_precision(events, label, overlap)
        assert value == (None if expected is None else pytest.approx(expected))


def test_frames_are_ranked_as_scikit_learn_ranks_them_and_classes_without_a_positive_are_left_out() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(200, 3)).astype(np.float16).round(1)
    target = rng.random((200, 3)) < [0.3, 0.0, 0.6]
    metric = frame_metrics(logits, target, [80, 0, 120])["frame_map"]
    expected = [average_precision_score(target[:, k], logits[:, k]) for k in (0, 2)]
    assert metric.per_class == (pytest.approx(expected[0]), None, pytest.approx(expected[1]))
    assert metric.value == pytest.approx(np.mean(expected))
    assert metric.n == 200


def test_a_perfect_prediction_finds_everything() -> None:
    target = np.zeros((50, 2), bool)
    target[3:20, 0] = target[30:41, 0] = target[10:15, 1] = True
    found = frame_metrics(np.where(target, 9.0, -9.0), target, [25, 25])
    assert {name: metric.value for name, metric in found.items() if metric.value is not None} == dict.fromkeys(
        ["frame_map", *(f"event_map_{overlap}" for overlap in (10, 20, 30, 40, 50))], 1.0
    )
    assert found["event_map_50"].n == 3
    assert found["per_class_events"].per_class == (2, 1)
    assert found["per_class_frames"].per_class == (28, 5)


def test_an_event_counts_once_and_by_the_overlap_asked_for() -> None:
    real = as_runs([(0, 0, 10, 1.0), (0, 20, 30, 1.0)])
    found = as_runs([(0, 0, 4, 0.9), (0, 0, 10, 0.8), (0, 24, 36, 0.7)])
    # at 0.4 the surest takes the first event, the second finds it taken; 6 of 16 frames of the third are shared
    assert event_average_precision([(real, found)], 0, 0.4) == pytest.approx(0.5)
    assert event_average_precision([(real, found)], 0, 0.3) == pytest.approx(0.5 + 0.5 * 2 / 3)
    # at 0.5 the surest is wrong, the second right: one of two
    assert event_average_precision([(real, found)], 0, 0.5) == pytest.approx(0.25)
    assert event_average_precision([(real, found)], 1, 0.5) is None


def test_of_nested_runs_the_longer_gives_way_where_the_shorter_covers_half_of_it() -> None:
    probability = np.full((20, 1), 0.05)
    probability[2:12] = 0.95  # ten of the
    probability[12:16] = 0.55  # fourteen frames above one half
    assert [event[:3] for event in as_events(found_events(probability))] == [(0, 2, 12)]
    probability[5:12] = 0.55  # three of fourteen
    assert [event[:3] for event in as_events(found_events(probability))] == [(0, 2, 5), (0, 2, 16)]


def test_runs_reach_the_first_and_the_last_frame() -> None:
    on = np.array([[1, 0], [1, 1], [0, 1]], bool)
    assert [column.tolist() for column in runs(on)] == [[0, 1], [0, 1], [2, 3]]


def test_nothing_on_and_nothing_found_has_no_value() -> None:
    found = frame_metrics(np.full((5, 2), -9.0), np.zeros((5, 2), bool), [5])
    assert found["frame_map"].value is None
    assert found["event_map_50"].per_class == (None, None)


def test_arrays_that_do_not_fit_are_refused() -> None:
    with pytest.raises(RunError, match="do not fit 6 frames"):
        frame_metrics(np.zeros((5, 2)), np.zeros((5, 2), bool), [6])
