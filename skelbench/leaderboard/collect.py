"""From record files to tables: what was scored on the same samples stands together, the seeds of one key in a row."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from skelbench.errors import RunError
from skelbench.leaderboard.statistics import MIN_SEEDS
from skelbench.metrics import LOWER_IS_BETTER, Metric, macro_f1, mean_class_accuracy
from skelbench.record import Record, read_record

Scored: TypeAlias = tuple[int | None, str]  # fold, and digest of the (sample_id, target) pairs scored in it

EVALUATIONS = ("supervised", "finetune", "linear")  # in the order of their tables
POOLED = {"mean_class_accuracy": mean_class_accuracy, "macro_f1": macro_f1}  # functions of the confusion matrix
ROOTS = {"rmse"}  # roots of a mean over samples


@dataclass(frozen=True)
class Entry:
    """A record and the file it stands in."""

    path: Path
    record: Record


@dataclass(frozen=True)
class Row:
    """All seeds and folds of one run key."""

    records: tuple[Record, ...]  # by seed, then fold
    problems: tuple[str, ...]  # why it cannot be ranked; empty when complete

    @property
    def first(self) -> Record:
        """The record that stands for what all share: model, recipe, data."""
        return self.records[0]

    @property
    def typical(self) -> Record:
        """A record that reached its end, where there is one: its costs are those of the row."""
        return next(iter(self.done), self.first)

    @property
    def done(self) -> tuple[Record, ...]:
        """The records that reached their end and were scored."""
        return tuple(record for record in self.records if _scored(record))

    @property
    def folds(self) -> tuple[int | None, ...]:
        """The folds that were scored; one None where there is a fixed split."""
        return tuple(dict.fromkeys(record.fold for record in self.done))

    @property
    def limits(self) -> tuple[str, ...]:
        """Where not all the data of the protocol was used."""
        return tuple(limits(self.first))

    def values(self, metric: str) -> tuple[float, ...]:
        """One value for each seed, its folds pooled; seeds in which it was not measured are left out."""
        seeds: dict[int, list[dict[str, Metric]]] = defaultdict(list)
        for record in self.done:
            seeds[record.seed].append(record.metrics)
        found = (_pooled(folds, metric) for folds in seeds.values())
        return tuple(value for value in found if value is not None)

    def mean(self, metric: str) -> float | None:
        """Mean over the seeds, None where nothing was measured."""
        values = self.values(metric)
        return sum(values) / len(values) if values else None


@dataclass(frozen=True)
class Table:
    """Rows that were scored on the same samples."""

    rows: tuple[Row, ...]  # the best first, those that cannot be ranked last
    scored: tuple[str, ...]  # digests of what was scored, one for each fold

    @property
    def first(self) -> Record:
        """The record that stands for what all share: data set, protocol, evaluation, labels, the part scored."""
        return self.rows[0].first

    @property
    def limited(self) -> bool:
        """Whether no row used all the data."""
        return all(row.limits for row in self.rows)


@dataclass(frozen=True)
class Board:
    """All tables of one data set and protocol, of real or of made-up recordings."""

    synthetic: bool
    dataset: str
    protocol: str
    tables: tuple[Table, ...]


def gather(folders: Iterable[tuple[Path, str]]) -> list[Entry]:
    """Read all records under some folders, each run once.

    Args:
        folders: Folder and file pattern; folders that are not there hold nothing.

    Returns:
        The entries, by data set, protocol, key, seed and fold.

    Raises:
        RunError: If a file is no record, or two differing records claim the same key, seed and fold.
    """
    seen: dict[tuple[str, int, int], Entry] = {}
    for folder, pattern in folders:
        for path in sorted(folder.rglob(pattern)):
            entry = Entry(path, read_record(path))
            record = entry.record
            identity = (record.key, record.seed, -1 if record.fold is None else record.fold)
            other = seen.setdefault(identity, entry)
            if other.record != record:
                raise RunError(
                    f"{other.path} and {path} are two different records of key {record.key[:8]}, seed {record.seed}"
                    f"{'' if record.fold is None else f', fold {record.fold}'}. A run counts once: remove one of them, "
                    "or publish again with --overwrite always."
                )
    return sorted(seen.values(), key=lambda entry: _order(entry.record))


def boards(entries: Iterable[Entry]) -> list[Board]:
    """Group records into boards and tables.

    Args:
        entries: Records, each run once.

    Returns:
        Boards by name, those of synthetic recordings last.

    Raises:
        RunError: If records of one key disagree on what was run or scored.
    """
    found: dict[tuple[bool, str, str], dict[tuple[bool, int, str, float, str], dict[str, list[Entry]]]] = {}
    for entry in entries:
        record = entry.record
        board = found.setdefault((record.synthetic, record.dataset, record.protocol), {})
        tuned = record.scored != "test"  # a validation part never stands beside a test part
        runs = board.setdefault((tuned, *_place(record), record.primary), {})
        runs.setdefault(record.key, []).append(entry)
    return [
        Board(*name, tuple(table for _, runs in sorted(kinds.items()) for table in _tables(runs.values())))
        for name, kinds in sorted(found.items())
    ]


def limits(record: Record) -> Iterator[str]:
    """Say where not all the data of the protocol was used; nothing where all was."""
    if record.limit is not None:
        yield f"--limit {record.limit}"
    for trail in record.data:
        if trail.limit is not None:
            yield f"{trail.dataset} converted with --limit {trail.limit}"
    if record.limit is None:
        yield from record.split.official


def _tables(runs: Iterable[list[Entry]]) -> Iterator[Table]:
    """Put runs that scored the same samples together, the most samples first.

    A run that lacks folds stands with those that have them, one that was never scored with those of the same split.
    """
    scored: list[tuple[frozenset[Scored], list[Record]]] = []
    for entries in runs:
        _agree(entries)
        records = [entry.record for entry in entries]
        scored.append((frozenset((record.fold, record.evaluated) for record in records if _scored(record)), records))
    groups: dict[frozenset[Scored], list[list[Record]]] = {}
    for digests, records in sorted(scored, key=_size):
        fitting = [group for group in groups if digests <= group]
        alike = [group for group in fitting if digests or _split(groups[group][0][0]) == _split(records[0])]
        groups.setdefault(next(iter([*alike, *fitting]), digests), []).append(records)
    for digests, members in groups.items():
        yield _table(digests, members)


def _size(run: tuple[frozenset[Scored], list[Record]]) -> tuple[int, int, list[str]]:
    """An order in which runs with all folds, then those of the most samples, come first."""
    digests, records = run
    return -len(digests), -max(record.split.test for record in records), sorted(map(str, digests))


def _split(record: Record) -> tuple[str, int, int]:
    """What tells the splits of one protocol apart."""
    return record.split.digest, record.split.train, record.split.test


def _table(digests: frozenset[Scored], runs: list[list[Record]]) -> Table:
    """Rows in their order, with what each lacks."""
    most = max(len({record.seed for record in run if _scored(record)}) for run in runs)
    seeds = min(most, MIN_SEEDS)  # who has more does not make those incomplete who have enough for an interval
    folds = {fold for fold, _ in digests}
    planned = max([len(folds), *(record.split.folds or 0 for run in runs for record in run)])
    rows = [Row(tuple(run), tuple(_problems(run, seeds, planned))) for run in runs]
    rows.sort(key=_standing)
    return Table(tuple(rows), tuple(digest for _, digest in sorted(digests, key=str)))


def _problems(run: list[Record], seeds: int, folds: int) -> Iterator[str]:
    """Why a run cannot be ranked among others."""
    done: dict[int, set[int | None]] = defaultdict(set)
    for record in run:
        if _scored(record):
            done[record.seed].add(record.fold)
        else:
            where = f"seed {record.seed}" + ("" if record.fold is None else f", fold {record.fold}")
            yield f"{where} {'not scored' if record.state == 'done' else record.state}"
    drawn = any(record.parameters for record in run)  # what has no parameters is the same for every seed
    if drawn and 0 < len(done) < seeds:
        yield f"{len(done)} of {seeds} seeds"
    for seed, found in sorted(done.items()):
        if len(found) < folds:
            yield f"seed {seed}: {len(found)} of {folds} folds"
    yield from limits(run[0])


def _standing(row: Row) -> tuple[bool, float, tuple[str, ...]]:
    """Complete rows first, then by the primary metric, then by name."""
    mean = row.mean(row.first.primary)
    if mean is None:
        return bool(row.problems), math.inf, _name(row.first)
    return bool(row.problems), mean if row.first.primary in LOWER_IS_BETTER else -mean, _name(row.first)


def _agree(entries: list[Entry]) -> None:
    """Refuse records that share a key and not what the key stands for."""
    digests: dict[int | None, Entry] = {}
    for entry in entries:
        first, record = entries[0], entry.record
        if (_name(record), record.classes) != (_name(first.record), first.record.classes):
            raise RunError(f"{first.path} and {entry.path} share the key {record.key[:8]} and differ in what was run.")
        if _scored(record):
            other = digests.setdefault(record.fold, entry)
            if other.record.evaluated != record.evaluated:
                raise RunError(
                    f"{other.path} and {entry.path} share the key {record.key[:8]} and scored different samples."
                )


def _scored(record: Record) -> bool:
    """Whether a record reached its end and holds a value of the metric that ranks it."""
    primary = record.metrics.get(record.primary)
    return record.state == "done" and primary is not None and primary.value is not None


def _name(record: Record) -> tuple[str, ...]:
    """What a run is called."""
    return record.model, record.method, "+".join(record.streams), record.recipe, record.key


def _place(record: Record) -> tuple[int, str, float]:
    """An order of tables: the usual evaluations first, then by name; all labels before few."""
    usual = EVALUATIONS.index(record.evaluation) if record.evaluation in EVALUATIONS else len(EVALUATIONS)
    return usual, record.evaluation, -(record.labels or 1.0)


def _order(record: Record) -> tuple[str, str, tuple[str, ...], int, int]:
    """An order that does not depend on where the files lie."""
    fold = -1 if record.fold is None else record.fold
    return record.dataset, record.protocol, _name(record), record.seed, fold


def _pooled(folds: list[dict[str, Metric]], metric: str) -> float | None:
    """One value of all folds of a seed; of a single fold, its value to the last bit.

    What the confusion matrix or a mean square tells is that of all samples together; all else is the mean weighted by
    samples, which for shares of samples is the same. None where a fold has no value.
    """
    parts = [fold[metric] for fold in folds if metric in fold]
    values = [part.value for part in parts if part.value is not None]
    if len(values) < len(folds):
        return None
    if len(values) == 1:
        return values[0]
    counts = [_counts(fold) for fold in folds]
    if metric in POOLED and all(one.size and one.shape == counts[0].shape for one in counts):
        return POOLED[metric](np.sum(counts, axis=0)).value
    power = 2 if metric in ROOTS else 1
    return float(np.average(np.power(values, power), weights=[max(part.n, 1) for part in parts]) ** (1 / power))


def _counts(metrics: dict[str, Metric]) -> np.ndarray:
    """The confusion matrix of a fold; empty where there is none."""
    rows = metrics["confusion"].per_class if "confusion" in metrics else None
    square = rows and all(isinstance(row, tuple) and len(row) == len(rows) for row in rows)
    return np.array(rows) if square else np.zeros((0, 0), np.int64)
