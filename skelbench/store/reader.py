"""Reads a store: arrays are memory maps, tables are read when first asked for."""

import math
import mmap
import operator
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex

import h5py
import numpy as np

from skelbench.card import Card
from skelbench.errors import StoreError
from skelbench.sample import MetaValue, Sample, Segment, TargetValue
from skelbench.store.schema import (
    REJECTS,
    RESERVED,
    SAMPLES,
    SEGMENTS,
    DatasetInfo,
    Reject,
    ShardInfo,
    pose_arrays,
    read_info,
)
from skelbench.store.tables import plain, read_rejects, read_samples_table, read_segments

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_RELEASE = 8 << 20  # bytes of poses after which reading in order gives mapped pages back


def open_store(path: Path) -> "Store":
    """Open a store for reading.

    Args:
        path: Its folder.

    Returns:
        The store; only dataset.json has been read.

    Raises:
        StoreError: If it is not a store, is damaged, or of another version (saying what to do).
    """
    return Store(path)


class Store:
    """The samples of one data set, by place or by id.

    Nothing stays open but memory maps, which are made when first needed: a store may be pickled, and used
    before and after a fork. Arrays of a sample are read-only views of the map, valid as long as they are held.
    """

    path: Path  # absolute
    info: DatasetInfo  # the content of dataset.json

    def __init__(self, path: Path) -> None:
        self.path = Path(path).absolute()
        self.info = read_info(self.path)
        self._mapped: dict[int, _Shard] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return open_store, (self.path,)

    def __repr__(self) -> str:
        return f"<Store {self.info.name}: {len(self)} samples, {self.path}>"

    @property
    def card(self) -> Card:
        """Identity, geometry and provenance of the set."""
        return self.info.card

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The id of every sample, in order."""
        return tuple(plain(self._arrow["sample_id"]))

    @cached_property
    def table(self) -> "pd.DataFrame":
        """samples.parquet: one row a sample; columns of integers stay so where some are missing (Int64)."""
        frame: pd.DataFrame = self._arrow.to_pandas()
        for name, column in zip(self._arrow.column_names, self._arrow.columns, strict=True):
            if column.null_count and str(column.type) == "int64":
                frame[name] = column.to_pandas(integer_object_nulls=True).astype("Int64")
        return frame

    def rejects(self) -> list[Reject]:
        """What did not become a sample, and why.

        Raises:
            StoreError: If rejects.parquet is damaged.
        """
        return read_rejects(self.path / REJECTS, self.info.rejects)

    def __len__(self) -> int:
        return self.info.samples

    def __contains__(self, sample_id: object) -> bool:
        return sample_id in self._places

    def __iter__(self) -> Iterator[Sample]:
        """All samples in order; memory stays bounded, since pages that were read are given back."""
        return self.samples(range(len(self)))

    def samples(self, places: Iterable[int]) -> Iterator[Sample]:
        """Some samples, by place; memory stays bounded as when all are read."""
        passed = 0
        for place in places:
            sample = self[place]
            passed += sample.keypoints.nbytes
            yield sample
            if passed > _RELEASE:
                passed = 0
                self._release()

    def __getitem__(self, key: SupportsIndex | str) -> Sample:
        """One sample by place (negative ones count from the end) or by id.

        Raises:
            IndexError: If there is no such place.
            KeyError: If there is no such id.
            StoreError: If the files are damaged.
        """
        place = key if type(key) is int and 0 <= key < self.info.samples else self._place(key)
        rows = self._rows
        shard = self._shard(place)
        first = rows.offset[place] - shard.offset
        poses = slice(first, first + rows.n_poses[place])
        return Sample(
            sample_id=rows.sample_id[place],
            n_frames=rows.n_frames[place],
            frame=shard.frame[poses],
            person=shard.person[poses],
            keypoints=shard.keypoints[poses],
            score=shard.score[poses] if shard.score is not None and rows.scored[place] else None,
            targets={name: labels[place] for name, labels in rows.targets},
            segments=tuple(rows.segments.get(place, ())),
            meta={name: value for name, column in rows.meta if (value := column[place]) is not None},
        )

    def shard(self, place: int) -> ShardInfo:
        """The shard that holds the sample at a place, counted from 0."""
        return self.info.shards[bisect_right(self._firsts, place) - 1]

    @cached_property
    def _arrow(self) -> "pa.Table":
        """samples.parquet, columns and types checked."""
        return read_samples_table(self.path / SAMPLES, self.card, self.info.samples)

    @cached_property
    def _rows(self) -> "_Rows":
        """The same as plain lists, which are the fastest to take single values from; counts and offsets checked."""
        table, card = self._arrow, self.card
        columns = {name: plain(table[name]) for name in table.column_names if name != "sample_id"}
        columns["sample_id"] = list(self.ids)
        self._check_offsets(columns)
        free = [name for name in table.column_names if name not in RESERVED and name not in card.targets]
        return _Rows(
            sample_id=columns["sample_id"],
            n_frames=columns["n_frames"],
            n_poses=columns["n_poses"],
            offset=columns["offset"],
            scored=columns.get("scored", []),
            targets=[(name, columns[name]) for name in card.targets],
            meta=[(name, columns[name]) for name in free],
            segments=self._segments(columns["sample_id"]),
        )

    @cached_property
    def _places(self) -> dict[str, int]:
        """Place by id."""
        return {sample_id: place for place, sample_id in enumerate(self._rows.sample_id)}

    @cached_property
    def _firsts(self) -> list[int]:
        """Place of the first sample of each shard."""
        return list(accumulate((shard.samples for shard in self.info.shards), initial=0))[:-1]

    def _place(self, key: SupportsIndex | str) -> int:
        """The place of an id, or of an integer of another type or sign."""
        if isinstance(key, str):
            if key not in self._places:
                raise KeyError(f"no sample '{key}' in {self.path}")
            return self._places[key]
        place = operator.index(key)
        if not -len(self) <= place < len(self):
            raise IndexError(f"sample {place} of {len(self)} in {self.path}")
        return place % len(self)

    def _shard(self, place: int) -> "_Shard":
        """The shard of a sample, mapped when first needed."""
        number = bisect_right(self._firsts, place) - 1
        shard = self._mapped.get(number)
        if shard is None:
            offset = sum(shard.poses for shard in self.info.shards[:number])
            shard = self._mapped[number] = _map_shard(self.path, self.card, self.info.shards[number], offset)
        return shard

    def _release(self) -> None:
        """Give mapped pages back to the system; arrays stay valid and are read again when touched."""
        for shard in self._mapped.values():
            if shard.pages is not None:
                shard.pages.madvise(mmap.MADV_DONTNEED)

    def _check_offsets(self, columns: Mapping[str, list[Any]]) -> None:
        """Poses follow each other without gap, within each shard as dataset.json says."""
        where = self.path / SAMPLES
        frames, poses, offset = (np.array(columns[name], np.int64) for name in ("n_frames", "n_poses", "offset"))
        if (frames < 0).any() or (poses < 0).any() or (poses > self.info.poses).any():
            raise StoreError(f"{where}: a count is negative, or above the {self.info.poses} poses there are.")
        ends = np.cumsum(poses)
        if not np.array_equal(offset, ends - poses):
            raise StoreError(f"{where}: the offsets are not the running sum of n_poses. Convert again.")
        bounds = np.concatenate([[0], ends])[[*self._firsts, len(self)]]
        if np.diff(bounds).tolist() != [shard.poses for shard in self.info.shards]:
            raise StoreError(f"{where}: n_poses do not add up to the poses of the shards. Convert again.")

    def _segments(self, ids: list[str]) -> dict[int, list[Segment]]:
        """Segments by place of their sample; empty for trimmed sets."""
        if SEGMENTS not in self.info.files:
            return {}
        places = {sample_id: place for place, sample_id in enumerate(ids)}
        found: dict[int, list[Segment]] = {}
        for sample_id, *segment in read_segments(self.path / SEGMENTS):
            if sample_id not in places:
                raise StoreError(f"{self.path / SEGMENTS}: names the sample '{sample_id}', which there is not.")
            found.setdefault(places[sample_id], []).append((segment[0], segment[1], segment[2]))
        return found


@dataclass(frozen=True)
class _Rows:
    """samples.parquet and segments.parquet as plain Python values."""

    sample_id: list[str]
    n_frames: list[int]
    n_poses: list[int]
    offset: list[int]
    scored: list[bool]  # empty where the set has no scores
    targets: list[tuple[str, list[TargetValue]]]
    meta: list[tuple[str, list[MetaValue | None]]]  # None where a sample has no value
    segments: dict[int, list[Segment]]


@dataclass(frozen=True)
class _Shard:
    """One mapped HDF5 file."""

    offset: int  # of its first pose, counted over the whole set
    pages: mmap.mmap | None  # None where it holds no pose
    keypoints: np.ndarray
    frame: np.ndarray
    person: np.ndarray
    score: np.ndarray | None


def _map_shard(folder: Path, card: Card, shard: ShardInfo, offset: int) -> _Shard:
    """Map the arrays of a shard; HDF5 is asked only where they lie.

    Raises:
        StoreError: If the file is missing, damaged, or its arrays are not as the format has them.
    """
    path = folder / shard.file
    arrays = pose_arrays(card, shard.poses)
    try:
        with h5py.File(path, "r", locking=False) as file:
            starts = {name: _start(file, name, shape, dtype) for name, (shape, dtype) in arrays.items()}
        pages = _pages(path) if shard.poses else None
        found = {
            name: np.empty(shape, dtype) if pages is None else _view(pages, starts[name], shape, dtype)
            for name, (shape, dtype) in arrays.items()
        }
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise StoreError(f"{path}: {error}. Convert again.") from error
    return _Shard(
        offset=offset,
        pages=pages,
        keypoints=found["keypoints"],
        frame=found["frame"],
        person=found["person"],
        score=found.get("score"),
    )


def _start(file: h5py.File, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """The byte at which an array begins, if it lies in this file in one piece.

    Raises:
        ValueError: If it is a link, compressed, in chunks, elsewhere, or of another shape or type.
    """
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"'{name}' is not there, or a link to elsewhere")
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset) or dataset.shape != shape or dataset.dtype != dtype:
        raise ValueError(f"'{name}' is {dataset!r}, expected {dtype} {shape}")
    plan = dataset.id.get_create_plist()
    if plan.get_layout() != h5py.h5d.CONTIGUOUS or plan.get_external_count():
        raise ValueError(f"'{name}' is compressed, in chunks or in another file, expected one contiguous array")
    start = dataset.id.get_offset()
    if start is None and shape[0]:
        raise ValueError(f"'{name}' was never written")
    return start or 0


def _pages(path: Path) -> mmap.mmap:
    """A whole file, mapped for reading."""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _view(pages: mmap.mmap, start: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    """An array of a map; ValueError if it goes beyond the end."""
    return np.frombuffer(pages, dtype, math.prod(shape), start).reshape(shape)
