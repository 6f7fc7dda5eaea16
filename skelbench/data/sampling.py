"""Sampling steps: which frames of a sample a clip has. Each draws the positions of its frames and nothing else.

A position counts frames from the sample's first, as an integer where no step between two frames is needed; what lies
outside the sample is missing. To add a step, write its function and name it in `SAMPLING`.
"""

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from jaxtyping import Bool, Float32, Float64, Int64
from torch import Tensor

from skelbench.data.rows import Rows
from skelbench.errors import RecipeError
from skelbench.steps import Span

SHORTEST_CROP = 64  # frames that CTR-GCN's random crop keeps at least, where the sample has so many
_COPIES = 100  # of every frame in the pool that NW-UCLA's feeder draws from


def draw_resample(rows: Rows, share: Span, frames: int | None = None) -> Float32[Tensor, "rows frames"]:
    """Cut out a share of the sample, drawn evenly from a span, at a place drawn evenly; spread frames over it.

    The first and last frame of the clip lie on the ends of the cut-out; the share 1 is the whole sample.

    Raises:
        RecipeError: If the share is not within 0-1, or neither the step nor the recipe says how many frames.
    """
    count = _frames("resample", rows, frames, share)
    drawn, length = rows.uniform(2), rows.length.to(torch.float32)
    cut = (length * (share.low + (share.high - share.low) * drawn[:, 0])).clamp(min=1)
    start = drawn[:, 1] * (length - cut)
    # multiplied before divided, so that a frame of the sample is met exactly where the numbers allow it
    along = torch.arange(count, device=cut.device) * (cut - 1)[:, None] / max(count - 1, 1)
    return torch.minimum(start[:, None] + along, (length - 1)[:, None])


def draw_crop_resize(rows: Rows, share: Span, frames: int | None = None) -> Float64[Tensor, "rows frames"]:
    """Crop a share of the sample, drawn evenly from a span, at a drawn place; one number crops around the middle.

    As many frames count as show somebody, from the first on: where frames without anybody stand between them, the end
    is cut off, as it is in the source (`drop-empty` prevents it). A drawn crop has at least 64 frames, or all.

    Raises:
        RecipeError: If the share is not within 0-1, or neither the step nor the recipe says how many frames.

    Source: CTR-GCN (Chen et al., ICCV 2021), the authors' feeder of NTU RGB+D.
    """
    count = _frames("crop-resize", rows, frames, share)
    seen = rows.seen.frames
    if share.low == share.high:
        begin = ((1 - share.low) * seen.double() / 2).long()
        return crop_positions(begin, seen - 2 * begin, count)
    drawn = rows.uniform(2).double()
    wanted = (seen * (share.low + (share.high - share.low) * drawn[:, 0])).long()
    cropped = torch.minimum(wanted.clamp(min=SHORTEST_CROP), seen)
    return crop_positions(_whole(drawn[:, 1], seen - cropped + 1), cropped, count)


def crop_positions(
    begin: Int64[Tensor, " rows"], cropped: Int64[Tensor, " rows"], frames: int
) -> Float64[Tensor, "rows frames"]:
    """Spread frames over a crop as bilinear interpolation of images does, whose samples lie in the middle of pixels.

    Args:
        begin: First frame of each crop.
        cropped: Frames of each crop.
        frames: Frames wanted.

    Returns:
        Positions; the fractions are those of torch's `interpolate` in single precision, with corners not aligned.
    """
    step = cropped.float() / frames  # rounded once here and once below, as torch's fused multiply-add does
    middle = torch.arange(frames, device=begin.device) + 0.5
    along = (step.double()[:, None] * middle.double() - 0.5).float().clamp(min=0)
    return begin[:, None] + torch.minimum(along, cropped[:, None] - 1.0).double()


