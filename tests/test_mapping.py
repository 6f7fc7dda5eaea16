from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skelbench.errors import CardError, UsageError
from skelbench.mapping import (
    JointMapping,
    apply_mapping,
    apply_to_score,
    compose,
    find_mapping,
    identity,
    loss,
    mappings_from,
    mappings_into,
    variants_of,
)
from skelbench.skeletons import Layout, layout_names, load_layout, mirror

WritesLayout = Callable[[str], str]
SEEDS = st.integers(0, 2**32 - 1)
STICK = 'joints = ["top", "left end", "right end"]\nparents = [-1, 0, 0]\npairs = [[1, 2]]\n'
NTU_TO_17 = [3, 2, 20, 1, 0, 4, 8, 5, 9, 7, 11, 12, 16, 13, 17, 14, 18]  # as in the reference, hands for wrists


def flat(name: str, joints: int) -> Layout:
    return Layout(
        name=name, joints=tuple(f"{name}{joint}" for joint in range(joints)), parents=(-1, *[0] * (joints - 1)),
        pairs=(), source="",
    )  # fmt: skip


def sources(mapping: JointMapping) -> list[int]:
    return [row[0][0] for row in mapping.rows]


def row_of(mapping: JointMapping, joint: str) -> dict[str, Fraction]:
    row = mapping.rows[mapping.target.joints.index(joint)]
    return {mapping.source.joints[place]: weight for place, weight in row}


Plan = tuple[list[int], list[list[list[int]]]]  # joints of four layouts; of each mapping of each joint its parts


@st.composite
def plans(draw: st.DrawFn, sizes: tuple[int, ...] = (1, 2, 4)) -> Plan:
    """What mappings that follow each other are made of: a source joint, a mean of several, or nothing."""
    counts = [draw(st.integers(1, 6)) for _ in range(4)]
    chain = []
    for before, after in pairwise(counts):
        size = st.sampled_from((0, *(size for size in sizes if size <= before)))
        chain.append([sorted(draw(st.permutations(range(before)))[: draw(size)]) for _ in range(after)])
    return counts, chain


def made(plan: Plan) -> tuple[JointMapping, ...]:
    counts, chain = plan
    layouts = [flat(name, count) for name, count in zip("abcd", counts, strict=True)]
    return tuple(
        JointMapping(*ends, tuple(tuple((joint, Fraction(1, len(row))) for joint in row) for row in rows))
        for ends, rows in zip(pairwise(layouts), chain, strict=True)
    )


