"""How runs stand: what their folders say, without loading what trains them."""

import fcntl
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from skelbench.errors import RunError
from skelbench.metrics import shown
from skelbench.record import Record, read_record

RECORD = "record.json"
LOG = "log.jsonl"  # a line for each epoch, all stages one after the other
RESUME = "resume.safetensors"  # the state itself, its JSON in the metadata: one file, replaced whole
RESUME_JSON = "resume.json"  # the same JSON for people and `list runs`; never read back by the trainer
ENDED = "stages.json"  # of a run of several stages: those that have ended
LOCK = ".lock"  # held by the process that is at it
PREDICTIONS = "predictions.parquet"
CHECKPOINT = "checkpoint.safetensors"  # the weights that were scored

State: TypeAlias = Literal["done", "partial", "diverged", "failed"]


@dataclass(frozen=True)
class Standing:
    """What a run folder says of its run."""

    state: State | None  # None: not begun
    record: Record | None
    epoch: int  # epochs done, all stages together
    epochs: int  # of all stages; 0 where not known
    left: float | None = None  # seconds that its training still takes at the pace of the last epochs


def read_standing(folder: Path) -> Standing:
    """Say how the run in a folder stands.

    Args:
        folder: A `seedN` folder; it may not exist.

    Returns:
        Its state: that of its record, else `partial` where there is something to resume.

    Raises:
        RunError: If its record is damaged.
    """
    path = folder / RECORD
    if path.is_file():
        record = read_record(path)
        return Standing(record.state, record, record.epochs, record.epochs)
    if not (folder / RESUME).is_file() and not (folder / ENDED).is_file():
        return Standing(None, None, 0, 0)
    plan, last = _plan(folder), _last_line(folder)
    if not plan or last is None:  # killed before they were written; the state itself is beside them
        return Standing("partial", None, 0, sum(plan))
    stage, epoch, seconds = last
    done = sum(plan[:stage]) + epoch
    return Standing("partial", None, done, sum(plan), seconds / epoch * (sum(plan) - done))


def stage_file(stage: int) -> str:
    """Name of the file of weights that a stage before the last leaves.

    Args:
        stage: Counted from 0.
    """
    return f"stage{stage + 1}.safetensors"


def list_runs(runs: Path) -> list[dict[str, Any]]:
    """Say how every run below a folder stands.

    Args:
        runs: The runs folder; it may not exist.

    Returns:
        One row a run, sorted by folder: name, state (`running` where a process is at it), the primary metric where it
        was scored, epochs, and the time that training still takes.
    """
    folders = {path.parent for name in (RECORD, RESUME, ENDED) for path in runs.rglob(name)}
    folders |= {path.parent for path in runs.rglob(LOCK) if _held(path)}
    return [_row(folder, folder.relative_to(runs)) for folder in sorted(folders)]


def duration(seconds: float) -> str:
    """Seconds for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def _row(folder: Path, name: Path) -> dict[str, Any]:
    """One run; a record that cannot be read is a state of its own."""
    try:
        standing = read_standing(folder)
    except RunError as error:
        return {"name": str(name), "state": "damaged", "result": str(error), "epochs": "", "left": ""}
    state = "running" if _held(folder / LOCK) else standing.state
    epochs = f"{standing.epoch} of {standing.epochs}" if standing.epochs else ""
    left = "" if standing.left is None else duration(standing.left)
    return {"name": str(name), "state": state, "result": _result(standing.record), "epochs": epochs, "left": left}


def _result(record: Record | None) -> str:
    """The primary metric of a run that was scored."""
    metric = None if record is None else record.metrics.get(record.primary)
    if record is None or metric is None or metric.value is None:
        return ""
    where = " on validation" if record.scored == "validation" else ""
    return f"{record.primary} {shown(metric.value, record.primary)}{where}"


def _plan(folder: Path) -> list[int]:
    """Epochs of all stages of a run under way; empty where nothing says so."""
    for name in (RESUME_JSON, ENDED):
        try:
            told = json.loads((folder / name).read_text(encoding="utf-8"))
            return [int(epochs) for epochs in (told[-1] if isinstance(told, list) else told)["plan"]]
        except (OSError, ValueError, LookupError, TypeError):
            continue
    return []


def _last_line(folder: Path) -> tuple[int, int, float] | None:
    """Stage, epochs of it that are done, and the seconds they took, as the log's last whole line has them."""
    try:
        lines = (folder / LOG).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for line in reversed(lines[-2:]):  # a kill may leave half a line
        try:
            told = json.loads(line)
            return int(told["stage"]), int(told["epoch"]) + 1, float(told["seconds"])
        except (ValueError, KeyError, TypeError):
            continue
    return None


def _held(lock: Path) -> bool:
    """Whether a process holds a lock."""
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
