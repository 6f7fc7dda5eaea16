from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from skelbench.data.batches import PartData, bring, check_recipe, input_spec, part_data, recipe_spec
from skelbench.data.types import Batch, DataRecipe, Items, Share
from skelbench.errors import RecipeError, RunError
from skelbench.skeletons import Layout, adjacency, load_layout, mirror

MakePart = Callable[..., PartData]

SHAPES = [(1, 9), (2, 4), (0, 3), (1, 1), (2, 17), (1, 30), (3, 8), (0, 0), (1, 5)]
AUGMENTED = ["resample:0.5-1", "scale:0.2", "flip:0.5", "rotate:0.3,1.0,0.1", "stream"]


def same_batches(one: Batch, other: Batch) -> bool:
    tensors = [(one.index, other.index), (one.target, other.target)]
    tensors += [
        pair for left, right in zip(one.clips, other.clips, strict=True) for pair in zip(left, right, strict=True)
    ]
    return one.progress == other.progress and all(torch.equal(left, right) for left, right in tensors)


def rows_by_id(batches: Sequence[Batch], ids: Sequence[str]) -> dict[str, torch.Tensor]:
    """The rows of every sample, wherever in whichever batch it stands."""
    return {
        ids[int(index)]: batch.clips[0].x[batch.clips[0].sample == place]
        for batch in batches
        for place, index in enumerate(batch.index)
    }


def test_every_sample_has_rows_of_finite_numbers(make_part: MakePart) -> None:
    part = make_part(SHAPES, clips=AUGMENTED)
    batches = list(part.train_batches(0, 0, 0, 1))
    assert [len(batch.index) for batch in batches] == [4, 4]
    for batch in batches:
        clip = batch.clips[0]
        assert clip.x.shape[1:] == (3, 8, 4)
        assert clip.x.isfinite().all()
        assert clip.x.is_contiguous()
        assert clip.sample.unique().tolist() == [0, 1, 2, 3]
        assert clip.start.shape == (4,)
        assert (clip.start >= 0).all()


def test_prediction_meets_every_sample_once_and_in_order(make_part: MakePart) -> None:
    part = make_part(SHAPES)
    batches = list(part.batches())
    assert [len(batch.index) for batch in batches] == [4, 4, 1]
    assert torch.cat([batch.index for batch in batches]).tolist() == list(range(9))
    assert torch.cat([batch.target for batch in batches]).tolist() == [number % 3 for number in range(9)]
    assert all(batch.progress == 0 and batch.group == 1 and not batch.features for batch in batches)


def test_a_sample_without_anybody_has_one_row_of_zeros(make_part: MakePart) -> None:
    clip = next(make_part([(1, 4), (0, 3), (0, 0)]).batches()).clips[0]
    assert clip.sample.tolist() == [0, 1, 2]
    assert not clip.x[1:].any()
    assert clip.x[0].any()


def test_present_has_a_row_for_each_person_up_to_the_slots(make_part: MakePart) -> None:
    part = make_part([(1, 4), (3, 6), (2, 5)])
    clip = next(part.batches()).clips[0]
    assert clip.sample.tolist() == [0, 1, 1, 2, 2]
    assert clip.slot.tolist() == [0, 0, 1, 0, 1]
    assert part.left_out == 1


def test_all_has_a_row_for_each_slot_with_zeros_for_the_absent(make_part: MakePart) -> None:
    present = next(make_part([(1, 4), (0, 6), (2, 5)]).batches()).clips[0]
    clip = next(make_part([(1, 4), (0, 6), (2, 5)], persons="all").batches()).clips[0]
    assert clip.sample.tolist() == [0, 0, 1, 1, 2, 2]
    assert clip.slot.tolist() == [0, 1] * 3
    assert not clip.x[1:4].any()
    assert torch.equal(clip.x[[0, 4, 5]], present.x[[0, 2, 3]])


@pytest.mark.parametrize("stream", ["joint", "bone", "joint-motion"])
def test_joined_has_one_row_a_sample_with_the_slots_side_by_side(make_part: MakePart, stream: str) -> None:
    shapes = [(1, 4), (0, 6), (2, 5), (3, 9)]
    slots = next(make_part(shapes, persons="all", streams=[stream]).batches()).clips[0]
    part = make_part(shapes, persons="joined", streams=[stream])
    clip = next(part.batches()).clips[0]
    assert clip.x.shape == (4, 3, 8, 8)
    assert torch.equal(clip.x, torch.cat([slots.x[0::2], slots.x[1::2]], 3))
    assert clip.x.is_contiguous()
    assert clip.slot.tolist() == [0] * 4
    assert clip.sample.tolist() == [0, 1, 2, 3]
    assert torch.equal(clip.start, slots.start)
    assert part.left_out == 1


