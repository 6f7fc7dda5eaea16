import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skelbench import registry
from skelbench.card import load_card
from skelbench.convert import Request, convert
from skelbench.errors import RawFormatError
from skelbench.raw import RawItem
from skelbench.sample import Sample
from skelbench.store.reader import open_store
from skelbench.synthetic.raw import InMemory, write_raw

PLUGIN = registry.find("converters", "posetics")
MODULE, CARD = registry.load(PLUGIN), load_card(PLUGIN.toml)
VIDEO = "-_Ab0123456"
NAME = f"{VIDEO}_000017_000027"
LIST = "posetics_train_label.json"


def clip(*people: int) -> bytes:
    one = {"pose2d": list(range(26)), "pose3d": list(range(39)), "cumscore": 7.5}
    return json.dumps({"njts": 13, "frames": [[one] * count for count in people]}).encode()


def labels(**changed: Any) -> bytes:
    return json.dumps({VIDEO: {"has_skeleton": True, "label_index": 31} | changed}).encode()


def plan(files: dict[str, bytes]) -> list[RawItem]:
    return list(MODULE.plan(InMemory(files), CARD))


def one(path: str, **changed: Any) -> RawItem:
    (item,) = (item for item in plan({path: clip(1), LIST: labels(**changed)}) if item.paths == (path,))
    return item


def test_a_clip_is_labelled_by_its_video() -> None:
    files = {f"posetics_train/{NAME}.json": clip(1, 0, 2), LIST: labels()}
    (item,) = plan(files)
    sample = MODULE.read(InMemory(files), item, CARD)
    assert isinstance(sample, Sample)
    assert sample.targets == {"label": 31}
    assert sample.meta == {"part": "train", "take": VIDEO, "width": 640, "height": 480}
    assert (sample.n_frames, sample.frame.tolist()) == (3, [0, 2, 2])


@pytest.mark.parametrize("name", [NAME, f"making_food_{NAME}", f"ab{VIDEO}" + "z" * 14])
def test_the_video_is_found_in_names_of_several_forms(name: str) -> None:
    item = one(f"posetics_train/{name}.json")
    assert item.reject is None, item
    assert item.meta["take"] == VIDEO


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("short_000017_000027", "does not end in a video's 11 characters"),
        (f"copy of {NAME}", "copy of"),
        ("0123456789a_000017_000027", "no label file lists the video '0123456789a'"),
    ],
)
def test_names_that_do_not_fit_are_rejects(name: str, words: str) -> None:
    assert words in str(one(f"posetics_train/{name}.json").reject)


def test_what_the_list_refuses_or_lacks_is_a_reject() -> None:
    path = f"posetics_train/{NAME}.json"
    assert one(path, has_skeleton=False).reject == "listed without a skeleton"
    assert one(path, label_index=320).reject == "label 320, expected 0 to 319"
    assert "no label file lists" in str(plan({path: clip(1)})[0].reject)
    elsewhere = plan({path.replace("train", "val"): clip(1), LIST: labels()})
    assert "no label file lists" in str(elsewhere[0].reject)
    assert "there is no file of it" in str(plan({LIST: labels()})[0].reject)


def test_damaged_clips_are_refused_by_name() -> None:
    files = {f"posetics_train/{NAME}.json": clip(1)[:-3], LIST: labels()}
    with pytest.raises(RawFormatError, match=f"{NAME}.json: not JSON"):
        MODULE.read(InMemory(files), plan(files)[0], CARD)


def test_what_the_file_cannot_say_is_not_written() -> None:
    files = {f"posetics_train/{NAME}.json": clip(1), LIST: labels()}
    sample = MODULE.read(InMemory(files), plan(files)[0], CARD)
    for other in ({"score": None}, {"person": np.array([3])}):
        with pytest.raises(ValueError, match="have a score and no identity"):
            list(MODULE.write(Sample(**{**vars(sample), **other}), CARD))


def test_classes_are_numbers_unless_the_raw_data_name_them() -> None:
    assert CARD.targets["label"].classes == tuple(map(str, range(320)))
    named = MODULE.refine(InMemory({"classes.txt": "\ufeffabseiling\r\ndrinking (p)\r\n\n".encode()}), CARD)
    assert named.targets["label"].classes[:3] == ("abseiling", "drinking (p)", "2")
    assert MODULE.refine(InMemory({}), CARD) is CARD


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "0 lines"),
        (b"a\na\n", "2 lines, 1 of them different"),
        (b"a\n\nb\n", "a line is empty"),
        (b"a\x1b[2J\n", "cannot be printed"),
        (b"x" * 201, "longer than 200"),
        (b"\xff\n", "byte 0 is not UTF-8"),
        ("\n".join(map(str, range(321))).encode(), "at most 320 classes"),
    ],
)
def test_lists_of_classes_that_make_no_sense_are_refused(content: bytes, words: str) -> None:
    with pytest.raises(RawFormatError, match=words):
        MODULE.refine(InMemory({"classes.txt": content}), CARD)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_store_bears_the_names_that_the_raw_data_give(tmp_path: Path, workers: int) -> None:
    raw = tmp_path / "raw"
    write_raw("posetics", raw, samples=8, seed=0, archive=False, defects=False)
    (raw / "posetics_raw" / "classes.txt").write_text("".join(f"class {place}\n" for place in range(320)))
    convert(Request("posetics", (raw,), tmp_path / "store", channels=("u", "v"), workers=workers))
    store = open_store(tmp_path / "store")
    assert store.card.targets["label"].classes[319] == "class 319"
    assert store.card.channels == ("u", "v")
    assert len(store) == 8
