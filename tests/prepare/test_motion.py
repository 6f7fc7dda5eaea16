from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from skelbench.prepare import motion as module
from skelbench.prepare.motion import motion, narrow


@pytest.fixture(autouse=True, params=["compiled", "plain"], scope="module")
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every test runs with the compiled functions and without them."""
    if request.param == "compiled":
        pytest.importorskip("numba")
        assert module._fast() is not None
        yield request.param
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_fast", lambda: None)
        yield request.param


@pytest.mark.parametrize("channels", [2, 3])
@pytest.mark.parametrize("poses", [1, 2, 17, 300])
def test_motion_has_the_bits_of_numpys_variance(poses: int, channels: int) -> None:
    values = (np.random.default_rng(poses).normal(size=(poses, 25, channels)) * 2 + 3).astype(np.float32)
    assert motion(values) == np.var(values.reshape(-1, channels), axis=0).sum()
    assert np.asarray(motion(values)).dtype == np.float32


@pytest.mark.parametrize("odd", [np.nan, np.inf, 1e30])
def test_motion_of_what_cannot_be_measured_is_no_number_or_endless(odd: float) -> None:
    values = np.random.default_rng(0).normal(size=(4, 25, 3)).astype(np.float32)
    values[1, 2, 0] = odd
    with np.errstate(all="ignore"):
        wanted = np.var(values.reshape(-1, 3), axis=0).sum()
    assert np.array_equal(motion(values), wanted, equal_nan=True)


SHAPES = array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=9).map(lambda shape: (*shape[:2], 3))
FLOATS = st.one_of(st.sampled_from([0.0, -0.0, 0.8, 1.0, np.nan]), st.floats(-10, 10, width=32))


@settings(deadline=None)
@given(arrays(np.float32, SHAPES, elements=FLOATS))
def test_a_pose_is_narrow_by_its_extents_and_never_with_a_joint_missing(keypoints: np.ndarray) -> None:
    width, height = (keypoints[..., axis].max(1) - keypoints[..., axis].min(1) for axis in (0, 1))
    assert narrow(keypoints).tolist() == [
        not np.isnan(pose[:, :2]).any() and bool(wide <= np.float32(0.8) * high)
        for pose, wide, high in zip(keypoints, width, height, strict=True)
    ]


def test_poses_that_may_not_be_written_are_measured_too() -> None:
    values = np.random.default_rng(0).normal(size=(40, 25, 3)).astype(np.float32)
    fixed = values[::2]
    fixed.setflags(write=False)
    assert motion(fixed) == motion(fixed.copy())
    assert np.array_equal(narrow(fixed), narrow(values)[::2])
