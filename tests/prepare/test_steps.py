from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from skelbench.errors import RecipeError
from skelbench.prepare.prepared import Prepared
from skelbench.prepare.steps import (
    STEPS,
    box,
    centre_each,
    centre_first,
    centre_path,
    clip,
    close_up,
    copy_lone,
    drop_empty,
    even_out,
    first,
    rotate,
    screen,
    select_energy,
)

ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "first": (2,),
    "select-energy": (2,),
    "centre-first": (1,),
    "centre-each": (1,),
    "centre-path": (1,),
    "even-out": (4,),
    "rotate": (0, 1, 2, 0),
}
COORDINATES = st.one_of(st.just(np.nan), st.floats(-8, 8, width=16).map(lambda value: round(value, 2)))


def prepared_of(keypoints: Any, **meta: Any) -> Prepared:
    array = np.asarray(keypoints, np.float32)
    return Prepared(array, None, np.arange(array.shape[1]), {"width": 200, "height": 100, **meta})


@st.composite
def prepareds(draw: st.DrawFn) -> Prepared:
    shape = (draw(st.integers(0, 3)), draw(st.integers(0, 5)), 3, draw(st.integers(2, 3)))
    values = draw(arrays(np.float64, shape, elements=COORDINATES)).astype(np.float32)
    values[np.isnan(values).any(-1)] = np.nan  # a joint is there or not
    values[draw(arrays(bool, shape[:2]))] = np.nan
    return prepared_of(values)


def any_point(prepared: Prepared) -> bool:
    """Whether a pose has all its joints at one place: at 0, that means that nobody was seen."""
    spread = np.nanmax(prepared.keypoints, 2, initial=-9) - np.nanmin(prepared.keypoints, 2, initial=9)
    return bool((spread == 0).all(-1).any())


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@settings(deadline=None, max_examples=40)
@given(prepareds(), st.sampled_from(sorted(STEPS)))
def test_no_step_changes_its_input_or_invents_a_joint(prepared: Prepared, name: str) -> None:
    assume(name != "rotate" or prepared.keypoints.shape[3] == 3)
    before = prepared.keypoints.copy()
    after = STEPS[name](prepared, *ARGUMENTS.get(name, ()))
    assert np.array_equal(prepared.keypoints, before, equal_nan=True)
    assert after.keypoints.dtype == np.float32
    assert after.keypoints.shape[1] == len(after.frame)
    assert (np.diff(after.frame) > 0).all()
    assert not np.isinf(after.keypoints).any()
    if name not in ("even-out", "copy-lone"):  # which repeat
        assert after.known.sum() <= prepared.known.sum()
    if name not in ("first", "select-energy", "even-out", "copy-lone", "close-up"):
        assert after.known.sum() == prepared.known.sum()


@settings(deadline=None, max_examples=60)
@given(
    prepareds(),
    st.sampled_from(
        ["first", "select-energy", "centre-first", "centre-each", "box", "clip", "drop-empty", "close-up", "copy-lone"],
    ),
)
def test_a_step_taken_twice_is_taken_once(prepared: Prepared, name: str) -> None:
    assume(not (name == "centre-first" and any_point(prepared)))  # which lies at 0 after the first time
    once = STEPS[name](prepared, *ARGUMENTS.get(name, ()))
    twice = STEPS[name](once, *ARGUMENTS.get(name, ()))
    np.testing.assert_allclose(twice.keypoints, once.keypoints, atol=1e-4)


@settings(deadline=None, max_examples=40)
@given(prepareds(), st.sampled_from(["centre-first", "centre-path", "clip", "box"]))
def test_centring_forgets_where_the_camera_stood(prepared: Prepared, name: str) -> None:
    assume(not any_point(prepared))
    moved = replace(prepared, keypoints=prepared.keypoints + np.float32(4))
    step: Callable[..., Prepared] = STEPS[name]
    one, other = (step(sample, *ARGUMENTS.get(name, ())).keypoints for sample in (prepared, moved))
    np.testing.assert_allclose(one, other, atol=1e-3)


