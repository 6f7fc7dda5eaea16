"""Prepared samples on the device: one flat tensor of frames, and where each person's frames begin and end."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor
from torch.nn.functional import embedding_bag

from skelbench.prepare import PreparedSet

_SHARE = 0.5  # of a device's free memory that frames may take: the rest is for the network


@dataclass(frozen=True, eq=False)
class Frames:
    """Frames of many tracks on the device, or on the host where there are too many; the last one is without a joint."""

    rows: Float32[Tensor, "rows channels joints"]  # NaN = missing
    empty: Bool[Tensor, " rows"]  # whether a frame lacks all joints
    partial: bool  # whether any frame lacks some and shows others
    gaps: bool = True  # whether any but the last lacks all
    apart: bool = False  # whether they stay on the host, and each batch brings its own to the device

    @cached_property
    def zeroed(self) -> "Frames":
        """The same with 0 for whatever is missing: a copy, made when it is first asked for."""
        return Frames(torch.nan_to_num(self.rows), torch.zeros_like(self.empty), partial=False, gaps=False)


@dataclass(frozen=True, eq=False)
class Tracks:
    """The rows of batches: one track is one person slot of one sample. On the host, where batches are composed."""

    first: Int64[np.ndarray, " tracks"]  # row of the person's first frame
    last: Int64[np.ndarray, " tracks"]  # row of the last one
    slot: Int64[np.ndarray, " tracks"]  # person slot
    begin: Int64[np.ndarray, " samples_and_end"]  # first track of each sample, and their number
    left_out: int  # persons beyond the slots

    def of(self, places: Int64[np.ndarray, " batch"]) -> tuple[np.ndarray, np.ndarray]:
        """The tracks of some samples, sample by sample, and each one's place in the batch."""
        counts = self.begin[places + 1] - self.begin[places]
        sample = np.repeat(np.arange(len(places)), counts)
        within = np.arange(len(sample)) - np.repeat(np.cumsum(counts) - counts, counts)
        return self.begin[places][sample] + within, sample


def present_tracks(prepared: PreparedSet, slots: int) -> Tracks:
    """One track for each person who is seen; a sample without any has one on the frame without a joint.

    Args:
        prepared: The samples; a person's slot is the place in the sample.
        slots: Persons in slots from this number on are left out.

    Returns:
        Tracks in the order of samples, then slots.
    """
    sample, slot, first, last = _people(prepared)
    seen = prepared.seen[prepared.first_person[sample] + slot]
    keep = seen & (slot < slots)
    nobody = np.setdiff1d(np.arange(len(prepared)), sample[keep])
    missing = np.full(len(nobody), len(prepared.keypoints) - 1)
    owner = np.concatenate([sample[keep], nobody])
    order = np.argsort(owner, kind="stable")
    return Tracks(
        first=np.concatenate([first[keep], missing])[order],
        last=np.concatenate([last[keep], missing])[order],
        slot=np.concatenate([slot[keep], np.zeros_like(nobody)])[order],
        begin=np.searchsorted(owner[order], np.arange(len(prepared) + 1)),
        left_out=int((seen & ~keep).sum()),
    )


def all_tracks(prepared: PreparedSet, slots: int) -> Tracks:
    """One track for each slot of each sample; absent persons are on the frame without a joint.

    Args:
        prepared: The samples; a person's slot is the place in the sample.
        slots: Tracks of each sample.

    Returns:
        Tracks in the order of samples, then slots.
    """
    sample, slot, first, last = _people(prepared)
    seen = prepared.seen[prepared.first_person[sample] + slot]
    keep = seen & (slot < slots)
    ends = np.full((2, len(prepared), slots), len(prepared.keypoints) - 1)
    ends[:, sample[keep], slot[keep]] = first[keep], last[keep]
    return Tracks(
        first=ends[0].ravel(),
        last=ends[1].ravel(),
        slot=np.tile(np.arange(slots), len(prepared)),
        begin=np.arange(len(prepared) + 1) * slots,
        left_out=int((seen & ~keep).sum()),
    )


