from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelbench.errors import RecipeError
from skelbench.prepare import prepare
from skelbench.prepare.denoise import ctr_denoise
from skelbench.prepare.prepared import by_id
from skelbench.sample import Sample

MODES = ["honest", "exact"]
UPRIGHT = np.stack([np.linspace(-0.2, 0.2, 5), np.linspace(-0.8, 0.8, 5), np.full(5, 3.0)], -1)
FLAT = UPRIGHT[:, [1, 0, 2]]


def recording(*bodies: tuple[int, list[int], float], pose: np.ndarray = UPRIGHT, n_frames: int = 60) -> Sample:
    """Bodies (id, frames, motion), frame by frame in the order given; no two poses are equal."""
    rng = np.random.default_rng(0)
    poses = [(t, one, pose + rng.normal(0, motion, 3)) for one, frames, motion in bodies for t in frames]
    poses.sort(key=lambda found: found[0])
    return Sample(
        sample_id="a",
        n_frames=n_frames,
        frame=np.array([t for t, _, _ in poses], np.uint32),
        person=np.array([one for _, one, _ in poses], np.int64),
        keypoints=np.array([found for *_, found in poses], np.float32).reshape(-1, 5, 3),
        score=None,
        targets={},
        segments=(),
        meta={},
    )


def of(sample: Sample, one: int) -> np.ndarray:
    return sample.keypoints[sample.person == one]


def span(start: int, end: int) -> list[int]:
    return list(range(start, end))


def seen(keypoints: np.ndarray) -> list[list[int]]:
    """The frames in which each person is there."""
    return [np.flatnonzero(~np.isnan(person).all((1, 2))).tolist() for person in keypoints]


COUNTS = st.lists(st.lists(st.integers(-1, 3), max_size=3), min_size=1, max_size=40)


def cluttered(ids: list[list[int]], seed: int) -> Sample:
    """A recording with these ids in its frames, half of the poses wide; with odd seeds, joints are missing."""
    rng = np.random.default_rng(seed)
    person = np.array([one for found in ids for one in found], np.int64)
    keypoints = rng.normal(0, 1, (len(person), 5, 3)) * rng.choice([1, 3], (len(person), 1, 3))
    keypoints[rng.random((len(person), 5)) < 0.3 * (seed % 2)] = np.nan
    frame = np.repeat(np.arange(len(ids), dtype=np.uint32), [len(found) for found in ids])
    return replace(recording(), n_frames=len(ids), frame=frame, person=person, keypoints=keypoints.astype(np.float32))


@settings(deadline=None, max_examples=80)
@given(COUNTS, st.integers(0, 99), st.sampled_from(MODES))
def test_the_result_is_at_most_two_people_made_of_recorded_poses(ids: list[list[int]], seed: int, mode: str) -> None:
    sample = cluttered(ids, seed)
    cleaned = prepare(sample, [f"ctr-denoise:{mode}"])
    assert len(cleaned.keypoints) <= 2
    assert (np.diff(cleaned.frame) > 0).all()
    assert np.isin(cleaned.frame, sample.frame).all()
    recorded = {pose.tobytes() for pose in sample.keypoints}
    for person in cleaned.keypoints:
        assert all(pose.tobytes() in recorded for pose in person if not np.isnan(pose).all())


@settings(deadline=None, max_examples=80)
@given(COUNTS, st.integers(0, 99))
def test_the_honest_way_leaves_every_pose_in_its_frame(ids: list[list[int]], seed: int) -> None:
    sample = cluttered(ids, seed)
    cleaned = ctr_denoise(sample)
    for person in cleaned.keypoints:
        for frame, pose in zip(cleaned.frame, person, strict=True):
            there = {found.tobytes() for found in sample.keypoints[sample.frame == frame]}
            assert np.isnan(pose).all() or pose.tobytes() in there


@settings(deadline=None, max_examples=80)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 40)), max_size=4))
def test_without_gaps_both_ways_are_one(times: list[tuple[int, int]]) -> None:
    bodies = [(one, span(start, start + length), 0.1 * one + 0.1) for one, (start, length) in enumerate(times)]
    without_others = min((start for start, _ in times), default=0)
    always = (9, span(without_others, 81), 0.05)  # so that no frame is empty, which would part the others
    sample = recording(*bodies, always, n_frames=90)
    exact, honest = (prepare(sample, [f"ctr-denoise:{mode}"]) for mode in MODES)
    assert np.array_equal(exact.keypoints, honest.keypoints, equal_nan=True)
    assert np.array_equal(exact.frame, honest.frame)


@pytest.mark.parametrize("mode", MODES)
def test_a_single_id_is_taken_as_it_is_and_empty_frames_are_dropped(mode: str) -> None:
    sample = recording((7, [3, 4, 6], 0.1), pose=FLAT)
    cleaned = prepare(sample, [f"ctr-denoise:{mode}"])
    assert np.array_equal(cleaned.keypoints, sample.keypoints[None])
    assert cleaned.frame.tolist() == [3, 4, 6]


