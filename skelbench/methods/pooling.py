"""From features of rows to features of samples."""

import torch
from jaxtyping import Float
from torch import Tensor

from skelbench.data.types import Clip


def pool_mean(features: Float[Tensor, "rows features frames joints"], clip: Clip) -> Float[Tensor, "samples features"]:
    """Mean over frames and joints, then over the persons of each sample that are present.

    Args:
        features: Output of an encoder for the rows of a clip.
        clip: The clip that was encoded.

    Returns:
        One vector a sample; zeros for a sample without a row.
    """
    rows = features.mean((2, 3))
    count = clip.start.shape[0]
    total = rows.new_zeros(count, rows.shape[1]).index_add(0, clip.sample, rows)
    # not bincount, which reads a number back from the device
    persons = rows.new_zeros(count).index_add(0, clip.sample, torch.ones_like(rows[:, 0])).clamp(min=1)
    return total / persons[:, None]


def pool_persons(
    features: Float[Tensor, "rows features frames joints"], clip: Clip
) -> Float[Tensor, "samples frames features"]:
    """Mean over joints, then over the persons of each sample that are present; frames stay.

    Args:
        features: Output of an encoder for the rows of a clip.
        clip: The clip that was encoded.

    Returns:
        One vector for each of the encoder's frames; zeros for a sample without a row.
    """
    rows = features.mean(3)
    count = clip.start.shape[0]
    total = rows.new_zeros(count, *rows.shape[1:]).index_add(0, clip.sample, rows)
    persons = rows.new_zeros(count).index_add(0, clip.sample, torch.ones_like(rows[:, 0, 0])).clamp(min=1)
    return (total / persons[:, None, None]).transpose(1, 2)


def place_by_slot(
    rows: Float[Tensor, "rows features"], clip: Clip, slots: int
) -> Float[Tensor, "samples features_all"]:
    """Stand the rows of each sample side by side, in the order of their slots.

    Args:
        rows: One vector a row of the clip.
        clip: The clip that the rows come from.
        slots: Person slots there are.

    Returns:
        `slots` vectors a sample, joined; zeros in the place of an absent person.
    """
    placed = rows.new_zeros(clip.start.shape[0], slots, rows.shape[1])
    placed[clip.sample, clip.slot] = rows
    return placed.flatten(1)
