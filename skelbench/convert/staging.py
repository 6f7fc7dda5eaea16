"""The work of a conversion that is not finished: parts on the disk, which a kill at any moment leaves whole.

Beside a store stands `<store>.partial/` while it is made: `lock`, `request.json`, `part-00000.samples` and so on.
A part holds the outcome of 1,024 planned items, in their order; it is written under another name and then renamed.
It holds the digest of each sample and ends with one of all else, so that a part which a power cut spoilt is known:
it need not be on the disk for good before the next is begun.
"""

import fcntl
import hashlib
import json
import math
import os
import re
import shutil
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from skelbench.errors import StoreError
from skelbench.passing import PIECE
from skelbench.store.block import Block, Row, samples_of
from skelbench.store.fingerprint import one_nan, sample_digest
from skelbench.store.schema import INFO, RAW, README, REJECTS, SAMPLES, SEGMENTS, DatasetInfo, Reject, read_info

PART_ITEMS = 1024  # planned items in a part
_LOCK = "lock"
_REQUEST = "request.json"
_OLD = "replaced"  # the store that is being replaced, for the moment between two renames
_LINGER, _PAUSE = 5.0, 0.05  # seconds: given to the processes of a killed writer, and between two looks
_DIGEST_BYTES = 32  # SHA-256 at the end of a part
_LENGTH = struct.Struct("<Q")  # before each block of a part, and of the summary before the digest
_OURS = re.compile(r"lock|request\.json(\.tmp)?|part-\d+\.samples(\.tmp)?|piece-\w+|unpacked-\d+\.tar|store|replaced")
_STORE_FILE = re.compile(rf"({INFO}|{SAMPLES}|{SEGMENTS}|{REJECTS}|{RAW}|{README}|poses-\d+\.h5)")


@dataclass(frozen=True)
class Chunk:
    """What became of some planned items, one after the other."""

    items: int
    block: Block  # the samples
    rejects: tuple[Reject, ...]
    digests: dict[str, str]  # member -> SHA-256 of what was read
    bugs: tuple[Reject, ...] = ()  # those rejects for which the converter is to blame, not the file


@dataclass(frozen=True)
class Part:
    """A whole part on the disk."""

    path: Path
    blocks: int
    lengths: tuple[int, ...]  # poses of each sample
    rejects: tuple[Reject, ...]
    digests: dict[str, str]  # member -> SHA-256 of what was read


def partial_folder(out: Path) -> Path:
    """Where the unfinished work for a store stands: beside it, so that the last step is a rename."""
    return out.with_name(f"{out.name}.partial")


@contextmanager
def locked(out: Path) -> Iterator[Path]:
    """Be the only writer of a store; a writer that was killed is in nobody's way.

    What a kill in the middle of a replacement left is put in order first.

    Args:
        out: The store.

    Yields:
        The folder for unfinished work.

    Raises:
        StoreError: If another process is writing this store, or the folder's name is taken by something else.
        OSError: If the folder cannot be written.
    """
    folder = partial_folder(out)
    if folder.is_symlink() or (folder.is_dir() and not all(_OURS.fullmatch(path.name) for path in folder.iterdir())):
        raise StoreError(
            f"{folder} is needed for unfinished work, but is a link or holds other files. Move it, or name another "
            "place with --out."
        )
    descriptor = _lock(folder)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        _restore(folder, out)
        yield folder
    finally:
        os.close(descriptor)


def standing(out: Path) -> tuple[Literal["nothing", "store", "other"], DatasetInfo | None]:
    """What stands in the place of a store.

    Args:
        out: The place.

    Returns:
        "store" only if all files there are those of a store, so that it may be replaced; then also its
        dataset.json, None if that is damaged or of another version.
    """
    if not os.path.lexists(out) or (out.is_dir() and not any(out.iterdir())):
        return "nothing", None
    if not (out / INFO).is_file() or not all(_STORE_FILE.fullmatch(path.name) for path in out.iterdir()):
        return "other", None
    try:
        return "store", read_info(out)
    except StoreError:
        return "store", None


