"""Whether a run has met the samples that it is scored on: in an earlier stage, or in the run that it starts from."""

from collections.abc import Iterator, Sequence

from skelbench.cell import Planned
from skelbench.errors import CardError, SplitError, StoreError, UsageError
from skelbench.initial import Source
from skelbench.record import Record, Stage
from skelbench.split import resolve
from skelbench.store.reader import Store, open_store
from skelbench.subset import carve
from skelbench.workspace import store_path


def check_leaks(stages: Sequence[Planned]) -> tuple[str, ...]:
    """Hold what was trained on against what is scored.

    Equal ids are equal samples within one data set; between two sets they are where most of them have the same number
    of frames, as the samples of NTU RGB+D 60 have in 120.

    Args:
        stages: Of a run, the last being scored.

    Returns:
        What cannot be told, in words: a run whose training part cannot be found here.

    Raises:
        SplitError: If a scored sample was trained on.
    """
    store, split = stages[-1].store, stages[-1].split
    scored = {store.ids[place] for place in split.test}
    told: list[str] = []
    for place, stage in enumerate(stages[:-1], start=1):
        trained = {stage.store.ids[sample] for sample in stage.split.train}
        _check(f"Stage {place}", stage.split.name, scored & trained, (stage.store, store))
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
        here = _opened(stage, store, fingerprints.get(stage.dataset, ""))
        trained = None if here is None else _trained(stage, record, here)
        if here is not None and trained is not None:
            _check(f"The run of --init {source.given}", stage.protocol, scored & trained, (here, store))
        elif stage.dataset == store.info.name:
            yield (
                f"init {source.given}: was trained on {stage.dataset} {stage.protocol}, whose training part cannot be "
                "found here: whether it holds scored samples is not known"
            )


def _opened(stage: Stage, store: Store, fingerprint: str) -> Store | None:
    """The store that a stage was trained on, where it is here."""
    if fingerprint == store.info.fingerprint:
        return store
    try:
        found = open_store(store_path(stage.given.get("dataset", stage.dataset)))
    except (UsageError, StoreError):
        return None
    return found if found.info.fingerprint == fingerprint else None


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


def _check(who: str, protocol: str, shared: set[str], stores: tuple[Store, Store]) -> None:
    """Refuse training on samples that are scored; ids alone do not make samples of two sets the same."""
    if not shared or not _same(shared, *stores):
        return
    raise SplitError(
        f"{who} was trained on {len(shared)} samples that are scored here, such as {min(shared)}: its protocol is "
        f"'{protocol}'. Train it on a part that leaves them out."
    )


def _same(shared: set[str], one: Store, other: Store) -> bool:
    """Whether equal ids are equal samples in two stores."""
    if one.info.name == other.info.name or one.info.fingerprint == other.info.fingerprint:
        return True
    lengths = [dict(zip(store.ids, store.table["n_frames"].tolist(), strict=True)) for store in (one, other)]
    equal = sum(int(lengths[0][name] == lengths[1][name]) for name in shared)
    return 2 * equal > len(shared)
