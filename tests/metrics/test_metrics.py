import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from sklearn import metrics as reference

from skelbench import metrics
from skelbench.errors import RunError

few = settings(max_examples=60, deadline=None)


@st.composite
def cases(draw: st.DrawFn, *, ties: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Logits and targets: few samples, so that classes are absent, and few distinct values, so that scores tie."""
    samples, classes = draw(st.integers(1, 25)), draw(st.integers(1, 8))
    target = draw(hnp.arrays(np.int64, samples, elements=st.integers(0, classes - 1)))
    if ties:
        logits = draw(hnp.arrays(np.float32, (samples, classes), elements=st.integers(-2, 2)))
    else:
        order = draw(st.permutations(range(samples * classes)))
        logits = np.array(order, np.float32).reshape(samples, classes)
    return logits, target


def names(count: int) -> tuple[str, ...]:
    return tuple(f"c{k}" for k in range(count))


@few
@given(cases(ties=False), st.integers(1, 8))
def test_top_k_is_that_of_scikit_learn_where_nothing_ties(case: tuple[np.ndarray, np.ndarray], k: int) -> None:
    logits, target = case
    classes = logits.shape[1]
    if classes < 3:  # scikit-learn takes two columns for a binary problem
        logits = np.hstack([logits, logits.min() - 1 - np.arange(3 * len(logits)).reshape(-1, 3)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns when k reaches the number of classes
        expected = reference.top_k_accuracy_score(target, logits, k=k, labels=range(logits.shape[1]))
    assert metrics.top_k(logits, target, k=k).value == pytest.approx(expected)


@few
@given(cases())
def test_top_1_is_argmax_also_where_logits_tie(case: tuple[np.ndarray, np.ndarray]) -> None:
    logits, target = case
    assert metrics.top_k(logits, target, k=1).value == pytest.approx((logits.argmax(1) == target).mean())


def test_of_tied_classes_the_first_ranks_higher() -> None:
    logits = np.zeros((4, 4), np.float32)
    assert metrics.rank(logits, np.arange(4)).tolist() == [0, 1, 2, 3]
    assert metrics.top_k(logits, np.arange(4), k=2).value == 0.5


@few
@given(cases())
def test_class_means_are_those_of_scikit_learn(case: tuple[np.ndarray, np.ndarray]) -> None:
    logits, target = case
    found = metrics.score("single", logits, target, names(logits.shape[1]))
    predicted = logits.argmax(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of classes that are predicted and absent
        balanced = reference.balanced_accuracy_score(target, predicted)
    assert found["mean_class_accuracy"].value == pytest.approx(balanced)
    expected = reference.f1_score(target, predicted, average="macro", zero_division=0)
    assert found["macro_f1"].value == pytest.approx(expected)
    assert all(metric.n == len(target) for metric in found.values())


@few
@given(cases())
def test_numbers_of_each_class_are_those_of_scikit_learn(case: tuple[np.ndarray, np.ndarray]) -> None:
    logits, target = case
    classes = range(logits.shape[1])
    found = metrics.score("single", logits, target, names(len(classes)))
    predicted = logits.argmax(1)
    expected = reference.precision_recall_fscore_support(target, predicted, labels=classes, zero_division=np.nan)
    for name, column in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        values = found[f"per_class_{name}"].per_class
        assert values is not None
        np.testing.assert_allclose(np.array(values, float), column, rtol=1e-12)  # None becomes NaN
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of a single class
        table = reference.confusion_matrix(target, predicted, labels=classes)
    assert found["confusion"].per_class == tuple(map(tuple, table.tolist()))


@few
@given(cases())
def test_average_precision_is_that_of_scikit_learn_with_ties(case: tuple[np.ndarray, np.ndarray]) -> None:
    logits, target = case
    found = metrics.mean_average_precision(logits, metrics.one_hot(target, logits.shape[1]))
    present = np.unique(target)
    expected = [reference.average_precision_score(target == k, logits[:, k]) for k in present]
    assert found.value == pytest.approx(np.mean(expected))
    assert found.per_class is not None
    assert [k for k, value in enumerate(found.per_class) if value is not None] == present.tolist()


@few
@given(cases(), st.data())
def test_several_classes_a_sample_are_scored_without_the_unknown(
    case: tuple[np.ndarray, np.ndarray], data: st.DataObject
) -> None:
    logits, _ = case
    target = data.draw(hnp.arrays(np.float64, logits.shape, elements=st.sampled_from([0.0, 1.0, np.nan])))
    found = metrics.score("multi", logits, target, names(logits.shape[1]))
    known = ~np.isnan(target)
    assert found["map"].n == known.any(1).sum()
    positive, predicted = target[known] > 0, logits[known] > 0
    if positive.any() or predicted.any():
        assert found["micro_f1"].value == pytest.approx(reference.f1_score(positive, predicted, zero_division=0))
    else:
        assert found["micro_f1"].value is None
    single: dict[str, list[float | None]] = {"precision": [], "recall": [], "f1": []}
    macro, ranked = [], []
    for k in range(logits.shape[1]):
        rows = known[:, k]
        truth, guess = target[rows, k] > 0, logits[rows, k] > 0
        hits = (truth & guess).sum()
        single["precision"].append(hits / guess.sum() if guess.any() else None)
        single["recall"].append(hits / truth.sum() if truth.any() else None)
        single["f1"].append(2 * hits / (truth.sum() + guess.sum()) if truth.any() or guess.any() else None)
        if truth.any() or guess.any():
            macro.append(reference.f1_score(truth, guess, zero_division=0))
        if truth.any():
            ranked.append(reference.average_precision_score(truth, logits[rows, k]))
    assert found["macro_f1"].value == (pytest.approx(np.mean(macro)) if macro else None)
    assert found["map"].value == (pytest.approx(np.mean(ranked)) if ranked else None)
    for name, values in single.items():
        assert found[f"per_class_{name}"].per_class == tuple(values)
    assert sum(found["per_class_support"].per_class or ()) == positive.sum()  # type: ignore[arg-type]


@pytest.mark.parametrize(("samples", "classes"), [(0, 0), (0, 1), (0, 7), (1, 1), (1, 7), (5, 1)])
@pytest.mark.parametrize("kind", ["single", "multi"])
def test_edges_neither_warn_nor_crash(kind: str, samples: int, classes: int) -> None:
    logits = np.zeros((samples, classes), np.float32)
    target = np.zeros(samples, np.int64) if kind == "single" else np.full((samples, classes), np.nan)
    found = metrics.score(kind, logits, target, names(classes))
    assert found["macro_f1"].value == (1.0 if kind == "single" and samples else None)
    assert all(metric.value is None for metric in found.values() if metric.n == 0)


def test_unlabelled_samples_are_left_out() -> None:
    found = metrics.score("single", np.eye(3, dtype=np.float32), np.array([0, -1, 1]), names(3))
    assert (found["top1"].value, found["top1"].n) == (0.5, 2)


def test_top5_is_there_with_more_than_five_classes() -> None:
    def keys(classes: int) -> set[str]:
        return set(metrics.score("single", np.zeros((2, classes)), np.array([0, 0]), names(classes)))

    assert keys(6) - keys(5) == {"top5"}


def test_the_largest_logits_do_not_overflow() -> None:
    logits = np.array([[3e38, -3e38], [-3e38, 3e38], [0, 0]], np.float32)
    found = metrics.score("single", logits, np.array([0, 1, 0]), names(2))
    assert found["top1"].value == found["map"].value == 1.0


def test_nothing_is_scored_without_a_target() -> None:
    assert metrics.score("none", np.zeros((2, 3)), np.zeros(2, int), names(3)) == {}


@pytest.mark.parametrize(
    ("kind", "logits", "target", "message"),
    [
        ("frames", np.zeros((2, 3)), np.zeros(2, int), "No metrics .* 'frames'. Known: multi, none, score, single"),
        ("single", np.zeros((2, 4)), np.zeros(2, int), r"Logits \(2, 4\) .* do not fit 3 classes"),
        ("single", np.zeros((2, 3)), np.zeros(3, int), "do not fit"),
        ("multi", np.zeros((2, 3)), np.zeros(2), "do not fit"),
        ("single", np.array([[0, 0, 0], [0, np.nan, 1]]), np.zeros(2, int), "1 of 2 logits are not finite, .* row 1"),
        ("single", np.zeros((2, 3)), np.array([0, 3]), "from 0 to 3, expected -1 to 2"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(kind: str, logits: np.ndarray, target: np.ndarray, message: str) -> None:
    with pytest.raises(RunError, match=message):
        metrics.score(kind, logits, target, names(3))


@few
@given(cases())
def test_the_likelihood_is_that_of_scikit_learn(case: tuple[np.ndarray, np.ndarray]) -> None:
    logits, target = case
    classes = logits.shape[1]
    found = metrics.score("single", logits, target, names(classes))["nll"].value
    if classes == 1:
        assert found == 0
        return
    wide = logits.astype(float)
    share = np.exp(wide) / np.exp(wide).sum(1, keepdims=True)
    assert found == pytest.approx(reference.log_loss(target, share, labels=range(classes)), rel=1e-9)


def expected_calibration_error(logits: np.ndarray, target: np.ndarray) -> float:
    """Guo et al., equation 3, read aloud: bin by bin, sample by sample."""
    bins: dict[int, list[tuple[float, bool]]] = {}
    for row, right in zip(logits.astype(float), target, strict=True):
        share = np.exp(row - row.max()) / np.exp(row - row.max()).sum()
        confidence = share.max()
        place = next(m for m in range(1, 16) if confidence <= m / 15 or m == 15)
        bins.setdefault(place, []).append((confidence, row.argmax() == right))
    error = 0.0
    for members in bins.values():
        accuracy = sum(right for _, right in members) / len(members)
        confidence = sum(sure for sure, _ in members) / len(members)
        error += len(members) / len(target) * abs(accuracy - confidence)
    return error


@few
@given(cases(), st.floats(0.1, 5))
def test_the_calibration_error_is_that_of_its_equation(case: tuple[np.ndarray, np.ndarray], scale: float) -> None:
    logits, target = case
    found = metrics.score("single", (logits * scale).astype(np.float32), target, names(logits.shape[1]))["ece"].value
    assert found == pytest.approx(
        expected_calibration_error((logits * scale).astype(np.float32), target), rel=1e-9, abs=1e-12
    )


def test_a_forecast_that_keeps_its_word_has_no_calibration_error() -> None:
    logits = np.log(np.tile([0.7, 0.2, 0.1], (10, 1)))
    target = np.array([0] * 7 + [1] * 2 + [2])
    assert metrics.calibration_error(logits, target).value == pytest.approx(0, abs=1e-12)
    assert metrics.calibration_error(logits * 1000, target).value == pytest.approx(0.3)  # sure, and right in 70 %


def test_a_score_has_errors_in_its_unit_and_a_rank_correlation() -> None:
    rng = np.random.default_rng(2)
    target = rng.integers(0, 6, 40).astype(np.float32)
    logits = (target + rng.integers(-2, 3, 40))[:, None].astype(np.float32)
    found = metrics.score("score", logits, target, ())
    assert found.keys() == {"mae", "rmse", "spearman"}
    assert found["mae"].value == pytest.approx(reference.mean_absolute_error(target, logits[:, 0]))
    assert found["rmse"].value == pytest.approx(reference.root_mean_squared_error(target, logits[:, 0]))
    assert found["spearman"].value == pytest.approx(stats.spearmanr(logits[:, 0], target).statistic)


def test_a_score_that_is_not_known_is_left_out() -> None:
    found = metrics.score("score", np.array([[1.0], [5.0], [2.0]]), np.array([2.0, np.nan, 2.0]), ())
    assert (found["mae"].value, found["mae"].n) == (0.5, 2)
    assert found["spearman"].value is None  # one value only: nothing to correlate
    assert metrics.score("score", np.zeros((0, 1)), np.zeros(0), ())["rmse"].value is None


def test_values_are_shown_in_percent_but_for_plain_numbers() -> None:
    assert metrics.shown(0.91234, "top1") == "91.23 %"
    assert metrics.shown(1.23456, "nll") == "1.235"
    assert metrics.shown(None, "map") == "not defined"
