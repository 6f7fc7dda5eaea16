"""Batch norm over the rows of all processes, on any device, or over rows that count several times, in few passes."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.overrides import TorchFunctionMode


class _Given(NamedTuple):
    """The arguments of torch's `batch_norm`, in its order."""

    x: Tensor
    running_mean: Tensor | None
    running_var: Tensor | None
    weight: Tensor | None = None
    bias: Tensor | None = None
    training: bool = False
    momentum: float = 0.1
    eps: float = 1e-5


def _training_norm(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any] | None) -> _Given | None:
    """The arguments of a call, where it is one of `batch_norm` in training."""
    if func is not functional.batch_norm:
        return None
    named = dict(kwargs or {})
    given = _Given(named.pop("input") if "input" in named else args[0], *args[1:], **named)
    return given if given.training else None


class CommonNorms(TorchFunctionMode):
    """While it is entered, batch norm in training takes its statistics from the rows of all processes.

    Whoever calls torch's `batch_norm`, through a module of one or more dimensions or directly, gets the numbers that
    one process would have with all rows: outputs, gradients, and the running statistics, on all processes the same.
    Processes count by their elements, so they may have different numbers of rows, or none.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Replace `batch_norm` in training, and leave everything else as it is."""
        given = _training_norm(func, args, kwargs)
        if given is not None:
            return _common_norm(given)
        return func(*args, **(kwargs or {}))


