"""What other people might have given: intervals of any metric by drawing whole subjects with replacement.

A metric is first summed up by subject, so that a resample is one product of a matrix of counts with the sums: how
often each subject was drawn times what that subject contributes.
"""

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from skelbench.metrics import ECE_BINS, confidence_bins, one_hot, rank, sample_nll

RESAMPLES = 2000  # the bounds then move by less than a tenth of the interval between seeds of the draws
CHUNK = 1 << 20  # drawn subjects held in memory at once
TABLES = 1 << 25  # numbers of all classes together that are kept between chunks; more are made anew for each
SEED = 0  # one for all: the same predictions always give the same interval

Counts: TypeAlias = Int[np.ndarray, "resamples units"]  # how often each subject or sample was drawn
Values: TypeAlias = Float[np.ndarray, " resamples"]  # a metric of each resample; NaN where it is not defined
Resampled: TypeAlias = Callable[[Counts], Values]


def resamples(units: int, rng: np.random.Generator, *, most: int = CHUNK) -> Iterator[Counts]:
    """Draw units with replacement, as many as there are, 2,000 times.

    Args:
        units: How many subjects, or samples, there are.
        rng: Source of the draws; the same state gives the same ones, however they are cut into chunks.
        most: Counts in a chunk.

    Yields:
        Chunks of counts, one row a resample.
    """
    step = max(1, most // max(1, units))
    for start in range(0, RESAMPLES, step):
        rows = min(step, RESAMPLES - start)
        drawn = rng.integers(units, size=(rows, units)) + units * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * units).reshape(rows, units)


def bounds(values: Values, level: float = 0.95) -> tuple[float, float] | None:
    """Percentile interval of resampled values; None where one of them is not defined.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, chapter 13.
    """
    if not values.size or np.isnan(values).any():
        return None
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def subject_interval(
    metric: str,
    kind: str,
    arrays: tuple[np.ndarray, np.ndarray],
    subjects: Shaped[np.ndarray, " batch"],
    rng: np.random.Generator,
) -> tuple[float, float] | None:
    """95 % interval of a metric when other subjects might have been recorded.

    Whole subjects are drawn with replacement, since the samples of one are alike; the bounds are percentiles.

    Args:
        metric: Name of the metric.
        kind: Kind of the target.
        arrays: Logits and target, as `metrics.score` takes them.
        subjects: Who each sample shows.
        rng: Source of the draws; the same state gives the same bounds.

    Returns:
        Lower and upper bound; None with fewer than two subjects, for a metric that has no interval, or where a
        resample has no value.
    """
    logits, target, kept = scored(kind, *arrays)
    names, member = np.unique(np.asarray(subjects)[kept], return_inverse=True)
    value = resampled(metric, kind, logits, target, member)
    if names.size < 2 or value is None:
        return None
    return bounds(np.concatenate([value(counts) for counts in resamples(names.size, rng)]))


def scored(
    kind: str, logits: np.ndarray, target: np.ndarray
) -> tuple[np.ndarray, np.ndarray, Bool[np.ndarray, " batch"]]:
    """Leave out what is not scored: logits and target of the rest, and which samples these are."""
    known = target >= 0 if kind == "single" else ~np.isnan(target)
    kept = np.atleast_1d(known if known.ndim == 1 else known.any(axis=1))
    return logits[kept], target[kept], kept


def resampled(
    metric: str, kind: str, logits: np.ndarray, target: np.ndarray, member: Int[np.ndarray, " batch"]
) -> Resampled | None:
    """Sum a metric up by unit, ready for resampling.

    Args:
        metric: Name of the metric.
        kind: Kind of the target.
        logits: (N, K) finite.
        target: As `metrics.score` takes it, without samples that are not scored.
        member: Which subject, or sample, counted from 0, each row belongs to.

    Returns:
        A function from counts to one value a resample, that of all samples for counts of one; None for a metric of
        which there is none.
    """
    if not len(target):
        return None
    if metric == "map":
        return _average_precision(logits, target if kind == "multi" else one_hot(target, logits.shape[1]), member)
    table = {"single": _single, "multi": _multi, "score": _numbers}[kind](metric, logits, target)
    if table is None:
        return None
    rows, value = table
    sums = np.zeros((member.max() + 1, rows.shape[1]))
    for column in range(rows.shape[1]):
        sums[:, column] = np.bincount(member, weights=rows[:, column], minlength=len(sums))

    def of(counts: Counts) -> Values:
        """The metric of each resample."""
        with np.errstate(divide="ignore", invalid="ignore"):  # 0 / 0 is NaN: not defined
            found: Values = value(counts @ sums)
        return found

    return of


