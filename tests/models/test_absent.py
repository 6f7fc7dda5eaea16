"""Absent persons computed once, and norms in which a row counts several times: the numbers of all rows."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from skelbench.data.types import InputSpec
from skelbench.models.blocks import InputNorm, encode_once
from skelbench.models.ctrgcn import CtrGcn
from skelbench.models.stgcn import StGcn
from skelbench.models.unik import Unik
from skelbench.norms import CountedNorms
from skelbench.skeletons import load_layout

SPEC = InputSpec(layout=load_layout("kinect_v1"), streams=(3,), frames=16, slots=2)
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "unik": lambda: Unik(SPEC, width=8, arithmetic="fused", input_slots=2),
    "unik, one norm": lambda: Unik(SPEC, width=8, arithmetic="fused"),
    "ctrgcn": lambda: CtrGcn(SPEC, width=8, arithmetic="fused", input_slots=2),
    "stgcn": lambda: StGcn(SPEC, width=8, arithmetic="fused"),
}


def clips(samples: int, absent: list[int]) -> tuple[Tensor, Tensor]:
    """All slots of some samples, in order; the rows that are named show nobody."""
    x = torch.randn(2 * samples, 3, 16, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.3
    x[absent] = 0
    return x, torch.arange(2).repeat(samples)


def learnt(network: nn.Module, x: Tensor, slot: Tensor) -> list[Tensor]:
    """Output, gradients and statistics of a training step, then the output in eval mode."""
    torch.manual_seed(1)
    for parameter in network.parameters():
        nn.init.normal_(parameter, 0.1, 0.3)
    out = network(x, slot)
    slopes = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view(out.shape)
    (out * slopes).sum().backward()
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    with torch.no_grad():
        return [out.detach(), *gradients, *network.buffers(), network.eval()(x, slot)]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("absent", [[], [1, 3, 9], [1, 3, 5, 7, 9], [0, 1, 5, 8], list(range(10))], ids=str)
def test_absent_persons_computed_once_give_the_numbers_of_all_rows(
    name: str, absent: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, slot = clips(5, absent)
    torch.manual_seed(0)
    once = learnt(NETWORKS[name]().double(), x, slot)
    module = name.partition(",")[0]
    monkeypatch.setattr(f"skelbench.models.{module}.encode_once", lambda blocks, norm, x, slot: blocks(norm(x, slot)))
    torch.manual_seed(0)
    whole = learnt(NETWORKS[name]().double(), x, slot)
    assert len(once) == len(whole)
    for one, other in zip(once, whole, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-9)


def test_only_rows_that_differ_go_through_the_blocks() -> None:
    x, slot = clips(5, [1, 3, 9])
    seen: list[int] = []

    def blocks(rows: Tensor) -> Tensor:
        seen.append(len(rows))
        return rows

    out = encode_once(blocks, InputNorm(SPEC, 2).double(), x, slot)
    assert seen == [8]
    assert len(out) == 10


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", [(4, 5, 6, 7), (4, 5, 6)], ids=str)
@pytest.mark.parametrize("counts", [None, [1.0, 3.0, 1.0, 2.0]], ids=["once", "several"])
def test_a_row_that_counts_several_times_is_as_many_equal_rows(
    counts: list[float] | None, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    given = torch.randn(shape, generator=torch.Generator().manual_seed(0)).mul(3).add(1).to(dtype)
    slopes = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    times = torch.tensor(counts or [1.0] * 4)
    which = torch.arange(4).repeat_interleave(times.long())
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    norms = [(nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d)(5, dtype=wide) for _ in range(2)]
    few = given.clone().requires_grad_()
    with CountedNorms(None if counts is None else times):
        out = norms[0](few)
    (out * slopes * times.view(-1, *[1] * (len(shape) - 1)).to(dtype)).sum().backward()
    many = given[which].clone().requires_grad_()
    whole = norms[1](many)
    (whole * slopes[which]).sum().backward()
    assert few.grad is not None
    assert many.grad is not None
    gathered = torch.zeros_like(few.grad).index_add(0, which, many.grad)
    near = {"rtol": 0.05, "atol": 0.1} if dtype == torch.bfloat16 else {"rtol": 1e-4, "atol": 1e-5}
    pairs = [(out[which], whole), (few.grad, gathered)]
    pairs += list(zip(norms[0].buffers(), norms[1].buffers(), strict=True))[:2]
    pairs += [(one.grad, other.grad) for one, other in zip(norms[0].parameters(), norms[1].parameters(), strict=True)]
    for one, other in pairs:
        torch.testing.assert_close(one, other, **near)


def test_norms_in_eval_mode_and_other_functions_stay_as_they_are() -> None:
    norm, x = nn.BatchNorm2d(5).eval(), torch.randn(4, 5, 2, 3)
    before = norm(x)
    with CountedNorms(torch.ones(4)):
        assert torch.equal(norm(x), before)
        assert torch.equal(torch.relu(x), x.clamp(min=0))
