"""What strangers' files are like: decimal commas, nested JSON, labels elsewhere or of frames, people with names."""

import io
import json
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from skelbench import guess, registry
from skelbench.card import Card, TargetCard, load_card
from skelbench.errors import CardError, RawFormatError
from skelbench.formats import numpy_files
from skelbench.protocols import own_protocol
from skelbench.sample import Sample
from skelbench.skeletons import Layout
from skelbench.synthetic.raw import InMemory

PLUGIN = registry.find("converters", "own")
MODULE = registry.load(PLUGIN)
LAYOUT = Layout(name="three", joints=("hip", "l hand", "r hand"), parents=(-1, 0, 0), pairs=((1, 2),), source="me")
POSES = np.arange(1, 37, dtype=np.float32).reshape(4, 3, 3) / 8
HEAD = [f"{joint}_{axis}" for joint in ("hip", "l_hand", "r_hand") for axis in "xyz"]


def card(*, channels: str = "xyz", persons: int = 1, scored: str = "", kept: str = "", **options: Any) -> Card:
    several = options.pop("kind", "single")
    target = TargetCard(kind=several, classes=("wave", "bow", "jump"))
    return load_card(PLUGIN.toml).model_copy(
        update={
            "name": "mine", "layout": LAYOUT, "channels": tuple(channels), "persons": persons, "score": scored,
            "units": dict.fromkeys(channels, "metre"), "columns": dict.fromkeys(kept.split(), "?"), "fps": 10.0,
            "options": options, "targets": {"label": target},
        }
    )  # fmt: skip


def read(files: dict[str, bytes], mine: Card) -> dict[str, Sample]:
    raw = InMemory(files)
    items = list(MODULE.plan(raw, mine))
    return {item.sample_id: MODULE.read(raw, item, mine) for item in items if item.reject is None}


def rejects(files: dict[str, bytes], mine: Card) -> dict[str, str]:
    return {item.sample_id: item.reject for item in MODULE.plan(InMemory(files), mine) if item.reject}


def one(files: dict[str, bytes], mine: Card) -> Sample:
    (sample,) = read(files, mine).values()
    return sample


def wide(**fields: Any) -> bytes:
    table = pd.DataFrame(POSES.reshape(4, 9), columns=HEAD)
    return table.assign(**fields).to_csv(index=False).encode()


def parquet(**columns: Any) -> bytes:
    file = io.BytesIO()
    pd.DataFrame(columns).to_parquet(file)
    return file.getvalue()


def test_a_table_of_excel_in_german_reads_like_any_other() -> None:
    table = pd.DataFrame(POSES.reshape(4, 9), columns=HEAD).assign(label="wave", who="Jürgen")
    text = table.to_csv(index=False, sep=";", decimal=",", lineterminator="\r\n")
    for data, options in ((text.encode("utf-8-sig"), {}), (text.encode("cp1252"), {"encoding": "cp1252"})):
        sample = one({"a.csv": data}, card(kept="who", decimal=",", **options))
        assert np.array_equal(sample.keypoints, POSES)
        assert sample.meta == {"who": "Jürgen"}


def test_what_a_german_table_needs_is_said_by_the_error() -> None:
    text = (
        pd.DataFrame(POSES.reshape(4, 9), columns=HEAD).assign(label="wäve").to_csv(index=False, sep=";", decimal=",")
    )
    with pytest.raises(RawFormatError, match=r'options\.encoding = "cp1252"'):
        read({"a.csv": text.encode("cp1252")}, card())
    with pytest.raises(RawFormatError, match=r'Say options\.decimal = ",".'):
        read({"a.csv": text.encode()}, card())
    with pytest.raises(RawFormatError, match=r"neither UTF-8 nor ascii"):
        read({"a.csv": text.encode("cp1252")}, card(encoding="ascii"))


