import json
import unicodedata
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from skelbench import registry
from skelbench.card import Card, load_card
from skelbench.errors import RawFormatError
from skelbench.formats import aihub
from skelbench.raw import RawItem
from skelbench.sample import Sample
from skelbench.sources.source import open_source
from skelbench.synthetic.raw import InMemory


def plugin(name: str) -> tuple[ModuleType, Card]:
    found = registry.find("converters", name)
    return registry.load(found), load_card(found.toml)


FLAT, FLAT_CARD = plugin("aihub_fitness")
SPACE, SPACE_CARD = plugin("aihub_fitness_3d")
FOLDER = "013.피트니스자세/1.Training/라벨링데이터/바벨_덤벨_Labeling_new_220128/Day04_200924_F"
NAME = "D04-1-410"
JOINTS = [joint.title() for joint in FLAT_CARD.layout.joints]
CURL = ["팔꿈치 위치 고정", "손목의 중립", "척추의 중립", "이완 시 팔 긴장 유지", "수축 시 어깨 으쓱 없음"]


def view(camera: str, frame: int, subject: str = "Z17") -> dict[str, Any]:
    clip = f"410-1-1-01-{subject}_{camera}"
    points = {name: {"x": 100 + at, "y": 200 + frame} for at, name in enumerate(JOINTS)}
    return {
        "pts": points,
        "active": "No",
        "img_key": f"Day04_200924_F/1/{camera}/{clip}/{clip}-{2 * frame + 1:07d}.jpg",
    }


def content(**changed: Any) -> dict[str, Any]:
    info = {
        "key": "410",
        "type": "바벨/덤벨",
        "pose": "선 자세",
        "exercise": "바벨 컬 ",
        "conditions": [{"condition": text, "value": at > 0} for at, text in enumerate(CURL)],
        "description": "팔꿈치가 움직임",
    }
    frames = [{f"view{at}": view(camera, frame) for at, camera in enumerate("ABCDE", 1)} for frame in range(3)]
    return {"frames": frames, "type": "410", "type_info": info} | changed


def described(**changed: Any) -> dict[str, Any]:
    return content(type_info=content()["type_info"] | changed)


def encoded(found: dict[str, Any] | bytes) -> bytes:
    return found if isinstance(found, bytes) else json.dumps(found, ensure_ascii=False).encode()


def flat(found: dict[str, Any] | bytes, name: str = NAME, camera: str = "C") -> Sample:
    raw = InMemory({f"{FOLDER}/{name}.json": encoded(found)})
    item = next(item for item in FLAT.plan(raw, FLAT_CARD) if item.meta.get("camera") == camera)
    sample = FLAT.read(raw, item, FLAT_CARD)
    assert isinstance(sample, Sample)
    return sample


def space(files: dict[str, dict[str, Any]]) -> Sample:
    raw = InMemory({f"{FOLDER}/{name}.json": encoded(found) for name, found in files.items()})
    (item,) = SPACE.plan(raw, SPACE_CARD)
    sample = SPACE.read(raw, item, SPACE_CARD)
    assert isinstance(sample, Sample)
    return sample


def planned(module: ModuleType, card: Card, *paths: str) -> list[RawItem]:
    return list(module.plan(InMemory(dict.fromkeys(paths, b"")), card))


IN_SPACE = {"frames": [{"pts": {name: {"x": at, "y": 95.5, "z": 0} for at, name in enumerate(JOINTS)}}] * 2}


def test_the_table_is_that_of_a_full_factorial_design() -> None:
    for card in (FLAT_CARD, SPACE_CARD):
        table = aihub.exercises(card)
        assert len(table) == 41
        assert [exercise.name for exercise in table] == [*card.targets["exercise"].classes]
        assert [exercise.first for exercise in table[1:]] == [exercise.last + 1 for exercise in table[:-1]]
        assert (table[0].first, table[-1].last) == (1, 816)
        assert all(exercise.last - exercise.first + 1 == 2 ** len(exercise.conditions) for exercise in table)
        assert sum(len(exercise.conditions) for exercise in table) == 167
        assert {name for exercise in table for name in exercise.conditions} == {*card.targets["defects"].classes}
        assert len(card.targets["defects"].classes) == 97
    assert FLAT_CARD.options["exercises"] == SPACE_CARD.options["exercises"]


