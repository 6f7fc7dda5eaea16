"""Prepare lists: named, checked, applied to one sample."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from skelbench.errors import RecipeError, nearest
from skelbench.prepare.prepared import Prepared, by_id, by_position
from skelbench.prepare.steps import STEPS, first, select_energy
from skelbench.sample import Sample
from skelbench.steps import bind, parse_step

GROUPINGS: Mapping[str, Callable[[Sample], Prepared]] = {"by-id": by_id, "by-position": by_position}

# What the field's own scripts do, under the name of the model they belong to: usable wherever a step is.
LISTS: Mapping[str, tuple[str, ...]] = {
    "stgcn": ("by-position", "first:2"),  # Yan et al., AAAI 2018: tools/ntu_gendata.py
}


def check_prepare(steps: Sequence[str]) -> tuple[str, ...]:
    """Check a prepare list and write it out.

    Args:
        steps: Steps or names of lists; the first step groups poses to persons (`by-id` where none does).

    Returns:
        The same with named lists replaced by their steps, the grouping step in front.

    Raises:
        RecipeError: If a step is unknown, has the wrong arguments, or groups in a later place.
    """
    listed = [step.strip() for name in steps for step in LISTS.get(name.strip(), (name,))]
    names = [parse_step(step).name for step in listed]
    if not listed or names[0] not in GROUPINGS:
        listed, names = ["by-id", *listed], ["by-id", *names]
    for step, name in zip(listed[1:], names[1:], strict=True):
        if name in GROUPINGS:
            raise RecipeError(f"prepare: '{step}' groups poses to persons, which only the first step does.")
        if name not in STEPS:
            known = {*STEPS, *GROUPINGS, *LISTS}
            raise RecipeError(f"prepare: no step '{name}' (in '{step}'). {nearest(name, known)}")
    _bound(tuple(listed))
    return tuple(listed)


def prepare(sample: Sample, steps: Sequence[str]) -> Prepared:
    """Apply a prepare list to one sample.

    Args:
        sample: What was recorded.
        steps: A prepare list.

    Returns:
        Persons × frames; missing joints stay NaN. A sample without poses keeps its frames and has no person.

    Raises:
        RecipeError: If the list is wrong or does not fit the sample, naming the sample.
        RunError: If the sample does not fit into memory.
    """
    group, after = _bound(check_prepare(steps))
    return _apply(sample, group, after)


def preparer(steps: Sequence[str]) -> Callable[[Sample], Prepared]:
    """The same as `prepare`, the list checked once for many samples."""
    group, after = _bound(check_prepare(steps))
    return lambda sample: _apply(sample, group, after)


def person_slots(steps: Sequence[str], persons: int) -> int:
    """How many person slots a set has after a prepare list.

    Args:
        steps: A prepare list.
        persons: Most persons that a frame of the set may hold: the card's `persons`.

    Returns:
        What the list's narrowest `first` or `select-energy` leaves, else the card's number.
    """
    _, after = _bound(check_prepare(steps))
    kept = [arguments[0] for step, arguments in after if step in (first, select_energy)]
    return min(kept, default=persons)


_After = tuple[tuple[Callable[..., Prepared], tuple[Any, ...]], ...]


@lru_cache(maxsize=64)
def _bound(steps: tuple[str, ...]) -> tuple[Callable[[Sample], Prepared], _After]:
    """The functions of a checked list with their arguments."""
    group, _ = bind(steps[0], GROUPINGS, skip=1)
    return group, tuple(bind(step, STEPS, skip=1) for step in steps[1:])


def _apply(sample: Sample, group: Callable[[Sample], Prepared], after: _After) -> Prepared:
    """Group one sample and take it through the steps."""
    prepared = group(sample)
    try:
        for step, arguments in after:
            prepared = step(prepared, *arguments)
    except RecipeError as error:
        raise RecipeError(f"prepare, sample {sample.sample_id}: {error}") from error
    return prepared
