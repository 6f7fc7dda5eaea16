"""Operations on the rows of a batch, of which a recipe's clips are ordered lists.

An operation is a pair of functions: `draw_<name>(rows, ...)` returns what is drawn, `apply_<name>(x, drawn)` is pure.
A sampling step only draws: the position of every frame of the clip in the sample. Operations before it see whole
samples, padded with NaN. All persons of a sample share their draws. NaN marks what is missing to the end. To add an
operation, write its functions and name them in `OPERATIONS` or `SAMPLING`; `skelbench/data/cut.py` runs the lists.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from skelbench.data.draw import salt, uniform
from skelbench.errors import RecipeError
from skelbench.steps import Span


@dataclass(frozen=True, eq=False)
class Rows:
    """What an operation may know of the rows it works on: each is one person of one sample."""

    key: Int64[Tensor, " rows"]  # number of the sample, the same for all its persons
    length: Int64[Tensor, " rows"]  # frames of the sample, 1 or more
    channels: int  # of a joint
    frames: int | None  # the recipe's clip length
    mirror: Int64[Tensor, " joints"]  # the joint that each one changes places with in a mirror
    by: int = 0  # salt of the draws: the pass over the data, the clip, the step

    def uniform(self, count: int) -> Float32[Tensor, "rows count"]:
        """Draws from [0, 1), equal for rows of one sample."""
        return uniform(self.key, self.by, count)

    def salted(self, *numbers: int) -> "Rows":
        """The same rows with other draws."""
        return replace(self, by=salt(self.by, *numbers))

    def spread(self, count: int) -> Float32[Tensor, "rows count"]:
        """Draws from [-1, 1), equal for rows of one sample."""
        return self.uniform(count) * 2 - 1


class Mirroring(NamedTuple):
    """What `flip` draws."""

    order: Int64[Tensor, "rows joints"]  # the joint that takes each place
    sign: Float32[Tensor, "rows channels"]  # -1 on the first channel of mirrored rows


def draw_resample(rows: Rows, share: Span, frames: int | None = None) -> Float32[Tensor, "rows frames"]:
    """Cut out a share of the sample, drawn evenly from a span, at a place drawn evenly; spread frames over it.

    The first and last frame of the clip lie on the ends of the cut-out; the share 1 is the whole sample.

    Raises:
        RecipeError: If the share is not within 0-1, or neither the step nor the recipe says how many frames.
    """
    if not 0 < share.low <= share.high <= 1:
        raise RecipeError(f"resample: a share of {share.low:g}-{share.high:g}, expected a span within 0-1.")
    count = rows.frames if frames is None else frames
    if count is None or count < 1:
        raise RecipeError("resample: the number of frames is missing. Set data.frames, or write 'resample:0.5-1,64'.")
    drawn, length = rows.uniform(2), rows.length.to(torch.float32)
    cut = (length * (share.low + (share.high - share.low) * drawn[:, 0])).clamp(min=1)
    start = drawn[:, 1] * (length - cut)
    # multiplied before divided, so that a frame of the sample is met exactly where the numbers allow it
    along = torch.arange(count, device=cut.device) * (cut - 1)[:, None] / max(count - 1, 1)
    return torch.minimum(start[:, None] + along, (length - 1)[:, None])


def draw_rotate(
    rows: Rows, x: float, y: float | None = None, z: float | None = None
) -> Float32[Tensor, "rows channels channels"]:
    """Draw a rotation about each axis, evenly within ± the angle in radians; y and z are as x unless given.

    Two channels turn within the image: about z only.

    Raises:
        RecipeError: If joints have neither two nor three channels, or an angle is not within 0-2π.

    Source: order and signs of the axes as in CTR-GCN (Chen et al., ICCV 2021): x, then y, then z.
    """
    limits = [_within("rotate", angle, 2 * math.pi) for angle in (x, x if y is None else y, x if z is None else z)]
    drawn = rows.spread(3)
    about = [_about(axis, drawn[:, axis] * limit) for axis, limit in enumerate(limits)]
    if rows.channels == 2:
        return about[2][:, :2, :2]
    if rows.channels != 3:
        raise RecipeError(f"rotate: joints have {rows.channels} channels, expected 2 or 3.")
    return about[2] @ about[1] @ about[0]


def apply_rotate(
    x: Float32[Tensor, "rows c frames joints"], matrix: Float32[Tensor, "rows c c"]
) -> Float32[Tensor, "rows c frames joints"]:
    """Turn every row by its matrix, about the origin."""
    return torch.bmm(matrix, x.flatten(2)).view(x.shape)


def draw_scale(rows: Rows, amount: float) -> Float32[Tensor, "rows 1"]:
    """Draw a factor, evenly within 1 ± the amount.

    Raises:
        RecipeError: If the amount is not within 0-0.99.
    """
    return 1 + _within("scale", amount, 0.99) * rows.spread(1)


def apply_scale(
    x: Float32[Tensor, "rows c frames joints"], factor: Float32[Tensor, "rows 1"]
) -> Float32[Tensor, "rows c frames joints"]:
    """Multiply every row by its factor."""
    return x * factor[:, :, None, None]


def draw_flip(rows: Rows, share: float) -> Mirroring:
    """Choose the rows to be mirrored, each with the given probability.

    The first channel changes its sign: x or u, which is the horizontal of a camera. So the data must be centred, or
    in screen coordinates with 0 in the middle.

    Raises:
        RecipeError: If the probability is not within 0-1.
    """
    flipped = rows.uniform(1) < _within("flip", share, 1.0)
    order = torch.where(flipped, rows.mirror, torch.arange(len(rows.mirror), device=rows.key.device))
    first = torch.arange(rows.channels, device=rows.key.device) == 0
    return Mirroring(order, 1 - 2 * (flipped & first).to(torch.float32))


def apply_flip(x: Float32[Tensor, "rows c frames joints"], drawn: Mirroring) -> Float32[Tensor, "rows c frames joints"]:
    """Swap left and right joints and turn the first channel round in the rows chosen."""
    swapped = x.gather(3, drawn.order[:, None, None].expand(x.shape))
    return swapped * drawn.sign[:, :, None, None]


class Operation(NamedTuple):
    """The two functions of a name."""

    draw: Callable[..., Any]
    apply: Callable[[Tensor, Any], Tensor]


SAMPLING: Mapping[str, Callable[..., Tensor]] = {"resample": draw_resample}
OPERATIONS: Mapping[str, Operation] = {
    "rotate": Operation(draw_rotate, apply_rotate),
    "scale": Operation(draw_scale, apply_scale),
    "flip": Operation(draw_flip, apply_flip),
}


def _within(name: str, value: float, most: float) -> float:
    """A number from 0 to the most that makes sense, or an error."""
    if not 0 <= value <= most:
        raise RecipeError(f"{name}: found {value:g}, expected 0 to {most:.3g}.")
    return value


def _about(axis: int, angle: Tensor) -> Tensor:
    """Matrices (rows, 3, 3) that turn about one axis."""
    matrix = torch.eye(3, device=angle.device).repeat(len(angle), 1, 1)
    one, other = (index for index in range(3) if index != axis)
    back = angle.sin() if axis != 1 else -angle.sin()
    matrix[:, one, one] = matrix[:, other, other] = angle.cos()
    matrix[:, one, other], matrix[:, other, one] = back, -back
    return matrix
