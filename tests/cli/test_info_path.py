"""`info PATH`: which set files are, or a draft of a card that converts them as it stands."""

import json
import zipfile
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skelbench import guess
from skelbench.formats import alphapose, openpose
from skelbench.formats.detections import Detections

RNG = np.random.default_rng(0)
JOINTS = ["nose", "left_shoulder", "right_shoulder", "left_hip", "right_hip"]


def poses(frames: int, joints: int, channels: int = 3) -> np.ndarray:
    return RNG.normal(size=(frames, joints, channels)).astype(np.float32)


def class_folders() -> dict[str, object]:
    for name in ("wave", "sit", "kick"):
        Path(f"mine/{name}").mkdir(parents=True)
        for take in range(3):
            np.save(f"mine/{name}/{name}_{take}.npy", poses(9 + take, 17))
    return {"layout": "coco17", "samples": 9, "classes": ["kick", "sit", "wave"]}


def padded_arrays() -> dict[str, object]:
    data = np.zeros((6, 30, 25, 3), np.float32)
    for place in range(6):
        data[place, : 10 + place] = poses(10 + place, 25)
    who = np.array([f"p{place % 3}" for place in range(6)])
    np.savez("mine.npz", data=data, label=np.arange(6) % 2, subject=who, sample_id=np.array([*"abcdef"]))
    return {"layout": "kinect_v2", "samples": 6, "classes": ["0", "1"], "missing": "zero"}


