import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from skelbench.prepare import PreparedSet, prepare, prepare_set
from skelbench.prepare.cache import CacheError, Fill, publish, read_arrays, write_arrays
from skelbench.store.reader import Store, open_store

STEPS = ["by-id", "clip"]


@pytest.fixture
def store(make_sample, make_store) -> Store:
    return make_store(
        [
            make_sample("a", [0, 1, 1, 2], [1, 1, 2, 2]),
            make_sample("b", [], [], n_frames=3),
            make_sample("c", [0, 4], [1, 1], seed=1),
            make_sample("d", [], [], n_frames=0),
        ]
    )


def block(prepared: PreparedSet, place: int) -> np.ndarray:
    persons, frames, first = prepared.persons[place], prepared.frames[place], prepared.first[place]
    rows = prepared.keypoints[first : first + persons * frames]
    return rows.transpose(0, 2, 1).reshape(persons, frames, *rows.shape[:0:-1])


def same_sets(one: PreparedSet, other: PreparedSet) -> bool:
    return len(one) == len(other) and all(
        np.array_equal(block(one, place), block(other, place), equal_nan=True) for place in range(len(one))
    )


def entries(cache: Path) -> list[Path]:
    return sorted(cache.iterdir())


@pytest.mark.parametrize("cached", [False, True])
def test_every_sample_is_a_block_of_persons_and_frames(store: Store, tmp_path: Path, cached: bool) -> None:
    prepared = prepare_set(store, [3, 0, 2, 1], STEPS, tmp_path / "cache" if cached else None)
    for place, name in enumerate("dacb"):
        expected = prepare(store[name], STEPS).keypoints
        assert np.array_equal(block(prepared, place), expected, equal_nan=True)
    assert prepared.frames.tolist() == [0, 3, 5, 3]
    assert prepared.persons.tolist() == [0, 2, 1, 0]


@pytest.mark.parametrize("cached", [False, True])
def test_the_last_row_is_a_frame_without_a_joint(store: Store, tmp_path: Path, cached: bool) -> None:
    prepared = prepare_set(store, range(4), STEPS, tmp_path / "cache" if cached else None)
    assert np.isnan(prepared.keypoints[-1]).all()
    assert len(prepared.keypoints) == 2 * 3 + 5 + 1


