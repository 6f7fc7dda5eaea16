import numpy as np
import pytest
from scipy import stats

from skelbench.metrics import subject_interval


def interval(correct: np.ndarray, subjects: np.ndarray, seed: int = 0) -> tuple[float, float]:
    found = subject_interval(correct, subjects, np.random.default_rng(seed))
    assert found is not None
    return found


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
    correct = np.ones(count * 4, bool)
    assert subject_interval(correct, np.zeros(count * 4, int), np.random.default_rng(0)) is None
