"""Feature tables: what the raw data say of samples beside their poses, written beside the store."""

import logging
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from skelbench.convert.planning import Converter
from skelbench.errors import StoreError
from skelbench.raw import Feature, Sequences
from skelbench.sources.source import Source
from skelbench.store.features import feature_folder, read_feature, write_feature
from skelbench.store.reader import open_store

log = logging.getLogger(__name__)


def write_features(converter: Converter, source: Source, store: Path, out: Path) -> tuple[Path, ...]:
    """Write the feature tables of a conversion.

    Args:
        converter: Its `features(raw, card)`, where it has one, yields the tables.
        source: The raw data.
        store: The finished store, not yet in its place.
        out: Its place; the tables stand in `features/` beside it.

    Returns:
        The files; rows of samples that the store lacks are left out, and said.

    Raises:
        RawFormatError: If what the converter reads is damaged.
    """
    if not hasattr(converter.module, "features"):
        return ()
    opened = open_store(store)
    paths = []
    for feature in converter.module.features(source, converter.reads):
        path = feature_folder(out) / f"{feature.name}.parquet"
        rows = write_feature(path, feature, opened.ids, opened.info.fingerprint)
        log.info("%s: %s rows for %s samples.", path, f"{rows:,}", f"{len(opened):,}")
        if rows < len(feature.ids) and opened.info.origin.shard is None:
            log.warning("%s: %s rows of samples that the store lacks are left out.", path, len(feature.ids) - rows)
        paths.append(path)
    return tuple(paths)


def merge_features(parts: Sequence[Path], store: Path, out: Path) -> tuple[Path, ...]:
    """Join the feature tables that stand beside the parts of a conversion.

    Args:
        parts: Stores of the parts, in their order.
        store: The finished whole, not yet in its place.
        out: Its place.

    Returns:
        The files; of vectors and texts all are held at once, as a conversion of the whole holds them, of sequences
        those of one part.

    Raises:
        StoreError: If a table is damaged, or stands beside some of the parts only.
    """
    folders = [feature_folder(part) for part in parts]
    names = sorted({path.name for folder in folders for path in folder.glob("*.parquet")})
    opened = open_store(store) if names else None
    written = []
    for name in names:
        for folder in folders:
            if not (folder / name).is_file():
                raise StoreError(f"{folder / name}: is not there, but other parts have such a table. Bring it along.")
        if opened is not None:
            path = feature_folder(out) / name
            rows = write_feature(
                path, _joined([folder / name for folder in folders]), opened.ids, opened.info.fingerprint
            )
            log.info("%s: %s rows for %s samples.", path, f"{rows:,}", f"{len(opened):,}")
            written.append(path)
    return tuple(written)


def _joined(paths: Sequence[Path]) -> Feature:
    """The tables of all parts as one."""
    first = read_feature(paths[0])
    if isinstance(first.values, Sequences):
        return _joined_sequences(first, paths)
    tables = [first, *map(read_feature, paths[1:])]
    ids = tuple(chain.from_iterable(table.ids for table in tables))
    if isinstance(first.values, tuple):
        return Feature(first.name, ids, tuple(text for table in tables for text in _texts(table)), first.source)
    values: Float32[np.ndarray, "samples features"] = np.concatenate([np.asarray(table.values) for table in tables])
    return Feature(first.name, ids, values, first.source)


def _texts(table: Feature) -> tuple[str, ...]:
    """The texts of a table, which must hold nothing else."""
    if not isinstance(table.values, tuple):
        raise StoreError(f"feature '{table.name}': texts in one part, vectors in another. Convert the parts again.")
    return table.values


def _joined_sequences(first: Feature, paths: Sequence[Path]) -> Feature:
    """The same of sequences, which are read a part at a time."""
    ids = [read_feature(path).ids for path in paths]
    place = {sample_id: number for number, some in enumerate(ids) for sample_id in some}

    @lru_cache(maxsize=1)
    def table(number: int) -> Sequences:
        """The table of a part."""
        values = read_feature(paths[number]).values
        if not isinstance(values, Sequences):
            raise StoreError(f"{paths[number]}: holds no sequences, but that of the first part does.")
        return values

    def read(sample_id: str) -> np.ndarray:
        """The sequence of a sample."""
        return table(place[sample_id]).read(sample_id)

    width = first.values.width if isinstance(first.values, Sequences) else 0
    return Feature(first.name, tuple(chain.from_iterable(ids)), Sequences(width, read), first.source)
