"""The Parquet tables of a store: one row a sample, one a segment, one a reject."""

from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from skelbench.card import Card
from skelbench.errors import StoreError
from skelbench.sample import MetaValue
from skelbench.store.block import Row
from skelbench.store.schema import Reject

_EXACT = 2**53  # integers up to here are exact as float64
_ROWS_PER_BYTE = 16  # more rows than this in a byte of Parquet are a bomb: ids that count up come to 1.5
_TARGET_TYPES = {"single": pa.int32(), "multi": pa.list_(pa.int8()), "score": pa.float64()}
_META_TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64()}
_SEGMENT_COLUMNS = {"sample_id": pa.string(), "start": pa.int64(), "end": pa.int64(), "label": pa.int32()}
_RAW_COLUMNS = {"path": pa.string(), "bytes": pa.int64(), "sha256": pa.string()}
_REJECT_COLUMNS = {"sample_id": pa.string(), "path": pa.string(), "reason": pa.string()}


class SampleRows:
    """What the tables need of the samples that have passed: columns of plain values, no arrays."""

    def __init__(self, card: Card) -> None:
        self.card = card
        self._ids: list[str] = []
        self._targets: dict[str, list[Any]] = {name: [] for name in card.targets}
        self._meta: dict[str, list[MetaValue | None]] = {}
        self._kinds: dict[str, tuple[type, str]] = {}  # meta column -> its type, and the sample that said so first
        self._scored: list[bool] = []
        self._frames: list[int] = []
        self._poses: list[int] = []
        self._segments: list[tuple[str, int, int, int]] = []
        self.digests: list[bytes] = []  # of the samples

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def frames(self) -> int:
        """Recorded frames of all samples."""
        return sum(self._frames)

    @property
    def lengths(self) -> str:
        """How many frames a sample has, in words."""
        if not self._frames:
            return "none"
        return f"{min(self._frames):,} to {max(self._frames):,}, median {float(np.median(self._frames)):,g}"

    @property
    def balance(self) -> str:
        """How many samples each class of the first target has, in words."""
        name, target = next(iter(self.card.targets.items()))
        labels = self._targets[name]
        if target.kind == "score" or not labels or not target.classes:
            return "no classes"
        if target.kind == "multi":
            counts = (np.array(labels, np.int8).reshape(len(labels), -1) == 1).sum(0)
        else:
            known = np.array(labels, np.int64)
            counts = np.bincount(known[known >= 0], minlength=len(target.classes))
        there = counts[counts > 0]
        if not len(there):
            return "none is labelled"
        return f"{there.min():,} to {there.max():,}; {len(there)} of {len(target.classes)} classes have any"

    def add(self, sample: Row) -> None:
        """Take the next row.

        Raises:
            StoreError: If it is out of order, or a meta column changes its type.
        """
        if self._ids and sample.sample_id <= self._ids[-1]:
            raise StoreError(
                f"sample '{sample.sample_id}' comes after '{self._ids[-1]}': samples must be in the order of "
                "their ids, each id once."
            )
        for name, value in sample.meta.items():
            self._kinds[name] = self._kind(name, value, sample.sample_id)
            column = self._meta.setdefault(name, [])
            column.extend([None] * (len(self._ids) - len(column)))
            column.append(value)
        for name, labels in self._targets.items():
            labels.append(sample.targets[name])
        self._ids.append(sample.sample_id)
        self._scored.append(sample.scored)
        self._frames.append(sample.n_frames)
        self._poses.append(sample.n_poses)
        self.digests.append(bytes.fromhex(sample.digest))
        self._segments.extend((sample.sample_id, *segment) for segment in sample.segments)

    def samples_table(self) -> pa.Table:
        """samples.parquet: id, targets, meta (the card's columns first, then by name), counts and offsets.

        Raises:
            StoreError: If a column of floats holds an integer that float64 cannot.
        """
        poses = np.array(self._poses, np.int64)
        declared = [name for name in self.card.columns if name in self._meta]
        columns = {"sample_id": pa.array(self._ids, pa.string())}
        for name, target in self.card.targets.items():
            columns[name] = pa.array(self._targets[name], _TARGET_TYPES[target.kind])
        for name in [*declared, *sorted(self._meta.keys() - set(declared))]:
            columns[name] = self._meta_column(name)
        if self.card.score:
            columns["scored"] = pa.array(self._scored, pa.bool_())
        columns["n_frames"] = pa.array(self._frames, pa.int64())
        columns["n_poses"] = pa.array(poses)
        columns["offset"] = pa.array(np.cumsum(poses) - poses)
        return pa.table(columns)

    def segments_table(self) -> pa.Table | None:
        """segments.parquet, in the order of the samples and of their segments; None where no sample has any."""
        return _table(self._segments, _SEGMENT_COLUMNS) if self._segments else None

    def _kind(self, name: str, value: MetaValue, sample_id: str) -> tuple[type, str]:
        """The type of a meta column once it holds this value: int gives way to float, text to nothing."""
        kind = str if isinstance(value, str) else float if isinstance(value, float) else int
        known, first = self._kinds.get(name, (kind, sample_id))
        if (kind is str) != (known is str):
            raise StoreError(
                f"meta '{name}' is {known.__name__} in sample '{first}' and {kind.__name__} in '{sample_id}': "
                "a column has one type. Correct the converter or the columns of the card."
            )
        return (float, first) if float in (kind, known) else (kind, first)

    def _meta_column(self, name: str) -> pa.Array:
        """One meta column, null where a sample has no value."""
        values = self._meta[name]
        kind = self._kinds[name][0]
        if kind is float and any(type(value) is int and abs(value) > _EXACT for value in values):
            raise StoreError(f"meta '{name}' holds fractions, and integers above 2**53 that float64 cannot hold.")
        return pa.array(values + [None] * (len(self) - len(values)), _META_TYPES[kind])