def drawn(mapping: JointMapping, seed: int) -> np.ndarray:
    """Whole numbers, so that means of two and four are exact, some of them missing."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-1000, 1000, (2, 3, len(mapping.source.joints), 2)).astype(np.float32)
    x[rng.random(x.shape[:-1]) < 0.2] = np.nan
    return x


@given(plans(), SEEDS)
def test_one_composed_mapping_does_what_two_do(plan: Plan, seed: int) -> None:
    first, then, _ = made(plan)
    x = drawn(first, seed)
    both = apply_mapping(compose(first, then), x)
    np.testing.assert_array_equal(both, apply_mapping(then, apply_mapping(first, x)))


@given(plans(sizes=(1, 2, 3, 4)), SEEDS)
def test_with_means_of_three_they_differ_by_rounding_at_most(plan: Plan, seed: int) -> None:
    first, then, _ = made(plan)
    x = drawn(first, seed)
    both = apply_mapping(compose(first, then), x)
    np.testing.assert_allclose(both, apply_mapping(then, apply_mapping(first, x)), rtol=1e-5, atol=1e-3)


@given(plans(sizes=(1, 2, 3, 4)), SEEDS)
def test_scores_compose_exactly(plan: Plan, seed: int) -> None:
    first, then, _ = made(plan)
    score = drawn(first, seed)[..., 0]
    both = apply_to_score(compose(first, then), score)
    np.testing.assert_array_equal(both, apply_to_score(then, apply_to_score(first, score)))


@given(plans(sizes=(1, 2, 3)))
def test_composing_is_associative_and_the_identity_neutral(plan: Plan) -> None:
    a, b, c = made(plan)
    assert compose(compose(a, b), c).rows == compose(a, compose(b, c)).rows
    assert compose(identity(a.source), a).rows == a.rows == compose(a, identity(a.target)).rows


@given(plans(sizes=(1, 2, 3, 4)), SEEDS)
def test_a_joint_is_as_many_numbers_as_before_and_missing_where_a_part_is(plan: Plan, seed: int) -> None:
    mapping = made(plan)[0]
    x = drawn(mapping, seed)
    mapped = apply_mapping(mapping, x)
    assert mapped.shape == (2, 3, len(mapping.rows), 2)
    assert mapped.dtype == np.float32
    for joint, row in enumerate(mapping.rows):
        parts = [place for place, _ in row]
        lacks = np.isnan(x[..., parts, :]).any(2) if parts else np.ones((2, 3, 2), bool)
        np.testing.assert_array_equal(np.isnan(mapped[..., joint, :]), lacks)


def test_keypoints_are_not_changed_in_place() -> None:
    mapping = find_mapping(load_layout("coco17"), "smarthome17")
    x = np.ones((4, 17, 3), np.float32)
    apply_mapping(mapping, x)[:] = 0
    assert (x == 1).all()


def test_a_mean_lies_in_the_middle_and_is_as_sure_as_its_least_sure_joint() -> None:
    mapping = find_mapping(load_layout("coco17"), "openpose18")
    x, score = np.zeros((17, 2), np.float32), np.ones(17, np.float32)
    x[5], x[6], score[6] = (1, 4), (3, 8), 0.25
    assert apply_mapping(mapping, x)[1].tolist() == [2, 6]
    assert apply_to_score(mapping, score)[1] == np.float32(0.25)


def test_one_shoulder_is_no_neck() -> None:
    mapping = find_mapping(load_layout("coco17"), "openpose18")
    x = np.zeros((17, 2), np.float32)
    x[5] = np.nan
    assert np.isnan(apply_mapping(mapping, x)[1]).all()


@pytest.mark.parametrize("act", [apply_mapping, apply_to_score])
def test_arrays_of_another_layout_are_refused(act: Callable[..., np.ndarray]) -> None:
    mapping = identity(load_layout("coco17"))
    with pytest.raises(CardError, match="18 joints, expected the 17 of 'coco17'"):
        act(mapping, np.zeros((1, 18, 2)[: 3 if act is apply_mapping else 2], np.float32))


@pytest.mark.parametrize("name", layout_names())
def test_every_written_mapping_fits_its_layouts(name: str) -> None:
    for mapping in mappings_into(name):
        assert mapping.target == load_layout(name)
        assert all(sum(weight for _, weight in row) == 1 for row in mapping.rows if row)
        assert len(mapping.missing) <= 9, mapping.path


@pytest.mark.parametrize("name", layout_names())
def test_what_is_missing_tears_no_bones_apart(name: str) -> None:
    for mapping in mappings_from(load_layout(name)):
        for joint, parent in enumerate(mapping.target.parents):
            whole = parent < 0 or bool(mapping.rows[parent]) or not mapping.rows[joint]
            assert whole, f"{mapping.path}: {mapping.target.joints[joint]}"


@pytest.mark.parametrize("name", layout_names())
def test_a_mapping_takes_a_mirrored_body_to_the_mirrored_body(name: str) -> None:
    for mapping in mappings_from(load_layout(name)):
        before, after = mirror(mapping.source), mirror(mapping.target)
        for joint, row in enumerate(mapping.rows):
            mirrored = {(int(before[place]), weight) for place, weight in row}
            assert mirrored == set(mapping.rows[after[joint]]), f"{mapping.path}: {mapping.target.joints[joint]}"


@pytest.mark.parametrize("name", layout_names())
def test_a_layout_is_itself_without_loss(name: str) -> None:
    layout = load_layout(name)
    mapping = find_mapping(layout, name)
    assert mapping == identity(layout)
    assert mapping.exact
    assert loss(mapping) == f"{name} -> {name}: every joint of both"


@pytest.mark.parametrize("name", sorted(set(layout_names()) - {"mixamo", "vicon39", "mediapipe33"}))
@pytest.mark.parametrize("source", layout_names())
def test_every_layout_becomes_every_other(source: str, name: str) -> None:
    """But for the whole rig, the markers and the points of faces and hands, which nothing else knows enough for."""
    assert find_mapping(load_layout(source), name).target == load_layout(name)


def test_ntu_becomes_17_as_in_use_with_a_variant_for_wrists() -> None:
    layout = load_layout("kinect_v2")
    hands, wrists = find_mapping(layout, "smarthome17"), find_mapping(layout, "smarthome17", "wrists")
    assert sources(hands) == NTU_TO_17
    assert sources(wrists) == [*NTU_TO_17[:9], 6, 10, *NTU_TO_17[11:]]
    assert hands.digest != wrists.digest
    assert variants_of("smarthome17") == {"wrists": ("kinect_v2",)}


def test_lcrnet_becomes_17_as_unik_makes_them() -> None:
    mapping = find_mapping(load_layout("lcrnet13"), "smarthome17")
    half, quarter = Fraction(1, 2), Fraction(1, 4)
    assert row_of(mapping, "head") == {"head": 1}
    assert row_of(mapping, "nose") == {"head": half, "left shoulder": quarter, "right shoulder": quarter}
    assert row_of(mapping, "neck") == {"left shoulder": half, "right shoulder": half}
    assert set(row_of(mapping, "chest").values()) == {quarter}
    assert row_of(mapping, "mid hip") == {"left hip": half, "right hip": half}
    assert row_of(mapping, "left ankle") == {"left ankle": 1}
    assert (mapping.missing, mapping.unused) == ((), ())


def test_ai_hubs_first_17_are_cocos() -> None:
    assert sources(find_mapping(load_layout("aihub24"), "coco17")) == list(range(17))


def test_penns_sides_are_swapped_since_they_are_the_viewers() -> None:
    mapping = find_mapping(load_layout("penn13"), "lcrnet13")
    assert row_of(mapping, "left wrist") == {"right wrist": 1}
    back = compose(find_mapping(load_layout("lcrnet13"), "penn13"), mapping)
    assert back.rows == identity(load_layout("lcrnet13")).rows


def test_both_kinects_know_the_twenty_joints_of_the_first() -> None:
    first, second = load_layout("kinect_v1"), load_layout("kinect_v2")
    there = find_mapping(first, "kinect_v2")
    assert there.missing == ("left hand tip", "left thumb", "right hand tip", "right thumb")
    assert compose(there, find_mapping(second, "kinect_v1")).rows == identity(first).rows


def test_openpose_and_coco_know_each_other() -> None:
    coco = load_layout("coco17")
    there = find_mapping(coco, "openpose18")
    assert there.means == ("neck",)
    assert compose(there, find_mapping(load_layout("openpose18"), "coco17")).rows == identity(coco).rows


def test_a_mapping_may_be_composed_of_others_and_says_so() -> None:
    mapping = find_mapping(load_layout("openpose18"), "smarthome17")
    assert mapping.path == "openpose18 -> coco17 -> smarthome17"
    assert row_of(mapping, "neck") == {"left shoulder": Fraction(1, 2), "right shoulder": Fraction(1, 2)}
    assert loss(mapping) == (
        "openpose18 -> coco17 -> smarthome17: 4 averaged (nose, neck, chest, mid hip); 5 unused (neck, right eye, "
        "left eye, right ear, left ear)"
    )


def test_without_a_mapping_the_joints_that_lack_are_named() -> None:
    with pytest.raises(
        UsageError, match=r"No mapping from the layout 'kinect_v2' to 'mixamo': 'kinect_v2' lacks 'hips'"
    ):
        find_mapping(load_layout("kinect_v2"), "mixamo")


def test_an_unknown_layout_or_variant_names_the_nearest() -> None:
    layout = load_layout("kinect_v2")
    with pytest.raises(CardError, match="Did you mean 'coco17'"):
        find_mapping(layout, "coco")
    with pytest.raises(UsageError, match=r"'smarthome17' has no variant 'wrist'\. Did you mean 'wrists'"):
        find_mapping(layout, "smarthome17", "wrist")
    with pytest.raises(UsageError, match="'wrists' of the layout 'smarthome17' is for kinect_v2, not for 'coco17'"):
        find_mapping(load_layout("coco17"), "smarthome17", "wrists")


def test_what_does_not_follow_is_not_composed() -> None:
    with pytest.raises(CardError, match="A mapping to 'coco17' is not followed by one from 'kinect_v2'"):
        compose(identity(load_layout("coco17")), identity(load_layout("kinect_v2")))


@pytest.fixture
def written(tmp_path: Path) -> WritesLayout:
    """A layout of one's own, by path."""

    def write(text: str, name: str = "stick") -> str:
        path = tmp_path / f"{name}.toml"
        path.write_text(STICK + text)
        return str(path)

    return write