def test_one_row_of_labels_serves_all_recordings_that_their_names_say_belong_to_it() -> None:
    files = {f"p1_e{take}_cam{cam}.csv": wide() for take in (1, 2) for cam in (1, 2)}
    files["l.csv"] = b"take,label\np1_e1,wave\np1_e2,jump\np9_e9,bow\n"
    mine = card(path="(?P<take>p[0-9]_e[0-9])_", labels="l.csv", labels_by="take")
    found = {name: sample.targets["label"] for name, sample in read(files, mine).items()}
    assert found == {"p1_e1_cam1": 0, "p1_e1_cam2": 0, "p1_e2_cam1": 2, "p1_e2_cam2": 2}
    assert rejects(files, mine) == {}


def test_ids_in_tables_and_lists_may_bear_endings_and_folders() -> None:
    files = {f"poses/{name}.csv": wide() for name in "abc"}
    files |= {"l.csv": b"file,label\na.csv,wave\nposes/b.csv,bow\nc.mp4,jump\n"}
    files |= {"train.txt": b"a.csv\nposes/b.csv\n", "val.txt": b"c.npz\n"}
    mine = card(labels="l.csv", splits={"given": {"lists": {"train": "train.txt", "test": "val.txt"}}})
    found = read(files, mine)
    assert [sample.targets["label"] for sample in found.values()] == [0, 1, 2]
    assert [sample.meta["split_given"] for sample in found.values()] == ["train", "train", "test"]


def test_an_id_that_no_file_has_is_a_reject() -> None:
    files = {"a.csv": wide(), "l.csv": b"id,label\na,wave\nb,bow\n", "t.txt": b"a\nd\n", "u.txt": b"a2\n"}
    files["a2.csv"] = wide()
    mine = card(labels="l.csv", splits={"s": {"lists": {"train": "t.txt", "test": "u.txt"}}})
    found = rejects(files, mine)
    assert found["b"] == "'b' stands in l.csv, and no file of poses has it"
    assert found["d"] == "'d' stands in t.txt, and no file of poses has it"
    assert "'a2' has no row in l.csv. Did you mean 'a'?" in found["a2"]


def test_ids_of_people_keep_all_their_digits_and_names_become_numbers() -> None:
    table = pd.DataFrame(POSES.reshape(4, 9), columns=HEAD).assign(label="bow", frame=[0, 0, 1, 1])
    ids = [72057594037944738, 72057594037944739] * 2
    for person, wanted in ((ids, ids), (["therapist", "child"] * 2, [1, 0, 1, 0]), (["", "-1"] * 2, [-1] * 4)):
        sample = one({"a.csv": table.assign(person=person).to_csv(index=False).encode()}, card(persons=2))
        assert sample.person.tolist() == wanted


def test_joints_of_files_are_called_as_the_card_says_and_stay_those_of_the_layout() -> None:
    table = pd.DataFrame(
        POSES.reshape(4, 9), columns=[f"{j}{c}" for j in ("SpineBase", "HandLeft", "HandRight") for c in "XYZ"]
    )
    mine = card(label="", coordinates="{joint}{channel}", joints=("SpineBase", "HandLeft", "HandRight"))
    assert np.array_equal(one({"a.csv": table.to_csv(index=False).encode()}, mine).keypoints, POSES)
    with pytest.raises(CardError, match="'joints' holds 2 names, but the layout 'three' has 3"):
        read({"a.csv": wide()}, card(joints=("a", "b")))
    with pytest.raises(CardError, match="'joints' names one joint twice"):
        read({"a.csv": wide()}, card(joints=("a", "b", "B")))


def joints_of(pose: np.ndarray, **more: float) -> list[dict[str, float]]:
    return [dict(zip("xyz", place.tolist(), strict=True)) | more for place in pose]


def test_frames_and_joints_of_json_may_be_objects() -> None:
    frames = [{"t": at, "landmarks": joints_of(pose, visibility=0.5)} for at, pose in enumerate(POSES)]
    frames.insert(2, {"t": 9, "landmarks": []})
    content = json.dumps({"label": "jump", "fps": 25, "frames": frames}).encode()
    sample = one({"a.json": content}, card(array="frames.landmarks", score="visibility", scored="how sure"))
    assert np.array_equal(sample.keypoints, POSES)
    assert (sample.n_frames, sample.frame.tolist(), sample.targets) == (5, [0, 1, 3, 4], {"label": 2})
    assert sample.score is not None
    assert (sample.score == 0.5).all()


