"""Windows of untrimmed samples: every frame is covered, targets follow the frames that a clip shows."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from skelbench.data.batches import PartData, part_data, recipe_spec
from skelbench.data.types import DataRecipe, Items
from skelbench.errors import RecipeError, RunError

CLASSES = 11  # more than a byte holds


def on_of(number: int, frames: int) -> np.ndarray:
    return np.random.default_rng([number, 7]).random((frames, CLASSES)) < 0.3


@pytest.fixture
def make_long(make_prepared: Any, make_set: Any, layout: Any) -> Callable[..., PartData]:
    def make(shapes: Sequence[tuple[int, int]], *, dropped: int = 0, unseen: Any = (), **recipe: Any) -> PartData:
        samples = [make_prepared(*shape, seed=number) for number, shape in enumerate(shapes)]
        for number, person, frames in unseen:
            samples[number].keypoints[person, frames] = np.nan
        target = np.empty(len(shapes), object)
        for number, (_, frames) in enumerate(shapes):
            target[number] = np.packbits(on_of(number, frames + dropped), axis=1)
        items = Items(tuple(f"s{number}" for number in range(len(shapes))), target, "frame", CLASSES)
        plain = {"clips": ("resample:1",), "test_clips": ("resample:1",)}
        data = DataRecipe(**({"frames": 8, "batch": 4} | plain | recipe))
        return part_data(make_set(samples), items, data, recipe_spec(data, layout, channels=3, slots=2))

    return make


def test_windows_cover_every_frame_and_the_last_ends_with_the_sample(make_long: Any) -> None:
    part = make_long([(1, 21), (2, 8), (1, 3)])
    windows = part.windows
    assert windows.sample.tolist() == [0, 0, 0, 1, 2]
    assert windows.start.tolist() == [0, 8, 13, 0, 0]
    assert windows.length.tolist() == [8, 8, 8, 8, 3]
    half = part.overlapping.windows
    assert half.start[half.sample == 0].tolist() == [0, 4, 8, 12, 13]
    assert part.overlapping.overlapping is part.overlapping
    assert part.items.ids == ("s0+0", "s0+8", "s0+13", "s1+0", "s2+0")


def test_a_window_shows_the_frames_of_its_sample_and_their_classes(make_long: Any, make_prepared: Any) -> None:
    part = make_long([(1, 21), (2, 8)])
    for batch in part.batches():
        (clip,) = batch.clips
        windows = part.overlapping.windows
        for row, (place, slot) in enumerate(zip(batch.index[clip.sample].tolist(), clip.slot.tolist(), strict=True)):
            sample, start = windows.sample[place], windows.start[place]
            whole = make_prepared(*[(1, 21), (2, 8)][sample], seed=int(sample)).keypoints
            assert np.array_equal(clip.x[row].numpy(), whole[slot, start : start + 8].transpose(2, 0, 1))
            at = int(clip.sample[row])
            assert batch.frames[at].tolist() == list(range(start, start + 8))
            assert np.array_equal(batch.target[at].numpy(), on_of(sample, [21, 8][sample])[start : start + 8])


def test_drawn_windows_stay_inside_and_their_targets_follow_the_clip(make_long: Any) -> None:
    part = make_long([(1, 40), (1, 8)], clips=("resample:0.5-1",), batch=3)
    starts = set()
    for epoch in range(6):
        for batch in part.train_batches(0, 0, epoch, 6):
            assert batch.target.shape == (len(batch.index), 8, CLASSES)
            assert not batch.target.isnan().any()
            sample = part.windows.sample[batch.index.numpy()]
            for frames, target, number in zip(batch.frames.numpy(), batch.target.numpy(), sample, strict=True):
                size = [40, 8][number]
                assert 0 <= frames[0] <= frames[-1] <= size - 1
                assert np.array_equal(target, on_of(number, size)[np.floor(frames + 0.5).astype(int)])
                starts.add((number, int(frames[0])))
    assert len({start for number, start in starts if number == 0}) > 10, "windows are shifted by draws"
    again = [batch.target for batch in part.train_batches(0, 0, 5, 6)]
    assert all(torch.equal(one, two.target) for one, two in zip(again, part.train_batches(0, 0, 5, 6), strict=True))


def test_what_lies_outside_a_sample_is_not_scored(make_long: Any) -> None:
    part = make_long([(1, 5)], test_clips=("zero-pad",))
    (batch,) = part.batches()
    assert batch.frames.tolist() == [[0, 1, 2, 3, 4, -1, -1, -1]]
    assert batch.target[0, :5].isfinite().all()
    assert batch.target[0, 5:].isnan().all()


def test_a_person_who_is_far_from_a_window_has_no_row_in_it(make_long: Any) -> None:
    part = make_long([(2, 64)], unseen=[(0, 1, slice(10, None))])
    counts = [
        int((clip.sample == at).sum())
        for batch in part.batches()
        for clip in batch.clips
        for at in range(len(batch.index))
    ]
    assert counts[0] == 2
    assert counts[-1] == 1
    every = make_long([(2, 64)], unseen=[(0, 1, slice(10, None))], persons="all")
    assert {len(batch.clips[0].x) / len(batch.index) for batch in every.batches()} == {2}


def test_a_sample_of_nobody_still_has_its_windows(make_long: Any) -> None:
    part = make_long([(1, 20)], unseen=[(0, 0, slice(None))])
    assert sum(len(batch.index) for batch in part.batches()) == len(part.overlapping)
    assert all(not batch.clips[0].x.any() for batch in part.train_batches(0, 0, 0, 1))


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ({"frames": None, "clips": ("resample:1,8",), "test_clips": ("resample:1,8",)}, "data.frames: every frame"),
        ({"clips": (("resample:1",), ("resample:1",))}, "data.clips: 2 clips, whose frames differ"),
        ({"test_clips": ("resample:1", "reverse:0.5")}, "data.test_clips: 'reverse:0.5' turns time round"),
        ({"prepare": ("by-id", "drop-empty")}, "data.prepare: 'drop-empty' moves or drops frames"),
    ],
)
def test_recipes_that_lose_the_place_of_frames_are_refused(make_long: Any, recipe: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        make_long([(1, 20)], **recipe)


def test_a_sample_whose_frames_were_dropped_is_refused_by_name(make_long: Any) -> None:
    with pytest.raises(RunError, match=r"Sample s0: 20 frames after data\.prepare, 23 recorded"):
        make_long([(1, 20)], dropped=3)
