"""Scoring: predictions in the order of the test part, their metrics, and what one prediction costs."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from jaxtyping import Float, Shaped
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from skelbench.bootstrap import SEED, subject_interval
from skelbench.data.types import Batch, Clip, InputSpec, Task, TaskKind
from skelbench.detection import frame_metrics, runs
from skelbench.errors import RunError
from skelbench.metrics import Metric, score

FRAMES = 64  # length of the clip that is counted where a model takes any
CLASSES = "classes"  # key of the metadata of predictions.parquet


@dataclass(frozen=True)
class Predictions:
    """What a method says of each sample of a part, in order."""

    ids: tuple[str, ...]
    target: Shaped[np.ndarray, "rows ..."]  # (N,) class index or number, (N, K) with NaN = ignored, or (F, K) bool
    logits: Float[np.ndarray, "rows outputs"]  # single precision; of frames half
    classes: tuple[str, ...] = ()  # names in the order of the logits; empty for a score
    subjects: tuple[int | str | None, ...] | None = None  # who each sample shows, where the store says so
    frames: tuple[int, ...] | None = None  # of each sample, where rows of target and logits are frames, in its order

    @property
    def kind(self) -> TaskKind:
        """The kind of target."""
        if self.frames is not None:
            return "frame"
        if self.target.ndim == 2:
            return "multi"
        return "single" if self.target.dtype.kind in "iu" else "score"


@dataclass(frozen=True)
class Sizes:
    """How large a network is."""

    parameters: int
    gflops: float | None  # 1e9 multiply-accumulates for one sample


def predict(method: nn.Module, batches: Iterable[Batch], *, ids: Sequence[str], outputs: int) -> Predictions:
    """Run a method over a part.

    Args:
        method: Trained or fitted; put into eval mode.
        batches: The part in order, every sample once.
        ids: Sample ids of the part.
        outputs: Columns that the logits must have.

    Returns:
        Ids, targets and logits.

    Raises:
        RunError: If the logits have another shape, or are not finite.
    """
    method.eval()
    logits, targets = [], []
    with torch.inference_mode():
        for batch in batches:
            out = method.predict(batch)  # type: ignore[operator] # the Protocol's method, found by method_class
            check_logits(out, batch, outputs)
            logits.append(out.float().cpu())
            targets.append(batch.target.cpu())
    if not logits:
        raise RunError("The test part gives no batch: it holds no sample.")
    found = torch.cat(logits).numpy()
    if len(found) != len(ids):
        raise RunError(f"{len(found)} predictions for {len(ids)} samples.")
    rows = np.flatnonzero(~np.isfinite(found).all(1))
    if rows.size:
        raise RunError(f"Predictions of {rows.size} samples are not finite, the first is {ids[rows[0]]}.")
    return Predictions(tuple(ids), torch.cat(targets).numpy(), found)


def check_logits(logits: torch.Tensor, batch: Batch, outputs: int) -> None:
    """Hold the shape of a prediction against what the task asks for.

    Args:
        logits: What `predict` of a method gave.
        batch: Its batch.
        outputs: Classes of the task, or 1.

    Raises:
        RunError: If it is not (samples, outputs), or (samples, frames, outputs) where frames are predicted.
    """
    frames = () if batch.frames is None else (batch.frames.shape[1],)
    names = "(samples, frames, classes)" if frames else "(samples, classes)"
    wanted = (len(batch.target), *frames, outputs)
    if tuple(logits.shape) != wanted:
        raise RunError(f"predict gave the shape {tuple(logits.shape)}, expected {names} = {wanted}.")


def measure(predictions: Predictions, task: Task, *, primary: str) -> dict[str, Metric]:
    """Score predictions.

    Args:
        predictions: Of a whole part, with the subjects where they are known.
        task: Kind of target, and classes.
        primary: Metric that ranks the table; it gets the interval over subjects, where it has one.

    Returns:
        Metrics by name.

    Raises:
        RunError: If there is no such metric for this kind of target.
    """
    metrics = metrics_of(predictions, task)
    if primary not in metrics:
        raise RunError(f"A target of kind '{task.kind}' has no metric '{primary}'. It has: {', '.join(metrics)}.")
    subjects = predictions.subjects
    if subjects is not None and None not in subjects and task.kind != "frame":
        arrays, rng = (predictions.logits, predictions.target), np.random.default_rng(SEED)
        interval = subject_interval(primary, task.kind, arrays, np.asarray(subjects), rng)
        if interval is not None:
            found = {"interval": interval, "interval_over": "subject"}
            metrics[primary] = metrics[primary].model_copy(update=found)
    return metrics


def metrics_of(predictions: Predictions, task: Task) -> dict[str, Metric]:
    """All metrics of predictions, without an interval; raises like `measure`."""
    if predictions.frames is not None:
        return frame_metrics(predictions.logits, predictions.target, predictions.frames)
    return score(task.kind, predictions.logits, predictions.target, task.classes)


def chance(primary: str, classes: int) -> float:
    """The primary metric of a guess that knows only how many classes there are; 0 where that is not defined."""
    shares = {"top1": 1, "top5": 5, "mean_class_accuracy": 1}
    return min(1.0, shares.get(primary, 0) / classes) if classes else 0.0


def evaluated_digest(predictions: Predictions) -> str:
    """SHA-256 over the scored (sample_id, target) pairs, ordered by id: only equal ones may stand in one table.

    The target of a sample whose frames are scored is its number of frames, and class, start and end of every run.
    """
    if predictions.frames is not None:
        targets = [[len(target), _runs(target)] for target, _ in each_sample(predictions)]
        return _digest(list(zip(predictions.ids, targets, strict=True)))
    return _digest(list(zip(predictions.ids, predictions.target.tolist(), strict=True)))


def each_sample(predictions: Predictions) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Target and logits of each sample whose frames are predicted."""
    ends = np.cumsum(predictions.frames or ())
    for end, count in zip(ends.tolist(), predictions.frames or (), strict=True):
        yield predictions.target[end - count : end], predictions.logits[end - count : end]