def test_the_layout_of_joined_slots_is_block_diagonal(make_part: MakePart, layout: Layout) -> None:
    spec = make_part([(1, 4)], persons="joined", slots=3).spec
    assert (spec.slots, len(spec.layout.joints), spec.layout.bodies) == (1, 12, 3)
    assert len(set(spec.layout.joints)) == 12
    one = adjacency(layout)
    blocks = adjacency(spec.layout).reshape(3, 3, 4, 3, 4)
    for first in range(3):
        for second in range(3):
            expected = one if first == second else np.zeros_like(one)
            np.testing.assert_array_equal(blocks[:, first, :, second], expected)
    assert mirror(spec.layout).reshape(3, 4).tolist() == [(mirror(layout) + 4 * body).tolist() for body in range(3)]
    alone = make_part([(1, 4)], persons="joined", slots=1).spec
    assert alone.layout == layout


def test_persons_joined_are_changed_each_in_its_own_body(make_part: MakePart) -> None:
    shapes, steps = [(1, 9), (2, 5), (0, 2)], ["zero", "resample:0.5-1", "flip:1", "rotate:0.3", "random-move"]
    slots = next(make_part(shapes, persons="all", test_clips=steps).batches()).clips[0]
    clip = next(make_part(shapes, persons="joined", test_clips=steps).batches()).clips[0]
    assert torch.equal(clip.x, torch.cat([slots.x[0::2], slots.x[1::2]], 3))


def test_samples_are_met_several_times_an_epoch_with_draws_of_their_own(make_part: MakePart) -> None:
    once, part = (make_part([(1, 30)] * 6, clips=AUGMENTED, batch=3, repeat=repeat) for repeat in (1, 4))
    assert (len(part), part.steps) == (6, 8)
    batches = list(part.train_batches(0, 0, 0, 2))
    index = torch.cat([batch.index for batch in batches])
    assert torch.bincount(index).tolist() == [4] * 6
    assert index[:6].tolist() != sorted(index[:6].tolist())
    assert torch.equal(torch.cat([batch.target for batch in batches]), part.target[index])
    assert batches[-1].progress == 7 / 16
    x = torch.cat([batch.clips[0].x for batch in batches])
    for place in range(6):
        met = x[index == place].flatten(1)
        assert torch.pdist(met).min() > 1e-3
        first = rows_by_id(list(once.train_batches(0, 0, 0, 2)), once.items.ids)[f"s{place}"]
        assert any(torch.equal(row, first.flatten()) for row in met)
    assert len({int(key) for batch in batches for key in batch.key}) == 24
    assert [len(batch.index) for batch in part.batches()] == [3, 3]


def test_a_repeated_sample_has_the_same_draws_whoever_else_is_there(make_part: MakePart) -> None:
    options = {"clips": AUGMENTED, "repeat": 3, "batch": 1}
    whole, some = make_part(SHAPES, **options), make_part(SHAPES, keep=[5, 1, 8], **options)

    def met(part: PartData) -> dict[int, Batch]:
        return {int(batch.key): batch for batch in part.train_batches(1, 0, 2, 4)}

    everybody = met(whole)
    for key, batch in met(some).items():
        torch.testing.assert_close(batch.clips[0].x, everybody[key].clips[0].x, rtol=1e-6, atol=1e-6)


def test_ten_test_clips_of_one_sample_differ(make_part: MakePart) -> None:
    part = make_part([(1, 40), (1, 5)], test_clips=[[f"uniform-segments:8,{number},10"] for number in range(10)])
    clips = next(part.batches()).clips
    assert len(clips) == 10
    assert torch.pdist(torch.stack([clip.x[0].flatten() for clip in clips])).min() > 0.1
    assert [int(clip.start[1]) for clip in clips] == [number % 5 for number in range(10)]


