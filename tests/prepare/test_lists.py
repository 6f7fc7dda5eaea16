from dataclasses import replace

import numpy as np
import pytest

from skelbench.errors import RecipeError
from skelbench.prepare import check_prepare, person_slots, prepare
from skelbench.prepare.run import LISTS


def test_a_list_without_a_grouping_step_begins_by_id() -> None:
    assert check_prepare(["clip"]) == ("by-id", "clip")
    assert check_prepare([]) == ("by-id",)


@pytest.mark.parametrize("name", sorted(LISTS))
def test_a_named_list_stands_for_its_steps(name: str) -> None:
    assert check_prepare([name, "drop-empty"]) == (*LISTS[name], "drop-empty")


def test_an_unknown_step_is_refused_with_the_nearest() -> None:
    with pytest.raises(RecipeError, match=r"no step 'center-first' .*Did you mean 'centre-first'\?.*stgcn"):
        check_prepare(["by-id", "center-first:1"])


def test_only_the_first_step_groups() -> None:
    with pytest.raises(RecipeError, match="'by-position' groups poses to persons, which only the first step does"):
        check_prepare(["by-id", "by-position"])


@pytest.mark.parametrize("step", ["centre-first", "centre-first:x", "centre-first:1,2", "by-id:1", "clip:1"])
def test_wrong_arguments_are_refused(step: str) -> None:
    with pytest.raises(RecipeError, match=f"Step '{step}'"):
        check_prepare([step])


def test_the_narrowest_step_says_how_many_person_slots_there_are() -> None:
    assert person_slots(["by-id"], 6) == 6
    assert person_slots(["by-position", "first:4", "select-energy:2"], 6) == 2
    assert person_slots(["ctr"], 6) == person_slots(["ctr-denoise", "box"], 6) == 2
    assert person_slots(["ctr-denoise"], 1) == 1
    assert person_slots(["by-id", "first:1", "copy-lone"], 6) == 2
    assert person_slots(["by-id", "copy-lone"], 6) == 6


def test_steps_are_taken_in_order(make_sample) -> None:
    sample = make_sample("a", [0, 1, 3], [1, 1, 2])
    prepared = prepare(sample, ["by-id", "drop-empty", "first:1", "screen"])
    assert prepared.keypoints.shape == (1, 3, 13, 2)
    assert prepared.frame.tolist() == [0, 1, 3]
    np.testing.assert_allclose(prepared.keypoints[0, 0, :, 0], sample.keypoints[0, :, 0] / 100 - 1, atol=1e-6)


def test_an_error_in_a_step_names_the_sample(make_sample) -> None:
    with pytest.raises(RecipeError, match="sample clip7: A step centres on joint 20"):
        prepare(make_sample("clip7", [0], [0]), ["centre-each:20"])


@pytest.mark.parametrize("n_frames", [0, 5])
def test_a_sample_without_poses_survives_every_step(make_sample, n_frames: int) -> None:
    everything = ["select-energy:2", "first:1", "centre-first:1", "centre-each:1", "centre-path:1"]
    everything += ["screen", "box", "clip", "close-up", "even-out:9", "copy-lone", "drop-empty"]
    prepared = prepare(make_sample("a", [], [], n_frames=n_frames), everything)
    assert prepared.keypoints.shape == (0, 0, 13, 2)


@pytest.mark.parametrize("name", sorted(LISTS))
@pytest.mark.parametrize("n_frames", [0, 5])
def test_a_recording_without_bodies_survives_every_named_list(make_sample, name: str, n_frames: int) -> None:
    sample = replace(
        make_sample("a", [], [], n_frames=n_frames), keypoints=np.zeros((0, 25, 3), np.float32), score=None
    )
    assert prepare(sample, [name, "copy-lone"]).keypoints.shape[0] == 0