@dataclass(frozen=True, eq=False)
class Presence:
    """Which frames show somebody who has a track; of a sample without, all count. On the host."""

    frames: Int64[np.ndarray, " samples"]  # how many do
    begin: Int64[np.ndarray, " samples"]  # the first
    end: Int64[np.ndarray, " samples"]  # after the last
    own: Int64[np.ndarray, " tracks"]  # after the last one that shows the track's own person


def presence(empty: Bool[np.ndarray, " rows"], tracks: Tracks, lengths: Int64[np.ndarray, " samples"]) -> Presence:
    """Find out which frames of each sample show a joint.

    Args:
        empty: Whether a frame lacks all joints; the last does.
        tracks: Whose frames count.
        lengths: Frames of each sample, 1 or more.

    Returns:
        What is known of samples and tracks.
    """
    owner = np.repeat(np.arange(len(lengths)), np.diff(tracks.begin))
    own = lengths[owner].copy()
    there = np.flatnonzero(tracks.first < len(empty) - 1)
    counts = lengths[owner[there]]
    starts = np.cumsum(counts) - counts
    within = np.arange(counts.sum()) - np.repeat(starts, counts)
    shown = ~empty[np.repeat(tracks.first[there], counts) + within]
    if len(there):
        own[there] = np.maximum.reduceat(np.where(shown, within + 1, 0), starts)
    begins = np.cumsum(lengths) - lengths
    seen = np.zeros(lengths.sum(), bool)
    seen[(np.repeat(begins[owner[there]], counts) + within)[shown]] = True
    place = np.arange(len(seen)) - np.repeat(begins, lengths)
    count = np.add.reduceat(seen, begins, dtype=np.int64)
    nobody = count == 0
    return Presence(
        frames=np.where(nobody, lengths, count),
        begin=np.where(nobody, 0, np.minimum.reduceat(np.where(seen, place, len(seen)), begins)),
        end=np.where(nobody, lengths, np.maximum.reduceat(np.where(seen, place + 1, 0), begins)),
        own=own,
    )


def place(prepared: PreparedSet, device: torch.device) -> tuple[Frames, PreparedSet]:
    """Bring the frames of a set to a device.

    Args:
        prepared: The samples; on the CPU their rows are used where they lie.
        device: Where batches are made.

    Returns:
        The frames there, and the set with the places of its samples in them: other samples' rows stay behind.
    """
    apart = not _fit(prepared, device)
    if device.type != "cpu" and not apart:
        prepared = compact(prepared)
    rows = prepared.keypoints
    if not rows.flags.writeable:
        rows = rows.copy()  # torch warns of memory that it must not write to
    if apart:
        return replace(frames_of(torch.from_numpy(rows)), apart=True), prepared
    return frames_of(torch.from_numpy(rows).to(device)), prepared


def _fit(prepared: PreparedSet, device: torch.device) -> bool:
    """Whether the frames of a set fit on a device beside what else has to."""
    if device.type != "cuda":
        return True
    taken: int = int((prepared.persons * prepared.frames).sum()) * prepared.keypoints[0].nbytes
    return taken <= _SHARE * int(torch.cuda.mem_get_info(device)[0])


def bring(
    frames: Frames, first: Int64[np.ndarray, " rows"], last: Int64[np.ndarray, " rows"], device: torch.device
) -> tuple[Frames, Int64[np.ndarray, " rows"], Int64[np.ndarray, " rows"]]:
    """Bring the frames of some tracks, and the one without a joint, to a device.

    The copy does not wait for the device, so that it is made while the step before is still computed there. Frames that
    lie in a file are read from it now, and no others.

    Args:
        frames: On the host.
        first: Row at which each track begins.
        last: Row at which it ends.
        device: Where the batch is made.

    Returns:
        The frames there, and where each track begins and ends in them.
    """
    counts = last - first + 1
    begin = np.cumsum(counts) - counts
    chosen = np.append(np.repeat(first - begin, counts) + np.arange(counts.sum()), len(frames.rows) - 1)
    rows = torch.empty((len(chosen), *frames.rows.shape[1:]), pin_memory=device.type == "cuda")
    torch.index_select(frames.rows, 0, torch.from_numpy(chosen), out=rows)
    empty = frames.empty[torch.from_numpy(chosen)]
    brought = Frames(
        rows.to(device, non_blocking=True), empty.to(device, non_blocking=True), frames.partial, frames.gaps
    )
    absent = first == len(frames.rows) - 1  # a track of nobody is one frame: the last
    return brought, np.where(absent, len(chosen) - 1, begin), np.where(absent, len(chosen) - 1, begin + counts - 1)