def test_a_take_is_five_samples() -> None:
    items = planned(FLAT, FLAT_CARD, f"{FOLDER}/{NAME}.json", f"{FOLDER}/{NAME}-3d.json")
    assert [item.sample_id for item in items] == [f"{NAME}-{camera}" for camera in "ABCDE"]
    assert {item.meta["take"] for item in items} == {NAME}
    assert items[2].meta == {
        "take": NAME, "day": 4, "slot": 1, "type": 410, "part": "training", "movement": "barbell-curl", "camera": "C",
    }  # fmt: skip


def test_a_defect_is_a_condition_that_is_not_met() -> None:
    sample = flat(content())
    classes = FLAT_CARD.targets["defects"].classes
    defects = dict(zip(classes, sample.targets["defects"], strict=True))  # type: ignore[arg-type]
    assert [defects[name] for name in CURL] == [1, 0, 0, 0, 0]
    assert {value for name, value in defects.items() if name not in CURL} == {-1}
    assert FLAT_CARD.targets["exercise"].classes[sample.targets["exercise"]] == "barbell-curl"  # type: ignore[index]
    assert sample.meta["problems"] == 1


def test_the_booleans_count_and_not_the_code() -> None:
    rows = [{"condition": text, "value": False} for text in CURL]
    assert flat(described(conditions=rows)).meta["problems"] == 5
    assert flat(described(conditions=rows[:2])).meta["problems"] == 2


def test_a_view_has_pixels_performer_and_words() -> None:
    sample = flat(content(), camera="E")
    assert sample.keypoints.shape == (3, 24, 2)
    assert sample.keypoints[2, 3].tolist() == [103, 202]
    assert {name: sample.meta[name] for name in ("subject", "camera", "equipment", "posture")} == {
        "subject": "Z17", "camera": "E", "equipment": "바벨/덤벨", "posture": "선 자세",
    }  # fmt: skip


def test_a_frame_without_joints_has_nobody_and_null_is_missing() -> None:
    found = content()
    found["frames"][1]["view3"]["pts"] = {}
    found["frames"][2]["view3"]["pts"]["Nose"]["x"] = None
    sample = flat(found)
    assert sample.frame.tolist() == [0, 2]
    assert np.isnan(sample.keypoints[1, 0]).tolist() == [True, False]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_korean_names_may_be_composed_or_decomposed(tmp_path: Path, form: str) -> None:
    shaped = unicodedata.normalize
    path = tmp_path / shaped(form, f"{FOLDER}/{NAME}.json".replace("1.Training", "2.Validation"))  # type: ignore[arg-type]
    path.parent.mkdir(parents=True)
    path.write_text(shaped(form, json.dumps(content(), ensure_ascii=False)), encoding="utf-8")  # type: ignore[arg-type]
    source = open_source([tmp_path], max_file=1 << 20)
    item = next(iter(FLAT.plan(source, FLAT_CARD)))
    sample = FLAT.read(source, item, FLAT_CARD)
    assert sample.meta["part"] == "validation"
    assert sample.meta["equipment"] == "바벨/덤벨"
    assert sample.targets == flat(content()).targets


def test_without_folders_the_day_says_the_part() -> None:
    (item, *_) = planned(FLAT, FLAT_CARD, "body_01/Day07_200925_F/D07-1-410.json")
    assert item.meta["part"] == "validation"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("D4-1-410", "is not DNN-S-TTT"),
        ("D04-1-817", "type 817, expected 001 to 816"),
        ("D04-1-000", "type 000, expected 001 to 816"),
        ("D04-1-062", "quarantine: type 062: its conditions contradict its description"),
        ("D04-1-101", "quarantine: type 101"),
        ("D04-1-109", "quarantine: type 109"),
    ],
)
def test_names_that_do_not_fit_and_quarantine_are_rejects(name: str, words: str) -> None:
    for module, card, suffix in ((FLAT, FLAT_CARD, ""), (SPACE, SPACE_CARD, "-3d")):
        (item,) = planned(module, card, f"{FOLDER}/{name}{suffix}.json")
        assert words in str(item.reject)


def test_bad_poses_in_space_are_under_quarantine_unless_the_card_says_otherwise() -> None:
    for name, words in (("D28-1-410", "day 28"), ("D04-1-561", "exercise push-up")):
        (item,) = planned(SPACE, SPACE_CARD, f"{FOLDER}/{name}-3d.json")
        assert words in str(item.reject)
        assert all(item.reject is None for item in planned(FLAT, FLAT_CARD, f"{FOLDER}/{name}.json"))
    card = SPACE_CARD.model_copy(update={"options": {**SPACE_CARD.options, "quarantine_exercises": []}})
    (item,) = planned(SPACE, card, f"{FOLDER}/D04-1-561-3d.json")
    assert item.reject is None