def long_tables() -> dict[str, object]:
    Path("mine/poses").mkdir(parents=True)
    rows = [(f"v{clip}", ("walk", "jump")[clip % 2], clip // 2) for clip in range(6)]
    pd.DataFrame(rows, columns=["video", "activity", "participant"]).to_csv("mine/labels.csv", index=False)
    for clip, *_ in rows:
        table = [(frame + 1, joint, *values, 0.9) for frame in range(8)
                 for joint, values in zip(JOINTS, poses(1, 5)[0].tolist(), strict=True)]  # fmt: skip
        header = ["frame", "landmark", "x", "y", "z", "visibility"]
        pd.DataFrame(table, columns=header).to_csv(f"mine/poses/{clip}.csv", index=False)
    return {"samples": 6, "classes": ["jump", "walk"], "first_frame": 1, "labels": "labels.csv", "score": "visibility"}


def detections() -> dict[str, object]:
    Path("mine").mkdir()
    for clip in range(4):
        nobody, score = np.full(7, -1, np.int64), np.ones((7, 17), np.float32)
        seen = Detections(7, np.arange(7, dtype=np.uint32), nobody, poses(7, 17, 2) + 9, score)
        Path(f"mine/clip{clip}.json").write_bytes(alphapose.render(seen))
    Path("mine/labels.csv").write_text(
        "id,label,subject\n" + "".join(f"clip{n},c{n % 2},s{n // 2}\n" for n in range(4))
    )
    return {"layout": "coco17", "samples": 4, "classes": ["c0", "c1"], "form": "alphapose"}


def json_records() -> dict[str, object]:
    entries = [
        {"id": f"r{n}", "label": "xy"[n % 2], "subject": n // 2, "keypoints": poses(5, 20).tolist()} for n in range(6)
    ]
    Path("mine.json").write_text(json.dumps({"version": 1, "recordings": entries}))
    return {"layout": "kinect_v1", "samples": 6, "classes": ["x", "y"], "id": "id"}


def json_records_of_frames() -> dict[str, object]:
    entries = [
        {
            "clip": f"r{n}",
            "label": "xy"[n % 2],
            "subject": n // 2,
            "frames": [{"joints": one} for one in poses(5, 20).tolist()],
        }
        for n in range(6)
    ]
    Path("mine.json").write_text(json.dumps(entries))
    return {"layout": "kinect_v1", "samples": 6, "classes": ["x", "y"], "id": "clip", "array": "frames.joints"}


def numbered_columns() -> dict[str, object]:
    Path("mine").mkdir()
    for clip in range(5):
        table = pd.DataFrame(poses(6, 13, 2).reshape(6, -1) * 99 + 300)
        table.columns = [f"{axis}{joint}" for joint in range(1, 14) for axis in "xy"]
        table.assign(label=clip % 2).to_parquet(f"mine/t{clip}.parquet")
    return {"layout": "penn13", "samples": 5, "classes": ["0", "1"], "coordinates": "{channel}{number}"}


def exports_of_a_kinect() -> dict[str, object]:
    Path("mine/recordings").mkdir(parents=True)
    names, ratings = guess.CALLED["kinect_v2"], ["Aufnahme;Ausführung"]
    for who, what, camera in product("12", "123", "12"):
        rows = ["Zeit;FrameNo;BodyId;JointType;X;Y;Z;TrackingState"]
        for frame, (joint, place) in product(range(1, 5), zip(names, poses(1, 25)[0].tolist(), strict=True)):
            cells = ";".join(f"{value:.4f}".replace(".", ",") for value in place)
            rows.append(f"{frame * 33};{frame};72057594037944738;{joint};{cells};Tracked")
        text = "\r\n".join(rows) + "\r\n"
        Path(f"mine/recordings/P0{who}_E{what}_cam{camera}.csv").write_text(text, encoding="utf-8-sig", newline="")
        ratings.append(f"P0{who}_E{what};gut")
    Path("mine/Bewertung.csv").write_text("\n".join(dict.fromkeys(ratings)) + "\n", encoding="cp1252")
    return {"layout": "kinect_v2", "samples": 12, "classes": ["E1", "E2", "E3"], "decimal": ",", "first_frame": 1,
            "files": "recordings/*.csv", "splits": {"subjects": {"leave_out": "subject"}}}  # fmt: skip


def frames_of_mediapipe() -> dict[str, object]:
    for name, who, take in product(("lunge", "squat"), ("anna", "ben"), range(3)):
        Path(f"mine/{name}").mkdir(parents=True, exist_ok=True)
        frames = [
            {"landmarks": [dict(zip("xyz", place, strict=True)) | {"visibility": 0.9} for place in pose]}
            for pose in poses(6, 33).tolist()
        ]
        content = {"fps": 25, "frames": [*frames, {"landmarks": []}]}
        Path(f"mine/{name}/{who}_{take:02d}.json").write_text(json.dumps(content))
    return {"layout": "mediapipe33", "samples": 12, "classes": ["lunge", "squat"], "array": "frames.landmarks",
            "fps": 25.0, "splits": {"subjects": {"leave_out": "subject"}}}  # fmt: skip


def clips_with_several_classes() -> dict[str, object]:
    Path("mine/clips").mkdir(parents=True)
    for clip in range(8):
        places = np.concatenate([poses(12, 17, 2) * 99 + 300, RNG.random((12, 17, 1))], axis=2)[:, None]
        np.savez(f"mine/clips/vid_{clip}.npz", keypoints=places.astype(np.float32), fps=np.float32(30))
    table = pd.DataFrame(
        {"clip_id": [f"vid_{n}" for n in range(8)], "actions": [["walk", "talk"][: 1 + n % 2] for n in range(8)]}
    )
    table.to_parquet("mine/labels.parquet")
    Path("mine/train.txt").write_text("".join(f"vid_{n}.npz\n" for n in range(6)))
    Path("mine/val.txt").write_text("vid_6.npz\nvid_7.npz\n")
    return {"layout": "coco17", "samples": 8, "classes": ["talk", "walk"], "label": "actions", "axes": "TMVC",
            "score": "the detector's confidence"}  # fmt: skip


def folders_of_openpose() -> dict[str, object]:
    for clip in range(6):
        nobody, score = np.full(3, -1, np.int64), np.ones((3, 25), np.float32)
        seen = Detections(3, np.arange(3, dtype=np.uint32), nobody, poses(3, 25, 2) + 9, score)
        Path(f"mine/v{clip}").mkdir(parents=True)
        for frame, content in openpose.render(seen).items():
            Path(f"mine/v{clip}/v{clip}_{frame:012d}_keypoints.json").write_bytes(content)
    Path("mine/what.csv").write_text("video,activity\n" + "".join(f"v{n},c{n % 2}\n" for n in range(6)))
    return {"layout": "openpose25", "samples": 6, "classes": ["c0", "c1"], "form": "openpose", "label": "activity"}


def markers_with_labels_of_frames() -> dict[str, object]:
    tables = []
    for subject, take in product(range(3), range(2)):
        table = pd.DataFrame(
            poses(9, 4).reshape(9, -1) * 900,
            columns=[f"{m}:{a}" for m in ("C7", "LSHO", "RSHO", "STRN") for a in "XYZ"],
        )
        shown = ["walk"] * 4 + [None] + ["turn"] * 4
        tables.append(
            table.assign(trial=f"s{subject}_{take}", subject=subject, fold=subject, frame=range(9), activity=shown)
        )
    pd.concat(tables).to_parquet("mine.parquet", index=False)
    return {"samples": 6, "classes": ["turn", "walk"], "frame_label": "activity", "coordinates": "{joint}:{channel}",
            "splits": {"folds": {"leave_out": "split", "frames": True}}}  # fmt: skip


@pytest.mark.parametrize(
    "make",
    [
        class_folders, padded_arrays, long_tables, detections, json_records, json_records_of_frames, numbered_columns,
        exports_of_a_kinect,
        frames_of_mediapipe, clips_with_several_classes, folders_of_openpose, markers_with_labels_of_frames,
    ],
)  # fmt: skip
def test_the_draft_of_a_strangers_data_converts_and_runs(make, skelbench) -> None:
    wanted = make()
    (path,) = Path().glob("mine*")
    said = skelbench("info", path, "--draft", "card.toml")
    assert said.code == 0, said.err
    assert f"skelbench convert own --raw {path} --card card.toml" in said.out
    assert skelbench("info", path, "--draft", "card.toml").code == 2
    for arguments in (("convert", "own", "--raw", path, "--card", "card.toml"), ("verify", "card")):
        said = skelbench(*arguments)
        assert said.code == 0, said.err
    facts = json.loads(skelbench("info", "card", "--json").out)
    card = json.loads(Path("data/card/dataset.json").read_text())["card"]
    found = {**facts, **card["options"], "layout": card["layout"]["name"]}
    assert {key: found[key] for key in wanted} == wanted
    said = skelbench("run", "--dataset", "data/card", "--method", "majority")
    assert said.code == 0, said.err


def test_files_of_a_known_set_are_called_by_its_name(skelbench) -> None:
    for name in ("nw_ucla", "ui_prmd", "mixamo"):
        assert skelbench("synth", name, "--samples", "8", "--zip", "--out", name).code == 0
        found = json.loads(skelbench("info", f"{name}/{name}.zip", "--json").out)
        assert found["sets"][0] | {"rejects": 0} == {"set": name, "items": 8, "rejects": 0, "problem": ""}
        assert found["card"] is None


def test_what_is_no_recording_is_described(skelbench) -> None:
    files = {"a.txt": b"hello", "b.bin": b"\0\1", "c.npy": b"no", "d.json": b"{}", "e.csv": b"", "f.pkl": b"\x80\x04."}
    Path("mixed").mkdir()
    for name, content in files.items():
        (Path("mixed") / name).write_bytes(content)
    with zipfile.ZipFile("mixed/g.zip", "w") as archive:
        archive.writestr("../out.txt", "x")
    found = json.loads(skelbench("info", "mixed", "--json").out)
    said = {row["file"]: row["what"] for row in found["formats"]}
    assert (said["a.txt"], said["b.bin"]) == ("text", "unknown")
    assert "never run here" in said["f.pkl"]
    assert "cannot be read" in said["c.npy"]
    assert "leads out of its folder" in found["refused"]
    assert found["card"] is None
    said = skelbench("info", "mixed", "--draft", "card.toml")
    assert said.code == 2
    assert "card.toml is not written: " in said.err
    assert "e.csv" in said.err
    assert not Path("card.toml").exists()


def test_a_path_that_is_not_there_is_an_error(skelbench) -> None:
    said = skelbench("info", "nowhere.csv")
    assert said.code == 2
    assert "Nothing is called 'nowhere.csv'" in said.err
