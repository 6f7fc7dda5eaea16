from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from skelbench.data.batches import PartData
from skelbench.data.cut import bind_clip, clip_frames
from skelbench.data.draw import Round, salt, uniform
from skelbench.data.ragged import frames_of
from skelbench.errors import RecipeError

MakePart = Callable[..., PartData]


def x_of(part: PartData, epoch: int = 0) -> torch.Tensor:
    return next(part.train_batches(0, 0, epoch, 2)).clips[0].x


def test_streams_come_last_where_they_are_not_named() -> None:
    assert [step.name for step in bind_clip(["resample:1", "scale:0.1"], 8)] == ["resample", "scale", "stream"]
    assert [step.name for step in bind_clip(["stream", "resample:1"], 8)] == ["stream", "resample"]


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (["resampel:1"], r"no step 'resampel' \(in 'resampel:1'\). Did you mean 'resample'\?"),
        (["resample"], "Step 'resample': 0 arguments, expected share, frames"),
        (["resample:half"], "Step 'resample:half': share is 'half'"),
        (["resample:1", "resample:0.5"], "resample and resample both choose frames; one may"),
        (["scale:0.2"], "no step chooses the 8 frames of data.frames. Add one of resample"),
        (["resample:1", "stream", "stream"], "'stream' stands 2 times, expected once"),
        (["resample:1", "stream", "rotate:0.3"], "'rotate' works on coordinates; put it before 'stream'"),
        (["resample:1", "stream", "minmax"], "'minmax' works on coordinates; put it before 'stream'"),
        (["reverse:0.5", "resample:1"], "'reverse' works on the frames of the clip; put it after 'resample'"),
        (["contiguous:8,loop"], "'contiguous:8,loop': filling is 'loop': expected zero or replay"),
        (["random-view:60.5,1", "resample:1"], "'random-view:60.5,1': degrees is '60.5'"),
    ],
)
def test_wrong_lists_are_refused(steps: Sequence[str], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        bind_clip(steps, 8)


def test_the_number_of_frames_is_the_steps_else_the_recipes() -> None:
    assert clip_frames(bind_clip(["resample:1"], 8), 8) == 8
    assert clip_frames(bind_clip(["resample:1,20"], 8), 8) == 20
    assert clip_frames(bind_clip(["scale:0.1"], None), None) is None


def test_cutting_from_the_set_equals_cutting_from_whole_samples(make_part: MakePart) -> None:
    shapes = [(1, 9), (2, 4), (0, 3), (1, 1), (2, 17)]
    fast = make_part(shapes, clips=["resample:0.5-1"], batch=5)
    slow = make_part(shapes, clips=["scale:0", "resample:0.5-1"], batch=5)
    slow_salt = make_part(shapes, clips=["resample:0.5-1", "scale:0"], batch=5)
    assert torch.equal(x_of(fast), x_of(slow_salt))
    whole = make_part(shapes, clips=["resample:1"], batch=5)
    padded = make_part(shapes, clips=["scale:0", "resample:1"], batch=5)
    torch.testing.assert_close(x_of(whole), x_of(padded))
    assert x_of(slow).shape == x_of(fast).shape


def test_without_a_sampling_step_samples_are_padded_to_the_longest(make_part: MakePart) -> None:
    part = make_part([(1, 5), (1, 9)], frames=None, clips=[["stream"]], test_clips=[["stream"]])
    assert part.spec.frames is None
    x = next(part.batches()).clips[0].x
    assert x.shape == (2, 3, 9, 4)
    assert not x[0, :, 5:].any()
    assert x[0, :, 4].all()


def test_motion_computed_before_sampling_is_the_motion_of_the_recording(make_part: MakePart) -> None:
    part = make_part([(1, 15)], streams=["joint-motion"], test_clips=["stream", "resample:1"])
    rows = part.frames.rows
    x = next(part.batches()).clips[0].x
    torch.testing.assert_close(x[0, :, 1], rows[3] - rows[2])  # 8 frames over 15: every second one


def test_every_step_draws_for_itself(make_part: MakePart) -> None:
    part = make_part([(1, 50)] * 2, clips=[["resample:1", "scale:0.5", "scale:0.5"]])
    keys = torch.from_numpy(part.keys)
    batch = next(part.train_batches(3, 1, 0, 1))
    by = salt(0, *Round(3, 1, 0), 0)
    factors = [1 + 0.5 * (uniform(keys, salt(by, place), 1)[:, 0] * 2 - 1) for place in (1, 2)]
    still = next(make_part([(1, 50)] * 2, clips=["resample:1"]).train_batches(3, 1, 0, 1))
    expected = still.clips[0].x * (factors[0] * factors[1])[batch.index][:, None, None, None]
    torch.testing.assert_close(batch.clips[0].x, expected)


LISTS = [
    ["crop-resize:0.5-1", "rotate:0.3"],
    ["zero", "crop-resize:0.5-1", "rotate:0.3"],
    ["zero", "resample:0.5-1", "stream", "random-move"],
    ["random-view:60,0.5-1.5", "minmax", "sorted-draw"],
    ["minmax", "linspace", "zero"],
    ["scale:0.1", "zero", "stream", "zero-pad:30"],
    ["zero", "stream", "contiguous:30,replay,40"],
    ["stream", "random-shift:30", "reverse:0.5"],
    ["noise:0.1", "uniform-segments", "drop-joints:0.3"],
    ["random-move", "replay:30", "shear:0.5", "flip:0.5"],
    ["zero", "contiguous:9,zero,30", "random-move", "stream"],
    ["zero", "random-move", "minmax", "sorted-draw"],
    ["zero", "stream", "uniform-segments"],
]
SHAPES = [(1, 9), (2, 4), (0, 3), (1, 1), (2, 17), (2, 30), (1, 0)]


@pytest.mark.parametrize("steps", LISTS, ids=" ".join)
@pytest.mark.parametrize("persons", ["present", "all"])
def test_a_clip_is_the_same_whoever_else_is_in_the_batch(make_part: MakePart, steps: list[str], persons: str) -> None:
    options = {"test_clips": [steps], "streams": ["bone-motion"], "persons": persons}
    together = next(make_part(SHAPES, batch=7, **options).batches()).clips[0]
    for number, batch in enumerate(make_part(SHAPES, batch=1, **options).batches()):
        torch.testing.assert_close(together.x[together.sample == number], batch.clips[0].x, rtol=1e-5, atol=2e-6)
        assert torch.equal(together.start[number : number + 1], batch.clips[0].start)
        assert batch.clips[0].x.isfinite().all()


@pytest.mark.parametrize("steps", LISTS, ids=" ".join)
@pytest.mark.parametrize("persons", ["present", "all"])
def test_a_batch_may_be_without_samples(make_part: MakePart, steps: list[str], persons: str) -> None:
    part = make_part(SHAPES, test_clips=[steps], persons=persons)
    batch = part._batch(np.zeros(0, np.int64), part._test_clips, Round(0), group=1, progress=0.0)
    whole = next(part.batches()).clips[0].x
    assert batch.clips[0].x.shape == (0, *whole.shape[1:])
    assert batch.clips[0].start.shape == batch.index.shape == (0,)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("steps", LISTS, ids=" ".join)
def test_the_gpu_cuts_the_same_clips(make_part: MakePart, steps: list[str]) -> None:
    part = make_part(SHAPES, test_clips=[steps], batch=7, persons="all")
    there = replace(part, frames=frames_of(part.frames.rows.cuda()), target=part.target.cuda())
    one, other = (next(each.batches()).clips[0] for each in (part, there))
    assert torch.equal(one.start, other.start.cpu())
    torch.testing.assert_close(one.x, other.x.cpu(), rtol=1e-5, atol=1e-5)


UNSEEN = {(1, 1): slice(2, 4), (4, 0): slice(0, 5), (5, 1): slice(11, None)}


@pytest.mark.parametrize("sampling", ["resample:1", "crop-resize:0.8", "zero-pad:30", "replay:30", "linspace"])
@pytest.mark.parametrize("persons", ["present", "all"])
@pytest.mark.parametrize("stream", ["joint", "joint-motion"])
def test_zeros_in_the_set_are_zeros_in_whole_samples(
    make_part: MakePart, sampling: str, persons: str, stream: str
) -> None:
    def made(*steps: str) -> torch.Tensor:
        part = make_part(SHAPES, test_clips=[steps], batch=7, persons=persons, streams=[stream], unseen=UNSEEN)
        return next(part.batches()).clips[0].x

    torch.testing.assert_close(made("zero", sampling), made("scale:0", "zero", sampling), rtol=1e-5, atol=2e-6)


def test_beside_an_absent_person_interpolation_is_honest_or_as_in_the_references(make_part: MakePart) -> None:
    def made(*steps: str) -> torch.Tensor:
        part = make_part([(2, 4)], unseen={(0, 0): slice(2, None)}, test_clips=[steps])
        return next(part.batches()).clips[0].x[0]

    honest, blended = made("crop-resize:1,8"), made("zero", "crop-resize:1,8")
    second = make_part([(2, 4)]).frames.rows[1]
    for place, share in ((3, 0.25), (4, 0.75)):  # between the second frame and the third, where the person is gone
        assert torch.equal(honest[:, place], second)
        torch.testing.assert_close(blended[:, place], (1 - share) * second)


def test_motion_jumps_at_the_end_of_a_sample_only_where_zeros_are_asked_for(make_part: MakePart) -> None:
    for steps, jump in ((["zero-pad:8"], False), (["zero-pad:8", "zero"], True), (["zero", "zero-pad:8"], True)):
        part = make_part([(1, 5)], test_clips=[steps], streams=["joint-motion"])
        x, rows = next(part.batches()).clips[0].x[0], part.frames.rows
        torch.testing.assert_close(x[:, 3], rows[4] - rows[3])
        torch.testing.assert_close(x[:, 4], -rows[4] if jump else torch.zeros(3, 4))
        assert not x[:, 5:].any()


@pytest.mark.parametrize("sampling", ["uniform-segments:20", "linspace:20", "sorted-draw:20", "resample:1,20"])
def test_motion_of_whole_samples_ends_with_them_where_no_frame_after_them_is_read(
    make_part: MakePart, sampling: str
) -> None:
    gone = {(0, 0): slice(2, 3)}
    for shapes in ([(1, 5)], [(1, 5), (1, 9)]):
        steps = ["zero", "stream", sampling]
        part = make_part(shapes, test_clips=steps, streams=["joint-motion"], unseen=gone)
        rows = torch.nan_to_num(part.frames.rows[:5])
        x = next(part.batches()).clips[0].x[0]
        expected = torch.cat([rows.diff(dim=0), torch.zeros(1, *rows.shape[1:])])
        least, most = (getattr(expected, end)(0).values for end in ("min", "max"))
        assert (x.amin(1) >= least - 1e-6).all()
        assert (x.amax(1) <= most + 1e-6).all()
        assert (x == 0).all(2).all(0).any()  # the last frame's, as nothing jumps there
