"""Two runs, or two groups of seeds, set against each other: how far apart, how sure, in which classes, and why."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from scipy import stats

from skelbench.bootstrap import SEED, Resampled, bounds, resampled, resamples, scored
from skelbench.data.types import Task
from skelbench.errors import RunError, UsageError
from skelbench.evaluate import Predictions, metrics_of
from skelbench.metrics import LOWER_IS_BETTER, average_precision
from skelbench.record import Record
from skelbench.scored import Scored, aligned, check_same_protocol, check_same_scored, find_records, load_scored

MIN_SEEDS = 3  # fewer say nothing of the spread between seeds

Interval: TypeAlias = tuple[float, float]


@dataclass(frozen=True)
class Side:
    """One of the two: a run, or the seeds of one."""

    name: str  # as it was given
    runs: tuple[Scored, ...]  # by seed, then fold

    @property
    def first(self) -> Record:
        """The record that stands for what all its seeds share."""
        return self.runs[0].record

    @property
    def seeds(self) -> tuple[int, ...]:
        """Its seeds."""
        return tuple(sorted({run.record.seed for run in self.runs}))

    def of_seed(self, seed: int) -> Predictions:
        """The predictions of one seed, those of its folds one after the other."""
        return _joined([run.predictions for run in self.runs if run.record.seed == seed])


@dataclass(frozen=True)
class McNemar:
    """Whether one of two runs is right more often, by the samples on which they disagree."""

    seed_a: int
    seed_b: int
    only_a: int  # samples that only A has right
    only_b: int
    p: float  # two-sided, exact


@dataclass(frozen=True)
class OfClass:
    """One class on both sides."""

    name: str
    n: int  # samples of it
    a: float | None  # mean over the seeds
    b: float | None
    difference: float | None  # B - A


@dataclass(frozen=True)
class Differs:
    """Something that is not the same on both sides."""

    what: str  # such as `data fingerprint` or `stage 1 optim.lr`
    a: str
    b: str


@dataclass(frozen=True)
class Comparison:
    """B set against A."""

    metric: str  # the primary one
    better: str  # `A`, `B`, or empty where an interval holds 0 or there is none
    n: int  # samples scored
    a: float | None  # mean over the seeds
    b: float | None
    values_a: tuple[float | None, ...]  # by seed
    values_b: tuple[float | None, ...]
    difference: float | None  # B - A
    interval: Interval | None  # 95 %, paired, from resampling
    over: str  # what was resampled: `subject` or `sample`
    units: int  # how many of them
    seeds_interval: Interval | None  # 95 %, Welch's, over the seeds of both sides; needs three of each
    mcnemar: tuple[McNemar, ...]
    per_class: str  # what the classes are compared by: `recall` or `average precision`; empty where there are none
    classes: tuple[OfClass, ...]  # from the class that lost most to the one that won most
    differs: tuple[Differs, ...]


def compare(one: str, other: str) -> Comparison:
    """Set two runs against each other, sample by sample.

    Args:
        one: A: the folder of a run or of its seeds, a record.json, or the first digits of a key.
        other: B, the same.

    Returns:
        Differences are B - A. The interval is paired: in each resample both are scored on the same drawn subjects;
        where no subjects are known, samples are drawn. It says nothing of other seeds, of which `seeds_interval` does.

    Raises:
        UsageError: If a run is not there, has no predictions, or the two did not score the same samples and targets.
        RunError: If a file is damaged.
    """
    a, b = _side(one), _side(other)
    _check(a, b)
    metric = a.first.primary
    parts = [_aligned_seeds(side, a.of_seed(a.seeds[0]).ids) for side in (a, b)]
    values = [_per_seed(seeds, metric) for seeds in parts]
    interval, over, units = _interval(parts, metric)
    seeds_interval = _over_seeds(*values)
    means = [_mean(side) for side in values]
    per_class, classes = _classes(parts)
    return Comparison(
        metric=metric,
        better=_better(interval, seeds_interval, metric=metric),
        n=_count(parts[0][0]),
        a=means[0],
        b=means[1],
        values_a=values[0],
        values_b=values[1],
        difference=_minus(means[1], means[0]),
        interval=interval,
        over=over,
        units=units,
        seeds_interval=seeds_interval,
        mcnemar=tuple(_mcnemar(a, b)),
        per_class=per_class,
        classes=classes,
        differs=tuple(differences([run.record for run in a.runs], [run.record for run in b.runs])),
    )


def differences(one: Sequence[Record], other: Sequence[Record]) -> Iterator[Differs]:
    """What differs between two groups of records: data, split, what was run, every setting, code and machine.

    Args:
        one: Records of A.
        other: Records of B.

    Yields:
        What is not the same, with the values that occur on either side.
    """
    settings = (one[0].fusion is None) == (other[0].fusion is None)  # those of a run are not those of several
    sides = [_facts(records, settings=settings) for records in (one, other)]
    for what in dict.fromkeys((*sides[0], *sides[1])):
        a, b = (side.get(what, "–") for side in sides)
        if a != b:
            yield Differs(what, a, b)


def mcnemar(only_a: int, only_b: int) -> float:
    """Two-sided exact p-value of McNemar's test: the discordant pairs are a fair coin.

    Source: McNemar 1947; exact form as in Dietterich, Neural Computation 10 (1998).
    """
    return float(stats.binomtest(only_a, only_a + only_b, 0.5).pvalue) if only_a + only_b else 1.0


def _side(name: str) -> Side:
    """The runs of one side."""
    runs = [load_scored(path) for path in find_records(name)]
    if len({run.record.key for run in runs}) > 1:
        raise RunError(f"{name}: holds records of different keys in one run's folder.")
    return Side(name, tuple(sorted(runs, key=lambda run: (run.record.seed, run.record.fold or 0))))


def _check(a: Side, b: Side) -> None:
    """Refuse to compare what did not score the same."""
    check_same_protocol(*((side.runs[0].path, side.first) for side in (a, b)))
    folds = {run.record.fold: run for run in a.runs}
    for run in (*a.runs, *b.runs):
        if run.record.fold not in folds:
            raise UsageError(f"{run.path}: fold {run.record.fold} was not run by {a.name}, whose folds differ.")
        check_same_scored(folds[run.record.fold], run)
    for side in (a, b):
        for seed in side.seeds:
            there = {run.record.fold for run in side.runs if run.record.seed == seed}
            if there != set(folds):
                raise UsageError(f"{side.name}: seed {seed} has {len(there)} of {len(folds)} folds; run the others.")


def _joined(parts: Sequence[Predictions]) -> Predictions:
    """Predictions of several folds as one."""
    if len(parts) == 1:
        return parts[0]
    known = [part.subjects for part in parts if part.subjects is not None]
    return Predictions(
        ids=tuple(sample_id for part in parts for sample_id in part.ids),
        target=np.concatenate([part.target for part in parts]),
        logits=np.concatenate([part.logits for part in parts]),
        classes=parts[0].classes,
        subjects=tuple(subject for part in known for subject in part) if len(known) == len(parts) else None,
        frames=tuple(count for part in parts for count in part.frames or ()) if parts[0].frames is not None else None,
    )


def _aligned_seeds(side: Side, ids: tuple[str, ...]) -> list[Predictions]:
    """The predictions of each seed, in one order."""
    return [aligned(side.of_seed(seed), ids) for seed in side.seeds]


def _per_seed(seeds: Sequence[Predictions], metric: str) -> tuple[float | None, ...]:
    """The metric of each seed."""
    return tuple(metrics_of(one, Task(one.kind, one.classes, ()))[metric].value for one in seeds)


def _interval(parts: Sequence[Sequence[Predictions]], metric: str) -> tuple[Interval | None, str, int]:
    """Paired interval of B - A, both scored on the same draws; what was drawn, and how many there are."""
    every = [one for seeds in parts for one in seeds]
    if every[0].kind == "frame":  # neighbouring frames are alike, and no sum over samples gives their average precision
        return None, "sample", len(every[0].ids)
    subjects = next((one.subjects for one in every if one.subjects is not None and None not in one.subjects), None)
    kept = scored(every[0].kind, every[0].logits, every[0].target)[2]
    names = np.arange(len(kept)) if subjects is None else np.asarray(subjects)
    units, member = np.unique(names[kept], return_inverse=True)
    over = "sample" if subjects is None else "subject"
    sides = [[value for one in seeds if (value := _resampled(one, metric, member)) is not None] for seeds in parts]
    if units.size < 2 or not all(sides):
        return None, over, units.size
    drawn = []
    for counts in resamples(units.size, np.random.default_rng(SEED)):
        a, b = (np.mean([value(counts) for value in side], axis=0) for side in sides)
        drawn.append(b - a)
    return bounds(np.concatenate(drawn)), over, units.size


def _count(predictions: Predictions) -> int:
    """How many samples, or frames, are scored."""
    if predictions.kind == "frame":
        return len(predictions.target)
    return int(scored(predictions.kind, predictions.logits, predictions.target)[2].sum())


def _resampled(predictions: Predictions, metric: str, member: np.ndarray) -> Resampled | None:
    """A metric of predictions, summed up by unit."""
    logits, target, _ = scored(predictions.kind, predictions.logits, predictions.target)
    return resampled(metric, predictions.kind, logits, target, member)


def _over_seeds(a: tuple[float | None, ...], b: tuple[float | None, ...]) -> Interval | None:
    """Welch's interval of the difference of the means over seeds."""
    one, other = ([value for value in side if value is not None] for side in (a, b))
    if min(len(one), len(other)) < MIN_SEEDS or (np.ptp(one) == 0 and np.ptp(other) == 0):
        return None
    found = stats.ttest_ind(other, one, equal_var=False).confidence_interval()
    return float(found.low), float(found.high)


