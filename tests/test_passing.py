"""Arrays on their way from process to process."""

import inspect
from pathlib import Path

import numpy as np
import pytest

from skelbench.convert.staging import locked, staged_parts
from skelbench.errors import StoreError
from skelbench.passing import leave, take


def arrays(poses: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(poses)
    return {
        "keypoints": rng.normal(size=(poses, 5, 3)).astype("<f4"),
        "frame": np.arange(poses, dtype="<u4"),
        "person": rng.integers(-1, 9, poses),
    }


@pytest.mark.parametrize("poses", [0, 1, 3, 4000])
def test_arrays_arrive_as_they_were_and_their_file_is_gone(poses: int, tmp_path: Path) -> None:
    sent = arrays(poses)
    found = take(leave(sent, tmp_path))
    assert list(tmp_path.iterdir()) == []
    assert list(found) == list(sent)
    for name, array in found.items():
        assert (array.dtype, array.shape) == (sent[name].dtype, sent[name].shape)
        assert np.array_equal(array, sent[name])


def test_a_full_disk_leaves_no_file_behind(tmp_path: Path) -> None:
    class Full:
        """An array that cannot be written."""

        @property
        def data(self) -> bytes:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        inspect.unwrap(leave)({**arrays(2), "person": Full()}, tmp_path)  # type: ignore[dict-item]
    assert list(tmp_path.iterdir()) == []


def test_what_a_stopped_conversion_left_is_removed_and_is_nobody_elses_file(tmp_path: Path) -> None:
    with locked(tmp_path / "x") as folder:
        leave(arrays(2), folder)
    with locked(tmp_path / "x") as folder:  # the place is still taken for ours
        assert staged_parts(folder) == []
        assert [path.name for path in folder.iterdir()] == ["lock"]
        (folder / "piece.zip").write_bytes(b"mine")
    with pytest.raises(StoreError, match="holds other files"), locked(tmp_path / "x"):
        pass
