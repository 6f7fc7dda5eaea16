"""The JSON of pose detectors: every form holds what it can hold, and refuses the rest by name."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelbench.errors import RawFormatError
from skelbench.formats import alphapose, coco_keypoints, lcrnet, mmpose, openpose
from skelbench.formats.detections import Detections

JOINTS = 3


def kinetics(found: Detections) -> bytes:
    return openpose.render_kinetics(
        found.n_frames, found.frame, found.keypoints, found.score, ("jump", 3)
    )  # fmt: skip


def by_frame(data: bytes) -> Detections:
    files = {int(name): (content.encode("latin-1"), f"f{name}") for name, content in json.loads(data).items()}
    return openpose.parse(files, JOINTS, first=7)


FORMS: dict[str, tuple[int, Callable[[Detections], bytes], Callable[[bytes], Detections]]] = {
    "lcrnet": (
        5,
        lambda found: lcrnet.render(found.n_frames, found.frame, found.keypoints, found.score),
        lambda data: lcrnet.parse(data, JOINTS, "f"),
    ),
    "openpose": (
        2,
        lambda found: json.dumps(
            {at: data.decode() for at, data in openpose.render(found, first=7).items()}
        ).encode(),
        by_frame,
    ),
    "kinetics": (2, kinetics, lambda data: openpose.parse_kinetics(data, JOINTS, "f", most=300).detections),
    "alphapose": (2, alphapose.render, lambda data: alphapose.parse(data, JOINTS, "f", n_frames=4)),
    "coco": (
        2,
        lambda found: coco_keypoints.render(found, first=5),
        lambda data: coco_keypoints.parse(data, JOINTS, "f", first=5, n_frames=4),
    ),
    "mmpose": (3, mmpose.render, lambda data: mmpose.parse(data, JOINTS, 3, "f")),
}  # fmt: skip
TRACKED = {"openpose", "alphapose", "coco", "mmpose"}


def made(name: str, people: list[int], seed: int) -> Detections:
    """Any four frames: any finite numbers, some missing."""
    channels = FORMS[name][0]
    rng = np.random.default_rng(seed)
    shape = sum(people), JOINTS, channels
    bits = rng.integers(0, 2**32, shape, dtype=np.uint32)
    bits[bits & 0x7F800000 == 0x7F800000] = 0x7FC00000
    keypoints, score = bits.view(np.float32), rng.random(shape[:2], np.float32)
    hidden = rng.random(shape[:2]) < 0.3
    score[hidden], keypoints[hidden] = 0, np.nan
    score[rng.random(shape[:2]) < 0.1] = np.nan
    if name == "lcrnet":
        score = np.repeat(score[:, :1], JOINTS, axis=1)
    person = np.full(shape[0], -1)
    if name in TRACKED and seed % 2:
        person = rng.integers(0, 2**60, shape[0])
    return Detections(
        len(people), np.repeat(np.arange(len(people)), people).astype(np.uint32), person, keypoints, score
    )


def bits(values: np.ndarray) -> bytes:
    return (np.where(np.isnan(values), np.float32(np.nan), values) if values.dtype.kind == "f" else values).tobytes()


def equal(one: Detections, other: Detections) -> bool:
    return one.n_frames == other.n_frames and all(
        left.dtype == right.dtype and left.shape == right.shape and bits(left) == bits(right)
        for left, right in (
            (one.frame, other.frame),
            (one.person, other.person),
            (one.keypoints, other.keypoints),
            (one.score, other.score),
        )
    )


@pytest.mark.parametrize("name", FORMS)
@settings(max_examples=60, deadline=None)
@given(people=st.lists(st.integers(0, 3), min_size=4, max_size=4), seed=st.integers(0, 2**32))
def test_what_is_written_reads_back_bit_for_bit(name: str, people: list[int], seed: int) -> None:
    _, render, parse = FORMS[name]
    found = made(name, people, seed)
    assert equal(parse(render(found)), found)


@pytest.mark.parametrize("name", FORMS)
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_a_file_with_other_bytes_in_it_is_read_or_refused(name: str, data: st.DataObject) -> None:
    if name == "openpose":
        content = openpose.render(made(name, [2], 1))[0]
    else:
        content = FORMS[name][1](made(name, [1, 0, 2, 1], 1))
    at, lost = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(0, 60))
    hostile = content[:at] + data.draw(st.binary(max_size=6)) + content[at + lost :]
    try:
        found = openpose.parse({0: (hostile, "f")}, JOINTS) if name == "openpose" else FORMS[name][2](hostile)
    except RawFormatError:
        return
    assert found.keypoints.shape == (len(found.frame), JOINTS, FORMS[name][0])
    assert not np.isinf(found.keypoints).any()
    assert not found.frame.size or int(found.frame.max()) < found.n_frames


def read(name: str, found: Any) -> Detections:
    content = json.dumps(found).encode()
    return openpose.parse({7: (content, "f")}, JOINTS) if name == "openpose" else FORMS[name][2](content)


POINTS = [1.0] * 9
PERSON = {"pose2d": [1] * 6, "pose3d": [1] * 9, "cumscore": 2}
KINETICS = {"label": "jump", "label_index": 3}


@pytest.mark.parametrize(
    ("name", "found", "words"),
    [
        ("lcrnet", [], "holds a list, expected an object"),
        ("lcrnet", {"njts": 13, "frames": [[]]}, "'njts' is 13, expected 3"),
        ("lcrnet", {"frames": []}, "holds no frame"),
        ("lcrnet", {"frames": [[], {}]}, "frame 1: an object, expected a list"),
        ("lcrnet", {"frames": [[5]]}, "frame 0, detection 0: an integer, expected an object with 'pose2d'"),
        ("lcrnet", {"frames": [[PERSON], [PERSON, {"a": 1}]]}, "frame 1, detection 1: the keys a, expected"),
        ("lcrnet", {"frames": [[PERSON | {"pose2d": [1] * 5}]]}, "'pose2d' is 5 numbers, expected 6 numbers"),
        ("lcrnet", {"frames": [[PERSON | {"pose3d": [1] * 8}]]}, "'pose3d' is 8 numbers, expected 9 numbers"),
        ("lcrnet", {"frames": [[PERSON | {"pose3d": {}}]]}, "'pose3d' is an object, expected 9"),
        ("lcrnet", {"frames": [[PERSON | {"cumscore": "2"}]]}, "'cumscore' holds a text, expected numbers"),
        ("lcrnet", {"frames": [[PERSON | {"pose2d": [1] * 5 + [True]}]]}, "holds true or false"),
        ("lcrnet", {"frames": [[PERSON | {"pose2d": [1] * 5 + [1e300]}]]}, r"holds 1e\+300, expected finite"),
        ("lcrnet", {"frames": [[PERSON | {"pose2d": [1] * 5 + [10**400]}]]}, "more than 300 digits"),
        ("openpose", {"people": {}}, "'people' is an object"),
        ("openpose", {"version": 1.3}, "the key 'people' is missing"),
        ("openpose", {"people": [{"person_id": [-1]}]}, "person 0: the keys person_id, expected"),
        ("openpose", {"people": [{"pose_keypoints_2d": []}]}, "person 0: 'pose_keypoints_2d' is 0 numbers, expected 9"),
        ("openpose", {"people": [{"pose_keypoints_2d": POINTS, "person_id": ["a"]}]}, "tracking id"),
        ("openpose", {"people": [{"pose_keypoints_2d": POINTS, "person_id": [2**70]}]}, "tracking id"),
        ("kinetics", KINETICS | {"data": 1}, "'data' is an integer"),
        ("kinetics", KINETICS | {"data": [{"frame_index": 1}]}, "entry 0: the keys frame_index, expected an object"),
        ("kinetics", KINETICS | {"data": [{"frame_index": 0, "skeleton": []}]}, "is 0, expected 1 to 300"),
        ("kinetics", KINETICS | {"data": [{"frame_index": 10**9, "skeleton": []}]}, "expected 1 to 300"),
        ("kinetics", KINETICS | {"data": [{"frame_index": True, "skeleton": []}]}, "'frame_index' is True"),
        ("kinetics", KINETICS | {"data": [{"frame_index": 1, "skeleton": {}}]}, "frame 1: 'skeleton' is an object"),
        (
            "kinetics",
            KINETICS | {"data": [{"frame_index": 2, "skeleton": [{"pose": [0] * 6, "score": [0] * 2}]}]},
            "frame 2, person 0: 'score' is 2 numbers, expected 3",
        ),
        ("kinetics", {"data": [], "label": "jump"}, "the key 'label_index' is missing"),
        ("alphapose", {}, "holds an object, expected a list of detections"),
        ("alphapose", [{"image_id": "17.jpg"}], "detection 0: the keys image_id, expected an object with 'keypoints'"),
        ("alphapose", [{"image_id": "a.jpg", "keypoints": POINTS}], "'image_id' is 'a.jpg', expected the number"),
        ("alphapose", [{"image_id": "999999999.jpg", "keypoints": POINTS}], "expected the number of a frame"),
        ("alphapose", [{"image_id": "4.jpg", "keypoints": POINTS}], "in frame 4, expected 0 to 3"),
        ("coco", [{"image_id": "5", "keypoints": POINTS}], "'image_id' is '5', expected the number"),
        ("coco", [{"image_id": 4, "keypoints": POINTS}], "'image_id' is '4', expected the number"),
        ("coco", [{"image_id": 5, "keypoints": POINTS[1:]}], "'keypoints' is 8 numbers, expected 9 numbers"),
        ("mmpose", {"instance_info": []}, "without entries"),
        ("mmpose", 5, "an integer without entries"),
        ("mmpose", [{"frame_id": 0, "instances": 5}], "'instances' is not always a list"),
        ("mmpose", [{"frame_id": 3.5, "instances": []}], "'frame_id' is 3.5"),
        ("mmpose", [{"frame_id": 1, "instances": []}] * 2, "expected 2 or more, ascending"),
        (
            "mmpose",
            [{"frame_id": 0, "instances": [{"keypoints": [[1] * 4, [1] * 2, [1] * 3], "keypoint_scores": [1] * 3}]}],
            "frame 0, instance 0: 'keypoints' is 3 numbers, expected 9",
        ),
    ],
)  # fmt: skip
def test_hostile_files_are_refused_with_their_place(name: str, found: Any, words: str) -> None:
    with pytest.raises(RawFormatError, match=words):
        read(name, found)


def test_lcrnet_lists_all_x_before_all_y() -> None:
    found = read("lcrnet", {"frames": [[], [{"pose2d": [1, 2, 3, 4, 5, 6], "pose3d": list(range(12)), "cumscore": 9}]]})
    assert found.keypoints[0].tolist() == [[1, 4, 0, 3, 6], [2, 5, 1, 4, 7], [3, 6, 2, 5, 8]]
    assert (found.n_frames, found.frame.tolist(), found.person.tolist()) == (2, [1], [-1])
    assert found.score.tolist() == [[9, 9, 9]]


def test_lcrnet_may_lack_space_and_score() -> None:
    found = read("lcrnet", {"frames": [[{"pose2d": [1, 2, 3, 4, 5, 6]}]]})
    assert np.isnan(found.keypoints[0, :, 2:]).all()
    assert np.isnan(found.score).all()


def test_a_joint_that_was_not_found_is_missing() -> None:
    found = read("openpose", {"people": [{"pose_keypoints_2d": [0, 0, 0, 0, 0, 0.5, 3, 4, 0]}]})
    assert np.isnan(found.keypoints[0, 0]).all()
    assert found.keypoints[0, 1:].tolist() == [[0, 0], [3, 4]]
    assert found.score[0].tolist() == [0, 0.5, 0]


def test_older_openpose_files_name_their_list_otherwise() -> None:
    assert read("openpose", {"people": [{"pose_keypoints": POINTS}]}).person.tolist() == [-1]


def test_openpose_frames_without_a_file_have_no_pose() -> None:
    one = json.dumps({"people": [{"pose_keypoints_2d": POINTS}]}).encode()
    found = openpose.parse({3: (one, "a"), 9: (one, "b")}, JOINTS)
    assert (found.n_frames, found.frame.tolist()) == (10, [3, 9])
    with pytest.raises(RawFormatError, match="a: 1000000000001 frames"):
        openpose.parse({3: (one, "a"), 10**12: (one, "b")}, JOINTS)
    with pytest.raises(RawFormatError, match="without a file"):
        openpose.parse({}, JOINTS)


def test_openpose_names_say_clip_and_frame() -> None:
    match = openpose.FILE.fullmatch("my_clip_07_000000000012_keypoints.json")
    assert match is not None
    assert (match["clip"], int(match["frame"])) == ("my_clip_07", 12)


@pytest.mark.parametrize("image", ["17.jpg", "frame_000017.png", "a/b-17", "v2_017.jpeg"])
def test_alphapose_images_are_numbered_by_their_last_digits(image: str) -> None:
    (frame,) = alphapose.parse(json.dumps([{"image_id": image, "keypoints": POINTS}]).encode(), JOINTS, "f").frame
    assert frame == 17


def test_detections_are_put_in_the_order_of_their_frames() -> None:
    found = [{"image_id": f"{at}.jpg", "keypoints": [at] * 9, "idx": [at * 1.0]} for at in (2, 0, 2)]
    detections = alphapose.parse(json.dumps(found).encode(), JOINTS, "f")
    assert (detections.frame.tolist(), detections.person.tolist()) == ([0, 2, 2], [0, 2, 2])
    assert detections.n_frames == 3


def test_a_video_without_a_detection_is_one() -> None:
    assert read("coco", []).n_frames == 4
    assert alphapose.parse(b"[]", JOINTS, "f").n_frames == 0


@pytest.mark.parametrize("first", [0, 1])
def test_mmpose_frames_count_from_the_first_entry(first: int) -> None:
    instance = {"keypoints": [[1, 2, 3]] * 3, "keypoint_scores": [0.5] * 3}
    found = read("mmpose", [{"frame_id": first, "instances": []}, {"frame_id": first + 2, "instances": [instance]}])
    assert (found.n_frames, found.frame.tolist()) == (3, [2])


def test_what_the_files_cannot_say_is_not_written() -> None:
    found = made("lcrnet", [2], 0)
    wrong = np.arange(6, dtype=np.float32).reshape(2, 3)
    with pytest.raises(ValueError, match="one score"):
        lcrnet.render(1, found.frame, found.keypoints, wrong)
    with pytest.raises(ValueError, match="infinite"):
        lcrnet.render(1, found.frame, np.full_like(found.keypoints, np.inf), found.score)
    zeros = np.zeros((1, 3, 2), np.float32)
    with pytest.raises(ValueError, match="cannot be told from one that was not found"):
        openpose.render(Detections(1, np.zeros(1, np.uint32), np.zeros(1, np.int64), zeros, zeros[..., 0]))