def test_the_same_question_has_the_same_answer(make_part: MakePart) -> None:
    part = make_part(SHAPES, clips=AUGMENTED)
    first = list(part.train_batches(5, 0, 3, 9))
    list(part.train_batches(5, 0, 4, 9))
    list(part.batches())
    again = list(make_part(SHAPES, clips=AUGMENTED).train_batches(5, 0, 3, 9))
    assert all(same_batches(one, other) for one, other in zip(first, again, strict=True))


@pytest.mark.parametrize("change", [(6, 0, 3), (5, 1, 3), (5, 0, 4)])
def test_seed_stage_and_epoch_change_the_draws(make_part: MakePart, change: tuple[int, int, int]) -> None:
    part = make_part(SHAPES, clips=AUGMENTED)
    one, other = (rows_by_id(list(part.train_batches(*turn, 9)), part.items.ids) for turn in ((5, 0, 3), change))
    for name in one.keys() & other.keys() - {"s2", "s7"}:  # two samples have nobody
        assert not torch.equal(one[name], other[name])


def test_a_sample_has_the_same_draws_whoever_else_is_there(make_part: MakePart) -> None:
    whole = make_part(SHAPES, clips=AUGMENTED, batch=9)
    some = make_part(SHAPES, keep=[5, 1, 8, 4], clips=AUGMENTED, batch=2)
    everybody = rows_by_id(list(whole.train_batches(1, 0, 2, 4)), whole.items.ids)
    for name, rows in rows_by_id(list(some.train_batches(1, 0, 2, 4)), some.items.ids).items():
        torch.testing.assert_close(rows, everybody[name], rtol=1e-6, atol=1e-6)


def test_the_order_of_some_is_their_order_among_all(make_part: MakePart) -> None:
    shapes = [(1, 2)] * 30
    keep = list(range(0, 30, 3))
    whole, some = make_part(shapes, batch=1), make_part(shapes, keep=keep, batch=1)
    order = [whole.items.ids[int(batch.index)] for batch in whole.train_batches(1, 0, 2, 4)]
    among = [some.items.ids[int(batch.index)] for batch in some.train_batches(1, 0, 2, 4)]
    assert among == [name for name in order if name in some.items.ids]
    assert order != sorted(order)
    assert sorted(order) == sorted(whole.items.ids)


def test_all_persons_of_a_sample_are_turned_alike(make_part: MakePart, make_prepared: Any, make_set: Any) -> None:
    alone = make_prepared(1, 12)
    twins = alone.keypoints.repeat(2, axis=0)
    prepared = make_set([type(alone)(twins, None, alone.frame, {})])
    part = make_part([(1, 12)], clips=AUGMENTED)
    part = part_data(prepared, part.items, part.recipe, part.spec)
    clip = next(part.train_batches(0, 0, 0, 1)).clips[0]
    assert torch.equal(clip.x[0], clip.x[1])


def test_the_only_batch_is_kept_though_incomplete(make_part: MakePart) -> None:
    part = make_part(SHAPES[:3])
    assert part.steps == 1
    assert [len(batch.index) for batch in part.train_batches(0, 0, 0, 1)] == [3]


def test_progress_counts_the_batches_of_the_stage(make_part: MakePart) -> None:
    part = make_part(SHAPES)
    progress = [batch.progress for epoch in range(3) for batch in part.train_batches(0, 0, epoch, 3)]
    np.testing.assert_allclose(progress, np.arange(6) / 6)


def test_every_list_of_steps_makes_a_clip(make_part: MakePart) -> None:
    part = make_part(SHAPES[:4], clips=[AUGMENTED, AUGMENTED, ["resample:1"]])
    clips = next(part.train_batches(0, 0, 0, 1)).clips
    assert len(clips) == 3
    assert not torch.equal(clips[0].x, clips[1].x)
    whole = next(part.batches())
    order = next(part.train_batches(0, 0, 0, 1)).index
    rows = [whole.clips[0].x[whole.clips[0].sample == place] for place in order]
    assert torch.equal(clips[2].x, torch.cat(rows))


def test_what_test_clips_draw_is_the_same_every_time(make_part: MakePart) -> None:
    part = make_part(SHAPES, test_clips=AUGMENTED)
    assert all(same_batches(one, other) for one, other in zip(part.batches(), part.batches(), strict=True))


def test_streams_are_channels_of_one_row(make_part: MakePart) -> None:
    part = make_part(SHAPES, streams=["joint", "bone"])
    assert part.spec.streams == (3, 3)
    assert part.spec.channels == 6
    assert next(part.batches()).clips[0].x.shape[1] == 6