def rejects_table(rejects: Iterable[Reject]) -> pa.Table:
    """rejects.parquet, sorted; in file names that are not UTF-8 the bytes that do not fit become escapes."""
    rows = sorted((reject.sample_id, reject.path, reject.reason) for reject in rejects)
    return _table([tuple(map(_readable, row)) for row in rows], _REJECT_COLUMNS)


def raw_table(files: Mapping[str, tuple[int, str]]) -> pa.Table:
    """raw.parquet: size and SHA-256 of the raw files that a part of a conversion read, sorted by their names."""
    return _table([(_readable(path), *found) for path, found in sorted(files.items())], _RAW_COLUMNS)


def read_raw(path: Path) -> dict[str, tuple[int, str]]:
    """Size and SHA-256 of raw files, by their names.

    Raises:
        StoreError: If the file is damaged.
    """
    return {name: (size, digest) for name, size, digest in _rows(path, _RAW_COLUMNS, None)}


def parquet_bytes(table: pa.Table) -> bytes:
    """A table as the bytes of a Parquet file; the same table gives the same bytes."""
    file = BytesIO()
    pq.write_table(table, file, compression="zstd", version="2.6", row_group_size=1 << 20)
    return file.getvalue()


def read_samples_table(path: Path, card: Card, samples: int) -> pa.Table:
    """Read samples.parquet and check columns and types.

    Args:
        path: The file.
        card: The set's card, which names the targets.
        samples: Rows that dataset.json promises.

    Returns:
        The table; no column but those of meta holds nulls.

    Raises:
        StoreError: If the file is damaged or is not what dataset.json says.
    """
    wanted = {"sample_id": pa.string()}
    wanted |= {name: _TARGET_TYPES[target.kind] for name, target in card.targets.items()}
    wanted |= {"scored": pa.bool_()} if card.score else {}
    wanted |= {name: pa.int64() for name in ("n_frames", "n_poses", "offset")}
    table = _read(path, samples)
    for name, kind in wanted.items():
        column = table[name] if name in table.column_names else None
        if column is None or not _same_type(column.type, kind) or column.null_count:
            found = "no such column" if column is None else f"{column.type} with {column.null_count} nulls"
            raise StoreError(f"{path}: column '{name}': {found}, expected {kind} without nulls. Convert again.")
    for field in table.schema:
        if field.name not in wanted and field.type not in _META_TYPES.values():
            raise StoreError(f"{path}: column '{field.name}' is {field.type}, expected text, int64 or float64.")
    return table


