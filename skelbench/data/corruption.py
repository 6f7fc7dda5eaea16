"""Operations that damage clips or mend what is missing: `draw_<name>` and `apply_<name>`; see `clips.py`."""

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from skelbench.data.rows import Rows
from skelbench.errors import RecipeError


def draw_zero(rows: Rows) -> None:
    """Put 0 for whatever is missing from here on, absent persons and what lies outside the sample too.

    So the arrays of the references hold it: a crop is then interpolated between persons and zeros, motion jumps where
    a person comes or goes, and moved clips move their zeros along. Without this step NaN is kept to the end.
    """


def apply_zero(x: Float32[Tensor, "rows c frames joints"], drawn: None) -> Float32[Tensor, "rows c frames joints"]:
    """Put 0 for NaN."""
    return torch.nan_to_num(x, nan=0.0, posinf=torch.inf, neginf=-torch.inf)


def draw_noise(rows: Rows, sigma: float) -> Float32[Tensor, "rows c frames joints"]:
    """Draw normal noise for every coordinate, with the standard deviation in the unit of the data.

    Raises:
        RecipeError: If the deviation is below 0 or not finite.
    """
    if not 0 <= sigma < torch.inf:
        raise RecipeError(f"noise: found {sigma:g}, expected a standard deviation from 0 on.")
    shape = (rows.extent, rows.channels, len(rows.mirror))  # frames first, so that a longer batch only adds draws
    return sigma * rows.normal(shape[0] * shape[1] * shape[2]).view(-1, *shape).transpose(1, 2)


def apply_noise(
    x: Float32[Tensor, "rows c frames joints"], noise: Float32[Tensor, "rows c frames joints"]
) -> Float32[Tensor, "rows c frames joints"]:
    """Add the noise."""
    return x + noise


def draw_reverse(rows: Rows, share: float) -> Int64[Tensor, "rows frames"]:
    """Choose the samples to be played backwards, each with the given probability.

    Raises:
        RecipeError: If the probability is not within 0-1.
    """
    along = torch.arange(rows.extent, device=rows.key.device)
    back = rows.length[:, None] - 1 - along
    turned = (rows.uniform(1) < _probability("reverse", share)) & (back >= 0)
    return torch.where(turned, back, along)


def apply_reverse(
    x: Float32[Tensor, "rows c frames joints"], order: Int64[Tensor, "rows frames"]
) -> Float32[Tensor, "rows c frames joints"]:
    """Put the frames into an order."""
    rows, channels, frames, joints = x.shape
    first = torch.arange(rows * channels, device=x.device).view(rows, channels, 1) * frames
    return x.reshape(-1, joints).index_select(0, (first + order[:, None]).flatten()).view(x.shape)


def draw_drop_joints(rows: Rows, share: float) -> Bool[Tensor, "rows joints"]:
    """Choose the joints that are missing throughout the clip, each with the given probability.

    Raises:
        RecipeError: If the probability is not within 0-1.
    """
    return rows.uniform(len(rows.mirror)) < _probability("drop-joints", share)


def apply_drop_joints(
    x: Float32[Tensor, "rows c frames joints"], dropped: Bool[Tensor, "rows joints"]
) -> Float32[Tensor, "rows c frames joints"]:
    """Put NaN for the joints chosen."""
    return x.masked_fill(dropped[:, None, None], torch.nan)


def _probability(name: str, value: float) -> float:
    """A probability, or an error."""
    if not 0 <= value <= 1:
        raise RecipeError(f"{name}: found {value:g}, expected 0 to 1.")
    return value
