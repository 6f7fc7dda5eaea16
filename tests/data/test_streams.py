import pytest
import torch

from skelbench.data.streams import STREAMS, check_streams, compute_streams
from skelbench.errors import RecipeError
from skelbench.skeletons import Layout, parents_or_self


@pytest.fixture
def parents(layout: Layout) -> torch.Tensor:
    return torch.from_numpy(parents_or_self(layout))


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(0))


def test_a_bone_is_the_joint_minus_its_parent(x: torch.Tensor, parents: torch.Tensor) -> None:
    bone = compute_streams(x, ["bone"], parents)
    assert torch.equal(bone[..., 3], x[..., 3] - x[..., 2])
    assert torch.equal(bone[..., 1], x[..., 1] - x[..., 0])
    assert not bone[..., 0].any()


def test_motion_is_the_next_frame_minus_this_one(x: torch.Tensor, parents: torch.Tensor) -> None:
    motion = compute_streams(x, ["joint-motion"], parents)
    assert torch.equal(motion[:, :, 1], x[:, :, 2] - x[:, :, 1])
    assert not motion[:, :, -1].any()


def test_the_motion_of_bones_is_the_bone_of_motions(x: torch.Tensor, parents: torch.Tensor) -> None:
    both = compute_streams(compute_streams(x, ["joint-motion"], parents), ["bone"], parents)
    torch.testing.assert_close(compute_streams(x, ["bone-motion"], parents), both)


def test_what_is_missing_stays_missing_in_every_stream(x: torch.Tensor, parents: torch.Tensor) -> None:
    x[0, :, 2, 2] = torch.nan
    bone, motion, both = (compute_streams(x, [name], parents).isnan() for name in list(STREAMS)[1:])
    assert bone[0, :, 2, [2, 3]].all()  # the joint's own bone and its child's
    assert bone.sum() == 2 * 3
    assert motion[0, :, [1, 2], 2].all()
    assert motion.sum() == 2 * 3
    assert both.sum() == 4 * 3


def test_streams_stand_side_by_side_on_the_channel_axis(x: torch.Tensor, parents: torch.Tensor) -> None:
    joined = compute_streams(x, ["bone", "joint"], parents)
    assert joined.shape == (2, 6, 5, 4)
    assert torch.equal(joined[:, 3:], x)


def test_one_frame_has_no_motion(x: torch.Tensor, parents: torch.Tensor) -> None:
    assert not compute_streams(x[:, :, :1], ["joint-motion"], parents).any()


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["bones"], r"no 'bones'. Did you mean 'bone'\?"),
        (["joint", "joint"], "joint, joint names one twice"),
        ([], "none given. Known: bone, bone-motion, joint, joint-motion"),
    ],
)
def test_wrong_streams_are_refused(names: list[str], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        check_streams(names)
