"""The prepared samples of a part as flat arrays, made once and kept in a cache that may be deleted at any time."""

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int64

from skelbench.crew import crew, work_through
from skelbench.errors import RunError
from skelbench.garbage import seldom_collected
from skelbench.passing import Left, leave, take
from skelbench.prepare.cache import CacheError, publish, read_arrays, write_arrays
from skelbench.prepare.prepared import Prepared
from skelbench.prepare.run import check_prepare, mappings_of, prepared_layout, preparer
from skelbench.sample import Sample
from skelbench.store.reader import Store, open_store

log = logging.getLogger(__name__)

_TOGETHER = 64  # samples that a process gets at once
_MANY = 5000  # samples from which on more processes are worth their start

_OPEN: dict[Path, Store] = {}  # what this process has open; a copy of it finds here what it needs not open again

_FEW = 8  # fewer samples than the store's over this are prepared alone, without preparing (and caching) the rest


@dataclass(frozen=True, eq=False)
class PreparedSet:
    """Samples of one set, each a block of persons × frames rows; the last row of all is a frame without a joint."""

    keypoints: Float32[np.ndarray, "rows channels joints"]  # blocks person by person; NaN = missing
    first: Int64[np.ndarray, " samples"]  # row at which the sample's block begins
    persons: Int64[np.ndarray, " samples"]  # 0 where nobody was recorded
    frames: Int64[np.ndarray, " samples"]
    first_person: Int64[np.ndarray, " samples"]  # place of the sample's first person in `seen`
    seen: Bool[np.ndarray, " persons"]  # whether a person shows any joint in any frame

    def __len__(self) -> int:
        return len(self.first)

    def select(self, places: Int64[np.ndarray, " chosen"]) -> "PreparedSet":
        """Some of the samples, in the order given; the rows are shared."""
        return replace(
            self,
            first=self.first[places],
            persons=self.persons[places],
            frames=self.frames[places],
            first_person=self.first_person[places],
        )


def pack(samples: Iterable[Prepared], channels: int, joints: int) -> PreparedSet:
    """Put prepared samples into flat arrays in memory.

    Args:
        samples: In the order of the set.
        channels: Channels of a joint.
        joints: Joints of the layout.

    Returns:
        The set, in the same order.
    """
    return _gathered([_flat(list(samples), channels, joints)], channels, joints)


@seldom_collected()
def prepare_set(
    store: Store, indices: Sequence[int], steps: Sequence[str], cache: Path | None, *, workers: int | None = None
) -> PreparedSet:
    """Prepare some samples of a store, or take them from the cache.

    The cache holds whole stores, so that parts, protocols and folds share one file; a few samples of a large store
    are prepared by themselves unless the file is there. An entry is found by the store's fingerprint, the sizes and
    times of its files, the list, the mappings it names and the code that reads and prepares, so it is never stale; what
    is damaged is made again.

    Args:
        store: Where the samples are.
        indices: Places of the samples in the store.
        steps: A prepare list.
        cache: A folder for prepared sets, made where it is missing; None prepares in memory.
        workers: Processes, this one among them; None takes as many as pay off.

    Returns:
        The samples in the order of `indices`; rows from the cache are a private memory map.

    Raises:
        RecipeError: If the list is wrong or does not fit a sample.
        CardError, UsageError: If it names a layout that there is not, or to which there is no mapping.
        StoreError: If the store is damaged.
    """
    listed = check_prepare(steps)
    row = _row(store, listed)
    places = np.asarray(indices, np.int64)
    folder = None if cache is None else cache / f"{store.info.name}-{_key(store, listed)[:24]}"
    if folder is not None:
        try:
            return _indexed(*read_arrays(folder, row)).select(places)
        except CacheError as error:
            log.debug("%s", error)
        if len(places) * _FEW > len(store):
            try:
                return _cached(store, listed, folder, workers).select(places)
            except (OSError, CacheError) as error:  # also where it was deleted the moment it was written
                log.warning("%s: cannot keep the prepared set (%s); it is prepared in memory each time.", cache, error)
    return _gathered(list(_prepared(store, places, listed, workers)), *row)


def _cached(store: Store, steps: tuple[str, ...], folder: Path, workers: int | None) -> PreparedSet:
    """Prepare a whole store into a cache entry."""
    log.info("Preparing %d samples of %s: %s.", len(store), store.info.name, ", ".join(steps))
    channels, joints = _row(store, steps)
    nothing = _flat([], channels, joints)

    def fill(write: Callable[[np.ndarray], None]) -> tuple[np.ndarray, np.ndarray]:
        """Prepare and write some samples after the others; memory holds a few of them."""
        shapes, seen = [nothing.shape], [nothing.seen]
        for some in _prepared(store, np.arange(len(store)), steps, workers):
            write(some.rows)
            shapes.append(some.shape)
            seen.append(some.seen)
        write(_missing(channels, joints))
        return np.concatenate(shapes), np.concatenate(seen)

    temporary = write_arrays(folder, fill)
    arrays = read_arrays(temporary, (channels, joints))  # mapped before it may be moved or deleted by others
    publish(temporary, folder, (channels, joints))
    return _indexed(*arrays)


