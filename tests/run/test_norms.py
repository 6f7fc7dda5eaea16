"""Batch norm over the rows of all processes, here in a group of one: the numbers of torch's own."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, distributed, nn

from skelbench.norms import CommonNorms

NORMS = {
    "as it comes": lambda: nn.BatchNorm2d(5),
    "without weights": lambda: nn.BatchNorm2d(5, affine=False),
    "without running statistics": lambda: nn.BatchNorm2d(5, track_running_stats=False),
    "with the mean of all batches": lambda: nn.BatchNorm2d(5, momentum=None),
}


@pytest.fixture
def group() -> Iterator[None]:
    distributed.init_process_group("gloo", rank=0, world_size=1, store=distributed.HashStore())
    yield
    distributed.destroy_process_group()


def learnt(norm: nn.Module, x: Tensor) -> list[Tensor]:
    """Output, gradients and statistics after two training steps."""
    x = x.clone().requires_grad_()
    norm(x[:3].detach())
    out = norm(x)
    (out * torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view(out.shape)).sum().backward()
    assert x.grad is not None
    gradients = [parameter.grad for parameter in norm.parameters() if parameter.grad is not None]
    return [out.detach(), x.grad, *gradients, *norm.buffers()]


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize("kind", NORMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_norm_over_all_processes_is_torchs_own_where_there_is_one(kind: str, dtype: torch.dtype) -> None:
    x = torch.randn(7, 5, 3, 4, dtype=dtype, generator=torch.Generator().manual_seed(0)) * 3 + 1
    own = learnt(NORMS[kind]().to(dtype), x)
    with CommonNorms():
        common = learnt(NORMS[kind]().to(dtype), x)
    assert len(common) == len(own)
    for one, other in zip(common, own, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
