"""The forms of an export, and the way from a store to one of them."""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from skelbench.errors import UsageError, nearest
from skelbench.export import annotations, blocks, hub, tables
from skelbench.export.job import Job, splits_of
from skelbench.prepare.run import check_prepare
from skelbench.store.reader import open_store
from skelbench.workspace import expanded


@dataclass(frozen=True)
class Form:
    """One form of export."""

    write: Callable[[Job], None]
    name: str  # of the file or folder, made of the store's and the protocol's
    one_split: bool  # whether it holds the parts of one protocol only


FORMS: Mapping[str, Form] = {
    "pyskl": Form(annotations.write, "{store}.pkl", one_split=False),
    "ctrgcn": Form(blocks.write_npz, "{store}_{protocol}.npz", one_split=True),
    "stgcn": Form(blocks.write_pairs, "{store}_{protocol}", one_split=True),
    "parquet": Form(tables.write, "{store}.parquet", one_split=False),
    "hf": Form(hub.write, "{store}_hf", one_split=False),
}


@dataclass(frozen=True)
class Request:
    """What the user asks for."""

    store: Path
    form: str
    out: Path | None = None  # None for a name of the store's, beside nothing else in the current folder
    protocol: str | None = None
    prepare: tuple[str, ...] = ("by-id",)  # of blocks
    frames: int = 300
    persons: int = 2
    overwrite: bool = False


@dataclass(frozen=True)
class Exported:
    """What was written."""

    out: Path
    bytes: int
    said: tuple[str, ...]  # what a reader of the result must know


def export(request: Request) -> Exported:
    """Write a store in the form of others; the result is there whole or not at all.

    Args:
        request: What the user asks for.

    Returns:
        What was written.

    Raises:
        UsageError: If there is no such form or protocol, the form cannot hold the set, or something stands there.
        SplitError: If the protocol that was asked for does not hold on the store.
        StoreError: If the store is damaged.
        OSError: If the disk is full.
    """
    if request.form not in FORMS:
        raise UsageError(f"No form '{request.form}'. {nearest(request.form, FORMS)}")
    form, store = FORMS[request.form], open_store(request.store)
    splits, said = splits_of(store, request.protocol)
    first = next(iter(splits), "")
    name = form.name.format(store=store.info.name, protocol=first)
    out = expanded(request.out or Path(name))
    if os.path.lexists(out) and not request.overwrite:
        raise UsageError(f"{out} is there. Replace it with --overwrite always, or name another place with --out.")
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.partial-{os.getpid()}")
    steps = check_prepare(request.prepare)
    job = Job(store, partial, splits, steps, request.frames, request.persons, [] if form.one_split else said)
    try:
        form.write(job)
        _remove(out)
        partial.rename(out)
    except BaseException:
        _remove(partial)
        raise
    return Exported(out, _size(out), tuple(job.said))


def _remove(path: Path) -> None:
    """Remove a file or folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    return sum(one.stat().st_size for one in files)