def _mcnemar(a: Side, b: Side) -> Iterator[McNemar]:
    """The test for each pair of runs: of equal seeds, or of the two where there is one of each."""
    if a.of_seed(a.seeds[0]).kind != "single":
        return
    pairs = [(seed, seed) for seed in a.seeds if seed in b.seeds]
    if len(a.seeds) == len(b.seeds) == 1:
        pairs = [(a.seeds[0], b.seeds[0])]
    for seed_a, seed_b in pairs:
        one = a.of_seed(seed_a)
        two = aligned(b.of_seed(seed_b), one.ids)
        known = one.target >= 0
        right = [(side.logits.argmax(1) == side.target)[known] for side in (one, two)]
        only_a, only_b = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
        yield McNemar(seed_a, seed_b, only_a, only_b, mcnemar(only_a, only_b))


def _classes(parts: Sequence[Sequence[Predictions]]) -> tuple[str, tuple[OfClass, ...]]:
    """Recall of each class, or average precision where a sample has several; means over the seeds."""
    first = parts[0][0]
    if first.kind not in ("single", "multi", "frame"):
        return "", ()
    rows = []
    for k, name in enumerate(first.classes):
        a, b = (_mean([_of_class(one, k) for one in seeds]) for seeds in parts)
        n = int((first.target == k).sum() if first.kind == "single" else (first.target[:, k] > 0).sum())
        rows.append(OfClass(name, n, a, b, _minus(b, a)))
    rows.sort(key=lambda row: (row.difference is None, row.difference or 0.0))
    return "recall" if first.kind == "single" else "average precision", tuple(rows)