def _digest(given: list[tuple[str, Any]]) -> str:
    """SHA-256 over pairs of id and target."""
    pairs = sorted(given, key=lambda pair: pair[0].encode())
    return hashlib.sha256(json.dumps(pairs, ensure_ascii=False).encode()).hexdigest()


def predictions_bytes(predictions: Predictions) -> bytes:
    """Predictions as a Parquet file.

    Args:
        predictions: Of a whole part.

    Returns:
        One row a sample. Columns sample_id (string), target (int32, float32 of a score, or a list of float32 of several
        classes), of one class a sample target_name and predicted_name (strings, the first null where unlabelled),
        subject where it is known, logits (list of float32 of fixed length); the names of the classes as a JSON list
        under the key `classes` of the schema's metadata. Where frames are predicted: frames (int32), target (a list of
        runs: label, start, end), logits (a list of float32, class by class of one frame after another, rounded to half
        precision). The same bytes for the same predictions and version of pyarrow.
    """
    if predictions.frames is not None:
        return _frames_bytes(predictions)
    target, classes = predictions.target, predictions.classes
    columns = {"sample_id": pa.array(predictions.ids, pa.string())}
    columns["target"] = _lists(target) if target.ndim == 2 else pa.array(target, _scalar(target))
    if predictions.kind == "single" and classes:
        names = pa.array(classes, pa.string())
        columns["target_name"] = names.take(pa.array(target, pa.int32(), mask=target < 0))
        columns["predicted_name"] = names.take(pa.array(predictions.logits.argmax(axis=1), pa.int32()))
    if predictions.subjects is not None:
        columns["subject"] = pa.array(predictions.subjects)
    columns["logits"] = _lists(predictions.logits)
    table = pa.table(columns).replace_schema_metadata({CLASSES: json.dumps(classes, ensure_ascii=False)})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue())


def read_predictions(path: Path) -> Predictions:
    """Read predictions.parquet.

    Args:
        path: The file; names of classes and subjects may be missing.

    Returns:
        Ids, targets, logits; classes and subjects where the file holds them.

    Raises:
        RunError: If the file is missing, damaged, or lacks a column.
    """
    try:
        if "frames" in pq.read_schema(path).names:
            return _read_frames(path)
        table = pq.read_table(path)
        target, logits = (_array(table[name].combine_chunks()) for name in ("target", "logits"))
        ids = tuple(table["sample_id"].to_pylist())
        classes = tuple(json.loads((table.schema.metadata or {}).get(CLASSES.encode(), b"[]")))
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise RunError(f"{path}: no readable predictions: {error}.") from error
    subjects = tuple(table["subject"].to_pylist()) if "subject" in table.column_names else None
    return Predictions(ids, target, logits.astype(np.float32), classes, subjects)


