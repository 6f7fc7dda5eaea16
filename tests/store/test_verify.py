"""Verification: every byte, every file, and what the bytes say."""

import os
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skelbench.errors import StoreError
from skelbench.store.schema import INFO
from skelbench.store.verify import Finding, verify_store


def problems(folder: Path) -> list[tuple[str, str]]:
    return [(finding.file, finding.problem) for finding in verify_store(folder)]


def test_a_sound_store_has_no_findings_and_all_bytes_were_read(store_path: Path) -> None:
    read: list[int] = []
    assert verify_store(store_path, read.append) == []
    assert sum(read) == sum(path.stat().st_size for path in store_path.iterdir())


def test_a_missing_file_is_named(store_path: Path) -> None:
    (store_path / "README.md").unlink()
    assert verify_store(store_path) == [Finding("README.md", "is missing, or not a regular file.")]


def test_a_pipe_in_place_of_a_file_does_not_hang(store_path: Path) -> None:
    (store_path / "README.md").unlink()
    os.mkfifo(store_path / "README.md")
    assert verify_store(store_path) == [Finding("README.md", "is missing, or not a regular file.")]


def test_files_and_folders_that_do_not_belong_are_named(store_path: Path) -> None:
    (store_path / "features").mkdir()
    (store_path / "poses-002.h5").touch()
    assert [file for file, _ in problems(store_path)] == ["features", "poses-002.h5"]


def test_all_damaged_files_are_named_at_once(store_path: Path) -> None:
    for name in ("README.md", "poses-001.h5"):
        with (store_path / name).open("ab") as file:
            file.write(b"\n")
    assert [file for file, _ in problems(store_path)] == ["README.md", "poses-001.h5"]


def test_another_form_of_the_same_dataset_json_is_found(store_path: Path) -> None:
    data = (store_path / INFO).read_bytes()
    (store_path / INFO).write_bytes(data.replace(b'"samples": 4', b'"samples":  4'))
    assert problems(store_path) == [(INFO, "was changed after it was written: the same content, in another form.")]


def test_a_newer_version_is_a_finding_that_says_what_to_do(store_path: Path) -> None:
    data = (store_path / INFO).read_bytes()
    (store_path / INFO).write_bytes(data.replace(b'"format": 1', b'"format": 3'))
    assert "upgrade skelbench" in problems(store_path)[0][1]


def test_a_folder_that_is_no_store_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is not a store"):
        verify_store(tmp_path)


@pytest.mark.slow
def test_every_single_byte_counts(sound_store: Path) -> None:
    for path in sorted(sound_store.iterdir()):
        sound = path.read_bytes()
        for place in range(len(sound)):
            path.write_bytes(sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :])
            assert [finding.file for finding in verify_store(sound_store)] == [path.name]
        path.write_bytes(sound)


# --- damage that the digests agree with ----------------------------------------------------------------------------


def alter_pose(folder: Path, name: str, value: float) -> None:
    with h5py.File(folder / "poses-000.h5", "r+") as file:
        file[name][0] = value


def alter_column(folder: Path, file: str, name: str, values: list[Any]) -> None:
    table = pq.read_table(folder / file)
    place = table.column_names.index(name)
    pq.write_table(table.set_column(place, name, pa.array(values, table[name].type)), folder / file)


@pytest.mark.parametrize(("name", "value"), [("keypoints", 0.5), ("person", 7), ("frame", 2), ("score", np.nan)])
def test_content_that_differs_from_the_fingerprint_is_found(
    store_path: Path, forge: Any, name: str, value: float
) -> None:
    alter_pose(store_path, name, value)
    forge(store_path)
    ((file, problem),) = problems(store_path)
    assert file == INFO
    assert re.fullmatch(r"says the fingerprint is \w{64}, the content has \w{64}\.", problem)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("keypoints", np.inf, "sample 0 ('a'): keypoints holds an infinite value"),
        ("score", -np.inf, "sample 0 ('a'): score holds an infinite value"),
        ("frame", 3, "sample 0 ('a'): a pose is in frame 3, expected less than n_frames = 3"),
    ],
)
def test_arrays_out_of_range_are_found_in_their_shard(
    store_path: Path, forge: Any, name: str, value: float, words: str
) -> None:
    alter_pose(store_path, name, value)
    forge(store_path)
    assert problems(store_path)[0][0] == "poses-000.h5"
    assert problems(store_path)[0][1].startswith(words)


@pytest.mark.parametrize(
    ("file", "name", "values", "words"),
    [
        ("samples.parquet", "label", [0, 0, 9, 1], "sample 2 ('c'): target 'label' is 9"),
        ("samples.parquet", "sample_id", ["a", "c", "b", "d"], "sample 2 ('b') does not come after 'c'"),
        ("samples.parquet", "sample_id", ["a", "a", "b", "d"], "sample 1 ('a') does not come after 'a'"),
        ("segments.parquet", "label", [0, 5], "sample 0 ('a'): a segment has label 5"),
        ("segments.parquet", "end", [2, 9], "sample 0 ('a'): a segment is frames 1 to 9"),
    ],
)
def test_rows_out_of_range_are_found_in_their_table(
    store_path: Path, forge: Any, file: str, name: str, values: list[Any], words: str
) -> None:
    alter_column(store_path, file, name, values)
    forge(store_path)
    assert any(found == file and problem.startswith(words) for found, problem in problems(store_path))


def test_a_wrong_number_of_frames_is_found(store_path: Path, forge: Any) -> None:
    forge(store_path, frames=1)
    assert problems(store_path) == [(INFO, "says 1 frames, the samples have 14.")]


def test_a_file_that_the_reader_refuses_is_a_finding_under_its_name(store_path: Path, forge: Any) -> None:
    with h5py.File(store_path / "poses-001.h5", "r+") as file:
        del file["score"]
    forge(store_path)
    assert [(file, "'score' is not there" in problem) for file, problem in problems(store_path)] == [
        ("poses-001.h5", True)
    ]
