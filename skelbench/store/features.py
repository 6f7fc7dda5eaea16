"""Feature tables: a text, a vector or several for each sample, in `features/<set>/<name>.parquet` beside the stores."""

import hashlib
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float32

from skelbench.errors import StoreError
from skelbench.raw import Feature, Sequences
from skelbench.store.fingerprint import one_nan
from skelbench.store.tables import parquet_bytes

FOLDER = "features"
_KEY = b"skelbench"  # of what a table says of itself
_ROWS = 64  # samples whose sequences are held in memory at a time
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


def feature_folder(store: Path) -> Path:
    """Where the feature tables of a store stand."""
    return store.parent / FOLDER / store.name


def write_feature(path: Path, feature: Feature, ids: Sequence[str], fingerprint: str) -> int:
    """Write a feature table; it appears whole or not at all, and the same content gives the same bytes.

    Args:
        path: Where to.
        feature: Of some samples.
        ids: All samples of the store, in its order.
        fingerprint: Of the store.

    Returns:
        How many rows it has: in the store's order, of its samples that have the feature.

    Raises:
        StoreError: If names, ids and values do not fit each other.
        OSError: If it cannot be written.
    """
    places = {sample_id: place for place, sample_id in enumerate(feature.ids)}
    problem = _problem(feature, len(places))
    if problem:
        raise StoreError(f"feature '{feature.name[:80]}': {problem}")
    kept = [sample_id for sample_id in ids if sample_id in places]
    values = _chosen(feature, [places[sample_id] for sample_id in kept])
    said = {
        "name": feature.name,
        "source": feature.source,
        "set": path.parent.name,
        "fingerprint": fingerprint,
        "digest": digest(kept, values),
    }
    fields = [pa.field("sample_id", pa.string()), pa.field(feature.name, _type(values))]
    schema = pa.schema(fields, metadata={_KEY: json.dumps(said).encode()})
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        if isinstance(values, Sequences):
            _write_sequences(temporary, schema, kept, values)
        else:
            column = pa.array(values, pa.string()) if isinstance(values, tuple) else _vectors(values)
            temporary.write_bytes(parquet_bytes(pa.table([pa.array(kept, pa.string()), column], schema=schema)))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return len(kept)


def read_feature(path: Path) -> Feature:
    """Read a feature table.

    Args:
        path: The file.

    Returns:
        Ids and values.

    Raises:
        StoreError: If it is missing, no feature table, or was changed after it was written.
    """
    try:
        table = pq.read_table(path)
        said = json.loads((table.schema.metadata or {})[_KEY])
        name, source, wanted = str(said["name"]), str(said["source"]), said["digest"]
        ids = tuple(table["sample_id"].to_pylist())
        column = table[name].combine_chunks()
        if pa.types.is_string(column.type):
            values: tuple[str, ...] | np.ndarray | Sequences = tuple(column.to_pylist())
        elif pa.types.is_list(column.type):
            values = _sequences(column, ids)
        else:
            values = column.flatten().to_numpy(zero_copy_only=False).reshape(len(ids), column.type.list_size)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException) as error:
        raise StoreError(f"{path}: no feature table: {error}") from error
    if digest(ids, values) != wanted:
        raise StoreError(f"{path}: was changed after it was written (its digest differs). Convert again.")
    return Feature(name, ids, values, source)


def digest(ids: Sequence[str], values: Sequence[str] | Float32[np.ndarray, "samples features"] | Sequences) -> str:
    """SHA-256 of the content of a feature table, whatever the container."""
    whole = hashlib.sha256(json.dumps(list(ids)).encode())
    arrays = map(values.read, ids) if isinstance(values, Sequences) else [values]
    for array in arrays:
        if isinstance(array, np.ndarray):
            whole.update(json.dumps(list(array.shape)).encode())
            whole.update(one_nan(np.ascontiguousarray(array, np.float32)).data)
        else:
            whole.update(json.dumps(list(array)).encode())
    return whole.hexdigest()


def _chosen(feature: Feature, places: Sequence[int]) -> tuple[str, ...] | np.ndarray | Sequences:
    """The values of some samples, in their order."""
    if isinstance(feature.values, Sequences):
        return feature.values
    if isinstance(feature.values, tuple):
        return tuple(feature.values[place] for place in places)
    return one_nan(feature.values[np.array(places, np.int64)])


def _type(values: tuple[str, ...] | np.ndarray | Sequences) -> pa.DataType:
    """The type of a column."""
    if isinstance(values, tuple):
        return pa.string()
    if isinstance(values, Sequences):
        return pa.list_(pa.list_(pa.float32(), values.width))
    return pa.list_(pa.float32(), values.shape[1])


def _vectors(values: Float32[np.ndarray, "rows features"]) -> pa.FixedSizeListArray:
    """Vectors of one length as a column."""
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel(), pa.float32()), values.shape[1])


def _write_sequences(path: Path, schema: pa.Schema, ids: Sequence[str], values: Sequences) -> None:
    """Write sequences, a few samples at a time."""
    with pq.ParquetWriter(path, schema, compression="zstd", version="2.6") as file:
        for start in range(0, len(ids), _ROWS):
            some = list(ids[start : start + _ROWS])
            arrays = [one_nan(np.ascontiguousarray(values.read(sample_id), np.float32)) for sample_id in some]
            offsets = pa.array(np.cumsum([0, *map(len, arrays)]), pa.int32())
            column = pa.ListArray.from_arrays(offsets, _vectors(np.concatenate(arrays)))
            file.write_table(pa.table([pa.array(some, pa.string()), column], schema=schema))


def _sequences(column: pa.ListArray, ids: Sequence[str]) -> Sequences:
    """The sequences of a column that was read."""
    width = column.type.value_type.list_size
    places = {sample_id: place for place, sample_id in enumerate(ids)}
    offsets = column.offsets.to_numpy()
    flat = column.values.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
    return Sequences(width, lambda sample_id: flat[offsets[places[sample_id]] : offsets[places[sample_id] + 1]])


def _problem(feature: Feature, distinct: int) -> str:
    """What keeps a feature from being a table; empty when nothing."""
    if not _NAME.fullmatch(feature.name) or feature.name == "sample_id":
        return "its name must be letters, digits, - and _."
    count = len(feature.ids) if isinstance(feature.values, Sequences) else len(feature.values)
    if distinct < len(feature.ids) or count != len(feature.ids):
        return f"{len(feature.ids)} ids, {distinct} of them different, for {count} values."
    if isinstance(feature.values, Sequences):
        return ""
    if not isinstance(feature.values, tuple) and (feature.values.ndim != 2 or not feature.values.shape[1]):
        return f"values of the shape {feature.values.shape}, expected samples x features."
    return ""
