"""Operations that move joints: a pair of functions each, `draw_<name>` and `apply_<name>`; see `clips.py`."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from skelbench.data.rows import Rows
from skelbench.errors import RecipeError
from skelbench.steps import Span

_FLAT = 1e-6  # an extent below this share of the coordinates is rounding
_ANGLES = (-10.0, 5.0, 5)  # first, step and number of the candidates of ST-GCN's tools; in degrees
_SCALES = (0.9, 0.1, 3)
_SHIFTS = (-0.2, 0.1, 5)  # in the unit of the data


class Mirroring(NamedTuple):
    """What `flip` draws."""

    order: Int64[Tensor, "rows joints"]  # the joint that takes each place
    sign: Float32[Tensor, "rows channels"]  # -1 on the first channel of mirrored rows


class View(NamedTuple):
    """What `random-view` draws."""

    degrees: Int64[Tensor, "rows xy"]  # about the first two axes
    scale: Float32[Tensor, " rows"]


class Boxes(NamedTuple):
    """What `minmax` knows of its rows; it draws nothing."""

    sample: Int64[Tensor, " rows"]  # the rows of one have one box
    frames: Int64[Tensor, " rows"]  # of the sample; those after it do not count


class Move(NamedTuple):
    """What `random-move` draws: what holds in the first and in the last frame, on the last axis."""

    degrees: Float32[Tensor, "rows ends"]
    scale: Float32[Tensor, "rows ends"]
    shift: Float32[Tensor, "rows xy ends"]  # in the unit of the data
    frames: Int64[Tensor, " rows"]  # from the first frame to the last, both counted
    channels: int  # of a joint; a row holds them once for each stream


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
    if rows.channels not in (2, 3):
        raise RecipeError(f"rotate: joints have {rows.channels} channels, expected 2 or 3.")
    flat = rows.channels == 2
    limits = [0.0, 0.0, limits[2]] if flat else limits
    matrix = turn(
        torch.stack([drawn * limit for drawn, limit in zip(rows.spread(3).unbind(1), limits, strict=True)], 1)
    )
    return matrix[:, :2, :2] if flat else matrix


def turn(angles: Float[Tensor, "rows axes"]) -> Float[Tensor, "rows axes axes"]:
    """Matrices that turn about x, then y, then z.

    Args:
        angles: In radians; a positive one turns z to y, x to z and y to x.

    Returns:
        One matrix for each row, to be multiplied from the left.
    """
    (cx, cy, cz), (sx, sy, sz) = angles.cos().unbind(1), angles.sin().unbind(1)
    swung, raised = sy * sx, sy * cx
    entries = [cz * cy, cz * swung + sz * cx, sz * sx - cz * raised]
    entries += [-sz * cy, cz * cx - sz * swung, sz * raised + cz * sx]
    return torch.stack([*entries, sy, -cy * sx, cy * cx], 1).view(-1, 3, 3)


def apply_rotate(
    x: Float32[Tensor, "rows c frames joints"], matrix: Float32[Tensor, "rows c c"]
) -> Float32[Tensor, "rows c frames joints"]:
    """Turn every row by its matrix, about the origin."""
    return torch.bmm(matrix, x.flatten(2)).view(x.shape)


def draw_random_view(rows: Rows, degrees: int, scale: Span) -> View:
    """Draw a whole number of degrees about x and about y, evenly within ± the limit, and a factor from a span.

    Raises:
        RecipeError: If joints have not three channels, the limit is not within 0-180 or the factor not above 0.

    Source: CTR-GCN (Chen et al., ICCV 2021), the authors' feeder of NW-UCLA.
    """
    _within("random-view", float(degrees), 180.0)
    if rows.channels != 3:
        raise RecipeError(f"random-view: joints have {rows.channels} channels, expected 3.")
    if not 0 < scale.low <= scale.high < math.inf:
        raise RecipeError(f"random-view: a factor of {scale.low:g}-{scale.high:g}, expected a span above 0.")
    drawn = rows.uniform(3)
    turned = (drawn[:, :2].double() * (2 * degrees + 1)).long() - degrees
    return View(turned, scale.low + (scale.high - scale.low) * drawn[:, 2])


def apply_random_view(
    x: Float32[Tensor, "rows c frames joints"], view: View
) -> Float32[Tensor, "rows c frames joints"]:
    """Turn every row about y, then x, and scale it, about the origin."""
    angles = torch.deg2rad(torch.nn.functional.pad(view.degrees, (0, 1)).double())
    return apply_rotate(x, (view.scale[:, None, None] * turn(angles).mT).float().contiguous())


def draw_minmax(rows: Rows) -> Boxes:
    """Fit all frames of a sample into -1 to 1, each channel for itself, one box for all its persons.

    The shape is not kept. A channel in which all joints are in one place, where the source divides by zero, becomes 0.

    Source: CTR-GCN (Chen et al., ICCV 2021), the authors' feeder of NW-UCLA.
    """
    return Boxes(rows.sample, rows.length)


def apply_minmax(x: Float32[Tensor, "rows c frames joints"], boxes: Boxes) -> Float32[Tensor, "rows c frames joints"]:
    """Fit the rows of each sample into one box; NaN stays, and a sample of nothing else does too."""
    after = torch.arange(x.shape[2], device=x.device) >= boxes.frames[:, None]
    out = x.isnan() | after[:, None, :, None]  # with zeros for NaN, what follows the sample's end is seen
    low, high = x.masked_fill(out, math.inf).amin((2, 3)), x.masked_fill(out, -math.inf).amax((2, 3))
    places = boxes.sample[:, None].expand_as(low)
    low = torch.full_like(low, math.inf).scatter_reduce(0, places, low, "amin").gather(0, places)
    high = torch.full_like(high, -math.inf).scatter_reduce(0, places, high, "amax").gather(0, places)
    flat = ~(high - low > _FLAT * torch.maximum(low.abs(), high.abs()))
    factor, low = 2 / torch.where(flat, 1, high - low), torch.where(flat, low - 0.5, low)
    return (x - low[:, :, None, None]).mul_(factor[:, :, None, None]).sub_(1)


def draw_random_move(rows: Rows) -> Move:
    """Draw a rotation, a scale and a shift for the first frame and for the last; between them they change evenly.

    The first two channels of every stream move: an image, or x and y. Angles are -10, -5, 0, 5 or 10 degrees, scales
    0.9, 1 or 1.1, shifts -0.2, -0.1, 0, 0.1 or 0.2 in the unit of the data.

    Raises:
        RecipeError: If joints have fewer than two channels.

    Source: ST-GCN (Yan et al., AAAI 2018), the authors' tools for Kinetics-Skeleton.
    """
    if rows.channels < 2:
        raise RecipeError(f"random-move: joints have {rows.channels} channels, expected 2 or more.")
    drawn = rows.uniform(8).double()
    angles, scales = _choice(drawn[:, :2], _ANGLES), _choice(drawn[:, 2:4], _SCALES)
    return Move(angles, scales, _choice(drawn[:, 4:].reshape(-1, 2, 2), _SHIFTS), rows.length, rows.channels)


def apply_random_move(
    x: Float32[Tensor, "rows channels frames joints"], move: Move
) -> Float32[Tensor, "rows channels frames joints"]:
    """Turn, scale and shift the first two channels of each stream, frame by frame."""
    share = torch.arange(x.shape[2], device=x.device) / (move.frames - 1).clamp(min=1)[:, None].double()
    angle, scale = (
        torch.lerp(ends[:, :1], ends[:, 1:], share) for ends in (move.degrees.double(), move.scale.double())
    )
    shift = torch.lerp(move.shift[..., :1].double(), move.shift[..., 1:].double(), share[:, None])
    angle = torch.deg2rad(angle)
    cos, sin = ((part * scale).float()[:, None, :, None] for part in (angle.cos(), angle.sin()))
    u, v = shift.float()[:, :, None, :, None].unbind(1)
    moved = x.clone()
    shape = (len(x), x.shape[1] // move.channels, move.channels, *x.shape[2:])
    streams = moved.view(shape)
    first, second = x.view(shape)[:, :, :2].unbind(2)
    streams[:, :, 0] = cos * first - sin * second + u
    streams[:, :, 1] = sin * first + cos * second + v
    return moved


def draw_shear(rows: Rows, amount: float) -> Float32[Tensor, "rows channels channels"]:
    """Draw how much of each other channel is added to a channel, evenly within ± the amount.

    Raises:
        RecipeError: If the amount is not within 0-1.

    Source: AS-CAL (Rao et al., Information Sciences 2021) and CrosSCLR (Li et al., CVPR 2021).
    """
    amount, size = _within("shear", amount, 1.0), rows.channels
    own = torch.eye(size, device=rows.key.device)
    return own + (1 - own) * amount * rows.spread(size * size).view(-1, size, size)


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


def _within(name: str, value: float, most: float) -> float:
    """A number from 0 to the most that makes sense, or an error."""
    if not 0 <= value <= most:
        raise RecipeError(f"{name}: found {value:g}, expected 0 to {most:.3g}.")
    return value


def _choice(drawn: Tensor, candidates: tuple[float, float, int]) -> Tensor:
    """One of the candidates for each number in [0, 1), each equally likely."""
    first, step, count = candidates
    return ((drawn * count).floor() * step + first).float()
