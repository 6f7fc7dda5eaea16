"""One stage at work: its data prepared, its method built, loaded, fitted, frozen, and tried on a batch."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn

from skelbench.cell import Cell, Planned
from skelbench.data.types import Share
from skelbench.evaluate import chance
from skelbench.freeze import freeze
from skelbench.initial import Source, Weights, classes_digest, load_weights, parse_weights, read_weights, warnings
from skelbench.methods.method import learns_by_gradient
from skelbench.parts import Parts, stage_parts
from skelbench.preflight import Flight, check_gradient, fit, guarded, push
from skelbench.record import Init
from skelbench.resume import checkpoint_bytes
from skelbench.standing import stage_file
from skelbench.train import draw_seed, own_randomness

_TRIED = 4  # part of a training batch that is tried before the first step: one in so many


@dataclass(frozen=True)
class Running:
    """A stage, ready to be trained."""

    cell: Cell
    place: int  # of the stage, counted from 0
    fabric: Fabric
    parts: Parts
    method: Any  # a Method, with weights loaded and frozen as the stage says
    init: Init | None  # what was loaded
    fitting: float  # seconds
    messages: tuple[str, ...]

    @property
    def plan(self) -> Planned:
        """What was settled of it."""
        return self.cell.stages[self.place]

    @property
    def scored(self) -> bool:
        """Whether it is the last."""
        return self.place == len(self.cell.stages) - 1

    @property
    def situation(self) -> str:
        """Samples, classes and chance, in a sentence."""
        split, task, parts = self.plan.split, self.parts.task, self.parts
        metric, classes = split.protocol.metric, f", {len(task.classes)} classes" if task.classes else ""
        if task.kind == "single":
            occur = np.unique(np.concatenate([parts.train_items.target, parts.test_items.target])).size
            classes = f", {occur} of {len(task.classes)} classes occur" if occur < len(task.classes) else classes
        if not self.scored:
            return f"{self._which}{len(split.train)} training samples{classes}"
        samples = (
            f"{len(split.train)} training and {len(split.test)} {'validation' if split.carved else 'test'} samples"
        )
        guess = chance(metric, len(task.classes))
        return f"{self._which}{samples}{classes}" + (f"; chance {metric} {100 * guess:.1f} %" if guess else "")

    @property
    def title(self) -> str:
        """What the stage is, in a line."""
        plan, resolved = self.plan, self.plan.resolved
        words = [f"{resolved.ask.dataset}/{resolved.ask.protocol} {resolved.model.name}-{resolved.method.name}"]
        words += [f"{100 * plan.labels:.4g} % of the labels"] if plan.labels is not None else []
        if self.init is not None:
            words.append(f"from {self.init.given}: {self.init.loaded} tensors loaded, {len(self.init.new)} new")
        words += [f"frozen: {', '.join(plan.freeze)}"] if plan.freeze else []
        return f"{self._which}{', '.join(words)}"

    @property
    def _which(self) -> str:
        """Which of several stages it is; empty for the only one."""
        count = len(self.cell.stages)
        return f"stage {self.place + 1} of {count}: " if count > 1 else ""


def begin(cell: Cell, place: int, fabric: Fabric, *, before: nn.Module | None = None, few: bool = False) -> Running:
    """Make a stage ready: its parts, its method with weights loaded, fitted and frozen; one batch pushed through.

    Args:
        cell: The run.
        place: Of the stage, counted from 0.
        fabric: Device and precision.
        before: The method that it starts from instead of the file that the stage before left.
        few: Only to see whether it works: one batch of each part, and nothing is fitted.

    Returns:
        The stage.

    Raises:
        RunError: If data, model and method do not fit together.
        RecipeError: If the recipe cannot be carried out on this data, or weights do not fit.
    """
    plan = cell.stages[place]
    parts = stage_parts(plan, fabric.device, scored=place == len(cell.stages) - 1, few=few)
    with own_randomness(fabric.device):
        method = _build(cell, place, parts)
        weights, named = _weights(cell, place, method, before), about(cell, place)
        init = None if weights is None else load_weights(method, weights, named, plan.head)
        method.to(fabric.device)
        whole = init is not None and not init.new
        loaded = [name for name, there in (("encoder", init is not None), ("method", whole)) if there]
        fitting = 0.0 if few else fit(method, parts.train.batches, loaded=loaded)
        freeze(method, plan.freeze)
    told = () if weights is None else warnings(weights, named)
    stage = Running(cell, place, fabric, parts, method, init, fitting, told)
    if whole or not (few and fits(method)):  # what is not fitted has nothing to predict
        try_batch(stage, shares=_TRIED)
    return stage


def rehearse(cell: Cell, fabric: Fabric) -> Iterator[Running]:
    """Try every stage on a batch, each starting from the untrained one before.

    Args:
        cell: The run.
        fabric: Device and precision.

    Yields:
        The stages, not to be trained.

    Raises:
        RunError, RecipeError: As `begin`.
    """
    before: nn.Module | None = None
    for place in range(len(cell.stages)):
        stage = begin(cell, place, fabric, before=before, few=True)
        yield stage
        before = stage.method


def try_batch(stage: Running, *, shares: int = 1) -> Flight:
    """Push one batch through loss and predict.

    Args:
        stage: What is about to run.
        shares: The training batch may be cut into so many, of which one is pushed; on a CPU, where a whole one may take
            longer than all else before the first step, and memory is not what it shows.

    Raises:
        RunError: If data, model and method do not fit together.
    """
    optim, seed, parts = stage.plan.resolved.optim, stage.cell.seed, stage.parts
    check_gradient(stage.method, optim)
    train_batch = None
    if learns_by_gradient(type(stage.method)) and optim.epochs:
        pieces = shares if stage.fabric.device.type == "cpu" else 1
        share = Share(processes=stage.cell.devices * pieces)  # the part of the first, which has the most
        train_batch = next(islice(parts.train.train_batches(seed, stage.place, 0, optim.epochs, share=share), 1))
    with own_randomness(stage.fabric.device):
        torch.manual_seed(draw_seed("push", seed))
        return push(stage.method, train_batch, next(islice(parts.test.batches(), 1)), outputs=parts.outputs)


def fits(method: nn.Module) -> bool:
    """Whether something in a method is learnt otherwise than by gradient."""
    return any(callable(getattr(module, "fit", None)) for module in method.modules())


def about(cell: Cell, place: int) -> dict[str, str]:
    """What the weights of a stage say of themselves.

    Args:
        cell: The run.
        place: Of the stage, counted from 0.

    Returns:
        Texts by name; `classes` is a digest of their names.
    """
    stage = cell.stages[place]
    return {
        "key": cell.key,
        "seed": str(cell.seed),
        "model": stage.resolved.model.name,
        "method": stage.resolved.method.name,
        "classes": classes_digest(stage.split.classes),
        "layout": stage.layout.name,
        "streams": "+".join(stage.resolved.data.streams),
    }


def _build(cell: Cell, place: int, parts: Parts) -> Any:
    """Encoder and method, initialised from the seed alone."""
    torch.manual_seed(draw_seed("init", cell.seed, *([place] if place else [])))
    model, method = cell.stages[place].resolved.model, cell.stages[place].resolved.method
    encoder = guarded(lambda: model.cls(parts.spec, **model.values), f"{model.name} cannot be built")
    return guarded(
        lambda: method.cls(encoder, parts.task, parts.spec, **method.values),
        f"{method.name} on {model.name} cannot be built",
    )


def _weights(cell: Cell, place: int, method: nn.Module, before: nn.Module | None) -> Weights | None:
    """What a stage starts from, if not from random weights."""
    source = cell.stages[place].init
    if isinstance(source, Source):
        return read_weights(source, getattr(method, "encoder", method))
    if source is None:
        return None
    path = cell.folder / stage_file(place - 1)
    content = path.read_bytes() if before is None else checkpoint_bytes(before, about(cell, place - 1))
    init = Init(kind="previous", given="previous", sha256=hashlib.sha256(content).hexdigest())
    return parse_weights(content, init, str(path))
