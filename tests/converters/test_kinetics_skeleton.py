import gzip
import json
from typing import Any

import numpy as np
import pytest

from skelbench import registry
from skelbench.card import load_card
from skelbench.errors import RawFormatError
from skelbench.raw import RawItem
from skelbench.sample import Sample
from skelbench.split import load_protocols
from skelbench.synthetic.raw import InMemory

PLUGIN = registry.find("converters", "kinetics_skeleton")
MODULE, CARD = registry.load(PLUGIN), load_card(PLUGIN.toml)
NAME = "-_Ab0123456"
LIST = "kinetics_val_label.json"


def clip(**changed: Any) -> bytes:
    person = {"pose": [0.5] * 36, "score": [0.9] * 18}
    data = [{"frame_index": 1, "skeleton": []}, {"frame_index": 3, "skeleton": [person, person]}]
    return json.dumps({"data": data, "label": "abseiling", "label_index": 0} | changed).encode()


def labels(**changed: Any) -> bytes:
    return json.dumps({NAME: {"has_skeleton": True, "label": "abseiling", "label_index": 0} | changed}).encode()


def plan(files: dict[str, bytes]) -> dict[str, RawItem]:
    return {item.sample_id: item for item in MODULE.plan(InMemory(files), CARD)}


def read(files: dict[str, bytes]) -> Sample:
    item = plan(files)[NAME]
    assert item.reject is None
    sample = MODULE.read(InMemory(files), item, CARD)
    assert isinstance(sample, Sample)
    return sample


def test_frames_count_from_0_and_gaps_have_nobody() -> None:
    sample = read({f"kinetics_val/{NAME}.json": clip()})
    assert (sample.n_frames, sample.frame.tolist(), sample.person.tolist()) == (3, [2, 2], [-1, -1])
    assert sample.meta == {"part": "val", "take": NAME}
    assert sample.targets == {"label": 0}


def test_joints_that_were_not_found_are_missing() -> None:
    person = {"pose": [0.0, 0.0] + [0.5] * 34, "score": [0.0] + [0.9] * 17}
    sample = read({f"kinetics_val/{NAME}.json": clip(data=[{"frame_index": 1, "skeleton": [person]}])})
    assert np.isnan(sample.keypoints[0, 0]).all()
    assert not np.isnan(sample.keypoints[0, 1:]).any()


def test_the_label_file_says_the_part_where_no_folder_does() -> None:
    files = {f"{NAME}.json": clip(), LIST: labels()}
    assert read(files).meta["part"] == "val"
    assert "neither in a folder" in str(plan({f"{NAME}.json": clip()})[NAME].reject)


@pytest.mark.parametrize("pack", [lambda content: content, gzip.compress])
def test_a_clip_may_be_listed_as_unusable_or_not_at_all(pack: Any) -> None:
    path = f"{LIST}.gz" if pack(b"")[:1] else LIST
    clips = {f"kinetics_val/{NAME}.json": clip()}
    assert plan({**clips, path: pack(labels())})[NAME].reject is None
    assert plan({**clips, path: pack(labels(has_skeleton=False))})[NAME].reject == "listed without a skeleton"
    assert "not in the list" in str(plan({**clips, path: pack(b"{}")})[NAME].reject)


def test_listed_clips_without_a_file_are_rejects() -> None:
    assert "there is no file of it" in str(plan({LIST: labels()})[NAME].reject)
    assert plan({LIST: labels(has_skeleton=False)})[NAME].reject == "listed without a skeleton"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({f"kinetics_val/{NAME}.json": clip(label="archery")}, "'label_index' 0 is not 'archery' in the list of 400"),
        ({f"kinetics_val/{NAME}.json": clip(label_index=400)}, "'label_index' 400 is not"),
        ({f"kinetics_val/{NAME}.json": clip(label_index=-1)}, "'label_index' -1 is not"),
        ({f"kinetics_val/{NAME}.json": clip(), LIST: labels(label_index=3)}, "is 0, but 3 in the label file"),
        (
            {f"kinetics_val/{NAME}.json": clip(data=[{"frame_index": 10**9, "skeleton": []}])},
            "'frame_index' is 1000000000, expected 1 to 3000",
        ),
    ],
)
def test_contradictions_are_refused(files: dict[str, bytes], words: str) -> None:
    with pytest.raises(RawFormatError, match=words):
        read(files)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[]", "holds a list, expected an object"),
        (json.dumps({NAME: 5}).encode(), "an integer, expected an object"),
        (json.dumps({NAME: {"has_skeleton": True}}).encode(), "the key 'label_index' is missing"),
        (labels(label_index="0"), "'label_index' is a text"),
        (labels(label=5), "expected a text, a number of 0 or more, and true or false"),
        (labels(has_skeleton=1), "expected a text"),
        (gzip.compress(labels(), mtime=0)[:-9], "the packed file is cut"),
        (gzip.compress(labels(), mtime=0) + b"x", "something after its end"),
        (b"\x1f\x8b" + bytes(50), "not gzip"),
    ],
)
def test_damaged_label_files_stop_the_conversion_by_name(content: bytes, words: str) -> None:
    with pytest.raises(RawFormatError, match=f"{LIST}.*{words}"):
        plan({f"kinetics_val/{NAME}.json": clip(), LIST: content})


def test_a_label_file_that_inflates_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skelbench.formats.label_json._LARGEST", 1 << 20)
    with pytest.raises(RawFormatError, match="holds more than"):
        plan({LIST: gzip.compress(bytes(1 << 22))})


def test_what_the_file_cannot_say_is_not_written() -> None:
    sample = read({f"kinetics_val/{NAME}.json": clip()})
    for other in ({"score": None}, {"person": np.array([3, 4])}):
        with pytest.raises(ValueError, match="have a score and no identity"):
            list(MODULE.write(Sample(**{**vars(sample), **other}), CARD))


def test_the_subset_has_30_of_the_400_classes() -> None:
    assert len(CARD.targets["label"].classes) == 400
    protocols = load_protocols("kinetics_skeleton")
    assert isinstance(protocols["motion"].test, dict)
    assert protocols["motion"].test["label"] == protocols["motion-only"].classes
    assert len(protocols["motion-only"].classes) == 30
