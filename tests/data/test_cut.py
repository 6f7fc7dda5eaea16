from collections.abc import Callable, Sequence

import pytest
import torch

from skelbench.data.batches import PartData
from skelbench.data.cut import bind_clip, clip_frames
from skelbench.data.draw import Round, salt, uniform
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
