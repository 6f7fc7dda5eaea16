"""Cuts clips: runs a recipe's list of operations on the rows of a batch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from jaxtyping import Float32, Int64
from torch import Tensor
from torch.nn.functional import pad

from skelbench.data.clips import ANYWHERE, INSIDE, LATE, OPERATIONS, SAMPLING, ZERO
from skelbench.data.ragged import Frames, interpolate
from skelbench.data.rows import Rows, Seen
from skelbench.data.streams import compute_streams
from skelbench.errors import RecipeError, nearest
from skelbench.steps import bind, parse_step

STREAM = "stream"  # the place in a list where streams are computed; the end where it is not named


class Bound(NamedTuple):
    """A step with its function found and its arguments read."""

    name: str
    draw: Callable[..., Any] | None  # None for the streams
    arguments: tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Tracked:
    """Where the rows of a batch are: what a clip is cut from."""

    frames: Frames
    first: Int64[Tensor, " rows"]
    last: Int64[Tensor, " rows"]
    longest: int  # frames of the longest sample in the batch


def bind_clip(steps: Sequence[str], frames: int | None) -> tuple[Bound, ...]:
    """Check a list of clip steps.

    Args:
        steps: As written in a recipe.
        frames: The recipe's clip length.

    Returns:
        The same with functions and arguments, `stream` appended where it is not named.

    Raises:
        RecipeError: If a step is unknown, wrong in its arguments, or at the wrong place.
    """
    known = {name: operation.draw for name, operation in OPERATIONS.items()} | dict(SAMPLING)
    bound: list[Bound] = []
    for step in steps:
        name = parse_step(step).name
        if name == STREAM:
            bound.append(Bound(STREAM, None, ()))
        elif name in known:
            draw, arguments = bind(step, known, skip=1)
            draw(_trial(frames), *arguments)  # refuses arguments that make no sense
            bound.append(Bound(name, draw, arguments))
        else:
            raise RecipeError(f"clips: no step '{name}' (in '{step}'). {nearest(name, {*known, STREAM})}")
    if all(step.name != STREAM for step in bound):
        bound.append(Bound(STREAM, None, ()))
    _check_order([step.name for step in bound], frames)
    return tuple(bound)


def clip_frames(steps: Sequence[Bound], frames: int | None) -> int | None:
    """Frames of the clips that a list makes; None where it depends on the batch."""
    for step in steps:
        if step.name in SAMPLING and step.draw is not None:
            return int(step.draw(_trial(frames), *step.arguments).shape[1])
    return None


def _trial(frames: int | None) -> Rows:
    """One row, on which a step can be tried without data."""
    one, nought = torch.ones(1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64)
    seen = Seen(frames=one, begin=nought, end=one, own=one)
    return Rows(one, one, nought, nought, seen, channels=3, frames=frames, extent=1, mirror=nought)


def cut(
    steps: Sequence[Bound], source: Tracked, rows: Rows, streams: tuple[Sequence[str], Int64[Tensor, " joints"]]
) -> tuple[Float32[Tensor, "rows channels frames joints"], Tensor | None]:
    """Make the clip of every row.

    Args:
        steps: A bound list.
        source: Where the rows are.
        rows: What the operations may know of them; its `by` is the salt of the pass and the clip.
        streams: Names of the streams, and each joint's parent.

    Returns:
        The clips, NaN = missing, and the positions in the sample of their frames (rows, frames); None where no step
        chose any and the clips are the samples.
    """
    x: Tensor | None = None
    chosen: Tensor | None = None
    whole, blank = True, torch.nan
    for place, step in enumerate(steps):
        if step.name in SAMPLING and step.draw is not None:
            positions = step.draw(rows.salted(place), *step.arguments)
            if x is None:  # nothing has touched the frames yet: they are read straight from the set
                x = interpolate(source.frames, source.first, source.last, positions)
            else:
                x = _resample(x, positions, rows.length, blank)
            chosen = positions
            rows = replace(rows, length=torch.full_like(rows.length, x.shape[2]), extent=x.shape[2])
            whole = False
            continue
        if step.name == ZERO:
            blank = 0.0
            if x is None:
                source = replace(source, frames=source.frames.zeroed)
                continue
        x = _whole(source, rows.length) if x is None else x
        if step.draw is not None:
            x = OPERATIONS[step.name].apply(x, step.draw(rows.salted(place), *step.arguments))
        elif whole and blank == 0:
            x = compute_streams(_lengthened(x, rows.length, steps[place:]), *streams)[:, :, :-1]
        else:
            x = compute_streams(x, *streams)
    return (_whole(source, rows.length) if x is None else x), chosen


def _resample(x: Tensor, positions: Tensor, length: Tensor, blank: float) -> Tensor:
    """Read rows at positions as `interpolate` reads tracks; outside their length they are blank."""
    last = (length - 1)[:, None]
    if not positions.is_floating_point():
        outside = (positions < 0) | (positions > last)
        found = _pick(x, torch.minimum(positions.clamp(min=0), last))
        return found.masked_fill(outside[:, None, :, None], blank)
    low = torch.minimum(positions.floor().long(), last)
    share = (positions - positions.floor()).to(x.dtype)
    one, other = _pick(x, low), _pick(x, torch.minimum(low + (share > 0), last))
    between = torch.lerp(one, other, share[:, None, :, None])
    return torch.where(between.isnan(), torch.fmax(one, other), between)


def _lengthened(x: Tensor, length: Tensor, steps: Sequence[Bound]) -> Tensor:
    """Whole samples of zeros for NaN, and a frame after the longest, as the motion of each one's last frame needs them.

    Where the sampling step reads frames after a sample's end, zeros follow it, and motion jumps there; else the last
    frame goes on, as motion is computed on arrays that end with the sample.
    """
    if INSIDE.isdisjoint(step.name for step in steps):
        return pad(x, (0, 0, 0, 1))
    frames = torch.arange(x.shape[2] + 1, device=x.device)
    return _pick(x, torch.minimum(frames, (length - 1)[:, None]))


def _pick(x: Tensor, frames: Tensor) -> Tensor:
    """Frames of every row."""
    rows, channels, extent, joints = x.shape
    first = torch.arange(rows * channels, device=x.device).view(rows, channels, 1) * extent
    lines = (first + frames[:, None]).flatten()
    return x.reshape(-1, joints).index_select(0, lines).view(rows, channels, frames.shape[1], joints)


def _whole(source: Tracked, length: Tensor) -> Tensor:
    """All frames of every row, NaN after its end."""
    positions = torch.arange(source.longest, device=length.device)
    return interpolate(source.frames, source.first, source.last, positions.expand(len(length), -1))


def _check_order(names: Sequence[str], frames: int | None) -> None:
    """One sampling step at most, streams once, geometry before them, some steps after the sampling."""
    sampling = [name for name in names if name in SAMPLING]
    if len(sampling) > 1:
        raise RecipeError(f"clips: {' and '.join(sampling)} both choose frames; one may.")
    if not sampling and frames is not None:
        raise RecipeError(
            f"clips: no step chooses the {frames} frames of data.frames. Add one of {', '.join(SAMPLING)}."
        )
    if names.count(STREAM) > 1:
        raise RecipeError(f"clips: '{STREAM}' stands {names.count(STREAM)} times, expected once.")
    for name in names[names.index(STREAM) + 1 :]:
        if name not in SAMPLING and name not in ANYWHERE:
            raise RecipeError(f"clips: '{name}' works on coordinates; put it before '{STREAM}'.")
    for name in names[: names.index(sampling[0])] if sampling else ():
        if name in LATE:
            raise RecipeError(f"clips: '{name}' works on the frames of the clip; put it after '{sampling[0]}'.")
