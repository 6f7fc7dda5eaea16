"""What keeps a sample out of a store."""

import math
from typing import Any

import numpy as np
import pytest

from skelbench.card import TargetCard
from skelbench.store.check import sample_problem


def test_a_sample_that_fits_has_no_problem(make_card: Any, make_sample: Any) -> None:
    assert sample_problem(make_sample("a"), make_card()) == ""


def test_a_sample_of_a_scored_set_may_lack_its_scores(make_card: Any, make_sample: Any) -> None:
    assert sample_problem(make_sample("a", score=None), make_card()) == ""


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"sample_id": ""}, "the sample_id is ''"),
        ({"sample_id": "caf\udce9"}, "expected Unicode text"),
        ({"n_frames": -1}, "n_frames is -1, expected an int of 0 or more"),
        ({"n_frames": 2.0}, "n_frames is 2.0"),
        ({"n_frames": 3}, "a pose is in frame 3, expected less than n_frames = 3"),
        ({"frame": np.zeros(3, np.uint32)}, r"keypoints is float32 \(4, 3, 2\), expected float32 \(3, 3, 2\)"),
        ({"frame": np.zeros(4, np.int64)}, r"frame is int64 \(4,\), expected uint32 \(4,\)"),
        ({"keypoints": np.zeros((4, 5, 2), np.float32)}, r"keypoints is float32 \(4, 5, 2\), expected"),
        ({"keypoints": np.zeros((4, 3, 2))}, "keypoints is float64"),
        ({"keypoints": np.full((4, 3, 2), np.inf, np.float32)}, "keypoints holds an infinite value"),
        ({"score": np.full((4, 3), -np.inf, np.float32)}, "score holds an infinite value"),
        ({"targets": {}}, "its targets are none, the card's label; -1 is unlabelled"),
        ({"targets": {"label": 2}}, r"target 'label' is 2, expected an int from -1 \(unlabelled\) to 1"),
        ({"targets": {"label": -2}}, "target 'label' is -2"),
        ({"targets": {"label": np.int64(1)}}, "target 'label' is 1, expected an int"),
        ({"segments": ((0, 2),)}, r"a segment is \(0, 2\), expected three ints"),
        ({"segments": ((2, 2, 0),)}, "a segment is frames 2 to 2, expected 0 <= start < end <= 5"),
        ({"segments": ((0, 6, 0),)}, "a segment is frames 0 to 6"),
        ({"segments": ((0, 2, 2),)}, "a segment has label 2, expected 0 to 1"),
        ({"meta": {"offset": 1}}, "a meta column is called 'offset'"),
        ({"meta": {"label": 1}}, "a meta column is called 'label'"),
        ({"meta": {"": 1}}, "a meta column is called ''"),
        ({"meta": {"x": math.nan}}, "meta 'x' is nan, expected text, int or finite float"),
        ({"meta": {"x": True}}, "meta 'x' is True"),
        ({"meta": {"x": None}}, "meta 'x' is None"),
        ({"meta": {"x": 2**63}}, "meta 'x' is 9223372036854775808"),
        ({"meta": {"x": "\ud800"}}, "meta 'x' is"),
    ],
)
def test_what_does_not_fit_is_said(
    make_card: Any, make_sample: Any, spoil: Any, fields: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        raise ValueError(sample_problem(spoil(make_sample("a"), **fields), make_card()))


def test_a_score_needs_a_meaning_in_the_card(make_card: Any, make_sample: Any) -> None:
    assert "Fill the card's 'score'" in sample_problem(make_sample("a"), make_card(score=""))


@pytest.mark.parametrize(
    ("kind", "classes", "value", "fits"),
    [
        ("single", (), 70000, True),
        ("single", (), 2**31, False),
        ("multi", ("x", "y"), (1, -1), True),
        ("multi", ("x", "y"), (1, 0, 0), False),
        ("multi", ("x", "y"), (1, 2), False),
        ("multi", ("x", "y"), [1, 0], False),
        ("multi", (), (1, 0, -1), True),
        ("score", (), 3, True),
        ("score", (), math.nan, True),
        ("score", (), math.inf, False),
        ("score", (), "high", False),
    ],
)
def test_a_target_fits_its_kind(
    make_card: Any, make_sample: Any, spoil: Any, kind: str, classes: tuple[str, ...], value: object, fits: bool
) -> None:
    card = make_card(targets={"t": TargetCard(kind=kind, classes=classes)})
    problem = sample_problem(spoil(make_sample("a"), targets={"t": value}), card)
    assert (problem == "") is fits, problem
