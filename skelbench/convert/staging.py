"""The work of a conversion that is not finished: parts on the disk, which a kill at any moment leaves whole.

Beside a store stands `<store>.partial/` while it is made: `lock`, `request.json`, `part-00000.samples` and so on.
A part holds the outcome of 1,024 planned items, in their order; it is written under another name, put on the disk
for good and then renamed, and ends with a digest of itself.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from skelbench.errors import StoreError
from skelbench.sample import Sample
from skelbench.store.schema import INFO, README, REJECTS, SAMPLES, SEGMENTS, DatasetInfo, Reject, read_info

PART_ITEMS = 1024  # planned items in a part
_LOCK = "lock"
_REQUEST = "request.json"
_OLD = "replaced"  # the store that is being replaced, for the moment between two renames
_DIGEST_BYTES = 32  # SHA-256 at the end of a part
_LENGTH = struct.Struct("<Q")  # before each block of a part, and of the summary before the digest
_OURS = re.compile(r"lock|request\.json(\.tmp)?|part-\d+\.samples(\.tmp)?|unpacked-\d+\.tar|store|replaced")
_STORE_FILE = re.compile(rf"({INFO}|{SAMPLES}|{SEGMENTS}|{REJECTS}|{README}|poses-\d+\.h5)")
_DTYPES = {"frame": "<u4", "person": "<i8", "keypoints": "<f4", "score": "<f4"}


@dataclass(frozen=True)
class Outcome:
    """What became of one planned item."""

    sample: Sample | None  # None for a reject
    reject: Reject | None
    digests: dict[str, str]  # member -> SHA-256 of what was read for it
    bug: bool = False  # the converter is to blame, not the file


@dataclass(frozen=True)
class Part:
    """A whole part on the disk."""

    path: Path
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
    """The whole parts from the first on; a damaged one and all after it are removed.

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
    for path in folder.glob("part-*"):
        if path not in known:
            path.unlink()
    return parts


def staged_items(out: Path) -> int:
    """About how many planned items are staged for a store, to tell people; parts are not checked."""
    return PART_ITEMS * sum(1 for _ in partial_folder(out).glob("part-*.samples"))


def part_path(folder: Path, number: int) -> Path:
    """Where a part stands."""
    return folder / f"part-{number:05d}.samples"


def write_part(path: Path, outcomes: Iterable[Outcome]) -> Part:
    """Write a part as outcomes come; memory does not grow with the arrays.

    Args:
        path: Where to; it appears there only when it is whole.
        outcomes: In the order of the plan.

    Returns:
        The part.

    Raises:
        OSError: If the disk is full or cannot be written; then nothing is left behind.
    """
    digest = hashlib.sha256()
    lengths: list[int] = []
    rejects: list[Reject] = []
    digests: dict[str, str] = {}
    with _whole(path) as file:
        for outcome in outcomes:
            digests |= outcome.digests
            if outcome.reject is not None:
                rejects.append(outcome.reject)
            if outcome.sample is not None:
                lengths.append(len(outcome.sample.frame))
                for block in _sample_blocks(outcome.sample):
                    digest.update(block)
                    file.write(block)
        table = {"lengths": lengths, "rejects": [vars(reject) for reject in rejects], "digests": digests}
        summary = json.dumps(table).encode()
        tail = summary + _LENGTH.pack(len(summary))
        digest.update(tail)
        file.write(tail + digest.digest())
    return Part(path, tuple(lengths), tuple(rejects), digests)


def read_part(part: Part) -> Iterator[Sample]:
    """The samples of a part, one at a time."""
    with part.path.open("rb") as file:
        for _ in part.lengths:
            (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
            fields = json.loads(file.read(length))
            shapes: dict[str, list[int]] = fields.pop("shapes")
            arrays: dict[str, Any] = {"score": None}
            for name, shape in shapes.items():
                dtype = np.dtype(_DTYPES[name])
                data = file.read(dtype.itemsize * int(np.prod(shape)))
                arrays[name] = np.frombuffer(data, dtype).reshape(shape)
            fields["targets"] = {name: _frozen(value) for name, value in fields["targets"].items()}
            fields["segments"] = tuple((start, end, label) for start, end, label in fields["segments"])
            yield Sample(**fields, **arrays)


def sync(path: Path) -> None:
    """Have the system put a file or the names in a folder on the disk before going on."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lock(folder: Path) -> int:
    """Open and lock the lock file; the lock ends with the descriptor, or with the process."""
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
            raise StoreError(
                f"{folder.with_suffix('')} is being written by process {writer}. Wait for it to end, then repeat."
            ) from None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), (folder / _LOCK).stat()):
                return descriptor
        os.close(descriptor)  # it was removed between opening and locking: another one counts now


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
    """A file that appears only when it is whole: another name, put on the disk for good, then renamed."""
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    sync(path.parent)


def _sample_blocks(sample: Sample) -> Iterator[bytes]:
    """A sample as bytes: a length, the fields as JSON, then its arrays."""
    arrays = {name: getattr(sample, name) for name in _DTYPES if getattr(sample, name) is not None}
    fields = {
        "sample_id": sample.sample_id,
        "n_frames": sample.n_frames,
        "targets": dict(sample.targets),
        "segments": sample.segments,
        "meta": dict(sample.meta),
        "shapes": {name: array.shape for name, array in arrays.items()},
    }
    text = json.dumps(fields).encode()
    yield _LENGTH.pack(len(text)) + text
    for name, array in arrays.items():
        yield np.ascontiguousarray(array, _DTYPES[name]).tobytes()


def _summary(path: Path) -> Part | None:
    """What a part says of itself; None when it is not whole."""
    size = path.stat().st_size
    with path.open("rb") as file:
        digest, left = hashlib.sha256(), size - _DIGEST_BYTES
        while left > 0 and (block := file.read(min(left, 1 << 20))):
            digest.update(block)
            left -= len(block)
        if left != 0 or file.read() != digest.digest():
            return None
        file.seek(size - _DIGEST_BYTES - _LENGTH.size)
        (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
        file.seek(size - _DIGEST_BYTES - _LENGTH.size - length)
        table = json.loads(file.read(length))
    rejects = tuple(Reject(**reject) for reject in table["rejects"])
    return Part(path, tuple(table["lengths"]), rejects, table["digests"])


def _frozen(value: Any) -> Any:
    """JSON has no tuple."""
    return tuple(value) if isinstance(value, list) else value
