from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from skelbench.data.geometry import (
    Boxes,
    Mirroring,
    Move,
    View,
    apply_flip,
    apply_minmax,
    apply_random_move,
    apply_random_view,
    apply_rotate,
    apply_scale,
    draw_flip,
    draw_minmax,
    draw_random_move,
    draw_random_view,
    draw_rotate,
    draw_scale,
    draw_shear,
    turn,
)
from skelbench.data.rows import Rows
from skelbench.errors import RecipeError
from skelbench.steps import Span

MakeRows = Callable[..., Rows]
NAN = float("nan")


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


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


def test_given_angles_turn_z_to_y_then_x_to_z_then_y_to_x() -> None:
    quarter = torch.eye(3) * torch.pi / 2
    turned = turn(quarter) @ torch.eye(3)
    torch.testing.assert_close(turned[0] @ torch.tensor([0.0, 0, 1]), torch.tensor([0.0, 1, 0]), atol=1e-6, rtol=0)
    torch.testing.assert_close(turned[1] @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 0, 1]), atol=1e-6, rtol=0)
    torch.testing.assert_close(turned[2] @ torch.tensor([0.0, 1, 0]), torch.tensor([1.0, 0, 0]), atol=1e-6, rtol=0)
    angles = drawn(6, 3).double()
    single = [turn(angles * axis) for axis in torch.eye(3).double()]
    torch.testing.assert_close(turn(angles), single[2] @ single[1] @ single[0])


def test_an_image_turns_about_z_only(make_rows: MakeRows) -> None:
    rows = make_rows([5] * 4)
    flat = draw_rotate(replace(rows, channels=2), 0.1, 0.2, 0.3)
    assert torch.equal(flat, draw_rotate(rows, 0.0, 0.0, 0.3)[:, :2, :2])


def test_other_channels_cannot_be_turned(make_rows: MakeRows) -> None:
    with pytest.raises(RecipeError, match="rotate: joints have 5 channels, expected 2 or 3"):
        draw_rotate(make_rows([5], channels=5), 0.3)
    with pytest.raises(RecipeError, match="random-view: joints have 2 channels, expected 3"):
        draw_random_view(make_rows([5], channels=2), 60, Span(0.5, 1.5))
    with pytest.raises(RecipeError, match="random-move: joints have 1 channels, expected 2 or more"):
        draw_random_move(make_rows([5], channels=1))


def test_a_given_matrix_turns_every_joint() -> None:
    x, matrix = drawn(2, 3, 5, 4), torch.linalg.qr(drawn(2, 3, 3)).Q
    expected = np.einsum("rij,rjtv->ritv", matrix.numpy(), x.numpy())
    np.testing.assert_allclose(apply_rotate(x, matrix), expected, atol=1e-5)


def test_views_are_whole_degrees_and_all_of_them(make_rows: MakeRows) -> None:
    view = draw_random_view(make_rows([5] * 60_000), 3, Span(0.5, 1.5))
    for axis in range(2):
        counts = torch.bincount(view.degrees[:, axis] + 3, minlength=7)
        assert counts.tolist() == pytest.approx([60_000 / 7] * 7, rel=0.05)
    together = torch.stack([view.degrees[:, 0], view.degrees[:, 1], view.scale], 1).double()
    assert (torch.corrcoef(together.T) - torch.eye(3)).abs().max() < 0.02
    assert 0.5 <= view.scale.min() < 0.501
    assert 1.499 < view.scale.max() < 1.5
    assert abs(view.scale.mean() - 1) < 0.005


