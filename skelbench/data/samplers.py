"""Samplers: how often and in which order a pass over a part meets its samples.

To add an order, name its function in `SAMPLERS`; to add a rule by which some samples are met more often, in `TIMES`.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from skelbench.data.draw import Round, bits, salt
from skelbench.errors import RecipeError, nearest
from skelbench.steps import bind, parse_step

_MOST = 1000  # times that an epoch meets a sample
_SHUFFLE = 0x5EED  # sets these draws apart from those of the clips


def shuffle(keys: Int64[Tensor, " samples"], target: Tensor, turn: Round) -> Int64[Tensor, "groups k"]:
    """All samples once, in an order drawn anew each epoch.

    Every sample draws its own place, so that the order of some of them is the same whoever else is there.

    Args:
        keys: Number of each sample.
        target: Target of each sample, unused here.
        turn: The pass over the data.

    Returns:
        Places in the part, in groups of one.
    """
    drawn = bits(keys, salt(_SHUFFLE, *turn))
    return torch.argsort(drawn, stable=True)[:, None]


def rare(target: Int64[np.ndarray, " samples"], below: int) -> Int64[np.ndarray, " samples"]:
    """Meet the samples of rare classes more often: of a class of n samples each `below / n` times, rounded, once else.

    Args:
        target: Class of each sample of the part.
        below: Samples below which a class is rare.

    Returns:
        How often an epoch meets each sample.

    Raises:
        RecipeError: If the number is not within 1 to 1,000,000.
    """
    if not 1 <= below <= 1_000_000:
        raise RecipeError(f"data.sampler: rare:{below}, expected a number of samples from 1 to 1,000,000.")
    count = np.bincount(target, minlength=1)
    times: np.ndarray = np.clip(np.rint(below / np.maximum(count, 1)), 1, _MOST).astype(np.int64)
    return np.asarray(times[target])


def oversample(target: Int64[np.ndarray, " samples"], times: str) -> Int64[np.ndarray, " samples"]:
    """Meet the samples of each class as often as said.

    Args:
        target: Class of each sample of the part.
        times: A number for each class in the protocol's order, such as `22+3+3+1`.

    Returns:
        How often an epoch meets each sample.

    Raises:
        RecipeError: If these are no numbers from 1 to 1,000, or fewer than there are classes.
    """
    found = [int(word) if word.isascii() and word.isdigit() else 0 for word in times.split("+")]
    if not all(1 <= one <= _MOST for one in found):
        raise RecipeError(f"data.sampler: oversample:{times[:40]}, expected numbers from 1 to {_MOST} such as 22+3+1.")
    if target.size and int(target.max()) >= len(found):
        raise RecipeError(f"data.sampler: oversample has {len(found)} numbers, but there is a class {target.max()}.")
    return np.asarray(np.array(found, np.int64)[target])


def check_sampler(sampler: str) -> None:
    """Check a sampler without data.

    Raises:
        RecipeError: If there is none of that name, or its arguments are wrong.
    """
    name = parse_step(sampler).name
    if name in TIMES:
        step, arguments = bind(sampler, TIMES, skip=1)
        step(np.zeros(1, np.int64), *arguments)
    elif sampler not in SAMPLERS:
        raise RecipeError(f"data.sampler: no '{sampler}'. {nearest(sampler, {*SAMPLERS, *TIMES})}")


def order_of(sampler: str) -> Callable[[Tensor, Tensor, Round], Tensor]:
    """The order of a sampler; those that only say how often shuffle."""
    return SAMPLERS.get(sampler, shuffle)


def times_of(sampler: str, target: np.ndarray) -> Int64[np.ndarray, " samples"]:
    """How often an epoch meets each sample of a part.

    Args:
        sampler: As the recipe has it.
        target: Target of each sample.

    Returns:
        1 for each, unless the sampler says otherwise.

    Raises:
        RecipeError: If it goes by classes, but a sample has not just one.
    """
    if sampler in SAMPLERS:
        return np.ones(len(target), np.int64)
    if target.ndim != 1 or target.dtype.kind != "i":
        raise RecipeError(f"data.sampler: '{sampler[:40]}' goes by classes, but the target is not one class a sample.")
    step, arguments = bind(sampler, TIMES, skip=1)
    return np.asarray(step(target.astype(np.int64), *arguments))


TIMES: Mapping[str, Callable[..., np.ndarray]] = {"rare": rare, "oversample": oversample}
SAMPLERS: Mapping[str, Callable[[Tensor, Tensor, Round], Tensor]] = {"shuffle": shuffle}
