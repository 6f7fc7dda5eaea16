"""Training one stage: optimiser, schedule, epochs, and a state after each epoch from which it resumes bit for bit."""

import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from lightning_fabric import Fabric
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from skelbench.data.types import Batch
from skelbench.errors import RecipeError, RunError
from skelbench.methods.method import Loss
from skelbench.recipe import Group, OptimRecipe
from skelbench.record import write_whole
from skelbench.standing import RESUME, RESUME_JSON

LOG = "log.jsonl"


@runtime_checkable
class TrainBatches(Protocol):
    """Where training batches come from: a counter-based function of its arguments."""

    def train_batches(self, seed: int, stage: int, epoch: int, epochs: int) -> Iterator[Batch]:
        """Shuffled, augmented batches of one epoch."""


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
    code: str = ""  # version of the code; a state of another is resumed, and says so


@dataclass(frozen=True)
class Epoch:
    """One line of log.jsonl."""

    epoch: int  # counted from 0
    epochs: int  # of the stage
    loss: float  # mean over the batches
    parts: Mapping[str, float]  # means of the named parts of the loss
    lr: float  # of the last step
    seconds: float  # since the stage began, interruptions left out


@dataclass(frozen=True)
class Trained:
    """How a stage ended."""

    state: Literal["done", "diverged"]
    epochs: int  # trained to their end
    seconds: float
    messages: tuple[str, ...] = ()


@dataclass(frozen=True)
class _State:
    """What resume.safetensors says beside its tensors."""

    key: str
    seed: int
    stage: int
    epoch: int  # epochs done
    epochs: int
    seconds: float
    threads: int
    code: str


def train(method: nn.Module, job: Job, fabric: Fabric, on_epoch: Callable[[Epoch], None]) -> Trained:
    """Train a method in place, from the resume state in the job's folder where there is one.

    Killed at any moment and called again, it ends with the same weights bit for bit, on one machine with one number
    of threads. Python's and torch's global generators are left as they were found.

    Args:
        method: Encoder and head, initialised and on the device of `fabric`.
        job: What to train it on, and how.
        fabric: Device and precision.
        on_epoch: Called after each epoch, when its state is on disk.

    Returns:
        How it ended. After a divergence the message names the samples of the batch.

    Raises:
        RecipeError: If a group of parameters matches none.
        RunError: If the resume state is damaged or of another network.
    """
    if job.optim.epochs == 0:
        return Trained("done", 0, 0.0)
    job.folder.mkdir(parents=True, exist_ok=True)
    optimiser = make_optimiser(method, job.optim)
    state, messages = _resume(method, optimiser, job)
    wrapped, stepper = fabric.setup(method, optimiser)
    wrapped.mark_forward_method("loss")
    _trim_log(job.folder / LOG, state.epoch)
    before, began = state.seconds, time.perf_counter()
    with own_randomness(fabric.device):
        for epoch in range(state.epoch, job.optim.epochs):
            method.train()
            torch.manual_seed(draw_seed(job.seed, job.stage, epoch))
            line, problem = _epoch(_Step(wrapped, stepper, fabric, job.optim), job, epoch)
            seconds = before + time.perf_counter() - began
            if problem or line is None:
                forget_resume(job.folder)
                return Trained("diverged", epoch, seconds, (*messages, f"In epoch {epoch + 1}: {problem}"))
            line = Epoch(**{**asdict(line), "seconds": round(seconds, 3)})
            _append(job.folder / LOG, json.dumps(asdict(line)))
            _save(method, optimiser, job, epoch + 1, seconds)
            on_epoch(line)
    return Trained("done", job.optim.epochs, before + time.perf_counter() - began, messages)


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
        if parameter.requires_grad:
            place = next(i for i, group in enumerate((*optim.groups, rest)) if _belongs(name, parameter, group))
            members[place].append(parameter)
    groups = []
    for group, parameters in zip((*optim.groups, rest), members, strict=True):
        if not parameters and group.match != ("*",):
            raise RecipeError(f"optim.groups: {list(group.match)} match no trained parameter of {_name(method)}.")
        if parameters:
            peak = optim.lr if group.lr is None else group.lr
            decay = optim.weight_decay if group.weight_decay is None else group.weight_decay
            groups.append({"params": parameters, "lr": peak, "peak": peak, "weight_decay": decay})
    if optim.name == "adamw":
        return AdamW(groups, lr=optim.lr)
    return SGD(groups, lr=optim.lr, momentum=optim.momentum, nesterov=optim.momentum > 0)


