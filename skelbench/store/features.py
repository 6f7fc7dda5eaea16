"""Feature tables: a text or a vector for each sample, in `features/<set>/<name>.parquet` beside the stores."""

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
from skelbench.raw import Feature
from skelbench.store.fingerprint import one_nan
from skelbench.store.tables import parquet_bytes

FOLDER = "features"
_KEY = b"skelbench"  # of what a table says of itself
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
    chosen = [places[sample_id] for sample_id in kept]
    if isinstance(feature.values, tuple):
        values: tuple[str, ...] | np.ndarray = tuple(feature.values[place] for place in chosen)
        column = pa.array(values, pa.string())
    else:
        values = one_nan(feature.values[np.array(chosen, np.int64)])
        column = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel(), pa.float32()), values.shape[1])
    said = {
        "name": feature.name,
        "source": feature.source,
        "set": path.parent.name,
        "fingerprint": fingerprint,
        "digest": digest(kept, values),
    }
    table = pa.table({"sample_id": pa.array(kept, pa.string()), feature.name: column})
    table = table.replace_schema_metadata({_KEY: json.dumps(said).encode()})
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(parquet_bytes(table))
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
            values: tuple[str, ...] | np.ndarray = tuple(column.to_pylist())
        else:
            values = column.flatten().to_numpy(zero_copy_only=False).reshape(len(ids), column.type.list_size)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException) as error:
        raise StoreError(f"{path}: no feature table: {error}") from error
    if digest(ids, values) != wanted:
        raise StoreError(f"{path}: was changed after it was written (its digest differs). Convert again.")
    return Feature(name, ids, values, source)


def digest(ids: Sequence[str], values: Sequence[str] | Float32[np.ndarray, "samples features"]) -> str:
    """SHA-256 of the content of a feature table, whatever the container."""
    whole = hashlib.sha256(json.dumps(list(ids)).encode())
    if isinstance(values, np.ndarray):
        whole.update(json.dumps(list(values.shape)).encode())
        whole.update(one_nan(np.asarray(values, np.float32)).data)
    else:
        whole.update(json.dumps(list(values)).encode())
    return whole.hexdigest()


def _problem(feature: Feature, distinct: int) -> str:
    """What keeps a feature from being a table; empty when nothing."""
    if not _NAME.fullmatch(feature.name) or feature.name == "sample_id":
        return "its name must be letters, digits, - and _."
    if distinct < len(feature.ids) or len(feature.values) != len(feature.ids):
        return f"{len(feature.ids)} ids, {distinct} of them different, for {len(feature.values)} values."
    if not isinstance(feature.values, tuple) and (feature.values.ndim != 2 or not feature.values.shape[1]):
        return f"values of the shape {feature.values.shape}, expected samples x features."
    return ""
