"""`info PATH`: which set files are, or a draft of a card that converts them as it stands."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skelbench.formats import alphapose
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


def numbered_columns() -> dict[str, object]:
    Path("mine").mkdir()
    for clip in range(5):
        table = pd.DataFrame(poses(6, 13, 2).reshape(6, -1) * 99 + 300)
        table.columns = [f"{axis}{joint}" for joint in range(1, 14) for axis in "xy"]
        table.assign(label=clip % 2).to_parquet(f"mine/t{clip}.parquet")
    return {"layout": "penn13", "samples": 5, "classes": ["0", "1"], "coordinates": "{channel}{number}"}


@pytest.mark.parametrize(
    "make", [class_folders, padded_arrays, long_tables, detections, json_records, numbered_columns]
)
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
    said = skelbench("run", "--dataset", "data/card", "--method", "centroid")
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
    assert skelbench("info", "mixed", "--draft", "card.toml").code == 2
    assert not Path("card.toml").exists()


def test_a_path_that_is_not_there_is_an_error(skelbench) -> None:
    said = skelbench("info", "nowhere.csv")
    assert said.code == 2
    assert "Nothing is called 'nowhere.csv'" in said.err
