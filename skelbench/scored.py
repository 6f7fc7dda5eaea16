"""Runs to look back on: found by folder, record or key, and read with their predictions."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from skelbench.errors import RunError, UsageError
from skelbench.evaluate import Predictions, evaluated_digest, read_predictions
from skelbench.record import Record, read_record
from skelbench.standing import RECORD
from skelbench.workspace import expanded, runs_folder

PREDICTIONS = "predictions.parquet"
KEY = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True)
class Scored:
    """A run that was scored, with its predictions."""

    path: Path  # its record
    record: Record
    predictions: Predictions

    @property
    def place(self) -> tuple[int, int | None]:
        """Its seed and fold."""
        return self.record.seed, self.record.fold


def find_records(name: str) -> list[Path]:
    """Find the records of a run, all its seeds and folds.

    Args:
        name: A record.json, the folder of a run or any folder above runs of one key, or the first digits of a key,
            which are looked for in the runs folder. Runs on a validation part do not count beside those on test.

    Returns:
        Paths of the records, sorted, at least one.

    Raises:
        UsageError: If nothing is there, or runs of several keys are.
    """
    path = expanded(name)
    if path.is_file():
        return [path]
    if path.is_dir():
        found = [path / RECORD] if (path / RECORD).is_file() else sorted(path.rglob(RECORD))
    else:
        found = sorted(runs_folder().rglob(f"{name[:8]}*/*/{RECORD}")) if KEY.fullmatch(name) else []
    if not found:
        raise UsageError(
            f"No run {name}: expected the folder of a run, its record.json or the first eight digits of its key. "
            "`skelbench list runs` says what is here."
        )
    if len({record.parent.parent for record in found}) > 1:
        found = [record for record in found if read_record(record).scored == "test"] or found
    groups = sorted({str(record.parent.parent) for record in found})
    if len(groups) > 1:
        raise UsageError(f"{name} holds {len(groups)} runs: {', '.join(groups[:5])}. Name one of them.")
    return found


def load_scored(path: Path) -> Scored:
    """Read a record and the predictions beside it.

    Args:
        path: A record.json.

    Returns:
        Both, held against each other.

    Raises:
        UsageError: If there are no predictions beside the record, as with a published one.
        RunError: If either is damaged, the run was not scored, or they do not belong together.
    """
    record = read_record(path)
    if record.state != "done":
        raise RunError(f"{path}: state {record.state}; only a run that is done has predictions to look at.")
    file = path.with_name(PREDICTIONS)
    if not file.is_file():
        raise UsageError(
            f"{path}: no {PREDICTIONS} beside it. A published record is kept without predictions; make them again: "
            f"{record.command}"
        )
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    if record.predictions_sha256 not in (digest, None):
        raise RunError(f"{file}: is not what its record was computed from (digest {digest[:8]}). Run it again.")
    predictions = read_predictions(file)
    if evaluated_digest(predictions) != record.evaluated:
        raise RunError(f"{file}: holds other samples or targets than its record says. Run it again.")
    return Scored(path, record, replace(predictions, classes=record.classes))


def aligned(predictions: Predictions, ids: tuple[str, ...]) -> Predictions:
    """Put predictions into another order of the same samples.

    Args:
        predictions: Of the samples in any order.
        ids: The order wanted.

    Returns:
        The same predictions in that order.

    Raises:
        RunError: If the samples are not the same.
    """
    if predictions.ids == ids:
        return predictions
    places = {sample_id: place for place, sample_id in enumerate(predictions.ids)}
    if places.keys() != set(ids) or len(places) != len(ids):
        raise RunError("The predictions are of different samples.")
    order = np.array([places[sample_id] for sample_id in ids], np.int64)
    if predictions.frames is not None:
        return _in_order(predictions, ids, order)
    subjects = predictions.subjects
    return replace(
        predictions,
        ids=ids,
        target=predictions.target[order],
        logits=predictions.logits[order],
        subjects=None if subjects is None else tuple(subjects[place] for place in order),
    )


def _in_order(predictions: Predictions, ids: tuple[str, ...], order: np.ndarray) -> Predictions:
    """Predictions of frames, sample by sample in another order."""
    frames = np.array(predictions.frames, np.int64)
    first = np.cumsum(frames) - frames
    rows = np.concatenate([first[place] + np.arange(frames[place]) for place in order])
    subjects = predictions.subjects
    return replace(
        predictions,
        ids=ids,
        target=predictions.target[rows],
        logits=predictions.logits[rows],
        subjects=None if subjects is None else tuple(subjects[place] for place in order),
        frames=tuple(frames[order].tolist()),
    )


def check_same_protocol(first: tuple[Path, Record], other: tuple[Path, Record]) -> None:
    """Refuse two records of another data set or protocol, before their seeds and folds are held against each other.

    Raises:
        UsageError: Naming which of the two differs.
    """
    _check_same(first, other, ("dataset", "protocol"))


def check_same_scored(first: Scored, other: Scored) -> None:
    """Refuse to set two runs against each other that did not score the same things.

    Raises:
        UsageError: Naming what differs: data set, protocol, classes, or the samples and their targets.
    """
    names = ("dataset", "protocol", "primary", "fold", "classes", "evaluated")
    _check_same((first.path, first.record), (other.path, other.record), names)


def _check_same(first: tuple[Path, Record], other: tuple[Path, Record], names: Sequence[str]) -> None:
    """Refuse two records that differ in one of some fields."""
    (path, record), (other_path, other_record) = first, other
    what: Mapping[str, tuple[object, object]] = {
        name: (getattr(record, name), getattr(other_record, name)) for name in names
    }
    for name, (one, two) in what.items():
        if one == two:
            continue
        if name == "classes":
            told = f"other classes ({len(record.classes)} and {len(other_record.classes)})"
        elif name == "evaluated":
            told = f"other samples or targets (digests {str(one)[:8]} and {str(two)[:8]})"
        else:
            told = f"another {name} ({one} and {two})"
        raise UsageError(f"{path} and {other_path} scored {told}; numbers of both say nothing about each other.")
