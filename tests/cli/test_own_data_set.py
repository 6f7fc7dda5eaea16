"""A data set of one's own outside the repository: three files and a layout, no edit elsewhere."""

import importlib
import json
from pathlib import Path

import pytest

CONVERTER = """
import json, re
import numpy as np
from skelbench.errors import RawFormatError
from skelbench.formats import names, strict_json
from skelbench.raw import RawItem
from skelbench.sample import Sample

NAME = re.compile(r"k(?P<label>\\d\\d)_p(?P<subject>\\d\\d)_t(?P<trial>\\d\\d)[.]json", re.ASCII)

def plan(raw, card):
    for path in names.members(raw, ".json"):
        parts = names.numbers(NAME, path)
        yield RawItem(names.stem(path), (path,), parts or {}, None if parts else "the name is not kNN_pNN_tNN.json")

def read(raw, item, card):
    (path,) = item.paths
    where = raw.where(path)
    frames = strict_json.field(strict_json.load(raw.read(path), where), "frames", list, where)
    keypoints = strict_json.poses(frames, len(card.layout.joints), len(card.channels), where)
    poses = len(keypoints)
    meta = {"subject": item.meta["subject"], "trial": item.meta["trial"], "take": item.sample_id}
    return Sample(item.sample_id, poses, np.arange(poses, dtype=np.uint32), np.full(poses, -1, np.int64), keypoints,
                  None, {"label": item.meta["label"]}, (), meta)

def write(sample, card):
    yield f"{sample.sample_id}.json", json.dumps({"frames": sample.keypoints.tolist()}).encode()
"""
CARD = """
title = "Stick figures"
layout = "stick"
channels = ["x", "y", "z"]
units = { x = "metre", y = "metre", z = "metre" }
fps = 25.0
pose_source = "made up"
persons = 1
licence = "CC0-1.0"
obtain = "from me"
citation = "none"
raw = "a folder of json files"

[columns]
subject = "p of the name"
trial = "t of the name"
take = "the clip"

[targets.label]
classes = ["wave", "bow", "jump", "turn"]

[synth]
sample_id = "k{label:02d}_p{subject:02d}_t{trial:02d}"
take = "k{label:02d}_p{subject:02d}_t{trial:02d}"

[synth.axes]
subject = [1, 2, 3, 4, 5, 6]
trial = [0, 1, 2, 3, 4]
"""
LAYOUT = """
joints = ["hip", "spine", "head", "left hand", "right hand", "left knee", "left foot", "right knee", "right foot"]
parents = [-1, 0, 1, 1, 1, 0, 5, 0, 7]
pairs = [[3, 4], [5, 7], [6, 8]]
source = "me"
"""
SPLITS = """
[protocols.xsub]
title = "cross-subject"
source = "me"
train = { subject = [1, 2, 3] }
test = "rest"
disjoint = ["subject"]
"""


def write(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files in a package that names its folders by entry points."""
    site = tmp_path / "site"
    write(site / "lab_sets", {"__init__.py": ""})
    write(site / "lab_sets/converters", {"__init__.py": "", "stick9.py": CONVERTER, "stick9.toml": CARD,
                                         "stick.toml": LAYOUT})  # fmt: skip
    write(site / "lab_sets/splits", {"__init__.py": "", "stick9.toml": SPLITS})
    points = "".join(f"[skelbench.{kind}]\nlab = lab_sets.{kind}\n" for kind in ("converters", "splits"))
    write(site / "lab_sets-1.0.dist-info", {"entry_points.txt": points, "METADATA": "Name: lab-sets\nVersion: 1.0\n"})
    monkeypatch.syspath_prepend(str(site))
    importlib.invalidate_caches()


@pytest.mark.usefixtures("installed")
def test_an_installed_data_set_goes_from_raw_files_to_a_board_by_its_name(skelbench) -> None:
    assert "stick9" in {row["name"] for row in json.loads(skelbench("list", "datasets", "--json").out)}
    for arguments in (
        ("synth", "stick9", "--samples", "64"),
        ("convert", "stick9", "--raw", "raw/stick9"),
        ("verify", "stick9"),
        ("run", "--dataset", "stick9", "--method", "centroid"),
        ("leaderboard",),
    ):
        said = skelbench(*arguments)
        assert said.code == 0, said.err
    facts = json.loads(skelbench("info", "stick9", "--json").out)
    assert (facts["samples"], facts["protocols"][0]["name"]) == (64, "xsub")
    assert "centroid" in Path("leaderboards/synthetic/stick9-xsub.md").read_text()


def test_files_given_by_path_do_as_well(skelbench) -> None:
    write(Path("mine"), {"reader.py": CONVERTER, "card.toml": CARD, "stick.toml": LAYOUT, "parts.toml": SPLITS})
    said = skelbench("convert", "mine/reader.py", "--raw", "mine")
    assert said.code == 2
    assert "name one with --card" in said.err
    Path("mine/reader.toml").write_text(CARD)
    assert skelbench("synth", "mine/reader.py", "--samples", "64", "--out", "raw").code == 0
    Path("mine/reader.toml").unlink()
    assert skelbench("convert", "mine/reader.py", "--card", "mine/card.toml", "--raw", "raw").code == 0
    assert json.loads(skelbench("info", "reader", "--json").out)["samples"] == 64
    asked = ("run", "--dataset", "reader", "--method", "centroid")
    said = skelbench(*asked)
    assert said.code == 2
    assert "The path of a .toml file (--splits) works too" in said.err
    assert skelbench(*asked, "--splits", "mine/parts.toml").code == 0