def test_first_keeps_the_first_persons_and_their_scores() -> None:
    prepared = replace(prepared_of(drawn(3, 4, 5, 3)), score=drawn(3, 4, 5))
    kept = first(prepared, 2)
    assert np.array_equal(kept.keypoints, prepared.keypoints[:2])
    assert kept.score is not None
    assert prepared.score is not None
    assert np.array_equal(kept.score, prepared.score[:2])
    assert len(first(prepared, 9).keypoints) == 3


@pytest.mark.parametrize("step", [first, select_energy])
def test_keeping_nobody_is_refused(step: Callable[[Prepared, int], Prepared]) -> None:
    with pytest.raises(RecipeError, match="keeps 0 persons; expected 1 or more"):
        step(prepared_of(drawn(1, 2, 3, 3)), 0)


def test_energy_is_the_sum_of_standard_deviations_over_what_is_seen() -> None:
    keypoints = drawn(3, 10, 4, 3) * np.array([1, 3, 2], np.float32)[:, None, None, None]
    keypoints[1, 5:] = np.nan
    energies = [np.nanstd(person, axis=(0, 1), dtype=np.float64).sum() for person in keypoints]
    order = np.argsort(energies)[::-1]
    kept = select_energy(prepared_of(keypoints), 2).keypoints
    assert np.array_equal(kept, keypoints[order[:2]], equal_nan=True)
    assert order[0] == 1


def test_equal_energies_keep_the_order_of_appearance() -> None:
    person = drawn(1, 6, 4, 3)
    keypoints = np.concatenate([person, person + 100, person])
    kept = select_energy(prepared_of(keypoints), 2).keypoints
    assert np.array_equal(kept[0], keypoints[0])


def test_a_person_of_whom_nothing_is_seen_has_no_energy() -> None:
    keypoints = drawn(2, 6, 4, 3)
    keypoints[0] = np.nan
    assert np.array_equal(select_energy(prepared_of(keypoints), 1).keypoints[0], keypoints[1])


def test_centre_first_takes_the_first_frame_in_which_the_first_person_is_seen() -> None:
    keypoints = drawn(2, 5, 4, 3)
    keypoints[0, :2] = np.nan
    centred = centre_first(prepared_of(keypoints), 1).keypoints
    np.testing.assert_array_equal(centred[0, 2, 1], 0)
    np.testing.assert_array_equal(centred[1], keypoints[1] - keypoints[0, 2, 1])


def test_where_that_frame_lacks_the_joint_the_next_one_that_shows_it_is_taken() -> None:
    keypoints = drawn(1, 5, 4, 3)
    keypoints[0, :3, 1] = np.nan
    np.testing.assert_array_equal(centre_first(prepared_of(keypoints), 1).keypoints[0, 3, 1], 0)


def test_a_person_who_never_shows_the_joint_is_centred_on_what_is_seen() -> None:
    keypoints = drawn(1, 5, 4, 3)
    keypoints[0, :, 1] = np.nan
    centred = centre_first(prepared_of(keypoints), 1).keypoints
    np.testing.assert_allclose(np.nanmean(centred[0, 0], 0), 0, atol=1e-6)


def test_centre_each_puts_both_persons_on_the_joint_of_the_first() -> None:
    keypoints = drawn(2, 3, 4, 3)
    keypoints[0, 1] = np.nan
    centred = centre_each(prepared_of(keypoints), 2).keypoints
    np.testing.assert_array_equal(centred[1, 0], keypoints[1, 0] - keypoints[0, 0, 2])
    np.testing.assert_array_equal(centred[1, 1], keypoints[1, 1])  # nothing to centre on: left where it is


def test_centre_path_parts_posture_from_travel() -> None:
    posture, travel = drawn(1, 1, 4, 3), drawn(1, 6, 1, 3, seed=1)
    centred = centre_path(prepared_of(posture + travel), 1).keypoints
    others = [0, 2, 3]
    expected = np.broadcast_to((posture - posture[:, :, 1:2])[:, :, others], (1, 6, 3, 3))
    np.testing.assert_allclose(centred[:, :, others], expected, atol=1e-5)
    np.testing.assert_allclose(centred[0, :, 1], travel[0, :, 0] - travel[0, 0, 0], atol=1e-5)


