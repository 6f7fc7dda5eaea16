"""Processes that train one network together: what each of them has to know of the others' part of a batch.

On one process, and outside a training step, everything here gives back what it is given.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed
from torch.autograd.function import once_differentiable

Thing = TypeVar("Thing")

_TOGETHER: ContextVar[bool] = ContextVar("together", default=False)


@contextmanager
def together() -> Iterator[None]:
    """A stretch of code that all processes run at once, so that they may speak to each other in it."""
    token = _TOGETHER.set(True)
    try:
        yield
    finally:
        _TOGETHER.reset(token)


def world_size() -> int:
    """How many processes share the batch at hand; 1 outside `together`."""
    return distributed.get_world_size() if _TOGETHER.get() and distributed.is_initialized() else 1


def all_sum(x: Tensor) -> Tensor:
    """Sum a tensor over all processes.

    Args:
        x: Of one shape on all of them.

    Returns:
        The sum, the same everywhere. The gradient of each addend is the sum of what all processes have as theirs, as it
        is where one process computes everything.
    """
    if world_size() == 1:
        return x
    summed: Tensor = _AllSum.apply(x)  # type: ignore[no-untyped-call]  # torch's class is untyped
    return summed


def gather(x: Tensor) -> Tensor:
    """Stand the rows of all processes below each other: for a contrast with every sample of a step's batch.

    Args:
        x: Any number of rows, none too; their shape is the same on all processes.

    Returns:
        The rows of the first process, of the second, and so on: the order of the batch, the same everywhere. Gradients
        flow back to the process that a row comes from, summed over all processes.
    """
    if world_size() == 1:
        return x
    rows: Tensor = _Gather.apply(x)  # type: ignore[no-untyped-call]  # torch's class is untyped
    return rows


def gather_objects(thing: Thing) -> list[Thing]:
    """One thing of each process, in their order; slow, for messages."""
    if not distributed.is_initialized():
        return [thing]
    found: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(found, thing)
    return found


class _AllSum(torch.autograd.Function):
    """Sum over processes, forwards and backwards."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """The sum."""
        return _summed(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        """The sum of the gradients."""
        return _summed(grad)


class _Gather(torch.autograd.Function):
    """Rows of all processes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """The rows in the order of the processes."""
        size, rank = distributed.get_world_size(), distributed.get_rank()
        counts = torch.zeros(size, dtype=torch.int64, device=x.device)
        counts[rank] = len(x)
        distributed.all_reduce(counts)
        each = counts.tolist()
        padded = x.new_zeros(max(each), *x.shape[1:])
        padded[: len(x)] = x
        found = [torch.empty_like(padded) for _ in each]
        distributed.all_gather(found, padded)
        ctx.begin, ctx.count = sum(each[:rank]), len(x)
        return torch.cat([rows[:count] for rows, count in zip(found, each, strict=True)])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        """The gradient of our own rows, summed over processes."""
        return _summed(grad)[ctx.begin : ctx.begin + ctx.count]


def _summed(x: Tensor) -> Tensor:
    """A sum over processes, in a tensor of its own."""
    total = x.detach().clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(total)
    return total