def lr_factor(optim: OptimRecipe, progress: float) -> float:
    """What the peak rate is multiplied by at a point of the training.

    Args:
        optim: Warm-up, schedule, steps and epochs.
        progress: Share of the stage's steps that are done, at least 0 and below 1.

    Returns:
        A number from 0 to 1; the linear warm-up multiplies the schedule.
    """
    share = optim.warmup if optim.warmup < 1 else optim.warmup / optim.epochs
    rising = min(1.0, progress / share) if share > 0 else 1.0
    if optim.schedule == "cosine":
        return rising * 0.5 * (1 + math.cos(math.pi * progress))
    if optim.schedule == "step":
        epoch = progress * optim.epochs + 1e-9  # the share of a whole epoch may fall a rounding short of it
        return rising * 0.1 ** sum(epoch >= step for step in optim.steps)
    return rising


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


def checkpoint_bytes(method: nn.Module, about: Mapping[str, str]) -> bytes:
    """Weights and buffers as a safetensors file; the same bytes for the same weights.

    Args:
        method: Encoder and head.
        about: What the file says of itself, as JSON under the metadata key `skelbench`.

    Returns:
        The file.
    """
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in method.state_dict().items()}
    # one key only: safetensors writes several in an order that changes from call to call
    return bytes(save_tensors(tensors, {"skelbench": json.dumps(dict(about), sort_keys=True)}))


@dataclass(frozen=True)
class _Step:
    """What one optimisation step needs."""

    method: Any  # as Fabric wraps it
    optimiser: Any  # as Fabric wraps it
    fabric: Fabric
    optim: OptimRecipe

    def take(self, batch: Batch) -> Loss:
        """One step of gradient descent; of a loss that is not finite, only the loss."""
        factor = lr_factor(self.optim, batch.progress)
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * factor
        self.optimiser.zero_grad(set_to_none=True)
        with self.fabric.autocast():
            loss: Loss = self.method.loss(batch)
        if bool(torch.isfinite(loss.total)):
            self.fabric.backward(loss.total)
            if self.optim.clip > 0:
                self.fabric.clip_gradients(
                    self.method, self.optimiser, max_norm=self.optim.clip, error_if_nonfinite=False
                )
            self.optimiser.step()
        return loss


def _epoch(step: _Step, job: Job, epoch: int) -> tuple[Epoch | None, str]:
    """Train one epoch; the line for the log, and what went wrong."""
    losses: list[float] = []
    parts: dict[str, float] = {}
    batch = None
    for batch in job.data.train_batches(job.seed, job.stage, epoch, job.optim.epochs):
        loss = step.take(batch)
        losses.append(float(loss.total.detach()))
        if not math.isfinite(losses[-1]):
            return None, f"the loss is {losses[-1]} {_whose(batch, job.ids)}"
        for name, value in loss.parts.items():
            parts[name] = parts.get(name, 0.0) + float(value.detach())
    if batch is None:
        raise RunError("The training part gives no batch: it holds no sample.")
    broken = [name for name, tensor in step.method.state_dict().items() if not _finite(tensor)]
    if broken:
        return None, f"'{broken[0]}' is not finite after the batch {_whose(batch, job.ids)}"
    means = {name: value / len(losses) for name, value in parts.items()}
    lr = float(step.optimiser.param_groups[0]["lr"])
    return Epoch(epoch, job.optim.epochs, sum(losses) / len(losses), means, lr, 0.0), ""


