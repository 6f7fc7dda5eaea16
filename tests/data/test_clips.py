from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from skelbench.data.clips import OPERATIONS, ZERO
from skelbench.data.draw import sample_keys
from skelbench.data.geometry import (
    Mirroring,
    apply_flip,
    apply_rotate,
    apply_scale,
    draw_flip,
    draw_rotate,
    draw_scale,
)
from skelbench.data.rows import Rows, Seen
from skelbench.data.sampling import draw_resample
from skelbench.errors import RecipeError
from skelbench.skeletons import Layout, mirror
from skelbench.steps import Span

MakeRows = Callable[..., Rows]
ARGUMENTS = {"zero": (), "minmax": (), "random-move": (), "random-view": (60, Span(0.5, 1.5))}


@pytest.fixture
def make_rows(layout: Layout) -> MakeRows:
    def make(lengths: list[int], **changes: object) -> Rows:
        keys = torch.from_numpy(sample_keys([f"s{number}" for number in range(len(lengths))]))
        length, place = torch.tensor(lengths), torch.arange(len(lengths))
        seen = Seen(length, torch.zeros_like(place), length, length)
        order = torch.from_numpy(mirror(layout))
        rows = Rows(keys, length, place, torch.zeros_like(place), seen, 3, 8, max(lengths), order)
        return replace(rows, **changes)

    return make


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


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


@pytest.mark.parametrize("share", [Span(0.0, 1.0), Span(0.5, 1.5), Span(0.9, 0.5)])
def test_a_share_outside_the_sample_is_refused(make_rows: MakeRows, share: Span) -> None:
    with pytest.raises(RecipeError, match="expected a span within 0-1"):
        draw_resample(make_rows([5]), share)


@pytest.mark.parametrize("frames", [None, 0])
def test_the_number_of_frames_must_come_from_somewhere(make_rows: MakeRows, frames: int | None) -> None:
    with pytest.raises(RecipeError, match="the number of frames is missing"):
        draw_resample(make_rows([5], frames=None), Span(1.0, 1.0), frames)


def test_a_rotation_keeps_lengths_and_stays_within_its_angles(make_rows: MakeRows) -> None:
    matrix = draw_rotate(make_rows([5] * 500), 0.0, 1.0, 0.0)
    torch.testing.assert_close(matrix @ matrix.mT, torch.eye(3).expand(500, 3, 3), atol=1e-5, rtol=0)
    assert torch.equal(matrix[:, 1], torch.tensor([0.0, 1, 0]).expand(500, 3))
    angles = torch.atan2(matrix[:, 2, 0], matrix[:, 0, 0])
    assert angles.abs().max() <= 1
    assert angles.min() < -0.9 < 0.9 < angles.max()


def test_the_axes_turn_in_the_order_x_y_z(make_rows: MakeRows) -> None:
    rows = make_rows([5] * 4)
    about = [draw_rotate(rows, *limits).double() for limits in ((0.4, 0.0, 0.0), (0.0, 0.4, 0.0), (0.0, 0.0, 0.4))]
    torch.testing.assert_close(draw_rotate(rows, 0.4).double(), about[2] @ about[1] @ about[0], atol=1e-6, rtol=0)
    sin = torch.sin(0.4 * rows.spread(3).double())
    for axis, (row, column, sign) in enumerate([(1, 2, 1), (0, 2, -1), (0, 1, 1)]):
        torch.testing.assert_close(about[axis][:, row, column], sign * sin[:, axis], atol=1e-6, rtol=0)


def test_an_image_turns_about_z_only(make_rows: MakeRows) -> None:
    rows = make_rows([5] * 4)
    flat = draw_rotate(replace(rows, channels=2), 0.1, 0.2, 0.3)
    assert torch.equal(flat, draw_rotate(rows, 0.0, 0.0, 0.3)[:, :2, :2])


def test_other_channels_cannot_be_turned(make_rows: MakeRows) -> None:
    with pytest.raises(RecipeError, match="joints have 5 channels, expected 2 or 3"):
        draw_rotate(make_rows([5], channels=5), 0.3)