def keep_only(folder: Path, request: dict[str, str]) -> bool:
    """Drop work that was done for another request.

    Args:
        folder: The locked folder for unfinished work.
        request: What decides the content of the store.

    Returns:
        Whether there was such work.
    """
    marker = folder / _REQUEST
    text = json.dumps(request, sort_keys=True)
    with suppress(OSError, UnicodeDecodeError):
        if marker.read_text(encoding="utf-8") == text:
            return False
    stale = any(folder.glob("part-*.samples"))
    empty(folder)
    with _whole(marker) as file:
        file.write(text.encode())
    return stale


def empty(folder: Path) -> None:
    """Remove everything from the folder for unfinished work but the lock."""
    for child in folder.iterdir():
        if child.name != _LOCK:
            shutil.rmtree(child) if child.is_dir() and not child.is_symlink() else child.unlink()


def remove(folder: Path) -> None:
    """Remove the folder for unfinished work, the lock last."""
    empty(folder)
    (folder / _LOCK).unlink(missing_ok=True)
    with suppress(OSError):  # the next writer has come
        folder.rmdir()


def publish(whole: Path, out: Path, folder: Path) -> None:
    """Put a finished store in its place; the one that stood there is removed only then.

    Args:
        whole: The finished store, in `folder`.
        out: Its place.
        folder: The locked folder for unfinished work.
    """
    if out.is_dir() and any(out.iterdir()):
        out.rename(folder / _OLD)
    whole.rename(out)
    sync(out.parent)


def staged_parts(folder: Path) -> list[Part]:
    """The whole parts from the first on; a damaged one, all after it, and what stopped processes left are removed.

    Args:
        folder: The locked folder for unfinished work.

    Returns:
        Parts 0, 1, ... without a gap.
    """
    parts: list[Part] = []
    for number in count():
        path = part_path(folder, number)
        part = _summary(path) if path.is_file() else None
        if part is None:
            break
        parts.append(part)
    known = {part.path for part in parts}
    for path in (*folder.glob("part-*"), *folder.glob(f"{PIECE}*")):
        if path not in known:
            path.unlink()
    return parts


def staged_items(out: Path) -> int:
    """About how many planned items are staged for a store, to tell people; parts are not checked."""
    return PART_ITEMS * sum(1 for _ in partial_folder(out).glob("part-*.samples"))


def part_path(folder: Path, number: int) -> Path:
    """Where a part stands."""
    return folder / f"part-{number:05d}.samples"


def write_part(path: Path, chunks: Iterable[Chunk]) -> Part:
    """Write a part as chunks come; memory does not grow with the arrays.

    Args:
        path: Where to; it appears there only when it is whole.
        chunks: In the order of the plan.

    Returns:
        The part.

    Raises:
        OSError: If the disk is full or cannot be written; then nothing is left behind.
    """
    digest = hashlib.sha256()
    lengths: list[int] = []
    rejects: list[Reject] = []
    digests: dict[str, str] = {}
    blocks = 0
    with _whole(path) as file:
        for chunk in chunks:
            digests |= chunk.digests
            rejects += chunk.rejects
            lengths += [row.n_poses for row in chunk.block.rows]
            blocks += 1
            head = _head(chunk.block)
            digest.update(head)
            file.write(head)
            for array in chunk.block.arrays.values():
                file.write(array.data)
        table = {"blocks": blocks, "lengths": lengths, "rejects": [vars(one) for one in rejects], "digests": digests}
        summary = json.dumps(table).encode()
        tail = summary + _LENGTH.pack(len(summary))
        digest.update(tail)
        file.write(tail + digest.digest())
    return Part(path, blocks, tuple(lengths), tuple(rejects), digests)


def read_part(part: Part) -> Iterator[Block]:
    """The samples of a part, a block at a time."""
    with part.path.open("rb") as file:
        for _ in range(part.blocks):
            yield _read_block(file)[1]


