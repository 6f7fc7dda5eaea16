"""How parameters move: groups, optimiser, schedule of the rate, and the average of weights that may be scored."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, Field
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from skelbench.errors import RecipeError

Share = Annotated[float, Field(ge=0, lt=1)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Group(BaseModel, frozen=True, extra="forbid"):
    """Parameters that are trained otherwise than the rest; the first group that matches a parameter has it."""

    match: tuple[str, ...] = ("*",)  # patterns of parameter names: "encoder.*", "*.graph"
    vectors: bool = False  # of these, only biases and norms: at most one axis
    lr: Amount | None = None  # peak rate; the schedule applies to it
    weight_decay: Amount | None = None


class OptimRecipe(BaseModel, frozen=True, extra="forbid"):
    """The `optim.*` section of a recipe: how a stage is trained."""

    name: Literal["sgd", "adamw"]  # sgd takes Nesterov steps where momentum is above 0
    lr: Amount  # peak rate
    momentum: Share  # sgd only
    weight_decay: Amount
    epochs: Annotated[int, Field(ge=0, le=100_000)]
    warmup: Amount  # linear: below 1 the share of all steps, else a number of epochs
    schedule: Literal["cosine", "step", "constant"]  # cosine ends at 0; step multiplies by 0.1
    steps: tuple[Annotated[int, Field(ge=1)], ...]  # epochs before which `step` multiplies
    clip: Amount  # greatest norm of the gradient; 0 for no limit
    groups: tuple[Group, ...]
    warmup_by: Literal["step", "epoch"] = "step"  # how often the warm-up raises the rate
    accumulate: Annotated[int, Field(ge=1, le=1_000_000)] = 1  # pieces of a step's batch, one after the other
    ema: Share = 0.0  # decay of the average of weights that is scored; 0 scores the weights themselves
    compile: bool = False  # the encoder through torch.compile while it is trained


def make_optimiser(method: nn.Module, optim: OptimRecipe) -> Optimizer:
    """Build the optimiser, its parameters in groups.

    Args:
        method: Has the parameters; those that require no gradient are left out.
        optim: Name, rates and groups; the first group that matches a parameter has it.

    Returns:
        The optimiser; each of its groups keeps its peak rate under `peak`.

    Raises:
        RecipeError: If the patterns of a group match no parameter.
    """
    rest = Group()
    members: list[list[nn.Parameter]] = [[] for _ in (*optim.groups, rest)]
    for name, parameter in method.named_parameters():
        place = next(i for i, group in enumerate((*optim.groups, rest)) if _belongs(name, parameter, group))
        members[place].append(parameter)
    groups = []
    for group, matched in zip((*optim.groups, rest), members, strict=True):
        if not matched and group.match != ("*",):
            raise RecipeError(f"optim.groups: {list(group.match)} match no trained parameter of {_name(method)}.")
        parameters = [parameter for parameter in matched if parameter.requires_grad]
        if parameters:
            peak = optim.lr if group.lr is None else group.lr
            decay = optim.weight_decay if group.weight_decay is None else group.weight_decay
            groups.append({"params": parameters, "lr": peak, "peak": peak, "weight_decay": decay})
    if optim.name == "adamw":
        return AdamW(groups, lr=optim.lr)
    return SGD(groups, lr=optim.lr, momentum=optim.momentum, nesterov=optim.momentum > 0)


def lr_factor(optim: OptimRecipe, progress: float, step: float = 0.0) -> float:
    """What the peak rate is multiplied by in a step.

    Args:
        optim: Warm-up, schedule, steps and epochs.
        progress: Share of the stage's steps that are done before it, at least 0 and below 1.
        step: Share that the step itself is.

    Returns:
        A number from 0 to 1; the linear warm-up multiplies the schedule. Of n warm-up steps the first has 1/n of the
        rate and the last all of it, so that none is wasted on a rate of 0; raised by epochs, all steps of an epoch have
        the rate of its last one, as Uason-Chen/CTR-GCN (main.py at e13d7582) does it.
    """
    share = optim.warmup if optim.warmup < 1 else optim.warmup / optim.epochs
    done = progress + step
    if optim.warmup_by == "epoch":
        done = (math.floor(progress * optim.epochs + 1e-9) + 1) / optim.epochs
    rising = min(1.0, done / share) if share > 0 else 1.0
    if optim.schedule == "cosine":
        return rising * 0.5 * (1 + math.cos(math.pi * progress))
    if optim.schedule == "step":
        epoch = progress * optim.epochs + 1e-9  # the share of a whole epoch may fall a rounding short of it
        return rising * 0.1 ** sum(epoch >= at for at in optim.steps)
    return rising


class Average:
    """An exponential moving average of all weights and running statistics of a method.

    Source: decay as in TensorFlow's ExponentialMovingAverage with num_updates: after n updates at most
    (1 + n) / (10 + n), so that the random start is soon forgotten.
    """

    def __init__(self, method: nn.Module, decay: float) -> None:
        """Begin with the state of a method.

        Args:
            method: What is averaged; its state is read in place at every update.
            decay: Share that stays of the average at an update.
        """
        self.decay, self.updates = decay, 0
        live = {name: tensor.detach() for name, tensor in method.state_dict(keep_vars=True).items()}
        self._live = {name: tensor for name, tensor in live.items() if tensor.is_floating_point()}
        self._counts = {name: tensor for name, tensor in live.items() if not tensor.is_floating_point()}
        self.tensors = {name: tensor.clone() for name, tensor in live.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Move towards the weights as they are; whole numbers are taken over."""
        self.updates += 1
        weight = 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))
        kept = [self.tensors[name] for name in self._live]
        # what has not moved stays to the bit, a zero with its sign too: lerp would make +0 of -0
        torch._foreach_sub_(kept, torch._foreach_sub(kept, list(self._live.values())), alpha=weight)
        for name, tensor in self._counts.items():
            self.tensors[name].copy_(tensor)

    def load(self, tensors: Mapping[str, Tensor], updates: int) -> None:
        """Take over an average that was saved.

        Args:
            tensors: One for each name of `tensors`.
            updates: How many made it.

        Raises:
            KeyError: If one is missing.
        """
        for name, tensor in self.tensors.items():
            tensor.copy_(tensors[name])
        self.updates = updates

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the average with the weights."""
        for name, live in {**self._live, **self._counts}.items():
            kept = live.clone()
            live.copy_(self.tensors[name])
            self.tensors[name].copy_(kept)


@contextmanager
def averaged(average: Average | None) -> Iterator[None]:
    """Let a method have its averaged weights for a while; without an average, its own."""
    if average is None:
        yield
        return
    average.swap()
    try:
        yield
    finally:
        average.swap()


def _belongs(name: str, parameter: nn.Parameter, group: Group) -> bool:
    """Whether a group has a parameter."""
    return any(fnmatchcase(name, pattern) for pattern in group.match) and (parameter.ndim <= 1 or not group.vectors)


def _name(method: nn.Module) -> str:
    """A method and its encoder, for messages."""
    encoder = getattr(method, "encoder", None)
    return f"{type(method).__name__} on {type(encoder).__name__}" if encoder is not None else type(method).__name__