def test_json_may_name_joints_number_frames_and_tell_people_apart() -> None:
    names = dict(zip(LAYOUT.joints, POSES[0].tolist(), strict=True))
    people = [{"id": "b", "body": names}, {"id": "a", "body": {"hip": [1, 2, 3]}}]
    frames = [{"frame": 3, "people": people}, {"frame": 5, "people": people[1:]}, {"frame": 6, "people": []}]
    content = json.dumps({"frames": frames, "label": "bow"}).encode()
    mine = card(persons=2, axes="TMVC", array="frames.people.body", person="id", first_frame=3)
    sample = one({"a.json": content}, mine)
    assert (sample.n_frames, sample.frame.tolist(), sample.person.tolist()) == (4, [0, 0, 2], [0, 1, 1])
    assert np.array_equal(sample.keypoints[0], POSES[0])
    assert np.isnan(sample.keypoints[1]).sum() == 6
    listed = [{"joints": [{"name": name, "at": place} for name, place in reversed(names.items())]}]
    content = json.dumps({"frames": listed, "label": "bow"}).encode()
    sample = one({"a.json": content}, card(array="frames.joints.at", joint="name"))
    assert np.array_equal(sample.keypoints[0], POSES[0])


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        ({"frames": [{"lm": [[1, 2, 3]] * 3}]}, {"array": "frames.landmarks"}, "no key 'landmarks' (options.array)"),
        ({"frames": {"a": [[1, 2, 3]] * 3}}, {"array": "frames"}, "options.array names the keys that lead through"),
        ({"frames": [{"lm": joints_of(POSES[0][:2])}]}, {"array": "frames.lm"}, "is joints, 3 by the card"),
        ({"frames": [{"lm": [{"x": 1, "y": 2}] * 3}]}, {"array": "frames.lm"}, "a joint has no 'z'"),
        ({"frames": [{"lm": {"foot": [1, 2, 3]}}]}, {"array": "frames.lm"}, "none of which is a joint"),
        ({"frames": [{"lm": [["1", 2, 3]] * 3}]}, {"array": "frames.lm"}, "a text, 1, where"),
        ({"frames": [{"lm": []}]}, {"array": "frames.lm"}, "no pose under 'frames.lm'"),
        ({"frames": [{"lm": [[1, 2, 3]] * 3}]}, {}, 'of objects within lists the keys, such as "frames.landmarks"'),
        ({"f": [{"frame": 0.5, "lm": [[1, 2, 3]] * 3}]}, {"array": "f.lm"}, "'frame' is 0.5, expected a whole number"),
        ({"f": [{"frame": 10**9, "lm": [[1, 2, 3]] * 3}]}, {"array": "f.lm"}, "expected a whole number"),
        ({"f": [{"frame": 1, "lm": [[1, 2, 3]] * 3}] * 2}, {"array": "f.lm"}, "two entries of frames"),
        (
            {"f": [{"lm": [[1, 2, 3]] * 3}, {"lm": [[1, 2, 3]] * 2}]},
            {"array": "f.lm"},
            "2 joints in one place and 3 in",
        ),
    ],
)
def test_json_that_does_not_lead_to_poses_is_one_clear_error(
    content: object, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(RawFormatError) as error:
        read({"a.json": json.dumps(content).encode()}, card(label="", **options))
    assert words in str(error.value)
    assert "a.json" in str(error.value)


def test_several_classes_stand_in_a_list_a_text_or_a_column_each() -> None:
    poses = {"a.csv": wide()}
    listed = parquet(id=["a"], label=[["wave", "jump"]])
    lists = read(poses | {"l.parquet": listed}, card(kind="multi", labels="l.parquet", files="*.csv"))
    texts = read(poses | {"l.csv": b"id,label\na,wave|jump\n"}, card(kind="multi", labels="l.csv"))
    columns = read(poses | {"l.csv": b"id,wave,bow,jump\na,1,0,True\n"}, card(kind="multi", labels="l.csv"))
    for found in (lists, texts, columns):
        assert found["a"].targets == {"label": (1, 0, 1)}
    with pytest.raises(RawFormatError, match="'bow' is 'maybe', expected 0 or 1"):
        read(poses | {"l.csv": b"id,wave,bow,jump\na,1,maybe,1\n"}, card(kind="multi", labels="l.csv"))


def test_labels_that_mean_none_leave_a_sample_without_one() -> None:
    assert one({"a.csv": wide(label="rest")}, card(no_label=("rest",))).targets == {"label": -1}
    with pytest.raises(RawFormatError, match=r"no class of the card.*options\.no_label"):
        read({"a.csv": wide(label="rest")}, card())


def test_labels_of_frames_become_segments_and_all_that_a_recording_shows() -> None:
    mine = card(kind="multi", frame_label="label", no_label=("rest",))
    sample = one({"a.csv": wide(label=["wave", "wave;bow", "rest", "wave"])}, mine)
    assert sample.segments == ((0, 2, 0), (1, 2, 1), (3, 4, 0))
    assert sample.targets == {"label": (1, 1, 0)}
    arrays = numpy_files.render_npz({"p": POSES, "y": np.array([2, 2, 0, 0])})
    assert one({"a.npz": arrays}, card(kind="multi", frame_label="y")).segments == ((0, 2, 2), (2, 4, 0))
    frames = [{"lm": pose.tolist(), "does": name} for pose, name in zip(POSES, ("", "bow", "bow", ""), strict=True)]
    mine = card(kind="multi", array="frames.lm", frame_label="frames.does")
    assert one({"a.json": json.dumps({"frames": frames}).encode()}, mine).segments == ((1, 3, 1),)


def test_a_table_of_actions_says_when_in_frames_or_in_seconds() -> None:
    files = {"a.csv": wide(), "b.csv": wide()}
    mine = card(kind="multi", segments="s.csv", first_frame=1, frame="")
    found = read(files | {"s.csv": b"id,start,end,label\na,1,2,wave\na,4,9,bow\n"}, mine)
    assert found["a"].segments == ((0, 2, 0), (3, 4, 1))
    assert found["a"].targets == {"label": (1, 1, 0)}
    assert found["b"].targets == {"label": (-1, -1, -1)}
    mine = card(kind="multi", segments="s.csv", time="seconds", start="from", end="to")
    assert read(files | {"s.csv": b"id,from,to,label\na,0.1,0.3,jump\n"}, mine)["a"].segments == ((1, 3, 2),)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (b"id,start,end,label\na,3,1,wave\n", "row 1: 3 to 1 frames"),
        (b"id,start,end,label\na,7,9,wave\n", "within the 4 frames of the recording"),
        (b"id,start,end,label\na,1,2,wvae\n", "'wvae', no class of the card. Did you mean 'wave'?"),
        (b"id,start,end,label\na,,2,wave\n", "expected numbers"),
        (b"id,begin,end,label\na,1,2,wave\n", "no column 'start' (options.start)"),
        (b"id,start,end,what\na,1,2,wave\n", "no column 'label' (options.label)"),
    ],
)
def test_actions_that_cannot_be_are_one_clear_error(table: bytes, words: str) -> None:
    with pytest.raises(RawFormatError) as error:
        read({"a.csv": wide(), "s.csv": table}, card(kind="multi", segments="s.csv"))
    assert words in str(error.value)
    assert "s.csv" in str(error.value)