def test_centre_path_keeps_the_distance_of_two_people() -> None:
    keypoints = drawn(2, 6, 4, 3)
    centred = centre_path(prepared_of(keypoints), 1).keypoints
    np.testing.assert_allclose(centred[1, :, 1] - centred[0, :, 1], keypoints[1, :, 1] - keypoints[0, :, 1], atol=1e-5)


def test_centre_path_holds_the_place_of_a_joint_that_is_lost() -> None:
    keypoints = drawn(1, 4, 4, 3)
    keypoints[0, [0, 2], 1] = np.nan
    centred = centre_path(prepared_of(keypoints), 1).keypoints
    assert np.isnan(centred[0, [0, 2], 1]).all()
    np.testing.assert_array_equal(centred[0, 2, 3], keypoints[0, 2, 3] - keypoints[0, 1, 1])
    np.testing.assert_array_equal(centred[0, 0, 3], keypoints[0, 0, 3] - keypoints[0, 1, 1])


def test_a_person_of_whom_nothing_is_seen_stays_missing() -> None:
    keypoints = drawn(2, 4, 4, 3)
    alone = centre_path(prepared_of(keypoints[1:]), 1).keypoints
    keypoints[0] = np.nan
    centred = centre_path(prepared_of(keypoints), 1).keypoints
    assert np.isnan(centred[0]).all()
    assert np.array_equal(centred[1], alone[0])


@pytest.mark.parametrize("step", [centre_first, centre_each, centre_path])
@pytest.mark.parametrize("joint", [-1, 4])
def test_a_joint_that_the_layout_lacks_is_refused(step: Callable[[Prepared, int], Prepared], joint: int) -> None:
    with pytest.raises(RecipeError, match=f"joint {joint}; the layout has the joints 0 to 3"):
        step(prepared_of(drawn(1, 2, 4, 3)), joint)


def test_screen_puts_the_image_between_its_edges() -> None:
    corners = prepared_of([[[[0, 0], [200, 100], [100, 50]]]])
    np.testing.assert_allclose(screen(corners).keypoints[0, 0], [[-1, -0.5], [1, 0.5], [0, 0]], atol=1e-6)


@pytest.mark.parametrize("meta", [{}, {"width": 200}, {"width": 0, "height": 3}, {"width": "wide", "height": 3}])
def test_screen_says_that_it_needs_the_size_of_the_image(meta: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match="needs image coordinates and the columns width and height"):
        screen(replace(prepared_of(drawn(1, 2, 3, 2)), meta=meta))


def test_box_fits_what_is_seen_between_minus_one_and_one() -> None:
    keypoints = drawn(2, 5, 4, 2) * np.array([3, 1], np.float32)
    keypoints[0, 0, 0] = np.nan
    boxed = box(prepared_of(keypoints)).keypoints
    assert np.nanmin(boxed[..., 0]) == pytest.approx(-1, abs=1e-5)
    assert np.nanmax(boxed[..., 0]) == pytest.approx(1, abs=1e-5)
    assert np.nanmin(boxed[..., 1]) == pytest.approx(-np.nanmax(boxed[..., 1]), abs=1e-5)


def test_clip_leaves_mean_zero_and_mean_square_distance_one() -> None:
    keypoints = drawn(2, 5, 4, 2) * 30 + 200
    keypoints[1, 2] = np.nan
    seen = clip(prepared_of(keypoints)).keypoints.reshape(-1, 2)
    seen = seen[~np.isnan(seen).any(1)]
    np.testing.assert_allclose(seen.mean(0), 0, atol=1e-5)
    assert (seen**2).sum(1).mean() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("step", [box, clip])
def test_a_sample_without_extent_is_only_shifted(step: Callable[[Prepared], Prepared]) -> None:
    np.testing.assert_allclose(step(prepared_of(np.full((1, 3, 2, 2), 100.1))).keypoints, 0, atol=1e-5)


def test_drop_empty_keeps_frames_and_their_numbers() -> None:
    keypoints = drawn(2, 5, 3, 2)
    keypoints[:, [0, 3]] = np.nan
    kept = drop_empty(replace(prepared_of(keypoints), score=drawn(2, 5, 3)))
    assert kept.frame.tolist() == [1, 2, 4]
    assert kept.keypoints.shape == (2, 3, 3, 2)
    assert kept.score is not None
    assert kept.score.shape == (2, 3, 3)


