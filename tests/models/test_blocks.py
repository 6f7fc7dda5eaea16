import pytest
import torch

from skelbench.data.types import InputSpec
from skelbench.errors import RecipeError
from skelbench.models.blocks import ConvNorm, InputNorm, detour, ladder
from skelbench.skeletons import load_layout

SPEC = InputSpec(load_layout("kinect_v1"), (3,), None, 2)
X = torch.randn(6, 3, 5, 20, generator=torch.Generator().manual_seed(0))


def test_the_ladder_has_four_three_and_three_blocks_and_halves_the_frames_twice() -> None:
    rungs = ladder(3, 64)
    assert [rung.outputs for rung in rungs] == [64] * 4 + [128] * 3 + [256] * 3
    assert [rung.inputs for rung in rungs] == [3, *[64] * 4, *[128] * 3, *[256] * 2]
    assert [rung.stride for rung in rungs] == [1, 1, 1, 1, 2, 1, 1, 2, 1, 1]


@pytest.mark.parametrize("channels", [1, 2, 3, 16, 32, 64])
def test_the_first_block_keeps_the_frames_whatever_the_channels(channels: int) -> None:
    assert ladder(channels, 16)[0].stride == 1


def test_one_slot_norms_every_joint_and_channel_over_all_persons() -> None:
    out = InputNorm(SPEC)(X, torch.tensor([0, 1] * 3))
    torch.testing.assert_close(out.mean((0, 2)), torch.zeros(3, 20), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.var((0, 2), correction=0), torch.ones(3, 20), atol=1e-3, rtol=0)


def test_several_slots_norm_every_person_apart() -> None:
    out = InputNorm(SPEC, 2)(X, torch.tensor([0, 1] * 3)).view(3, 2, 3, 5, 20)
    torch.testing.assert_close(out.mean((0, 3)), torch.zeros(2, 3, 20), atol=1e-5, rtol=0)


@pytest.mark.parametrize("slot", [[0, 0, 1, 1, 0, 1], [1, 0] * 3, [0, 1, 0], [0] * 6])
def test_rows_that_are_not_all_slots_of_each_sample_are_refused(slot: list[int]) -> None:
    with pytest.raises(RecipeError, match=r"model.input_slots is 2, .* Set data.persons = 'all'"):
        InputNorm(SPEC, 2)(X[: len(slot)], torch.tensor(slot))


def test_other_slots_than_the_data_has_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"model.input_slots is 3, expected 1, or the person slots of the data: 2"):
        InputNorm(SPEC, 3)


@pytest.mark.parametrize("frames", [1, 2, 7, 8])
@pytest.mark.parametrize("kernel", [1, 3, 9])
def test_a_stride_of_two_halves_the_frames_rounding_up(frames: int, kernel: int) -> None:
    assert ConvNorm(3, 4, kernel, 2)(X[:, :, :1].repeat(1, 1, frames, 1)).shape == (6, 4, -(-frames // 2), 20)


def test_a_block_is_passed_by_as_it_is_where_shapes_agree() -> None:
    rungs = ladder(3, 16)
    assert isinstance(detour(rungs[1]), torch.nn.Identity)
    assert isinstance(detour(rungs[4]), ConvNorm)


def test_a_width_below_one_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"model.width is 0"):
        ladder(3, 0)
