"""Windows of untrimmed samples: what clips are cut from where the classes of every frame are learnt and predicted.

A window has as many frames as the clip (`data.frames`), or all of a shorter sample. For training windows stand side by
side and are shifted together by a draw in each epoch; for prediction each covers half of the one before.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64, UInt8
from torch import Tensor

from skelbench.data.draw import Round, salt, uniform
from skelbench.data.ragged import Frames, Presence, Tracks
from skelbench.data.types import DataRecipe, Items
from skelbench.errors import RecipeError, RunError
from skelbench.prepare import check_prepare
from skelbench.steps import parse_step

_SHIFT = 0x5417F  # sets these draws apart from those of the clips
_MOVING = frozenset({"close-up", "even-out", "drop-empty", "ctr-denoise"})  # of prepare: frames lose their place
_BACKWARDS = frozenset({"reverse"})  # of clips: the same
LEVELS = np.arange(7, -1, -1)  # of the bits of a byte, as `np.packbits` has them


@dataclass(frozen=True, eq=False)
class Untrimmed:
    """The samples that windows are cut from."""

    ids: tuple[str, ...]
    frames: Int64[np.ndarray, " samples"]  # of each sample, none too
    tracks: Tracks  # of whole samples
    begin: Int64[Tensor, " samples"]  # first row of each sample's `bits`
    count: Int64[Tensor, " samples"]  # rows of each sample: its frames
    bits: UInt8[Tensor, "frames bytes"]  # classes of every frame of all samples, and one row more
    classes: int

    def target(
        self, sample: Int64[Tensor, " batch"], positions: Float64[Tensor, "batch frames"]
    ) -> Float32[Tensor, "batch frames classes"]:
        """What is to be predicted at positions in samples: 1, 0, or NaN outside the sample."""
        frame = (positions + 0.5).floor().long()
        inside = (frame >= 0) & (frame < self.count[sample][:, None])
        rows = torch.where(inside, self.begin[sample][:, None] + frame, len(self.bits) - 1)
        levels = torch.from_numpy(LEVELS).to(rows.device)
        on = (self.bits[rows][..., None] >> levels) & 1
        return torch.where(inside[..., None], on.flatten(2)[..., : self.classes].float(), torch.nan)


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows of all samples of a part, in their order. On the host, where batches are composed."""

    source: Untrimmed
    sample: Int64[np.ndarray, " windows"]  # place of its sample in the part
    start: Int64[np.ndarray, " windows"]  # first frame
    length: Int64[np.ndarray, " windows"]  # frames
    size: int  # frames of a window, where the sample has so many
    stride: int  # frames from one to the next

    @property
    def ids(self) -> tuple[str, ...]:
        """A name for each window."""
        names = self.source.ids
        pairs = zip(self.sample.tolist(), self.start.tolist(), strict=True)
        return tuple(f"{names[sample]}+{start}" for sample, start in pairs)

    def shifts(self, keys: Int64[np.ndarray, " batch"], places: Int64[np.ndarray, " batch"], turn: Round) -> np.ndarray:
        """By how many frames windows are moved in an epoch: half their size at most, and never out of their sample."""
        drawn = uniform(torch.from_numpy(keys), salt(_SHIFT, *turn), 1)[:, 0].numpy()
        wanted = self.start[places] + np.floor((drawn - 0.5) * self.size).astype(np.int64)
        most = self.source.frames[self.sample[places]] - self.length[places]
        moved: np.ndarray = np.clip(wanted, 0, most) - self.start[places]
        return moved


def check_frames(recipe: DataRecipe) -> None:
    """Refuse what a recipe may not do where every frame is predicted.

    Raises:
        RecipeError: Naming the setting, and what to do.
    """
    if recipe.frames is None:
        raise RecipeError("data.frames: every frame is predicted, in windows of so many; set it, such as to 64.")
    for key, clips in (("clips", recipe.clips), ("test_clips", recipe.test_clips)):
        if len(clips) > 1:
            raise RecipeError(f"data.{key}: {len(clips)} clips, whose frames differ; one is predicted frame by frame.")
        for step in clips[0]:
            if parse_step(step).name in _BACKWARDS:
                raise RecipeError(f"data.{key}: '{step}' turns time round, and every frame is predicted. Leave it out.")
    for step in check_prepare(recipe.prepare):
        if parse_step(step).name in _MOVING:
            raise RecipeError(
                f"data.prepare: '{step}' moves or drops frames, and every one is predicted. Leave it out."
            )


