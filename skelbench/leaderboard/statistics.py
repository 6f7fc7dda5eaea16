"""What a few seeds allow one to say: interval of a mean, and which rows cannot be told apart."""

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from scipy import stats

MIN_SEEDS = 3  # fewer say nothing of the spread
ALPHA = 0.05

Printed: TypeAlias = Callable[[float], str]  # a mean as a board prints it


def half_width(values: Sequence[float]) -> float | None:
    """Half of the 95 % t-interval of a mean.

    Args:
        values: One value for each seed.

    Returns:
        In the unit of the values; None with fewer than three.

    Source: Student's t with n - 1 degrees of freedom.
    """
    if len(values) < MIN_SEEDS:
        return None
    spread = float(np.std(values, ddof=1))
    return float(stats.t.ppf(1 - ALPHA / 2, len(values) - 1)) * spread / math.sqrt(len(values))


def percent(value: float) -> str:
    """A share in percent with two decimals."""
    return f"{100 * value:.2f}"


def separable(one: Sequence[float], other: Sequence[float], *, printed: Printed = percent) -> bool:
    """Whether the means of two sets of seeds differ at the 5 % level.

    Args:
        one: One value for each seed.
        other: The same of another row.
        printed: How a board prints a mean.

    Returns:
        What Welch's t-test says. Where either has fewer than three seeds, or neither varies, whether the means differ
        as they are printed.
    """
    if min(len(one), len(other)) < MIN_SEEDS or np.ptp(one) == np.ptp(other) == 0:
        return printed(float(np.mean(one))) != printed(float(np.mean(other)))
    first, second = ((np.mean(values), np.std(values, ddof=1), len(values)) for values in (one, other))
    return bool(stats.ttest_ind_from_stats(*first, *second, equal_var=False).pvalue < ALPHA)


def ranks(rows: Sequence[Sequence[float]], *, printed: Printed = percent) -> list[int]:
    """Rank rows that stand in falling order of their means.

    Args:
        rows: The values of each row, one for each seed, at least one.
        printed: How a board prints a mean.

    Returns:
        From 1. A row shares the rank of the row that opened it; when the two are separable, its place is its rank.
    """
    found: list[int] = []
    for place, values in enumerate(rows):
        opener = rows[found[-1] - 1] if found else None
        tied = opener is not None and not separable(opener, values, printed=printed)
        found.append(found[-1] if tied else place + 1)
    return found
