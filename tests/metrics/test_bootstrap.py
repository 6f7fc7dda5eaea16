import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference

from skelbench.bootstrap import bounds, resampled, resamples, subject_interval
from skelbench.metrics import score

METRICS = {
    "single": ("top1", "top5", "mean_class_accuracy", "macro_f1", "map", "ece", "nll"),
    "multi": ("map", "micro_f1", "macro_f1"),
    "score": ("mae", "rmse"),
}
EACH = [(kind, metric) for kind, names in METRICS.items() for metric in names]


def interval(correct: np.ndarray, subjects: np.ndarray, seed: int = 0) -> tuple[float, float]:
    logits = np.column_stack([correct, ~correct]).astype(np.float32)
    arrays = (logits, np.zeros(len(correct), np.int64))
    found = subject_interval("top1", "single", arrays, subjects, np.random.default_rng(seed))
    assert found is not None
    return found


def arrays(kind: str, samples: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Logits with ties and targets that they know something of."""
    rng = np.random.default_rng(8)
    if kind == "score":
        target = rng.normal(size=samples)
        return (target + rng.normal(size=samples))[:, None].astype(np.float32), target
    if kind == "single":
        target = rng.integers(0, 7, samples)
        return (np.eye(7)[target] + rng.integers(-2, 3, (samples, 7)) / 2).astype(np.float32), target
    known = rng.choice([0.0, 1.0, np.nan], (samples, 4), p=[0.6, 0.3, 0.1])
    return (np.nan_to_num(known) + rng.integers(-3, 3, (samples, 4)) / 2).astype(np.float32), known


@pytest.mark.parametrize(("kind", "metric"), EACH)
def test_a_resample_is_scored_as_if_its_samples_stood_there_so_often(kind: str, metric: str) -> None:
    logits, target = arrays(kind)
    member = np.arange(60) % 9
    value = resampled(metric, kind, logits, target, member)
    assert value is not None
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 4, (20, 9))
    for found, count in zip(value(counts), counts, strict=True):
        drawn = np.repeat(np.arange(60), count[member])
        expected = score(kind, logits[drawn], target[drawn], [f"c{k}" for k in range(logits.shape[1])])[metric].value
        assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("kind", "metric"), EACH)
def test_every_metric_lies_within_its_own_interval(kind: str, metric: str) -> None:
    logits, target = arrays(kind)
    found = subject_interval(metric, kind, (logits, target), np.arange(60) % 12, np.random.default_rng(0))
    assert found is not None
    value = score(kind, logits, target, [f"c{k}" for k in range(logits.shape[1])])[metric].value
    assert value is not None
    assert found[0] < value < found[1] or metric == "ece"  # the error of few samples is biased upwards
    assert found[0] < found[1]


def test_tables_too_large_to_keep_are_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, target = arrays("multi")
    found = subject_interval("map", "multi", (logits, target), np.arange(60), np.random.default_rng(0))
    monkeypatch.setattr("skelbench.bootstrap.TABLES", 0)
    again = subject_interval("map", "multi", (logits, target), np.arange(60), np.random.default_rng(0))
    assert again == found


def test_a_rank_correlation_has_no_interval() -> None:
    logits, target = arrays("score")
    assert subject_interval("spearman", "score", (logits, target), np.arange(60), np.random.default_rng(0)) is None


def test_samples_without_a_label_do_not_count() -> None:
    logits, target = arrays("single")
    subjects = np.arange(60) % 12
    found = subject_interval("macro_f1", "single", (logits, target), subjects, np.random.default_rng(0))
    more = np.concatenate([logits, logits[:5]]), np.concatenate([target, np.full(5, -1)])
    names = np.concatenate([subjects, np.full(5, 99)])
    assert subject_interval("macro_f1", "single", more, names, np.random.default_rng(0)) == found


def test_a_class_that_one_subject_alone_shows_does_not_end_the_interval_of_class_means() -> None:
    target = np.repeat([0, 1, 0, 0], 5)
    logits = np.eye(2, dtype=np.float32)[target]
    logits[1::2] = logits[1::2, ::-1]
    found = subject_interval(
        "mean_class_accuracy", "single", (logits, target), np.repeat(range(4), 5), np.random.default_rng(0)
    )
    assert found is not None
    assert np.isfinite(found).all()


def test_a_value_that_a_resample_lacks_leaves_no_interval() -> None:
    assert bounds(np.array([0.5, np.nan, 0.7])) is None
    assert bounds(np.zeros(0)) is None


def test_the_draws_do_not_depend_on_how_they_are_cut() -> None:
    whole = np.concatenate(list(resamples(7, np.random.default_rng(4))))
    cut = np.concatenate(list(resamples(7, np.random.default_rng(4), most=70)))
    assert (whole == cut).all()
    assert (whole.sum(axis=1) == 7).all()


def test_the_bounds_are_those_of_scipys_bootstrap() -> None:
    logits, target = arrays("single", 400)
    right = (logits.argmax(1) == target).astype(float)
    theirs = stats.bootstrap(
        (right,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    ours = subject_interval("top1", "single", (logits, target), np.arange(400), np.random.default_rng(0))
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.006)


def test_the_resampled_class_mean_is_scikit_learns_with_weights() -> None:
    logits, target = arrays("single")
    member = np.arange(60) % 9
    value = resampled("mean_class_accuracy", "single", logits, target, member)
    assert value is not None
    counts = np.random.default_rng(2).integers(1, 4, (5, 9))
    for found, count in zip(value(counts), counts, strict=True):
        expected = reference.balanced_accuracy_score(target, logits.argmax(1), sample_weight=count[member])
        assert found == pytest.approx(expected)


def test_the_same_draws_give_the_same_interval() -> None:
    rng = np.random.default_rng(3)
    correct, subjects = rng.random(500) < 0.8, rng.integers(0, 20, 500)
    assert interval(correct, subjects) == interval(correct, subjects)


def test_with_one_sample_a_subject_it_is_the_binomial_interval() -> None:
    low, high = stats.binom(400, 0.7).ppf([0.025, 0.975]) / 400
    assert interval(np.arange(400) < 280, np.arange(400)) == pytest.approx((low, high), abs=0.006)


def test_samples_that_hang_together_widen_it() -> None:
    by_subject = np.repeat(np.arange(10) < 7, 100)
    clustered = interval(by_subject, np.repeat(np.arange(10), 100))
    independent = interval(by_subject, np.arange(1000))
    assert clustered[1] - clustered[0] > 5 * (independent[1] - independent[0])


def test_names_of_subjects_are_not_numbers() -> None:
    correct, numbers = np.array([True, False, True, True]), np.array([0, 0, 1, 2])
    assert interval(correct, np.array(["ann", "ann", "bo", "cy"])) == interval(correct, numbers)


def test_the_order_of_samples_does_not_count() -> None:
    rng = np.random.default_rng(5)
    correct, subjects = rng.random(100) < 0.5, rng.integers(0, 9, 100)
    order = rng.permutation(100)
    assert interval(correct[order], subjects[order]) == interval(correct, subjects)


def test_many_subjects_narrow_it() -> None:
    low, high = interval(np.arange(60_000) % 2 == 0, np.arange(60_000))
    assert 0.49 < low < 0.5 < high < 0.51


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_subjects_have_none(count: int) -> None:
    logits, target = np.ones((count * 4, 3), np.float32), np.zeros(count * 4, np.int64)
    none = np.zeros(count * 4, int)
    assert subject_interval("top1", "single", (logits, target), none, np.random.default_rng(0)) is None
