"""Writing: whole or not at all, the same bytes for the same content, and no memory for arrays that have passed."""

import errno
import os
import resource
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

from skelbench.errors import StoreError
from skelbench.sample import Sample
from skelbench.store.reader import open_store
from skelbench.store.schema import Reject
from skelbench.store.writer import cut_shards, write_store


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_store_has_the_files_that_the_format_names(store_path: Path) -> None:
    assert sorted(contents(store_path)) == [
        "README.md",
        "dataset.json",
        "poses-000.h5",
        "poses-001.h5",
        "rejects.parquet",
        "samples.parquet",
        "segments.parquet",
    ]


def test_the_files_open_without_skelbench(store_path: Path) -> None:
    table = pd.read_parquet(store_path / "samples.parquet")
    assert list(table) == ["sample_id", "label", "take", "subject", "camera", "scored", "n_frames", "n_poses", "offset"]
    assert table["offset"].tolist() == [0, 2, 2, 7]
    with h5py.File(store_path / "poses-000.h5") as file:
        assert list(file) == ["frame", "keypoints", "person", "score"]
        assert file["keypoints"].shape == (7, 3, 2)
    assert pd.read_parquet(store_path / "segments.parquet").to_numpy().tolist() == [["a", 0, 2, 1], ["a", 1, 3, 0]]
    assert pd.read_parquet(store_path / "rejects.parquet")["reason"].tolist() == ["is empty"]


def test_trimmed_sets_have_no_segments_and_rejects_are_always_there(
    tmp_path: Path, make_sample: Any, write: Any
) -> None:
    write(tmp_path / "s", [make_sample("a")])
    assert "segments.parquet" not in contents(tmp_path / "s")
    assert open_store(tmp_path / "s").rejects() == []


def test_a_set_without_samples_is_a_store(tmp_path: Path, write: Any) -> None:
    info = write(tmp_path / "s", [])
    assert (info.samples, info.poses, [shard.poses for shard in info.shards]) == (0, 0, [0])
    assert list(open_store(tmp_path / "s")) == []


def test_the_same_content_gives_the_same_bytes(tmp_path: Path, make_sample: Any, write: Any) -> None:
    rejects = [Reject("y", "y.txt", "bad"), Reject("x", "x.txt", "bad")]
    for name, order in (("one", rejects), ("two", rejects[::-1])):
        write(tmp_path / name, [make_sample("a"), make_sample("b", 7)], rejects=order)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_columns_come_in_the_card_s_order_then_by_name(tmp_path: Path, make_sample: Any, write: Any) -> None:
    write(tmp_path / "s", [make_sample("a", meta={"zoo": 1, "subject": 2, "ant": "x", "take": "t"})])
    assert list(open_store(tmp_path / "s").table)[2:6] == ["take", "subject", "ant", "zoo"]


@pytest.mark.parametrize(
    ("lengths", "limit", "counts"),
    [
        ([], 10, [0]),
        ([0, 0], 0, [2]),
        ([5, 5, 1], 10, [2, 1]),
        ([11, 1], 10, [1, 1]),
        ([1, 11, 0, 1], 10, [1, 1, 2]),
        ([1, 2, 3], 0, [1, 1, 1]),
    ],
)
def test_shards_are_filled_in_order_and_hold_whole_samples(lengths: list[int], limit: int, counts: list[int]) -> None:
    assert cut_shards(lengths, limit) == counts


def test_every_array_starts_on_a_cache_line(store_path: Path) -> None:
    with h5py.File(store_path / "poses-001.h5") as file:
        assert {dataset.id.get_offset() % 64 for dataset in file.values()} == {0}


def test_a_folder_that_is_there_is_left_alone(store_path: Path, write: Any) -> None:
    before = contents(store_path)
    with pytest.raises(StoreError, match="is there already"):
        write(store_path, [])
    assert contents(store_path) == before


def test_samples_out_of_order_or_doubled_are_refused(tmp_path: Path, make_sample: Any, write: Any) -> None:
    for ids in (["b", "a"], ["a", "a"]):
        with pytest.raises(
            StoreError, match=r"comes after .*: samples must be in the order of their ids, each id once"
        ):
            write(tmp_path / "s", [make_sample(sample_id) for sample_id in ids])


def test_ids_are_ordered_by_their_bytes(tmp_path: Path, make_sample: Any, write: Any) -> None:
    ids = sorted(["é", "z", "Z", "𝄞", "\uffee"], key=str.encode)
    write(tmp_path / "s", [make_sample(sample_id) for sample_id in ids])
    assert list(open_store(tmp_path / "s").ids) == ids


def test_a_sample_that_does_not_fit_is_named_and_nothing_is_left(tmp_path: Path, make_sample: Any, write: Any) -> None:
    with pytest.raises(StoreError, match=r"^sample 'b': target 'label' is 9, expected"):
        write(tmp_path / "s", [make_sample("a"), make_sample("b", targets={"label": 9})])
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("lengths", "words"),
    [
        ([4], "sample 'b' came after the 1 that were announced"),
        ([4, 4, 4], "2 samples came, 3 were announced"),
        ([4, 5], "sample 'b': 4 poses, 5 were announced"),
    ],
)
def test_samples_that_differ_from_what_was_announced_are_refused(
    tmp_path: Path, make_sample: Any, write: Any, lengths: list[int], words: str
) -> None:
    with pytest.raises(StoreError, match=words):
        write(tmp_path / "s", [make_sample("a"), make_sample("b")], lengths=lengths)


