from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from skelbench.data.ragged import frames_of
from skelbench.data.types import Batch, Clip, Task
from skelbench.errors import RunError
from skelbench.methods.method import Loss
from skelbench.parts import stage_parts
from skelbench.plan import plan_runs
from skelbench.preflight import check_finite, check_input, check_targets, fit, push
from skelbench.provenance import code_version, environment
from skelbench.request import RunRequest

TASK = Task("single", ("a", "b"), (1, 1))


class Way(nn.Module):
    """A method whose loss can be made wrong."""

    def __init__(self, case: str = "good") -> None:
        super().__init__()
        self.case = case
        self.norm = nn.BatchNorm1d(1)

    def loss(self, batch: Batch) -> Loss:
        good = self.norm(batch.clips[0].x[:, :, 0, 0]).square().mean()
        wrong = {"detached": good.detach(), "vector": good.expand(2), "inf": good * torch.inf}
        return Loss(wrong.get(self.case, good), {})

    def predict(self, batch: Batch) -> Tensor:
        return torch.zeros(len(batch.target), 3 if self.case == "wide" else 2)


def batch(value: float = 1.0) -> Batch:
    x = torch.arange(4.0).view(4, 1, 1, 1).clone()
    x[2] = value
    clip = Clip(x, torch.zeros(4, dtype=torch.int64), torch.arange(4), torch.zeros(4))
    return Batch((clip,), torch.arange(10, 14), torch.zeros(4, dtype=torch.int64), 1, {}, 0.0)


@pytest.mark.parametrize(
    ("train", "test", "words"),
    [
        ([], [0], "0 training and 1 test samples"),
        ([0, 2], [0], r"Sample s1: label 2, expected 0 to 1 \(1 samples"),
        ([0, 1], [-1], "Sample s2: label -1"),
        ([1, 1], [0], "holds 1 class of 2, expected at least 2"),
    ],
)
def test_targets_that_cannot_be_learnt_are_named(train: list[int], test: list[int], words: str) -> None:
    with pytest.raises(RunError, match=words):
        check_targets(TASK, np.array(train, int), np.array(test, int), ids=["s0", "s1", "s2"])


def test_targets_of_several_classes_pass() -> None:
    check_targets(Task("multi", ("a",), (1,)), np.ones((2, 1)), np.ones((1, 1)), ids=["a", "b", "c"])


def test_a_push_touches_nothing() -> None:
    method = Way()
    flight = push(method, batch(), batch(), outputs=2)
    assert flight.step_seconds > 0
    assert not method.norm.running_mean.any()
    assert method.norm.weight.grad is None
    assert push(method, None, batch(), outputs=2).step_seconds == 0


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("detached", "depends on no parameter"),
        ("vector", "expected one finite number"),
        ("inf", "the loss of the first batch is inf"),
        ("wide", r"shape \(4, 3\), expected \(samples, classes\) = \(4, 2\)"),
    ],
)
def test_a_method_that_does_not_keep_its_word_is_named(case: str, words: str) -> None:
    with pytest.raises(RunError, match=words):
        push(Way(case), batch(), batch(), outputs=2)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_input_that_is_not_finite_is_named(value: float) -> None:
    with pytest.raises(RunError, match="1 of 4 rows of a batch are not finite, the first in sample 12"):
        check_input(batch(value))


def test_the_version_of_the_code_is_one_and_the_environment_is_text() -> None:
    assert code_version() == code_version()
    assert code_version().count("+") == 1
    assert all(isinstance(value, str) and value for value in environment().values())


@pytest.mark.usefixtures("store")
def test_infinite_coordinates_anywhere_in_a_part_are_named_before_training() -> None:
    (cell,) = plan_runs(RunRequest(dataset="nw_ucla", device="cpu"))
    part = stage_parts(cell.last, torch.device("cpu"), scored=True).train
    check_finite(part)
    rows = part.frames.rows.clone()
    for sample, value in ((40, torch.inf), (7, -torch.inf)):
        rows[int(part.tracks.last[part.tracks.begin[sample]]), 1, 7] = value
    with pytest.raises(RunError, match=f"Coordinates of {part.items.ids[7]}, {part.items.ids[40]} are infinite after"):
        check_finite(replace(part, frames=frames_of(rows)))


def test_what_was_loaded_is_not_fitted_again() -> None:
    class Fitted(nn.Module):
        def __init__(self, told: list[str], name: str) -> None:
            super().__init__()
            self.told, self.name = told, name

        def fit(self, batches: Any) -> None:
            self.told.append(self.name)

    told: list[str] = []
    method = Fitted(told, "method")
    method.encoder = Fitted(told, "encoder")
    for loaded in ((), ("encoder",), ("encoder", "method")):
        fit(method, list, loaded=loaded)
    assert told == ["encoder", "method", "method"]
