"""The prepared samples of a part as flat arrays, made once and kept in a cache that may be deleted at any time."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int64

from skelbench.prepare.cache import CacheError, publish, read_arrays, write_arrays
from skelbench.prepare.prepared import Prepared
from skelbench.prepare.run import check_prepare, mappings_of, prepared_layout, preparer
from skelbench.sample import Sample
from skelbench.store.reader import Store

log = logging.getLogger(__name__)

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
    rows: list[np.ndarray] = []
    shape, seen = _flatten(samples, rows.append)
    rows.append(_missing(channels, joints))
    return _indexed(np.concatenate(rows), shape, seen)


def prepare_set(store: Store, indices: Sequence[int], steps: Sequence[str], cache: Path | None) -> PreparedSet:
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

    Returns:
        The samples in the order of `indices`; rows from the cache are a private memory map.

    Raises:
        RecipeError: If the list is wrong or does not fit a sample.
        CardError, UsageError: If it names a layout that there is not, or to which there is no mapping.
        StoreError: If the store is damaged.
    """
    listed = check_prepare(steps)
    row = len(store.card.channels), len(prepared_layout(listed, store.card.layout).joints)
    places = np.asarray(indices, np.int64)
    folder = None if cache is None else cache / f"{store.info.name}-{_key(store, listed)[:24]}"
    if folder is not None:
        try:
            return _indexed(*read_arrays(folder, row)).select(places)
        except CacheError as error:
            log.debug("%s", error)
        if len(places) * _FEW > len(store):
            try:
                return _cached(store, listed, folder, row).select(places)
            except (OSError, CacheError) as error:  # also where it was deleted the moment it was written
                log.warning("%s: cannot keep the prepared set (%s); it is prepared in memory each time.", cache, error)
    make = preparer(listed, store.card.layout)
    return pack((make(store[int(place)]) for place in places), *row)


def _cached(store: Store, steps: Sequence[str], folder: Path, row: tuple[int, int]) -> PreparedSet:
    """Prepare a whole store into a cache entry of rows of so many channels and joints."""
    log.info("Preparing %d samples of %s: %s.", len(store), store.info.name, ", ".join(steps))
    make: Callable[[Sample], Prepared] = preparer(steps, store.card.layout)

    def fill(write: Callable[[np.ndarray], None]) -> tuple[np.ndarray, np.ndarray]:
        """Prepare and write sample by sample; memory holds one at a time."""
        shape, seen = _flatten((make(sample) for sample in store), write)
        write(_missing(*row))
        return shape, seen

    temporary = write_arrays(folder, fill)
    arrays = read_arrays(temporary, row)  # mapped before it may be moved or deleted by others
    publish(temporary, folder, row)
    return _indexed(*arrays)


def _flatten(samples: Iterable[Prepared], write: Callable[[np.ndarray], None]) -> tuple[np.ndarray, np.ndarray]:
    """Write the rows of all samples; return (samples, 2) persons and frames, and which persons are seen."""
    shapes: list[tuple[int, ...]] = []
    seen: list[np.ndarray] = []
    for sample in samples:
        shapes.append(sample.keypoints.shape[:2])
        seen.append(np.asarray(sample.known.any((1, 2))))
        rows = sample.keypoints.reshape(-1, *sample.keypoints.shape[2:])
        write(np.ascontiguousarray(rows.transpose(0, 2, 1)))  # joints last, as encoders read them
    return np.array(shapes, np.int64).reshape(-1, 2), np.concatenate([np.zeros(0, bool), *seen])


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
