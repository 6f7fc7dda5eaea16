"""One run of one seed, from the store to its record."""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn

from skelbench.data.batches import PartData, part_data, recipe_spec
from skelbench.data.targets import part_items, task_of
from skelbench.data.types import InputSpec, Items, Task
from skelbench.errors import UsageError
from skelbench.evaluate import (
    Predictions,
    Sizes,
    chance,
    evaluated_digest,
    measure,
    predict,
    predictions_bytes,
    sizes,
)
from skelbench.methods.method import learns_by_gradient
from skelbench.metrics import Metric
from skelbench.preflight import check_gradient, check_targets, fit, guarded, push
from skelbench.prepare import person_slots, prepare_set
from skelbench.provenance import device_name, environment
from skelbench.recipe import Resolved, Setting
from skelbench.record import DataTrail, Record, SplitTrail, Stage, Timing, Value, write_whole
from skelbench.split import Split
from skelbench.store.reader import Store
from skelbench.train import Epoch, Job, Trained, checkpoint_bytes, draw_seed, own_randomness, train

CHECKPOINT = "checkpoint.safetensors"
PREDICTIONS = "predictions.parquet"
CACHE = ".cache"  # of prepared samples, beside the store

Phase: TypeAlias = Literal["prepare", "check", "train", "test", "end"]


@dataclass(frozen=True)
class Cell:
    """One run of one seed, everything about it settled."""

    store: Store
    split: Split  # parts already thinned by a limit
    resolved: Resolved
    key: str
    seed: int
    folder: Path
    device: str  # auto | cpu | cuda | cuda:N
    precision: str  # 32-true | bf16-mixed
    limit: int | None  # samples a part
    command: str  # that repeats it
    code: str  # version of the code that runs it

    @property
    def name(self) -> str:
        """What people call it."""
        chosen, ask = self.resolved, self.resolved.ask
        streams = "+".join(chosen.data.streams)
        return f"{ask.dataset}/{ask.protocol} {chosen.model.name}-{chosen.method.name}-{streams} seed {self.seed}"


@dataclass(frozen=True)
class Progress:
    """Where a run stands."""

    run: str  # name of the cell
    phase: Phase
    done: int = 0  # epochs, in training
    total: int = 0
    text: str = ""


Sink: TypeAlias = Callable[[Progress], None]


@dataclass(frozen=True)
class Preview:
    """What `--dry-run` says of a run."""

    name: str
    key: str
    folder: Path
    settings: dict[str, Setting]
    train: int  # samples
    test: int
    chance: float
    sizes: Sizes
    seconds: float  # estimate of training, from one step
    device: str
    messages: tuple[str, ...]


@dataclass(frozen=True)
class _Parts:
    """Both parts, ready for batches."""

    task: Task
    train: PartData
    test: PartData
    train_items: Items
    test_items: Items
    seconds: float  # preparing

    @property
    def spec(self) -> InputSpec:
        """What the clips look like."""
        return self.train.spec

    @property
    def outputs(self) -> int:
        """Columns of the logits."""
        return 1 if self.task.kind == "score" else len(self.task.classes)


@dataclass(frozen=True)
class _Outcome:
    """What a run measured."""

    trained: Trained
    sizes: Sizes
    seconds: Timing
    device: str
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    evaluated: str = ""
    digests: tuple[str | None, str | None] = (None, None)  # of predictions and checkpoint


def make_fabric(device: str, precision: str) -> Fabric:
    """Device and precision of a run.

    Args:
        device: `auto` (the GPU where there is one), `cpu`, `cuda` or `cuda:N`.
        precision: `32-true` or `bf16-mixed`.

    Returns:
        Fabric on that one device.

    Raises:
        UsageError: If there is no such device or precision.
    """
    if precision not in ("32-true", "bf16-mixed"):
        raise UsageError(f"No precision '{precision}'. Known: 32-true, bf16-mixed.")
    name, _, place = device.partition(":")
    if name not in ("auto", "cpu", "cuda") or (place and (name != "cuda" or not place.isdecimal())):
        raise UsageError(f"No device '{device}'. Known: auto, cpu, cuda, cuda:N.")
    there = torch.cuda.device_count()
    if name == "cuda" and int(place or 0) >= there:
        raise UsageError(f"No device '{device}': torch sees {there} CUDA devices. Use --device cpu.")
    if name == "cpu" or not there:
        return Fabric(accelerator="cpu", devices=1, precision=precision)  # type: ignore[arg-type]  # checked above
    return Fabric(accelerator="cuda", devices=[int(place or 0)], precision=precision)  # type: ignore[arg-type]  # as above


