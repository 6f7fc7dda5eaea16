from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skelbench.data.ragged import Frames, all_tracks, compact, frames_of, interpolate, place, presence, present_tracks

NAN = float("nan")


def line(*values: float) -> Frames:
    """Frames of one joint and channel, the frame without a joint appended."""
    return frames_of(torch.tensor([*values, NAN]).view(-1, 1, 1))


def read(frames: Frames, positions: list[float], first: int = 0, last: int | None = None) -> list[float]:
    last = len(frames.rows) - 2 if last is None else last
    found = interpolate(
        frames, torch.tensor([first]), torch.tensor([last]), torch.tensor([positions], dtype=torch.float32)
    )
    return found.flatten().tolist()


def same(one: list[float], other: list[float]) -> bool:
    return bool(np.array_equal(one, other, equal_nan=True))


def partial(*values: float) -> Frames:
    """The same line beside a joint that is always there, so that frames are missing in part."""
    rows = torch.tensor([[value, 1.0] for value in values] + [[NAN, NAN]])
    return frames_of(rows[:, None])


def test_positions_between_frames_are_read_linearly() -> None:
    assert read(line(0, 10, 30), [0, 0.5, 1, 1.25, 2]) == [0, 5, 10, 15, 30]


def test_a_missing_end_does_not_pull() -> None:
    values = (NAN, 10.0, NAN, NAN, 40.0)
    positions = [0, 0.25, 1, 1.9, 2, 2.5, 3, 3.1, 4]
    expected = [NAN, 10, 10, 10, NAN, NAN, NAN, 40, 40]
    assert same(read(line(*values), positions), expected)
    assert same(read(partial(*values), positions)[0::2], expected)


def test_whole_positions_are_exact() -> None:
    values = torch.randn(50, 2, 3)
    frames = frames_of(torch.cat([values, torch.full((1, 2, 3), NAN)]))
    found = interpolate(frames, torch.tensor([0]), torch.tensor([49]), torch.arange(50.0)[None])
    assert torch.equal(found[0].transpose(0, 1), values)


def test_positions_without_fractions_are_read_as_they_are() -> None:
    values = torch.randn(50, 2, 3)
    values[7] = NAN
    values[9, :, 1] = NAN
    frames = frames_of(torch.cat([values, torch.full((1, 2, 3), NAN)]))
    first, last, positions = torch.tensor([3, 20]), torch.tensor([12, 49]), torch.arange(10).expand(2, -1)
    whole, fractions = (interpolate(frames, first, last, places) for places in (positions, positions.float()))
    torch.testing.assert_close(whole, fractions, rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(whole[0].transpose(0, 1), values[3:13], rtol=0, atol=0, equal_nan=True)


def test_positions_in_double_precision_keep_their_fractions() -> None:
    values = torch.zeros(5000, 1, 1)
    values[4097:] = 1
    frames = frames_of(torch.cat([values, torch.full((1, 1, 1), NAN)]))
    position = torch.tensor([[4096 + 1 / 3]], dtype=torch.float64)
    found = interpolate(frames, torch.tensor([0]), torch.tensor([4999]), position)
    assert float(found) == pytest.approx(1 / 3, abs=1e-7)  # in single precision 2e-4 off


def at(frames: Frames, positions: list[int], first: int, last: int) -> list[float]:
    """Read at positions without fractions."""
    places = torch.tensor([positions])
    return interpolate(frames, torch.tensor([first]), torch.tensor([last]), places).flatten().tolist()


def test_in_a_set_with_zeros_nothing_is_missing() -> None:
    frames = line(2, NAN, 4)
    assert read(frames.zeroed, [0, 0.5, 1, 1.5, 2]) == [2, 1, 0, 2, 4]
    assert at(frames.zeroed, [-1, 0, 1, 3], 0, 2) == [0, 2, 0, 0]
    assert frames.zeroed is frames.zeroed
    assert not partial(NAN).zeroed.partial


def test_beyond_its_ends_a_track_is_missing() -> None:
    frames = line(1, 2, 3, 4, 5)
    assert same(at(frames, [-2, -1, 0, 2, 3, 9], first=1, last=3), [NAN, NAN, 2, 4, NAN, NAN])
    assert read(frames, [2.0001, 2.9], first=1, last=3) == [4, 4]  # rounding past the last frame does not lose it


def test_a_track_on_the_missing_frame_is_missing_everywhere() -> None:
    assert same(read(line(1, 2), [0, 0.5, 1, 2], first=2, last=2), [NAN] * 4)
    assert same(at(line(1, 2), [0, 1, 2], first=2, last=2), [NAN] * 3)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.one_of(st.just(NAN), st.floats(-4, 4, width=16)), min_size=1, max_size=6), st.floats(0, 5, width=16))
def test_both_ways_of_interpolating_agree(values: list[float], position: float) -> None:
    position = min(position, len(values) - 1)
    one, other = read(line(*values), [position]), read(partial(*values), [position])[:1]
    np.testing.assert_allclose(one, other, rtol=2e-7, atol=2e-7)  # their products round in another order
    low, high = values[int(position)], values[min(int(position) + 1, len(values) - 1)]
    if position == int(position) or np.isnan(high):
        high = low
    low = high if np.isnan(low) else low
    expected = low + (high - low) * (position - int(position))
    np.testing.assert_allclose(read(line(*values), [position]), [expected], atol=1e-5)


