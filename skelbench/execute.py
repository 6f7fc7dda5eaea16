"""One run of one seed and fold, stage by stage, from the store to its record."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from lightning_fabric import Fabric

from skelbench.cell import Cell, Planned, Progress, Sink
from skelbench.data.samplers import times_of
from skelbench.evaluate import Predictions, Sizes, chance, evaluated_digest, measure, predict, predictions_bytes, sizes
from skelbench.metrics import LOWER_IS_BETTER, Metric
from skelbench.processes import make_fabric, part
from skelbench.provenance import device_name
from skelbench.recipe import Setting
from skelbench.record import Record, Timing, write_whole
from skelbench.resume import Ended, checkpoint_bytes, end_stage, ended_stages
from skelbench.stages import Running, about, begin, fits, rehearse, try_batch
from skelbench.standing import CHECKPOINT, PREDICTIONS
from skelbench.stitch import predict_frames
from skelbench.trail import Outcome, record_of
from skelbench.train import Epoch, Job, Trained, own_randomness, train

ORACLE = "oracle_"  # what names of metrics of the best epoch on the scored part begin with


@dataclass(frozen=True)
class Preview:
    """What `--dry-run` says of a run."""

    name: str
    key: str
    folder: Path
    settings: dict[str, Setting]  # of the stage that is scored
    stages: tuple[tuple[str, dict[str, Setting]], ...]  # a line on each stage, and its settings
    train: int  # samples
    test: int
    chance: float
    sizes: Sizes
    steps: int  # of training by gradient, in all stages
    seconds: float  # estimate of training, from one step of each stage
    device: str
    messages: tuple[str, ...]


@dataclass(frozen=True)
class _Sum:
    """What the stages until now have come to."""

    epochs: int = 0
    prepare: float = 0.0  # seconds
    train: float = 0.0  # seconds
    told: tuple[Mapping[str, object], ...] = ()  # of each, for the record
    messages: tuple[str, ...] = ()


def execute(cell: Cell, sink: Sink, fabric: Fabric | None = None) -> Record:
    """Run a cell to its end; from its resume state where there is one.

    Writes log, weights of all stages and predictions into the cell's folder, not the record.

    Args:
        cell: What to run.
        sink: Told of every step.
        fabric: Of the first of several processes, launched; the others `assist` at once.

    Returns:
        The record, `done` or `diverged`.

    Raises:
        RunError: If data, model and method do not fit together, or predictions are unusable.
        RecipeError: If the recipe cannot be carried out on this data, or weights do not fit.
    """
    fabric = fabric or make_fabric(cell.device, cell.precision)
    sink(Progress(cell.name, "prepare"))
    learnt = _learn(cell, fabric, sink)
    part(fabric)
    if isinstance(learnt, Record):
        return learnt
    sink(Progress(cell.name, "test"))
    return _scored(*learnt)


def assist(cell: Cell, fabric: Fabric) -> None:
    """Train with the first process, which `execute`s the cell; nothing is written, told or scored.

    Args:
        cell: What to run.
        fabric: Of this process, launched.

    Raises:
        RunError, RecipeError: As `execute`.
    """
    _learn(cell, fabric, lambda progress: None)
    part(fabric)


def _learn(cell: Cell, fabric: Fabric, sink: Sink) -> Record | tuple[Running, _Sum, Trained]:
    """Train all stages; a record if one diverged."""
    last = len(cell.stages) - 1
    ended = fabric.broadcast(ended_stages(cell.folder, cell.key, cell.seed)[:last])
    if len(ended) < last:  # nobody should wait for the first stage to learn that the last cannot work
        for _ in rehearse(cell, fabric):
            pass
    while len(ended) < last:
        record = _earlier(cell, ended, fabric, sink)
        if record is not None:
            return record
    stage = begin(cell, last, fabric)
    trained, so_far = _train(stage, _of_ended(ended, cell.code, cell.notes), sink)
    if trained.state == "diverged":
        return record_of(cell, _outcome(stage, so_far, "diverged"))
    return stage, so_far, trained


def preview(cell: Cell) -> Preview:
    """Say what a run would be and cost, having pushed one batch through each of its stages.

    Args:
        cell: What would be run; nothing is written.

    Returns:
        Every setting with layer and source, sizes, and an estimate.

    Raises:
        RunError: As `execute` would before training.
    """
    fabric, seconds, told, stages = make_fabric(cell.device, cell.precision), 0.0, [], []
    size, steps = Sizes(0, None), 0
    for stage in rehearse(cell, fabric):
        resolved, split = stage.plan.resolved, stage.plan.split
        here = 0 if fits(stage.method) else _steps(stage)
        # the first push paid for what the libraries set up; this one tells what a step takes
        seconds += here * try_batch(stage).step_seconds if here else 0.0
        steps += here
        size = _sizes(stage)
        told += [stage.situation, *stage.messages, *split.official, *split.notes]
        stages.append((stage.title, dict(resolved.settings)))
    split = cell.split
    return Preview(
        name=cell.name,
        key=cell.key,
        folder=cell.folder,
        settings=dict(cell.resolved.settings),
        stages=tuple(stages),
        train=len(split.train),
        test=len(split.test),
        chance=chance(split.protocol.metric, len(split.classes)),
        sizes=size,
        steps=steps,
        seconds=seconds,
        device=_devices(fabric.device, cell.devices),
        messages=tuple(dict.fromkeys([*told, *cell.notes])),
    )


def _steps(stage: Running) -> int:
    """How many steps the training of a stage has, of whose samples a batch was looked at."""
    recipe, items, looked = stage.plan.resolved, stage.parts.train_items, stage.parts.train
    met = recipe.data.repeat * int(times_of(recipe.data.sampler, items.target).sum())
    windows = len(looked) / min(len(items.ids), recipe.data.batch)  # that a sample is cut into; of a trimmed one 1
    return max(1, int(met * windows) // recipe.data.batch) * recipe.optim.epochs


def unfinished(cell: Cell, state: Literal["partial", "failed"], message: str) -> Record:
    """The record of a run that has no result.

    Args:
        cell: What was run.
        state: How it stands.
        message: Why.

    Returns:
        A record without metrics.
    """
    return record_of(cell, Outcome(state, cell.device, messages=(message,)))


def _earlier(cell: Cell, ended: list[Ended], fabric: Fabric, sink: Sink) -> Record | None:
    """Train the next stage that others follow, and add it to those that have ended; its record if it diverged."""
    stage = begin(cell, len(ended), fabric)
    trained, so_far = _train(stage, _of_ended(ended, cell.code, cell.notes), sink)
    if trained.state == "diverged":
        return record_of(cell, _outcome(stage, so_far, "diverged"))
    content = checkpoint_bytes(stage.method, about(cell, stage.place))
    digest = hashlib.sha256(content).hexdigest()
    one = Ended(
        key=cell.key,
        seed=cell.seed,
        sha256=digest,
        epochs=trained.epochs,
        seconds=trained.seconds + stage.fitting,
        code=cell.code,
        plan=cell.plan,
        about={**so_far.told[-1], "checkpoint_sha256": digest},
        messages=so_far.messages,
    )
    if fabric.global_rank == 0:
        end_stage(cell.folder, ended, one, content)
    fabric.barrier()  # the others read what was written
    ended.append(one)
    return None


def _train(stage: Running, before: _Sum, sink: Sink) -> tuple[Trained, _Sum]:
    """Train a stage; how it ended, and what all until now have come to."""
    cell = stage.cell
    sink(Progress(cell.name, "check", text="; ".join([stage.situation, *stage.parts.left_out])))
    trained = train(stage.method, _job(stage), stage.fabric, lambda line: sink(_of_epoch(cell, line)))
    init = None if stage.init is None else stage.init.model_dump()
    told = {"samples": len(stage.plan.split.train), "epochs": trained.epochs, "init": init}
    where = f"stage {stage.place + 1}: " if len(cell.stages) > 1 else ""
    processes = stage.fabric.world_size
    together = [f"trained by {processes} processes: bit for bit the same only with as many"] if processes > 1 else []
    told_now = (*stage.parts.left_out, *stage.messages, *trained.messages, *together)
    messages = [where + text for text in told_now]
    return trained, _Sum(
        epochs=before.epochs + trained.epochs,
        prepare=before.prepare + stage.parts.seconds,
        train=before.train + trained.seconds + stage.fitting,
        told=(*before.told, told),
        messages=(*before.messages, *messages),
    )


def _of_ended(ended: Sequence[Ended], code: str, notes: tuple[str, ...]) -> _Sum:
    """What the stages that have ended have come to."""
    messages = ended[-1].messages if ended else notes
    others = {one.code for one in ended} - {code}
    if others:
        told = (
            f"earlier stages by skelbench {', '.join(sorted(others))}, this is {code}: --overwrite always starts anew"
        )
        messages = (*messages, told)
    return _Sum(
        epochs=sum(one.epochs for one in ended),
        train=sum((one.seconds for one in ended), 0.0),
        told=tuple(one.about for one in ended),
        messages=messages,
    )


def _job(stage: Running) -> Job:
    """What is to be trained on what."""
    cell = stage.cell
    return Job(
        optim=stage.plan.resolved.optim,
        data=stage.parts.train,
        ids=stage.parts.train.items.ids,
        folder=cell.folder,
        key=cell.key,
        seed=cell.seed,
        stage=stage.place,
        plan=cell.plan,
        code=cell.code,
        freeze=stage.plan.freeze,
        watch=partial(_oracle, stage) if cell.oracle and stage.scored else None,
        lower=cell.split.protocol.metric in LOWER_IS_BETTER,
    )


def _oracle(stage: Running) -> dict[str, float]:
    """Score the weights as they are on the part that is scored at the end; the primary metric first."""
    primary = stage.plan.split.protocol.metric
    found = measure(_predicted(stage), stage.parts.task, primary=primary)
    values = {name: found[name].value for name in (primary, *sorted(found.keys() - {primary}))}
    return {name: value for name, value in values.items() if value is not None}


def _predicted(stage: Running) -> Predictions:
    """Predictions of the part that is scored, with classes and subjects."""
    parts = stage.parts
    with own_randomness(stage.fabric.device):
        if parts.task.kind == "frame":
            found = predict_frames(stage.method, parts.test, outputs=parts.outputs)
        else:
            found = predict(stage.method, parts.test.batches(), ids=parts.test_items.ids, outputs=parts.outputs)
    return replace(found, classes=parts.task.classes, subjects=_column(stage.plan, "subject"))


def _scored(stage: Running, so_far: _Sum, trained: Trained) -> Record:
    """Predict, measure, write predictions and weights; the record of a run that is done."""
    began, cell, best = time.perf_counter(), stage.cell, trained.best
    predictions = _predicted(stage)
    seconds = time.perf_counter() - began
    metrics = measure(predictions, stage.parts.task, primary=cell.split.protocol.metric)
    if best is not None:
        n = len(predictions.ids)
        metrics |= {f"{ORACLE}{name}": Metric(value=value, n=n) for name, value in best.values.items()}
        told = f"oracle: epoch {best.epoch + 1} of {trained.epochs} is best on the scored part, chosen by looking at it"
        if best.looked < trained.epochs:
            told += f"; only {best.looked} epochs were looked at"
        so_far = replace(so_far, messages=(*so_far.messages, told))
    elif cell.oracle and trained.epochs:
        told = "oracle: no epoch was looked at, they had been trained before; --overwrite always trains them again"
        so_far = replace(so_far, messages=(*so_far.messages, told))
    outcome, digests = _outcome(stage, so_far, "done"), _save(stage, predictions)
    scored = replace(
        outcome,
        seconds=outcome.seconds.model_copy(update={"test": seconds}),
        metrics=metrics,
        evaluated=evaluated_digest(predictions),
        predictions=digests[PREDICTIONS],
        checkpoint=digests[CHECKPOINT],
    )
    return record_of(cell, scored)


def _save(stage: Running, predictions: Predictions) -> dict[str, str]:
    """Write predictions and weights; return their digests by file name."""
    cell = stage.cell
    cell.folder.mkdir(parents=True, exist_ok=True)
    contents = {
        PREDICTIONS: predictions_bytes(predictions),
        CHECKPOINT: checkpoint_bytes(stage.method, about(cell, stage.place)),
    }
    for name, content in contents.items():
        write_whole(cell.folder / name, content)
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


def _outcome(stage: Running, so_far: _Sum, state: Literal["done", "diverged"]) -> Outcome:
    """What came out until now."""
    return Outcome(
        state=state,
        device=_devices(stage.fabric.device, stage.fabric.world_size),
        sizes=_sizes(stage),
        seconds=Timing(prepare=so_far.prepare, train=so_far.train, test=0),
        epochs=so_far.epochs,
        stages=so_far.told,
        messages=so_far.messages,
        processes=stage.fabric.world_size,
    )


def _devices(device: torch.device, count: int) -> str:
    """What a run is on."""
    return f"{count} x {device_name(device)}" if count > 1 else device_name(device)


def _sizes(stage: Running) -> Sizes:
    """How large the network is."""
    with own_randomness(stage.fabric.device):
        return sizes(stage.method, stage.parts.spec)


def _of_epoch(cell: Cell, line: Epoch) -> Progress:
    """What an epoch's line says to people."""
    parts = "".join(f", {name} {value:.3f}" for name, value in line.parts.items())
    done = sum(cell.plan[: line.stage]) + line.epoch + 1
    where = f"stage {line.stage + 1}, " if len(cell.stages) > 1 else ""
    return Progress(cell.name, "train", done, sum(cell.plan), f"{where}loss {line.loss:.3f}{parts}")


def _column(plan: Planned, name: str) -> tuple[int | str | None, ...] | None:
    """A column of the store for the scored part, None in place of missing values, where the store has it."""
    table = plan.store.table
    if name not in table.columns:
        return None
    chosen = table[name].iloc[list(plan.split.test)]
    known = chosen.dropna().convert_dtypes()  # whole numbers, which a missing one had turned into floats
    values = dict(zip(known.index, known.tolist(), strict=True))
    return tuple(values.get(place) for place in chosen.index)