def test_frames_in_which_all_joints_are_at_zero_neither_centre_nor_count() -> None:
    keypoints = drawn(2, 5, 4, 3)
    padded = np.concatenate([np.zeros((2, 3, 4, 3)), keypoints], 1)
    centred = centre_first(prepared_of(padded), 1).keypoints
    np.testing.assert_array_equal(centred[:, 3:], centre_first(prepared_of(keypoints), 1).keypoints)
    np.testing.assert_array_equal(
        select_energy(prepared_of(padded), 2).keypoints[:, 3:], select_energy(prepared_of(keypoints), 2).keypoints
    )
    nowhere = prepared_of(np.zeros((1, 2, 4, 3)))
    np.testing.assert_array_equal(centre_first(nowhere, 1).keypoints, 0)


def test_close_up_moves_those_who_come_late_to_the_front() -> None:
    keypoints = drawn(3, 6, 4, 3)
    keypoints[0, [0, 3]] = np.nan
    keypoints[1, [2, 4]] = np.nan
    keypoints[2] = np.nan
    sample = replace(prepared_of(keypoints), score=keypoints[..., 0])
    closed = close_up(sample)
    assert np.array_equal(closed.keypoints[0, :4], keypoints[0, [1, 2, 4, 5]])
    assert np.isnan(closed.keypoints[0, 4:]).all()
    assert np.array_equal(closed.keypoints[1:], keypoints[1:], equal_nan=True)  # there from the start, and never there
    assert closed.score is not None
    assert np.array_equal(closed.score, closed.keypoints[..., 0], equal_nan=True)


def test_close_up_takes_joints_at_zero_for_missing() -> None:
    keypoints = drawn(1, 4, 4, 3)
    keypoints[0, :2], keypoints[0, 3, 1] = 0, 0
    closed = close_up(prepared_of(keypoints)).keypoints
    assert np.array_equal(closed[0, 0], keypoints[0, 2])
    assert np.isnan(closed[0, 1, 1]).all()
    assert np.isnan(closed[0, 2:]).all()


def test_people_who_end_together_are_even() -> None:
    keypoints = drawn(3, 6, 4, 3)
    keypoints[:, 5], keypoints[0, 2], keypoints[2] = np.nan, np.nan, np.nan
    sample = prepared_of(keypoints)
    assert even_out(sample, 9) is sample


@pytest.mark.parametrize("frames", [1, 6, 17])
def test_people_who_end_apart_are_replayed_each_from_the_start(frames: int) -> None:
    keypoints = drawn(2, 6, 4, 3)
    keypoints[1, 4:] = np.nan
    evened = even_out(prepared_of(keypoints), frames)
    count = max(frames, 6)
    assert evened.frame.tolist() == list(range(count))
    assert np.array_equal(evened.keypoints[0], keypoints[0, np.arange(count) % 6])
    assert np.array_equal(evened.keypoints[1], keypoints[1, np.arange(count) % 4])


def test_evened_people_are_seen_to_the_end_though_they_have_gaps() -> None:
    keypoints = drawn(2, 6, 4, 3)
    keypoints[1, [1, 2, 4, 5]] = np.nan  # seen in 0 and 3: of every four frames the second and third are missing
    evened = even_out(prepared_of(keypoints), 10).keypoints  # frame 9 is the second of four
    assert evened.shape[1] == 12
    assert np.array_equal(evened[1], keypoints[1, np.arange(12) % 4], equal_nan=True)


@pytest.mark.parametrize("frames", [0, -3, 10**9])
def test_absurd_numbers_of_frames_are_refused(frames: int) -> None:
    with pytest.raises(RecipeError, match=f"even-out: {frames} frames, expected 1 to 100,000"):
        even_out(prepared_of(drawn(2, 3, 4, 3)), frames)


@pytest.mark.parametrize(("persons", "after"), [(0, 0), (1, 2), (2, 2), (3, 3)])
def test_a_lone_body_is_copied_into_the_second_slot(persons: int, after: int) -> None:
    keypoints = drawn(persons, 3, 4, 3)
    copied = copy_lone(prepared_of(keypoints)).keypoints
    assert len(copied) == after
    for person in copied[:2]:
        assert any(np.array_equal(person, one) for one in keypoints)


