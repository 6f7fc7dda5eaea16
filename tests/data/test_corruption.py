from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from scipy import stats

from skelbench.data.corruption import (
    apply_drop_joints,
    apply_noise,
    apply_reverse,
    apply_zero,
    draw_drop_joints,
    draw_noise,
    draw_reverse,
)
from skelbench.data.rows import Rows
from skelbench.errors import RecipeError

MakeRows = Callable[..., Rows]


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_zeros_stand_for_what_is_missing() -> None:
    x = drawn(2, 3, 5, 4)
    x[0, :, 2] = torch.nan
    found = apply_zero(x, None)
    assert not found[0, :, 2].any()
    assert torch.equal(found[1], x[1])
    assert x[0, :, 2].isnan().all()


def test_noise_is_normal_and_of_each_person_its_own(make_rows: MakeRows) -> None:
    rows = make_rows([400] * 4)
    rows = replace(rows, key=rows.key[[0, 0, 1, 1]], slot=torch.tensor([0, 1, 0, 1]))
    noise = draw_noise(rows, 0.02)
    assert noise.shape == (4, 3, 400, 4)
    assert (torch.corrcoef(noise.flatten(1).double()) - torch.eye(4)).abs().max() < 0.05
    assert (torch.corrcoef(noise[0].flatten(1).double()) - torch.eye(3)).abs().max() < 0.1
    assert stats.kstest(noise.flatten().numpy() / 0.02, "norm").pvalue > 1e-3
    x = drawn(4, 3, 400, 4)
    assert torch.equal(apply_noise(x, noise), x + noise)


def test_noise_does_not_depend_on_the_longest_sample(make_rows: MakeRows) -> None:
    rows = make_rows([5, 9])
    assert torch.equal(draw_noise(replace(rows, extent=30), 1.0)[:, :, :9], draw_noise(rows, 1.0))


def test_samples_are_played_backwards_with_the_given_probability(make_rows: MakeRows) -> None:
    x, rows = drawn(3000, 1, 7, 1), make_rows([7] * 3000)
    order = draw_reverse(rows, 0.3)
    back = order[:, 0] == 6
    assert abs(back.double().mean() - 0.3) < 0.03
    found = apply_reverse(x, order)
    assert torch.equal(found[back], x[back].flip(2))
    assert torch.equal(found[~back], x[~back])


def test_only_the_frames_of_the_sample_are_turned_round(make_rows: MakeRows) -> None:
    rows = replace(make_rows([3, 5]), extent=5)
    x = drawn(2, 3, 5, 4)
    x[0, :, 3:] = torch.nan
    found = apply_reverse(x, draw_reverse(rows, 1.0))
    assert torch.equal(found[0, :, :3], x[0, :, :3].flip(1))
    assert found[0, :, 3:].isnan().all()
    assert torch.equal(found[1], x[1].flip(1))


def test_each_joint_is_dropped_for_itself_throughout_the_clip(make_rows: MakeRows) -> None:
    rows = make_rows([5] * 5000)
    dropped = draw_drop_joints(rows, 0.2)
    assert dropped.double().mean(0).tolist() == pytest.approx([0.2] * 4, abs=0.02)
    assert (torch.corrcoef(dropped.T.double()) - torch.eye(4)).abs().max() < 0.05
    x = drawn(5000, 3, 2, 4)
    found = apply_drop_joints(x, dropped)
    assert torch.equal(found.isnan().all((1, 2)), dropped)
    assert torch.equal(found.isnan().any(1).any(1), dropped)


@pytest.mark.parametrize(
    ("draw", "value", "said"),
    [
        (draw_noise, -1.0, "noise: found -1, expected a standard deviation from 0 on"),
        (draw_noise, float("inf"), "noise: found inf"),
        (draw_reverse, 1.5, "reverse: found 1.5, expected 0 to 1"),
        (draw_drop_joints, float("nan"), "drop-joints: found nan, expected 0 to 1"),
    ],
)
def test_an_amount_that_makes_no_sense_is_refused(
    make_rows: MakeRows, draw: Callable[..., object], value: float, said: str
) -> None:
    with pytest.raises(RecipeError, match=said):
        draw(make_rows([5]), value)