def test_a_column_of_text_and_numbers_is_refused_with_both_samples(
    tmp_path: Path, make_sample: Any, write: Any
) -> None:
    samples = [make_sample("a", meta={"x": 1}), make_sample("b", meta={"x": 0.5}), make_sample("c", meta={"x": "1"})]
    with pytest.raises(StoreError, match="meta 'x' is float in sample 'a' and str in 'c': a column has one type"):
        write(tmp_path / "s", samples)


def test_a_column_of_integers_and_fractions_is_float_where_that_is_exact(
    tmp_path: Path, make_sample: Any, write: Any
) -> None:
    write(tmp_path / "s", [make_sample("a", meta={"x": 1}), make_sample("b", meta={"x": 0.5})])
    assert [sample.meta["x"] for sample in open_store(tmp_path / "s")] == [1.0, 0.5]
    with pytest.raises(StoreError, match=r"meta 'x' holds fractions, and integers above 2\*\*53"):
        write(tmp_path / "t", [make_sample("a", meta={"x": 2**53 + 1}), make_sample("b", meta={"x": 0.5})])


def test_file_names_that_are_not_utf8_can_be_rejected(tmp_path: Path, write: Any) -> None:
    write(tmp_path / "s", [], rejects=[Reject("caf\udce9", "caf\udce9.txt", "bad name")])
    assert open_store(tmp_path / "s").rejects() == [Reject("caf\\udce9", "caf\\udce9.txt", "bad name")]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [0, 1000, 2000, 2500, 3000, 100_000, 1_000_000, 5_000_000])
def test_a_disk_that_takes_no_more_is_an_oserror_and_leaves_nothing(
    tmp_path: Path, make_sample: Any, write: Any, size: int
) -> None:
    poses = 200_000
    sample = make_sample("a", poses, n_frames=poses)
    with largest_file(size), pytest.raises(OSError, match="File too large") as caught:
        write(tmp_path / "s", [sample])
    assert caught.value.errno == errno.EFBIG
    assert not (tmp_path / "s").exists()


def test_a_folder_without_a_parent_is_an_oserror(tmp_path: Path, write: Any) -> None:
    with pytest.raises(FileNotFoundError):
        write(tmp_path / "no" / "s", [])


def test_whatever_stops_the_samples_leaves_nothing(tmp_path: Path, make_sample: Any, write: Any) -> None:
    def interrupted() -> Iterator[Sample]:
        yield make_sample("a")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "s", interrupted(), lengths=[4, 4])
    assert not (tmp_path / "s").exists()


def test_every_file_and_the_folder_are_put_on_the_disk(
    tmp_path: Path, make_sample: Any, write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    opened: dict[int, str] = {}
    real_open = os.open

    def noting_open(path: Any, *rest: Any, **more: Any) -> int:
        descriptor = real_open(path, *rest, **more)
        opened[descriptor] = Path(path).name
        return descriptor

    monkeypatch.setattr("os.open", noting_open)
    monkeypatch.setattr("os.fsync", lambda descriptor: synced.append(opened[descriptor]))
    write(tmp_path / "s", [make_sample("a")])
    assert sorted(synced) == sorted([*contents(tmp_path / "s"), "s"])


def test_memory_does_not_grow_with_the_arrays_that_pass(tmp_path: Path, make_sample: Any, write: Any) -> None:
    poses, count = 20_000, 40  # 0.5 MB of keypoints each, 1.1 MB with all else
    template = make_sample("a", poses, n_frames=poses)

    def passing() -> Iterator[Sample]:
        for number in range(count):
            fields = {name: getattr(template, name) for name in ("n_frames", "targets", "segments", "meta", "score")}
            arrays = {name: getattr(template, name).copy() for name in ("frame", "person", "keypoints")}
            yield Sample(sample_id=f"{number:03d}", **fields, **arrays)

    tracemalloc.start()
    try:
        write(tmp_path / "s", passing(), lengths=[poses] * count, shard_bytes=10 << 20)
        assert tracemalloc.get_traced_memory()[1] < 12 << 20
    finally:
        tracemalloc.stop()
    assert np.isfinite(open_store(tmp_path / "s")[count - 1].keypoints).all()


def test_the_readme_says_what_the_folder_is(store_path: Path) -> None:
    text = (store_path / "README.md").read_text(encoding="utf-8")
    for words in ("# Toy set", "| samples | 4 |", "CC0-1.0", "Nobody, 2020", "`keypoints`, `frame`, `person`, `score`"):
        assert words in text
    assert "These are not recordings" not in text


def test_the_readme_of_a_synthetic_set_says_so_first(tmp_path: Path, make_card: Any, origin: Any) -> None:
    synthetic = origin.model_copy(update={"synthetic": {"generator": "body", "seed": 0}})
    write_store(tmp_path / "s", make_card(), synthetic, samples=[], lengths=[], rejects=[])
    text = (tmp_path / "s" / "README.md").read_text(encoding="utf-8")
    assert text.startswith("# Toy set\n\n**These are not recordings.**")
    assert open_store(tmp_path / "s").info.origin.synthetic == {"generator": "body", "seed": 0}
