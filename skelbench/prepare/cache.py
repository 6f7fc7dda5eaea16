"""Cache entries: a folder of three arrays that exists whole or not at all and is checked when read.

`keypoints.bin` holds float32 rows of channels × joints; `shape.npy` persons and frames of each sample; `seen.npy`
whether each person shows any joint; `index.json` sizes and checksums of the three.
"""

import io
import json
import os
import shutil
import time
import uuid
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np

Arrays: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]  # rows, shape, seen
Fill: TypeAlias = Callable[[Callable[[np.ndarray], None]], tuple[np.ndarray, np.ndarray]]

_ROWS, _SHAPE, _SEEN, _INDEX = "keypoints.bin", "shape.npy", "seen.npy", "index.json"
_CHUNK = 16 << 20
_ABANDONED = 24 * 3600  # seconds after which an unfinished entry belongs to nobody


class CacheError(Exception):
    """No entry, or one that is not what was written."""


def write_arrays(folder: Path, fill: Fill) -> Path:
    """Write an entry under a temporary name.

    Args:
        folder: Where the entry shall stand in the end.
        fill: Writes all rows through the function it is given, then returns shape and seen.

    Returns:
        The temporary folder, a sibling, complete and synced.

    Raises:
        OSError: If it cannot be written; nothing is left behind.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder.parent)
    temporary = folder.with_name(f".{folder.name}-{os.getpid()}-{uuid.uuid4().hex[:8]}")
    temporary.mkdir()
    try:
        with (temporary / _ROWS).open("wb", buffering=_CHUNK) as file:
            arrays = fill(lambda rows: None if rows.size == 0 else _write(file, rows))
            file.flush()
            os.fsync(file.fileno())
        for name, array in zip((_SHAPE, _SEEN), arrays, strict=True):
            np.save(temporary / name, array)
        sums = {name: _checksum(temporary / name) for name in (_ROWS, _SHAPE, _SEEN)}
        (temporary / _INDEX).write_text(json.dumps(sums), encoding="utf-8")
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return temporary


def read_arrays(folder: Path, row: tuple[int, int]) -> Arrays:
    """Map an entry, its checksums compared.

    Args:
        folder: The entry.
        row: Channels and joints of a row.

    Returns:
        The rows (rows, channels, joints) as a private map (writing to it changes no file), shape and seen.

    Raises:
        CacheError: If there is none, or it is damaged.
    """
    try:
        sums = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        for name in (_ROWS, _SHAPE, _SEEN):
            if sums[name] != _checksum(folder / name):
                raise CacheError(f"{folder / name}: not what was written")
        shape, seen = (np.load(io.BytesIO((folder / name).read_bytes())) for name in (_SHAPE, _SEEN))
        rows = np.memmap(folder / _ROWS, np.float32, mode="c")
        return np.asarray(rows).reshape(-1, *row), shape, seen
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CacheError(f"{folder}: {error}") from error


def publish(temporary: Path, folder: Path, row: tuple[int, int]) -> None:
    """Give a finished entry its name; one that another process published meanwhile stays, a damaged one goes.

    Args:
        temporary: What `write_arrays` returned.
        folder: Its name.
        row: Channels and joints of a row.
    """
    for _ in range(3):
        try:
            temporary.rename(folder)
            return
        except OSError:  # something stands there
            try:
                read_arrays(folder, row)
                break
            except CacheError:
                _discard(folder)
    shutil.rmtree(temporary, ignore_errors=True)


def _write(file: BinaryIO, rows: np.ndarray) -> None:
    """Append the bytes of an array."""
    file.write(rows.data)


def _checksum(path: Path) -> list[int]:
    """Size and CRC-32 of a file: against damage, not against intent."""
    size = checksum = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            size, checksum = size + len(chunk), zlib.crc32(chunk, checksum)
    return [size, checksum]


def _discard(folder: Path) -> None:
    """Move an entry out of the way, then delete it; another process may do the same at once."""
    aside = folder.with_name(f".{folder.name}-damaged-{uuid.uuid4().hex[:8]}")
    try:
        folder.rename(aside)
    except OSError:
        return
    if aside.is_dir():
        shutil.rmtree(aside, ignore_errors=True)
    else:
        aside.unlink(missing_ok=True)


def _sweep(cache: Path) -> None:
    """Delete what killed processes left unfinished a day ago or earlier."""
    for path in cache.glob(".*-*"):
        try:
            if time.time() - path.stat().st_mtime > _ABANDONED:
                shutil.rmtree(path, ignore_errors=True)
        except FileNotFoundError:
            continue