def test_a_layout_of_ones_own_is_named_by_its_path(written: WritesLayout) -> None:
    path = written('[from.coco17]\ntop = ["left ear", "right ear"]\n"* end" = "* ankle"\n')
    mapping = find_mapping(load_layout("coco17"), path)
    assert row_of(mapping, "right end") == {"right ankle": 1}
    assert find_mapping(load_layout("openpose18"), path).via == ("coco17",)
    assert find_mapping(load_layout("aihub24"), path).means == ("top",)


def test_a_layout_that_skelbench_does_not_bring_goes_by_names(written: WritesLayout) -> None:
    mine = Layout(
        name="mine", joints=("tail", *load_layout("coco17").joints), parents=(-1, *[0] * 17), pairs=(), source=""
    )
    assert sources(find_mapping(mine, "coco17")) == list(range(1, 18))
    assert find_mapping(mine, "smarthome17").path == "mine -> coco17 -> smarthome17"
    assert find_mapping(mine, written('[from.mine]\ntop = "tail"\n')).missing == ("left end", "right end")


def test_another_layout_of_a_known_name_does_not_pass_for_it() -> None:
    other = Layout(name="kinect_v2", joints=("a", "b"), parents=(-1, 0), pairs=(), source="")
    with pytest.raises(UsageError, match="'kinect_v2' lacks 'nose'"):
        find_mapping(other, "coco17")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('[from.coco17]\nbottom = "nose"', "'bottom' is no joint of 'stick'. Known: left end, right end, top"),
        ('[from.coco17]\ntop = "noze"', "'top' is made of 'noze', no joint of 'coco17'. Did you mean 'nose'"),
        ('[from.coco17]\n"* end" = "* end"', "'\\* end' fits no joint of 'stick' that 'coco17' has"),
        ("[from.coco17]\ntop = 3", "'top' is 3, expected the name of a joint or a list of names"),
        ('[from.coco17]\ntop = ["nose", 3]', "expected the name of a joint or a list of names"),
        ('[from]\ncoco17 = "nose"', r"expected tables such as \[from.coco17\]"),
        ('[variants]\nodd = "nose"', r"expected tables such as \[from.coco17\]"),
    ],
)
def test_a_wrong_mapping_says_where_and_what(written: WritesLayout, table: str, words: str) -> None:
    with pytest.raises(CardError, match=words) as caught:
        find_mapping(load_layout("coco17"), written(table))
    assert "stick.toml" in str(caught.value)


def test_an_empty_list_keeps_a_joint_missing(written: WritesLayout) -> None:
    path = written('[from.coco17]\ntop = "nose"\n"left end" = []\n"* end" = "* wrist"\n')
    assert find_mapping(load_layout("coco17"), path).missing == ("left end",)


def test_the_digest_tells_mappings_apart_by_what_they_do(written: WritesLayout) -> None:
    coco = load_layout("coco17")
    one, same, other = (
        find_mapping(coco, written(f"[from.coco17]\ntop = {value}", name))
        for value, name in (('"nose"', "one"), ('["nose"]', "same"), ('"left eye"', "other"))
    )
    assert one.digest == same.digest
    assert one.digest != other.digest