class CountedNorms(TorchFunctionMode):
    """While it is entered, batch norm in training lets each row count as often as it is told.

    One row then stands for several equal ones, and gives the numbers that all of them would: outputs, gradients, and
    running statistics. On a CPU that takes a third of the time of torch's own norm of 32 bits, also where every row
    counts once.
    """

    def __init__(self, counts: Tensor | None) -> None:
        """Say how often each row counts, (rows,); None where all count once."""
        super().__init__()
        self._counts = counts

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Replace `batch_norm` in training where there is something to gain, and leave everything else as it is."""
        given = _training_norm(func, args, kwargs)
        if given is not None and given.x.numel():
            slow = given.x.device.type == "cpu" and given.x.dtype in (torch.float32, torch.float64)
            if slow or self._counts is not None:
                return _counted_norm(given, self._counts)
        return func(*args, **(kwargs or {}))


def _counted_norm(given: _Given, counts: Tensor | None) -> Tensor:
    """Norm rows that count several times, and move the running statistics."""
    x = given.x.contiguous()
    with torch.no_grad():
        mean, spread, total = _counted_statistics(x, counts)
        if given.running_mean is not None and given.running_var is not None:
            unbiased = spread * (total / max(total - 1, 1))
            given.running_mean.lerp_(mean.to(given.running_mean.dtype), given.momentum)
            given.running_var.lerp_(unbiased.to(given.running_var.dtype), given.momentum)
    weight = torch.ones_like(mean) if given.weight is None else given.weight
    bias = torch.zeros_like(mean) if given.bias is None else given.bias
    found = mean, spread, counts, total
    out: Tensor = _Counted.apply(x, weight, bias, found, given.eps)  # type: ignore[no-untyped-call]  # torch's is untyped
    return out


def _counted_statistics(x: Tensor, counts: Tensor | None) -> tuple[Tensor, Tensor, float]:
    """Mean and biased variance of each channel, and how many elements they have."""
    flat = x.flatten(2).to(_kind(x))
    total = float(len(x) if counts is None else counts.sum()) * flat.shape[2]
    sums = flat.sum(2)
    mean = (sums if counts is None else sums * counts[:, None]).sum(0) / total
    squares = torch.linalg.vector_norm(flat - mean[:, None], dim=2).square()
    return mean, (squares if counts is None else squares * counts[:, None]).sum(0) / total, total


class _Counted(torch.autograd.Function):
    """The norm itself, whose statistics depend on rows that count several times."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        found: tuple[Tensor, Tensor, Tensor | None, float],
        eps: float,
    ) -> Tensor:
        """Norm each channel."""
        mean, spread, counts, ctx.total = found
        ctx.save_for_backward(x, weight, mean, (spread + eps).rsqrt(), counts)
        return functional.batch_norm(x, mean, spread, weight, bias, training=False, eps=eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        """Gradients of rows, weight and bias; that of a row is the sum over all that it stands for."""
        x, weight, mean, scale, counts = ctx.saved_tensors
        centred = x.flatten(2).to(mean.dtype) - mean[:, None]
        upper = grad.contiguous().flatten(2).to(mean.dtype)
        sums = upper.sum((0, 2))
        tilts = (upper * centred).sum((0, 2))
        steep = weight.to(mean.dtype) * scale
        # what every element gets for having moved the statistics
        common = centred.mul_((steep * scale.square() * tilts / -ctx.total)[:, None])
        common.add_((steep * sums / -ctx.total)[:, None])
        if counts is not None:
            several = counts.ne(1).nonzero()[:, 0]
            common[several] *= counts[several][:, None, None]
        passed = common.add_(upper * steep[:, None]).view(x.shape).to(x.dtype)
        return passed, (tilts * scale).to(weight.dtype), sums.to(weight.dtype), None, None


def _kind(x: Tensor) -> torch.dtype:
    """In which type statistics of a tensor are computed."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


@torch.compiler.disable  # type: ignore[untyped-decorator]  # torch's is untyped
def _common_norm(given: _Given) -> Tensor:
    """Norm by the statistics of all processes, and move the running ones."""
    x, width = given.x, given.x.shape[1]
    means, spread, count = _statistics(x)
    if given.running_mean is not None and given.running_var is not None:
        unbiased = spread * (count / (count - 1).clamp(min=1))
        given.running_mean.lerp_(means.to(given.running_mean.dtype), given.momentum)
        given.running_var.lerp_(unbiased.to(given.running_var.dtype), given.momentum)
    kind = torch.float64 if x.dtype == torch.float64 else torch.float32
    weight = torch.ones(width, dtype=kind, device=x.device) if given.weight is None else given.weight
    bias = torch.zeros(width, dtype=kind, device=x.device) if given.bias is None else given.bias
    found = means, spread, count
    out: Tensor = _Normed.apply(x, weight, bias, found, given.eps)  # type: ignore[no-untyped-call]  # torch's is untyped
    return out


@torch.no_grad()
def _statistics(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, biased variance and number of elements of each channel, over all processes, in 64 bits."""
    width, count = x.shape[1], x.numel() // max(x.shape[1], 1)
    table = torch.zeros(distributed.get_world_size(), 2 * width + 1, dtype=torch.float64, device=x.device)
    if count:
        exact = x if x.dtype == torch.float64 else x.float()
        spread, mean = torch.var_mean(exact, _others(x), correction=0)
        own = [mean.double(), spread.double(), mean.new_full((1,), count, dtype=torch.float64)]
        table[distributed.get_rank()] = torch.cat(own)
    distributed.all_reduce(table)
    means, spreads, counts = table[:, :width], table[:, width:-1], table[:, -1:]
    total = counts.sum()
    share = counts / total.clamp(min=1)
    common = (means * share).sum(0)
    return common, ((spreads + (means - common).square()) * share).sum(0), total


class _Normed(torch.autograd.Function):
    """The norm itself, whose statistics depend on the rows of all processes."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, found: tuple[Tensor, Tensor, Tensor], eps: float
    ) -> Tensor:
        """Norm each channel by statistics in 64 bits."""
        mean, spread, count = found
        kind = torch.float64 if x.dtype == torch.float64 else torch.float32
        scale = (spread + eps).rsqrt().to(kind)
        ctx.save_for_backward(x, weight, mean.to(kind), scale, count)
        if x.numel() == 0:
            return torch.empty_like(x)
        # torch's own norm by given statistics: one pass on every device
        return functional.batch_norm(x, mean.to(kind), spread.to(kind), weight, bias, training=False, eps=eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        """Gradients of rows, weight and bias; those of the last two are this process's share."""
        x, weight, mean, scale, count = ctx.saved_tensors
        shape = (1, -1, *[1] * (x.ndim - 2))
        centred = x.to(mean.dtype) - mean.view(shape)
        upper = grad.to(mean.dtype)
        own = torch.stack([upper.sum(_others(x)), (upper * centred).sum(_others(x)) * scale])
        sums = own.to(torch.float64, copy=True)
        distributed.all_reduce(sums)
        shift, tilt = (sums / count.clamp(min=1)).to(mean.dtype)
        inner = upper - shift.view(shape) - centred * (tilt * scale).view(shape)
        passed = (inner * (weight.to(mean.dtype) * scale).view(shape)).to(x.dtype)
        return passed, own[1].to(weight.dtype), own[0].to(weight.dtype), None, None


def _others(x: Tensor) -> list[int]:
    """All axes but that of the channels."""
    return [axis for axis in range(x.ndim) if axis != 1]
