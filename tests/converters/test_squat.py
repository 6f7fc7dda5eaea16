import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skelbench import registry
from skelbench.card import load_card
from skelbench.errors import RawFormatError
from skelbench.formats import numpy_files, pairwise
from skelbench.raw import RawItem, Sequences
from skelbench.sample import Sample
from skelbench.sources.source import open_source
from skelbench.store.features import read_feature, write_feature
from skelbench.synthetic.body import body_of, move
from skelbench.synthetic.motion import action_of, angles, style_of
from skelbench.synthetic.raw import InMemory

MODULE, CARD = registry.load(registry.find("converters", "squat")), load_card(registry.find("converters", "squat").toml)
LIFTED, LIFTED_CARD = (
    registry.load(registry.find("converters", "squat_lifted")),
    load_card(registry.find("converters", "squat_lifted").toml),
)
PATH = "bad_shallow/1115_3djoints_index/1003_squat_000012.json"
JOINTS = CARD.layout.joints


def body(frames: int = 12) -> np.ndarray:
    """Somebody who moves: metres, x to the left, y up, z forward."""
    rng = np.random.default_rng(0)
    course = angles(action_of(3), style_of(1), np.arange(frames) / 10, rng)
    return move(body_of(CARD.layout), course).astype(np.float32)


def rows(points: np.ndarray) -> dict[str, dict[str, Any]]:
    found = pairwise.distances(points).tolist()
    return {str(at): {"index": at, "3d_joint": row} for at, row in enumerate(found)}


def read(content: dict[str, Any] | bytes, path: str = PATH) -> Sample:
    raw = InMemory({path: content if isinstance(content, bytes) else json.dumps(content).encode()})
    (item,) = MODULE.plan(raw, CARD)
    assert item.reject is None, item.reject
    sample = MODULE.read(raw, item, CARD)
    assert isinstance(sample, Sample)
    return sample


def planned(*paths: str) -> dict[str, RawItem]:
    return {item.sample_id: item for item in MODULE.plan(InMemory(dict.fromkeys(paths, b"")), CARD)}


def test_the_distances_are_the_upper_triangle_row_by_row() -> None:
    points = np.zeros((1, 3, 3), np.float32)
    points[0, 1], points[0, 2] = (3, 4, 0), (0, 0, 12)
    assert pairwise.distances(points).tolist() == [[5.0, 12.0, 13.0]]


def test_coordinates_have_the_distances_of_the_file() -> None:
    sample = read(rows(body()))
    assert np.allclose(pairwise.distances(sample.keypoints), pairwise.distances(body()), atol=1e-5)


def test_the_frame_is_that_of_the_body() -> None:
    sample = read(rows(body()))
    right, left, neck = (sample.keypoints[:, JOINTS.index(name)] for name in ("right hip", "left hip", "neck"))
    assert (right == -left).all()
    assert (left[:, 0] > 0).all()
    assert (left[:, 1:] == 0).all()
    assert (neck[:, 1] > 0).all()
    assert (neck[:, 2] == 0).all()
    assert (sample.keypoints[:, JOINTS.index("nose"), 2] > 0).all()


@pytest.mark.parametrize("mirror", [[1, 1, 1], [-1, 1, 1], [1, 1, -1]])
def test_where_one_stands_which_way_one_faces_and_mirrors_are_lost(mirror: list[int]) -> None:
    turn = np.array([[0.6, 0, 0.8], [0, 1, 0], [-0.8, 0, 0.6]])
    moved = body().astype(np.float64) * mirror @ turn + [5, 6, 7]
    first, second = np.triu_indices(19, 1)
    far = np.linalg.norm(moved[:, first] - moved[:, second], axis=2).tolist()
    found = read({str(at): {"index": at, "3d_joint": row} for at, row in enumerate(far)})
    assert np.allclose(found.keypoints, read(rows(body())).keypoints, atol=1e-5)


def test_what_was_read_is_written_and_read_the_same() -> None:
    first = read(rows(body()))
    ((path, content),) = MODULE.write(first, CARD)
    assert path == PATH
    assert np.array_equal(read(content).keypoints, first.keypoints)


