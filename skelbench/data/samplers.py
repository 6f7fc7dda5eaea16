"""Samplers: the order in which a pass over a part meets its samples. To add one, name its function in `SAMPLERS`."""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Int64
from torch import Tensor

from skelbench.data.draw import Round, bits, salt

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


SAMPLERS: Mapping[str, Callable[[Tensor, Tensor, Round], Tensor]] = {"shuffle": shuffle}
