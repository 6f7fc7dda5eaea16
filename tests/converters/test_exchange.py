"""The exchange forms on files as others write them."""

import io
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skelbench import registry
from skelbench.card import load_card
from skelbench.errors import RawFormatError
from skelbench.formats import padded
from skelbench.raw import RawItem
from skelbench.sample import Sample
from skelbench.sources.source import open_source
from skelbench.synthetic.raw import InMemory


def plan(name: str, files: dict[str, bytes]) -> list[RawItem]:
    plugin = registry.find("converters", name)
    return list(registry.load(plugin).plan(InMemory(files), load_card(plugin.toml)))


def read(name: str, files: dict[str, bytes]) -> dict[str, Sample]:
    plugin = registry.find("converters", name)
    module, card = registry.load(plugin), load_card(plugin.toml)
    return {item.sample_id: module.read(InMemory(files), item, card) for item in plan(name, files)}


def clips(count: int, frames: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, frames, 2, 25, 3)).astype(np.float32)


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def ctr(**changed: Any) -> bytes:
    x = clips(3, 8)
    x[0, 5:] = 0
    x[1, :, 1] = 0
    found = {"x_train": x[:2].reshape(2, 8, 150), "y_train": np.eye(60)[[4, 59]], "x_test": x[2:].reshape(1, 8, 150)}
    found |= {"y_test": np.eye(60)[[7]], **changed}
    return npz(**{name: value for name, value in found.items() if value is not None})


def test_an_npz_without_names_is_numbered_and_its_padding_dropped() -> None:
    found = read("ctrgcn_npz", {"NTU60_CS.npz": ctr()})
    assert list(found) == ["train_000000", "train_000001", "test_000000"]
    assert [sample.n_frames for sample in found.values()] == [5, 8, 8]
    assert [sample.targets["label"] for sample in found.values()] == [4, 59, 7]
    assert found["train_000001"].person.tolist() == [0] * 8
    assert found["train_000000"].person.tolist() == [0, 1] * 5
    assert found["test_000000"].keypoints.tobytes() == clips(3, 8)[2].tobytes()
    assert found["test_000000"].meta == {"part": "test", "named": "by number"}


def test_names_are_rebuilt_from_the_official_list_in_the_order_of_the_subjects() -> None:
    names = ["S001C001P002R001A060", "S001C001P003R001A008", "S001C001P001R001A005"]
    files = {"NTU60_CS.npz": ctr(), "statistics/skes_available_name.txt": "\n".join(names).encode()}
    found = read("ctrgcn_npz", files)
    assert list(found) == [names[2], names[0], names[1]]
    assert {sample.meta["named"] for sample in found.values()} == {"by the official list"}


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["S001C001P001R001A005"], "2 clips, but 1 names of the list belong here; it was made with another filter"),
        (
            ["S001C001P001R001A005", "S001C001P002R001A059", "S001C001P003R001A008"],
            "row 1: label 59, but the list has 'S001C001P002R001A059' here",
        ),
    ],
)
def test_a_list_that_does_not_fit_says_how(names: list[str], words: str) -> None:
    with pytest.raises(RawFormatError, match=words):
        plan("ctrgcn_npz", {"NTU60_CS.npz": ctr(), "skes_available_name.txt": "\n".join(names).encode()})


def test_labels_may_be_integers_and_clips_have_five_axes() -> None:
    x = clips(1, 4)
    found = read("ctrgcn_npz", {"V1.npz": npz(x_train=x, y_train=np.array([3]))})
    assert found["train_000000"].targets == {"label": 3}
    assert found["train_000000"].keypoints.tobytes() == x.tobytes()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (npz(a=np.zeros(3)), "neither 'x_train' nor 'x_test'"),
        (ctr(y_train=None), "'y_train' is missing"),
        (ctr(y_train=np.zeros((2, 60))), "does not mark exactly one class"),
        (ctr(y_train=np.zeros(3, int)), "expected a label for each of 2 clips"),
        (ctr(x_train=np.zeros((2, 8))), "expected clips x frames x numbers"),
        (ctr(names_train=np.array(["a"])), "expected a name for each clip"),
        (npz(x_train=np.array([None, object()], object), y_train=np.zeros(2)), "Python objects"),
    ],
)
def test_an_npz_that_is_something_else_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(RawFormatError, match=f"^bad.npz.*{words}"):
        plan("ctrgcn_npz", {"bad.npz": content})


