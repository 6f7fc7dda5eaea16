"""All figures of a run, from its record, its log and its predictions."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from skelbench.bootstrap import scored
from skelbench.errors import RunError, UsageError
from skelbench.evaluate import Predictions
from skelbench.figures.calibration import found_against_true, reliability
from skelbench.figures.classes import Bar, bars
from skelbench.figures.confusion import matrix, most_confused
from skelbench.figures.curves import Epoch, curves
from skelbench.figures.style import drawing, image
from skelbench.metrics import shown
from skelbench.record import Record, read_record, write_whole
from skelbench.scored import PREDICTIONS, load_scored
from skelbench.standing import RECORD

FOLDER = "figures"
LOG = "log.jsonl"
FORMS = ("png", "svg")


@dataclass(frozen=True)
class Drawn:
    """What was drawn."""

    written: tuple[Path, ...]
    left: tuple[str, ...]  # figures that could not be drawn, and why


def draw(path: Path, out: Path | None = None) -> Drawn:
    """Draw every figure of a run that its files allow, as PNG and SVG.

    Args:
        path: A record.json, or a published record.
        out: Folder to write to; None for `figures` beside a run's record, or `<name>-figures` beside a published one.

    Returns:
        The files, the same bytes each time; and what is missing: no learning curves without a log, no calibration
        without predictions.

    Raises:
        RunError: If the record or its log is damaged, or the run was not scored.
    """
    record = read_record(path)
    if record.state != "done":
        raise RunError(f"{path}: state {record.state}; there is nothing to draw before a run is done.")
    folder = out or path.parent / (FOLDER if path.name == RECORD else f"{path.stem}-{FOLDER}")
    made, left = [], []
    with drawing():
        for name, make in _plans(path, record):
            figure = make()
            if isinstance(figure, str):
                left.append(f"{name}: {figure}")
                continue
            folder.mkdir(parents=True, exist_ok=True)
            for form in FORMS:
                made.append(folder / f"{name}.{form}")
                write_whole(made[-1], image(figure, form))
    return Drawn(tuple(made), tuple(left))


def _plans(path: Path, record: Record) -> Iterator[tuple[str, Callable[[], Figure | str]]]:
    """Names of figures, and how each is made; a text says why one cannot be."""
    if record.fusion is None:
        yield "learning", lambda: _learning(path, record)
    if "confusion" in record.metrics:
        counts = np.array(record.metrics["confusion"].per_class)
        yield "confusion", lambda: matrix(counts, record.classes, about(record))
        yield "confused", lambda: most_confused(counts, record.classes, about(record)) or "nothing was confused"
    if record.classes and record.metrics:
        yield "classes", lambda: _classes(record)
    if "ece" in record.metrics or "mae" in record.metrics or not record.metrics:
        yield "calibration" if "mae" not in record.metrics else "scores", lambda: _from_predictions(path, record)


def about(record: Record, *, metric: str | None = None) -> str:
    """Which run a figure is of, with its result."""
    name = metric or record.primary
    found = record.metrics.get(name)
    streams = ",".join(record.streams)
    told = [
        f"{record.dataset} {record.protocol}",
        f"{record.model} {record.method} {streams}, seed {record.seed}"
        + ("" if record.fold is None else f", fold {record.fold}"),
    ]
    if found is not None and found.value is not None:
        told.append(f"{name} {shown(found.value, name)} of {found.n} {record.scored} samples")
    if record.synthetic:
        told.append("made-up recordings")
    return "  ·  ".join(told)


def _learning(path: Path, record: Record) -> Figure | str:
    """Learning curves from the log."""
    file = path.with_name(LOG)
    if path.name != RECORD or not file.is_file():
        return f"no {LOG} beside the record"
    epochs = read_log(file)
    return curves(epochs, about(record)) if epochs else "no epoch was trained"


def read_log(path: Path) -> list[Epoch]:
    """Read log.jsonl.

    Args:
        path: The file, one JSON object a line.

    Returns:
        Its epochs, stages one after the other; a last line that was cut short by a kill is left out.

    Raises:
        RunError: If another line is not what the trainer writes.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    epochs = []
    for number, line in enumerate(lines, 1):
        try:
            epochs.append(_epoch(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if number == len(lines):
                break
            raise RunError(f"{path}, line {number}: no epoch of a training: {error}.") from error
    return sorted(epochs, key=lambda epoch: epoch.stage)


def _epoch(line: Any) -> Epoch:
    """One line of the log."""
    numbers = {name: float(line[name]) for name in ("loss", "lr")}
    if not all(map(math.isfinite, numbers.values())):
        raise ValueError("a number is not finite")
    parts, watched = ({str(k): float(v) for k, v in (line.get(name) or {}).items()} for name in ("parts", "watched"))
    return Epoch(stage=int(line.get("stage", 0)), parts=parts, watched=watched, **numbers)


def _classes(record: Record) -> Figure | str:
    """Recall and precision of each class, or average precision where a sample has several."""
    metrics = record.metrics
    if "confusion" in metrics:
        counts = np.array(metrics["confusion"].per_class)
        hits, support, named = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
        made = [
            Bar(
                name=name,
                number=k,
                value=float(hits[k] / support[k]) if support[k] else None,
                n=int(support[k]),
                precision=float(hits[k] / named[k]) if named[k] else None,
                hits=int(hits[k]),
            )
            for k, name in enumerate(record.classes)
        ]
        mean = metrics["mean_class_accuracy"].value
        return bars(made, what="recall", mean=mean, chance=1 / len(made), about=about(record))
    several = next((metrics[name] for name in ("map", "frame_map") if name in metrics), None)
    values = None if several is None else several.per_class
    if values is None:
        return "the record holds no numbers of single classes"
    made = [
        Bar(name=name, number=k, value=None if value is None else float(value), n=None)
        for k, (name, value) in enumerate(zip(record.classes, values, strict=True))
        if not isinstance(value, tuple)
    ]
    return bars(
        made,
        what="average precision",
        mean=None if several is None else several.value,
        chance=None,
        about=about(record),
    )


def _from_predictions(path: Path, record: Record) -> Figure | str:
    """What needs every prediction."""
    if not path.with_name(PREDICTIONS).is_file():
        return f"no {PREDICTIONS} beside the record"
    try:
        predictions: Predictions = load_scored(path).predictions
    except UsageError as error:
        return str(error)
    if predictions.kind == "frame":
        return "frames have no such picture"
    logits, target, _ = scored(predictions.kind, predictions.logits, predictions.target)
    if predictions.kind == "score":
        return found_against_true(logits[:, 0], target, about(record, metric="mae"))
    return reliability(logits, target, about(record, metric="ece"))
