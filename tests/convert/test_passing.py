"""Chunks on their way from process to process."""

from pathlib import Path

import numpy as np
import pytest

from skelbench.convert.passing import leave, take
from skelbench.convert.staging import Chunk, locked, staged_parts
from skelbench.errors import StoreError
from skelbench.store.block import Block
from skelbench.store.schema import Reject

REJECTS = (Reject("a", "b", "c"),)


def chunk(poses: int) -> Chunk:
    rng = np.random.default_rng(poses)
    arrays = {
        "keypoints": rng.normal(size=(poses, 5, 3)).astype("<f4"),
        "frame": np.arange(poses, dtype="<u4"),
        "person": rng.integers(-1, 9, poses),
    }
    return Chunk(3, Block((), arrays), REJECTS, {"x": "00"})


@pytest.mark.parametrize("poses", [0, 1, 3, 4000])
def test_a_chunk_arrives_as_it_was_and_its_file_is_gone(poses: int, tmp_path: Path) -> None:
    sent = chunk(poses)
    left = leave(sent, tmp_path)
    assert not left.chunk.block.arrays
    found = take(left)
    assert (found.items, found.rejects, found.digests) == (sent.items, sent.rejects, sent.digests)
    assert {name: (array.dtype, array.shape) for name, array in found.block.arrays.items()} == {
        name: (array.dtype, array.shape) for name, array in sent.block.arrays.items()
    }
    assert all(np.array_equal(array, sent.block.arrays[name]) for name, array in found.block.arrays.items())
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_no_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        """An array that cannot be written."""

        dtype, shape = np.dtype("<f4"), (1,)

        @property
        def data(self) -> bytes:
            raise OSError(28, "No space left on device")

    sent = chunk(2)
    monkeypatch.setitem(sent.block.arrays, "person", Full())  # type: ignore[arg-type]
    with pytest.raises(OSError, match="No space"):
        leave(sent, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_stopped_processes_left_is_removed_and_is_nobody_elses_file(tmp_path: Path) -> None:
    with locked(tmp_path / "x") as folder:
        leave(chunk(2), folder)
    with locked(tmp_path / "x") as folder:  # the place is still taken for ours
        assert staged_parts(folder) == []
        assert [path.name for path in folder.iterdir()] == ["lock"]
        (folder / "piece.zip").write_bytes(b"mine")
    with pytest.raises(StoreError, match="holds other files"), locked(tmp_path / "x"):
        pass
