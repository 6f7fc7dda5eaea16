from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from skelbench.data.rows import Rows, Seen
from skelbench.data.sampling import (
    SAMPLING,
    crop_positions,
    draw_contiguous,
    draw_crop_resize,
    draw_linspace,
    draw_random_shift,
    draw_replay,
    draw_resample,
    draw_sorted_draw,
    draw_uniform_segments,
    draw_zero_pad,
    segment_positions,
)
from skelbench.errors import RecipeError
from skelbench.steps import Span

MakeRows = Callable[..., Rows]
SHARES = {"resample": (Span(0.5, 1.0),), "crop-resize": (Span(0.5, 1.0),)}


def test_the_whole_sample_is_spread_from_end_to_end(make_rows: MakeRows) -> None:
    positions = draw_resample(make_rows([15, 1, 3]), Span(1.0, 1.0))
    assert positions[0].tolist() == [0, 2, 4, 6, 8, 10, 12, 14]
    assert positions[1].tolist() == [0] * 8
    torch.testing.assert_close(positions[2], torch.linspace(0, 2, 8))


def test_a_cut_out_has_a_drawn_share_at_a_drawn_place(make_rows: MakeRows) -> None:
    positions = draw_resample(make_rows([100] * 2000), Span(0.5, 1.0), 16).double()
    length = positions[:, -1] - positions[:, 0] + 1
    assert length.min() > 49.9
    assert length.max() < 100.1
    assert abs(length.mean() - 75) < 1
    room = positions[:, 0] / (100 - length).clamp(min=1e-6)
    assert abs(room[length < 95].mean() - 0.5) < 0.02
    assert positions.min() >= 0
    assert positions.max() <= 99
    torch.testing.assert_close(positions.diff(dim=1), ((length - 1) / 15)[:, None].expand(-1, 15), atol=1e-3, rtol=0)


def test_a_cut_out_has_one_frame_at_least(make_rows: MakeRows) -> None:
    positions = draw_resample(make_rows([1, 2, 3]), Span(0.01, 0.02))
    assert torch.equal(positions, positions[:, :1].expand(-1, 8))


@pytest.mark.parametrize("name", sorted(SHARES))
@pytest.mark.parametrize("share", [Span(0.0, 1.0), Span(0.5, 1.5), Span(0.9, 0.5)])
def test_a_share_outside_the_sample_is_refused(make_rows: MakeRows, name: str, share: Span) -> None:
    with pytest.raises(RecipeError, match=f"{name}: a share of .* expected a span within 0-1"):
        SAMPLING[name](make_rows([5]), share)


@pytest.mark.parametrize("name", sorted(SAMPLING))
@pytest.mark.parametrize("frames", [None, 0])
def test_the_number_of_frames_must_come_from_somewhere(make_rows: MakeRows, name: str, frames: int | None) -> None:
    with pytest.raises(RecipeError, match=f"{name}: the number of frames is missing. Set data.frames, or write"):
        SAMPLING[name](make_rows([5], frames=None), *SHARES.get(name, ()), frames)


@pytest.mark.parametrize("name", sorted(SAMPLING))
def test_every_step_gives_the_frames_asked_for_inside_or_beside_the_sample(make_rows: MakeRows, name: str) -> None:
    lengths = [1, 2, 5, 8, 9, 15, 16, 17, 63, 64, 65, 300]
    for frames in (1, 2, 8, 64):
        positions = SAMPLING[name](make_rows(lengths * 20), *SHARES.get(name, ()), frames)
        assert positions.shape == (240, frames)
        inside = (positions >= 0) & (positions < torch.tensor(lengths * 20)[:, None])
        if name not in ("zero-pad", "contiguous", "random-shift"):
            assert inside.all()
        assert inside.any(1).all()


def test_a_centred_crop_leaves_out_as_much_on_either_side(make_rows: MakeRows) -> None:
    positions = draw_crop_resize(make_rows([40, 39, 100, 1]), Span(0.95, 0.95), 38)
    torch.testing.assert_close(positions[0], torch.arange(1, 39).double())  # int(0.05 x 40 / 2) = 1 on either side
    torch.testing.assert_close(positions[1], crop_positions(torch.tensor([0]), torch.tensor([39]), 38)[0])
    torch.testing.assert_close(positions[2], crop_positions(torch.tensor([2]), torch.tensor([96]), 38)[0])
    assert not positions[3].any()


def test_a_drawn_crop_has_64_frames_at_least_or_all(make_rows: MakeRows) -> None:
    rows = make_rows([300] * 3000 + [80] * 1000 + [50] * 100)
    share = Span(0.1, 1.0)
    drawn = rows.uniform(2).double()
    cropped = (rows.length * (0.1 + 0.9 * drawn[:, 0])).floor().clamp(min=64).minimum(rows.length)
    begin = (drawn[:, 1] * (rows.length - cropped + 1)).floor()
    torch.testing.assert_close(draw_crop_resize(rows, share, 64), crop_positions(begin.long(), cropped.long(), 64))
    assert cropped[:3000].min() == 64
    assert begin[:3000].max() > 200
    assert (begin + cropped <= rows.length).all()
    assert not begin[4000:].any()