def untrimmed(
    items: Items, tracks: Tracks, lengths: Int64[np.ndarray, " samples"], device: torch.device | str
) -> Untrimmed:
    """Bring the classes of every frame to the device.

    Args:
        items: Of the kind `frame`.
        tracks: Of the samples.
        lengths: Frames that each sample has after prepare.
        device: Where batches are made.

    Returns:
        The samples.

    Raises:
        RunError: If prepare has changed the number of frames of a sample.
    """
    frames = np.array([len(bits) for bits in items.target], np.int64)
    wrong = np.flatnonzero(frames != lengths)
    if wrong.size:
        at = wrong[0]
        raise RunError(
            f"Sample {items.ids[at]}: {lengths[at]} frames after data.prepare, {frames[at]} recorded; every frame is "
            "predicted, so none may be dropped."
        )
    width = max((bits.shape[1] for bits in items.target), default=1)
    bits = np.concatenate([*items.target, np.zeros((1, width), np.uint8)])
    return Untrimmed(
        ids=items.ids,
        frames=frames,
        tracks=tracks,
        begin=torch.from_numpy(np.cumsum(frames) - frames).to(device),
        count=torch.from_numpy(frames).to(device),
        bits=torch.from_numpy(bits).to(device),
        classes=items.classes,
    )


def tile(source: Untrimmed, size: int, stride: int) -> Windows:
    """Cover every sample with windows; the last one ends where the sample does.

    Args:
        source: The samples; one without frames has no window.
        size: Frames of a window.
        stride: Frames from one to the next.

    Returns:
        The windows.
    """
    frames = source.frames
    counts = np.where(frames > 0, 1 + -(-np.maximum(frames - size, 0) // stride), 0)
    sample = np.repeat(np.arange(len(frames)), counts)
    nth = np.arange(len(sample)) - np.repeat(np.cumsum(counts) - counts, counts)
    start = np.minimum(nth * stride, np.maximum(frames[sample] - size, 0))
    return Windows(source, sample, start, np.minimum(frames[sample], size), size, stride)


def window_tracks(windows: Windows, frames: Frames, *, every: bool) -> tuple[Tracks, Presence]:
    """The tracks of windows.

    Args:
        windows: Of samples whose tracks are known.
        frames: What the tracks are of.
        every: Whether a window keeps all tracks of its sample; else those with somebody within half a window of it,
            and one at least.

    Returns:
        One track for each that is kept, and that every frame of a window counts, whoever it shows.
    """
    whole, size = windows.source.tracks, windows.size // 2
    track, window = whole.of(windows.sample)
    blank = len(frames.rows) - 1
    missing = whole.first[track] >= blank
    first = np.where(missing, blank, whole.first[track] + windows.start[window])
    last = np.where(missing, blank, first + windows.length[window] - 1)
    shown = np.concatenate([[0], np.cumsum(~frames.empty.cpu().numpy())])
    low, high = np.maximum(first - size, whole.first[track]), np.minimum(last + size, whole.last[track])
    seen = (shown[high + 1] > shown[low]) & ~missing
    alone = np.zeros(len(windows.sample), bool)
    alone[np.setdiff1d(window, window[seen])] = True
    nth = np.append(True, np.diff(window) != 0)[: len(window)]
    keep = seen | (alone[window] & nth) | every
    owner = window[keep]
    tracks = Tracks(
        first=first[keep],
        last=last[keep],
        slot=whole.slot[track][keep],
        begin=np.searchsorted(owner, np.arange(len(windows.sample) + 1)),
        left_out=whole.left_out,
    )
    length = windows.length
    return tracks, Presence(length, np.zeros_like(length), length, length[owner])
