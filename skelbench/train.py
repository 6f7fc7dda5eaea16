"""Training one stage: epochs of steps, and a state after each epoch from which it resumes bit for bit."""

import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from skelbench.data.types import Batch, Share
from skelbench.errors import RunError
from skelbench.freeze import hold
from skelbench.methods.method import Loss
from skelbench.norms import CommonNorms
from skelbench.optimise import Average, OptimRecipe, averaged, lr_factor, make_optimiser
from skelbench.resume import (
    Best,
    Live,
    State,
    append_log,
    forget_resume,
    load_state,
    resume_content,
    save_state,
    trim_log,
)
from skelbench.world import gather_objects, together

LOOK = 32  # steps after which their losses are read from the device, all at once


@runtime_checkable
class TrainBatches(Protocol):
    """Where training batches come from: a counter-based function of its arguments."""

    @property
    def steps(self) -> int:
        """Steps of an epoch."""

    def train_batches(self, seed: int, stage: int, epoch: int, epochs: int, *, share: Share) -> Iterator[Batch]:
        """Shuffled, augmented batches of one epoch: for each step, those pieces of it that are wanted."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One stage to train."""

    optim: OptimRecipe
    data: TrainBatches
    ids: Sequence[str]  # sample ids of the training part, as `Batch.index` counts them
    folder: Path  # where log and resume state stand
    key: str  # key of the run: a state of another key is not resumed
    seed: int
    stage: int = 0
    plan: tuple[int, ...] = ()  # epochs of all stages, in a run of several
    code: str = ""  # version of the code; a state of another is resumed, and says so
    freeze: tuple[str, ...] = ()  # patterns of names: what is kept in eval mode
    watch: Callable[[], Mapping[str, float]] | None = None  # scores the method after each epoch; the first value counts
    lower: bool = False  # whether less of it is better


@dataclass(frozen=True)
class Epoch:
    """One line of log.jsonl."""

    epoch: int  # counted from 0
    epochs: int  # of the stage
    loss: float  # mean over the steps
    parts: Mapping[str, float]  # means of the named parts of the loss
    lr: float  # of the last step
    seconds: float  # since the stage began, interruptions left out
    stage: int = 0  # counted from 0
    watched: Mapping[str, float] | None = None  # what `Job.watch` gave


@dataclass(frozen=True)
class Trained:
    """How a stage ended."""

    state: Literal["done", "diverged"]
    epochs: int  # trained to their end
    seconds: float
    messages: tuple[str, ...] = ()
    best: Best | None = None  # of what `Job.watch` gave


def train(method: nn.Module, job: Job, fabric: Fabric, on_epoch: Callable[[Epoch], None]) -> Trained:
    """Train a method in place, from the resume state in the job's folder where there is one.

    Killed at any moment and called again, it ends with the same weights bit for bit, on one machine with one number
    of threads and processes. Python's and torch's global generators are left as they were found. Of several processes
    all call it at once; the first alone writes, watches, and tells of epochs.

    Args:
        method: Encoder and head, initialised and on the device of `fabric`; what is frozen requires no gradient.
        job: What to train it on, and how.
        fabric: Device, precision, and processes.
        on_epoch: Called after each epoch, when its state is on disk.

    Returns:
        How it ended; with `optim.ema`, the method has its averaged weights. After a divergence the message names the
        samples of the batch.

    Raises:
        RecipeError: If a group of parameters matches none.
        RunError: If the resume state is damaged or of another network.
    """
    if job.optim.epochs == 0:
        return Trained("done", 0, 0.0)
    job.folder.mkdir(parents=True, exist_ok=True)
    optimiser = make_optimiser(method, job.optim)
    wrapped, stepper = fabric.setup(_Learner(method), optimiser)
    live = Live(method, optimiser, Average(method, job.optim.ema) if job.optim.ema else None)
    first = fabric.global_rank == 0
    content = fabric.broadcast(resume_content(job.folder) if first else None)
    state, messages = load_state(job.folder, live, _fresh(job, fabric.world_size), content)
    if first:
        trim_log(job.folder, sum(job.plan[: job.stage]) + state.epoch)
    step = _Step(method, wrapped, stepper, fabric, job.optim, live.average)
    with own_randomness(fabric.device), _compiled(method, job.optim):
        while state.epoch < job.optim.epochs:
            began = time.perf_counter()
            line, problem = _epoch(step, job, state.epoch)
            state = replace(state, epoch=state.epoch + 1, seconds=state.seconds + time.perf_counter() - began)
            if problem or line is None:
                if first:
                    forget_resume(job.folder)
                told = (*messages, f"In epoch {state.epoch}: {problem}")
                return Trained("diverged", state.epoch - 1, state.seconds, told)
            if first:
                state, line = _watch(live, job, state, line)
                append_log(job.folder, json.dumps(asdict(line)))
                save_state(job.folder, live, state)
                on_epoch(line)
    if live.average is not None:
        live.average.swap()
    return Trained("done", job.optim.epochs, state.seconds, messages, state.best)


