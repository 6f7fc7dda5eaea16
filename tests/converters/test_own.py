"""One recording in every form that strangers have; and whatever can be wrong with a card or a file, said clearly."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelbench import registry
from skelbench.card import Card, load_card
from skelbench.errors import CardError, RawFormatError
from skelbench.formats import alphapose, coco_keypoints, mmpose, numpy_files, openpose
from skelbench.formats.detections import Detections
from skelbench.protocols import own_protocol
from skelbench.raw import RawItem
from skelbench.sample import Sample
from skelbench.skeletons import Layout
from skelbench.synthetic.raw import InMemory

PLUGIN = registry.find("converters", "own")
MODULE = registry.load(PLUGIN)
LAYOUT = Layout(name="three", joints=("hip", "l hand", "r hand"), parents=(-1, 0, 0), pairs=((1, 2),), source="me")


def card(
    *, channels: str = "xyz", persons: int = 1, scored: str = "", kept: str = "subject take", **options: Any
) -> Card:
    base = load_card(PLUGIN.toml)
    return base.model_copy(
        update={
            "name": "mine", "layout": LAYOUT, "channels": tuple(channels), "persons": persons, "score": scored,
            "units": dict.fromkeys(channels, "metre"), "columns": dict.fromkeys(kept.split(), "?"),
            "options": options,
        }
    )  # fmt: skip


def planned(files: dict[str, bytes], mine: Card) -> list[RawItem]:
    return list(MODULE.plan(InMemory(files), mine))


def read(files: dict[str, bytes], mine: Card) -> dict[str, Sample]:
    raw = InMemory(files)
    found = {}
    for item in MODULE.plan(raw, mine):
        if item.reject:
            raise RawFormatError(item.reject)
        found[item.sample_id] = MODULE.read(raw, item, mine)
    return found


def one(files: dict[str, bytes], mine: Card) -> Sample:
    (sample,) = read(files, mine).values()
    return sample


def csv(rows: list[dict[str, Any]], mark: str = ",") -> bytes:
    return pd.DataFrame(rows).to_csv(index=False, sep=mark).encode()


def parquet(rows: list[dict[str, Any]]) -> bytes:
    file = io.BytesIO()
    pd.DataFrame(rows).to_parquet(file, compression=None)
    return file.getvalue()


def wide(keypoints: np.ndarray, **fields: Any) -> list[dict[str, Any]]:
    names = [f"{joint.replace(' ', '_')}_{channel}" for joint in LAYOUT.joints for channel in "xyz"]
    rows = keypoints.reshape(len(keypoints), -1).tolist()
    return [{"frame": frame, **dict(zip(names, row, strict=True)), **fields} for frame, row in enumerate(rows)]


def long(keypoints: np.ndarray, **fields: Any) -> list[dict[str, Any]]:
    return [
        {"frame": frame, "joint": joint, **dict(zip("xyz", places.tolist(), strict=True)), **fields}
        for frame, pose in enumerate(keypoints)
        for joint, places in zip(LAYOUT.joints, pose, strict=True)
    ]


KEYPOINTS = np.arange(36, dtype=np.float32).reshape(4, 3, 3) / 7
FIELDS = {"label": "bow", "subject": "7"}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 5))
def test_every_form_of_a_recording_reads_to_the_same(seed: int, frames: int) -> None:
    rng = np.random.default_rng(seed)
    keypoints = rng.normal(size=(frames, 3, 3)).astype(np.float32)
    keypoints[rng.random((frames, 3)) < 0.2] = np.nan
    keypoints[-1, 0] = 1  # a last frame with nobody has no row
    keypoints[0, 0] = 2
    keypoints[:, 2] = 3  # nor has a frame with nobody in between
    lists = np.where(np.isnan(keypoints), None, keypoints.astype(object)).tolist()
    array = {"poses": keypoints, "label": np.array("bow"), "subject": np.array(7)}
    forms: list[tuple[str, bytes, dict[str, Any]]] = [
        ("a.csv", csv(wide(keypoints, **FIELDS)), {}),
        ("a.tsv", csv(wide(keypoints, **FIELDS), "\t"), {"form": "wide"}),
        ("a.csv", b"\xef\xbb\xbf" + csv(wide(keypoints, **FIELDS), ";").replace(b"\n", b"\r\n"), {}),
        ("a.csv", csv(long(keypoints, **FIELDS)), {"joint": "joint"}),
        ("a.csv", csv(long(keypoints, **FIELDS)[::-1]), {"joint": "joint"}),
        ("a.parquet", parquet(wide(keypoints, **FIELDS)), {}),
        ("a.parquet", parquet(long(keypoints, **FIELDS)), {"joint": "joint"}),
        ("a.npz", numpy_files.render_npz(array), {}),
        ("a.npz", numpy_files.render_npz(array | {"poses": keypoints.transpose(2, 0, 1)[..., None]}), {"axes": "CTVM"}),
        ("a.npz", numpy_files.render_npz(array | {"poses": keypoints.reshape(-1, 9)}), {"axes": "TD"}),
        ("a.json", json.dumps({"poses": lists, "label": "bow", "subject": 7}).encode(), {}),
    ]
    for name, content, options in forms:
        sample = one({name: content}, card(**options))
        assert np.array_equal(sample.keypoints, keypoints, equal_nan=True), (name, options)
        assert (sample.sample_id, sample.n_frames, sample.frame.tolist()) == ("a", frames, list(range(frames)))
        assert sample.targets == {"label": 1}
        assert sample.meta == {"subject": "7", "take": "a"}


def test_a_table_of_many_recordings_is_cut_by_its_ids() -> None:
    rows = [row for who in ("b", "a") for row in wide(KEYPOINTS, label="wave", subject=who, clip=f"{who}1")]
    for content in (csv(rows), csv(rows[::-1])):
        found = read({"all.csv": content}, card(id="clip"))
        assert list(found) == ["a1", "b1"]
        assert [sample.meta["subject"] for sample in found.values()] == ["a", "b"]
        assert all(np.array_equal(sample.keypoints, KEYPOINTS) for sample in found.values())


def test_arrays_of_many_recordings_are_cut_by_their_first_axis() -> None:
    poses = np.zeros((2, 3, 6, 3, 2), np.float32)  # N C T V M, padded with zeros
    poses[0, :, :4, :, 0] = KEYPOINTS.transpose(2, 0, 1)
    poses[1, :, :2, :, 0] = poses[1, :, :2, :, 1] = KEYPOINTS[:2].transpose(2, 0, 1)
    content = numpy_files.render_npz({"x": poses, "y": np.array([3, 1]), "who": np.array(["p", "q"])})
    mine = card(persons=2, axes="NCTVM", array="x", label="y", subject="who", missing="zero")
    first, second = read({"all.npz": content}, mine).values()
    assert (first.n_frames, first.person.tolist()) == (4, [0, 0, 0, 0])
    assert np.array_equal(first.keypoints[1:], KEYPOINTS[1:])
    assert np.isnan(first.keypoints[0, 0]).sum() == 0
    assert (second.n_frames, second.frame.tolist(), second.person.tolist()) == (2, [0, 0, 1, 1], [0, 1, 0, 1])
    assert [sample.targets["label"] for sample in (first, second)] == [3, 1]
    assert second.meta["subject"] == "q"


def test_a_list_of_objects_is_cut_by_their_ids() -> None:
    entries = [{"id": name, "label": "jump", "subject": "s", "poses": KEYPOINTS.tolist()} for name in ("u", "v")]
    for content in (entries, {"samples": entries, "version": 3}):
        found = read({"all.json": json.dumps(content).encode()}, card(id="id"))
        assert list(found) == ["u", "v"]


def test_people_are_told_apart_by_a_column() -> None:
    rows = [row for who in (4, 2) for row in wide(KEYPOINTS, **FIELDS, person=who)]
    sample = one({"a.csv": csv(rows)}, card(persons=2))
    assert sample.person.tolist() == [4, 2] * 4
    assert sample.frame.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_labels_columns_and_ids_come_from_paths_and_tables() -> None:
    content = csv(wide(KEYPOINTS))
    files = {"wave/p01_1.csv": content, "bow/p02_1.csv": content}
    found = read(files, card(path=r"(?P<what>\w+)/(?P<who>p\d+)_", label="what", subject="who"))
    assert {name: (sample.targets["label"], sample.meta["subject"]) for name, sample in found.items()} == {
        "p01_1": (0, "p01"), "p02_1": (1, "p02"),
    }  # fmt: skip
    table = csv([{"id": "p01_1", "action": "turn", "who": "x"}, {"id": "p02_1", "action": "jump", "who": "y"}])
    found = read(files | {"labels.csv": table}, card(labels="labels.csv", label="action", subject="who"))
    assert {name: sample.targets["label"] for name, sample in found.items()} == {"p01_1": 3, "p02_1": 2}
    same_stem = read({"a/1.csv": csv(wide(KEYPOINTS, **FIELDS)), "b/1.csv": csv(wide(KEYPOINTS, **FIELDS))}, card())
    assert list(same_stem) == ["a__1", "b__1"]


def test_numbers_constants_and_first_numbers_are_what_the_card_says() -> None:
    rows = [row | {"frame": row["frame"] + 1} for row in wide(KEYPOINTS, label=1, subject="7", age=31)]
    mine = card(kept="subject take age width", numbers=("age",), constants={"width": 640}, first_frame=1, first_label=1)
    sample = one({"a.csv": csv(rows)}, mine)
    assert sample.meta == {"subject": "7", "take": "a", "age": 31, "width": 640}
    assert (sample.n_frames, sample.targets) == (4, {"label": 0})


def test_lists_beside_the_data_become_a_column_and_a_protocol() -> None:
    files = {f"{name}.csv": csv(wide(KEYPOINTS, **FIELDS)) for name in "abc"}
    files |= {"train.txt": b"a\nb\n", "test.txt": b"c\r\n"}
    mine = card(splits={"given": {"lists": {"train": "train.txt", "test": "test.txt"}}})
    found = read(files, mine)
    assert [sample.meta["split_given"] for sample in found.values()] == ["train", "train", "test"]
    protocol = own_protocol(mine, "given", mine.options["splits"]["given"])
    assert protocol.train == {"split_given": ("train",)}


@pytest.mark.parametrize(
    ("rule", "folds"), [({"leave_out": "subject"}, None), ({"by": "subject", "folds": 5}, 5)], ids=["each", "five"]
)
def test_folds_never_share_what_they_are_cut_by(rule: dict[str, Any], folds: int | None) -> None:
    protocol = own_protocol(card(), "people", rule)
    assert protocol.folds is not None
    assert (protocol.folds.by, protocol.folds.count, protocol.disjoint) == ("subject", folds, ("subject",))


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({}, "found none"),
        ({"leave_out": "subject", "by": "subject"}, "found by, leave_out"),
        ({"leave_out": "subjct"}, "no column 'subjct'. Did you mean 'subject'"),
        ({"lists": {"train": "a.txt"}}, "need train and test"),
        ({"by": "subject", "folds": 1}, "folds: "),
        ({"leaveout": "subject"}, "unknown key 'leaveout'. Did you mean 'leave_out'"),
        ({"by": "subject", "target": "grade"}, "no target 'grade'"),
        (5, "found 5"),
    ],
)
def test_a_split_that_says_too_little_or_too_much_is_refused(rule: object, words: str) -> None:
    with pytest.raises(CardError, match="options.splits.people: .*" + words.replace(".", r"\.")):
        own_protocol(card(), "people", rule)


def found_by_a_detector() -> Detections:
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(1, 90, (3, 3, 2)).astype(np.float32)
    score = rng.random((3, 3)).astype(np.float32)
    return Detections(3, np.array([0, 1, 2], np.uint32), np.full(3, -1, np.int64), keypoints, score)


@pytest.mark.parametrize("form", ["openpose", "alphapose", "mmpose", "coco"])
def test_what_detectors_write_is_read(form: str) -> None:
    seen = found_by_a_detector()
    if form == "openpose":
        files = {f"clip/v_{n:012d}_keypoints.json": content for n, content in openpose.render(seen).items()}
    else:
        render = {"alphapose": alphapose.render, "mmpose": mmpose.render, "coco": coco_keypoints.render}[form]
        files = {"v.json": render(seen)}
    files["labels.csv"] = csv([{"id": "v", "label": "turn", "subject": "a"}])
    sample = one(files, card(channels="uv", scored="confidence", form=form, labels="labels.csv"))
    assert np.array_equal(sample.keypoints, seen.keypoints)
    assert sample.score is not None
    assert np.array_equal(sample.score, seen.score)
    assert (sample.sample_id, sample.targets) == ("v", {"label": 3})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lable": "x"}, "unknown key 'lable'. Did you mean 'label'"),
        ({"axes": "TVX"}, "'axes' is 'TVX'"),
        ({"axes": "TV"}, "'axes' is 'TV', expected T, and V and C or D"),
        ({"form": "long"}, "'joint' does not say"),
        ({"form": "csv"}, "form: "),
        ({"path": "("}, "no regular expression"),
        ({"score": "{joint}_s"}, "the card does not say what a score means"),
        ({"targets": {"grade": "g"}}, "'targets' names 'grade'"),
        ({"columns": {"cam": "c"}}, "'columns' names 'cam'"),
        ({"numbers": ["age"]}, "'numbers' names 'age'"),
        ({"labels": "none.csv"}, "'labels' is 'none.csv': 0 such files"),
        ({"splits": {"x": {"lists": {"train": "a.txt", "test": "b.txt"}}}}, "'splits.x' is 'a.txt': 0 such files"),
        ({"first_frame": -1}, "first_frame: "),
    ],
)
def test_options_that_cannot_be_are_errors_of_the_card(options: dict[str, Any], words: str) -> None:
    with pytest.raises(CardError) as error:
        planned({"a.csv": csv(wide(KEYPOINTS, **FIELDS))}, card(**options))
    assert words in str(error.value)


BAD = wide(KEYPOINTS, **FIELDS)


@pytest.mark.parametrize(
    ("name", "content", "options", "words"),
    [
        ("a.csv", b"", {}, "the first line names the columns"),
        ("a.csv", b"frame,frame\n", {}, "each once"),
        ("a.csv", csv(BAD)[:-9], {}, "as in the header. Is it cut"),
        (
            "a.csv",
            csv(BAD).replace(b"label", b"lable"),
            {},
            "no field 'label' for the target 'label'. Did",
        ),
        ("a.csv", csv(BAD).replace(b"subject", b"who"), {}, "no field 'subject' for the column 'subject'"),
        ("a.csv", csv(BAD).replace(b"bow", b"bwo"), {}, "'label' is 'bwo', no class of the card. Did you mean 'bow'"),
        ("a.csv", csv(BAD).replace(b"bow", b"9"), {}, "'label' is 9, expected 0 to 3"),
        ("a.csv", csv(BAD).replace(b"hip_x", b"hip_w"), {}, "no column 'hip_x'"),
        ("a.csv", csv(BAD).replace(b"\n0,", b"\n0.5,"), {}, "'frame' is 0.5, expected a whole number"),
        ("a.csv", csv(BAD).replace(b"\n0,", b"\n-1,"), {}, "frames -1 to 3"),
        ("a.csv", csv(BAD).replace(b"\n1,", b"\n0,"), {}, "frame 0: 2 poses, but the card's persons = 1"),
        ("a.csv", csv(BAD).replace(b"\n3,", b"\n9999999999,"), {}, "frames 0 to 9999999999"),
        ("a.csv", csv(BAD).replace(b"0.0,", b"zero,"), {}, "expected numbers in"),
        ("a.csv", csv(BAD).replace(b"0.0,", b"inf,"), {}, "inf, expected a finite number"),
        ("a.csv", csv(BAD).replace(b"0.0,", b"1e99,"), {}, "1e+99, expected a finite number"),
        ("a.csv", csv(BAD).decode().encode("utf-16"), {}, "is not UTF-8"),
        ("a.csv", csv(BAD) + b'9,"x"\n', {}, "row 6: 2 cells"),
        ("a.csv", csv(BAD)[: csv(BAD).index(b"\n") + 1], {}, "holds no row below its header"),
        ("a.csv", csv(BAD), {"frame": "fraem"}, "no column 'fraem' (options.frame)"),
        ("a.csv", csv(BAD), {"joint": "marker"}, "no column 'marker' (options.joint)"),
        ("a.csv", csv(BAD), {"constants": {"label": "wave"}}, "'label' is 'wave' in one place and 'bow' in another"),
        ("a.csv", csv(long(KEYPOINTS, **FIELDS)).replace(b"hip", b"hp"), {"joint": "joint"}, "has no joint 'hp'"),
        ("a.csv", csv(long(KEYPOINTS, **FIELDS) * 2), {"joint": "joint"}, "a joint comes twice"),
        ("a.parquet", b"PAR1", {}, "not a Parquet file"),
        ("a.parquet", parquet([{"frame": 0, "label": "wave"}]).replace(b"wave", b"w\xffve"), {}, "Invalid UTF8"),
        ("a.parquet", parquet([{"frame": [[1]]}]), {}, "holds objects or lists of lists, expected values"),
        ("a.npy", numpy_files.render_npy(KEYPOINTS[:, :2]), {}, "'V' of the axes 'TVC' is joints, 3"),
        ("a.npy", numpy_files.render_npy(KEYPOINTS[0]), {}, "0 arrays of the 3 axes"),
        ("a.npz", numpy_files.render_npz({"p": KEYPOINTS, "q": KEYPOINTS}), {}, "2 arrays of the 3 axes"),
        ("a.npz", numpy_files.render_npz({"p": KEYPOINTS}), {"array": "q"}, "no array 'q' (options.array); found p"),
        ("a.npy", numpy_files.render_npy(np.full_like(KEYPOINTS, np.inf)), {"label": "", "kept": ""}, "infinite"),
        ("a.json", b"[" * 100_000, {}, "a.json"),
        ("a.json", b'{"poses": [[[1, 2, 3]], [[1, 2]]]}', {}, "0 arrays"),
        ("a.json", b'{"poses": [[[1, "2", 3]]]}', {"array": "poses"}, "a text, 2, where options.axes"),
        ("a.json", b"[1, 2]", {}, "a.json"),
        ("a.json", b'[{"id": [1, 2], "p": [[[1, 2, 3]]]}]', {"id": "id"}, "expected one of its own"),
        ("a.csv", csv(BAD), {"id": "clip"}, "no column 'clip' (options.id)"),
    ],
)
def test_what_is_missing_or_contradictory_is_one_clear_error(
    name: str, content: bytes, options: dict[str, Any], words: str
) -> None:
    mine = card(**options)
    with pytest.raises(RawFormatError) as error:
        read({name: content}, mine)
    assert words in str(error.value)
    assert name in str(error.value)


def test_planning_says_what_keeps_a_sample_out() -> None:
    content = csv(wide(KEYPOINTS))
    (item,) = planned({"copy of a.csv": content}, card())
    assert "is that of a copy" in str(item.reject)
    (item,) = planned({"x/a.csv": content}, card(path=r"(?P<who>p\d+)"))
    assert "does not fit options.path" in str(item.reject)
    files = {"a.csv": content, "labels.csv": csv([{"id": "b", "label": "wave"}])}
    item, absent = planned(files, card(labels="labels.csv"))
    assert "'a' has no row in labels.csv. Known: b." in str(item.reject)
    assert absent.reject == "'b' stands in labels.csv, and no file of poses has it"
    (item,) = planned({"a.csv": b"clip\n"}, card(id="clip"))
    assert "no column" in str(item.reject)


@pytest.mark.parametrize(
    ("extra", "options", "words"),
    [
        ({"l.csv": b"id,label\na,wave\na,bow\n"}, {"labels": "l.csv"}, "'a' has two rows"),
        ({"l.csv": b"id,label\n"}, {"labels": "l.csv"}, "holds no row"),
        ({"t.txt": b"a\n", "u.txt": b"a\n"}, {}, "'a' stands in both lists"),
        ({"t.txt": b"a\n", "u.txt": b"zz\n"}, {}, "none of the 1 ids listed for test is a sample, such as 'zz'"),
        ({"t.txt": b"\xff\n", "u.txt": b"a\n"}, {}, "is not UTF-8"),
    ],
)
def test_tables_and_lists_that_do_not_fit_stop_the_plan(
    extra: dict[str, bytes], options: dict[str, Any], words: str
) -> None:
    if not options:
        options = {"splits": {"s": {"lists": {"train": "t.txt", "test": "u.txt"}}}}
    with pytest.raises((CardError, RawFormatError)) as error:
        planned({"a.csv": csv(wide(KEYPOINTS, **FIELDS))} | extra, card(**options))
    assert words in str(error.value)


def test_what_a_table_cannot_say_is_not_written(tmp_path: Path) -> None:
    sample = one({"a.csv": csv(wide(KEYPOINTS, **FIELDS))}, card())
    with pytest.raises(ValueError, match="one finite pose in every frame"):
        list(MODULE.write(Sample(**{**sample.__dict__, "n_frames": 9}), card()))
