"""Freezing: parameters and running statistics that a stage leaves as they are, to the bit."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from skelbench.errors import RecipeError

ENCODER = ("encoder.*",)  # what linear evaluation freezes


def freeze(method: nn.Module, patterns: Sequence[str]) -> None:
    """Take the gradient from every parameter that a pattern names.

    Args:
        method: Encoder and head.
        patterns: Of names in its state, such as `encoder.*` or `encoder.blocks.0.*`.

    Raises:
        RecipeError: If a pattern names nothing.
    """
    names = list(method.state_dict())
    for pattern in patterns:
        # an encoder without a weight has nothing that could move
        if not any(fnmatchcase(name, pattern) for name in names) and pattern not in ENCODER:
            shown = ", ".join(sorted({name.rpartition(".")[0] or name for name in names})[:8])
            raise RecipeError(f"freeze: '{pattern}' names no parameter. There are {shown}, ...")
    for name, parameter in method.named_parameters():
        if _named(name, patterns):
            parameter.requires_grad_(False)


def hold(method: nn.Module, patterns: Sequence[str]) -> None:
    """Put what is frozen into eval mode, so that no running statistic moves and nothing is dropped.

    A module is held when all of its state is frozen, or any of its own statistics is. To be called after every
    `train()`, which undoes it.

    Args:
        method: In train mode.
        patterns: As in `freeze`.
    """
    if patterns:
        _hold(method, "", patterns)


def _hold(module: nn.Module, prefix: str, patterns: Sequence[str]) -> None:
    """Hold a module or what is below it."""
    tensors = [f"{prefix}{name}" for name in module.state_dict()]
    # a module without state, such as dropout, goes by its name
    if all(_named(name, patterns) for name in tensors or [prefix]):
        module.eval()
        return
    if any(_named(f"{prefix}{name}", patterns) for name, _ in module.named_buffers(recurse=False)):
        module.training = False
    for name, child in module.named_children():
        _hold(child, f"{prefix}{name}.", patterns)


def _named(name: str, patterns: Sequence[str]) -> bool:
    """Whether a pattern names a tensor or module."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)