def test_positions_of_a_crop_lie_in_the_middle_of_pixels() -> None:
    begin, cropped = torch.tensor([0, 10, 3, 0]), torch.tensor([4, 4, 16, 1])
    positions = crop_positions(begin, cropped, 8)
    assert positions[0].tolist() == [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]
    assert torch.equal(positions[1], positions[0] + 10)
    assert positions[2].tolist() == [3.5, 5.5, 7.5, 9.5, 11.5, 13.5, 15.5, 17.5]
    assert not positions[3].any()


def test_crops_are_read_as_torch_interpolates_images() -> None:
    for cropped in [*range(1, 70), 128, 200, 299, 300]:
        for frames in (20, 52, 64, 100):
            weights = torch.eye(cropped)[None, None]
            expected = torch.nn.functional.interpolate(weights, size=(cropped, frames), mode="bilinear")[0, 0]
            position = crop_positions(torch.tensor([0]), torch.tensor([cropped]), frames)[0]
            below = position.long()
            share = (position - below).float()
            found = torch.zeros(cropped, frames).scatter_(0, below[None], (1 - share)[None])
            found.scatter_add_(0, (below + 1).clamp(max=cropped - 1)[None], share[None])
            torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


def test_only_frames_with_somebody_count_for_a_crop(make_rows: MakeRows) -> None:
    rows = make_rows([40])
    seen = rows.seen._replace(frames=torch.tensor([20]))
    positions = draw_crop_resize(replace(rows, seen=seen), Span(1.0, 1.0), 20)
    assert positions[0].tolist() == list(range(20))


def test_sorted_draws_are_a_draw_from_a_hundred_copies_of_every_frame(make_rows: MakeRows) -> None:
    drawn = draw_sorted_draw(make_rows([2] * 6000), 52)
    assert (drawn.diff(dim=1) >= 0).all()
    ones = drawn.sum(1).double()
    assert abs(ones.mean() - 26) < 0.15
    without = 52 * 0.25 * (200 - 52) / (200 - 1)  # hypergeometric; with replacement it were 13
    assert abs(ones.var() - without) < 0.6
    many = draw_sorted_draw(make_rows([40] * 3000), 52)
    counts = torch.bincount(many.flatten(), minlength=40).double() / 3000
    assert many.max() == 39
    assert (counts - 52 / 40).abs().max() < 0.1


def test_sorted_draws_are_defined_for_any_length(make_rows: MakeRows) -> None:
    for length in (1, 2, 3):
        for frames in (1, 64, 150, 400):
            drawn = draw_sorted_draw(make_rows([length] * 50), frames)
            assert (drawn.diff(dim=1) >= 0).all()
            assert drawn.max() <= length - 1
            if length > 1 and frames > 60:
                assert torch.equal(drawn.amax(1), torch.full((50,), length - 1))


@pytest.mark.parametrize("frames", [1, 2, 20, 52, 64])
def test_even_places_are_numpys(make_rows: MakeRows, frames: int) -> None:
    lengths = list(range(1, 302))
    expected = np.array([np.linspace(0, length - 1, frames).astype(int) for length in lengths])
    np.testing.assert_array_equal(draw_linspace(make_rows(lengths), frames), expected)


def test_a_clip_from_the_start_runs_out_of_the_sample(make_rows: MakeRows) -> None:
    assert draw_zero_pad(make_rows([3, 20])).tolist() == [list(range(8))] * 2


def test_a_replay_repeats_each_person_from_the_start(make_rows: MakeRows) -> None:
    rows = make_rows([6, 6, 20])
    rows = replace(rows, seen=rows.seen._replace(own=torch.tensor([6, 3, 20])))
    assert draw_replay(rows).tolist() == [[0, 1, 2, 3, 4, 5, 0, 1], [0, 1, 2, 0, 1, 2, 0, 1], list(range(8))]


def test_frames_in_a_row_begin_anywhere_in_a_longer_sample(make_rows: MakeRows) -> None:
    positions = draw_contiguous(make_rows([20] * 2000), 8)
    assert (positions.diff(dim=1) == 1).all()
    assert torch.bincount(positions[:, 0]).tolist() == pytest.approx([2000 / 13] * 13, rel=0.3)


def test_a_shorter_sample_stands_anywhere_among_missing_frames(make_rows: MakeRows) -> None:
    positions = draw_contiguous(make_rows([5] * 2000), 8)
    assert (positions.diff(dim=1) == 1).all()
    assert torch.bincount(-positions[:, 0]).tolist() == pytest.approx([500] * 4, rel=0.2)
    assert torch.equal(draw_contiguous(make_rows([8]), 8)[0], torch.arange(8))


