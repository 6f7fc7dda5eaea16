import gzip
import tomllib
from typing import Any

import numpy as np
import pytest

from skelbench import registry
from skelbench.card import load_card
from skelbench.errors import RawFormatError
from skelbench.formats import finegym, numpy_files, pyskl
from skelbench.raw import RawItem
from skelbench.synthetic.raw import InMemory

PLUGIN = registry.find("converters", "finegym99")
MODULE, CARD = registry.load(PLUGIN), load_card(PLUGIN.toml)
IDS = [f"synth_video_E_000100_000200_A_{at:04d}_{at + 2:04d}" for at in range(4)]
TRAIN, LONG, VAL = CARD.options["lists"].values()
LISTS = {
    TRAIN: f"{IDS[0]} 3\n".encode(),
    LONG: f"{IDS[0]} 3\r\n{IDS[1]} 98\r\n".encode(),
    VAL: f"{IDS[2]} 5\n".encode(),
}


def annotation(name: str, **changed: Any) -> dict[str, Any]:
    keypoint = np.arange(1, 69, dtype=np.float16).reshape(1, 2, 17, 2)
    score = np.ones((1, 2, 17), np.float16)
    keypoint[0, 1, 4] = score[0, 1, 4] = 0
    found = {"frame_dir": name, "total_frames": 2, "img_shape": (720, 1280), "keypoint": keypoint}
    return {**found, "keypoint_score": score, **changed}


def pickled(*names: str, **changed: Any) -> bytes:
    return pyskl.render([annotation(name, **changed) for name in names], {"train": names})


def items(files: dict[str, bytes]) -> dict[str, RawItem]:
    return {item.sample_id: item for item in MODULE.plan(InMemory(files), CARD)}


def test_lists_and_a_pickle_are_joined() -> None:
    files = LISTS | {"gym.pkl": pickled(*IDS[:3], label=3)}
    found = items(files)
    assert [found[name].meta["list"] for name in IDS[:3]] == ["v1.0", "v1.1", "val"]
    sample = MODULE.read(InMemory(files), found[IDS[0]], CARD)
    assert sample.targets == {"label": 3}
    assert sample.keypoints[0, 1].tolist() == [3, 4]
    assert np.isnan(sample.keypoints[1, 4]).all()
    assert np.isnan(sample.keypoints).sum() == 2
    assert sample.meta == {
        "list": "v1.0", "video": "synth_video", "take": "synth_video_E_000100_000200", "event": 100, "action": 0,
        "width": 1280, "height": 720,
    }  # fmt: skip
    with pytest.raises(RawFormatError, match=f"gym.pkl, '{IDS[1]}': 'label' is 3, 98 in the list 'v1.1'"):
        MODULE.read(InMemory(files), found[IDS[1]], CARD)


def test_what_is_listed_without_poses_or_posed_without_list_is_a_reject() -> None:
    found = items(LISTS | {"gym.pkl": pickled(IDS[0], IDS[3])})
    assert found[IDS[1]].reject == "in the list 'v1.1', but without poses"
    assert found[IDS[2]].reject == "in the list 'val', but without poses"
    assert found[IDS[3]].reject == "in 'gym.pkl', but in no element list"


def test_ids_without_letters_are_the_same_ids() -> None:
    bare = IDS[0].replace("_E_", "_").replace("_A_", "_")
    assert finegym.canonical(bare) == finegym.canonical(f"folder/{IDS[0]}") == IDS[0]
    files = LISTS | {"gym288.pkl": pickled(bare)}
    assert MODULE.read(InMemory(files), items(files)[IDS[0]], CARD).n_frames == 2


@pytest.mark.parametrize("folded", [False, True])
def test_a_folder_of_arrays_serves_as_poses(folded: bool) -> None:
    poses = np.random.default_rng(0).normal(size=(5, 17, 3)).astype(np.float32)
    arrays = {"keypoint": poses[None, ..., :2], "keypoint_score": poses[None, ..., 2]}
    for name, content in {
        f"poses/{IDS[0]}.npy": numpy_files.render_npy(poses[None] if folded else poses),
        f"poses/{IDS[0]}.npz": numpy_files.render_npz(arrays, packed=folded),
    }.items():
        sample = MODULE.read(InMemory(LISTS | {name: content}), items(LISTS | {name: content})[IDS[0]], CARD)
        assert sample.keypoints.tobytes() == np.ascontiguousarray(poses[..., :2]).tobytes()
        assert sample.score is not None
        assert sample.score.tobytes() == np.ascontiguousarray(poses[..., 2]).tobytes()


def test_lists_may_be_gzipped() -> None:
    packed = {f"{name}.gz": gzip.compress(content) for name, content in LISTS.items()}
    assert items(packed | {"gym.pkl": pickled(IDS[0])})[IDS[0]].reject is None


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({TRAIN: b"x 3\n"}, f"{TRAIN}, line 1: 'x 3', expected"),
        ({TRAIN: f"{IDS[0]} 99\n".encode()}, "a label of 0 to 98"),
        ({TRAIN: f"{IDS[0]}\n".encode()}, "line 1"),
        ({TRAIN: b"\xff\xfe"}, "no text"),
        ({LONG: f"{IDS[0]} 4\n".encode()}, "has label 4, but 3 in the list 'v1.0'"),
        ({VAL: f"{IDS[0]} 3\n".encode()}, "no element is in a training list and that of the validation"),
        ({"gym.pkl": b"\x80\x04cos\nsystem\n."}, "gym.pkl, byte .*'os.system', a class or function"),
        ({"gym.pkl": b""}, "gym.pkl"),
    ],
)
def test_damaged_lists_and_pickles_are_named(changed: dict[str, bytes], words: str) -> None:
    with pytest.raises(RawFormatError, match=words):
        items(LISTS | changed)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"keypoint": np.zeros((1, 2, 16, 2))}, "expected persons x frames x 17 x 2"),
        ({"keypoint": np.zeros((1, 0, 17, 2))}, "1 persons in 0 frames"),
        ({"keypoint": np.zeros((0, 2, 17, 2))}, "0 persons in 2 frames"),
        ({"keypoint": np.ones((2, 2, 17, 2)), "keypoint_score": None}, "2 persons, expected the athlete alone"),
        ({"keypoint": np.full((1, 2, 17, 2), np.inf)}, "person 0, frame 0, joint 0: 'keypoint' is infinite"),
        ({"keypoint_score": np.ones((1, 3, 17))}, "'keypoint_score' is"),
        ({"keypoint": None}, "'keypoint' is missing"),
        ({"total_frames": 9}, "'total_frames' is 9, 'keypoint' has 2 frames"),
        ({"label": "3"}, "'label' is '3'"),
        ({"img_shape": (720,)}, "'img_shape' is of type tuple"),
    ],
)
def test_annotations_that_contradict_the_format_are_refused(changed: dict[str, Any], words: str) -> None:
    files = LISTS | {"gym.pkl": pickled(IDS[0], **changed)}
    with pytest.raises(RawFormatError, match=f"^gym.pkl, '{IDS[0]}'.*{words}"):
        MODULE.read(InMemory(files), items(files)[IDS[0]], CARD)


@pytest.mark.parametrize("name", ["finegym99", "finegym288"])
def test_the_parts_of_the_longer_protocol_are_all_that_is_listed(name: str) -> None:
    protocols = tomllib.loads(registry.find("splits", name).toml.read_text())["protocols"]
    assert list(protocols) == ["v1.0", "v1.1"]
    card = load_card(registry.find("converters", name).toml)
    assert sum(protocols["v1.1"]["official"].values()) == card.official.planned
