import time
from itertools import islice

import numpy as np
import pytest

from skelbench import registry
from skelbench.card import Card, TargetCard, load_card
from skelbench.sample import Sample, same
from skelbench.store.check import sample_problem
from skelbench.synthetic.generate import sample_at, stage_of, synthesise
from skelbench.synthetic.motion import action_of, style_of
from skelbench.synthetic.raw import settled


def card_of(name: str) -> Card:
    return load_card(registry.find("converters", name).toml)


def first_person(sample: Sample) -> np.ndarray:
    """Keypoints of the first pose of every frame."""
    return sample.keypoints[np.searchsorted(sample.frame, np.arange(sample.n_frames))]


@pytest.mark.parametrize("name", registry.names("converters"))
@pytest.mark.parametrize("defects", [False, True])
def test_samples_fit_their_card_and_repeat_by_seed(name: str, defects: bool) -> None:
    card = card_of(name)
    module = registry.load(registry.find("converters", name))
    once, again = (
        [settled(module, card, sample) for sample in synthesise(card, 8, 5, defects=defects)] for _ in range(2)
    )
    for one, other in zip(once, again, strict=True):
        assert not sample_problem(one, card)
        assert same(one, other)
    other = next(iter(synthesise(card, 8, 6, defects=defects)))
    assert not same(once[0], settled(module, card, other))


def test_a_sample_does_not_depend_on_those_before_it() -> None:
    stage = stage_of(card_of("ntu60"), 100, 1)
    assert same(sample_at(stage, 57), list(islice(synthesise(card_of("ntu60"), 100, 1), 58))[57])


def test_people_are_of_human_size_in_front_of_the_camera() -> None:
    for sample in synthesise(card_of("ntu60"), 30, 0):
        low, high = sample.keypoints.min(axis=(0, 1)), sample.keypoints.max(axis=(0, 1))
        assert 1.1 < high[1] - low[1] < 2.6
        assert 0.8 < low[2] < high[2] < 6


def test_people_fit_into_the_image() -> None:
    shares = []
    for sample in synthesise(card_of("penn_action"), 30, 0):
        assert (np.nanmin(sample.keypoints, axis=(0, 1)) > -40).all()
        assert (np.nanmax(sample.keypoints, axis=(0, 1)) < [520, 310]).all()
        assert sample.score is not None
        assert np.array_equal(np.isnan(sample.keypoints[..., 0]), sample.score == 0)
        shares.append(sample.score.mean())
    assert 0.7 < np.mean(shares) < 0.95


def test_the_views_of_a_take_are_one_performance() -> None:
    card = card_of("nw_ucla")
    stage = stage_of(card, 2000, 0)
    takes: dict[str, list[int]] = {}
    for index in range(2000):
        takes.setdefault(stage.cast.role(index).take, []).append(index)
    several = [indices for indices in takes.values() if len(indices) > 1]
    assert several
    for first, second, *_ in several[:10]:
        one, other = sample_at(stage, first), sample_at(stage, second)
        assert one.meta["camera"] != other.meta["camera"]
        assert one.n_frames == other.n_frames
        shapes = []
        for sample in (one, other):  # distances between joints are the same from everywhere
            ends = sample.keypoints[:, [3, 7, 11, 15, 19]]
            shapes.append(np.linalg.norm(ends[:, :, None] - ends[:, None], axis=-1))
        assert np.abs(shapes[0] - shapes[1]).max() < 0.06
        assert np.abs(one.keypoints - other.keypoints).max() > 0.1


