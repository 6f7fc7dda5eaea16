"""Toyota Smarthome Untrimmed and Charades on made files: when actions begin and end, and who is annotated where."""

import gzip
import json
from io import BytesIO
from typing import Any

import numpy as np
import pytest

from skelbench import registry
from skelbench.card import load_card
from skelbench.errors import CardError, RawFormatError
from skelbench.raw import RawItem
from skelbench.sample import Sample, same
from skelbench.skeletons import load_layout
from skelbench.synthetic.raw import Files, InMemory

PLUGINS = {name: registry.find("converters", name) for name in ("tsu", "charades")}
MODULES = {name: registry.load(plugin) for name, plugin in PLUGINS.items()}
CARDS = {name: load_card(plugin.toml) for name, plugin in PLUGINS.items()}
POSE = {"pose2d": [1.0] * 26, "pose3d": [2.0] * 39, "cumscore": 3.5}
LONG = json.dumps({"njts": 13, "frames": [[POSE]] * 100}).encode()
SHORT = json.dumps([{"frame_id": at, "instances": []} for at in range(48)]).encode()


def annotated(actions: list[Any], name: str, **changed: Any) -> bytes:
    return json.dumps({name: {"subset": "training", "duration": 100, "actions": actions} | changed}).encode()


def items(files: Files, name: str = "tsu") -> list[RawItem]:
    return list(MODULES[name].plan(InMemory(files), CARDS[name]))


def read(files: Files, name: str = "tsu") -> Sample:
    (item,) = items(files, name)
    assert item.reject is None
    sample = MODULES[name].read(InMemory(files), item, CARDS[name])
    assert isinstance(sample, Sample)
    return sample


def array(points: np.ndarray) -> bytes:
    file = BytesIO()
    np.savez(file, kpts=points)
    return file.getvalue()


def test_actions_last_from_after_their_start_to_before_their_end() -> None:
    actions = [[3, 10, 20], [5, 0, 4], [3, 7, 7], [3, 8, 9], [9, 90, 400]]
    sample = read({"P02T01C06.json": LONG, "smarthome_CS_51.json": annotated(actions, "P02T01C06")})
    assert sample.segments == ((11, 20, 3), (1, 4, 5), (91, 100, 9))
    assert sample.meta == {
        "subject": 2, "time": 1, "camera": 6, "take": "P02T01", "width": 640, "height": 480, "left_out": 2,
        "duration": 100,
    }  # fmt: skip
    label = sample.targets["label"]
    assert isinstance(label, tuple)
    assert [k for k, on in enumerate(label) if on] == [3, 5, 9]


def test_the_owners_tables_have_the_last_word() -> None:
    files = {
        "P02T01C06.json": LONG,
        "smarthome_CS_51.json": annotated([[3, 10, 20]], "P02T01C06"),
        "Annotation/P02T01C06.csv": b"event,start_frame,end_frame\r\nWalk,5,9\r\nStir_coffee/tea,20,30\r\n",
    }
    sample = read(files)
    assert sample.segments == ((6, 9, 1), (21, 30, 12))
    assert "duration" not in sample.meta


def test_a_table_may_have_more_columns_and_frames_with_a_point() -> None:
    table = b"video,start_frame,end_frame,event\nP02,5.0,9.0,Walk\n"
    assert read({"P02T01C06.json": LONG, "P02T01C06.csv": table}).segments == ((6, 9, 1),)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (b"", "the first line is"),
        (b"event,start_frame,end_frame\nWalkk,1,2\n", "line 2: event 'Walkk'. Did you mean 'Walk'"),
        (b"event,start_frame,end_frame\nWalk,1\n", "line 2: "),
        (b"event,start_frame,end_frame\nWalk,1.5,2\n", "line 2: .* with whole frames"),
        (b"event;start_frame;end_frame\nWalk;1;2\n", "the first line is .*event;start_frame"),
        (b"event,start_frame,end_frame\nWalk,1,-2\n", "expected event,start_frame,end_frame with whole frames"),
        (b"\xff\xfe", "no table of text"),
    ],
)
def test_tables_of_another_form_are_refused(table: bytes, words: str) -> None:
    with pytest.raises(RawFormatError, match=words):
        read({"P02T01C06.json": LONG, "P02T01C06.csv": table})