def test_a_window_of_a_filled_sample_may_lie_in_the_filling(make_rows: MakeRows) -> None:
    rows = make_rows([5] * 2000 + [40])
    starts = draw_contiguous(rows, 8, "zero", 20)[:, 0]
    assert torch.bincount(starts[:2000]).tolist() == pytest.approx([2000 / 13] * 13, rel=0.3)
    assert 0 <= starts[2000] <= 32  # a longer sample is not cut
    replayed = draw_contiguous(rows, 8, "replay", 20)
    assert torch.equal(replayed[:2000], (starts[:2000, None] + torch.arange(8)) % 5)
    short = draw_contiguous(rows, 8, "replay")
    assert torch.equal(short[:2000], (torch.arange(8) % 5).expand(2000, -1))


def test_a_window_longer_than_the_filled_sample_has_missing_frames_around_it(make_rows: MakeRows) -> None:
    rows = make_rows([5] * 2000)
    zeros, replayed = (draw_contiguous(rows, 14, filling, 10) for filling in ("zero", "replay"))
    assert torch.bincount(-zeros[:, 0]).tolist() == pytest.approx([400] * 5, rel=0.2)
    assert torch.equal(replayed, torch.where((zeros >= 0) & (zeros < 10), zeros % 5, -1))


def test_a_shift_puts_the_seen_stretch_anywhere(make_rows: MakeRows) -> None:
    rows = make_rows([6] * 2000)
    two, four = torch.full((2000,), 2), torch.full((2000,), 5)
    positions = draw_random_shift(replace(rows, seen=Seen(four - two, two, four, four)), 8)
    inside = positions >= 0
    assert torch.equal(positions[inside].view(2000, 3), torch.tensor([2, 3, 4]).expand(2000, -1))
    assert torch.bincount(inside.int().argmax(1)).tolist() == pytest.approx([2000 / 6] * 6, rel=0.2)
    assert draw_random_shift(make_rows([20]), 8).tolist() == [list(range(8))]


def test_one_frame_of_each_stretch_is_drawn(make_rows: MakeRows) -> None:
    for length in (16, 17, 20, 55):
        begins = [number * length // 8 for number in range(9)]
        drawn = draw_uniform_segments(make_rows([length] * 3000), 8)
        for number, (begin, end) in enumerate(pairwise(begins)):
            counts = torch.bincount(drawn[:, number] - begin).tolist()
            assert counts == pytest.approx([3000 / (end - begin)] * (end - begin), rel=0.3)


def test_a_sample_of_fewer_than_two_frames_a_stretch_leaves_some_out(make_rows: MakeRows) -> None:
    drawn = draw_uniform_segments(make_rows([11] * 4000), 8)
    assert (drawn.diff(dim=1) >= 1).all()
    assert drawn.max() == 10
    gaps = torch.cat([drawn[:, :1], drawn.diff(dim=1) - 1, 10 - drawn[:, -1:]], 1)
    assert (gaps <= 1).all()
    assert gaps.double().mean(0).tolist() == pytest.approx([3 / 9] * 9, abs=0.03)


def test_a_shorter_sample_is_read_round_and_round(make_rows: MakeRows) -> None:
    drawn = draw_uniform_segments(make_rows([5] * 2000), 8)
    assert torch.equal(drawn, (drawn[:, :1] + torch.arange(8)) % 5)
    assert torch.bincount(drawn[:, 0]).tolist() == pytest.approx([400] * 5, rel=0.2)


def test_numbered_clips_share_out_the_starts_of_short_samples(make_rows: MakeRows) -> None:
    rows = make_rows([5, 30, 100])
    starts = [draw_uniform_segments(rows, 64, number, 10)[:2, 0].tolist() for number in range(10)]
    assert starts == [[number % 5, number * 3] for number in range(10)]
    assert not torch.equal(draw_uniform_segments(rows, 8, 0, 2)[2], draw_uniform_segments(rows.salted(1), 8, 1, 2)[2])
    with pytest.raises(RecipeError, match="clip 10 of 10, expected 0 to 9"):
        draw_uniform_segments(rows, 8, 10, 10)


def test_given_draws_decide_the_segments() -> None:
    length, start = torch.tensor([3, 6, 13]), torch.tensor([2, 0, 0])
    chosen = torch.tensor([[0, 0, 0, 0, 0], [1, 0, 0, 1, 0], [0, 0, 0, 0, 0]]).bool()
    offset = torch.tensor([[0, 0, 0, 0], [0, 0, 0, 0], [2, 0, 1, 3]])
    assert segment_positions(length, start, chosen, offset).tolist() == [[2, 0, 1, 2], [1, 2, 3, 5], [2, 3, 7, 12]]


@pytest.mark.parametrize("name", sorted(SAMPLING))
def test_positions_depend_on_the_sample_alone(make_rows: MakeRows, name: str) -> None:
    rows = make_rows([3, 9, 40, 90, 300])
    some = torch.tensor([4, 1])
    fewer = replace(
        rows,
        key=rows.key[some],
        length=rows.length[some],
        sample=rows.sample[:2],
        slot=rows.slot[:2],
        seen=Seen(*(known[some] for known in rows.seen)),
    )
    draw = SAMPLING[name]
    arguments = (*SHARES.get(name, ()), 16)
    assert torch.equal(draw(fewer, *arguments), draw(rows, *arguments)[some])
    assert torch.equal(draw(rows, *arguments), draw(rows, *arguments))