def test_a_given_view_turns_about_y_first_and_scales() -> None:
    x = drawn(3, 3, 5, 4)
    view = View(torch.tensor([[90, 0], [0, 90], [30, -50]]), torch.tensor([1.0, 2.0, 0.5]))
    seen = apply_random_view(x, view)
    torch.testing.assert_close(seen[0], torch.stack([x[0, 0], -x[0, 2], x[0, 1]]), atol=1e-6, rtol=0)
    torch.testing.assert_close(seen[1], 2 * torch.stack([x[1, 2], x[1, 1], -x[1, 0]]), atol=1e-6, rtol=0)
    a, b = np.radians(30), np.radians(-50)
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    expected = 0.5 * about_x @ about_y @ x[2].flatten(1).double().numpy()
    np.testing.assert_allclose(seen[2].flatten(1), expected, atol=1e-6)


def test_every_channel_is_fitted_into_its_box(make_rows: MakeRows) -> None:
    x = drawn(2, 3, 5, 4)
    fitted = apply_minmax(x, draw_minmax(make_rows([5, 5])))
    assert fitted.amin((2, 3)).tolist() == [[-1] * 3] * 2
    torch.testing.assert_close(fitted.amax((2, 3)), torch.ones(2, 3))
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    torch.testing.assert_close(fitted, (x - low) / (high - low) * 2 - 1)


def boxes(sample: list[int], x: torch.Tensor) -> Boxes:
    return Boxes(torch.tensor(sample), torch.full((len(sample),), x.shape[2]))


def test_what_follows_a_samples_end_does_not_widen_the_box() -> None:
    x = drawn(1, 3, 5, 4) + 3
    longer = torch.cat([x, torch.zeros(1, 3, 7, 4)], 2)
    fitted = apply_minmax(longer, Boxes(torch.tensor([0]), torch.tensor([5])))
    assert torch.equal(fitted[:, :, :5], apply_minmax(x, boxes([0], x)))


def test_persons_of_a_sample_share_their_box() -> None:
    x = drawn(3, 3, 5, 4)
    fitted = apply_minmax(x, boxes([0, 1, 1], x))
    both = torch.cat([x[1], x[2]], 1)[None]
    together = apply_minmax(both, boxes([0], both))[0]
    assert torch.equal(fitted[1:], torch.stack(together.split(5, 1)))
    assert torch.equal(fitted[:1], apply_minmax(x[:1], boxes([0], x)))


def test_what_is_missing_does_not_widen_the_box() -> None:
    x = drawn(1, 3, 5, 4)
    longer = torch.cat([x, torch.full((1, 3, 7, 4), NAN)], 2)
    nobody = torch.full_like(longer, NAN)
    fitted = apply_minmax(torch.cat([longer, nobody, nobody]), boxes([0, 0, 1], longer))
    assert torch.equal(fitted[0, :, :5], apply_minmax(x, boxes([0], x))[0])
    assert fitted[0, :, 5:].isnan().all()
    assert fitted[1:].isnan().all()


@pytest.mark.parametrize("jitter", [0.0, 1e-7])
def test_a_flat_channel_lies_in_the_middle(jitter: float) -> None:
    x = drawn(2, 3, 1, 4)
    x[0, 2] = 3 + jitter * drawn(4)
    x[1] = 0.5
    fitted = apply_minmax(x, boxes([0, 1], x))
    assert fitted[0, 2].abs().max() <= 1e-6
    assert not fitted[1].any()
    assert fitted.isfinite().all()
    assert fitted[0, :2].abs().max() == 1


def test_moves_are_drawn_from_the_candidates_of_the_source(make_rows: MakeRows) -> None:
    move = draw_random_move(make_rows([5] * 30_000))
    candidates = [
        (move.degrees, [-10, -5, 0, 5, 10]),
        (move.scale, [0.9, 1, 1.1]),
        (move.shift, [-0.2, -0.1, 0, 0.1, 0.2]),
    ]
    for values, expected in candidates:
        found, counts = values.unique(return_counts=True)
        torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float32), atol=1e-7, rtol=0)
        assert (counts / values.numel()).tolist() == pytest.approx([1 / len(expected)] * len(expected), rel=0.05)
    columns = torch.cat([move.degrees, move.scale, move.shift.flatten(1)], 1).double()
    assert (torch.corrcoef(columns.T) - torch.eye(8)).abs().max() < 0.03


