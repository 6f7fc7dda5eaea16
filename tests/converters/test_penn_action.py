from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from skelbench import registry
from skelbench.card import load_card
from skelbench.errors import RawFormatError
from skelbench.formats import matlab
from skelbench.sample import Sample
from skelbench.synthetic.raw import InMemory

PLUGIN = registry.find("converters", "penn_action")
MODULE, CARD = registry.load(PLUGIN), load_card(PLUGIN.toml)


def video(**changed: Any) -> dict[str, Any]:
    found = {
        "action": "bowl",
        "pose": "back",
        "x": np.arange(1.0, 27).reshape(2, 13),
        "y": np.arange(101.0, 127).reshape(2, 13),
        "visibility": np.ones((2, 13), np.uint8),
        "train": np.array([[-1]], np.int32),
        "bbox": np.zeros((1, 4)),  # a row short, as in two of the owners' files
        "dimensions": np.array([[270, 480, 2]], np.uint16),
        "nframes": np.array([[2]], np.uint8),
    } | changed
    return {key: value for key, value in found.items() if value is not None}


def read(found: dict[str, Any]) -> Sample:
    raw = InMemory({"labels/0001.mat": matlab.render(found)})
    (item,) = MODULE.plan(raw, CARD)
    sample = MODULE.read(raw, item, CARD)
    assert isinstance(sample, Sample)
    return sample


def test_a_video_is_read_as_annotated() -> None:
    sample = read(video())
    assert sample.sample_id == "0001"
    assert sample.frame.tolist() == [0, 1]
    assert sample.keypoints[1, 12].tolist() == [26, 126]
    assert sample.meta == {"train": -1, "view": "back", "width": 480, "height": 270, "take": "0001"}
    assert CARD.targets["label"].classes[int(str(sample.targets["label"]))] == "bowl"


def test_joints_that_are_not_visible_are_nan_and_have_score_0() -> None:
    visibility = np.ones((2, 13), np.uint8)
    visibility[1, 3] = 0
    sample = read(video(visibility=visibility))
    assert sample.score is not None
    assert sample.score[1].tolist() == [1, 1, 1, 0, *[1] * 9]
    assert np.argwhere(np.isnan(sample.keypoints)).tolist() == [[1, 3, 0], [1, 3, 1]]


def test_narrow_integers_are_coordinates_too() -> None:
    assert read(video(x=np.full((2, 13), 200, np.uint8))).keypoints[0, 0, 0] == 200


def test_another_spelling_of_a_class_is_understood() -> None:
    assert read(video(action="strumming_guitar")).targets == read(video(action="strum_guitar")).targets


@pytest.mark.parametrize("name", ["1.mat", "00001.mat", "0001a.mat", "list.mat"])
def test_names_that_are_not_four_digits_are_rejects(name: str) -> None:
    (item,) = MODULE.plan(InMemory({name: b""}), CARD)
    assert "is not four digits" in item.reject


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"x": None}, "'x' is missing, expected frames x 13 numbers"),
        ({"x": "abc"}, "'x' is a text"),
        ({"x": np.zeros((2, 12))}, r"'x' is \(2, 12\), expected frames x 13"),
        ({"x": np.zeros((3, 13))}, "have 3, 2, 2 frames"),
        ({name: np.zeros((0, 13)) for name in ("x", "y", "visibility")}, "have 0, 0, 0 frames"),
        ({"x": np.full((2, 13), np.inf)}, "frame 0, joint 0: 'x' is inf, not finite"),
        ({"y": np.full((2, 13), 1e39)}, r"frame 0, joint 0: 'y' is 1e\+39, not finite"),
        ({"visibility": np.full((2, 13), 2, np.uint8)}, "'visibility' holds 2, expected 0 or 1"),
        ({"visibility": np.full((2, 13), np.nan)}, "'visibility' holds nan, expected 0 or 1"),
        ({"action": "swim"}, "'action' is 'swim'. .*Known: baseball_pitch"),
        ({"action": None}, "'action' is missing or no text"),
        ({"pose": "above"}, "'pose' is 'above'"),
        ({"train": np.array([[0]])}, "'train' is 0"),
        ({"train": np.array([[np.nan]])}, "'train' is missing or does not hold 1 whole"),
        ({"train": "1"}, "'train' is missing or does not hold 1 whole"),
        ({"nframes": np.array([[3]])}, "contradict the 2 frames of 'x'"),
        ({"nframes": np.array([[np.inf]])}, "'nframes' is missing or does not hold 1 whole"),
        ({"dimensions": np.array([[270.5, 480, 2]])}, "'dimensions' is missing or does not hold 3 whole"),
        ({"dimensions": np.array([[270, 480]])}, "'dimensions' is missing or does not hold 3 whole"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_files_that_contradict_the_format_are_refused(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(RawFormatError, match=f"^labels/0001.mat.*{words}"):
        read(video(**changed))


def test_what_the_file_cannot_say_is_not_written() -> None:
    sample = read(video())
    assert sample.score is not None
    for changed, words in (
        (replace(sample, score=None), "score must be 0 or 1"),
        (replace(sample, score=sample.score / 2), "score must be 0 or 1"),
        (replace(sample, score=0 * sample.score), "of score 0 NaN"),
        (replace(sample, frame=sample.frame[::-1]), "one pose in every frame"),
    ):
        with pytest.raises(ValueError, match=words):
            list(MODULE.write(changed, CARD))