def test_frames_stand_in_the_order_of_their_index_and_may_lack() -> None:
    found = rows(body(4))
    found["x"] = found.pop("0") | {"index": 7}
    sample = read(found)
    assert sample.frame.tolist() == [1, 2, 3, 7]
    assert sample.n_frames == 8


def test_a_pose_without_distances_is_missing() -> None:
    found = rows(body(3))
    found["1"]["3d_joint"] = [None] * 171
    found["2"]["3d_joint"] = [0.0] * 171
    sample = read(found)
    assert np.isnan(sample.keypoints).all(axis=(1, 2)).tolist() == [False, True, True]


def test_the_distances_are_a_feature_as_they_stand_there(tmp_path: Path) -> None:
    content = json.dumps(rows(body())).encode()
    paths = {PATH.replace("000012", f"{number:06}"): content for number in range(100)}
    (feature,) = MODULE.features(InMemory(paths), CARD)
    wanted = pairwise.distances(body()).astype(np.float32)
    assert len(feature.ids) == 100
    assert np.array_equal(feature.values.read("1003_squat_000012"), wanted)
    ids = [f"1003_squat_{number:06}" for number in range(10, 90)]
    table = tmp_path / "distances.parquet"
    assert write_feature(table, feature, ids, "0" * 64) == 80
    found = read_feature(table)
    assert isinstance(found.values, Sequences)
    assert (found.ids, found.values.width) == (tuple(ids), 171)
    assert all(np.array_equal(found.values.read(name), wanted) for name in ids)
    once = table.read_bytes()
    write_feature(table, feature, ids, "0" * 64)
    assert table.read_bytes() == once
    write_feature(table, feature, [], "0" * 64)
    assert read_feature(table).ids == ()


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("good", (0, 0, 0, 0, 0, 0)),
        ("bad_innner_thigh", (1, 0, 0, 0, 0, 0)),
        ("bad_inner_thigh", (1, 0, 0, 0, 0, 0)),
        ("Bad_Shallow", (0, 0, 0, 0, 1, 0)),
        ("bad_toe", (0, 0, 0, 0, 0, 1)),
        ("bad_shallow+bad_back_round", (0, 1, 0, 0, 1, 0)),
    ],
)
def test_the_folder_says_the_defects(folder: str, expected: tuple[int, ...]) -> None:
    sample = read(rows(body(2)), f"Dataset/{folder}/1115_3djoints_index/1108_squat_000003.json")
    assert sample.targets == {"defects": expected}
    assert (sample.meta["date"], sample.meta["problems"]) == ("1108", sum(expected))
    assert sample.meta["counted"] == int(folder != "bad_toe")


def test_one_folder_alone_still_says_its_defect(tmp_path: Path) -> None:
    path = tmp_path / PATH
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(rows(body(2))))
    (item,) = MODULE.plan(open_source([path.parent], max_file=1 << 20), CARD)
    assert (item.reject, item.meta["problem"]) == (None, "bad_shallow")


def test_names_that_do_not_fit_are_rejects() -> None:
    found = planned("good/1003_squat_12.json", "other/1003_squat_000012.json", "good/1003_squat_000013.npy")
    assert "is not MMDD_squat_NNNNNN" in str(found["1003_squat_12"].reject)
    assert "no folder that says the defect: good, bad_innner_thigh" in str(found["1003_squat_000012"].reject)
    assert "the set 'squat_lifted'" in str(found["1003_squat_000013"].reject)


