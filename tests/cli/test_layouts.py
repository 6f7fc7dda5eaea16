import json
from pathlib import Path

import pytest

from skelbench.cli.layouts import tree
from skelbench.skeletons import layout_names, load_layout


def test_the_list_counts_joints_and_pairs_and_names_the_mappings(skelbench) -> None:
    said = skelbench("list", "layouts")
    assert said.code == 0
    (line,) = [line for line in said.out.splitlines() if line.startswith("smarthome17 ")]
    assert line.split()[:4] == ["smarthome17", "17", "6", "coco17,"]
    assert "lcrnet13" in line
    assert [row["name"] for row in json.loads(skelbench("list", "layouts", "--json").out)] == layout_names()


def test_the_text_shows_bones_partners_and_what_mappings_lose(skelbench) -> None:
    said = skelbench("info", "smarthome17")
    assert said.code == 0
    assert "joints  17 in 6 mirror pairs and 5 without a partner" in said.out
    assert "        │       ├── 11 left hip  (12 right hip)" in said.out
    assert "lcrnet13 -> smarthome17: 4 averaged (nose, neck, chest, mid hip)" in said.out
    assert "smarthome17 -> lcrnet13: 4 unused (nose, neck, chest, mid hip)" in said.out
    assert "variants: wrists, from kinect_v2; as in --layout smarthome17,wrists" in said.out


@pytest.mark.parametrize("name", layout_names())
def test_every_joint_stands_once_below_its_parent(name: str) -> None:
    layout, lines = load_layout(name), tree(load_layout(name))
    bare = [line.lstrip("│├└─ ") for line in lines]
    order = [int(line.split()[0]) for line in bare]
    depth = {joint: len(line) - len(rest) for joint, line, rest in zip(order, lines, bare, strict=True)}
    assert sorted(order) == list(range(len(layout.joints)))
    for joint, parent in enumerate(layout.parents):
        if parent >= 0:
            assert depth[joint] == depth[parent] + 4
            assert order.index(joint) > order.index(parent)


def test_json_says_what_each_joint_is_made_of(skelbench) -> None:
    found = json.loads(skelbench("info", "smarthome17", "--json").out)
    assert found["joints"][9] == {"index": 9, "joint": "left wrist", "parent": "left elbow", "mirror": "right wrist"}
    (unik,) = [mapping for mapping in found["from"] if mapping["source"] == "lcrnet13"]
    assert unik["joints"]["nose"] == {"head": "1/2", "left shoulder": "1/4", "right shoulder": "1/4"}
    (coco,) = [mapping for mapping in found["to"] if mapping["target"] == "coco17"]
    assert coco["missing"] == ["left eye", "right eye", "left ear", "right ear"]
    assert found["variants"] == {"wrists": ["kinect_v2"]}


def test_the_picture_is_the_same_bytes_each_time(skelbench, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        said = skelbench("info", "openpose25", "--figures", "--out", tmp_path / folder)
        assert said.code == 0, said.err
        assert str(tmp_path / folder / "openpose25.png") in said.out
    for form in ("png", "svg"):
        one, two = ((tmp_path / folder / f"openpose25.{form}").read_bytes() for folder in ("one", "two"))
        assert one == two
        assert len(one) > 10_000


def test_only_runs_stores_and_layouts_are_drawn(skelbench) -> None:
    said = skelbench("info", "lite", "--figures")
    assert said.code == 2
    assert "--figures draws a run, a store or a layout, and lite is none" in said.err
