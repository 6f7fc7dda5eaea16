"""From a run to its record: stages, data and split, each traced back to where it comes from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from skelbench.cell import Cell, Planned
from skelbench.evaluate import Sizes, chance
from skelbench.metrics import Metric
from skelbench.provenance import environment
from skelbench.record import DataTrail, Init, Record, SplitTrail, Stage, Timing, Value
from skelbench.split import Split
from skelbench.store.reader import Store

RULES = 2  # what the same settings do; raised, with `Record.rules`, whenever they come to do something else


@dataclass(frozen=True)
class Outcome:
    """What a run did and measured, as far as it got."""

    state: Literal["done", "partial", "diverged", "failed"]
    device: str
    sizes: Sizes = Sizes(0, None)  # noqa: RUF009 - frozen
    seconds: Timing = Timing(train=0, test=0, prepare=0)  # noqa: RUF009 - frozen
    epochs: int = 0  # all stages together
    stages: Sequence[Mapping[str, object]] = ()  # what is known only after a stage: samples, epochs, init, ...
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    evaluated: str = ""
    predictions: str | None = None  # digest
    checkpoint: str | None = None  # digest
    messages: tuple[str, ...] = ()
    processes: int = 1  # that trained together


def record_of(cell: Cell, outcome: Outcome) -> Record:
    """Put everything that is known of a run into its record.

    Args:
        cell: What was asked for.
        outcome: What came out.

    Returns:
        The record.
    """
    last, split, metric = cell.last, cell.split, cell.split.protocol.metric
    return Record(
        state=outcome.state,
        key=cell.key,
        seed=cell.seed,
        fold=cell.fold,
        dataset=last.resolved.ask.dataset,
        protocol=last.resolved.ask.protocol,
        evaluation=cell.evaluation,
        labels=last.labels,
        model=last.resolved.model.name,
        method=last.resolved.method.name,
        streams=last.resolved.data.streams,
        recipe=last.resolved.recipe,
        limit=cell.limit,
        scored="validation" if split.carved else "test",
        tunes=cell.tunes,
        rules=RULES,
        stages=tuple(_stage(stage, outcome.stages[place:]) for place, stage in enumerate(cell.stages)),
        data=tuple(_data_trails(cell.stages)),
        split=_split_trail(split),
        evaluated=outcome.evaluated,
        classes=split.classes,
        metrics=dict(outcome.metrics),
        primary=metric,
        chance=chance(metric, len(split.classes)),
        parameters=outcome.sizes.parameters,
        gflops=outcome.sizes.gflops,
        epochs=outcome.epochs,
        seconds=outcome.seconds,
        precision=cell.precision,
        device=outcome.device,
        environment=environment(outcome.processes),
        code_version=cell.code,
        command=cell.command,
        files=dict(cell.files),
        predictions_sha256=outcome.predictions,
        checkpoint_sha256=outcome.checkpoint,
        messages=outcome.messages,
    )


def _stage(stage: Planned, told: Sequence[Mapping[str, object]]) -> Stage:
    """A stage, with what is known of it only afterwards, where it got so far."""
    resolved, source = stage.resolved, stage.init
    init = None
    if source == "previous":
        init = Init(kind="previous", given="previous", sha256=None)
    elif source is not None:
        init = Init(kind=source.kind, given=source.given, sha256=source.sha256)
    planned = Stage(
        dataset=resolved.ask.dataset,
        protocol=resolved.ask.protocol,
        part="train",
        target=stage.split.target,
        labels=stage.labels,
        model=resolved.model.name,
        method=resolved.method.name,
        streams=resolved.data.streams,
        values={
            key: Value(value=one.value, layer=one.layer, source=one.source) for key, one in resolved.settings.items()
        },
        given=dict(stage.given),
        init=init,
        head=stage.head,
        freeze=stage.freeze,
        split=stage.split.digest,
    )
    return Stage.model_validate({**planned.model_dump(), **(told[0] if told else {})})


def _data_trails(stages: Sequence[Planned]) -> list[DataTrail]:
    """The data set that was scored first, then those of earlier stages."""
    stores = {stage.store.info.fingerprint: stage.store for stage in reversed(stages)}
    return [_data_trail(store) for store in stores.values()]


def _data_trail(store: Store) -> DataTrail:
    """A store, back to its raw files."""
    info, limit = store.info, store.info.origin.limit
    return DataTrail(
        dataset=info.name,
        fingerprint=info.fingerprint,
        pose_source=info.card.poses,
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
        folds=split.folds,
        carved=split.carved,
    )