def test_equal_names_in_two_folders_stay_apart() -> None:
    found = planned("good/1003_squat_000001.json", "bad_toe/1003_squat_000001.json", "bad_toe/1003_squat_000002.json")
    assert sorted(found) == ["1003_squat_000002", "bad_toe-1003_squat_000001", "good-1003_squat_000001"]
    path = "good/1115_3djoints_index/good-1003_squat_000001.json"
    assert [item.sample_id for item in planned(path).values()] == ["good-1003_squat_000001"]
    assert planned(path)["good-1003_squat_000001"].meta["problem"] == "good"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({}, "holds no frame"),
        ({"0": []}, "frame '0': a list, expected an object"),
        ({"0": {"3d_joint": []}}, "the key 'index' is missing"),
        ({"0": {"index": 0, "3d_joint": [1.0] * 170}}, "index 0: 170 values, expected the 171 distances"),
        ({"0": {"index": 0, "3d_joint": [1.0] * 170 + [None]}}, "or null for every one"),
        ({"0": {"index": 0, "3d_joint": ["1"] * 171}}, "expected the 171 distances"),
        ({"0": {"index": 0, "3d_joint": [-1.0] * 171}}, "the distance -1, expected 0 to 1000"),
        ({"0": {"index": 0, "3d_joint": [1e9] * 171}}, "were they normalised"),
        ({"0": {"index": 0, "3d_joint": [10**400] * 171}}, "more than 300 digits"),
        ({"0": {"index": 10**9, "3d_joint": [1.0] * 171}}, "the index 1000000000: expected 0 to 99999"),
        (
            {"0": {"index": 3, "3d_joint": [1.0] * 171}, "1": {"index": 3, "3d_joint": [1.0] * 171}},
            "the index 3: stands there twice",
        ),
    ],
)
def test_files_that_do_not_fit_are_refused(content: dict[str, Any], words: str) -> None:
    with pytest.raises(RawFormatError, match=words):
        read(content)


def test_what_a_file_cannot_say_is_not_written() -> None:
    sample = read(rows(body(3)))
    for changed in ({"n_frames": 9}, {"targets": {"defects": (0,) * 6}}, {"meta": {**sample.meta, "date": "0918"}}):
        with pytest.raises(ValueError, match="1003_squat_000012"):
            dict(MODULE.write(Sample(**{**vars(sample), **changed}), CARD))


def lifted(content: bytes, suffix: str = "npy") -> Sample:
    raw = InMemory({f"good/1003_squat_000012.{suffix}": content})
    (item,) = LIFTED.plan(raw, LIFTED_CARD)
    sample = LIFTED.read(raw, item, LIFTED_CARD)
    assert isinstance(sample, Sample)
    return sample


POSES = np.arange(2 * 17 * 3, dtype=np.float64).reshape(2, 17, 3)


def test_lifted_poses_are_read_from_npy_and_npz() -> None:
    for sample in (
        lifted(numpy_files.render_npy(POSES)),
        lifted(numpy_files.render_npy(POSES[None])),
        lifted(numpy_files.render_npz({"anything": POSES.astype(np.float16)}), "npz"),
        lifted(numpy_files.render_npz({"keypoints": POSES, "scores": np.ones(2)}, packed=True), "npz"),
    ):
        assert np.array_equal(sample.keypoints, POSES.astype(np.float32))
        assert sample.targets == {"defects": (0,) * 6}


@pytest.mark.parametrize(
    ("content", "suffix", "words"),
    [
        (numpy_files.render_npy(POSES[:, :16]), "npy", r"\(2, 16, 3\), expected frames x 17 x 3"),
        (numpy_files.render_npy(POSES[:0]), "npy", "expected frames x 17 x 3"),
        (numpy_files.render_npy(POSES > 0), "npy", "bool of"),
        (numpy_files.render_npy(np.full((1, 17, 3), 1e300)), "npy", "frame 0, joint 0: a number that is infinite"),
        (numpy_files.render_npz({"a": POSES, "b": POSES}), "npz", "the arrays a, b, expected one, or one called"),
        (b"", "npy", "000012.npy"),
    ],
)
def test_other_arrays_are_refused(content: bytes, suffix: str, words: str) -> None:
    with pytest.raises(RawFormatError, match=words):
        lifted(content, suffix)


def test_the_owners_distances_are_no_lifted_poses() -> None:
    (item,) = LIFTED.plan(InMemory({PATH: b""}), LIFTED_CARD)
    assert "the set 'squat'" in str(item.reject)
