"""Numbers from logits and targets: pure functions on arrays, each result with the count it rests on.

Ties: of classes with equal logits the first counts as ranked higher, so that top-1 is what `argmax` says and
what the confusion matrix shows. A value that is not defined, as on no samples at all, is None.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from pydantic import BaseModel, ConfigDict

from skelbench.errors import RunError

ECE_BINS = 15  # of equal width over the confidences from 0 to 1
LOWER_IS_BETTER = frozenset({"ece", "nll", "mae", "rmse"})
PLAIN = frozenset({"nll", "mae", "rmse", "spearman"})  # all others are shares of 1, printed in percent


class Metric(BaseModel):
    """One measured number, one number for each class, or both."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    value: float | None = None
    """The number; accuracies, F1, average precision and calibration error lie in [0, 1]. Null where not defined."""
    n: int
    """How many samples were scored; of frames and events how many of these."""
    per_class: tuple[int | float | None, ...] | tuple[tuple[int, ...], ...] | None = None
    """In the order of the record's classes; of `confusion` one row for each target, over the predictions."""
    interval: tuple[float, float] | None = None
    """Bounds of the 95 % interval from resampling, where there was one."""
    interval_over: str | None = None
    """What was resampled, such as `subject`."""


def score(kind: str, logits: np.ndarray, target: np.ndarray, classes: Sequence[str]) -> dict[str, Metric]:
    """Every metric of one kind of target.

    Args:
        kind: `single` (one class a sample), `multi` (several), `score` (a number) or `none` (nothing to score).
        logits: (N, K) scores, finite; larger = more likely. Of `score` (N, 1), the predicted numbers.
        target: (N,) class index, -1 = unlabelled and left out; of `multi` (N, K) with 1, 0 and NaN = ignored; of
            `score` (N,) numbers, NaN = left out.
        classes: K names; none of a `score`.

    Returns:
        Metrics by name. `single`: top1, top5 (with more than five classes), mean_class_accuracy, macro_f1, map, ece,
        nll, per_class_precision, per_class_recall, per_class_f1, per_class_support, confusion. `multi`: map, micro_f1,
        macro_f1 and the same four of each class. `score`: mae, rmse, spearman. `none`: nothing.

    Raises:
        RunError: If there are no metrics for the kind, or logits and target do not fit together.
    """
    if kind == "none":
        return {}
    if kind not in ("single", "multi", "score"):
        raise RunError(f"No metrics for a target of kind '{kind}'. Known: multi, none, score, single.")
    _check(kind, logits, target, len(classes))
    if kind == "score":
        return _score_numbers(logits[:, 0].astype(float), target.astype(float))
    if kind == "multi":
        return {
            "map": mean_average_precision(logits, target),
            "micro_f1": multi_f1(logits, target, average="micro"),
            "macro_f1": multi_f1(logits, target, average="macro"),
            **multi_per_class(logits, target),
        }
    labelled = target >= 0
    logits, target = logits[labelled], target[labelled]
    counts = confusion(logits, target)
    return {
        "top1": top_k(logits, target, k=1),
        **({"top5": top_k(logits, target, k=5)} if len(classes) > 5 else {}),
        "mean_class_accuracy": mean_class_accuracy(counts),
        "macro_f1": macro_f1(counts),
        "map": mean_average_precision(logits, one_hot(target, len(classes))),
        "ece": calibration_error(logits, target),
        "nll": negative_log_likelihood(logits, target),
        **per_class(counts),
        "confusion": Metric(n=len(target), per_class=tuple(tuple(int(n) for n in row) for row in counts)),
    }


def of_frames(metric: str) -> bool:
    """Whether a metric counts frames or events instead of samples."""
    return metric.startswith(("frame_", "event_", "per_class_frames", "per_class_events"))


def shown(value: float | None, metric: str) -> str:
    """A value for people: shares in percent with two decimals, plain numbers with four digits."""
    if value is None:
        return "not defined"
    return f"{value:.4g}" if metric.removeprefix("oracle_") in PLAIN else f"{100 * value:.2f} %"


