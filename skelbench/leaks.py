"""Whether a run has met the samples that it is scored on: in an earlier stage, or in the run that it starts from."""

from collections.abc import Iterator, Sequence

from skelbench.cell import Planned
from skelbench.errors import CardError, SplitError, UsageError
from skelbench.initial import Source
from skelbench.record import Record, Stage
from skelbench.split import resolve
from skelbench.store.reader import Store
from skelbench.subset import carve


def check_leaks(stages: Sequence[Planned]) -> tuple[str, ...]:
    """Hold what was trained on against what is scored.

    Args:
        stages: Of a run, the last being scored.

    Returns:
        What cannot be told, in words: ids that a data set of another name shares, or a run whose training part cannot
        be found here.

    Raises:
        SplitError: If a scored sample was trained on.
    """
    store, split = stages[-1].store, stages[-1].split
    scored = {store.ids[place] for place in split.test}
    told = []
    for place, stage in enumerate(stages[:-1], start=1):
        shared = scored & {stage.store.ids[sample] for sample in stage.split.train}
        if shared and _same(stage.store.info.name, stage.store.info.fingerprint, store):
            raise SplitError(f"Stage {place} {_leak(shared, stage.split.name)}")
        if shared:
            told.append(
                f"stage {place}: {len(shared)} of the scored samples have the id of one of {stage.store.info.name}"
            )
    for stage in stages:
        if isinstance(stage.init, Source) and stage.init.record is not None:
            told += _of_run(stage.init, stage.init.record, store, scored)
    return tuple(told)


def _of_run(source: Source, record: Record, store: Store, scored: set[str]) -> Iterator[str]:
    """What cannot be told of the run that a stage starts from; an error where it has met a scored sample."""
    fingerprints = {trail.dataset: trail.fingerprint for trail in record.data}
    for stage in record.stages:
        if stage.init is not None and store.info.name in stage.init.trained_on:
            yield f"init {source.given}: began with weights trained on {store.info.name}; on which part is not known"
        if not _same(stage.dataset, fingerprints.get(stage.dataset, ""), store):
            continue
        trained = None
        if fingerprints.get(stage.dataset) == store.info.fingerprint:
            trained = _trained(stage, record, store)
        if trained is None:
            yield (
                f"init {source.given}: was trained on {stage.dataset} {stage.protocol}, whose training part cannot be "
                "found here: whether it holds scored samples is not known"
            )
        elif scored & trained:
            raise SplitError(f"The run of --init {source.given} {_leak(scored & trained, stage.protocol)}")


def _trained(stage: Stage, record: Record, store: Store) -> set[str] | None:
    """The ids that a stage of a run was trained on, or more where it saw a few of them only."""
    fold = record.fold if stage.split == record.split.digest else None
    try:
        split = resolve(store, stage.protocol, splits=stage.given.get("splits"), fold=fold)
    except (UsageError, CardError, SplitError):
        return None
    if stage.split and split.digest != stage.split:
        return None
    if record.split.carved:
        split = carve(store, split)
    return {store.ids[place] for place in split.train}


def _same(name: str, fingerprint: str, store: Store) -> bool:
    """Whether equal ids mean equal samples."""
    return name == store.info.name or fingerprint == store.info.fingerprint


def _leak(shared: set[str], protocol: str) -> str:
    """The end of a sentence on samples that were trained on."""
    return (
        f"was trained on {len(shared)} samples that are scored here, such as {min(shared)}: its protocol is "
        f"'{protocol}'. Train it on a part that leaves them out."
    )