def test_poses_in_space_have_labels_and_performer_from_the_views_beside() -> None:
    sample = space({f"{NAME}-3d": IN_SPACE, NAME: content()})
    assert sample.keypoints[1, 5].tolist() == [5, 95.5, 0]
    assert sample.targets == flat(content()).targets
    assert (sample.sample_id, sample.meta["take"], sample.meta["subject"]) == (f"{NAME}-3d", NAME, "Z17")


def test_poses_in_space_alone_have_an_exercise_only() -> None:
    sample = space({f"{NAME}-3d": IN_SPACE})
    assert set(sample.targets["defects"]) == {-1}  # type: ignore[arg-type]
    assert sample.targets["exercise"] == flat(content()).targets["exercise"]
    assert "subject" not in sample.meta


def changed_view(**changed: Any) -> dict[str, Any]:
    found = content()
    found["frames"][1]["view3"] |= changed
    return found


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (b"", "D04-1-410.json: the file is empty"),
        (content(frames=[]), "holds no frame"),
        (content(frames=[1]), "frame 0: an integer, expected an object of views"),
        (content(frames=[{"view1": view("A", 0)}]), "no frame has 'view3'; camera C saw nothing"),
        (content(type="411"), "'type' is '411', the name says 410"),
        (described(key="001"), "'type_info.key' is '001'"),
        (described(exercise="바벨 걸"), "the exercise '바벨 걸' is unknown. Did you mean '바벨 컬'"),
        (described(exercise="덤벨 컬"), "has the types 441 to 472, the name says 410"),
        (described(conditions=[{"condition": "시선 정면", "value": True}]), "'바벨 컬' has no condition '시선 정면'"),
        (described(conditions=[{"condition": CURL[0], "value": 1}]), "expected its text, and true or false"),
        (
            described(conditions=[{"condition": CURL[0], "value": value} for value in (True, False)]),
            "is both met and not met",
        ),
        (changed_view(pts={"Nose": {"x": 1, "y": 2}}), "view3, frame 1: 1 joints, lacks 'Left Eye'"),
        (changed_view(pts={**view("C", 1)["pts"], "Tail": {}}), "has the joint 'Tail'"),
        (changed_view(pts={**view("C", 1)["pts"], "Nose": {"x": 1}}), "joint 'Nose': expected x, y"),
        (changed_view(pts={**view("C", 1)["pts"], "Nose": {"x": "1", "y": 2}}), "frame 1, joint 0: a text"),
        (changed_view(pts=[]), "frame 1: a list, expected an object of joints"),
        (changed_view(img_key=view("C", 1, "Z18")["img_key"]), "name the performers Z17, Z18"),
        (changed_view(img_key=view("D", 1)["img_key"]), "the cameras C, D; expected one performer, and camera C"),
    ],
)
def test_files_that_do_not_fit_are_refused(found: dict[str, Any] | bytes, words: str) -> None:
    with pytest.raises(RawFormatError, match=words):
        flat(found)


def test_images_without_names_tell_no_performer() -> None:
    found = content()
    for frame in found["frames"]:
        frame["view3"].pop("img_key")
    with pytest.raises(RawFormatError, match="no 'img_key', which names the performer"):
        flat(found)


@pytest.mark.parametrize(
    ("found", "words"),
    [({"frames": []}, "0 frames; expected one"), ({"frames": [1]}, "1 frames"), ({}, "the key 'frames' is missing")],
)
def test_files_in_space_that_do_not_fit_are_refused(found: dict[str, Any], words: str) -> None:
    with pytest.raises(RawFormatError, match=words):
        space({f"{NAME}-3d": found})


def test_what_files_cannot_say_is_not_written() -> None:
    sample = flat(content())
    other = Sample(**{**vars(sample), "meta": {**sample.meta, "camera": "A"}})
    with pytest.raises(ValueError, match="no view of D04-1-410"):
        dict(FLAT.write(other, FLAT_CARD))
    strange = Sample(**{**vars(sample), "targets": {**sample.targets, "defects": (1,) * 97}})
    with pytest.raises(ValueError, match="has no condition"):
        dict(FLAT.write(strange, FLAT_CARD))
    double = Sample(**{**vars(sample), "frame": np.zeros(3, np.uint32)})
    for module, card in ((FLAT, FLAT_CARD), (SPACE, SPACE_CARD)):
        with pytest.raises(ValueError, match="at most one pose a frame"):
            dict(module.write(double, card))