def _whose(batch: Batch, ids: Sequence[str]) -> str:
    """The samples of a batch, for a message."""
    names = [ids[place] for place in batch.index.tolist()]
    return f"of the samples {', '.join(names)}. Lower optim.lr, set optim.clip, or look at these recordings."


def _finite(tensor: Tensor) -> bool:
    """Whether a tensor holds only finite numbers."""
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())


def _belongs(name: str, parameter: nn.Parameter, group: Group) -> bool:
    """Whether a group has a parameter."""
    return any(fnmatchcase(name, pattern) for pattern in group.match) and (parameter.ndim <= 1 or not group.vectors)


def _name(method: nn.Module) -> str:
    """A method and its encoder, for messages."""
    encoder = getattr(method, "encoder", None)
    return f"{type(method).__name__} on {type(encoder).__name__}" if encoder is not None else type(method).__name__


def _save(method: nn.Module, optimiser: Optimizer, job: Job, epoch: int, seconds: float) -> None:
    """Put the state after an epoch on disk."""
    state = _State(job.key, job.seed, job.stage, epoch, job.optim.epochs, seconds, torch.get_num_threads(), job.code)
    tensors = {f"method/{name}": tensor for name, tensor in method.state_dict().items()}
    for place, values in optimiser.state_dict()["state"].items():
        tensors |= {f"optim/{place}/{name}": value for name, value in values.items() if isinstance(value, torch.Tensor)}
    text = json.dumps(asdict(state), indent=1)
    flat = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    write_whole(job.folder / RESUME, save_tensors(flat, {"state": text}))
    write_whole(job.folder / RESUME_JSON, f"{text}\n".encode())


def _resume(method: nn.Module, optimiser: Optimizer, job: Job) -> tuple[_State, tuple[str, ...]]:
    """Load the state of a training that was interrupted, if there is one of the same run."""
    path = job.folder / RESUME
    fresh = _State(job.key, job.seed, job.stage, 0, job.optim.epochs, 0.0, torch.get_num_threads(), job.code)
    if not path.is_file():
        return fresh, ()
    content = path.read_bytes()
    try:
        size = int.from_bytes(content[:8], "little")
        state = _State(**json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["state"]))
        if (state.key, state.seed, state.stage, state.epochs) != (job.key, job.seed, job.stage, job.optim.epochs):
            return fresh, ()
        tensors = load_tensors(content)
        weights = {name.removeprefix("method/"): value for name, value in tensors.items() if name[0] == "m"}
        method.load_state_dict(weights)
        saved: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("optim/"):
                _, place, key = name.split("/", 2)
                saved.setdefault(int(place), {})[key] = value
        optimiser.load_state_dict({**optimiser.state_dict(), "state": saved})
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise RunError(f"{path}: cannot be resumed ({str(error)[:200]}). Delete it to train from the start.") from error
    told = [f"resumed after epoch {state.epoch} of {state.epochs}"]
    if state.threads != fresh.threads:
        told.append(f"begun with {state.threads} threads and resumed with {fresh.threads}: not equal bit for bit")
    if state.code != fresh.code:
        told.append(f"begun by skelbench {state.code} and resumed by {fresh.code}: --overwrite always starts anew")
    return state, tuple(told)


def forget_resume(folder: Path) -> None:
    """Remove the resume state of a training that has ended; the half-written drafts too."""
    for name in (RESUME, RESUME_JSON):
        (folder / name).unlink(missing_ok=True)
        (folder / f".{name}.draft").unlink(missing_ok=True)


def _append(path: Path, line: str) -> None:
    """Add a line to the log."""
    with path.open("a", encoding="utf-8", newline="\n") as file:
        file.write(f"{line}\n")


def _trim_log(path: Path, epochs: int) -> None:
    """Keep the log of the epochs that are in the state; a kill may leave a line more, or half of one."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    kept = "".join(f"{line}\n" for line in lines[:epochs])
    write_whole(path, kept.encode())