def test_frames_of_two_people_must_show_the_same() -> None:
    table = wide(label=["wave", "bow", "bow", "bow"], frame=[0, 0, 1, 1])
    with pytest.raises(RawFormatError, match="frame 0: is 'wave' in one row, 'bow' in another"):
        read({"a.csv": table}, card(kind="multi", frame_label="label", persons=2))


def test_a_label_that_changes_within_a_sample_is_told_from_one_that_is_not_there() -> None:
    with pytest.raises(RawFormatError, match=r"has several values in one sample.*options\.frame_label"):
        read({"a.csv": wide(label=["wave", "bow", "bow", "bow"])}, card())


def test_a_confidence_is_the_last_channel_or_an_array_of_its_own() -> None:
    scores = np.linspace(0, 1, 12, dtype=np.float32).reshape(4, 3)
    last = numpy_files.render_npz({"p": np.concatenate([POSES, scores[..., None]], axis=2)})
    apart = numpy_files.render_npz({"p": POSES, "conf": scores})
    for content, options in ((last, {}), (apart, {"score": "conf"})):
        sample = one({"a.npz": content}, card(label="", scored="how sure", **options))
        assert sample.score is not None
        assert np.array_equal(sample.score, scores)
        assert np.array_equal(sample.keypoints, POSES)
    with pytest.raises(RawFormatError, match="If the last channel is a confidence, say in the card's key 'score'"):
        read({"a.npz": last}, card(label=""))
    with pytest.raises(RawFormatError, match=r"no array 'sure' \(options\.score\)"):
        read({"a.npz": apart}, card(label="", scored="how sure", score="sure", array="p"))
    with pytest.raises(RawFormatError, match=r"'conf' \(options\.score\) is \(3, 4\)"):
        read({"a.npz": numpy_files.render_npz({"p": POSES, "conf": scores.T})}, card(scored="?", score="conf"))


