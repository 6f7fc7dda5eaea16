"""How runs stand: what their folders say, without loading what trains them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from skelbench.errors import RunError
from skelbench.record import Record, read_record

RECORD = "record.json"
RESUME = "resume.safetensors"  # the state itself, its JSON in the metadata: one file, replaced whole
RESUME_JSON = "resume.json"  # the same JSON for people and `list runs`; never read back by the trainer

State: TypeAlias = Literal["done", "partial", "diverged", "failed"]


@dataclass(frozen=True)
class Standing:
    """What a run folder says of its run."""

    state: State | None  # None: not begun
    record: Record | None
    epoch: int  # epochs done
    epochs: int  # of the stage; 0 where not known


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
    if not (folder / RESUME).is_file():
        return Standing(None, None, 0, 0)
    try:
        told = json.loads((folder / RESUME_JSON).read_text(encoding="utf-8"))
        return Standing("partial", None, int(told["epoch"]), int(told["epochs"]))
    except (OSError, ValueError, KeyError, TypeError):  # killed before it was written; the state itself is beside it
        return Standing("partial", None, 0, 0)


def list_runs(runs: Path) -> list[dict[str, Any]]:
    """Say how every run below a folder stands.

    Args:
        runs: The runs folder; it may not exist.

    Returns:
        One row a run, sorted by folder: name, state, the primary metric where it was scored, epochs.
    """
    folders = sorted({path.parent for name in (RECORD, RESUME) for path in runs.rglob(name)})
    return [_row(folder, folder.relative_to(runs)) for folder in folders]


def _row(folder: Path, name: Path) -> dict[str, Any]:
    """One run; a record that cannot be read is a state of its own."""
    try:
        standing = read_standing(folder)
    except RunError as error:
        return {"name": str(name), "state": "damaged", "result": str(error), "epochs": ""}
    record, result = standing.record, ""
    metric = None if record is None else record.metrics.get(record.primary)
    if record is not None and metric is not None and metric.value is not None:
        result = f"{record.primary} {100 * metric.value:.2f} %"
    epochs = f"{standing.epoch} of {standing.epochs}" if standing.epochs else ""
    return {"name": str(name), "state": standing.state, "result": result, "epochs": epochs}
