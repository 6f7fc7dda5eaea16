import json
from typing import Any

import numpy as np
import pytest

from skelbench import registry
from skelbench.card import load_card
from skelbench.errors import RawFormatError
from skelbench.raw import RawItem
from skelbench.sample import Sample
from skelbench.synthetic.raw import InMemory

PLUGIN = registry.find("converters", "nw_ucla")
MODULE, CARD = registry.load(PLUGIN), load_card(PLUGIN.toml)
NAME = "a08_s02_e03_v01"


def planned(name: str) -> RawItem:
    (item,) = MODULE.plan(InMemory({f"all_sqe/{name}.json": b""}), CARD)
    assert isinstance(item, RawItem)
    return item


def read(found: dict[str, Any] | bytes, name: str = NAME) -> Sample:
    content = found if isinstance(found, bytes) else json.dumps(found).encode()
    raw = InMemory({f"{name}.json": content})
    (item,) = MODULE.plan(raw, CARD)
    sample = MODULE.read(raw, item, CARD)
    assert isinstance(sample, Sample)
    return sample


def clip(**changed: Any) -> dict[str, Any]:
    return {"file_name": NAME, "skeletons": [[[0.1, 0.2, 0.3]] * 20] * 2, "label": 7} | changed


def test_the_name_says_who_and_from_where() -> None:
    assert planned(NAME).meta == {"subject": 2, "environment": 3, "camera": 1, "take": "a08_s02_e03"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a07_s01_e00_v01", "action code 7, expected one of 1, 2, 3, 4, 5, 6, 8, 9, 11, 12"),
        ("a01_s01_e00_v04", "view 4, expected one of 1, 2, 3"),
        ("a1_s01_e00_v01", "is not aNN_sNN_eNN_vNN.json"),
        ("labels", "is not aNN_sNN_eNN_vNN.json"),
    ],
)
def test_names_that_do_not_fit_are_rejects(name: str, words: str) -> None:
    assert words in str(planned(name).reject)


def test_the_label_is_that_of_the_file_counted_from_0() -> None:
    sample = read(clip())
    assert sample.targets == {"label": 6}
    assert CARD.targets["label"].classes[6] == "donning"
    assert sample.person.tolist() == [-1, -1]
    assert sample.score is None


def test_a_clip_of_one_frame_is_kept() -> None:
    sample = read(clip(skeletons=[[[1, 2, 3]] * 20]))
    assert (sample.n_frames, sample.keypoints.shape) == (1, (1, 20, 3))


def test_missing_coordinates_are_null() -> None:
    sample = read(clip(skeletons=[[[None, None, None]] + [[1, 2, 3]] * 19]))
    assert np.isnan(sample.keypoints[0, 0]).all()
    ((_, content),) = MODULE.write(sample, CARD)
    assert b"[null, null, null]" in content


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (clip(label=8), "'label' is 8, but action code 8 means 7"),
        (clip(label=0), "'label' is 0, expected 1 to 10"),
        (clip(label=11), "'label' is 11"),
        (clip(label=10**30), "'label' is 1000"),
        (clip(label=True), "'label' is true or false, expected an integer"),
        (clip(label="7"), "'label' is a text"),
        (clip(file_name="a08_s02_e03_v02"), "'file_name' is 'a08_s02_e03_v02', expected 'a08_s02_e03_v01'"),
        (clip(file_name=5), "'file_name' is an integer"),
        ({"file_name": NAME, "label": 7}, "the key 'skeletons' is missing"),
        (clip(skeletons=[]), "holds no frame"),
        (clip(skeletons={}), "'skeletons' is an object, expected a list"),
        (clip(skeletons=[[[0.1, 0.2, 0.3]] * 19]), "frame 0: 19 joints, expected 20"),
        (clip(skeletons=[[[0.1, 0.2, "0.3"]] * 20]), "frame 0, joint 0: a text, expected a number"),
        (clip(skeletons=[[[0.1, 0.2, True]] * 20]), "true or false, expected a number"),
        (json.dumps(clip()).replace("0.1", "1e400").encode(), "joint 0: inf, expected a finite number"),
        (json.dumps(clip()).replace("0.1", "NaN").encode(), "NaN is no JSON value"),
        (json.dumps(clip()).replace("0.1", "9" * 400).encode(), "an integer of more than 300 digits"),
        (json.dumps(clip()).replace('"label"', '"label": 1, "label"').encode(), "repeats a key"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_hostile_files_are_refused(found: dict[str, Any] | bytes, words: str) -> None:
    with pytest.raises(RawFormatError, match=words):
        read(found)


@pytest.mark.parametrize(
    ("frame", "value", "words"), [([0, 0], 0.0, "one pose in every frame"), ([0], np.inf, "not JSON compliant")]
)
def test_what_the_file_cannot_say_is_not_written(frame: list[int], value: float, words: str) -> None:
    sample = Sample(
        sample_id=NAME,
        n_frames=1,
        frame=np.array(frame, np.uint32),
        person=np.full(len(frame), -1, np.int64),
        keypoints=np.full((len(frame), 20, 3), value, np.float32),
        score=None,
        targets={"label": 6},
        segments=(),
        meta={},
    )
    with pytest.raises(ValueError, match=words):
        list(MODULE.write(sample, CARD))