@pytest.mark.parametrize(
    ("target", "kind", "dtype"),
    [
        (np.array([2, 0]), "single", torch.int64),
        (np.array([[1, np.nan], [0, 1]], np.float32), "multi", torch.float32),
        (np.array([0.25, 4], np.float32), "score", torch.float32),
    ],
)
def test_targets_of_every_kind_go_with_their_samples(
    make_set: Any, make_prepared: Any, layout: Layout, target: np.ndarray, kind: Any, dtype: torch.dtype
) -> None:
    recipe = DataRecipe(frames=4)
    spec = recipe_spec(recipe, layout, channels=3, slots=1)
    prepared = make_set([make_prepared(1, 3), make_prepared(1, 3)])
    part = part_data(prepared, Items(("a", "b"), target, kind), recipe, spec)
    batch = next(part.train_batches(0, 0, 0, 1))
    assert batch.target.dtype == dtype
    np.testing.assert_array_equal(batch.target, target[batch.index.numpy()])
    again = part_data(prepared, Items(("a", "b"), target, kind), recipe.model_copy(update={"repeat": 3}), spec)
    batch = next(again.train_batches(0, 0, 0, 1))
    assert len(batch.index) == 6
    np.testing.assert_array_equal(batch.target, target[batch.index.numpy()])