def execute(cell: Cell, sink: Sink) -> Record:
    """Run a cell to its end; from its resume state where there is one.

    Writes log, checkpoint and predictions into the cell's folder, not the record.

    Args:
        cell: What to run.
        sink: Told of every step.

    Returns:
        The record, `done` or `diverged`.

    Raises:
        RunError: If data, model and method do not fit together, or predictions are unusable.
        RecipeError: If the recipe cannot be carried out on this data.
    """
    fabric = make_fabric(cell.device, cell.precision)
    sink(Progress(cell.name, "prepare"))
    parts = _parts(cell, fabric.device)
    sink(Progress(cell.name, "check", text="; ".join([_situation(cell, parts), *_left_out(parts)])))
    with own_randomness(fabric.device):
        method = _build(cell, parts).to(fabric.device)
        fitting = fit(method, parts.train.batches)
        _push(cell, parts, method)
        size = sizes(method, parts.spec)
    trained = train(method, _job(cell, parts), fabric, lambda line: sink(_of_epoch(cell, line)))
    trained = replace(trained, messages=(*_left_out(parts), *trained.messages))
    clock = Timing(prepare=parts.seconds, train=trained.seconds + fitting, test=0)
    outcome = _Outcome(trained, size, clock, device_name(fabric.device))
    if trained.state == "diverged":
        return _record(cell, outcome)
    sink(Progress(cell.name, "test"))
    began = time.perf_counter()
    with own_randomness(fabric.device):
        predictions = predict(method, parts.test.batches(), ids=parts.test_items.ids, outputs=parts.outputs)
    predictions = replace(predictions, classes=parts.task.classes, subjects=_column(cell, "subject"))
    clock = clock.model_copy(update={"test": time.perf_counter() - began})
    scored = replace(
        outcome,
        seconds=clock,
        metrics=measure(predictions, parts.task, primary=cell.split.protocol.metric),
        evaluated=evaluated_digest(predictions),
        digests=_save(cell, method, predictions),
    )
    return _record(cell, scored)


