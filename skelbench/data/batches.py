"""Batches of one part of a data set: composed on the host, made on the device."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from skelbench.data.clips import Rows
from skelbench.data.cut import Bound, Tracked, bind_clip, clip_frames, cut
from skelbench.data.draw import Round, salt, sample_keys
from skelbench.data.ragged import Frames, Tracks, all_tracks, place, present_tracks
from skelbench.data.samplers import SAMPLERS
from skelbench.data.streams import check_streams
from skelbench.data.types import WHOLE, Batch, Clip, DataRecipe, InputSpec, Items, Share
from skelbench.errors import RecipeError, RunError, nearest
from skelbench.prepare import PreparedSet, check_prepare
from skelbench.skeletons import Layout, mirror, parents_or_self

PERSONS: Mapping[str, Callable[[PreparedSet, int], Tracks]] = {"present": present_tracks, "all": all_tracks}


def zero(x: Tensor) -> Tensor:
    """Put 0 for what is missing."""
    return torch.nan_to_num(x, nan=0.0, posinf=torch.inf, neginf=-torch.inf)


FILLS: Mapping[str, Callable[[Tensor], Tensor]] = {"zero": zero}


def check_recipe(recipe: DataRecipe) -> None:
    """Check everything in the data section that can be checked without data.

    Raises:
        RecipeError: Naming the first step, stream or word that is unknown or at the wrong place.
    """
    check_prepare(recipe.prepare)
    check_streams(recipe.streams)
    tables = ((recipe.persons, PERSONS, "persons"), (recipe.fill, FILLS, "fill"), (recipe.sampler, SAMPLERS, "sampler"))
    for word, known, key in tables:
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
        persons: Which rows a sample has: `present` or `all`.

    Returns:
        The spec.

    Raises:
        RecipeError: If a stream or the word for persons is unknown.
    """
    if persons not in PERSONS:
        raise RecipeError(f"data.persons: no '{persons}'. {nearest(persons, PERSONS)}")
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
    frames: Frames  # on the device
    tracks: Tracks
    lengths: Int64[np.ndarray, " samples"]  # frames of each sample, 1 where it has none
    keys: Int64[np.ndarray, " samples"]  # number of each sample, for its draws
    target: Tensor  # of each sample, on the device

    def __len__(self) -> int:
        return len(self.keys)

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
        return max(len(self) // self.recipe.batch, 1)

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
            Batches on the device, `share.count` for each step; fewer where a step has too few samples.
        """
        turn = Round(seed, stage, epoch)
        groups = SAMPLERS[self.recipe.sampler](torch.from_numpy(self.keys), self.target, turn).numpy()
        size = max(self.recipe.batch // groups.shape[1], 1)
        clips = self._bound(self.recipe.clips)
        for step in range(self.steps):
            whole = groups[step * size : (step + 1) * size]
            progress = (epoch + step / self.steps) / max(epochs, 1)
            for places in np.array_split(whole, share.pieces)[share.first : share.first + share.count]:
                if places.size:
                    yield self._batch(places.ravel(), clips, turn, group=groups.shape[1], progress=progress)

    def batches(self) -> Iterator[Batch]:
        """Every sample once, in the order of the part, in the clips for prediction.

        Yields:
            Batches on the device; what `test_clips` draws is the same every time.
        """
        clips = self._bound(self.recipe.test_clips)
        for begin in range(0, len(self), self.recipe.batch):
            places = np.arange(begin, min(begin + self.recipe.batch, len(self)))
            yield self._batch(places, clips, Round(0), group=1, progress=0.0)

    def _bound(self, lists: Sequence[Sequence[str]]) -> list[tuple[Bound, ...]]:
        """The lists of steps with their functions."""
        return [bind_clip(steps, self.recipe.frames) for steps in lists]

    def _batch(
        self, places: np.ndarray, clips: Sequence[tuple[Bound, ...]], turn: Round, *, group: int, progress: float
    ) -> Batch:
        """Make the batch of some samples."""
        tracks, sample = self.tracks.of(places)
        owner = places[sample]
        host = [self.tracks.first[tracks], self.tracks.last[tracks], self.tracks.slot[tracks], sample]
        packed = torch.from_numpy(np.stack([*host, self.lengths[owner], self.keys[owner]])).to(self.device)
        first, last, slot, row_sample, length, key = packed.unbind()  # one copy to the device for all
        source = Tracked(self.frames, first, last, int(self.lengths[places].max(initial=1)))
        layout = self.spec.layout
        rows = Rows(key, length, self.frames.rows.shape[1], self.recipe.frames, self._on_device(mirror(layout)))
        streams = self.recipe.streams, self._on_device(parents_or_self(layout))
        begins = self._on_device(np.searchsorted(sample, np.arange(len(places))))
        made = []
        for number, steps in enumerate(clips):
            x, start = cut(steps, source, rows.salted(*turn, number), streams)
            made.append(Clip(FILLS[self.recipe.fill](x), slot, row_sample, start[begins]))
        index, keys = self._on_device(np.stack([places, self.keys[places]])).unbind()
        return Batch(tuple(made), index, self.target[index], group, {}, progress, keys, salt(*turn))

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
    if prepared.keypoints.shape[2] != len(spec.layout.joints):
        found, wanted = prepared.keypoints.shape[2], len(spec.layout.joints)
        raise RunError(f"The samples have {found} joints, the layout '{spec.layout.name}' has {wanted}.")
    frames, prepared = place(prepared, torch.device(device))
    return PartData(
        spec=spec,
        recipe=recipe,
        items=items,
        frames=frames,
        tracks=PERSONS[recipe.persons](prepared, spec.slots),
        lengths=np.maximum(prepared.frames, 1),
        keys=sample_keys(items.ids),
        target=torch.from_numpy(items.target.copy()).to(device),
    )