def _of_class(predictions: Predictions, k: int) -> float | None:
    """How well one class is found; None without a sample of it."""
    logits, target = predictions.logits, predictions.target
    if predictions.kind in ("multi", "frame"):
        known = ~np.isnan(target[:, k].astype(float))
        return average_precision(logits[known, k].astype(float), target[known, k] > 0)
    own = target == k
    return float((logits[own].argmax(1) == k).mean()) if own.any() else None


def _better(interval: Interval | None, seeds: Interval | None, *, metric: str) -> str:
    """Which side all intervals that there are speak for."""
    known = [each for each in (interval, seeds) if each is not None]
    signs = {0 if low <= 0 <= high else 1 if low > 0 else -1 for low, high in known}
    if interval is None or len(signs) != 1 or 0 in signs:
        return ""
    return "B" if (1 in signs) != (metric in LOWER_IS_BETTER) else "A"


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean, None where one is not defined."""
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined and len(defined) == len(values) else None


def _minus(one: float | None, other: float | None) -> float | None:
    """The difference, None where a side is not defined."""
    return None if one is None or other is None else one - other


def _facts(records: Sequence[Record], *, settings: bool) -> dict[str, str]:
    """Everything about some records that may differ, in words; several values where the records differ."""
    found: dict[str, dict[str, None]] = {}
    for record in records:
        for what, value in (*_of_record(record), *(_settings(record) if settings else ())):
            found.setdefault(what, {})[_text(value)] = None
    return {what: ", ".join(values) for what, values in found.items()}


def _of_record(record: Record) -> Iterator[tuple[str, Any]]:
    """What one record says, by name."""
    for name in ("model", "method", "streams", "evaluation", "labels", "recipe", "limit", "scored"):
        yield name, getattr(record, name)
    for trail in record.data:
        for field, value in trail.model_dump(mode="json", exclude={"dataset"}).items():
            yield f"data {trail.dataset} {field.replace('_', ' ')}", value
    for name in ("digest", "train", "left_out"):
        yield f"split {name.replace('_', ' ')}", getattr(record.split, name)
    if record.fusion is not None:
        yield "fusion by", record.fusion.by
        yield "fusion weights", [run.weight for run in record.fusion.runs]
        yield "fusion of", [run.key[:8] for run in record.fusion.runs]
    for name in ("parameters", "gflops", "epochs", "code_version", "device"):
        yield name.replace("_", " "), getattr(record, name)
    yield from record.environment.items()


def _settings(record: Record) -> Iterator[tuple[str, Any]]:
    """Every setting of a record, or of the runs that it fuses."""
    runs = [("", record.stages)]
    if record.fusion is not None:
        runs = [(f"run {place} ", run.stages) for place, run in enumerate(record.fusion.runs, 1)]
    for run, stages in runs:
        for place, stage in enumerate(stages, 1):
            where = f"{run}stage {place} " if len(stages) > 1 else run
            yield f"{where}labels", stage.labels
            for key, setting in sorted(stage.values.items()):
                yield f"{where}{key}", setting.value


def _text(value: Any) -> str:
    """A value for people."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_text, value))}]"
    return "none" if value is None else str(value)