def rank(logits: Float[np.ndarray, "batch classes"], target: Int[np.ndarray, " batch"]) -> Int[np.ndarray, " batch"]:
    """How many classes stand before the target: those of a higher logit, and of an equal one the earlier."""
    own = np.take_along_axis(logits, target[:, None], axis=1)
    earlier = np.arange(logits.shape[1]) < target[:, None]
    before: np.ndarray = ((logits > own) | ((logits == own) & earlier)).sum(axis=1)
    return before


def top_k(logits: Float[np.ndarray, "batch classes"], target: Int[np.ndarray, " batch"], *, k: int) -> Metric:
    """Share of samples whose class is among the k of the highest logits."""
    if target.size == 0:
        return Metric(n=0)
    return Metric(value=float((rank(logits, target) < k).mean()), n=target.size)


def confusion(
    logits: Float[np.ndarray, "batch classes"], target: Int[np.ndarray, " batch"]
) -> Int[np.ndarray, "classes classes"]:
    """Samples by target (rows) and predicted class (columns)."""
    count = logits.shape[1]
    if target.size == 0:
        return np.zeros((count, count), np.int64)
    cells = target.astype(np.int64) * count + logits.argmax(axis=1)
    return np.bincount(cells, minlength=count * count).reshape(count, count)


def mean_class_accuracy(counts: Int[np.ndarray, "classes classes"]) -> Metric:
    """Mean of the accuracies of the classes that have samples; classes without are left out."""
    support = counts.sum(axis=1)
    present = support > 0
    recall = counts.diagonal()[present] / support[present]
    return Metric(value=_mean(recall), n=int(support.sum()))


def macro_f1(counts: Int[np.ndarray, "classes classes"]) -> Metric:
    """Mean F1 over the classes that occur among the targets or the predictions; 0 where P + R = 0.

    Source: the default of scikit-learn's f1_score with zero_division = 0.
    """
    return Metric(value=_mean(np.array([f1 for f1 in _f1(counts) if f1 is not None])), n=int(counts.sum()))


def per_class(counts: Int[np.ndarray, "classes classes"]) -> dict[str, Metric]:
    """Precision, recall, F1 and support of each class.

    Args:
        counts: Samples by target and prediction.

    Returns:
        Precision is None for a class never predicted, recall for one without samples, F1 for one that is both.
    """
    hits, support, predicted = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    n = int(counts.sum())
    return {
        "per_class_precision": Metric(n=n, per_class=_ratios(hits, predicted)),
        "per_class_recall": Metric(n=n, per_class=_ratios(hits, support)),
        "per_class_f1": Metric(n=n, per_class=_f1(counts)),
        "per_class_support": Metric(n=n, per_class=tuple(int(number) for number in support)),
    }


def average_precision(scores: Float[np.ndarray, " batch"], positive: Bool[np.ndarray, " batch"]) -> float | None:
    """Area under the steps of precision over recall, samples of equal score entering together.

    Args:
        scores: Larger = more likely positive.
        positive: Which samples are.

    Returns:
        The sum over distinct scores of precision times the gain in recall; None without a positive.

    Source: the definition of scikit-learn's average_precision_score.
    """
    total = int(positive.sum())
    if total == 0:
        return None
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], positive[order].cumsum()
    last = np.append(ranked[1:] != ranked[:-1], True)  # the last sample of each group of equal scores
    recall = np.diff(hits[last], prepend=0) / total
    return float((recall * hits[last] / (np.flatnonzero(last) + 1)).sum())