def compact(prepared: PreparedSet) -> PreparedSet:
    """Copy the rows of a set's own samples, and the frame without a joint, out of those that it shares."""
    counts = prepared.persons * prepared.frames
    first = np.cumsum(counts) - counts
    chosen = np.repeat(prepared.first - first, counts) + np.arange(counts.sum())
    rows = prepared.keypoints[np.append(chosen, len(prepared.keypoints) - 1)]
    return replace(prepared, keypoints=rows, first=first)


def frames_of(rows: Float32[Tensor, "rows channels joints"]) -> Frames:
    """Find out which of the frames lack joints; the last must lack all."""
    lacking = rows.sum((1, 2)).isnan()
    empty = lacking.clone()
    empty[lacking] = rows[lacking].isnan().all(2).all(1)
    return Frames(rows, empty, partial=bool((lacking != empty).any()), gaps=bool(empty[:-1].any()))


def interpolate(
    frames: Frames,
    first: Int64[Tensor, " rows"],
    last: Int64[Tensor, " rows"],
    positions: Float[Tensor, "rows times"] | Int64[Tensor, "rows times"],
) -> Float32[Tensor, "rows channels times joints"]:
    """Read tracks at positions: at whole ones the frame there, between frames linearly, honest about what is missing.

    Args:
        frames: Frames of all tracks.
        first: Row at which each track begins.
        last: Row at which it ends.
        positions: In frames from the track's first. Integers outside the track are missing; numbers with fractions
            are at least 0, and beyond the track mean its last frame.

    Returns:
        At whole positions exactly the frame there. Between frames a joint that one end lacks is taken from the other;
        NaN where both lack it.
    """
    if not positions.is_floating_point():
        rows = first[:, None] + positions
        return _gather(frames, rows.masked_fill((positions < 0) | (rows > last[:, None]), len(frames.rows) - 1))
    below = positions.floor()
    share = (positions - below).to(frames.rows.dtype)
    low = torch.minimum(first[:, None] + below.long(), last[:, None])
    ends = torch.stack([low, torch.minimum(low + (share > 0), last[:, None])], 2)
    if frames.partial:
        one, other = (_gather(frames, end) for end in ends.unbind(2))
        between = torch.lerp(one, other, share[:, None, :, None].expand(*one.shape[:3], 1).contiguous())
        return torch.where(between.isnan(), torch.fmax(one, other), between)
    if frames.gaps:  # only whole frames are missing, and exchanging frames does what is needed
        ends = torch.where(frames.empty[ends], ends.flip(2), ends)
    # one pass over the memory reads both ends and sums them
    weight = torch.stack([1 - share, share], 2).view(-1, 2)
    between = embedding_bag(ends.view(-1, 2), frames.rows.flatten(1), per_sample_weights=weight, mode="sum")
    return between.view(*positions.shape, *frames.rows.shape[1:]).transpose(1, 2).contiguous()


def _gather(frames: Frames, rows: Int64[Tensor, "rows times"]) -> Tensor:
    """Whole frames: (rows, channels, times, joints)."""
    channels = frames.rows.shape[1]
    lines = rows[:, None] * channels + torch.arange(channels, device=rows.device)[:, None]
    # one channel of one frame each: gathered as encoders read them
    return frames.rows.flatten(0, 1).index_select(0, lines.flatten()).view(*lines.shape, frames.rows.shape[2])


def _people(prepared: PreparedSet) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sample, slot, first and last row of every person of every sample, in this order."""
    sample = np.repeat(np.arange(len(prepared)), prepared.persons)
    slot = np.arange(len(sample)) - np.repeat(np.cumsum(prepared.persons) - prepared.persons, prepared.persons)
    frames = prepared.frames[sample]
    first = prepared.first[sample] + slot * frames
    return sample, slot, first, first + frames - 1
