"""Whether a sample fits its card: asked before it is written, and again of what was written."""

import math
from collections.abc import Iterable
from typing import TypeGuard

import numpy as np

from skelbench.card import Card, TargetCard
from skelbench.sample import Sample
from skelbench.store.schema import RESERVED, pose_arrays

_INT64 = range(-(2**63), 2**63)
_UINT32 = range(2**32)


def sample_problem(sample: Sample, card: Card) -> str:
    """Find the first thing that keeps a sample out of a store.

    Args:
        sample: What a converter read.
        card: The card of its set.

    Returns:
        A sentence that says what was found and what was expected; empty when all is well.
    """
    return row_problem(sample, card) or pose_problem(sample, card) or segment_problem(sample, card)


def row_problem(sample: Sample, card: Card) -> str:
    """Find what is wrong with a sample's row of samples.parquet: id, length, labels and meta; empty when nothing."""
    if not sample.sample_id or not _is_text(sample.sample_id):
        return f"the sample_id is {sample.sample_id!r}, expected Unicode text that is not empty."
    if not _is_int(sample.n_frames) or sample.n_frames not in _UINT32:
        return f"n_frames is {sample.n_frames!r}, expected an int of 0 or more."
    return _target_problem(sample, card) or _meta_problem(sample, card)


def pose_problem(sample: Sample, card: Card) -> str:
    """Find what is wrong with a sample's arrays: types, shapes, frames, infinite values; empty when nothing."""
    if sample.score is not None and not card.score:
        return "it has a score, but the card does not say what a score means. Fill the card's 'score'."
    for name, (shape, dtype) in pose_arrays(card, sample.frame.size).items():
        array = getattr(sample, name)
        if array is None:  # a sample of a scored set may lack its scores
            continue
        if array.dtype != dtype or array.shape != shape:
            return f"{name} is {array.dtype} {array.shape}, expected {dtype} {shape}."
        if dtype.kind == "f" and np.isinf(array).any():
            return f"{name} holds an infinite value; what is missing is NaN."
    if sample.frame.size and int(sample.frame.max()) >= sample.n_frames:
        return f"a pose is in frame {int(sample.frame.max())}, expected less than n_frames = {sample.n_frames}."
    return ""


def _target_problem(sample: Sample, card: Card) -> str:
    """Names, types and ranges of the labels."""
    if sample.targets.keys() != card.targets.keys():
        return f"its targets are {_listed(sample.targets)}, the card's {_listed(card.targets)}; -1 is unlabelled."
    for name, target in card.targets.items():
        value = sample.targets[name]
        expected = _TARGETS[target.kind](value, target)
        if expected:
            return f"target '{name}' is {str(value)[:80]}, expected {expected}."
    return ""


def _single(value: object, target: TargetCard) -> str:
    """What a single label must be, when it is not."""
    top = len(target.classes) or 2**31
    return "" if _is_int(value) and -1 <= value < top else f"an int from -1 (unlabelled) to {top - 1}"


def _multi(value: object, target: TargetCard) -> str:
    """What a label of several classes must be, when it is not."""
    wanted = f"a tuple of {len(target.classes) or 'any number of'} ints: 1, 0, or -1 where unknown"
    if not isinstance(value, tuple) or (target.classes and len(value) != len(target.classes)):
        return wanted
    return "" if all(_is_int(one) and -1 <= one <= 1 for one in value) else wanted


def _score(value: object, target: TargetCard) -> str:
    """What a score must be, when it is not."""
    return "" if _is_number(value) and not math.isinf(value) else "a number; NaN where unknown"


_TARGETS = {"single": _single, "multi": _multi, "score": _score}


def segment_problem(sample: Sample, card: Card) -> str:
    """Find what is wrong with a sample's segments (labels are of the first target); empty when nothing."""
    top = len(next(iter(card.targets.values())).classes) or 2**31
    for segment in sample.segments:
        if len(segment) != 3 or not all(_is_int(part) for part in segment):
            return f"a segment is {segment!r}, expected three ints: start, end, label."
        start, end, label = segment
        if not 0 <= start < end <= sample.n_frames:
            return f"a segment is frames {start} to {end}, expected 0 <= start < end <= {sample.n_frames}."
        if not 0 <= label < top:
            return f"a segment has label {label}, expected 0 to {top - 1}."
    return ""


def _meta_problem(sample: Sample, card: Card) -> str:
    """Names and values of the meta columns."""
    taken = RESERVED | card.targets.keys()
    for name, value in sample.meta.items():
        if not name or not _is_text(name) or name in taken:
            return f"a meta column is called {name!r}; names must be text, and other than {_listed(taken)}."
        if isinstance(value, str):
            fits = _is_text(value)
        elif _is_int(value):
            fits = value in _INT64
        else:
            fits = _is_number(value) and math.isfinite(value)
        if not fits:
            return f"meta '{name}' is {value!r}, expected text, int or finite float; leave it out where unknown."
    return ""


def _is_int(value: object) -> TypeGuard[int]:
    """A plain int; bool counts as none, numpy's integers neither (JSON and Parquet treat them otherwise)."""
    return type(value) is int


def _is_number(value: object) -> TypeGuard[float]:
    """An int or a float."""
    return _is_int(value) or isinstance(value, float)


def _is_text(text: str) -> bool:
    """Text that UTF-8 can hold: no half of a surrogate pair, as file names of other encodings bring."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _listed(names: Iterable[str]) -> str:
    """Names for people."""
    return ", ".join(sorted(names)) or "none"