def draw_seed(*counters: int | str) -> int:
    """A seed for torch from counters, such as seed, stage and epoch: unrelated for any two different ones."""
    digest = hashlib.sha256("/".join(str(counter) for counter in counters).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


@contextmanager
def own_randomness(device: torch.device) -> Iterator[None]:
    """Give torch's generators back as they were found, and make CUDA repeat its sums in one order."""
    devices = [device] if device.type == "cuda" else []
    deterministic = torch.are_deterministic_algorithms_enabled()
    if devices:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    try:
        with torch.random.fork_rng(devices=devices):
            if devices:
                torch.use_deterministic_algorithms(True, warn_only=True)
            yield
    finally:
        torch.use_deterministic_algorithms(deterministic)


def step_batches(job: Job, epoch: int, *, process: int = 0, processes: int = 1) -> Iterator[list[Batch]]:
    """The batches of each step of an epoch: the only place from which training gets its data.

    Args:
        job: Its recipe says in how many pieces a step comes.
        epoch: Counted from 0.
        process: Whose part of each piece is wanted.
        processes: That work on each piece together.

    Yields:
        The pieces of one step, one after the other; each step once.
    """
    pieces = job.optim.accumulate
    share = Share(pieces, 0, pieces, processes, process)
    batches = job.data.train_batches(job.seed, job.stage, epoch, job.optim.epochs, share=share)
    for _, step in groupby(batches, key=lambda batch: batch.progress):
        yield list(step)


class _Held:
    """A batch that Fabric passes on as it is: it would take a dataclass apart, and may not."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch


class _Learner(nn.Module):
    """A method whose `forward` is its loss: what Fabric wraps, so that nothing goes past the processes' reduction."""

    def __init__(self, method: nn.Module) -> None:
        super().__init__()
        self.method = method

    def forward(self, held: _Held) -> Any:
        """The loss of a batch."""
        return self.method.loss(held.batch)  # type: ignore[operator]  # the Protocol's method, found by method_class


@dataclass(frozen=True)
class _Step:
    """What one optimisation step needs."""

    method: nn.Module
    learner: Any  # as Fabric wraps it
    optimiser: Any  # as Fabric wraps it
    fabric: Fabric
    optim: OptimRecipe
    average: Average | None

    def take(self, batches: Sequence[Batch], share: float) -> "_Losses":
        """One step of gradient descent on the mean loss of all samples; nothing is read from the device.

        Processes add up their gradients with the last piece, as a mean: so each has its samples' share times theirs.
        """
        factor = lr_factor(self.optim, batches[0].progress, share)
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * factor
        self.optimiser.zero_grad(set_to_none=True)
        count, losses = batches[0].whole or sum(len(batch.index) for batch in batches), _Losses(batches)
        for batch in batches:
            weight = len(batch.index) / count
            with self.fabric.no_backward_sync(self.learner, enabled=batch is not batches[-1]):
                with self._common(), self.fabric.autocast():
                    loss = self.learner(_Held(batch))
                total, scale = losses.add(loss, weight), weight * self.fabric.world_size
                self.fabric.backward(total if scale == 1 else total * scale)
        if losses.counted is not None:
            self._share_out(losses, losses.counted)
        if self.optim.clip > 0:
            self.fabric.clip_gradients(self.learner, self.optimiser, max_norm=self.optim.clip, error_if_nonfinite=False)
        self.optimiser.step()
        if self.average is not None:
            self.average.update()
        return losses

    def _share_out(self, losses: "_Losses", own: Tensor) -> None:
        """Divide what the pieces gave by what their samples count in all, as the mean of the whole step does."""
        summed: Any = self.fabric.all_reduce(own, reduce_op="sum")
        counted = summed.clamp(min=1e-12)
        losses.values[""] = losses.values[""] / counted
        for parameter in self.method.parameters():
            if parameter.grad is not None:
                parameter.grad.div_(counted)

    @contextmanager
    def _common(self) -> Iterator[None]:
        """Where there are several processes, let what needs the whole batch have it."""
        with ExitStack() as stack:
            if self.fabric.world_size > 1:
                stack.enter_context(together())
                stack.enter_context(CommonNorms())
            yield


class _Losses:
    """The loss of one step and its parts, left on the device."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        self.index = [batch.index for batch in batches]
        self.values: dict[str, Tensor] = {}
        self.counted: Tensor | None = None  # of several pieces whose samples count differently, in all

    def add(self, loss: Loss, weight: float) -> Tensor:
        """Add a piece, weighted by its samples; what is to be minimised of it, with what its samples count."""
        total, counts = loss.total, getattr(loss, "counts", None)
        if counts is not None and len(self.index) > 1:
            total = total * counts
            counted = counts.double() * weight
            self.counted = counted if self.counted is None else self.counted + counted
        for name, value in (("", total), *loss.parts.items()):
            # a process without a sample has no mean to weight
            piece = value.detach().double() * weight if weight else torch.zeros_like(value, dtype=torch.float64)
            self.values[name] = self.values[name] + piece if name in self.values else piece
        return total


class _Sums:
    """Sums over the steps of an epoch, read from the device a few times only."""

    def __init__(self, ids: Sequence[str], fabric: Fabric) -> None:
        self.ids, self.fabric, self.steps = ids, fabric, 0
        self.sums: dict[str, float] = {}
        self._waiting: list[_Losses] = []

    def add(self, losses: _Losses) -> str:
        """Take a step's losses; what is wrong with them, where it is known by now."""
        self._waiting.append(losses)
        return self.read() if len(self._waiting) >= LOOK else ""

    def read(self) -> str:
        """Read the losses that wait; a sentence on the first that is not finite, naming its samples."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return ""
        own = torch.stack([value for losses in waiting for value in losses.values.values()])
        summed: Any = self.fabric.all_reduce(own, reduce_op="sum")
        found = iter(summed.tolist())
        for losses in waiting:
            values = {name: next(found) for name in losses.values}
            if not math.isfinite(values[""]):
                return f"the loss is {values['']} {_whose(losses.index, self.ids)}"
            self.steps += 1
            for name, value in values.items():
                self.sums[name] = self.sums.get(name, 0.0) + value
        return ""

    def means(self) -> dict[str, float]:
        """Means over the steps by name, the loss itself under the empty one."""
        return {name: value / self.steps for name, value in self.sums.items()}


def _epoch(step: _Step, job: Job, epoch: int) -> tuple[Epoch | None, str]:
    """Train one epoch; the line for the log, and what went wrong."""
    method = step.method
    method.train()
    hold(method, job.freeze)
    process, processes = step.fabric.global_rank, step.fabric.world_size
    torch.manual_seed(draw_seed(job.seed, job.stage, epoch, *([process] if process else [])))
    sums, problem, batches = _Sums(job.ids, step.fabric), "", []
    share = 1 / (job.optim.epochs * job.data.steps)
    for batches in step_batches(job, epoch, process=process, processes=processes):
        problem = sums.add(step.take(batches, share))
        if problem:
            return None, problem
    if not batches:
        raise RunError("The training part gives no batch: it holds no sample.")
    problem = sums.read() or _broken(method, [batch.index for batch in batches], job.ids)
    if problem:
        return None, problem
    means, lr = sums.means(), float(step.optimiser.param_groups[0]["lr"])
    return Epoch(epoch, job.optim.epochs, means.pop(""), means, lr, 0.0, job.stage), ""


def _watch(live: Live, job: Job, state: State, line: Epoch) -> tuple[State, Epoch]:
    """Complete the state and the line of an epoch; where it is watched, score the weights that would be scored."""
    state = replace(state, updates=live.average.updates if live.average is not None else 0)
    line = replace(line, seconds=round(state.seconds, 3))
    if job.watch is None:
        return state, line
    with averaged(live.average):
        values = job.watch()
    if not values:
        return state, line
    best = state.best or Best(line.epoch, values, 0)
    first = next(iter(values))
    better = values[first] < best.values[first] if job.lower else values[first] > best.values[first]
    epoch, kept = (line.epoch, values) if better else (best.epoch, best.values)
    return replace(state, best=Best(epoch, kept, best.looked + 1)), replace(line, watched=values)


def _fresh(job: Job, processes: int) -> State:
    """The state at the beginning of a stage."""
    return State(
        key=job.key,
        seed=job.seed,
        stage=job.stage,
        epoch=0,
        epochs=job.optim.epochs,
        seconds=0.0,
        threads=torch.get_num_threads(),
        code=job.code,
        plan=job.plan or (job.optim.epochs,),
        processes=processes,
    )


@contextmanager
def _compiled(method: nn.Module, optim: OptimRecipe) -> Iterator[None]:
    """Run the encoder compiled while it is trained; what is scored later runs as it is written."""
    encoder: Any = getattr(method, "encoder", method)
    if not optim.compile:
        yield
        return
    encoder.compile()
    try:
        yield
    finally:
        encoder._compiled_call_impl = None


def _broken(method: nn.Module, index: Sequence[Tensor], ids: Sequence[str]) -> str:
    """A sentence on the first weight or statistic that is not finite, naming the last samples."""
    state = {name: tensor for name, tensor in method.state_dict().items() if tensor.is_floating_point()}
    if not state or bool(torch.stack([torch.isfinite(tensor).all() for tensor in state.values()]).all()):
        return ""
    name = next(name for name, tensor in state.items() if not torch.isfinite(tensor).all())
    return f"'{name}' is not finite after the batch {_whose(index, ids)}"


def _whose(index: Sequence[Tensor], ids: Sequence[str]) -> str:
    """The samples of a step, for a message; all processes ask at once."""
    places = gather_objects([piece.tolist() for piece in index])
    names = [ids[place] for pieces in zip(*places, strict=True) for piece in pieces for place in piece]
    return f"of the samples {', '.join(names)}. Lower optim.lr, set optim.clip, or look at these recordings."
