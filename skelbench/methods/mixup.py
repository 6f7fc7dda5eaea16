"""Mixing samples of a batch with their neighbours, the order of which is drawn anew each epoch."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from scipy.special import betaincinv
from torch import Tensor

from skelbench.data.draw import salt, uniform
from skelbench.data.types import Batch, Clip

POINTS = 4096  # of the table between which shares are interpolated
_MIXUP = 0x313D  # sets these draws apart from those of the clips


class Mixed(NamedTuple):
    """A batch whose clips are mixed, and with what."""

    batch: Batch
    partner: Int64[Tensor, " batch"]  # place in the batch of the sample that each one is mixed with
    share: Float[Tensor, " batch"]  # what remains of the sample itself


def beta_table(alpha: float) -> Float[Tensor, " points"]:
    """Quantiles of the distribution Beta(alpha, alpha), from the least to the greatest.

    Args:
        alpha: Above 0; the smaller, the nearer to 0 and 1 are the draws.
    """
    shares = np.linspace(0, 1, POINTS + 1)
    return torch.from_numpy(betaincinv(alpha, alpha, shares)).float()


def mix(batch: Batch, table: Float[Tensor, " points"]) -> Mixed:
    """Mix every sample with its neighbour in the batch: the first with the second, the third with the fourth.

    Both have a share of their own. The persons of a sample are mixed with those of the other in their order, where it
    has fewer with its last one. The last of an odd number remains as it is.

    Args:
        batch: Training samples in drawn order, so that any two are as likely to be neighbours.
        table: What `beta_table` gave, on the device of the batch.

    Returns:
        The mixed batch. The draws depend on the sample and the pass over the data alone.

    Source: Zhang et al., mixup: Beyond Empirical Risk Minimization, ICLR 2018.
    """
    places = torch.arange(len(batch.index), device=batch.index.device)
    partner = (places ^ 1).clamp(max=len(places) - 1)
    key = batch.index if batch.key is None else batch.key
    position = uniform(key, salt(batch.salt, _MIXUP), 1)[:, 0] * POINTS
    below = position.floor()
    low = below.long()
    share = torch.lerp(table[low], table[low + 1], position - below)
    clips = tuple(_mixed(clip, partner, share) for clip in batch.clips)
    return Mixed(replace(batch, clips=clips), partner, share)


def _mixed(clip: Clip, partner: Tensor, share: Tensor) -> Clip:
    """The rows of a clip mixed with those of the partners."""
    samples = torch.arange(len(partner), device=partner.device)
    begin = torch.searchsorted(clip.sample, samples)
    count = torch.searchsorted(clip.sample, samples, right=True) - begin
    nth = torch.arange(len(clip.sample), device=partner.device) - begin[clip.sample]
    other = partner[clip.sample]
    rows = begin[other] + torch.minimum(nth, count[other] - 1).clamp(min=0)
    kept = share[clip.sample].view(-1, 1, 1, 1).to(clip.x.dtype)
    return clip._replace(x=torch.lerp(clip.x[rows.clamp(max=len(clip.x) - 1)], clip.x, kept))
