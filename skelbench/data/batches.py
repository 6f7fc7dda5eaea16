"""Batches of one part of a data set: composed on the host, made on the device."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from skelbench.data.cut import Bound, Tracked, bind_clip, clip_frames, cut
from skelbench.data.draw import Round, bits, salt, sample_keys
from skelbench.data.ragged import Frames, Presence, Tracks, all_tracks, bring, place, presence, present_tracks
from skelbench.data.rows import Rows, Seen
from skelbench.data.samplers import check_sampler, order_of, times_of
from skelbench.data.streams import check_streams
from skelbench.data.types import WHOLE, Batch, Clip, DataRecipe, InputSpec, Items, Share
from skelbench.data.windows import Untrimmed, Windows, check_frames, tile, untrimmed, window_tracks
from skelbench.errors import RecipeError, RunError, nearest
from skelbench.prepare import PreparedSet, check_prepare
from skelbench.skeletons import Layout, joined, mirror, parents_or_self

_AGAIN = 0xA6A14  # sets the draws of a sample's further meetings in an epoch apart
JOINED = "joined"  # the slots of a sample side by side on the joint axis of one row
PERSONS: Mapping[str, Callable[[PreparedSet, int], Tracks]] = {
    "present": present_tracks,
    "all": all_tracks,
    JOINED: all_tracks,
}


def zero(x: Tensor) -> Tensor:
    """Put 0 for what is missing, in its place."""
    return x.nan_to_num_(nan=0.0, posinf=torch.inf, neginf=-torch.inf)


FILLS: Mapping[str, Callable[[Tensor], Tensor]] = {"zero": zero}


def check_recipe(recipe: DataRecipe) -> None:
    """Check everything in the data section that can be checked without data.

    Raises:
        RecipeError: Naming the first step, stream or word that is unknown or at the wrong place.
    """
    check_prepare(recipe.prepare)
    check_streams(recipe.streams)
    check_sampler(recipe.sampler)
    for word, known, key in ((recipe.persons, PERSONS, "persons"), (recipe.fill, FILLS, "fill")):
        if word not in known:
            raise RecipeError(f"data.{key}: no '{word}'. {nearest(word, known)}")
    for key, clips in (("clips", recipe.clips), ("test_clips", recipe.test_clips)):
        if not clips:
            raise RecipeError(f"data.{key} is empty; expected at least one list of steps, such as ['resample:1'].")
        for steps in clips:
            bind_clip(steps, recipe.frames)


def input_spec(
    layout: Layout, streams: Sequence[str], *, channels: int, frames: int | None, slots: int, persons: str
) -> InputSpec:
    """Say what an encoder will be given.

    Args:
        layout: Joints of the data set.
        streams: Names of the streams.
        channels: Channels of a joint.
        frames: Clip length; None = any.
        slots: Person slots of a sample.
        persons: Which rows a sample has: `present`, `all` or `joined`.

    Returns:
        The spec; `joined` has one slot, and a layout of all slots' joints.

    Raises:
        RecipeError: If a stream or the word for persons is unknown.
    """
    if persons not in PERSONS:
        raise RecipeError(f"data.persons: no '{persons}'. {nearest(persons, PERSONS)}")
    if persons == JOINED:
        layout, slots = joined(layout, slots), 1
    return InputSpec(layout, tuple(channels for _ in check_streams(streams)), frames, slots)


def recipe_spec(recipe: DataRecipe, layout: Layout, *, channels: int, slots: int) -> InputSpec:
    """The spec of the batches that a recipe makes; see `input_spec`.

    Its frames are those of the clips, training and test; None where these differ.

    Raises:
        RecipeError: If the data section is wrong.
    """
    check_recipe(recipe)
    lengths = {
        clip_frames(bind_clip(steps, recipe.frames), recipe.frames) for steps in (*recipe.clips, *recipe.test_clips)
    }
    frames = lengths.pop() if len(lengths) == 1 else None
    return input_spec(layout, recipe.streams, channels=channels, frames=frames, slots=slots, persons=recipe.persons)


@dataclass(frozen=True, eq=False)
class PartData:
    """One part of a data set, ready to be cut into batches."""

    spec: InputSpec
    recipe: DataRecipe
    items: Items
    frames: Frames  # on the device where they fit
    tracks: Tracks
    presence: Presence
    lengths: Int64[np.ndarray, " samples"]  # frames of each sample, 1 where it has none
    keys: Int64[np.ndarray, " meetings"]  # for the draws: of each sample, then of each again for every repetition
    met: Int64[np.ndarray, " meetings"]  # sample of each
    target: Tensor  # of each sample, on the device; of windows 0, since it hangs on the frames of the clip
    windows: Windows | None = None  # of untrimmed samples: what stands for samples in all of the above

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def device(self) -> torch.device:
        """Where the batches are made."""
        return self.target.device

    @property
    def left_out(self) -> int:
        """Persons that have no row because their sample has more of them than slots."""
        return self.tracks.left_out

    @property
    def steps(self) -> int:
        """Batches of one training epoch."""
        return max(len(self.keys) // self.recipe.batch, 1)

    def train_batches(self, seed: int, stage: int, epoch: int, epochs: int, *, share: Share = WHOLE) -> Iterator[Batch]:
        """One training epoch, in drawn order, its clips drawn.

        The same arguments give the same batches, whatever was asked for before. The last incomplete batch is left
        out, unless it is the only one.

        Args:
            seed: The run's.
            stage: Place of the stage in the run.
            epoch: From 0.
            epochs: Of the stage, for the progress of its batches.
            share: Which part of each step; all of it unless said otherwise.

        Yields:
            Batches on the device, `share.count` for each step; fewer where a step has too few samples. All processes
            get as many, the last ones perhaps without a sample.
        """
        turn = Round(seed, stage, epoch)
        target = self.target[self._on_device(self.met)]
        groups = order_of(self.recipe.sampler)(torch.from_numpy(self.keys), target, turn).numpy()
        size = max(self.recipe.batch // groups.shape[1], 1)
        clips = self._clips
        for step in range(self.steps):
            whole = groups[step * size : (step + 1) * size]
            progress = (epoch + step / self.steps) / max(epochs, 1)
            for number in range(share.first, share.first + share.count):
                piece = _part(whole, number, share.pieces)
                if piece.size:
                    places = _part(piece, share.process, share.processes).ravel()
                    batch = self._batch(places, clips, turn, group=groups.shape[1], progress=progress)
                    yield replace(batch, whole=whole.size)

    def batches(self) -> Iterator[Batch]:
        """Every sample once, in the order of the part, in the clips for prediction.

        Yields:
            Batches on the device; what `test_clips` draws is the same every time. Of untrimmed samples their windows,
            each half covered by the next: those of `overlapping`.
        """
        if self.windows is not None and self is not self.overlapping:
            yield from self.overlapping.batches()
            return
        clips = self._test_clips
        for begin in range(0, len(self), self.recipe.batch):
            places = np.arange(begin, min(begin + self.recipe.batch, len(self)))
            yield self._batch(places, clips, Round(0), group=1, progress=0.0, drawn=False)

    @cached_property
    def overlapping(self) -> "PartData":
        """The same samples in windows for prediction; the part itself where it is in such already."""
        windows = self.windows
        if windows is None or windows.stride == _stride(windows.size):
            return self
        return windowed(self, windows.source, _stride(windows.size))

    @cached_property
    def _clips(self) -> list[tuple[Bound, ...]]:
        """The lists of steps for training, with their functions."""
        return [bind_clip(steps, self.recipe.frames) for steps in self.recipe.clips]

    @cached_property
    def _test_clips(self) -> list[tuple[Bound, ...]]:
        """The lists of steps for prediction, with their functions."""
        return [bind_clip(steps, self.recipe.frames) for steps in self.recipe.test_clips]

    def _batch(
        self,
        places: np.ndarray,
        clips: Sequence[tuple[Bound, ...]],
        turn: Round,
        *,
        group: int,
        progress: float,
        drawn: bool = True,
    ) -> Batch:
        """Make the batch of some samples; a place beyond the samples is one of them, met again."""
        keys, places = self.keys[places], self.met[places]
        tracks, sample = self.tracks.of(places)
        shifts = self.windows.shifts(keys, places, turn) if self.windows is not None and drawn else 0 * places
        source, rows = self._rows(tracks, sample, places, keys, shifts)
        begins = self._on_device(np.searchsorted(sample, np.arange(len(places))))
        made, positions = [], None
        for number, steps in enumerate(clips):
            x, chosen = cut(steps, source, rows.salted(*turn, number), (self.recipe.streams, self._parents))
            positions = None if chosen is None else chosen[begins]
            start = torch.zeros(len(places), device=self.device) if positions is None else positions[:, 0].float()
            clip = Clip(FILLS[self.recipe.fill](x), rows.slot, rows.sample, start)
            made.append(_side_by_side(clip) if self.recipe.persons == JOINED else clip)
        index, key = self._on_device(np.stack([places, keys])).unbind()
        batch = Batch(tuple(made), index, self.target[index], group, {}, progress, key, salt(*turn))
        return batch if self.windows is None else self._of_windows(batch, self.windows, positions, places, shifts)

    def _of_windows(
        self, batch: Batch, windows: Windows, positions: Tensor | None, places: np.ndarray, shifts: np.ndarray
    ) -> Batch:
        """The batch with what is to be predicted of its frames."""
        if positions is None:
            raise RecipeError("data.clips: no step chooses frames, and every frame is predicted; add one.")
        sample, start, length = self._on_device(
            np.stack([windows.sample[places], windows.start[places] + shifts, windows.length[places]])
        ).unbind()
        inside = (positions >= 0) & (positions <= (length - 1)[:, None])  # steps may ask for what a window lacks
        frames = torch.where(inside, positions.double() + start[:, None], -1.0)
        clips = tuple(clip._replace(start=frames[:, 0].float()) for clip in batch.clips)
        return replace(batch, clips=clips, target=windows.source.target(sample, frames), frames=frames)

    def _rows(
        self, tracks: np.ndarray, sample: np.ndarray, places: np.ndarray, keys: np.ndarray, shifts: np.ndarray
    ) -> tuple[Tracked, Rows]:
        """Where the rows of a batch are, and what operations may know of them: one copy to the device for all."""
        owner, seen = places[sample], self.presence
        moved = np.where(self.tracks.first[tracks] < len(self.frames.rows) - 1, shifts[sample], 0)
        frames, first, last = self.frames, self.tracks.first[tracks] + moved, self.tracks.last[tracks] + moved
        if frames.apart:
            frames, first, last = bring(frames, first, last, self.device)
        host = [first, last, self.tracks.slot[tracks], sample]
        known = [seen.frames[owner], seen.begin[owner], seen.end[owner], seen.own[tracks]]
        packed = self._on_device(np.stack([*host, *known, self.lengths[owner], keys[sample]])).unbind()
        longest = int(self.lengths[places].max(initial=1))
        rows = Rows(
            key=packed[9],
            length=packed[8],
            sample=packed[3],
            slot=packed[2],
            seen=Seen(*packed[4:8]),
            channels=self.frames.rows.shape[1],
            frames=self.recipe.frames,
            extent=longest,
            mirror=self._mirror,
        )
        return Tracked(frames, packed[0], packed[1], longest), rows

    @cached_property
    def _mirror(self) -> Tensor:
        """The joint of one body that each one changes places with in a mirror."""
        return self._on_device(mirror(self.spec.layout)[: self.frames.rows.shape[2]])

    @cached_property
    def _parents(self) -> Tensor:
        """The parent of each joint of one body."""
        return self._on_device(parents_or_self(self.spec.layout)[: self.frames.rows.shape[2]])

    def _on_device(self, array: np.ndarray) -> Tensor:
        """An array of the host as a tensor where the batches are made."""
        return torch.from_numpy(array).to(self.device)


def part_data(
    prepared: PreparedSet, items: Items, recipe: DataRecipe, spec: InputSpec, device: torch.device | str = "cpu"
) -> PartData:
    """Bring a part to the device.

    Args:
        prepared: Its samples, in the order of the part.
        items: Their ids and targets, in the same order.
        recipe: How batches are made.
        spec: What the encoder expects: layout and slots.
        device: Where batches are made.

    Returns:
        The part.

    Raises:
        RecipeError: If the data section is wrong.
        RunError: If samples, ids and layout do not fit each other, or there is no sample.
    """
    check_recipe(recipe)
    if not len(prepared) == len(items.ids) == len(items.target) or len(prepared) == 0:
        counts = f"{len(prepared)} prepared samples, {len(items.ids)} ids, {len(items.target)} targets"
        raise RunError(f"A part of {counts}; expected equally many of each, and at least one.")
    bodies = spec.layout.bodies
    if prepared.keypoints.shape[2] * bodies != len(spec.layout.joints):
        found, wanted = prepared.keypoints.shape[2], len(spec.layout.joints) // bodies
        raise RunError(f"The samples have {found} joints, the layout '{spec.layout.name}' has {wanted}.")
    frames, prepared = place(prepared, torch.device(device))
    tracks = PERSONS[recipe.persons](prepared, max(spec.slots, bodies))
    lengths = np.maximum(prepared.frames, 1)
    if items.kind == "frame":
        check_frames(recipe)
    keys, met = _meetings(items.ids, recipe.repeat * times_of(recipe.sampler, items.target))
    part = PartData(
        spec=spec,
        recipe=recipe,
        items=items,
        frames=frames,
        tracks=tracks,
        presence=presence(frames.empty.cpu().numpy(), tracks, lengths),
        lengths=lengths,
        keys=keys,
        met=met,
        target=torch.from_numpy(np.zeros(1) if items.kind == "frame" else items.target.copy()).to(device),
    )
    if items.kind != "frame":
        return part
    return windowed(part, untrimmed(items, tracks, prepared.frames, device), recipe.frames or 1)


def windowed(part: PartData, source: Untrimmed, stride: int) -> PartData:
    """Cut the samples of a part into windows, which then stand for its samples.

    Args:
        part: Of the whole samples, or of other windows of them.
        source: The samples.
        stride: Frames from one window to the next.

    Returns:
        The part; its target is 0, since that of a clip hangs on its frames.
    """
    windows = tile(source, part.recipe.frames or 1, stride)
    tracks, seen = window_tracks(windows, part.frames, every=part.recipe.persons != "present")
    keys, met = _meetings(windows.ids, np.full(len(windows.ids), part.recipe.repeat))
    return replace(
        part,
        items=replace(part.items, ids=windows.ids),
        tracks=tracks,
        presence=seen,
        lengths=windows.length,
        keys=keys,
        met=met,
        target=torch.zeros(len(windows.start), dtype=torch.int64, device=part.device),
        windows=windows,
    )


def _meetings(
    ids: Sequence[str], times: Int64[np.ndarray, " samples"]
) -> tuple[Int64[np.ndarray, " meetings"], Int64[np.ndarray, " meetings"]]:
    """Numbers of samples, then of those again that an epoch meets again, and so on; and which samples these are."""
    keys = sample_keys(ids)
    again, met = [keys], [np.arange(len(keys))]
    for number in range(1, int(times.max(initial=1))):
        met.append(np.flatnonzero(times > number))
        again.append(bits(torch.from_numpy(keys[met[-1]]), salt(_AGAIN, number)).numpy())
    return np.concatenate(again), np.concatenate(met)


def _stride(size: int) -> int:
    """Frames from one window for prediction to the next."""
    return max(1, size // 2)


def _part(samples: np.ndarray, place: int, count: int) -> np.ndarray:
    """One of so many parts, cut between pairs of neighbours, so that those that are mixed stay together."""
    pairs = -(-len(samples) // 2)
    begin, end = (2 * -(-pairs * number // count) for number in (place, place + 1))
    return samples[begin:end]


def _side_by_side(clip: Clip) -> Clip:
    """Put the rows of each sample, one for every slot, side by side on the joint axis."""
    samples = len(clip.start)
    slots = clip.x.view(samples, len(clip.x) // max(samples, 1), *clip.x.shape[1:]).permute(0, 2, 3, 1, 4)
    first = torch.arange(samples, device=clip.x.device)
    return Clip(slots.flatten(3), torch.zeros_like(first), first, clip.start)