def test_videos_without_an_annotation_are_unlabelled_and_those_without_poses_rejects() -> None:
    sample = read({"P02T01C06.json": LONG})
    assert set(np.unique(sample.targets["label"])) == {-1}
    (item,) = items({"smarthome_CV_51.json": annotated([], "P02T01C06")})
    assert item.reject == "annotated, but there is no file of its poses"


def test_lists_that_contradict_each_other_are_refused() -> None:
    files = {
        "P02T01C06.json": LONG,
        "smarthome_CS_51.json": annotated([[3, 10, 20]], "P02T01C06"),
        "smarthome_CV_51.json": annotated([[3, 10, 21]], "P02T01C06"),
    }
    with pytest.raises(RawFormatError, match="contradict each other on P02T01C06"):
        read(files)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[]", "holds a list, expected an object"),
        (b'{"P": 3}', "video 'P': an integer, expected an object"),
        (annotated([], "P", subset="both"), "'subset' is 'both'"),
        (annotated([], "P", duration="long"), "'duration' long"),
        (annotated([[51, 0, 3]], "P"), r"the action \[51, 0, 3\], expected"),
        (annotated([[1, 0]], "P"), "expected .class, start, end."),
        (annotated([[1, 0, 1e300]], "P"), "the action"),
        (annotated([[True, 0, 1]], "P"), "the action"),
        (b"\x1f\x8b\x08", "a cut gzip"),
        (b"\x1f\x8b" + b"\x00" * 30, "damaged gzip"),
    ],
)
def test_annotations_of_another_form_are_refused(content: bytes, words: str) -> None:
    with pytest.raises(RawFormatError, match=words):
        items({"smarthome_CS_51.json": content})


def test_arrays_of_seventeen_joints_are_read_as_the_thirteen_that_were_seen() -> None:
    points = np.arange(3 * 17 * 2, dtype=np.float64).reshape(3, 17, 2)
    points[1] = 0
    sample = read({"P02T01C06_LCRNet2d.npz": array(points)})
    assert sample.frame.tolist() == [0, 2]
    assert sample.keypoints[0, 12, :2].tolist() == [0.0, 1.0]  # the head is the nose
    assert sample.keypoints[0, 0, :2].tolist() == points[0, 16].tolist()  # the right ankle
    assert np.isnan(sample.keypoints[..., 2:]).all()


@pytest.mark.parametrize(
    "points", [np.zeros((3, 16, 2)), np.zeros((3, 17, 4)), np.zeros((0, 17, 2)), np.full((1, 17, 2), np.inf)]
)
def test_arrays_of_another_shape_are_refused(points: np.ndarray) -> None:
    with pytest.raises(RawFormatError, match=r"P02T01C06_LCRNet2d\.npz"):
        read({"P02T01C06_LCRNet2d.npz": array(points)})


def test_two_files_of_one_video_are_not_taken_for_two() -> None:
    found = items({"P02T01C06.json": LONG, "P02T01C06_LCRNet2d.npz": b""})
    assert [item.reject for item in found] == [None, "a second file of poses of P02T01C06"]


def test_seconds_become_frames_within_the_video() -> None:
    actions = [[149, 0.5, 1.0], [3, 1.5, 24.0], [7, 1.0, 0.5], [8, 3.0, 9.0]]
    annotation = annotated(actions, "7UPGT", subset="testing", duration=2.01)
    sample = read({"poses/7UPGT.json": SHORT, "charades.json.gz": gzip.compress(annotation)}, "charades")
    assert sample.segments == ((12, 24, 149), (36, 48, 3))
    assert sample.meta == {"take": "7UPGT", "part": "testing", "seconds": 2.01, "left_out": 2}


def test_the_owners_tables_of_charades_say_the_same() -> None:
    table = b"id,subject,actions,length\r\n7UPGT,HR43,c149 0.50 1.00;c003 1.50 24.00,2.01\r\n46GP8,X,,30\r\n"
    files = {"7UPGT.json": SHORT, "46GP8.json": SHORT, "Charades_v1_test.csv": table}
    samples = [MODULES["charades"].read(InMemory(files), item, CARDS["charades"]) for item in items(files, "charades")]
    assert [sample.segments for sample in samples] == [(), ((12, 24, 149), (36, 48, 3))]
    assert {sample.meta["part"] for sample in samples} == {"testing"}


