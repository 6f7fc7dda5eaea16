import os
from pathlib import Path

import pytest

from skelbench.card import load_card
from skelbench.errors import CardError

CARD = """
title = "Mine"
layout = "coco17"
channels = ["u", "v"]
units = { u = "pixel", v = "pixel" }
fps = 30.0
pose_source = "a detector"
persons = 2
licence = "CC0-1.0"
obtain = "from me"
citation = "none"
raw = "a folder"

[targets.label]
classes = ["sit", "stand"]
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_card_takes_its_name_from_its_file_and_its_layout_by_name(tmp_path: Path) -> None:
    card = load_card(write(tmp_path, CARD))
    assert card.name == "mine"
    assert len(card.layout.joints) == 17


def test_a_layout_may_stand_beside_the_card(tmp_path: Path) -> None:
    (tmp_path / "stick.toml").write_text('joints = ["a", "b"]\nparents = [-1, 0]\npairs = []\nsource = "me"\n')
    assert load_card(write(tmp_path, CARD.replace("coco17", "stick"))).layout.joints == ("a", "b")


def test_a_layout_may_stand_in_the_card(tmp_path: Path) -> None:
    text = CARD.replace('layout = "coco17"', "") + '\n[layout]\njoints = ["a"]\nparents = [-1]\npairs = []\n'
    assert load_card(write(tmp_path, text)).layout.joints == ("a",)


def test_a_card_survives_its_own_json(tmp_path: Path) -> None:
    card = load_card(write(tmp_path, CARD))
    assert type(card).model_validate_json(card.model_dump_json()) == card


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("fps = 30.0", "fbs = 30.0", "unknown key 'fbs'. Did you mean 'fps'"),
        ("fps = 30.0", "fps = 30.0\nlicense = 'x'", "unknown key 'license'. Did you mean 'licence'"),
        ("classes =", "clases =", "unknown key 'targets.label.clases'. Did you mean 'classes'"),
        ("fps = 30.0", "fps = 'fast'", "fps: .*found 'fast'"),
        ("coco17", "coco18", "Did you mean 'coco17'"),
        ('u = "pixel", v', "v", "units are given for"),
        ('["u", "v"]', '["u", "w"]', "channels"),
        ("title =", "title", "not TOML"),
        ("[targets.label]", "[columns]\nlabel = 'x'\n[targets.label]", "no column may bear a target's name"),
    ],
)
def test_a_wrong_card_is_refused_with_the_reason(tmp_path: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(CardError, match=words):
        load_card(write(tmp_path, CARD.replace(old, new)))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("fps = 30.0", "fps = nan", "fps: nan is no finite number"),
        ("fps = 30.0", "fps = 30.0\n[options]\ndeep = [[1, inf]]", "options.deep: inf is no finite number"),
        ("fps = 30.0", "fps = -1", "fps: .*greater than 0; found -1"),
        ("persons = 2", "persons = 0", "persons: .*found 0"),
        ("fps = 30.0", "fps = 30.0\nmax_file_mb = 0", "max_file_mb: .*found 0"),
        ("fps = 30.0", "fps = 30.0\nname = '../../x'", "the name is '../../x'"),
        ('"Mine"', '"Mi\\u001b[31mne"', "title: .* holds a control character"),
        ('"u", "v"', '"u", "u"', "channels must be there and differ"),
        ('"sit", "stand"', '"sit", "sit"', "the class 'sit' is named twice"),
        ("coco17", "../../../etc/passwd", "No layout"),
        ("coco17", "x" * 5000, "No layout"),
        ("title =", "x = " + "[" * 100_000 + "\ntitle =", "nested too deeply"),
        ("title =", "a" + ".a" * 50_000 + " = 1\ntitle =", "nested too deeply"),
        ("title =", "#" * (1 << 20) + "\ntitle =", "more than 1 MiB"),
        ("title =", "x = " + "9" * 5000 + "\ntitle =", "not TOML"),
    ],
    ids=lambda value: value[:20],
)
def test_a_hostile_card_is_refused_with_the_reason(tmp_path: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(CardError, match=words):
        load_card(write(tmp_path, CARD.replace(old, new)))


def test_a_layout_beside_the_card_that_is_not_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "stick.toml").write_bytes(b'joints = ["\xe9"]')
    with pytest.raises(CardError, match=r"stick\.toml: not TOML"):
        load_card(write(tmp_path, CARD.replace("coco17", "stick")))


@pytest.mark.parametrize("path", [os.devnull, ".", "x" * 5000])
def test_a_card_that_is_no_file_is_refused(path: str) -> None:
    with pytest.raises(CardError, match="expected a TOML file"):
        load_card(Path(path))


def test_a_missing_card_is_named(tmp_path: Path) -> None:
    with pytest.raises(CardError, match=r"none\.toml: No such file"):
        load_card(tmp_path / "none.toml")
