"""The data desk: every registered data set, what of it is here, and how to get the rest."""

import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from skelbench.errors import StoreError
from skelbench.look import look
from skelbench.registry import plugins
from skelbench.store.schema import DatasetInfo, read_info
from skelbench.workspace import store_names, store_path


@dataclass(frozen=True)
class Entry:
    """One data set."""

    name: str
    title: str
    here: str  # `yes`; `part` where a limit, a shard or missing files leave some out; `damaged`; empty where it is not
    expected: int | None  # raw items that the owner hands out, where somebody says so
    found: int | None  # raw items that its store was made from, or that lie in a place that was looked at
    samples: int | None  # of its store
    rejects: int | None
    bytes: int | None  # that its store takes
    stores: tuple[str, ...]  # all stores of the set in the data folder; the one that is told of first
    protocols: tuple[str, ...]  # the default first
    licence: str
    obtain: str  # where and how the owner hands it out
    raw: str  # the files that the user must have

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def desk(raw: Path | None = None) -> list[Entry]:
    """List every registered data set.

    Args:
        raw: Files, folders or an archive in which to look for raw data of any set; None looks at stores alone.

    Returns:
        The sets by name.

    Raises:
        UsageError: If there is nothing at `raw`.
    """
    lying = {one.name: one.items for one in look(raw).sets} if raw is not None else {}
    splits, stores = plugins("splits"), _stores()
    entries = []
    for name, plugin in plugins("converters").items():
        table = _table(plugin.toml)
        protocols = tuple(_table(splits[name].toml).get("protocols", {})) if name in splits else ()
        entries.append(_entry(name, table, protocols, stores.get(name, []), lying.get(name)))
    return entries


def _stores() -> dict[str, list[tuple[str, DatasetInfo | None]]]:
    """Stores in the data folder by the set that they hold; one that is damaged is its folder's, with None.

    The first of a set is that of its own name, else the one with most samples; parts of a conversion come last.
    """
    found: dict[str, list[tuple[str, DatasetInfo | None]]] = defaultdict(list)
    for name in store_names():
        try:
            info = read_info(store_path(name))
            found[info.name].append((name, info))
        except StoreError:
            found[name].append((name, None))
    for dataset, stores in found.items():
        stores.sort(key=lambda one: (one[0] != dataset, *_order(one[1]), one[0]))
    return found


def _order(info: DatasetInfo | None) -> tuple[bool, int]:
    """Whole stores before parts and damaged ones, large before small."""
    return (info is None or info.origin.shard is not None, -(info.samples if info else 0))


def _entry(
    name: str,
    table: Mapping[str, Any],
    protocols: tuple[str, ...],
    stores: Sequence[tuple[str, DatasetInfo | None]],
    lying: int | None,
) -> Entry:
    """One set."""
    official = table.get("official", {})
    place, info = stores[0] if stores else ("", None)
    folder = store_path(place) if stores else Path()
    found = info.origin.planned if info is not None and lying is None else lying
    said = {key: " ".join(str(table[key]).split()) for key in ("title", "licence", "obtain", "raw")}
    return Entry(
        name=name,
        here=_here(info, official) if info is not None else "damaged" if stores else "",
        expected=official.get("planned"),
        found=found,
        samples=info.samples if info is not None else None,
        rejects=info.rejects if info is not None else None,
        bytes=sum(path.stat().st_size for path in folder.iterdir() if path.is_file()) if stores else None,
        stores=tuple(one for one, _ in stores),
        protocols=protocols,
        **said,
    )


def _here(info: DatasetInfo, official: Mapping[str, Any]) -> str:
    """Whether a store holds all of its set: neither a limit, a shard nor missing files leave anything out."""
    if info.origin.synthetic:
        return "made up"
    fewer = info.origin.planned < official.get("planned", 0)
    more = info.rejects > official.get("rejects", info.samples)  # such as names in a list, without a file
    return "part" if info.origin.limit or info.origin.shard or fewer or more else "yes"


def _table(path: Path) -> dict[str, Any]:
    """A TOML file; nothing is imported."""
    return tomllib.loads(path.read_text(encoding="utf-8"))