def test_a_given_matrix_turns_every_joint() -> None:
    x, matrix = drawn(2, 3, 5, 4), torch.linalg.qr(drawn(2, 3, 3)).Q
    expected = np.einsum("rij,rjtv->ritv", matrix.numpy(), x.numpy())
    np.testing.assert_allclose(apply_rotate(x, matrix), expected, atol=1e-5)


def test_a_given_factor_scales_every_joint() -> None:
    x = drawn(2, 3, 5, 4)
    torch.testing.assert_close(apply_scale(x, torch.tensor([[2.0], [0.5]]))[1], x[1] / 2)


@pytest.mark.parametrize(
    ("draw", "value"),
    [(draw_rotate, float("nan")), (draw_rotate, -1.0), (draw_scale, 1.0), (draw_scale, -0.1), (draw_flip, 1.5)],
)
def test_an_amount_that_makes_no_sense_is_refused(
    make_rows: MakeRows, draw: Callable[..., object], value: float
) -> None:
    with pytest.raises(RecipeError, match=f"{value:g}, expected"):
        draw(make_rows([5]), value)


def test_factors_lie_around_one(make_rows: MakeRows) -> None:
    factors = draw_scale(make_rows([5] * 1000), 0.2)
    assert 0.8 <= factors.min() < 0.82
    assert 1.18 < factors.max() < 1.2
    assert abs(factors.mean() - 1) < 0.01


def test_a_mirror_swaps_pairs_and_turns_the_first_channel_round() -> None:
    x = drawn(2, 3, 5, 4)
    order = torch.tensor([[0, 2, 1, 3], [0, 1, 2, 3]])
    flipped = apply_flip(x, Mirroring(order, torch.tensor([[-1.0, 1, 1], [1, 1, 1]])))
    assert torch.equal(flipped[0, 0, :, 1], -x[0, 0, :, 2])
    assert torch.equal(flipped[0, 1:, :, 2], x[0, 1:, :, 1])
    assert torch.equal(flipped[1], x[1])


def test_the_mirror_of_the_mirror_is_the_body(make_rows: MakeRows) -> None:
    x, rows = drawn(6, 3, 5, 4), make_rows([5] * 6)
    mirroring = draw_flip(rows, 1.0)
    assert not torch.equal(apply_flip(x, mirroring), x)
    assert torch.equal(apply_flip(apply_flip(x, mirroring), mirroring), x)


def test_the_share_of_mirrored_rows_is_as_asked(make_rows: MakeRows) -> None:
    rows = make_rows([5] * 4000)
    for share in (0.0, 0.3, 1.0):
        mirroring = draw_flip(rows, share)
        flipped = mirroring.sign[:, 0] < 0
        assert abs(flipped.double().mean() - share) < 0.03
        assert torch.equal(flipped, mirroring.order[:, 1] == 2)
        assert (mirroring.sign[:, 1:] == 1).all()


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_operations_are_pure_and_keep_missing_joints_missing(make_rows: MakeRows, name: str) -> None:
    x, operation = drawn(6, 3, 5, 4), OPERATIONS[name]
    x[2, :, 3, 1] = torch.nan
    before = x.clone()
    parameters = operation.draw(make_rows([5] * 6), *ARGUMENTS.get(name, (0.0,)))
    once, again = (operation.apply(x, parameters) for _ in range(2))
    torch.testing.assert_close(x, before, rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(once, again, rtol=0, atol=0, equal_nan=True)
    assert once.isnan().sum() == (0 if name == ZERO else 3)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_rows_of_one_sample_share_their_draws_but_for_noise(make_rows: MakeRows, name: str) -> None:
    rows = make_rows([9, 9, 9])
    rows = replace(rows, key=rows.key[[0, 1, 1]], sample=rows.sample[[0, 1, 1]], slot=torch.tensor([0, 0, 1]))
    parameters = OPERATIONS[name].draw(rows, *ARGUMENTS.get(name, (0.5,)))
    for tensor in parameters if isinstance(parameters, tuple) else (parameters,):
        if isinstance(tensor, torch.Tensor):
            assert torch.equal(tensor[1], tensor[2]) == (name != "noise")