def read_segments(path: Path) -> list[tuple[str, int, int, int]]:
    """Rows of segments.parquet: sample id, start, end (half open), label.

    Raises:
        StoreError: If the file is damaged.
    """
    return _rows(path, _SEGMENT_COLUMNS, None)


def read_rejects(path: Path, rejects: int) -> list[Reject]:
    """Rows of rejects.parquet.

    Args:
        path: The file.
        rejects: Rows that dataset.json promises.

    Raises:
        StoreError: If the file is damaged or has another number of rows.
    """
    return [Reject(*row) for row in _rows(path, _REJECT_COLUMNS, rejects)]


def plain(column: pa.ChunkedArray) -> list[Any]:
    """A column as Python values, None where null; lists become tuples."""
    values: list[Any] = column.to_pylist()  # by way of numpy, pyarrow would import pandas
    return [tuple(value) for value in values] if pa.types.is_list(column.type) else values


def _table(rows: Sequence[tuple[Any, ...]], columns: dict[str, pa.DataType]) -> pa.Table:
    """Rows as a table of given columns."""
    values = zip(*rows, strict=True) if rows else ([] for _ in columns)
    return pa.table(
        {name: pa.array(column, kind) for (name, kind), column in zip(columns.items(), values, strict=True)}
    )


def _rows(path: Path, columns: dict[str, pa.DataType], count: int | None) -> list[tuple[Any, ...]]:
    """The rows of a file that has exactly these columns, none of them null."""
    table = _read(path, count)
    found = {field.name: field.type for field in table.schema}
    if found != columns or any(column.null_count for column in table.columns):
        raise StoreError(f"{path}: columns {found}, expected {columns} without nulls. Convert again.")
    return list(zip(*(plain(column) for column in table.columns), strict=True))


def _read(path: Path, count: int | None) -> pa.Table:
    """A Parquet file, its number of rows checked before anything is allocated."""
    try:
        with pq.ParquetFile(path) as file:
            rows = file.metadata.num_rows
            if count is not None and rows != count:
                raise StoreError(f"{path}: {rows} rows, dataset.json says {count}. Convert again.")
            if rows > _ROWS_PER_BYTE * path.stat().st_size:
                raise StoreError(f"{path}: claims {rows} rows in {path.stat().st_size} bytes. Convert again.")
            table = file.read()
            table.validate(full=True)  # lengths of lists, and that text is UTF-8
    except (OSError, MemoryError, UnicodeDecodeError, pa.ArrowException) as error:
        raise StoreError(f"{path}: cannot be read as Parquet ({error}). Convert again.") from error
    if table.num_rows != rows:
        raise StoreError(f"{path}: holds {table.num_rows} rows and claims {rows}. Convert again.")
    if len(set(table.column_names)) < table.num_columns:
        raise StoreError(f"{path}: two columns of one name among {table.column_names}. Convert again.")
    return table


def _same_type(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Equal types, whatever a list calls its items."""
    if pa.types.is_list(found) and pa.types.is_list(wanted):
        return bool(found.value_type == wanted.value_type)
    return bool(found == wanted)


def _readable(text: str) -> str:
    """Text that UTF-8 can hold."""
    return text.encode("utf-8", "backslashreplace").decode()
