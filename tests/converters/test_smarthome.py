import io
import json
from typing import Any

import numpy as np
import pytest

from skelbench import registry
from skelbench.card import load_card
from skelbench.errors import RawFormatError
from skelbench.raw import RawItem
from skelbench.sample import Sample
from skelbench.split import load_protocols
from skelbench.synthetic.raw import InMemory

PLUGIN = registry.find("converters", "smarthome")
MODULE, CARD = registry.load(PLUGIN), load_card(PLUGIN.toml)
NAME = "Cook.Cleandishes_p02_r01_v03_c04"


def planned(name: str, card: Any = CARD) -> RawItem:
    (item,) = MODULE.plan(InMemory({f"skeletons/{name}": b""}), card)
    assert isinstance(item, RawItem)
    return item


def read(content: bytes, name: str = f"{NAME}.json", card: Any = CARD) -> Sample:
    raw = InMemory({name: content})
    (item,) = MODULE.plan(raw, card)
    assert item.reject is None
    sample = MODULE.read(raw, item, card)
    assert isinstance(sample, Sample)
    return sample


def clip(*people: int) -> bytes:
    one = {"pose2d": list(range(26)), "pose3d": list(range(39)), "cumscore": 7.5}
    return json.dumps({"K": 20, "njts": 13, "frames": [[one] * count for count in people]}).encode()


def arrays(points: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, kpts=points)
    return file.getvalue()


def test_the_name_says_who_where_and_what() -> None:
    item = planned(f"{NAME}.json")
    assert item.sample_id == NAME
    assert item.meta == {
        "activity": "Cook.Cleandishes", "subject": 2, "repetition": 1, "video": 3, "camera": 4,
        "take": "Cook.Cleandishes_p02_r01_v03", "width": 640, "height": 480, "label": 0,
    }  # fmt: skip


def test_the_first_release_names_its_files_otherwise() -> None:
    assert planned(f"{NAME}_pose3d.json").sample_id == NAME
    assert planned(f"{NAME}_pose3d.json").reject is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Cook_Cleandishes_p02_r01_v03_c04.json", "is not Activity_pNN_rNN_vNN_cNN.json"),
        ("Sleep_p02_r01_v03_c04.json", "activity 'Sleep'"),
        ("Cook.Cleandish_p02_r01_v03_c04.json", "Did you mean 'Cook.Cleandishes'"),
        ("Walk_p01_r01_v03_c04.json", "subject 1, expected one of 2, 3, 4"),
        ("Walk_p02_r01_v03_c08.json", "camera 8, expected one of 1, 2"),
        ("Walk_p02_r01_v03_c01_OP2d.npz", "poses by OP, this card reads those by LCRNet: another estimator"),
        ("Walk_p02_r01_v03_c01.npz", "is not Activity"),
    ],
)
def test_names_that_do_not_fit_are_rejects(name: str, words: str) -> None:
    assert words in str(planned(name).reject)


def test_detections_keep_their_order_and_have_no_identity() -> None:
    sample = read(clip(1, 0, 2))
    assert (sample.n_frames, sample.frame.tolist(), sample.person.tolist()) == (3, [0, 2, 2], [-1, -1, -1])
    assert sample.keypoints[0, 1].tolist() == [1, 14, 1, 14, 27]
    assert sample.score is not None
    assert (sample.score == 7.5).all()
    assert sample.targets == {"label": 0}


def test_releases_without_a_score_have_none() -> None:
    one = {"pose2d": list(range(26)), "pose3d": list(range(39))}
    sample = read(json.dumps({"K": 5, "njts": 13, "frames": [[one], []]}).encode(), f"{NAME}_pose3d.json")
    assert sample.score is not None
    assert np.isnan(sample.score).all()


def test_a_detection_may_have_no_joints_in_space() -> None:
    one = {"pose2d": list(range(26)), "pose3d": [], "cumscore": 1}
    sample = read(json.dumps({"njts": 13, "frames": [[one]]}).encode())
    assert np.isnan(sample.keypoints[..., 2:]).all()
    assert not np.isnan(sample.keypoints[..., :2]).any()


def test_a_clip_without_anybody_is_kept() -> None:
    assert read(clip(0, 0)).keypoints.shape == (0, 13, 5)


