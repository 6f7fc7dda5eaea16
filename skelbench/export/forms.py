"""The forms of an export, and the way from a store to one of them."""

import glob
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from skelbench.errors import UsageError, nearest
from skelbench.export import annotations, blocks, hub, tables
from skelbench.export.job import Job, splits_of
from skelbench.prepare.run import check_prepare
from skelbench.split import Split
from skelbench.store.reader import Store, open_store
from skelbench.workspace import expanded

# what stands in folders that exports make
_OURS = re.compile(r"(train|val)_(data_joint\.npy|label\.pkl)|export\.json|data|README\.md|croissant\.json")
_MARKS = {"export.json", "croissant.json"}  # one of them is in every folder of ours


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
    prepare: tuple[str, ...] = ()  # of blocks; none for by-id
    frames: int | None = None  # of blocks; None for 300
    persons: int | None = None  # of blocks; None for 2
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
    _check_options(request)
    form, store = FORMS[request.form], open_store(request.store)
    splits, said = splits_of(store, request.protocol)
    name = form.name.format(store=store.info.name, protocol=_first(splits, store))
    out = expanded(request.out or Path(name))
    _check_place(out, again=request.overwrite)
    out.parent.mkdir(parents=True, exist_ok=True)
    _clear(out)
    partial = out.with_name(f".{out.name}.partial-{os.getpid()}")
    steps = check_prepare(request.prepare or ("by-id",))
    asked = request.protocol is not None
    job = Job(store, partial, splits, steps, request.frames or 300, request.persons or 2, asked, said)
    try:
        form.write(job)
        _remove(out)
        partial.rename(out)
    except BaseException:
        _remove(partial)
        raise
    return Exported(out, _size(out), tuple(job.said))


def _check_options(request: Request) -> None:
    """Refuse what a form would not heed."""
    given = {"--prepare": request.prepare, "--frames": request.frames, "--persons": request.persons}
    wrong = [name for name, value in given.items() if value] if not FORMS[request.form].one_split else []
    if wrong:
        raise UsageError(
            f"{', '.join(wrong)}: only ctrgcn and stgcn hold prepared blocks; {request.form} holds what was recorded."
        )


def _first(splits: Mapping[str, Split], store: Store) -> str:
    """The protocol that forms of one split write; nothing where there is none."""
    kinds = {name: store.card.targets[split.target].kind for name, split in splits.items()}
    return next((name for name, kind in kinds.items() if kind == "single"), "")


def _check_place(out: Path, *, again: bool) -> None:
    """Refuse to replace what the user does not want replaced, and ever what no export has made.

    Raises:
        UsageError: If something stands there.
    """
    if not os.path.lexists(out):
        return
    if not again:
        raise UsageError(f"{out} is there. Replace it with --overwrite always, or name another place with --out.")
    names = sorted(one.name for one in out.iterdir()) if out.is_dir() else []
    others = [name for name in names if not _OURS.fullmatch(name)]
    if names and not others and not _MARKS.intersection(names):
        others = names
    if others:
        raise UsageError(
            f"{out} is a folder that holds other things, such as {others[0]}, so it is not touched, not even "
            "with --overwrite always. Name another place with --out."
        )


def _clear(out: Path) -> None:
    """Remove what exports to this place left that were killed."""
    for left in out.parent.glob(f".{glob.escape(out.name)}.partial-*"):
        number = left.name.rpartition("-")[2]
        if not number.isdecimal():
            continue
        try:
            os.kill(int(number), 0)
        except ProcessLookupError:
            _remove(left)
        except OSError:  # of somebody else, who is alive
            continue


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