def preview(cell: Cell) -> Preview:
    """Say what a run would be and cost, having pushed one batch through it.

    Args:
        cell: What would be run; nothing is written but perhaps the cache of prepared samples.

    Returns:
        Every setting with layer and source, sizes, and an estimate.

    Raises:
        RunError: As `execute` would before training.
    """
    fabric = make_fabric(cell.device, cell.precision)
    parts = _parts(cell, fabric.device, few=True)
    optim, batch = cell.resolved.optim, cell.resolved.data.batch
    with own_randomness(fabric.device):
        method = _build(cell, parts).to(fabric.device)
        fits = any(callable(getattr(module, "fit", None)) for module in method.modules())
        # the first push pays for what the libraries set up; the second tells what a step takes
        flight = None if fits else [_push(cell, parts, method) for _ in range(2)][-1]
        size = sizes(method, parts.spec)
    steps = optim.epochs * max(1, len(cell.split.train) // batch)
    seconds = steps * flight.step_seconds if flight else 0.0
    return Preview(
        name=cell.name,
        key=cell.key,
        folder=cell.folder,
        settings=dict(cell.resolved.settings),
        train=len(cell.split.train),
        test=len(cell.split.test),
        chance=chance(cell.split.protocol.metric, len(parts.task.classes)),
        sizes=size,
        seconds=seconds,
        device=device_name(fabric.device),
        messages=(_situation(cell, parts), *cell.split.official, *cell.split.notes),
    )


def unfinished(cell: Cell, state: Literal["partial", "failed"], message: str) -> Record:
    """The record of a run that has no result.

    Args:
        cell: What was run.
        state: How it stands.
        message: Why.

    Returns:
        A record without metrics.
    """
    nothing = Trained("done", 0, 0.0, (message,))
    outcome = _Outcome(nothing, Sizes(0, None), Timing(train=0, test=0, prepare=0), cell.device)
    return _record(cell, outcome).model_copy(update={"state": state})


def _parts(cell: Cell, device: torch.device, *, few: bool = False) -> _Parts:
    """Prepare both parts and stand them on the device; of each only one batch if few are wanted."""
    began = time.perf_counter()
    store, split, recipe = cell.store, cell.split, cell.resolved.data
    train, test = part_items(store, split, "train"), part_items(store, split, "test")
    task = task_of(split, train)
    check_targets(task, train.target, test.target, ids=(*train.ids, *test.ids))
    slots = person_slots(recipe.prepare, store.card.persons)
    spec = recipe_spec(recipe, store.card.layout, channels=len(store.card.channels), slots=slots)
    cache = store.path.parent / CACHE
    data = []
    count = recipe.batch if few else None
    for places, items in ((split.train, train), (split.test, test)):
        chosen = Items(items.ids[:count], items.target[:count], items.kind)
        prepared = prepare_set(store, places[:count], recipe.prepare, cache)
        data.append(part_data(prepared, chosen, recipe, spec, device))
    return _Parts(task, data[0], data[1], train, test, time.perf_counter() - began)


def _job(cell: Cell, parts: _Parts) -> Job:
    """What is to be trained on what."""
    return Job(
        optim=cell.resolved.optim,
        data=parts.train,
        ids=parts.train_items.ids,
        folder=cell.folder,
        key=cell.key,
        seed=cell.seed,
        code=cell.code,
    )


def _build(cell: Cell, parts: _Parts) -> Any:
    """Encoder and method, initialised from the seed alone."""
    torch.manual_seed(draw_seed("init", cell.seed))
    model, method = cell.resolved.model, cell.resolved.method
    encoder = guarded(lambda: model.cls(parts.spec, **model.values), f"{model.name} cannot be built")
    return guarded(
        lambda: method.cls(encoder, parts.task, parts.spec, **method.values),
        f"{method.name} on {model.name} cannot be built",
    )


def _push(cell: Cell, parts: _Parts, method: nn.Module) -> Any:
    """One batch through loss and predict."""
    check_gradient(method, cell.resolved.optim)
    train_batch = None
    if learns_by_gradient(type(method)) and cell.resolved.optim.epochs:
        train_batch = next(islice(parts.train.train_batches(cell.seed, 0, 0, cell.resolved.optim.epochs), 1))
    torch.manual_seed(draw_seed("push", cell.seed))
    return push(method, train_batch, next(islice(parts.test.batches(), 1)), outputs=parts.outputs)


def _situation(cell: Cell, parts: _Parts) -> str:
    """Samples, classes and chance, in a sentence."""
    level = chance(cell.split.protocol.metric, len(parts.task.classes))
    metric = cell.split.protocol.metric
    told = f"{len(cell.split.train)} training and {len(cell.split.test)} test samples"
    return f"{told}, {_classes(parts)}; chance {metric} {100 * level:.1f} %"


def _classes(parts: _Parts) -> str:
    """How many classes there are, and of how many there is a sample."""
    count = len(parts.task.classes)
    if parts.task.kind == "single":
        occur = np.unique(np.concatenate([parts.train_items.target, parts.test_items.target])).size
        if occur < count:
            return f"{occur} of {count} classes occur"
    return f"{count} classes"


def _left_out(parts: _Parts) -> tuple[str, ...]:
    """A sentence on the persons that have no slot, if there are any."""
    lost = parts.train.left_out + parts.test.left_out
    return (f"{lost} persons beyond the {parts.spec.slots} slots are left out",) if lost else ()


def _of_epoch(cell: Cell, line: Epoch) -> Progress:
    """What an epoch's line says to people."""
    parts = "".join(f", {name} {value:.3f}" for name, value in line.parts.items())
    return Progress(cell.name, "train", line.epoch + 1, line.epochs, f"loss {line.loss:.3f}{parts}")


def _column(cell: Cell, name: str) -> tuple[int | str | None, ...] | None:
    """A column of the store for the test part, None in place of missing values, where the store has it."""
    table = cell.store.table
    if name not in table.columns:
        return None
    chosen = table[name].iloc[list(cell.split.test)]
    known = chosen.dropna().convert_dtypes()  # whole numbers, which a missing one had turned into floats
    values = dict(zip(known.index, known.tolist(), strict=True))
    return tuple(values.get(place) for place in chosen.index)


def _save(cell: Cell, method: nn.Module, predictions: Predictions) -> tuple[str, str]:
    """Write predictions and checkpoint; return their digests."""
    cell.folder.mkdir(parents=True, exist_ok=True)
    about = {"key": cell.key, "seed": str(cell.seed), "model": cell.resolved.model.name}
    contents = {
        PREDICTIONS: predictions_bytes(predictions),
        CHECKPOINT: checkpoint_bytes(method, {**about, "method": cell.resolved.method.name}),
    }
    for name, content in contents.items():
        write_whole(cell.folder / name, content)
    return hashlib.sha256(contents[PREDICTIONS]).hexdigest(), hashlib.sha256(contents[CHECKPOINT]).hexdigest()


def stage_of(split: Split, resolved: Resolved) -> Stage:
    """The one stage of a supervised run, as records and run keys have it."""
    return Stage(
        dataset=resolved.ask.dataset,
        protocol=resolved.ask.protocol,
        part="train",
        target=split.target,
        labels=None,
        model=resolved.model.name,
        method=resolved.method.name,
        streams=resolved.data.streams,
        values={
            key: Value(value=one.value, layer=one.layer, source=one.source) for key, one in resolved.settings.items()
        },
    )


def _record(cell: Cell, outcome: _Outcome) -> Record:
    """Everything that is known of a run."""
    split, resolved = cell.split, cell.resolved
    stage = stage_of(split, resolved)
    return Record(
        state=outcome.trained.state,
        key=cell.key,
        seed=cell.seed,
        fold=None,
        dataset=stage.dataset,
        protocol=stage.protocol,
        evaluation=resolved.ask.evaluation,
        labels=stage.labels,
        model=stage.model,
        method=stage.method,
        streams=stage.streams,
        recipe=resolved.recipe,
        limit=cell.limit,
        stages=(stage,),
        data=(_data_trail(cell.store),),
        split=_split_trail(split),
        evaluated=outcome.evaluated,
        classes=split.classes,
        metrics=dict(outcome.metrics),
        primary=split.protocol.metric,
        chance=chance(split.protocol.metric, len(split.classes)),
        parameters=outcome.sizes.parameters,
        gflops=outcome.sizes.gflops,
        epochs=outcome.trained.epochs,
        seconds=outcome.seconds,
        device=outcome.device,
        environment=environment(),
        code_version=cell.code,
        command=cell.command,
        predictions_sha256=outcome.digests[0],
        checkpoint_sha256=outcome.digests[1],
        messages=outcome.trained.messages,
    )


def _data_trail(store: Store) -> DataTrail:
    """A store, back to its raw files."""
    info, limit = store.info, store.info.origin.limit
    return DataTrail(
        dataset=info.name,
        fingerprint=info.fingerprint,
        pose_source=info.card.pose_source,
        synthetic=info.origin.synthetic,
        raw_sha256=info.origin.raw.sha256,
        converter=info.origin.converter,
        limit=None if limit is None else limit.get("items"),
    )


def _split_trail(split: Split) -> SplitTrail:
    """A split, as it was resolved."""
    return SplitTrail(
        protocol=split.name,
        digest=split.digest,
        train=len(split.train),
        test=len(split.test),
        left_out=split.left_out,
        official=split.official,
    )