def test_a_given_move_changes_evenly_from_the_first_frame_to_the_last() -> None:
    x = drawn(1, 3, 3, 4)
    move = Move(
        degrees=torch.tensor([[0.0, 90]]),
        scale=torch.tensor([[1.0, 3]]),
        shift=torch.tensor([[[0.0, 2], [4, 0]]]),
        frames=torch.tensor([3]),
        channels=3,
    )
    moved = apply_random_move(x, move)[0]
    (u, v), half = x[0, :2], 0.5**0.5
    torch.testing.assert_close(moved[:2, 0], torch.stack([u[0], v[0] + 4]))
    middle = torch.stack([2 * half * (u[1] - v[1]) + 1, 2 * half * (u[1] + v[1]) + 2])
    torch.testing.assert_close(moved[:2, 1], middle)
    torch.testing.assert_close(moved[:2, 2], torch.stack([-3 * v[2] + 2, 3 * u[2]]), atol=1e-5, rtol=0)
    assert torch.equal(moved[2], x[0, 2])


def test_every_stream_moves_in_its_first_two_channels(make_rows: MakeRows) -> None:
    x, move = drawn(2, 3, 5, 4), draw_random_move(make_rows([5, 5]))
    both = apply_random_move(torch.cat([x, 2 * x], 1), move)
    assert torch.equal(both[:, :3], apply_random_move(x, move))
    assert torch.equal(both[:, 3:], apply_random_move(2 * x, move))


def test_a_move_lasts_as_long_as_the_sample_whoever_else_is_there(make_rows: MakeRows) -> None:
    rows = make_rows([5, 9])
    x = drawn(2, 3, 9, 4)
    x[0, :, 5:] = NAN
    alone = apply_random_move(x[:1, :, :5], draw_random_move(make_rows([5])))
    assert torch.equal(apply_random_move(x, draw_random_move(rows))[:1, :, :5], alone)


def test_a_shear_adds_shares_of_the_other_channels(make_rows: MakeRows) -> None:
    matrix = draw_shear(make_rows([5] * 2000), 0.5)
    diagonal = torch.eye(3).bool()
    assert (matrix[:, diagonal] == 1).all()
    others = matrix[:, ~diagonal]
    assert -0.5 <= others.min() < -0.49
    assert 0.49 < others.max() < 0.5
    assert (torch.corrcoef(others.T) - torch.eye(6)).abs().max() < 0.08
    assert draw_shear(make_rows([5], channels=2), 0.5).shape == (1, 2, 2)


def test_a_given_factor_scales_every_joint() -> None:
    x = drawn(2, 3, 5, 4)
    torch.testing.assert_close(apply_scale(x, torch.tensor([[2.0], [0.5]]))[1], x[1] / 2)


@pytest.mark.parametrize(
    ("draw", "value"),
    [
        (draw_rotate, NAN),
        (draw_rotate, -1.0),
        (draw_scale, 1.0),
        (draw_scale, -0.1),
        (draw_flip, 1.5),
        (draw_shear, 1.5),
    ],
)
def test_an_amount_that_makes_no_sense_is_refused(
    make_rows: MakeRows, draw: Callable[..., object], value: float
) -> None:
    with pytest.raises(RecipeError, match=f"{value:g}, expected"):
        draw(make_rows([5]), value)


@pytest.mark.parametrize(
    ("degrees", "scale", "said"),
    [
        (200, Span(1.0, 1.0), "found 200, expected 0 to 180"),
        (60, Span(0.0, 1.0), "a factor of 0-1, expected a span above 0"),
    ],
)
def test_a_view_that_makes_no_sense_is_refused(make_rows: MakeRows, degrees: int, scale: Span, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        draw_random_view(make_rows([5]), degrees, scale)


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