def test_two_person_classes_have_two_people_who_face_each_other() -> None:
    card = card_of("ntu60")
    assert card.synth
    for sample in synthesise(card, 40, 0):
        counts = np.bincount(sample.frame, minlength=sample.n_frames)
        two = sample.targets["label"] in card.synth.two_person
        assert set(counts) == {2 if two else 1}
        assert len(set(sample.person.tolist())) == (2 if two else 1)
        assert sample.person.min() > 2**53
        if two:
            one, other = (sample.keypoints[sample.person == person] for person in dict.fromkeys(sample.person.tolist()))
            towards = other[:, 0] - one[:, 0]
            feet = [person[:, [15, 19]].mean(axis=1) - person[:, [14, 18]].mean(axis=1) for person in (one, other)]
            assert ((feet[0] * towards).sum(-1) > 0).mean() > 0.9
            assert ((feet[1] * towards).sum(-1) < 0).mean() > 0.9


def test_no_two_of_288_classes_do_the_same() -> None:
    habits = {(a.limbs, a.direction, a.rhythm, a.size) for a in map(action_of, range(288))}
    assert len(habits) == 288


def test_subjects_differ_and_stay_themselves() -> None:
    styles = [style_of(subject) for subject in range(40)]
    assert style_of(7).height == styles[7].height
    assert np.ptp([style.height for style in styles]) > 0.15
    assert {style.left_handed for style in styles} == {True, False}


def test_classes_show_in_motion_and_hardly_in_posture() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    card = card_of("nw_ucla")
    samples = list(synthesise(card, 320, 0))
    target = np.array([sample.targets["label"] for sample in samples])
    train = np.array([sample.meta["camera"] in (1, 2) for sample in samples])
    scores = []
    for feature in (lambda x: x[len(x) // 2], lambda x: np.stack([x.std(0), np.abs(np.diff(x, axis=0)).mean(0)])):
        features = [feature(first_person(s) - first_person(s)[:1, 1:2]).ravel() for s in samples]
        scaled = StandardScaler().fit_transform(np.stack(features))
        model = LogisticRegression(C=0.1, max_iter=500).fit(scaled[train], target[train])
        scores.append(model.score(scaled[~train], target[~train]))
    posture, motion = scores
    assert posture < 0.5 < motion


def test_cards_of_other_kinds_get_what_they_ask_for() -> None:
    card = card_of("nw_ucla")
    targets = {
        "which": TargetCard(kind="multi", classes=tuple("abcde")),
        "right": TargetCard(classes=("no", "yes")),
        "grade": TargetCard(kind="score"),
        "none": TargetCard(),
    }
    channels = {"u": "pixel", "v": "pixel", "x": "centimetre", "y": "centimetre", "z": "centimetre"}
    assert card.synth
    synth = card.synth.model_copy(update={"image": (640, 480), "by_label": {"action": tuple(range(5))}})
    card = card.model_copy(update={"targets": targets, "channels": tuple(channels), "units": channels, "synth": synth})
    for sample in synthesise(card, 8, 0):
        assert not sample_problem(sample, card)
        assert sum(sample.targets["which"]) == 1  # type: ignore[arg-type]
        assert sample.targets["none"] == -1
        assert sample.keypoints[..., 4].min() > 80  # centimetres from the camera


def test_defects_are_those_of_real_recordings() -> None:
    card = card_of("ntu60")
    clean, spoilt = list(synthesise(card, 120, 0)), list(synthesise(card, 120, 0, defects=True))
    changed = [not same(*pair) for pair in zip(clean, spoilt, strict=True)]
    assert 0.3 < np.mean(changed) < 0.95
    people = [len(set(s.person.tolist())) for s in spoilt]
    assert max(people) >= 3
    assert any(len(np.unique(s.frame)) < s.n_frames for s in spoilt), "empty frames"
    assert any(np.isnan(s.keypoints).any() for s in spoilt), "missing joints"
    assert max(np.bincount(s.frame).max() for s in spoilt) <= card.persons


def test_a_hundred_clips_take_less_than_a_second_each_way() -> None:
    card = card_of("ntu60")
    module = registry.load(registry.find("converters", "ntu60"))
    start = time.process_time()
    for sample in synthesise(card, 50, 0):
        dict(module.write(sample, card))
    assert time.process_time() - start < 2.5  # 0.5 where types are not checked; the margin is for slow machines