def test_a_gap_is_kept_or_closed() -> None:
    sample = recording((1, span(0, 40), 0.5), (2, [*span(0, 10), *span(20, 40)], 0.1))
    honest, exact = (prepare(sample, [f"ctr-denoise:{mode}"]).keypoints for mode in MODES)
    assert seen(honest) == [span(0, 40), [*span(0, 10), *span(20, 40)]]
    assert seen(exact) == [span(0, 40), span(0, 30)]
    assert np.array_equal(exact[1, :30], of(sample, 2))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("frames", "persons"), [(11, 1), (12, 2)])
def test_ids_of_eleven_frames_are_noise(mode: str, frames: int, persons: int) -> None:
    sample = recording((1, span(0, 40), 0.1), (2, span(5, 5 + frames), 0.9))
    cleaned = prepare(sample, [f"ctr-denoise:{mode}"]).keypoints
    assert len(cleaned) == persons
    assert np.array_equal(cleaned[-1, 5:16] if persons == 1 else cleaned[0, 5:16], of(sample, persons)[-35:][:11])


@pytest.mark.parametrize("mode", MODES)
def test_where_all_ids_are_short_all_count(mode: str) -> None:
    sample = recording((1, span(0, 8), 0.1), (2, span(0, 8), 0.9))
    cleaned = prepare(sample, [f"ctr-denoise:{mode}"]).keypoints
    assert np.array_equal(cleaned, [of(sample, 2), of(sample, 1)])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("wide", "persons"), [(13, 2), (14, 1)])
def test_an_id_wide_in_seven_of_ten_frames_is_furniture(mode: str, wide: int, persons: int) -> None:
    sample = recording((1, span(0, 40), 0.1), (2, span(0, 20), 0.9))
    places = np.flatnonzero(sample.person == 2)[:wide]
    sample.keypoints[places] = sample.keypoints[places][:, :, [1, 0, 2]]
    assert len(prepare(sample, [f"ctr-denoise:{mode}"]).keypoints) == persons


@pytest.mark.parametrize("mode", MODES)
def test_of_furniture_alone_the_last_piece_stays(mode: str) -> None:
    sample = recording((1, span(0, 40), 0.9), (2, span(0, 40), 0.1), pose=FLAT)
    assert np.array_equal(prepare(sample, [f"ctr-denoise:{mode}"]).keypoints, of(sample, 2)[None])


@pytest.mark.parametrize("mode", MODES)
def test_motion_in_wide_frames_does_not_count(mode: str) -> None:
    sample = recording((1, span(0, 40), 0.2), (2, span(0, 40), 0.1))
    places = np.flatnonzero(sample.person == 2)[:10]
    sample.keypoints[places] = (FLAT + np.arange(10)[:, None, None]).astype(np.float32)
    assert np.array_equal(prepare(sample, [f"ctr-denoise:{mode}"]).keypoints[0], of(sample, 1))


@pytest.mark.parametrize("mode", MODES)
def test_the_liveliest_is_first_and_equals_keep_their_order(mode: str) -> None:
    sample = recording((1, span(0, 30), 0.1), (2, span(0, 30), 0.5))
    assert np.array_equal(prepare(sample, [f"ctr-denoise:{mode}"]).keypoints[0], of(sample, 2))
    twins = replace(sample, keypoints=np.repeat(of(sample, 1), 2, 0))
    twins.keypoints[1::2] += np.float32([0, 0, 0])
    assert np.array_equal(prepare(twins, [f"ctr-denoise:{mode}"]).keypoints[0], of(twins, 1))


@pytest.mark.parametrize("mode", MODES)
def test_ids_that_follow_each_other_are_one_person_and_share_one_frame_at_most(mode: str) -> None:
    sample = recording((1, span(0, 21), 0.5), (2, span(20, 40), 0.3), (3, span(38, 55), 0.1))
    cleaned = prepare(sample, [f"ctr-denoise:{mode}"]).keypoints
    assert seen(cleaned) == [span(0, 40), span(38, 55)]
    assert np.array_equal(cleaned[0, 20], of(sample, 2)[0])  # the less lively one takes the frame that both have
    assert np.array_equal(cleaned[1, 38:], of(sample, 3))


@pytest.mark.parametrize("mode", MODES)
def test_the_second_actors_time_begins_with_the_recording(mode: str) -> None:
    always, late, early = (1, span(0, 60), 0.9), (2, span(30, 60), 0.5), (3, span(0, 20), 0.1)
    sample = recording(always, late, early)
    assert seen(prepare(sample, [f"ctr-denoise:{mode}"]).keypoints) == [span(0, 60), span(30, 60)]
    assert seen(prepare(recording(always, early, late), [f"ctr-denoise:{mode}"]).keypoints)[1] == span(30, 60)
    lively = recording(always, (2, span(30, 60), 0.1), (3, span(0, 20), 0.5))
    assert seen(prepare(lively, [f"ctr-denoise:{mode}"]).keypoints)[1] == [*span(0, 20), *span(30, 60)]