def draw_sorted_draw(rows: Rows, frames: int | None = None) -> Int64[Tensor, "rows frames"]:
    """Draw frames from a pool that holds each of them 100 times, and sort them.

    Clips of more than 100 frames have a pool with as many copies as the clip has frames.

    Raises:
        RecipeError: If neither the step nor the recipe says how many frames.

    Source: CTR-GCN (Chen et al., ICCV 2021), the authors' feeder of NW-UCLA, training.
    """
    count = _frames("sorted-draw", rows, frames)
    copies = max(_COPIES, count)
    # more tickets than are wanted: the first ones that differ from all before are a draw without replacement
    drawn = rows.uniform(2 * count + 16).double()
    tickets, order = _whole(drawn, (rows.length * copies)[:, None]).sort(dim=1, stable=True)
    again = torch.zeros_like(tickets, dtype=torch.bool)
    again[:, 1:] = tickets[:, 1:] == tickets[:, :-1]
    place = torch.zeros_like(tickets).scatter(1, order, (~again).long()).cumsum(1).gather(1, order)
    kept = ~again & (place <= count)
    target = torch.where(kept, kept.cumsum(1) - 1, count)
    chosen = tickets.new_zeros(len(tickets), count + 1).scatter(1, target, tickets // copies)
    return chosen[:, :count]


def draw_linspace(rows: Rows, frames: int | None = None) -> Int64[Tensor, "rows frames"]:
    """Spread frames evenly from the first to the last and take each from the frame at or before its place.

    Raises:
        RecipeError: If neither the step nor the recipe says how many frames.

    Source: CTR-GCN (Chen et al., ICCV 2021), the authors' feeder of NW-UCLA, test.
    """
    count = _frames("linspace", rows, frames)
    last = (rows.length - 1).double()[:, None]
    along = torch.arange(count, device=last.device, dtype=torch.float64) * (last / max(count - 1, 1))
    if count > 1:
        along[:, -1:] = last
    return along.long()


def draw_zero_pad(rows: Rows, frames: int | None = None) -> Int64[Tensor, "rows frames"]:
    """Take frames from the sample's first on; after its last one everything is missing.

    A longer sample is cut.

    Raises:
        RecipeError: If neither the step nor the recipe says how many frames.

    Source: ST-GCN (Yan et al., AAAI 2018), the authors' preparation of NTU RGB+D.
    """
    return _from(torch.zeros_like(rows.length), _frames("zero-pad", rows, frames))


def draw_replay(rows: Rows, frames: int | None = None) -> Int64[Tensor, "rows frames"]:
    """Take frames from the sample's first on; after the last one that shows a person, the person starts again.

    A longer sample is cut. In the sources every person begins in the first frame (`close-up`).

    Raises:
        RecipeError: If neither the step nor the recipe says how many frames.

    Source: 2s-AGCN (Shi et al., CVPR 2019) and UNIK (Yang et al., BMVC 2021), the authors' pre-normalisation.
    """
    return _from(torch.zeros_like(rows.length), _frames("replay", rows, frames)) % rows.seen.own[:, None]


def draw_contiguous(
    rows: Rows, frames: int | None = None, filling: Literal["zero", "replay"] = "zero", of: int | None = None
) -> Int64[Tensor, "rows frames"]:
    """Take frames in a row from a drawn start; a shorter sample stands at a drawn place among missing frames.

    With the filling `replay` every person starts again after the last own frame instead. `of` is a number of frames
    that samples are filled up to beforehand, as the arrays of the sources are; a start may then lie in the filling,
    and a clip of more frames than that has missing ones at either end.

    Raises:
        RecipeError: If neither the step nor the recipe says how many frames.

    Source: ST-GCN (Yan et al., AAAI 2018), 2s-AGCN (Shi et al., CVPR 2019) and UNIK (Yang et al., BMVC 2021), the
    authors' feeders.
    """
    count = _frames("contiguous", rows, frames)
    filled = rows.length if of is None else rows.length.clamp(min=of)
    room = filled - count
    drawn = _whole(rows.uniform(1).double()[:, 0], room.abs() + 1)
    if filling == "replay":
        along = _from(torch.where(room > 0, drawn, 0 if of is None else -drawn), count)
        again = along % rows.seen.own[:, None]
        return again if of is None else torch.where((along >= 0) & (along < filled[:, None]), again, -1)
    return _from(torch.where(room > 0, drawn, -drawn), count)


def draw_random_shift(rows: Rows, frames: int | None = None) -> Int64[Tensor, "rows frames"]:
    """Put what lies between the first and the last frame with somebody at a drawn place among missing frames.

    A longer stretch is cut.

    Raises:
        RecipeError: If neither the step nor the recipe says how many frames.

    Source: ST-GCN (Yan et al., AAAI 2018), the authors' feeders.
    """
    count = _frames("random-shift", rows, frames)
    size = rows.seen.end - rows.seen.begin
    place = _whole(rows.uniform(1).double()[:, 0], (count - size).clamp(min=0) + 1)
    along = _from(-place, count)
    inside = (along >= 0) & (along < size[:, None])
    return torch.where(inside, along + rows.seen.begin[:, None], -1)


def draw_uniform_segments(
    rows: Rows, frames: int | None = None, number: int | None = None, of: int = 1
) -> Int64[Tensor, "rows frames"]:
    """Draw one frame from each of as many equal stretches of the sample as the clip has frames.

    A sample of fewer than two frames a stretch leaves out frames drawn without replacement; one that is shorter than
    the clip is read round and round from a drawn start. Of several test clips the one with a `number` (from 0, `of`
    so many) starts at its share of such a sample instead.

    Raises:
        RecipeError: If the number is not below `of`, or neither the step nor the recipe says how many frames.

    Source: PYSKL (Duan et al., ACM MM 2022), the authors' uniform sampling.
    """
    count = _frames("uniform-segments", rows, frames)
    if number is not None and not 0 <= number < of:
        raise RecipeError(f"uniform-segments: clip {number} of {of}, expected 0 to {of - 1}.")
    drawn, length = rows.uniform(count + 1), rows.length
    start = _whole(drawn[:, 0].double(), length)
    if number is not None:
        start = torch.where(length < of, number, number * length // of)
    left_out = (length - count)[:, None]
    chosen = drawn.argsort(dim=1, stable=True).argsort(dim=1) < left_out
    offset = _whole(drawn[:, 1:].double(), _segments(length, count).diff(dim=1))
    return segment_positions(length, start, chosen, offset)


def segment_positions(
    length: Int64[Tensor, " rows"],
    start: Int64[Tensor, " rows"],
    chosen: Bool[Tensor, "rows frames_and_one"],
    offset: Int64[Tensor, "rows frames"],
) -> Int64[Tensor, "rows frames"]:
    """The positions of `uniform-segments`.

    Args:
        length: Frames of each sample.
        start: Where a sample begins that is shorter than the clip.
        chosen: Before which frames one is left out, in a sample of less than two frames a stretch.
        offset: Place in each stretch, in longer samples.

    Returns:
        Whole numbers of frames.
    """
    count = offset.shape[1]
    along = torch.arange(count, device=length.device)
    short = (start[:, None] + along) % length[:, None]
    middle = along + chosen.long().cumsum(1)[:, :count]
    long = _segments(length, count)[:, :-1] + offset
    length = length[:, None]
    return torch.where(length < count, short, torch.where(length < 2 * count, middle, long))


SAMPLING: Mapping[str, Callable[..., Tensor]] = {
    "resample": draw_resample,
    "crop-resize": draw_crop_resize,
    "sorted-draw": draw_sorted_draw,
    "linspace": draw_linspace,
    "zero-pad": draw_zero_pad,
    "replay": draw_replay,
    "contiguous": draw_contiguous,
    "random-shift": draw_random_shift,
    "uniform-segments": draw_uniform_segments,
}


def _frames(name: str, rows: Rows, frames: int | None, share: Span | None = None) -> int:
    """How many frames are wanted; refuses a share that is none."""
    if share is not None and not 0 < share.low <= share.high <= 1:
        raise RecipeError(f"{name}: a share of {share.low:g}-{share.high:g}, expected a span within 0-1.")
    count = rows.frames if frames is None else frames
    if count is None or count < 1:
        example = f"{name}:64" if share is None else f"{name}:0.5-1,64"
        raise RecipeError(f"{name}: the number of frames is missing. Set data.frames, or write '{example}'.")
    return count


def _whole(drawn: Float64[Tensor, "*rows"], below: Int64[Tensor, "*rows_too"]) -> Int64[Tensor, "*rows"]:
    """Whole numbers from 0 to below a bound, evenly, from numbers in [0, 1)."""
    return (drawn * below).long()


def _from(start: Int64[Tensor, " rows"], frames: int) -> Int64[Tensor, "rows frames"]:
    """So many frames in a row."""
    return start[:, None] + torch.arange(frames, device=start.device)


def _segments(length: Int64[Tensor, " rows"], count: int) -> Int64[Tensor, "rows count_and_one"]:
    """Where each of the equal stretches of a sample begins, and the end."""
    return torch.arange(count + 1, device=length.device) * length[:, None] // count
