from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelbench.errors import RecipeError, RunError
from skelbench.prepare import prepare
from skelbench.prepare.link import link
from skelbench.prepare.run import check_prepare
from skelbench.sample import Sample


def seen(places: list[list[float]], *, channels: int = 2, joints: int = 3) -> Sample:
    """For each frame detections without identity, every joint of each at one place."""
    frame = np.repeat(np.arange(len(places)), [len(found) for found in places])
    flat = np.array([place for found in places for place in found], np.float32)
    return Sample(
        sample_id="a",
        n_frames=len(places),
        frame=frame.astype(np.uint32),
        person=np.full(len(frame), -1),
        keypoints=np.broadcast_to(flat[:, None, None], (len(frame), joints, channels)).copy(),
        score=None,
        targets={},
        segments=(),
        meta={},
    )


def paths(sample: Sample, most: float, gap: int = 20) -> list[list[float]]:
    """Of each person the place in every frame; -1 where it is missing."""
    return np.nan_to_num(link(sample, most, gap).keypoints[:, :, 0, 0], nan=-1).tolist()


def test_people_keep_their_identity_when_the_detector_changes_their_order() -> None:
    assert paths(seen([[10, 50], [52, 11], [12, 54]]), 10.0) == [[10, 11, 12], [50, 52, 54]]


def test_who_is_too_far_away_is_somebody_else() -> None:
    assert paths(seen([[10], [60], [61]]), 10.0) == [[10, -1, -1], [-1, 60, 61]]


def test_the_nearest_go_together_first() -> None:
    assert paths(seen([[10, 20], [19]]), 100.0) == [[10, -1], [20, 19]]


def test_a_person_may_be_missing_for_a_while() -> None:
    assert paths(seen([[10], [], [], [12]]), 10.0, 3) == [[10, -1, -1, 12]]
    assert paths(seen([[10], [], [], [12]]), 10.0, 2) == [[10, -1, -1, -1], [-1, -1, -1, 12]]


def test_the_distance_is_that_in_the_image_where_there_is_one_beside_space() -> None:
    sample = seen([[10], [11]], channels=5)
    sample.keypoints[1, :, 2:] = 1000
    assert len(link(sample, 3.0).keypoints) == 1
    assert len(link(replace(sample, keypoints=sample.keypoints[..., 2:]), 3.0).keypoints) == 2


def test_missing_joints_do_not_count() -> None:
    sample = seen([[10], [11]])
    sample.keypoints[0, 0] = np.nan
    sample.keypoints[1, 1] = 900, np.nan
    assert len(link(sample, 3.0).keypoints) == 1
    sample.keypoints[1] = np.nan
    assert len(link(sample, 3.0).keypoints) == 2


def test_poses_with_an_id_keep_it() -> None:
    sample = seen([[10], [10], [10]])
    assert len(link(replace(sample, person=np.array([7, 8, 7])), 5.0).keypoints) == 2
    assert len(link(replace(sample, person=np.array([7, -1, -1])), 5.0).keypoints) == 2


def test_it_is_a_step_of_a_prepare_list() -> None:
    assert check_prepare(["link:80", "select-energy:2"]) == ("link:80", "select-energy:2")
    sample = seen([[10, 50], [52, 11], [12, 54]])
    assert prepare(sample, ["link:10,5", "first:1"]).keypoints[0, :, 0, 0].tolist() == [10, 11, 12]


@pytest.mark.parametrize("step", ["link:0", "link:-3", "link:nan", "link:inf", "link:5,0"])
def test_distances_and_gaps_that_make_no_sense_are_refused(step: str) -> None:
    with pytest.raises(RecipeError, match="expected numbers above 0"):
        prepare(seen([[1]]), [step])


def test_more_detections_than_can_be_compared_are_refused() -> None:
    with pytest.raises(RunError, match="a: link: 1001 persons and 1001 detections at once"):
        link(seen([list(range(1001))] * 2, joints=1), 1.0)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(st.floats(-(2.0**100), 2.0**100, width=32), max_size=4), max_size=6))
def test_no_detection_is_lost(places: list[list[float]]) -> None:
    sample = seen(places, joints=1)
    linked = link(sample, 5.0)
    assert sorted(linked.keypoints[linked.known].ravel()) == sorted(sample.keypoints.ravel())
    assert linked.known.any((1, 2)).all()