def test_numbers_that_are_no_persons_are_refused() -> None:
    with pytest.raises(RawFormatError, match=r"'x_train', row 0: .* expected persons of 25 joints x 3"):
        read("ctrgcn_npz", {"a.npz": ctr(x_train=np.zeros((2, 8, 151)))})


def pair(x: np.ndarray, names: list[str], protocol: int = 2) -> dict[str, bytes]:
    file = io.BytesIO()
    np.save(file, np.ascontiguousarray(x.transpose(0, 4, 1, 3, 2)))
    labels = pickle.dumps((names, list(range(len(names)))), protocol)
    return {"xsub/train_data_joint.npy": file.getvalue(), "xsub/train_label.pkl": labels}


def test_the_length_of_a_clip_is_recovered_where_the_file_shows_it() -> None:
    x = clips(3, 300)
    x[0, 40:] = 0
    x[1, :, 0] = np.resize(x[1, :70, 0], (300, 25, 3))
    x[1, :, 1] = np.resize(x[1, :33, 1], (300, 25, 3))
    found = read("stgcn_npy", pair(x, ["/a/b/one.skeleton", "two.json", "three.skeleton"]))
    assert {name: (s.n_frames, s.meta["length"]) for name, s in found.items()} == {
        "one": (40, "zeros after the end"), "two": (70, "replayed to the end"), "three": (300, "unknown"),
    }  # fmt: skip
    assert found["three"].keypoints.tobytes() == x[2].tobytes()
    assert [sample.targets["label"] for sample in found.values()] == [0, 1, 2]


def test_labels_without_names_number_the_clips() -> None:
    data = {"xsub/train_data_joint.npy": pair(clips(2, 3), ["a", "b"])["xsub/train_data_joint.npy"]}
    file = io.BytesIO()
    np.save(file, np.array([5, 7]))
    found = read("stgcn_npy", data | {"xsub/train_label.npy": file.getvalue()})
    assert {name: sample.targets["label"] for name, sample in found.items()} == {"train_000000": 5, "train_000001": 7}
    with pytest.raises(RawFormatError, match=r"train_data_joint.npy: no labels beside it, expected train_label.pkl or"):
        plan("stgcn_npy", data)


@pytest.mark.parametrize("protocol", range(6))
def test_labels_of_any_protocol_are_read_and_doubles_come_once(protocol: int) -> None:
    found = plan("stgcn_npy", pair(clips(3, 2), ["a.skeleton", "b.skeleton", "a.skeleton"], protocol))
    assert sorted((item.sample_id, item.meta["row"]) for item in found) == [("a", 0), ("b", 1)]


def test_files_that_follow_from_the_joints_are_passed_over() -> None:
    files = pair(clips(1, 2), ["a.skeleton"])
    bones = {"xsub/train_data_bone.npy": b"", "xsub/train_data_joint_motion.npy": b""}
    assert plan("stgcn_npy", files | bones) == plan("stgcn_npy", files)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"xsub/train_label.pkl": pickle.dumps((["a"], [0, 1]))}, "two lists of equal length"),
        ({"xsub/train_label.pkl": pickle.dumps((["a", "b"], [0, 1]))}, "1 clips, 2 labels"),
        ({"xsub/train_label.pkl": pickle.dumps((["a"], ["x"]))}, "classes counted from 0"),
        ({"xsub/train_label.pkl": pickle.dumps(io.StringIO)}, "a class or function"),
        ({"xsub/train_data_joint.npy": b""}, "not a .npy file"),
    ],
)
def test_pairs_that_do_not_fit_are_refused(changed: dict[str, bytes], words: str) -> None:
    with pytest.raises(RawFormatError, match=words):
        plan("stgcn_npy", pair(clips(1, 2), ["a"]) | changed)


def test_a_person_who_holds_still_has_a_period_of_one_frame() -> None:
    block = np.ones((10, 2, 3, 2), np.float32)
    block[:, 1] = np.resize(np.arange(18, dtype=np.float32).reshape(3, 3, 2), (10, 3, 2))
    assert padded.period(block) == 3