def test_an_activity_that_nobody_scores_has_no_label() -> None:
    sample = read(clip(1), "Pour.Fromcup_p02_r01_v03_c04.json")
    assert sample.targets == {"label": -1}
    assert sample.meta["activity"] == "Pour.Fromcup"


def test_damaged_files_are_refused_by_name() -> None:
    with pytest.raises(RawFormatError, match=r"Cook.*json: not JSON"):
        read(clip(1)[:-5])
    with pytest.raises(RawFormatError, match="'njts' is 17, expected 13"):
        read(clip(1).replace(b"13", b"17", 1))


def test_arrays_of_one_estimator_are_read_in_the_order_of_lcrnet() -> None:
    points = np.arange(3 * 17 * 2, dtype=np.float32).reshape(3, 17, 2) + 1
    points[1], points[2, 0] = 0, 0
    sample = read(arrays(points), f"{NAME}_LCRNet2d.npz")
    assert (sample.sample_id, sample.n_frames, sample.frame.tolist()) == (NAME, 3, [0, 2])
    assert sample.keypoints[0, 0, :2].tolist() == points[0, 16].tolist()  # right ankle
    assert sample.keypoints[0, 12, :2].tolist() == points[0, 0].tolist()  # head
    assert np.isnan(sample.keypoints[1, 12]).all()
    assert np.isnan(sample.keypoints[..., 2:]).all()


def test_another_estimator_is_another_card() -> None:
    card = CARD.model_copy(update={"options": {**CARD.options, "estimator": "OP"}})
    points = np.ones((2, 17, 2), np.float32)
    assert read(arrays(points), f"{NAME}_OP2d.npz", card).n_frames == 2
    assert "poses by LCRNet" in str(planned(f"{NAME}_LCRNet2d.npz", card).reject)


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (np.ones((3, 14, 2), np.float32), r"float32 \(3, 14, 2\), expected numbers: frames x 17 joints x 2, or "),
        (np.ones((3, 17, 4), np.float32), r"float32 \(3, 17, 4\)"),
        (np.ones((3, 17, 2), bool), "an array of bool"),
        (np.ones((0, 17, 2), np.float32), r"float32 \(0, 17, 2\)"),
        (np.full((1, 17, 2), np.inf, np.float32), "an infinite number"),
    ],
)
def test_arrays_of_another_kind_are_refused(points: np.ndarray, words: str) -> None:
    with pytest.raises(RawFormatError, match=words):
        read(arrays(points), f"{NAME}_LCRNet2d.npz")


def test_of_several_arrays_the_one_of_a_usual_name_is_read() -> None:
    points = np.ones((3, 17, 2), np.float32)
    file = io.BytesIO()
    np.savez(file, boxes=points[0], kpts=points)
    assert read(file.getvalue(), f"{NAME}_LCRNet2d.npz").n_frames == 3
    file = io.BytesIO()
    np.savez(file, boxes=points[0], other=points)
    with pytest.raises(RawFormatError, match="the arrays boxes, other; expected one, or one called kpts"):
        read(file.getvalue(), f"{NAME}_LCRNet2d.npz")


def test_a_third_number_of_a_joint_is_its_score_and_the_thirteen_are_read_as_they_are() -> None:
    points = np.arange(2 * 13 * 3, dtype=np.int64).reshape(2, 13, 3)
    points[1, 4] = 0
    sample = read(arrays(points), f"{NAME}_LCRNet2d.npz")
    assert sample.score is not None
    assert sample.score.tolist() == points[..., 2].tolist()
    assert sample.keypoints[0, 0, :2].tolist() == [0, 1]
    assert np.isnan(sample.keypoints[1, 4]).all()


def test_what_the_file_cannot_say_is_not_written() -> None:
    sample = read(clip(1))
    for other in ({"score": None}, {"person": np.array([3])}):
        with pytest.raises(ValueError, match="have a score and no identity"):
            list(MODULE.write(Sample(**{**vars(sample), **other}), CARD))


def test_cross_view_has_19_classes_in_another_order() -> None:
    protocols = load_protocols("smarthome")
    assert list(protocols) == ["cs", "cv1", "cv2"]
    assert len(CARD.targets["label"].classes) == 31
    assert protocols["cs"].classes == ()
    for name in ("cv1", "cv2"):
        classes = protocols[name].classes
        assert len(classes) == 19
        assert classes.index("Usetablet") < classes.index("Usetelephone")
    assert {card.metric for card in protocols.values()} == {"mean_class_accuracy"}
