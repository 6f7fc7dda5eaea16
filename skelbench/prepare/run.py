"""Prepare lists: named, checked, applied to one sample."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from skelbench.errors import RecipeError, nearest
from skelbench.mapping import JointMapping, find_mapping
from skelbench.prepare.denoise import ACTORS, ctr_denoise
from skelbench.prepare.link import link
from skelbench.prepare.prepared import Prepared, by_id, by_position
from skelbench.prepare.steps import STEPS, copy_lone, first, select_energy, to_layout
from skelbench.sample import Sample
from skelbench.skeletons import Layout
from skelbench.steps import bind, parse_step

GROUPINGS: Mapping[str, Callable[..., Prepared]] = {
    "by-id": by_id,
    "by-position": by_position,
    "link": link,
    "ctr-denoise": ctr_denoise,
}

# Steps that depend on whose joints they are given: of a layout and the arguments they make the mapping to another.
ON_LAYOUT: Mapping[str, Callable[..., JointMapping]] = {"layout": find_mapping}

# What the field's own scripts do, under the name of the model they belong to: usable wherever a step is.
LISTS: Mapping[str, tuple[str, ...]] = {
    # Chen et al., ICCV 2021: data/ntu/*.py; for NTU RGB+D 120, data/ntu120/*.py, with "copy-lone" after it
    "ctr": ("ctr-denoise:exact", "centre-first:1"),
    # Shi et al., CVPR 2019: data_gen/ntu_gendata.py and preprocess.py; four bodies a frame are read, 300 frames filled
    "agcn": (
        "by-position",
        "first:4",
        "select-energy:2",
        "close-up",
        "even-out:300",
        "centre-each:1",
        "rotate:0,1,8,4,zero",
    ),
    # Yang et al., BMVC 2021: the same files with other joints, which are those of its own layout of 17
    "unik": ("by-position", "first:4", "select-energy:2", "close-up", "centre-first:3,zero", "rotate:2,4,5,6,zero"),
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
        if name not in STEPS and name not in ON_LAYOUT:
            known = {*STEPS, *ON_LAYOUT, *GROUPINGS, *LISTS}
            raise RecipeError(f"prepare: no step '{name}' (in '{step}'). {nearest(name, known)}")
    _bound(tuple(listed))
    return tuple(listed)


def prepare(sample: Sample, steps: Sequence[str], layout: Layout | None = None) -> Prepared:
    """Apply a prepare list to one sample.

    Args:
        sample: What was recorded.
        steps: A prepare list.
        layout: Whose joints the sample has; only the step `layout` asks for it.

    Returns:
        Persons × frames; missing joints stay NaN. A sample without poses keeps its frames and has no person.

    Raises:
        RecipeError: If the list is wrong or does not fit the sample, naming the sample.
        RunError: If the sample does not fit into memory.
    """
    return preparer(steps, layout)(sample)


def preparer(steps: Sequence[str], layout: Layout | None = None) -> Callable[[Sample], Prepared]:
    """The same as `prepare`, the list checked and mappings found once for many samples."""
    group, after = _bound(check_prepare(steps))
    mappings = iter(mappings_of(steps, layout))
    settled = tuple(
        (to_layout, (next(mappings),)) if step is find_mapping else (step, arguments) for step, arguments in after
    )
    return lambda sample: _apply(sample, group, settled)


def mappings_of(steps: Sequence[str], layout: Layout | None) -> tuple[JointMapping, ...]:
    """Find what the steps `layout` of a list stand for, one after the other.

    Args:
        steps: A prepare list.
        layout: Whose joints the samples have.

    Returns:
        The mapping of each such step, from the layout that the step is given.

    Raises:
        RecipeError: If the list is wrong, or has such a step where the layout is not known.
        CardError: If there is no such layout, or its file is wrong.
        UsageError: If there is no such mapping, naming the joints that lack.
    """
    found: list[JointMapping] = []
    for step, arguments in _bound(check_prepare(steps))[1]:
        if step is find_mapping:
            source = found[-1].target if found else layout
            if source is None:
                raise RecipeError(
                    "prepare: the step 'layout' needs to know whose joints it is given; name their layout."
                )
            found.append(find_mapping(source, *arguments))
    return tuple(found)


def prepared_layout(steps: Sequence[str], layout: Layout) -> Layout:
    """The joints that samples have after a prepare list; raises as `mappings_of`."""
    found = mappings_of(steps, layout)
    return found[-1].target if found else layout


def person_slots(steps: Sequence[str], persons: int) -> int:
    """How many person slots a set has after a prepare list.

    Args:
        steps: A prepare list.
        persons: Most persons that a frame of the set may hold: the card's `persons`.

    Returns:
        The card's number, less what the list's steps leave out; two at least after `copy-lone`.
    """
    listed = check_prepare(steps)
    slots = min(persons, ACTORS) if parse_step(listed[0]).name == "ctr-denoise" else persons
    for step, arguments in _bound(listed)[1]:
        if step in (first, select_energy):
            slots = min(slots, arguments[0])
        elif step is copy_lone:
            slots = max(slots, 2)
    return slots


_After = tuple[tuple[Callable[..., Any], tuple[Any, ...]], ...]


@lru_cache(maxsize=64)
def _bound(steps: tuple[str, ...]) -> tuple[Callable[[Sample], Prepared], _After]:
    """The functions of a checked list with their arguments."""
    group, how = bind(steps[0], GROUPINGS, skip=1)
    return (lambda sample: group(sample, *how)), tuple(bind(step, {**STEPS, **ON_LAYOUT}, skip=1) for step in steps[1:])


def _apply(sample: Sample, group: Callable[[Sample], Prepared], after: _After) -> Prepared:
    """Group one sample and take it through the steps."""
    prepared = group(sample)
    try:
        for step, arguments in after:
            prepared = step(prepared, *arguments)
    except RecipeError as error:
        raise RecipeError(f"prepare, sample {sample.sample_id}: {error}") from error
    return prepared