def test_splits_of_a_pickle_become_columns_and_code_in_it_is_refused() -> None:
    entry = {"frame_dir": "a", "total_frames": 1, "label": 2, "keypoint": np.ones((1, 1, 17, 2), np.float16)}
    content = pickle.dumps({"split": {"xsub_train": ["a"], "xview_val": ["a"]}, "annotations": [entry]})
    (sample,) = read("pyskl", {"ntu.pkl": content}).values()
    assert sample.meta == {"xsub": "xsub_train", "xview": "xview_val", "width": 0, "height": 0}
    assert sample.score is None
    twice = pickle.dumps({"split": {"xsub_train": ["a"], "xsub_val": ["a"]}, "annotations": [entry]})
    for bad, words in (
        (twice, "'a' is in the splits 'xsub_train' and 'xsub_val'"),
        (pickle.dumps({"annotations": [io.StringIO]}), "a class or function"),
        (pickle.dumps([1]), "annotation 0 has no 'frame_dir'"),
        (
            pickle.dumps({"split": {"train": ["a"]}, "annotations": [entry]}),
            "its splits are train, the card's",
        ),
        (pickle.dumps({"a": 1}), "holds no 'annotations'"),
    ):
        with pytest.raises(RawFormatError, match=words):
            plan("pyskl", {"ntu.pkl": bad})


def test_what_a_pickle_lists_or_holds_without_an_id_is_a_reject() -> None:
    entry = {"frame_dir": "a", "total_frames": 1, "label": 2, "keypoint": np.ones((1, 1, 17, 2), np.float16)}
    listed = {"xsub_train": ["a", "gone", "gone"], "xview_val": ["a", "lost"], "mine": ["other"]}
    entries = [{**entry, "frame_dir": 5}, entry, {"label": 3}]
    found = plan("pyskl", {"ntu.pkl": pickle.dumps({"split": listed, "annotations": entries})})
    assert {item.sample_id: item.reject for item in found} == {
        "a": None,
        "annotation 0": "'frame_dir' is 5, expected the id of a clip as text",
        "annotation 2": "it has no 'frame_dir', expected the id of a clip as text",
        "gone": "in the split 'xsub_train', but it has no annotation",
        "lost": "in the split 'xview_val', but it has no annotation",
    }


def test_annotations_whose_poses_stand_elsewhere_say_so() -> None:
    entry = {"frame_dir": "a", "label": 2, "raw_file": "kpfiles/a.pkl", "frame_inds": np.arange(3)}
    with pytest.raises(RawFormatError, match=r"'a': 'keypoint' is missing: its poses stand in 'kpfiles/a.pkl'"):
        read("pyskl", {"k400.pkl": pickle.dumps({"annotations": [entry]})})


def test_a_pickle_may_have_splits_as_tuples_and_no_size_of_the_image() -> None:
    entry = {"frame_dir": "a", "total_frames": 1, "img_shape": None, "keypoint": np.ones((1, 1, 17, 2), np.float16)}
    found = read("pyskl", {"ntu.pkl": pickle.dumps({"split": {"xsub_train": ("a",)}, "annotations": [entry]})})
    assert found["a"].meta == {"xsub": "xsub_train", "xview": "", "width": 0, "height": 0}
    assert found["a"].targets == {"label": -1}


@pytest.mark.parametrize("name", ["pyskl", "ctrgcn_npz", "stgcn_npy"])
def test_a_file_of_many_clips_is_read_once(name: str, tmp_path: Path) -> None:
    entries = [{"frame_dir": str(at), "keypoint": np.ones((1, 2, 17, 2), np.float16)} for at in range(3)]
    files = {
        "pyskl": {"a.pkl": pickle.dumps({"annotations": entries})},
        "ctrgcn_npz": {"a.npz": ctr()},
        "stgcn_npy": pair(clips(3, 4), ["a", "b", "c"]),
    }[name]
    for path, content in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(content)
    source, plugin = open_source([tmp_path], max_file=1 << 20), registry.find("converters", name)
    module, card = registry.load(plugin), load_card(plugin.toml)
    items = list(module.plan(source, card))
    shutil.rmtree(tmp_path)
    assert [module.read(source, item, card).sample_id for item in items] == [item.sample_id for item in items]
    assert len(items) == 3