def test_rotate_points_the_spine_up_and_then_the_shoulders_along_x() -> None:
    keypoints = drawn(2, 4, 5, 3)
    keypoints[0, 0] = np.nan  # the bones are those of the first frame in which the first person is seen
    turned = rotate(prepared_of(keypoints), 0, 1, 3, 2).keypoints
    shoulders = turned[0, 1, 3] - turned[0, 1, 2]
    np.testing.assert_allclose(shoulders / np.linalg.norm(shoulders), [1, 0, 0], atol=1e-6)
    upright = rotate(prepared_of(keypoints), 0, 1, 0, 0).keypoints  # no second bone: its ends are one joint
    spine = upright[0, 1, 1] - upright[0, 1, 0]
    np.testing.assert_allclose(spine / np.linalg.norm(spine), [0, 0, 1], atol=1e-6)


@settings(deadline=None, max_examples=40)
@given(prepareds())
def test_a_turn_keeps_every_distance(prepared: Prepared) -> None:
    assume(prepared.keypoints.shape[3] == 3)
    turned = rotate(prepared, 0, 1, 2, 1).keypoints
    lengths = [np.linalg.norm(keypoints, axis=-1) for keypoints in (prepared.keypoints, turned)]
    np.testing.assert_allclose(lengths[1], lengths[0], atol=1e-4)
    apart = [np.linalg.norm(keypoints[:, :, :1] - keypoints, axis=-1) for keypoints in (prepared.keypoints, turned)]
    np.testing.assert_allclose(apart[1], apart[0], atol=1e-4)


@pytest.mark.parametrize("bone", [[0, 0, 0], [0, 0, 2], [0, 0, -2], [0, 0, 1e-9], [np.nan] * 3])
def test_a_bone_without_length_or_along_the_axis_is_not_turned(bone: list[float]) -> None:
    keypoints = drawn(1, 2, 4, 3)
    keypoints[0, :, 0] = 0
    keypoints[0, :, 1] = bone
    sample = prepared_of(keypoints)
    assert np.array_equal(rotate(sample, 0, 1, 2, 2).keypoints, keypoints, equal_nan=True)


def test_a_bone_is_taken_from_the_first_frame_that_shows_both_ends() -> None:
    keypoints = drawn(1, 4, 4, 3)
    keypoints[0, 0, 0], keypoints[0, 1, 1] = np.nan, np.nan
    turned = rotate(prepared_of(keypoints), 0, 1, 2, 2).keypoints
    spine = turned[0, 2, 1] - turned[0, 2, 0]
    np.testing.assert_allclose(spine / np.linalg.norm(spine), [0, 0, 1], atol=1e-6)


def test_lost_joints_may_stand_at_the_origin_as_in_the_arrays_of_the_sources() -> None:
    keypoints = drawn(2, 4, 4, 3)
    keypoints[0, 0, 0] = np.nan
    sample = prepared_of(keypoints)
    assert centre_first(sample, 0, "zero") is sample
    np.testing.assert_array_equal(centre_first(sample, 1, "zero").keypoints, centre_first(sample, 1).keypoints)
    turned = rotate(sample, 0, 1, 2, 2, "zero").keypoints
    spine = turned[0, 0, 1]  # from the origin, where joint 0 is taken to be
    np.testing.assert_allclose(spine / np.linalg.norm(spine), [0, 0, 1], atol=1e-6)
    still = rotate(prepared_of(np.where(np.arange(4)[:, None] < 2, np.nan, keypoints)), 0, 1, 0, 1, "zero")
    assert np.array_equal(still.keypoints[:, :, 2:], keypoints[:, :, 2:])  # both ends lost: no bone


def test_rotate_needs_three_channels_and_joints_that_there_are() -> None:
    with pytest.raises(RecipeError, match="rotate: joints have 2 channels, expected 3"):
        rotate(prepared_of(drawn(1, 2, 4, 2)), 0, 1, 2, 3)
    with pytest.raises(RecipeError, match="joint 7; the layout has the joints 0 to 3"):
        rotate(prepared_of(drawn(1, 2, 4, 3)), 0, 1, 2, 7)