def test_columns_of_x_and_y_are_the_image_where_the_card_says_u_and_v() -> None:
    table = pd.DataFrame(POSES.reshape(4, 9), columns=HEAD)
    sample = one({"a.csv": table.to_csv(index=False).encode()}, card(channels="uv", label=""))
    assert np.array_equal(sample.keypoints, POSES[..., :2])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"files": "pose/*.csv"}, "'files' is 'pose/*.csv', which fits none of the 1 files"),
        ({"splits": {"p": {"leave_out": "who"}}}, "the card has no column 'who'"),
        ({"splits": {"My split": {"leave_out": "take"}}}, "the name of a protocol"),
        ({"splits": {"p": {"leave_out": "take", "frames": True}}}, "frames = true needs labels of frames"),
        ({"encoding": "utf-9"}, "'encoding' is 'utf-9', which is unknown"),
        ({"labels": "l.csv", "labels_by": "take"}, "'labels_by' is 'take', no named group of 'path'"),
        ({"labels_by": "take"}, "no table 'labels' whose rows it names"),
        ({"frame_label": "y"}, 'needs kind = "multi"'),
        ({"kind": "multi", "frame_label": "y", "segments": "s.csv"}, "keep one of them"),
    ],
)
def test_a_card_that_contradicts_itself_or_the_files_is_refused_before_any_is_read(
    options: dict[str, Any], words: str
) -> None:
    with pytest.raises(CardError) as error:
        read({"a.csv": wide(label="wave")}, card(kept="take", **options))
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("stems", "ids", "wanted"),
    [
        (["P1_E2_cam1", "P2_E1_cam2"], [], ("subject", "label", "camera")),
        (["P1_E2_cam1", "P2_E1_cam2"], ["P1_E2", "P2_E1"], ("subject", "label", "camera", "recording")),
        (["ann_1", "ann_2", "bo_1", "bo_2"], [], ("subject", "repetition")),
        (["S001C002", "S001C003"], [], ()),
        (["ann_1", "ann_2"], [], ()),
        (["walk", "run_2"], [], ()),
        (["recording1_x1", "recording2_x2"], [], ()),
    ],
)
def test_names_of_files_say_what_all_of_them_say(stems: list[str], ids: list[str], wanted: tuple[str, ...]) -> None:
    found = guess.path(stems, ids)
    assert (found[1] if found else ()) == wanted
    for stem in stems if found else ():
        match = re.search(found[0], f"folder/{stem}.csv") if found else None
        assert match is not None
        assert set(match.groupdict()) == set(wanted)


def test_the_way_to_poses_is_found_through_objects_and_ends_in_what_is_too_deep() -> None:
    found = guess.way({"fps": 25, "frames": [{"people": []}, {"people": [{"at": [{"x": 1, "y": 2}]}]}]})
    assert found == ("frames.people.at", {"x": 1, "y": 2})
    deep: object = [1, 2]
    for _ in range(500):
        deep = [deep]
    assert guess.way(deep) is None


def test_a_split_of_frames_is_ranked_by_them() -> None:
    protocol = own_protocol(
        card(kind="multi", kept="take", frame_label="y"), "all", {"leave_out": "take", "frames": True}
    )
    assert (protocol.frames, protocol.metric) == (True, "frame_map")