@pytest.mark.parametrize("mode", MODES)
def test_a_second_actor_of_whom_nothing_is_left_keeps_the_slot(mode: str) -> None:
    sample = recording((1, span(0, 20), 0.5), (2, span(20, 40), 0.1))
    assert seen(prepare(sample, [f"ctr-denoise:{mode}"]).keypoints) == [span(0, 40), []]


def test_an_id_twice_in_a_frame_is_two_in_the_honest_way() -> None:
    sample = recording((1, [*span(0, 40), *span(0, 40)], 0.2))
    honest, exact = (prepare(sample, [f"ctr-denoise:{mode}"]).keypoints for mode in MODES)
    assert seen(honest) == [span(0, 40), span(0, 40)]
    assert np.array_equal(exact, honest)  # the authors' script stops


@pytest.mark.parametrize("mode", MODES)
def test_bodies_without_an_id_go_by_their_position(mode: str) -> None:
    sample = recording((-1, [*span(0, 30), *span(0, 30)], 0.2))
    cleaned, grouped = prepare(sample, [f"ctr-denoise:{mode}"]).keypoints, by_id(sample).keypoints[:, :30]
    assert sorted(person.tobytes() for person in cleaned) == sorted(person.tobytes() for person in grouped)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("n_frames", [0, 5])
def test_a_recording_without_bodies_has_nobody(mode: str, n_frames: int) -> None:
    cleaned = prepare(recording(n_frames=n_frames), [f"ctr-denoise:{mode}"])
    assert cleaned.keypoints.shape == (0, 0, 5, 3)
    assert cleaned.frame.tolist() == []


@pytest.mark.parametrize("mode", MODES)
def test_scores_go_with_their_poses(mode: str) -> None:
    sample = recording((1, span(0, 20), 0.1), (2, span(5, 20), 0.5))
    sample = replace(sample, score=sample.keypoints[..., 0].copy())
    cleaned = prepare(sample, [f"ctr-denoise:{mode}"])
    assert cleaned.score is not None
    assert np.array_equal(cleaned.score, cleaned.keypoints[..., 0], equal_nan=True)


@pytest.mark.parametrize("mode", MODES)
def test_frames_out_of_order_are_put_in_order(mode: str) -> None:
    sample = recording((1, span(0, 20), 0.1), (2, span(5, 20), 0.5))
    order = np.random.default_rng(1).permutation(len(sample.frame))
    order = order[np.argsort(sample.person[order], kind="stable")]
    mixed = replace(sample, frame=sample.frame[order], person=sample.person[order], keypoints=sample.keypoints[order])
    one, other = (prepare(found, [f"ctr-denoise:{mode}"]).keypoints for found in (sample, mixed))
    assert np.array_equal(one, other, equal_nan=True)


def test_missing_joints_neither_make_a_person_lively_nor_wide() -> None:
    sample = recording((1, span(0, 40), 0.3), (2, span(0, 40), 0.1))
    whole = ctr_denoise(sample).keypoints
    sample.keypoints[np.random.default_rng(2).random(sample.keypoints.shape[:2]) < 0.1] = np.nan
    cleaned = ctr_denoise(sample).keypoints
    there = ~np.isnan(cleaned)
    assert np.array_equal(cleaned[there], whole[there])
    assert there.mean() > 0.8


def test_actors_of_whom_all_lies_at_zero_are_nobody_in_either_way() -> None:
    sample = recording((1, span(0, 20), 0.1), (2, span(20, 40), 0.1))
    nowhere = replace(sample, keypoints=np.zeros_like(sample.keypoints))
    for mode in MODES:
        prepared = prepare(nowhere, [f"ctr-denoise:{mode}", "centre-first:1"])
        assert prepared.keypoints.shape[:2] == (0, 0)


def test_bodies_that_show_nothing_are_nobody_in_the_honest_way() -> None:
    sample = recording((1, span(0, 20), 0.3), (2, span(0, 20), 0.1))
    sample.keypoints[sample.person == 2] = np.nan
    assert seen(ctr_denoise(sample).keypoints) == [span(0, 20)]
    sample.keypoints[sample.person == 2] = 0
    assert seen(ctr_denoise(sample).keypoints) == [span(0, 20)]


def test_poses_in_the_image_are_cleaned_too(make_sample) -> None:
    sample = make_sample("a", [*range(20), *range(20)], [1] * 20 + [2] * 20)
    sample = replace(sample, keypoints=sample.keypoints * np.array([0.5, 1], np.float32))
    assert prepare(sample, ["ctr-denoise"]).keypoints.shape == (2, 20, 13, 2)


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(RecipeError, match="'ctr-denoise:exactly': mode is 'exactly': expected honest or exact"):
        prepare(recording(), ["ctr-denoise:exactly"])