class _Flat(NamedTuple):
    """Some prepared samples, end to end."""

    rows: np.ndarray  # (rows, channels, joints)
    shape: np.ndarray  # (samples, 2) persons and frames
    seen: np.ndarray  # (persons of all samples,) whether each shows any joint


class _FlatLeft(NamedTuple):
    """The same as another process hands it over."""

    rows: Left
    shape: np.ndarray
    seen: np.ndarray


def _prepared(store: Store, places: np.ndarray, steps: tuple[str, ...], workers: int | None) -> Iterator[_Flat]:
    """Prepare samples, some at a time, in order."""
    pieces = (places[begin : begin + _TOGETHER] for begin in range(0, len(places), _TOGETHER))
    count = workers or (len(os.sched_getaffinity(0)) if len(places) >= _MANY else 1)
    _OPEN[store.path] = store  # for the copies of this process
    here: Callable[[np.ndarray], _Flat | _FlatLeft] = partial(_prepare_some, store, steps)
    others = min(count, len(places) // _TOGETHER) - 1
    left: AbstractContextManager[str] = tempfile.TemporaryDirectory() if others > 0 else nullcontext("")
    try:
        with crew(others) as helpers, left as folder:
            there: Callable[[np.ndarray], _Flat | _FlatLeft] = partial(_prepare_there, store.path, steps, Path(folder))
            for found in work_through(pieces, here, there, helpers):
                yield found if isinstance(found, _Flat) else _Flat(take(found.rows)["rows"], found.shape, found.seen)
    except BrokenProcessPool as error:
        raise RunError("A process that prepared samples died: out of memory, or killed. Repeat the command.") from error
    finally:
        _OPEN.pop(store.path, None)


def _prepare_there(path: Path, steps: tuple[str, ...], folder: Path, places: np.ndarray) -> _FlatLeft:
    """What another process does with some samples."""
    if path not in _OPEN:
        _OPEN[path] = open_store(path)
    found = _prepare_some(_OPEN[path], steps, places)
    return _FlatLeft(leave({"rows": found.rows}, folder), found.shape, found.seen)


def _prepare_some(store: Store, steps: tuple[str, ...], places: np.ndarray) -> _Flat:
    """Prepare samples of a store."""
    make: Callable[[Sample], Prepared] = preparer(steps, store.card.layout)
    return _flat([make(sample) for sample in store.samples(places.tolist())], *_row(store, steps))


def _row(store: Store, steps: tuple[str, ...]) -> tuple[int, int]:
    """Channels and joints of a prepared frame."""
    return len(store.card.channels), len(prepared_layout(steps, store.card.layout).joints)


def _flat(samples: Sequence[Prepared], channels: int, joints: int) -> _Flat:
    """Put prepared samples end to end, joints last, as encoders read them."""
    shape = np.array([sample.keypoints.shape[:2] for sample in samples], np.int64).reshape(-1, 2)
    seen = [sample.seen for sample in samples]
    rows = np.empty((int(shape.prod(1).sum()), channels, joints), np.float32)
    begin = 0
    for sample, (persons, frames) in zip(samples, shape.tolist(), strict=True):
        here = rows[begin : begin + persons * frames]
        here[:] = sample.keypoints.reshape(-1, joints, channels).transpose(0, 2, 1)
        begin += len(here)
    return _Flat(rows, shape, np.concatenate([np.zeros(0, bool), *seen]))


def _gathered(parts: Sequence[_Flat], channels: int, joints: int) -> PreparedSet:
    """One set of all parts, in memory."""
    parts = [*parts, _flat([], channels, joints)]
    rows = np.concatenate([*(part.rows for part in parts), _missing(channels, joints)])
    return _indexed(rows, np.concatenate([part.shape for part in parts]), np.concatenate([part.seen for part in parts]))


def _indexed(rows: np.ndarray, shape: np.ndarray, seen: np.ndarray) -> PreparedSet:
    """Add to rows and shapes where each sample begins."""
    persons, frames = shape[:, 0].copy(), shape[:, 1].copy()
    return PreparedSet(rows, _starts(persons * frames), persons, frames, _starts(persons), seen)


def _starts(counts: np.ndarray) -> np.ndarray:
    """Where each block begins, from the sizes of all."""
    starts: np.ndarray = np.cumsum(counts) - counts
    return starts


def _missing(channels: int, joints: int) -> np.ndarray:
    """One frame without a joint."""
    return np.full((1, channels, joints), np.nan, np.float32)


def _key(store: Store, steps: Sequence[str]) -> str:
    """Digest of all that a prepared set depends on."""
    stats = {path.name: path.stat() for path in sorted(store.path.iterdir()) if path.is_file()}
    # the time of change too: a file may be given its old time of modification again
    files = [(name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) for name, stat in stats.items()]
    mappings = [mapping.digest for mapping in mappings_of(steps, store.card.layout)]
    content = [store.info.fingerprint, files, list(steps), mappings, _code()]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _code() -> str:
    """Digest of what decides what a prepared set holds: this package, the reader of stores, the steps' arguments."""
    package = Path(__file__).parent.parent
    folders = (package / "prepare", package / "store")
    sources = [path.read_bytes() for folder in folders for path in sorted(folder.glob("*.py"))]
    sources += [(package / name).read_bytes() for name in ("steps.py", "mapping.py")]
    return hashlib.sha256(b"".join(sources)).hexdigest()