def mean_average_precision(
    logits: Float[np.ndarray, "batch classes"], target: Float[np.ndarray, "batch classes"]
) -> Metric:
    """Mean over classes of the average precision of one class against the rest.

    Args:
        logits: They rank the samples of a class as they stand; no softmax is taken.
        target: 1, 0, or NaN where the class of that sample is not known and not scored.

    Returns:
        The mean over classes that have a positive; `per_class` is None for the others.
    """
    known = ~np.isnan(target)
    values = tuple(
        average_precision(logits[known[:, k], k], target[known[:, k], k] > 0) for k in range(logits.shape[1])
    )
    defined = np.array([value for value in values if value is not None])
    return Metric(value=_mean(defined), n=int(known.any(axis=1).sum()), per_class=values)


def multi_f1(
    logits: Float[np.ndarray, "batch classes"], target: Float[np.ndarray, "batch classes"], *, average: str
) -> Metric:
    """F1 of several classes a sample, a class being predicted where its logit is above 0.

    Args:
        logits: 0 = a probability of one half.
        target: 1, 0, or NaN = ignored.
        average: `micro` (all decisions pooled) or `macro` (mean over the classes that are or were predicted).

    Returns:
        The value; None where nothing is positive and nothing was predicted.
    """
    hits, support, predicted = _multi_counts(logits, target)
    named = support + predicted  # 2 TP + FP + FN
    if average == "micro":
        hits, named = hits.sum(keepdims=True), named.sum(keepdims=True)
    occurs = named > 0
    return Metric(value=_mean(2 * hits[occurs] / named[occurs]), n=int((~np.isnan(target)).any(axis=1).sum()))


def multi_per_class(
    logits: Float[np.ndarray, "batch classes"], target: Float[np.ndarray, "batch classes"]
) -> dict[str, Metric]:
    """Precision, recall, F1 and support of each of several classes a sample, predicted where the logit is above 0.

    Args:
        logits: 0 = a probability of one half.
        target: 1, 0, or NaN = ignored.

    Returns:
        As `per_class`.
    """
    hits, support, predicted = _multi_counts(logits, target)
    n = int((~np.isnan(target)).any(axis=1).sum())
    return {
        "per_class_precision": Metric(n=n, per_class=_ratios(hits, predicted)),
        "per_class_recall": Metric(n=n, per_class=_ratios(hits, support)),
        "per_class_f1": Metric(n=n, per_class=_ratios(2 * hits, support + predicted)),
        "per_class_support": Metric(n=n, per_class=tuple(int(number) for number in support)),
    }


def confidence_bins(
    logits: Float[np.ndarray, "batch classes"],
) -> tuple[Float[np.ndarray, " batch"], Int[np.ndarray, " batch"]]:
    """How sure each prediction is, and the bin that this falls into.

    Args:
        logits: Softmax of them gives the confidence, which is that of the predicted class.

    Returns:
        The confidences, and bins counted from 0: the k-th holds what is above k / 15 and at most (k + 1) / 15.
    """
    if not logits.size:
        return np.zeros(len(logits)), np.zeros(len(logits), np.int64)
    confidence = np.exp(_log_softmax(logits).max(axis=1))
    edges = np.arange(1, ECE_BINS) / ECE_BINS
    return confidence, np.searchsorted(edges, confidence, side="left")


def calibration_error(logits: Float[np.ndarray, "batch classes"], target: Int[np.ndarray, " batch"]) -> Metric:
    """Expected calibration error: how far confidence and accuracy lie apart, 0 being calibrated.

    Returns:
        The mean over samples of |accuracy - mean confidence| of the bin that each stands in, with 15 bins of equal
        width over the confidence of the predicted class.

    Source: Guo, Pleiss, Sun, Weinberger: On Calibration of Modern Neural Networks, ICML 2017, equation 3.
    """
    if target.size == 0:
        return Metric(n=0)
    confidence, place = confidence_bins(logits)
    gap = np.bincount(place, weights=confidence - (logits.argmax(axis=1) == target))
    return Metric(value=float(np.abs(gap).sum() / target.size), n=target.size)


def negative_log_likelihood(logits: Float[np.ndarray, "batch classes"], target: Int[np.ndarray, " batch"]) -> Metric:
    """Mean of -log of the softmax probability of the right class, in nats."""
    if target.size == 0:
        return Metric(n=0)
    return Metric(value=float(sample_nll(logits, target).mean()), n=target.size)