_Table: TypeAlias = tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]  # columns to be summed, metric of the sums


def _single(metric: str, logits: np.ndarray, target: np.ndarray) -> _Table | None:
    """Metrics of one class a sample."""
    count = logits.shape[1]
    predicted = logits.argmax(axis=1)
    right = predicted == target
    if metric in ("top1", "top5"):
        return _averaged(rank(logits, target) < int(metric[3:]))
    if metric == "nll":
        return _averaged(sample_nll(logits, target))
    if metric == "ece":
        confidence, place = confidence_bins(logits)
        gaps = one_hot(place, ECE_BINS) * (confidence - right)[:, None]
        rows = np.column_stack([gaps, np.ones(len(target))])
        return rows, lambda sums: np.abs(sums[:, :-1]).sum(axis=1) / sums[:, -1]
    hits, support = one_hot(target, count) * right[:, None], one_hot(target, count)
    if metric == "mean_class_accuracy":
        return np.hstack([hits, support]), lambda sums: _mean_of_defined(sums[:, :count] / sums[:, count:])
    if metric == "macro_f1":
        return np.hstack([hits, support + one_hot(predicted, count)]), _mean_f1
    return None


def _multi(metric: str, logits: np.ndarray, target: np.ndarray) -> _Table | None:
    """Metrics of several classes a sample."""
    known, predicted = ~np.isnan(target), logits > 0
    positive = known & (np.nan_to_num(target) > 0)
    rows = np.hstack([positive & predicted, positive.astype(float) + (known & predicted)])
    if metric == "macro_f1":
        return rows, _mean_f1
    if metric == "micro_f1":
        both = rows.reshape(len(rows), 2, -1).sum(axis=2)
        return both, _mean_f1
    return None


def _numbers(metric: str, logits: np.ndarray, target: np.ndarray) -> _Table | None:
    """Metrics of a number; a rank correlation has no sums."""
    off = logits[:, 0].astype(float) - target
    if metric == "mae":
        return _averaged(np.abs(off))
    if metric == "rmse":
        rows, mean = _averaged(off**2)
        return rows, lambda sums: np.sqrt(mean(sums))
    return None


def _averaged(values: np.ndarray) -> _Table:
    """The mean over samples."""
    return np.column_stack([values, np.ones(len(values))]), lambda sums: sums[:, 0] / sums[:, 1]


def _mean_f1(sums: np.ndarray) -> np.ndarray:
    """Mean of 2 TP / (2 TP + FP + FN) over the classes that occur; first all TP, then all denominators."""
    count = sums.shape[1] // 2
    return _mean_of_defined(2 * sums[:, :count] / sums[:, count:])


def _mean_of_defined(values: np.ndarray) -> np.ndarray:
    """Mean over the columns that are not NaN; NaN of none."""
    found: np.ndarray = np.nansum(values, axis=1) / (~np.isnan(values)).sum(axis=1)
    return found


def _average_precision(logits: np.ndarray, target: np.ndarray, member: np.ndarray) -> Resampled:
    """Mean average precision, a sample that was drawn twice standing in the ranking twice."""
    order = np.argsort(member, kind="stable")
    starts = np.searchsorted(member[order], np.arange(member.max() + 1))
    logits, target, owner = logits[order], target[order], member[order]

    def reached(k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For each positive: samples and positives of each unit that rank no lower; and the positive's own unit."""
        positive, known = target[:, k] > 0, ~np.isnan(target[:, k])
        above = logits[:, k] >= logits[positive, k][:, None]  # equal scores enter together
        counts = [np.add.reduceat(above & which, starts, axis=1, dtype=np.int32) for which in (known, positive)]
        return counts[0].astype(float), counts[1].astype(float), owner[positive]

    def of_class(counts: np.ndarray, table: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Values:
        """Average precision of one class: precision at each positive, averaged over the positives."""
        ranked, hits, own = table
        weight = counts[:, own]
        precision = (counts @ hits.T) / (counts @ ranked.T)
        found: Values = np.where(weight > 0, precision * weight, 0).sum(axis=1) / weight.sum(axis=1)
        return found

    classes = range(logits.shape[1])
    small = int((target > 0).sum()) * len(starts) <= TABLES
    tables = [reached(k) for k in classes] if small else []

    def of(counts: Counts) -> Values:
        """The metric of each resample."""
        wide = counts.astype(float)
        with np.errstate(divide="ignore", invalid="ignore"):
            return _mean_of_defined(np.stack([of_class(wide, tables[k] if small else reached(k)) for k in classes], 1))

    return of
