"""A toy data set: a converter of its own outside the package, and its raw files as folder and archives."""

import io
import json
import random
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

CONVERTER = """
import json, os, re, time
import numpy as np
from skelbench.errors import RawFormatError
from skelbench.raw import RawItem
from skelbench.sample import Sample

NAME = re.compile(r"(?:^|/)(a(\\d+)_s(\\d+)_c(\\d+)_n(\\d+))[.]json$")


def plan(raw, card):
    for path in reversed(raw.paths):
        match = NAME.search(path)
        if match:
            name, label, subject, camera, _ = match.groups()
            meta = {"label": int(label), "subject": int(subject), "camera": int(camera)}
            missing = name in card.options.get("missing", [])
            yield RawItem(name, (path,), meta, "officially unusable" if missing else None)


def read(raw, item, card):
    time.sleep(card.options.get("delay", 0))
    kind = card.options.get("fail", {}).get(item.sample_id)
    if kind == "die":
        os._exit(9)
    if kind == "memory":
        raise MemoryError
    if kind == "recursion":
        raise RecursionError
    if kind == "bug":
        raise KeyError("joints")
    if kind == "none":
        return None
    try:
        table = json.loads(raw.read(item.paths[0]))
        scale = raw.once("scale.txt", _scale) if "scale.txt" in raw.paths else 1.0
    except json.JSONDecodeError as error:
        raise RawFormatError(f"{raw.where(item.paths[0])}: not JSON: {error}")
    keypoints = np.array(table["keypoints"], np.float32).reshape(-1, 3, 2) * np.float32(scale)
    if kind == "infinite":
        keypoints[0] = np.inf
    sample = Sample(
        sample_id="another" if kind == "id" else item.sample_id,
        n_frames=len(keypoints) - (kind == "frames"),
        frame=np.arange(len(keypoints), dtype=np.uint32),
        person=np.full(len(keypoints), -1, np.int64),
        keypoints=keypoints,
        score=None,
        targets={"label": 99 if kind == "label" else item.meta["label"]},
        segments=(),
        meta=dict(item.meta) if kind == "meta" else {name: item.meta[name] for name in ("subject", "camera")},
    )
    if kind == "numpy":  # as converters of others do; no import hook of tests stands in the way of this
        vars(sample).update(
            n_frames=np.int64(sample.n_frames), frame=sample.frame.astype(np.int16),
            targets={"label": np.int32(1)}, meta={"subject": np.uint8(1), "camera": np.int64(2)},
        )
    if kind == "negative":
        vars(sample).update(frame=sample.frame.astype(np.int64) - 1)
    return sample


def _scale(data):
    return float(data)
"""
CARD = """
title = "Toy"
channels = ["u", "v"]
units = { u = "pixel", v = "pixel" }
fps = 30.0
pose_source = "made up"
persons = 1
licence = "CC0-1.0"
obtain = "Ask the toy maker."
citation = "Toy, 2026"
raw = "folder of toy json files"
max_file_mb = 0.1
official = { planned = 40, rejects = 1, source = "the toy maker" }

[layout]
joints = ["head", "left", "right"]
parents = [-1, 0, 0]
pairs = [[1, 2]]
source = "made up"

[targets.label]
classes = ["walk", "run", "jump", "sit"]
"""


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """The toy converter's module; its card lies beside it."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "toy.py").write_text(CONVERTER)
    (folder / "toy.toml").write_text(CARD)
    return folder / "toy.py"


@pytest.fixture
def options(toy: Path) -> Callable[[str], Path]:
    """Write a card with further lines, such as `[options]`; returns its path."""

    def write(lines: str) -> Path:
        path = toy.with_name("own.toml")
        path.write_text(f'name = "toy"\n{CARD}\n{lines}')
        return path

    return write


def raw_files(count: int) -> dict[str, bytes]:
    """Names and contents of a toy recording: 4 classes, 5 subjects, 2 cameras in turn."""
    numbers = random.Random(0)
    files = {}
    for place in range(count):
        name = f"a{place % 4}_s{place % 5}_c{place % 2}_n{place:05d}"
        keypoints = [numbers.random() for _ in range(6 * (1 + place % 7))]
        files[f"{name}.json"] = json.dumps({"keypoints": keypoints}).encode()
    return files


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A folder of 40 toy files, a shared file and one that belongs to no sample."""
    return write_folder(tmp_path / "raw", raw_files(40) | {"scale.txt": b"2.0", "notes.txt": b"hello"})


def write_folder(folder: Path, files: dict[str, bytes]) -> Path:
    """Write files into a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def write_zip(path: Path, files: dict[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> Path:
    """Pack files into a zip, in the order given."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write_tar(path: Path, files: dict[str, bytes], *, form: int = tarfile.PAX_FORMAT) -> Path:
    """Pack files into a tar, compressed as its name says, in the order given."""
    mode = {".gz": "w:gz", ".bz2": "w:bz2", ".xz": "w:xz"}.get(path.suffix, "w")
    with tarfile.open(path, mode, format=form) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def pack(tmp_path: Path) -> Callable[..., Path]:
    """Write files as `folder`, `zip`, `tar`, `tar.gz`, `tar.bz2` or `tar.xz`; returns the path."""

    def write(kind: str, files: dict[str, bytes]) -> Path:
        if kind == "folder":
            return write_folder(tmp_path / "packed", files)
        path = tmp_path / f"packed.{kind}"
        return write_zip(path, files) if kind == "zip" else write_tar(path, files)

    return write