def sample_nll(
    logits: Float[np.ndarray, "batch classes"], target: Int[np.ndarray, " batch"]
) -> Float[np.ndarray, " batch"]:
    """The negative log likelihood of each sample, in nats."""
    chosen: np.ndarray = _log_softmax(logits)[np.arange(target.size), target]
    return 0.0 - chosen


def spearman(found: Float[np.ndarray, " batch"], target: Float[np.ndarray, " batch"]) -> Metric:
    """Spearman's rank correlation; None where either side holds one value only.

    Source: Pearson's correlation of ranks, equal values sharing their mean rank, as scipy.stats.spearmanr has it.
    """
    ranks = np.stack([_ranks(found), _ranks(target)]) - (target.size + 1) / 2
    spread = np.sqrt((ranks**2).sum(axis=1).prod())
    return Metric(value=float(ranks.prod(axis=0).sum() / spread) if spread else None, n=target.size)


def one_hot(target: Int[np.ndarray, " batch"], classes: int) -> Float[np.ndarray, "batch classes"]:
    """1.0 at each sample's class, else 0.0."""
    table = np.zeros((target.size, classes))
    table[np.arange(target.size), target] = 1
    return table


def _check(kind: str, logits: np.ndarray, target: np.ndarray, classes: int) -> None:
    """Refuse arrays that cannot be scored together."""
    shape = (len(target), 1 if kind == "score" else classes)
    if logits.shape != shape or target.shape != (shape if kind == "multi" else shape[:1]):
        raise RunError(f"Logits {logits.shape} and target {target.shape} do not fit {classes} classes ('{kind}').")
    finite = np.isfinite(logits).all(axis=1)
    if not finite.all():
        raise RunError(f"{(~finite).sum()} of {len(finite)} logits are not finite, the first in row {finite.argmin()}.")
    if kind == "single" and target.size and not (target.min() >= -1 and target.max() < classes):
        raise RunError(f"Targets reach from {target.min()} to {target.max()}, expected -1 to {classes - 1}.")


def _score_numbers(found: np.ndarray, target: np.ndarray) -> dict[str, Metric]:
    """Metrics of predicted numbers, in the unit of the target; samples without one are left out."""
    found, target = found[~np.isnan(target)], target[~np.isnan(target)]
    squares = _mean((found - target) ** 2)
    return {
        "mae": Metric(value=_mean(np.abs(found - target)), n=target.size),
        "rmse": Metric(value=None if squares is None else float(np.sqrt(squares)), n=target.size),
        "spearman": spearman(found, target),
    }


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logarithms of the probabilities of each row, in double precision."""
    lower = logits.astype(float) - logits.max(axis=1, keepdims=True)
    found: np.ndarray = lower - np.log(np.exp(lower).sum(axis=1, keepdims=True))
    return found


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, equal values sharing their mean rank."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((count.cumsum() - (count - 1) / 2)[place])


def _ratios(part: np.ndarray, whole: np.ndarray) -> tuple[float | None, ...]:
    """One ratio for each class, None where the whole is 0."""
    return tuple(float(p / w) if w else None for p, w in zip(part, whole, strict=True))


def _multi_counts(logits: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True positives, positives and predicted positives of each class, where it is known."""
    known, predicted = ~np.isnan(target), logits > 0
    positive = known & (np.nan_to_num(target) > 0)
    return (positive & predicted).sum(axis=0), positive.sum(axis=0), (known & predicted).sum(axis=0)


def _f1(counts: np.ndarray) -> tuple[float | None, ...]:
    """2 TP / (2 TP + FP + FN) of each class, None where it neither is nor was predicted."""
    return _ratios(2 * counts.diagonal(), counts.sum(axis=0) + counts.sum(axis=1))


def _mean(values: np.ndarray) -> float | None:
    """The mean, None of nothing."""
    return float(values.mean()) if values.size else None
