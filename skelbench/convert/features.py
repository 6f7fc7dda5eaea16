"""Feature tables: what the raw data say of samples beside their poses, written beside the store."""

import logging
from pathlib import Path

from skelbench.convert.planning import Converter
from skelbench.sources.source import Source
from skelbench.store.features import feature_folder, write_feature
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
        if rows < len(feature.ids):
            log.warning("%s: %s rows of samples that the store lacks are left out.", path, len(feature.ids) - rows)
        paths.append(path)
    return tuple(paths)