def test_the_spec_says_what_batches_hold(layout: Layout) -> None:
    spec = input_spec(layout, ["joint", "bone-motion"], channels=2, frames=16, slots=3, persons="all")
    assert (spec.layout, spec.streams, spec.frames, spec.slots) == (layout, (2, 2), 16, 3)
    differing = DataRecipe(frames=8, test_clips=("resample:1,20",))
    assert recipe_spec(differing, layout, channels=3, slots=2).frames is None
    agreeing = DataRecipe(frames=64, clips=("resample:1,2",), test_clips=("resample:1,2",))
    assert recipe_spec(agreeing, layout, channels=3, slots=2).frames == 2


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"persons": "present?"}, "data.persons: no 'present\\?'"),
        ({"fill": "first"}, "data.fill: no 'first'. Known: zero"),
        ({"sampler": "shufle"}, r"data.sampler: no 'shufle'. Did you mean 'shuffle'\?"),
        ({"streams": ("bones",)}, "streams: no 'bones'"),
        ({"prepare": ("center",)}, "prepare: no step 'center'"),
        ({"clips": ("rotat:1",)}, "clips: no step 'rotat'"),
        ({"test_clips": ((),)}, "no step chooses the 64 frames"),
        ({"clips": ()}, "data.clips is empty"),
    ],
)
def test_a_wrong_data_section_is_refused_without_data(values: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        check_recipe(DataRecipe(**values))


def test_input_spec_knows_which_persons_there_are(layout: Layout) -> None:
    with pytest.raises(RecipeError, match=r"no 'al'. Did you mean 'all'\?"):
        input_spec(layout, ["joint"], channels=3, frames=8, slots=2, persons="al")


def test_one_list_of_steps_stands_for_one_clip() -> None:
    assert DataRecipe(clips=["resample:1", "stream"]).clips == (("resample:1", "stream"),)
    assert len(DataRecipe(clips=[["resample:1"], ["resample:0.5-1"]]).clips) == 2


def test_parts_that_do_not_fit_are_refused(make_part: MakePart, make_set: Any, make_prepared: Any) -> None:
    part = make_part([(1, 3)])
    two = make_set([make_prepared(1, 3), make_prepared(1, 3)])
    with pytest.raises(RunError, match="2 prepared samples, 1 ids, 1 targets; expected equally many"):
        part_data(two, part.items, part.recipe, part.spec)
    with pytest.raises(RunError, match="0 prepared samples"):
        part_data(two.select(np.zeros(0, np.int64)), Items((), np.zeros(0), "score"), part.recipe, part.spec)
    spec = recipe_spec(part.recipe, load_layout("penn13"), channels=3, slots=1)
    with pytest.raises(RunError, match="The samples have 4 joints, the layout 'penn13' has 13"):
        part_data(two.select(np.zeros(1, np.int64)), part.items, part.recipe, spec)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_gpu_makes_the_same_batches(make_part: MakePart, make_set: Any, make_prepared: Any) -> None:
    here = make_part(SHAPES, clips=AUGMENTED)
    prepared = make_set([make_prepared(*shape, seed=number) for number, shape in enumerate(SHAPES)])
    there = part_data(prepared, here.items, here.recipe, here.spec, "cuda")
    for one, other in zip(here.train_batches(0, 0, 0, 1), there.train_batches(0, 0, 0, 1), strict=True):
        assert torch.equal(one.index, other.index.cpu())
        torch.testing.assert_close(one.clips[0].x, other.clips[0].x.cpu(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("pieces", [2, 3, 5])
def test_pieces_of_a_step_keep_mixed_neighbours_together(make_part: MakePart, pieces: int) -> None:
    part = make_part([(1, 9)] * 14, batch=14)
    (whole,) = part.train_batches(5, 0, 3, 8)
    parts = list(part.train_batches(5, 0, 3, 8, share=Share(pieces, 0, pieces)))
    assert torch.equal(torch.cat([batch.index for batch in parts]), whole.index)
    assert all(len(batch.index) % 2 == 0 for batch in parts)


@pytest.mark.parametrize("processes", [2, 3, 5])
@pytest.mark.parametrize("pieces", [1, 2])
def test_processes_share_each_piece_and_mixed_neighbours_stay_together(
    make_part: MakePart, processes: int, pieces: int
) -> None:
    part = make_part([(1 + n % 2, 9) for n in range(14)], batch=7)
    whole = list(part.train_batches(5, 0, 3, 8, share=Share(pieces, 0, pieces)))
    shared = [
        list(part.train_batches(5, 0, 3, 8, share=Share(pieces, 0, pieces, processes, place)))
        for place in range(processes)
    ]
    assert all(len(own) == len(whole) for own in shared)
    for all_of_it, parts in zip(whole, zip(*shared, strict=True), strict=True):
        assert torch.equal(torch.cat([batch.index for batch in parts]), all_of_it.index)
        assert torch.equal(torch.cat([batch.clips[0].x for batch in parts]), all_of_it.clips[0].x)
        assert {batch.whole for batch in (*parts, all_of_it)} == {7}
        sizes = [len(batch.index) for batch in parts]
        ends = [sum(sizes[: place + 1]) for place in range(processes)]
        assert all(end % 2 == 0 or end == len(all_of_it.index) for end in ends)
        assert sizes[0] == max(sizes)


@pytest.mark.parametrize("persons", ["present", "all", "joined"])
@pytest.mark.parametrize("clips", [AUGMENTED, ["linspace", "stream"], ["sorted-draw:5", "stream"]], ids=str)
def test_frames_that_stay_on_the_host_or_in_a_file_give_the_same_batches(
    persons: str, clips: list[str], make_part: MakePart, tmp_path: Path
) -> None:
    part = make_part(SHAPES, clips=clips, persons=persons)
    rows = part.frames.rows.numpy()
    mapped = np.memmap(tmp_path / "rows", np.float32, "w+", shape=rows.shape)
    mapped[:] = rows
    for held in (part.frames.rows, torch.from_numpy(mapped)):
        other = replace(part, frames=replace(part.frames, rows=held, apart=True))
        for one, two in zip(part.train_batches(3, 0, 1, 2), other.train_batches(3, 0, 1, 2), strict=True):
            assert same_batches(one, two)
        for one, two in zip(part.batches(), other.batches(), strict=True):
            assert same_batches(one, two)


def test_a_batch_brings_the_frames_of_its_own_tracks_alone(make_part: MakePart) -> None:
    part = make_part(SHAPES)
    last = len(part.frames.rows) - 1
    tracks = part.tracks
    chosen = [0, 2]
    frames, first, end = bring(part.frames, tracks.first[chosen], tracks.last[chosen], torch.device("cpu"))
    assert len(frames.rows) == int((tracks.last[chosen] - tracks.first[chosen] + 1).sum()) + 1
    for place, track in enumerate(chosen):
        assert torch.equal(
            frames.rows[first[place] : end[place] + 1].nan_to_num(-1),
            part.frames.rows[tracks.first[track] : tracks.last[track] + 1].nan_to_num(-1),
        )
    nobody = np.array([last])
    frames, first, end = bring(part.frames, nobody, nobody, torch.device("cpu"))
    assert first == end == len(frames.rows) - 1