def sizes(method: nn.Module, spec: InputSpec) -> Sizes:
    """Count parameters and work.

    Args:
        method: Encoder and head on any device.
        spec: What the clips look like; every person slot is taken as filled.

    Returns:
        All parameters, frozen ones too; and multiply-accumulates in 1e9 for one sample with one clip, as the field
        prints "FLOPs": half of what torch's FlopCounterMode counts (a multiplication and an addition are one), of
        matrix products and convolutions alone. None where that counter sees nothing.
    """
    device = next((tensor.device for tensor in (*method.parameters(), *method.buffers())), torch.device("cpu"))
    rows, slot = spec.slots, torch.arange(spec.slots, device=device)
    x = torch.zeros(rows, spec.channels, spec.frames or FRAMES, len(spec.layout.joints), device=device)
    one = torch.zeros(1, dtype=torch.int64, device=device)
    clip = Clip(x=x, slot=slot, sample=torch.zeros_like(slot), start=one.float())
    batch = Batch(clips=(clip,), index=one, target=one, group=1, features={}, progress=0.0)
    training = method.training
    method.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        method.predict(batch)  # type: ignore[operator] # the Protocol's method, found by method_class
    method.train(training)
    work = counter.get_total_flops() / 2e9
    return Sizes(sum(parameter.numel() for parameter in method.parameters()), round(work, 6) or None)


def _runs(target: np.ndarray) -> list[tuple[int, int, int]]:
    """Class, start and end of every run of frames in a row."""
    return list(zip(*(column.tolist() for column in runs(target)), strict=True))


def _frames_bytes(predictions: Predictions) -> bytes:
    """Predictions of frames as a Parquet file, a few samples at a time."""
    one = pa.struct({name: pa.int32() for name in ("label", "start", "end")})
    fields = {"sample_id": pa.string(), "frames": pa.int32(), "target": pa.list_(one), "logits": pa.list_(pa.float32())}
    if predictions.subjects is not None:
        fields["subject"] = pa.array(predictions.subjects).type
    schema = pa.schema(fields, metadata={CLASSES: json.dumps(predictions.classes, ensure_ascii=False)})
    sink = pa.BufferOutputStream()
    options = {"use_dictionary": False, "use_byte_stream_split": ["logits.list.element"]}
    with pq.ParquetWriter(sink, schema, compression="zstd", **options) as writer:
        for at, (target, logits) in enumerate(each_sample(predictions)):
            named = [dict(zip(("label", "start", "end"), run, strict=True)) for run in _runs(target)]
            flat = pa.array(logits.astype(np.float32).reshape(-1))
            row = {
                "sample_id": pa.array([predictions.ids[at]]),
                "frames": pa.array([len(target)], pa.int32()),
                "target": pa.array([named], pa.list_(one)),
                "logits": pa.ListArray.from_arrays(pa.array([0, len(flat)], pa.int32()), flat),
            }
            if predictions.subjects is not None:
                row["subject"] = pa.array([predictions.subjects[at]], fields["subject"])
            writer.write_table(pa.table(row, schema=schema))
    return bytes(sink.getvalue())


def _read_frames(path: Path) -> Predictions:
    """Read predictions of frames, sample by sample."""
    ids, subjects, frames, targets, logits = [], list[Any](), [], [], []
    with pq.ParquetFile(path) as file:
        classes = json.loads((file.schema_arrow.metadata or {}).get(CLASSES.encode(), b"[]"))
        for group in range(file.num_row_groups):
            for row in file.read_row_group(group).to_batches():
                found = row.column("logits").flatten().to_numpy().astype(np.float16)
                count = row.column("frames")[0].as_py()
                on = np.zeros((count, len(classes)), bool)
                for run in row.column("target")[0].as_py():
                    on[run["start"] : run["end"], run["label"]] = True
                ids.append(row.column("sample_id")[0].as_py())
                frames.append(count)
                targets.append(on)
                logits.append(found.reshape(count, len(classes)))
                subjects += row.column("subject").to_pylist() if "subject" in row.schema.names else []
    return Predictions(
        ids=tuple(ids),
        target=np.concatenate(targets),
        logits=np.concatenate(logits),
        classes=tuple(classes),
        subjects=tuple(subjects) or None,
        frames=tuple(frames),
    )


def _lists(values: np.ndarray) -> pa.Array:
    """A column of lists of one length."""
    flat = pa.array(np.ascontiguousarray(values, np.float32).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def _scalar(values: np.ndarray) -> pa.DataType:
    """The type of a column of single values."""
    return pa.int32() if values.dtype.kind in "iu" else pa.float32()


def _array(column: pa.Array) -> np.ndarray:
    """A column as an array, lists as rows."""
    if pa.types.is_fixed_size_list(column.type):
        return np.asarray(column.flatten()).reshape(len(column), column.type.list_size)
    return np.asarray(column)
