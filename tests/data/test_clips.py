"""Laws of every operation."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from skelbench.data.clips import ANYWHERE, LATE, OPERATIONS, SAMPLING, ZERO
from skelbench.data.rows import Rows
from skelbench.steps import Span

MakeRows = Callable[..., Rows]
ARGUMENTS = {"zero": (), "minmax": (), "random-move": (), "random-view": (60, Span(0.5, 1.5))}


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_no_name_is_an_operation_and_a_sampling_step() -> None:
    assert not OPERATIONS.keys() & SAMPLING.keys()
    assert OPERATIONS.keys() >= ANYWHERE | LATE


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


@pytest.mark.parametrize("name", sorted(OPERATIONS))
@pytest.mark.parametrize("channels", [3, 2])
def test_operations_work_on_any_number_of_frames(make_rows: MakeRows, name: str, channels: int) -> None:
    if name == "random-view" and channels == 2:
        pytest.skip("needs depth")
    for frames in (1, 2, 7):
        x = drawn(3, channels, frames, 4)
        rows = make_rows([frames] * 3, channels=channels)
        found = OPERATIONS[name].apply(x, OPERATIONS[name].draw(rows, *ARGUMENTS.get(name, (0.5,))))
        assert found.shape == x.shape
        assert found.isfinite().all() or name == "drop-joints"
