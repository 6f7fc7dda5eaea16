import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from skelbench.leaderboard.statistics import half_width, ranks, separable

shares = st.floats(0, 1, allow_subnormal=False)
seeds = st.lists(shares, min_size=1, max_size=6)


def test_the_interval_is_that_of_student() -> None:
    values = [0.90, 0.92, 0.93, 0.95]
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert half_width(values) == pytest.approx((high - low) / 2)


@pytest.mark.parametrize("values", [[], [0.9], [0.9, 0.91]])
def test_fewer_than_three_seeds_have_no_interval(values: list[float]) -> None:
    assert half_width(values) is None


def test_separable_is_the_test_of_welch() -> None:
    one, other = [0.90, 0.91, 0.92], [0.93, 0.94, 0.96]
    assert separable(one, other) == bool(stats.ttest_ind(one, other, equal_var=False).pvalue < 0.05)
    assert not separable([0.90, 0.91, 0.92], [0.91, 0.92, 0.93])
    assert separable([0.90, 0.91, 0.92], [0.95, 0.96, 0.97])


def test_rows_that_do_not_vary_differ_when_they_print_differently() -> None:
    assert separable([0.9] * 3, [0.8] * 3)
    assert not separable([0.9] * 3, [0.9] * 3)
    assert separable([0.9] * 3, [0.80, 0.81, 0.82])


def test_with_few_seeds_only_equal_print_ties() -> None:
    assert separable([0.9], [0.9001])
    assert not separable([0.9], [0.90001])


def test_ties_are_those_of_what_is_printed_whatever_the_unit() -> None:
    def metres(value: float) -> str:
        return f"{value:.4g}"

    assert separable([1e-5], [4e-5], printed=metres)
    assert not separable([26.53001], [26.53499], printed=metres)
    assert ranks([[1e-5], [4e-5], [4e-5]], printed=metres) == [1, 2, 2]
    assert ranks([[26.53001], [26.53499]], printed=metres) == [1, 1]


def test_ranks_are_shared_with_the_row_that_opened_them() -> None:
    spread = [0.00, 0.01, 0.02]
    rows = [[base + step for step in spread] for base in (0.90, 0.895, 0.80, 0.795, 0.1)]
    assert ranks(rows) == [1, 1, 3, 3, 5]
    assert ranks([]) == []


@settings(max_examples=100, deadline=None)
@given(st.lists(seeds, max_size=6))
def test_ranks_never_fall_and_begin_at_one(rows: list[list[float]]) -> None:
    rows.sort(key=lambda values: -math.fsum(values) / len(values))
    found = ranks(rows)
    assert found == sorted(found)
    assert found[:1] == [1][: len(rows)]
    assert all(rank <= place + 1 for place, rank in enumerate(found))
