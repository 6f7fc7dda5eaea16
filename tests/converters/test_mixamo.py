from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from skelbench import registry
from skelbench.card import load_card
from skelbench.errors import RawFormatError
from skelbench.formats import bvh, numpy_files
from skelbench.raw import RawItem
from skelbench.sample import Sample, same
from skelbench.split import load_protocols
from skelbench.synthetic.raw import InMemory, twins

MODULE = registry.load(registry.find("converters", "mixamo"))
CARD = load_card(registry.find("converters", "mixamo").toml)
KEYPOINTS = np.random.default_rng(0).normal(0, 50, (4, 15, 3)).astype(np.float32)
ARRAY = np.moveaxis(KEYPOINTS, 0, -1).astype(np.float64)


def planned(*paths: str) -> list[RawItem]:
    return list(MODULE.plan(InMemory(dict.fromkeys(paths, b"")), CARD))


def read(path: str, content: bytes) -> Sample:
    raw = InMemory({path: content})
    (item,) = MODULE.plan(raw, CARD)
    sample = MODULE.read(raw, item, CARD)
    assert isinstance(sample, Sample)
    return sample


def test_folders_are_characters_and_files_are_motions() -> None:
    items = planned("data/Aj/Walk.bvh", "Lola/Walk/Walk.npy", "Lola/Walk/motions/1.npy", "Walk(1).bvh")
    assert {item.sample_id: item.meta.get("character") for item in items} == {
        "Aj__Walk": "Aj", "Lola__Walk": "Lola", "Walk(1)": None,
    }  # fmt: skip
    assert {item.meta["take"] for item in items} == {"Walk", "Walk(1)"}
    assert not any(item.reject for item in items)


@pytest.mark.parametrize("name", ["Copy of Walk", "Walk - Copy", "Walk copy 2", "Walk - Copy (3)"])
def test_copies_are_rejects(name: str) -> None:
    (item,) = planned(f"Aj/{name}.bvh")
    assert "is that of a copy" in str(item.reject)


@pytest.mark.parametrize("rig", list(CARD.options["rigs"]))
@pytest.mark.parametrize("prefix", ["", "Boy:", "Armature|swat:", "mixamorig_", "Bip001 "])
def test_joints_of_any_rig_are_found_by_name(rig: str, prefix: str) -> None:
    names = [f"{prefix}{name}" for name in CARD.options["rigs"][rig]]
    sample = read("Ty/Walk.bvh", bvh.render(names, CARD.layout.parents, KEYPOINTS, 1 / 24))
    assert np.array_equal(sample.keypoints, KEYPOINTS)
    assert sample.targets == {"label": CARD.targets["label"].classes.index("Ty")}
    assert sample.meta == {"character": "Ty", "motion": "Walk", "take": "Walk", "fps": 24.0}


def test_the_arrays_of_lac_are_read_and_written_back() -> None:
    for array in (ARRAY, ARRAY.astype(np.float32)):
        sample = read("Zoe/Walk/Walk.npy", numpy_files.render_npy(array))
        assert np.array_equal(sample.keypoints, KEYPOINTS)
        assert sample.targets == {"label": -1}
        assert "fps" not in sample.meta
        ((path, content),) = MODULE.write(sample, CARD)
        assert path == "mixamo/Zoe/Walk/Walk.npy"
        assert same(read(path, content), sample)


def test_a_file_without_folders_has_no_character() -> None:
    for path in ("Walk.npy", "Walk.bvh"):
        content = numpy_files.render_npy(ARRAY)
        if path.endswith(".bvh"):
            content = bvh.render(CARD.options["rigs"]["mixamo"], CARD.layout.parents, KEYPOINTS, 0.01)
        sample = read(path, content)
        assert sample.targets == {"label": -1}
        ((again, content),) = MODULE.write(sample, CARD)
        assert again == path
        assert same(read(path, content), sample)


def test_a_rig_without_a_joint_is_refused_by_the_joints_name() -> None:
    names = ["Skull", *CARD.options["rigs"]["mixamo"][1:]]
    with pytest.raises(
        RawFormatError, match=r"Walk\.bvh: the rig \(Hips, .*\) has no Head; expected the joints of one of mixamo, "
    ):
        read("Aj/Walk.bvh", bvh.render(names, CARD.layout.parents, KEYPOINTS, 0.03))
    names = ["left_Head", *names[1:]]
    with pytest.raises(RawFormatError, match="names its joints in more than one way"):
        read("Aj/Walk.bvh", bvh.render(names, CARD.layout.parents, KEYPOINTS, 0.03))


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (ARRAY[:14], r"float64 \(14, 3, 4\), expected numbers of \(15, 3\) x frames"),
        (np.moveaxis(ARRAY, -1, 0), r"\(4, 15, 3\)"),
        (ARRAY[..., :0], r"\(15, 3, 0\)"),
        (ARRAY.astype(np.int32), "int32"),
        (ARRAY * 1e38, "frame 0, joint 0: not finite in 32 bits"),
    ],
)
def test_other_arrays_are_refused(array: np.ndarray, words: str) -> None:
    with pytest.raises(RawFormatError, match=words):
        read("Aj/Walk.npy", numpy_files.render_npy(array))


def test_a_frame_time_of_minutes_is_refused() -> None:
    content = bvh.render(CARD.options["rigs"]["mixamo"], CARD.layout.parents, KEYPOINTS, 500.0)
    with pytest.raises(RawFormatError, match="'Frame Time' is 500"):
        read("Aj/Walk.bvh", content)


def test_what_the_file_cannot_say_is_not_written() -> None:
    sample = read("Aj/Walk.npy", numpy_files.render_npy(ARRAY))
    infinite = replace(sample, keypoints=sample.keypoints + np.float32(np.inf))
    for wrong, words in ((replace(sample, n_frames=5), "one pose in every frame"), (infinite, "is infinite")):
        with pytest.raises(ValueError, match=words):
            list(MODULE.write(wrong, CARD))


def test_lacs_characters_are_all_those_that_have_a_name_and_each_motion_is_there_for_several() -> None:
    lac = load_protocols("mixamo")["lac"]
    assert isinstance(lac.train, dict)
    assert isinstance(lac.test, dict)
    assert (len(lac.train["character"]), len(lac.test["character"])) == (11, 4)
    assert sorted(map(str, lac.train["character"] + lac.test["character"])) == list(CARD.targets["label"].classes)
    grid = Counter(sample.meta["motion"] for sample, _ in twins(MODULE, CARD, samples=64, seed=0))
    assert max(grid.values()) > 1
