"""What is known of runs, as tables or as one document."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skelbench.cli import output
from skelbench.metrics import Metric, shown
from skelbench.record import Record, read_record

if TYPE_CHECKING:
    from skelbench.record import Stage

LISTS = ("per_class_precision", "per_class_recall", "per_class_f1", "per_class_support", "confusion")


def document(paths: Sequence[Path]) -> dict[str, Any]:
    """One record as it is, with the path it stands at; several under `runs`, with what they share.

    Args:
        paths: Records of one key, at least one.

    Returns:
        Keys of docs/record.schema.json and `record`; of several: key, dataset, protocol, model, method, streams,
        primary, value (mean over the runs) and runs.
    """
    records = [read_record(path) for path in paths]
    each = [{"record": str(path), **one.model_dump(mode="json")} for path, one in zip(paths, records, strict=True)]
    if len(each) == 1:
        return each[0]
    shared = ("key", "dataset", "protocol", "model", "method", "streams", "primary")
    return {**{name: each[0][name] for name in shared}, "value": _mean(records), "runs": each}


def show(paths: Sequence[Path]) -> None:
    """Print what is known of a run, or of its seeds and folds.

    Args:
        paths: Records of one key, at least one.
    """
    records = [read_record(path) for path in paths]
    first = records[0]
    output.pairs(dict(_shared(first)))
    if len(records) > 1:
        _show_seeds(paths, records)
    else:
        click.echo()
        output.pairs(dict(_single(paths[0], first)))
        _show_metrics(first)
        _show_classes(first)
    _show_fusion(records)
    for place, stage in enumerate(first.stages):
        _show_stage(stage, "settings" if len(first.stages) == 1 else f"settings of stage {place + 1}")
    for record in records:
        for message in record.messages:
            click.echo(f"note: seed {record.seed}: {message}", err=True)


def _shared(record: Record) -> Iterator[tuple[str, Any]]:
    """What all seeds of a run share."""
    yield "key", record.key
    yield "data", ", ".join(f"{trail.dataset} ({trail.pose_source})" for trail in record.data)
    yield "made up", "yes: the recordings are synthetic" if record.synthetic else ""
    yield "fingerprint", ", ".join(trail.fingerprint for trail in record.data)
    split = record.split
    yield "protocol", f"{record.protocol}: {split.train:,} training, {split.test:,} {record.scored} samples"
    yield "not official", "; ".join(split.official)
    yield "evaluation", record.evaluation + ("" if record.labels is None else f", {record.labels:.0%} of the labels")
    yield "limit", record.limit
    yield "model", f"{record.model}, {record.parameters:,} parameters" + _flops(record)
    yield "method", record.method
    yield "streams", (", " if record.fusion else "+").join(record.streams)
    yield "recipe", record.recipe


def _single(path: Path, record: Record) -> Iterator[tuple[str, Any]]:
    """What one seed adds."""
    yield "record", path
    yield "seed", f"{record.seed}" + ("" if record.fold is None else f", fold {record.fold}")
    yield "state", record.state
    yield "result", _result(record)
    yield "scored", f"{record.evaluated[:8]} (digest of the samples and targets)" if record.evaluated else ""
    clock = record.seconds
    yield "cost", f"{record.epochs} epochs, {clock.train:.1f} s training, {clock.test:.1f} s test, on {record.device}"
    yield "environment", ", ".join(f"{name} {value}" for name, value in sorted(record.environment.items()))
    yield "code", record.code_version
    yield "again", record.command


def _flops(record: Record) -> str:
    """Work for one sample."""
    return "" if record.gflops is None else f", {record.gflops:.3g} GFLOPs a sample"


def _result(record: Record) -> str:
    """The primary metric with chance and interval."""
    metric = record.metrics.get(record.primary)
    if metric is None:
        return ""
    chance = f" (chance {shown(record.chance, record.primary)})" if record.chance else ""
    return f"{record.primary} {shown(metric.value, record.primary)}{chance}{_interval(metric, record.primary)}"


def _interval(metric: Metric, name: str) -> str:
    """Bounds of an interval, where there is one."""
    if metric.interval is None:
        return ""
    low, high = (shown(bound, name) for bound in metric.interval)
    return f", 95 % interval over {metric.interval_over}s {low} to {high}"


def _mean(records: Sequence[Record]) -> float | None:
    """Mean of the primary metric over records that have it."""
    return _average([record.metrics[record.primary].value for record in records if record.primary in record.metrics])


def _average(values: Sequence[float | None]) -> float | None:
    """The mean of the values that are defined."""
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None


def _show_seeds(paths: Sequence[Path], records: Sequence[Record]) -> None:
    """A line for each seed and fold, and their mean."""
    click.echo()
    primary = records[0].primary
    rows: list[dict[str, Any]] = []
    for path, record in zip(paths, records, strict=True):
        metric = record.metrics.get(primary)
        rows.append({
            "seed": record.seed,
            "fold": "" if record.fold is None else record.fold,
            "state": record.state,
            primary: "" if metric is None else shown(metric.value, primary),
            "training": f"{record.seconds.train:.1f} s",
            "record": path,
        })  # fmt: skip
    rows.append({"seed": "mean", primary: shown(_mean(records), primary)})
    output.table(rows, rows[0])


def _show_metrics(record: Record) -> None:
    """Every metric that is one number."""
    rows = [
        {"metric": name, "value": shown(metric.value, name), "samples": metric.n,
         "": _interval(metric, name).removeprefix(", ")}
        for name, metric in record.metrics.items() if name not in LISTS
    ]  # fmt: skip
    if rows:
        click.echo("\nmetrics")
        output.table(rows, rows[0])


def _show_classes(record: Record) -> None:
    """Recall, precision and F1 of each class, or its average precision."""
    found = {name.removeprefix("per_class_"): record.metrics.get(name) for name in LISTS[:-1]}
    if None in found.values():
        found = {"average precision": record.metrics.get("map")}
    columns = {name: metric.per_class for name, metric in found.items() if metric and metric.per_class}
    rows = []
    for place, name in enumerate(record.classes):
        row: dict[str, Any] = {"number": place, "class": name}
        for column, values in columns.items():
            value: Any = values[place]
            row[column] = value if column == "support" else "–" if value is None else shown(value, "top1")
        rows.append(row)
    if rows and columns:
        click.echo("\nclasses")
        output.table(rows, rows[0])


def _show_fusion(records: Sequence[Record]) -> None:
    """What was fused, and how; means over the seeds."""
    fusions = [record.fusion for record in records if record.fusion is not None]
    if not fusions:
        return
    fusion, metric = fusions[0], records[0].primary
    click.echo(f"\nfused by {fusion.by}, {fusion.weights} weights" + (", means over the seeds" if fusions[1:] else ""))
    rows = [
        {
            "run": run.key[:8],
            "model": run.model,
            "streams": "+".join(run.streams),
            "weight": f"{sum(each.runs[place].weight for each in fusions) / len(fusions):.4g}",
            "alone": shown(_average([each.runs[place].alone for each in fusions]), metric),
            "the others": shown(_average([each.runs[place].left_out for each in fusions]), metric),
            "again": run.command,
        }
        for place, run in enumerate(fusion.runs)
    ]
    output.table(rows, rows[0])
    for control in fusion.controls:
        told = f"{control.members} seeds of {'+'.join(control.streams)} fused instead"
        click.echo(f"control: {told}: {shown(control.value, metric)}")


def _show_stage(stage: Stage, title: str) -> None:
    """Every setting with its layer and source."""
    rows = [
        {"key": key, "value": json.dumps(one.value, ensure_ascii=False), "layer": one.layer, "source": one.source}
        for key, one in sorted(stage.values.items())
    ]
    if rows:
        click.echo(f"\n{title}")
        output.table(rows, rows[0])
