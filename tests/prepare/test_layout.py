from pathlib import Path

import numpy as np
import pytest

from skelbench.errors import CardError, RecipeError, UsageError
from skelbench.mapping import apply_mapping, apply_to_score, find_mapping
from skelbench.prepare import check_prepare, person_slots, prepare, prepare_set, prepared_layout
from skelbench.skeletons import load_layout

PENN = load_layout("penn13")


def test_the_step_makes_the_joints_and_scores_of_the_layout(make_sample) -> None:
    sample = make_sample("a", [0, 1, 3], [1, 1, 2])
    before, after = (prepare(sample, ["by-id", *more], PENN) for more in ([], ["layout:coco17"]))
    mapping = find_mapping(PENN, "coco17")
    np.testing.assert_array_equal(after.keypoints, apply_mapping(mapping, before.keypoints))
    assert before.score is not None
    assert after.score is not None
    np.testing.assert_array_equal(after.score, apply_to_score(mapping, before.score))
    assert after.keypoints.shape == (2, 4, 17, 2)
    assert after.frame.tolist() == before.frame.tolist()


def test_steps_before_it_count_the_joints_of_the_data_and_steps_after_it_those_of_the_layout(make_sample) -> None:
    sample = make_sample("a", [0, 1], [1, 1])
    before = prepare(sample, ["centre-each:2", "layout:coco17"], PENN).keypoints
    after = prepare(sample, ["layout:coco17", "centre-each:5"], PENN).keypoints  # Penn's right is the left shoulder
    np.testing.assert_array_equal(before, after)
    with pytest.raises(RecipeError, match="joint 16"):
        prepare(sample, ["centre-each:16", "layout:coco17"], PENN)
    assert prepare(sample, ["layout:coco17", "centre-each:16"], PENN).keypoints.shape[2] == 17


def test_several_such_steps_follow_each_other(make_sample) -> None:
    steps = ["layout:coco17", "layout:lcrnet13"]
    assert prepared_layout(steps, PENN) == load_layout("lcrnet13")
    assert prepare(make_sample("a", [0], [1]), steps, PENN).keypoints.shape[2] == 13


@pytest.mark.parametrize("n_frames", [0, 5])
def test_a_sample_without_poses_survives_it(make_sample, n_frames: int) -> None:
    prepared = prepare(make_sample("a", [], [], n_frames=n_frames), ["layout:coco17"], PENN)
    assert prepared.keypoints.shape == (0, n_frames, 17, 2)


def test_it_says_what_it_needs(make_sample) -> None:
    sample = make_sample("a", [0], [1])
    with pytest.raises(RecipeError, match="the step 'layout' needs to know whose joints it is given"):
        prepare(sample, ["layout:coco17"])
    with pytest.raises(RecipeError, match="Step 'layout': 0 arguments, expected target, variant"):
        check_prepare(["layout"])
    with pytest.raises(CardError, match="Did you mean 'coco17'"):
        prepare(sample, ["layout:coco71"], PENN)
    with pytest.raises(UsageError, match="'penn13' lacks 'left front head'"):
        prepare(sample, ["layout:vicon39"], PENN)


def test_it_leaves_the_person_slots_alone() -> None:
    assert person_slots(["by-position", "first:4", "layout:coco17"], 6) == 4


@pytest.mark.parametrize("cached", [False, True])
def test_a_set_has_rows_of_the_new_joints(make_sample, make_store, tmp_path: Path, cached: bool) -> None:
    store = make_store([make_sample("a", [0, 1], [1, 1]), make_sample("b", [], [], n_frames=3)])
    prepared = prepare_set(store, [0, 1], ["by-id", "layout:coco17"], tmp_path / "cache" if cached else None)
    assert prepared.keypoints.shape == (3, 2, 17)
    np.testing.assert_array_equal(
        prepared.keypoints[:2].transpose(0, 2, 1), prepare(store["a"], ["layout:coco17"], PENN).keypoints[0]
    )


def test_the_cache_keeps_layouts_apart_and_sees_a_mapping_change(make_sample, make_store, tmp_path: Path) -> None:
    store, cache = make_store([make_sample("a", [0, 1], [1, 1])]), tmp_path / "cache"
    mine = tmp_path / "two.toml"
    text = 'joints = ["top", "end"]\nparents = [-1, 0]\npairs = []\n[from.penn13]\ntop = "head"\nend = "{}"\n'
    found = []
    for wrist in ("left wrist", "right wrist"):
        mine.write_text(text.format(wrist))
        found.append(prepare_set(store, [0], ["by-id", f"layout:{mine}"], cache).keypoints[:2])
    prepare_set(store, [0], ["by-id"], cache)
    assert len(list(cache.iterdir())) == 3
    np.testing.assert_array_equal(found[0][..., 0], found[1][..., 0])
    assert (found[0][..., 1] != found[1][..., 1]).all()