def test_the_second_time_comes_from_the_cache(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepare_set(store, range(4), STEPS, tmp_path / "cache")
    monkeypatch.setattr(Store, "__iter__", None)
    monkeypatch.setattr(Store, "__getitem__", None)
    assert same_sets(prepare_set(store, range(4), STEPS, tmp_path / "cache"), first)
    part = prepare_set(store, [2, 0], STEPS, tmp_path / "cache")
    assert same_sets(part, first.select(np.array([2, 0])))


def test_the_cache_may_be_deleted_while_a_set_is_in_use(store: Store, tmp_path: Path) -> None:
    prepared = prepare_set(store, range(4), STEPS, tmp_path / "cache")
    before = prepared.keypoints.copy()
    for file in (tmp_path / "cache").rglob("*.*"):
        if file.is_file():
            file.unlink()
    assert np.array_equal(prepared.keypoints, before, equal_nan=True)
    assert same_sets(prepare_set(store, range(4), STEPS, tmp_path / "cache"), prepared)


def test_writing_to_a_set_does_not_reach_the_cache(store: Store, tmp_path: Path) -> None:
    prepared = prepare_set(store, range(4), STEPS, tmp_path / "cache")
    prepared.keypoints[:] = 7
    assert np.isnan(prepare_set(store, range(4), STEPS, tmp_path / "cache").keypoints[-1]).all()


def test_another_list_and_another_store_have_entries_of_their_own(store: Store, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    prepare_set(store, range(4), STEPS, cache)
    prepare_set(store, range(4), ["clip"], cache)  # the same list, written shorter
    assert len(entries(cache)) == 1
    prepare_set(store, range(4), ["box"], cache)
    assert len(entries(cache)) == 2


def test_a_store_whose_file_changed_is_prepared_again(store: Store, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    prepare_set(store, range(4), STEPS, cache)
    shard = store.path / "poses-000.h5"
    data = bytearray(shard.read_bytes())
    at = data.find(store["a"].keypoints.tobytes())
    data[at + 3] ^= 0x80  # the sign of the first coordinate
    shard.write_bytes(data)
    os.utime(shard, ns=(1, 1))
    changed = prepare_set(open_store(store.path), range(4), STEPS, cache)
    assert len(entries(cache)) == 2
    assert np.array_equal(block(changed, 0), prepare(open_store(store.path)["a"], STEPS).keypoints, equal_nan=True)


def test_a_changed_byte_is_seen_though_the_file_keeps_its_time(store: Store, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    prepare_set(store, range(4), STEPS, cache)
    shard = store.path / "poses-000.h5"
    times, data = shard.stat(), bytearray(shard.read_bytes())
    data[data.find(store["a"].keypoints.tobytes()) + 3] ^= 0x80
    time.sleep(0.02)  # the clock of files is a coarse one
    shard.write_bytes(data)
    os.utime(shard, ns=(times.st_atime_ns, times.st_mtime_ns))
    changed = prepare_set(open_store(store.path), range(4), STEPS, cache)
    assert np.array_equal(block(changed, 0), prepare(open_store(store.path)["a"], STEPS).keypoints, equal_nan=True)


def test_an_entry_deleted_the_moment_it_was_written_is_made_in_memory(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deleting(folder: Path, fill: Fill) -> Path:
        written = write_arrays(folder, fill)
        shutil.rmtree(written)
        return written

    monkeypatch.setattr("skelbench.prepare.sets.write_arrays", deleting)
    assert same_sets(prepare_set(store, range(4), STEPS, tmp_path / "cache"), prepare_set(store, range(4), STEPS, None))


@pytest.mark.parametrize("name", ["keypoints.bin", "shape.npy", "seen.npy", "index.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "delete", "empty"])
def test_a_damaged_entry_is_made_again(store: Store, tmp_path: Path, name: str, damage: str) -> None:
    cache = tmp_path / "cache"
    whole = prepare_set(store, range(4), STEPS, None)
    prepare_set(store, range(4), STEPS, cache)
    file = entries(cache)[0] / name
    data = bytearray(file.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    elif damage == "delete":
        file.unlink()
    else:
        file.write_bytes(data[: 0 if damage == "empty" else len(data) // 2])
    assert same_sets(prepare_set(store, range(4), STEPS, cache), whole)
    assert len(entries(cache)) == 1
    read_arrays(entries(cache)[0], (2, 13))


def test_a_file_where_the_entry_should_stand_is_replaced(store: Store, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    prepare_set(store, range(4), STEPS, cache)
    entry = entries(cache)[0]
    for file in entry.iterdir():
        file.unlink()
    entry.rmdir()
    entry.write_text("in the way")
    assert same_sets(prepare_set(store, range(4), STEPS, cache), prepare_set(store, range(4), STEPS, None))
    assert entry.is_dir()


def test_a_few_samples_of_many_are_prepared_alone(make_sample, make_store, tmp_path: Path) -> None:
    store = make_store([make_sample(f"s{number:02}", [0, 1], [1, 1], seed=number) for number in range(32)])
    prepared = prepare_set(store, [5, 30], STEPS, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
    whole = prepare_set(store, range(32), STEPS, tmp_path / "cache")
    assert same_sets(prepared, whole.select(np.array([5, 30])))


def test_where_the_cache_cannot_be_written_sets_are_prepared_in_memory(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    with caplog.at_level(logging.WARNING):
        prepared = prepare_set(store, range(4), STEPS, tmp_path / "file")
    assert "cannot keep the prepared set" in caplog.text
    assert len(prepared) == 4


def test_an_error_while_preparing_leaves_nothing_behind(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="sample a: A step centres on joint 40"):
        prepare_set(store, range(4), ["centre-first:40"], tmp_path / "cache")
    assert entries(tmp_path / "cache") == []


def test_what_a_killed_process_left_is_swept_after_a_day(store: Store, tmp_path: Path) -> None:
    old, new = (tmp_path / "cache" / f".tiny-{name}" for name in ("1-old", "2-new"))
    for folder in (old, new):
        folder.mkdir(parents=True)
    os.utime(old, (1, 1))
    prepare_set(store, range(4), STEPS, tmp_path / "cache")
    assert not old.exists()
    assert new.exists()


def test_an_entry_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="nothing"):
        read_arrays(tmp_path / "nothing", (2, 13))


def entry_of(folder: Path, value: float) -> Path:
    """A finished entry that has no name yet."""

    def fill(write: Callable[[np.ndarray], None]) -> tuple[np.ndarray, np.ndarray]:
        write(np.full((2, 2, 13), value, np.float32))
        return np.array([[1, 1]]), np.array([True])

    return write_arrays(folder, fill)


def test_the_entry_that_is_published_first_stays(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "entry"
    one, other = entry_of(folder, 1), entry_of(folder, 2)
    publish(one, folder, (2, 13))
    publish(other, folder, (2, 13))
    assert entries(tmp_path / "cache") == [folder]
    assert read_arrays(folder, (2, 13))[0][0, 0, 0] == 1


def test_a_damaged_entry_gives_way(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "entry"
    publish(entry_of(folder, 1), folder, (2, 13))
    (folder / "seen.npy").write_bytes(b"")
    publish(entry_of(folder, 2), folder, (2, 13))
    assert entries(tmp_path / "cache") == [folder]
    assert read_arrays(folder, (2, 13))[0][0, 0, 0] == 2


@pytest.mark.slow
def test_two_processes_at_once_make_one_entry(store: Store, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from skelbench.prepare import prepare_set\n"
        "from skelbench.store.reader import open_store\n"
        "print(len(prepare_set(open_store(Path(sys.argv[1])), range(4), ['clip'], Path(sys.argv[2]))))"
    )
    command = [sys.executable, "-c", code, str(store.path), str(tmp_path / "cache")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(4)]
    assert [process.communicate()[0].strip() for process in running] == [b"4"] * 4
    assert len(entries(tmp_path / "cache")) == 1
