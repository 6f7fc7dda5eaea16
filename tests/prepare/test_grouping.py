from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelbench.errors import RunError
from skelbench.prepare.prepared import by_id, by_position
from skelbench.sample import Sample


def test_persons_come_in_the_order_in_which_frames_first_show_them(make_sample) -> None:
    sample = make_sample("a", [1, 0, 1, 0], [5, 9, 9, 7])
    prepared = by_id(sample)
    assert prepared.keypoints.shape == (3, 2, 13, 2)
    assert np.array_equal(prepared.keypoints[0], sample.keypoints[[1, 2]])  # id 9: frames 0 and 1
    assert np.array_equal(prepared.keypoints[1, 0], sample.keypoints[3])  # id 7
    assert np.array_equal(prepared.keypoints[2, 1], sample.keypoints[0])  # id 5
    assert np.isnan(prepared.keypoints[1, 1]).all()


def test_frames_without_a_pose_are_kept(make_sample) -> None:
    prepared = by_id(make_sample("a", [1, 3], [4, 4], n_frames=6))
    assert prepared.known.any((0, 2)).tolist() == [False, True, False, True, False, False]
    assert prepared.frame.tolist() == [0, 1, 2, 3, 4, 5]


def test_scores_go_with_their_poses(make_sample) -> None:
    sample = make_sample("a", [0, 1, 1], [1, 1, 2])
    prepared = by_id(sample)
    assert prepared.score is not None
    assert sample.score is not None
    assert np.array_equal(prepared.score[0], sample.score[:2])
    assert np.isnan(prepared.score[1, 0]).all()
    assert by_id(replace(sample, score=None)).score is None


def test_poses_without_an_id_go_by_their_position_in_the_frame(make_sample) -> None:
    sample = make_sample("a", [0, 0, 1, 1], [-1, -1, -1, -1])
    assert np.array_equal(by_id(sample).keypoints, by_position(sample).keypoints)
    assert np.array_equal(by_id(sample).keypoints[1], sample.keypoints[[1, 3]])


def test_the_second_pose_of_an_id_in_a_frame_is_another_person(make_sample) -> None:
    sample = make_sample("a", [0, 1, 1, 2], [3, 3, 3, 3])
    keypoints = by_id(sample).keypoints
    assert np.array_equal(keypoints[0], sample.keypoints[[0, 1, 3]])
    assert np.array_equal(keypoints[1, 1], sample.keypoints[2])
    assert np.isnan(keypoints[1, [0, 2]]).all()


def test_by_position_does_not_look_at_ids(make_sample) -> None:
    sample = make_sample("a", [0, 1, 1], [8, 2, 8])
    assert np.array_equal(by_position(sample).keypoints[0], sample.keypoints[[0, 1]])


@pytest.mark.parametrize("n_frames", [0, 4])
def test_a_sample_without_poses_has_no_person(make_sample, n_frames: int) -> None:
    for group in (by_id, by_position):
        assert group(make_sample("a", [], [], n_frames=n_frames)).keypoints.shape == (0, n_frames, 13, 2)


def test_ids_beyond_the_precision_of_floats_stay_apart(make_sample) -> None:
    assert len(by_id(make_sample("a", [0, 0], [72057594037931101, 72057594037931102])).keypoints) == 2


def test_an_absurd_number_of_frames_is_refused(make_sample) -> None:
    sample = make_sample("broken", [0], [1], n_frames=4_000_000_000)
    with pytest.raises(RunError, match="broken: 1 persons × 4000000000 frames do not fit into memory"):
        by_id(sample)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-1, 3)), max_size=25))
def test_grouping_loses_no_pose(poses: list[tuple[int, int]]) -> None:
    sample = Sample(
        sample_id="a",
        n_frames=6,
        frame=np.array([frame for frame, _ in poses], np.uint32),
        person=np.array([person for _, person in poses], np.int64),
        keypoints=np.arange(len(poses) * 3, dtype=np.float32).reshape(-1, 1, 3),
        score=None,
        targets={},
        segments=(),
        meta={},
    )
    for group in (by_id, by_position):
        prepared = group(sample)
        assert sorted(prepared.keypoints[prepared.known].ravel()) == sorted(sample.keypoints.ravel())
        assert prepared.known.any((1, 2)).all()