def test_what_frames_lack_is_found_out() -> None:
    assert frames_of(torch.tensor([[[1.0, 2]], [[NAN, NAN]]])).empty.tolist() == [False, True]
    assert not line(1, NAN).partial
    assert partial(NAN).partial


def test_present_persons_have_a_row_each_and_nobody_has_one_too(make_prepared: Any, make_set: Any) -> None:
    unseen = make_prepared(2, 3)
    unseen.keypoints[0] = NAN
    samples = [make_prepared(2, 5), make_prepared(0, 4), make_prepared(3, 2), unseen, make_prepared(1, 0)]
    prepared = make_set(samples)
    tracks = present_tracks(prepared, slots=2)
    missing = len(prepared.keypoints) - 1
    assert tracks.begin.tolist() == [0, 2, 3, 5, 6, 7]
    assert tracks.slot.tolist() == [0, 1, 0, 0, 1, 1, 0]
    assert tracks.first.tolist() == [0, 5, missing, 10, 12, 19, missing]
    assert tracks.last.tolist() == [4, 9, missing, 11, 13, 21, missing]
    assert tracks.left_out == 1


def test_all_slots_have_a_row(make_prepared: Any, make_set: Any) -> None:
    prepared = make_set([make_prepared(1, 5), make_prepared(0, 4), make_prepared(3, 2)])
    tracks = all_tracks(prepared, slots=2)
    assert tracks.slot.tolist() == [0, 1] * 3
    assert tracks.first.tolist() == [0, 11, 11, 11, 5, 7]
    assert tracks.begin.tolist() == [0, 2, 4, 6]
    assert tracks.left_out == 1


def test_what_frames_show_is_known_of_samples_and_persons(make_prepared: Any, make_set: Any) -> None:
    gaps = make_prepared(2, 9)
    gaps.keypoints[0, [0, 1, 4, 8]] = NAN
    gaps.keypoints[1, [0, 4, 6, 7, 8]] = NAN
    third = make_prepared(3, 4)
    third.keypoints[0, 1:] = third.keypoints[1, 2:] = NAN
    unseen = make_prepared(1, 6)
    unseen.keypoints[:] = NAN
    prepared = make_set([make_prepared(1, 5), gaps, make_prepared(0, 3), third, unseen, make_prepared(1, 0)])
    frames, lengths = frames_of(torch.from_numpy(prepared.keypoints)), np.maximum(prepared.frames, 1)
    for tracks in (present_tracks(prepared, slots=2), all_tracks(prepared, slots=2)):
        found = presence(frames.empty.numpy(), tracks, lengths)
        assert found.frames.tolist() == [5, 6, 3, 2, 6, 1]
        assert found.begin.tolist() == [0, 1, 0, 0, 0, 0]
        assert found.end.tolist() == [5, 8, 3, 2, 6, 1]
        own = [found.own[begin:end].tolist() for begin, end in pairwise(tracks.begin)]
        assert [one[0] for one in own] == [5, 8, 3, 1, 6, 1]
        assert own[1] == [8, 6]
        assert own[3] == [1, 2]


def test_nothing_is_known_of_a_set_without_anybody(make_prepared: Any, make_set: Any) -> None:
    prepared = make_set([make_prepared(0, 5), make_prepared(0, 0)])
    found = presence(np.ones(1, bool), present_tracks(prepared, slots=2), np.array([5, 1]))
    assert found.frames.tolist() == found.end.tolist() == found.own.tolist() == [5, 1]


def test_tracks_of_some_samples_come_sample_by_sample(make_prepared: Any, make_set: Any) -> None:
    tracks = present_tracks(make_set([make_prepared(2, 5), make_prepared(1, 4), make_prepared(2, 2)]), slots=2)
    rows, sample = tracks.of(np.array([2, 0, 2]))
    assert rows.tolist() == [3, 4, 0, 1, 3, 4]
    assert sample.tolist() == [0, 0, 1, 1, 2, 2]


def test_a_compact_set_holds_the_same_samples_and_no_other_rows(make_prepared: Any, make_set: Any) -> None:
    whole = make_set([make_prepared(2, 5, seed=1), make_prepared(0, 4), make_prepared(1, 3, seed=2)])
    some = compact(whole.select(np.array([2, 1, 0, 2])))
    assert len(some.keypoints) == 3 + 0 + 10 + 3 + 1
    assert np.array_equal(some.keypoints[3:13], whole.keypoints[:10])
    assert np.array_equal(some.keypoints[13:16], whole.keypoints[10:13])
    assert np.isnan(some.keypoints[-1]).all()
    assert some.first.tolist() == [0, 3, 3, 13]


@pytest.mark.parametrize("writeable", [True, False])
def test_rows_on_the_cpu_are_shared_where_that_is_safe(make_prepared: Any, make_set: Any, writeable: bool) -> None:
    prepared = make_set([make_prepared(2, 5)])
    prepared.keypoints.flags.writeable = writeable
    frames, _ = place(prepared, torch.device("cpu"))
    assert (frames.rows.data_ptr() == prepared.keypoints.ctypes.data) == writeable
