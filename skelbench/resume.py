"""What is on disk while a run is under way: the state after each epoch, the log, and the stages that have ended."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn
from torch.optim import Optimizer

from skelbench.errors import RunError
from skelbench.optimise import Average
from skelbench.record import write_whole
from skelbench.standing import ENDED, LOG, RESUME, RESUME_JSON, stage_file


@dataclass(frozen=True)
class Best:
    """The best epoch on the part that is scored, as older papers report it."""

    epoch: int  # counted from 0
    values: Mapping[str, float]  # metrics of that epoch
    looked: int  # epochs that were looked at


@dataclass(frozen=True)
class State:
    """What resume.safetensors says beside its tensors."""

    key: str
    seed: int
    stage: int
    epoch: int  # epochs done
    epochs: int  # of the stage
    seconds: float
    threads: int
    code: str
    plan: Sequence[int] = ()  # epochs of all stages, for `list runs`
    updates: int = 0  # of the average of weights
    best: Best | None = None
    processes: int = 1  # that trained together


@dataclass(frozen=True)
class Live:
    """What trains, and is saved and restored together."""

    method: nn.Module
    optimiser: Optimizer
    average: Average | None


@dataclass(frozen=True)
class Ended:
    """A stage that has reached its end; its weights stand beside the list of them."""

    key: str
    seed: int
    sha256: str  # of its checkpoint
    epochs: int
    seconds: float
    code: str  # version of the code that trained it
    plan: Sequence[int]  # epochs of all stages
    about: Mapping[str, Any] = field(default_factory=dict)  # for the record: samples, what was loaded, ...
    messages: tuple[str, ...] = ()


def save_state(folder: Path, live: Live, state: State) -> None:
    """Put the state after an epoch on disk, whole or not at all."""
    tensors = {f"method/{name}": tensor for name, tensor in live.method.state_dict().items()}
    for place, values in live.optimiser.state_dict()["state"].items():
        tensors |= {f"optim/{place}/{name}": value for name, value in values.items() if isinstance(value, Tensor)}
    if live.average is not None:
        tensors |= {f"average/{name}": tensor for name, tensor in live.average.tensors.items()}
    text = json.dumps(asdict(state), indent=1)
    copies = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    write_whole(folder / RESUME, save_tensors(copies, {"state": text}))
    write_whole(folder / RESUME_JSON, f"{text}\n".encode())


def resume_content(folder: Path) -> bytes | None:
    """What there is to resume from, as it is on disk; None where there is nothing."""
    path = folder / RESUME
    return path.read_bytes() if path.is_file() else None


def load_state(folder: Path, live: Live, fresh: State, content: bytes | None) -> tuple[State, tuple[str, ...]]:
    """Restore a training that was interrupted, if there is a state of the same stage of the same run.

    Args:
        folder: Of the run, for messages.
        live: What is filled.
        fresh: The state at the beginning.
        content: What `resume_content` gave, to all processes the same.

    Returns:
        The state, and what people should know of it.

    Raises:
        RunError: If the file is damaged or of another network.
    """
    path = folder / RESUME
    if content is None:
        return fresh, ()
    try:
        state = _state(content)
        if (state.key, state.seed, state.stage, state.epochs) != (fresh.key, fresh.seed, fresh.stage, fresh.epochs):
            return fresh, ()
        parts: dict[str, dict[str, Tensor]] = {"method": {}, "optim": {}, "average": {}}
        for name, tensor in load_tensors(content).items():
            kind, _, rest = name.partition("/")
            parts[kind][rest] = tensor
        live.method.load_state_dict(parts["method"])
        live.optimiser.load_state_dict({**live.optimiser.state_dict(), "state": _by_place(parts["optim"])})
        if live.average is not None:
            live.average.load(parts["average"], state.updates)
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise RunError(f"{path}: cannot be resumed ({str(error)[:200]}). Delete it to train from the start.") from error
    told = [f"resumed after epoch {state.epoch} of {state.epochs}"]
    if state.threads != fresh.threads:
        told.append(f"begun with {state.threads} threads and resumed with {fresh.threads}: not equal bit for bit")
    if state.processes != fresh.processes:
        told.append(f"begun by {state.processes} processes and resumed by {fresh.processes}: not equal bit for bit")
    if state.code != fresh.code:
        told.append(f"begun by skelbench {state.code} and resumed by {fresh.code}: --overwrite always starts anew")
    return state, tuple(told)


def forget_resume(folder: Path) -> None:
    """Remove what only a run under way needs; the half-written drafts too."""
    for name in (RESUME, RESUME_JSON, ENDED):
        (folder / name).unlink(missing_ok=True)
        (folder / f".{name}.draft").unlink(missing_ok=True)


def end_stage(folder: Path, before: Sequence[Ended], ended: Ended, checkpoint: bytes) -> None:
    """Write down that a stage has ended: its weights first, then the list, then the resume state may go."""
    write_whole(folder / stage_file(len(before)), checkpoint)
    text = json.dumps([asdict(one) for one in (*before, ended)], indent=1)
    write_whole(folder / ENDED, f"{text}\n".encode())
    for name in (RESUME, RESUME_JSON):
        (folder / name).unlink(missing_ok=True)


def ended_stages(folder: Path, key: str, seed: int) -> list[Ended]:
    """The stages of a run that have ended, in their order; those whose weights are not there any more are not told.

    Args:
        folder: Of the run.
        key: Of the run; stages of another do not count.
        seed: Of the run.

    Returns:
        What was written down of each.
    """
    try:
        told = [Ended(**one) for one in json.loads((folder / ENDED).read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        return []
    found: list[Ended] = []
    for ended in told:
        path = folder / stage_file(len(found))
        if (ended.key, ended.seed) != (key, seed) or not path.is_file():
            break
        if hashlib.sha256(path.read_bytes()).hexdigest() != ended.sha256:
            break
        found.append(Ended(**{**vars(ended), "messages": tuple(ended.messages)}))
    return found


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


def append_log(folder: Path, line: str) -> None:
    """Add a line to the log."""
    with (folder / LOG).open("a", encoding="utf-8", newline="\n") as file:
        file.write(f"{line}\n")


def trim_log(folder: Path, epochs: int) -> None:
    """Keep the log of the epochs that are in the state; a kill may leave a line more, or half of one."""
    path = folder / LOG
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    write_whole(path, "".join(f"{line}\n" for line in lines[:epochs]).encode())


def _state(content: bytes) -> State:
    """The JSON of a resume file."""
    size = int.from_bytes(content[:8], "little")
    table = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["state"])
    best = table.pop("best", None)
    return State(**table, best=None if best is None else Best(**best))


def _by_place(tensors: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """The optimiser's tensors by the place of their parameter."""
    found: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        place, _, key = name.partition("/")
        found.setdefault(int(place), {})[key] = tensor
    return found