def sync(path: Path) -> None:
    """Have the system put a file or the names in a folder on the disk before going on."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lock(folder: Path) -> int:
    """Open and lock the lock file; the lock ends with the descriptor, or with the process and those it started."""
    deadline = time.monotonic() + _LINGER
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:
            continue  # the writer before has just removed the folder
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            writer = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            if _is_gone(writer) and time.monotonic() < deadline:
                time.sleep(_PAUSE)
                continue
            raise StoreError(
                f"{folder.with_suffix('')} is being written by process {writer}. Wait for it to end, then repeat."
            ) from None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), (folder / _LOCK).stat()):
                return descriptor
        os.close(descriptor)  # it was removed between opening and locking: another one counts now


def _is_gone(writer: str) -> bool:
    """Whether a process has ended; those that it started may hold its lock for a moment longer."""
    try:
        os.kill(int(writer), 0)
    except (ValueError, OverflowError, PermissionError):
        return False
    except ProcessLookupError:
        return True
    return False


def _restore(folder: Path, out: Path) -> None:
    """Finish, or take back, a replacement that was cut off between its two renames."""
    old = folder / _OLD
    if old.is_dir():
        if out.is_dir() and any(out.iterdir()):
            shutil.rmtree(old)
        else:
            old.rename(out)


@contextmanager
def _whole(path: Path) -> Iterator[BinaryIO]:
    """A file that appears only when it is whole: written under another name, then renamed."""
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
        temporary.rename(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def _head(block: Block) -> bytes:
    """What stands before the arrays of a block: a length, then rows, shapes and types as JSON."""
    arrays = {name: (array.dtype.str, array.shape) for name, array in block.arrays.items()}
    text = json.dumps({"rows": block.rows, "arrays": arrays}).encode()
    return _LENGTH.pack(len(text)) + text


def _read_block(file: BinaryIO) -> tuple[bytes, Block]:
    """The next block of a part, and the bytes before its arrays."""
    begin = file.read(_LENGTH.size)
    text = file.read(_LENGTH.unpack(begin)[0])
    found = json.loads(text)
    arrays: dict[str, np.ndarray] = {}
    for name, (kind, shape) in found["arrays"].items():
        dtype = np.dtype(kind)
        arrays[name] = np.frombuffer(file.read(dtype.itemsize * math.prod(shape)), dtype).reshape(shape)
    return begin + text, Block(tuple(map(_row, found["rows"])), arrays)


def _summary(path: Path) -> Part | None:
    """What a part says of itself; None when it is not whole: what was cut off, or did not reach the disk."""
    try:
        with path.open("rb") as file:
            end = file.seek(-_DIGEST_BYTES - _LENGTH.size, os.SEEK_END)
            (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
            wanted = file.read()
            file.seek(end - length)
            table = json.loads(summary := file.read(length))
            file.seek(0)
            digest = hashlib.sha256()
            for _ in range(table["blocks"]):
                head, block = _read_block(file)
                digest.update(head)
                if not _sound(block):
                    return None
            digest.update(summary + _LENGTH.pack(length))
    except (OSError, ValueError, LookupError, TypeError, struct.error, MemoryError, OverflowError):
        return None
    if digest.digest() != wanted:
        return None
    rejects = tuple(Reject(**reject) for reject in table["rejects"])
    return Part(path, table["blocks"], tuple(table["lengths"]), rejects, table["digests"])


def _sound(block: Block) -> bool:
    """Whether the samples have the digests that their rows name, and no NaN has other bits than all the others."""
    floats = [array for array in block.arrays.values() if array.dtype.kind == "f"]
    alike = all(np.array_equal(one_nan(array).view(np.uint32), array.view(np.uint32)) for array in floats)
    return alike and all(
        sample_digest(sample).hex() == row.digest for sample, row in zip(samples_of(block), block.rows, strict=True)
    )


def _row(values: list[Any]) -> Row:
    """A row, from what JSON makes of it: JSON has no tuple."""
    row = Row(*values)
    found: dict[str, Any] = dict(row.targets)
    targets = {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}
    return row._replace(targets=targets, segments=tuple((start, end, label) for start, end, label in row.segments))
