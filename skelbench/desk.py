"""The data desk: every registered data set, what of it is here, and how to get the rest."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from skelbench.errors import StoreError
from skelbench.look import look
from skelbench.registry import plugins
from skelbench.store.reader import open_store
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
    splits = plugins("splits")
    entries = []
    for name, plugin in plugins("converters").items():
        table = _table(plugin.toml)
        protocols = tuple(_table(splits[name].toml).get("protocols", {})) if name in splits else ()
        entries.append(_entry(name, table, protocols, lying.get(name)))
    return entries


def _entry(name: str, table: Mapping[str, Any], protocols: tuple[str, ...], lying: int | None) -> Entry:
    """One set."""
    expected = table.get("official", {}).get("planned")
    here, found, samples, rejects, size = "", lying, None, None, None
    if name in store_names():
        folder = store_path(name)
        size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
        try:
            info = open_store(folder).info
            here, samples, rejects = "yes", info.samples, info.rejects
            found = info.origin.planned if lying is None else lying
            fewer = expected is not None and info.origin.planned < expected and not info.origin.synthetic
            if info.origin.limit or info.origin.shard or fewer:
                here = "part"
            if info.origin.synthetic:
                here = "made up"
        except StoreError:
            here = "damaged"
    said = {key: " ".join(str(table[key]).split()) for key in ("title", "licence", "obtain", "raw")}
    return Entry(
        name=name,
        here=here,
        expected=expected,
        found=found,
        samples=samples,
        rejects=rejects,
        bytes=size,
        protocols=protocols,
        **said,
    )


def _table(path: Path) -> dict[str, Any]:
    """A TOML file; nothing is imported."""
    return tomllib.loads(path.read_text(encoding="utf-8"))
