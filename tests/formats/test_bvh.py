"""BVH files of any rig, good and bad."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skelbench.errors import RawFormatError
from skelbench.formats import bvh

ARM = """HIERARCHY
ROOT rig:Hips
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT rig:Upper Arm
  {
    OFFSET 0 10 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 5 0 0
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.04
1 2 3 0 0 0 0 0 0
1 2 3 90 0 0 0 0 90
"""


def parsed(text: str) -> bvh.Bvh:
    return bvh.parse(text.encode(), "arm.bvh")


def test_joints_stand_where_their_bones_turn_them() -> None:
    found = parsed(ARM)
    assert [joint.name for joint in found.joints] == ["rig:Hips", "rig:Upper Arm", "rig:Upper Arm end"]
    assert found.frame_time == 0.04
    places = bvh.positions(found)
    assert places[0].tolist() == [[1, 2, 3], [1, 12, 3], [6, 12, 3]]
    # A quarter turn about z takes y to -x; then one about the arm's own y takes its x to -z.
    assert places[1] == pytest.approx(np.array([[1, 2, 3], [-9, 2, 3], [-9, 2, -2]]))


def test_rotations_turn_in_the_order_of_the_channels() -> None:
    text = ARM.replace("3 Zrotation Xrotation Yrotation", "3 Yrotation Xrotation Zrotation")
    turned = text.replace("0 0 90\n", "90 0 90\n")
    assert bvh.positions(parsed(turned))[1, 2] == pytest.approx([-14, 2, 3])


def test_a_position_channel_stands_in_the_place_of_the_offset() -> None:
    text = ARM.replace("3 Zrotation Xrotation Yrotation", "4 Zrotation Yposition Xrotation Yrotation")
    text = text.replace("0 0 0 0 0 0\n", "0 0 0 0 7 0 0\n").replace("0 0 90\n", "0 7 0 90\n")
    assert bvh.positions(parsed(text))[0].tolist() == [[1, 2, 3], [1, 9, 3], [6, 9, 3]]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + ARM,
        ARM.replace("\n", "\r\n"),
        ARM.replace("  ", "\t"),
        ARM.replace("\n{", " {"),
        ARM.replace("Zrotation", "zrotation"),
        ARM.replace("End Site", "End site"),
        ARM.replace("Frames: 2", "Frames:\t2"),
        ARM + "\n \n",
        ARM.replace("rig:Hips", "LOCOMOTION"),
        ARM.replace("End Site", "EndSite"),
        ARM.replace("End Site", "End Site elbow_end"),
        ARM.replace("Frame Time", "Frame time").replace("Frames:", "frames :"),
        ARM[: ARM.index("MOTION")].replace("rig:Upper Arm", "arm").lower() + ARM[ARM.index("MOTION") :],
        ARM.replace("10 0", "1.0e+01 0.").replace("1 2 3", "+1 .2E1 3.000"),
        ARM[:-1],
    ],
)
def test_the_many_spellings_of_the_format_are_one(text: str) -> None:
    assert np.array_equal(bvh.positions(parsed(text)), bvh.positions(parsed(ARM)))


def test_joints_are_found_by_their_plain_names() -> None:
    found = parsed(ARM)
    assert bvh.named(found, ["upper arm", "hips"]) == [1, 0]
    assert bvh.named(found, ["hips", "head"]) is None
    assert bvh.plain_name("Armature|mixamorig:LeftArm") == "LeftArm"


@pytest.mark.parametrize("prefix", ["mixamorig_", "Bip01 ", "Character1_", "J_Bip_", "Armature|mixamorig_"])
def test_joints_are_found_behind_a_prefix_that_all_share(prefix: str) -> None:
    found = parsed(ARM.replace("rig:", prefix))
    assert bvh.named(found, ["upper.arm", "Hips"]) == [1, 0]
    assert bvh.lacking(found, ["Upper_Arm", "hips", "Head", "per arm"]) == ["Head", "per arm"]


def test_prefixes_that_differ_are_no_rig() -> None:
    found = parsed(ARM.replace("rig:Hips", "left_Hips").replace("rig:Upper", "right_Upper"))
    assert bvh.named(found, ["upper arm", "hips"]) is None
    assert bvh.named(parsed(ARM.replace("rig:Hips", "Hips2Hips")), ["hips", "upper arm"]) is None


def test_a_position_that_is_nan_is_missing_with_all_that_hangs_on_it() -> None:
    for nan in ("NaN", "nan"):
        places = bvh.positions(parsed(ARM.replace("\n1 2 3 0", f"\n{nan} 2 3 0")))
        assert np.isnan(places[0, :, 0]).all()
        assert np.isfinite(places[1]).all()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("MOTION", "", "no 'MOTION'"),
        ("HIERARCHY", "HIERARCHIE", "holds HIERARCHIE, expected the first line HIERARCHY"),
        ("ROOT rig:Hips", "ROOT", "'ROOT', expected ROOT and a name"),
        ("ROOT", "JOINT", "'JOINT rig:Hips', expected ROOT and a name"),
        ("JOINT rig", "ROOT rig", "'ROOT rig:Upper Arm', expected JOINT and a name"),
        ("OFFSET 0 10 0", "OFFSET 0 10", "expected OFFSET and three numbers"),
        ("OFFSET 0 10 0", "OFFSET 0 nan 0", "'nan', expected a number"),
        ("OFFSET 0 10 0", "OFFSET 0 1e999 0", "'1e999', expected a number"),
        ("OFFSET 0 10 0", f"OFFSET 0 {'9' * 60} 0", "expected a number"),
        ("CHANNELS 3 Z", "CHANNELS 4 Z", "'CHANNELS 4"),
        ("CHANNELS 3 Zrotation", "CHANNELS 3 Xrotation", "'CHANNELS 3"),
        ("CHANNELS 3 Zrotation", "CHANNELS 3 Wrotation", "'CHANNELS 3"),
        ("CHANNELS 3", "CHANNELS", "'CHANNELS"),
        ("    }\n", "    }\n  }\n  }\n", "expected ROOT and a name"),
        ("    }\n", "", "a closing brace"),
        ("OFFSET 5 0 0", "OFFSET 5 0 0\nJOINT x\n{\nOFFSET 0 0 0\n}", "within an End Site"),
        ("Frames: 2", "Frames: 1000000000", "after MOTION"),
        ("Frames: 2", "Frames: 999999999", "2 frames of 9 channels, but 'Frames:' says 999999999"),
        ("Frames: 2", "Frames: 0", "'Frames:' says 0"),
        ("Frames: 2", "Frames: two", "expected 'Frames: N'"),
        ("0.04", "0", "'Frame Time: seconds'"),
        ("0.04", "nan", "'Frame Time: seconds'"),
        ("0.04", "-1", "'Frame Time: seconds'"),
        ("0 0 90\n", "0 90\n", "frame 1: 8 values, expected 9 channels"),
        ("0 0 90\n", "0 0 90 1\n", "frame 1: 10 values"),
        ("0 0 90\n", "0 0 inf\n", "frame 1: 'inf', expected a number"),
        ("0 0 90\n", "0 0 NaN\n", "column 8: an angle is NaN"),
        ("0 0 90\n", "0 0 1e300\n", "frame 1: 1e+300, expected at most"),
        ("0 0 90\n", "0 0 0x1\n", "'0x1', expected a number"),
    ],
)
def test_what_is_no_bvh_is_refused(old: str, new: str, words: str) -> None:
    assert old in ARM
    with pytest.raises(RawFormatError, match=rf"^arm\.bvh.*{re.escape(words)}"):
        parsed(ARM.replace(old, new, 1))


def test_a_hierarchy_without_end_is_refused() -> None:
    deep = "HIERARCHY\nROOT a\n{\nOFFSET 0 0 0\n" + "JOINT a\n{\nOFFSET 0 0 0\n" * 20_000
    with pytest.raises(RawFormatError, match="within each other"):
        bvh.parse(deep.encode() + b"MOTION\n", "deep.bvh")
    with pytest.raises(RawFormatError, match="no 'MOTION'"):
        bvh.parse(deep.encode() * 20 + b"MOTION\n", "long.bvh")
    with pytest.raises(RawFormatError, match="not UTF-8"):
        bvh.parse(b"HIERARCHY\nROOT \xff\nMOTION\n", "latin.bvh")


PARENTS = (2, 0, -1, 2, 2, 4)
NAMES = ("neck", "head", "hips", "left", "right", "foot")


def same(one: np.ndarray, other: np.ndarray) -> bool:
    missing = np.isnan(one)
    bits = [array.view(np.uint32)[~missing] for array in (one, other)]
    return np.array_equal(missing, np.isnan(other)) and np.array_equal(*bits)


def rendered(keypoints: np.ndarray) -> tuple[bvh.Bvh, np.ndarray]:
    found = bvh.parse(bvh.render(NAMES, PARENTS, keypoints, 1 / 30), "rendered.bvh")
    places = bvh.named(found, NAMES)
    assert places is not None
    assert found.frame_time == 1 / 30
    return found, bvh.positions(found)[:, places].astype(np.float32)


def test_a_person_is_rendered_as_bones_that_turn() -> None:
    rest = np.random.default_rng(3).normal(size=(1, 6, 3)) * 50
    angles = np.linspace(0, 2, 20)
    keypoints = (rest @ bvh.about(1, angles) @ bvh.about(0, angles / 3)).astype(np.float32)
    found, back = rendered(keypoints)
    assert same(back, keypoints)
    assert [joint.parent for joint in found.joints].count(-1) == 1
    assert np.abs(found.motion[:, 3:6]).max() > 10  # degrees: the root turns


@given(st.integers(0, 2**32))
def test_any_recording_is_rendered_bit_for_bit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2**32, (rng.integers(1, 4), 6, 3), dtype=np.uint32)
    bits[bits & 0x7F800000 == 0x7F800000] = 0x7FC00000
    keypoints = bits.view(np.float32)
    assert same(rendered(keypoints)[1], keypoints)
    assert same(rendered(np.full_like(keypoints, -0.0))[1], np.full_like(keypoints, -0.0))


@given(st.data())
def test_a_file_with_other_bytes_in_it_is_read_or_refused(data: st.DataObject) -> None:
    content = ARM.encode()
    at, lost = data.draw(st.integers(0, len(content))), data.draw(st.integers(0, 100))
    try:
        found = bvh.parse(content[:at] + data.draw(st.binary(max_size=5)) + content[at + lost :], "arm.bvh")
    except RawFormatError:
        return
    assert bvh.positions(found).shape == (len(found.motion), len(found.joints), 3)