@pytest.mark.parametrize("row", [b"7UPGT,c157 0.50 1.00,2", b"7UPGT,c001 0.50,2", b"7UPGT,c001 0.5 1,long", b"7UPGT"])
def test_rows_of_another_form_are_refused_by_line(row: bytes) -> None:
    with pytest.raises(RawFormatError, match="line 2: video '7UPGT'"):
        items({"Charades_v1_train.csv": b"id,actions,length\n" + row + b"\n"}, "charades")


@pytest.mark.parametrize("name", ["P02T01C06.json", "P02T01C06_pose3d.json", "results_P02T01C06_lcrnet+v3d.json"])
def test_releases_name_the_poses_of_a_video_in_several_ways(name: str) -> None:
    (item,) = items({f"skeletons/{name}": LONG})
    assert (item.sample_id, item.reject) == ("P02T01C06", None)
    assert (item.meta["subject"], item.meta["time"], item.meta["camera"]) == (2, 1, 6)


def openpose(*frames: list[list[float]]) -> Files:
    """A folder of one file a frame, as OpenPose writes it; each person by the numbers of the joints."""
    written = ({"version": 1.3, "people": [{"pose_keypoints_2d": one} for one in people]} for people in frames)
    return {f"op/7UPGT/7UPGT_{at:012d}_keypoints.json": json.dumps(one).encode() for at, one in enumerate(written)}


TWENTY_FIVE = CARDS["charades"].model_copy(
    update={"layout": load_layout("openpose25"), "options": {**CARDS["charades"].options, "poses": "openpose"}}
)


def test_a_card_may_name_openpose_with_its_25_points_and_one_file_a_frame() -> None:
    first, second = [float(at) for at in range(1, 76)], [0.0] * 75
    second[:3] = 5.0, 6.0, 0.5
    files = openpose([first], [], [second, first]) | {"charades.json": annotated([[3, 0.05, 9]], "7UPGT")}
    (item,) = MODULES["charades"].plan(InMemory(files), TWENTY_FIVE)
    sample = MODULES["charades"].read(InMemory(files), item, TWENTY_FIVE)
    assert (item.sample_id, item.reject, len(item.paths)) == ("7UPGT", None, 4)
    assert (sample.n_frames, sample.frame.tolist(), sample.segments) == (3, [0, 2, 2], ((2, 3, 3),))
    assert sample.keypoints.shape == (3, 25, 2)
    assert sample.keypoints[1, 0].tolist() == [5, 6]
    assert np.isnan(sample.keypoints[1, 1:]).all()
    written = dict(MODULES["charades"].write(sample, TWENTY_FIVE))
    written["charades.json"] = files["charades.json"]
    (item,) = MODULES["charades"].plan(InMemory(written), TWENTY_FIVE)
    assert same(MODULES["charades"].read(InMemory(written), item, TWENTY_FIVE), sample)


def test_frames_of_openpose_without_a_card_for_them_say_what_it_needs() -> None:
    (item,) = items(openpose([]), "charades")
    assert "need a card whose options.poses is 'openpose'" in str(item.reject)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("7UPGT.json", "the name is no <video>_NNN_keypoints.json"),
        ("7UPGT/7UPGT_00000000000_keypoints.json", "the name has the number of another"),
    ],
)
def test_frames_of_openpose_have_a_number_each(name: str, words: str) -> None:
    files = {f"op/{name}": b'{"people": []}'} | (openpose([]) if "/" in name else {})
    (item,) = MODULES["charades"].plan(InMemory(files), TWENTY_FIVE)
    with pytest.raises(RawFormatError, match=words):
        MODULES["charades"].read(InMemory(files), item, TWENTY_FIVE)


def test_a_form_that_there_is_not_is_an_error_of_the_card() -> None:
    card = TWENTY_FIVE.model_copy(update={"options": {**TWENTY_FIVE.options, "poses": "detectron"}})
    with pytest.raises(CardError, match="'poses' is 'detectron', expected the form of the files: lcrnet, mmpose"):
        list(MODULES["charades"].plan(InMemory(openpose([])), card))
