"""Boards on disk: built from records, checked against them, and records published into the repository."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from skelbench.errors import RunError, UsageError
from skelbench.leaderboard.collect import Board, Entry, boards, gather
from skelbench.leaderboard.page import MARK, board_text, index_text
from skelbench.leaderboard.published import load_published
from skelbench.record import Record, read_record, write_record

INDEX = "README.md"
SYNTHETIC = "synthetic"  # folder of the boards of made-up recordings


@dataclass(frozen=True)
class Built:
    """What building changed; paths in the output folder, sorted."""

    written: tuple[Path, ...]  # every page, changed or not
    removed: tuple[Path, ...]  # pages made earlier, for which there are no records any more


@dataclass(frozen=True)
class Copied:
    """What publishing did."""

    written: tuple[Path, ...]  # copies, new or already there
    left: tuple[tuple[Path, str], ...]  # records not published, and why


def build(runs: Path, records: Path, out: Path, *, published: Path | None = None) -> Built:
    """Write every board and the index over them.

    Args:
        runs: Folder of runs, searched for record.json at any depth.
        records: Folder of published records, searched for *.json.
        out: Folder of the boards.
        published: Folder of CSV files of printed values; those that skelbench brings when None.

    Returns:
        The pages written, and the pages removed because nothing stands behind them any more.

    Raises:
        UsageError: If there is no record at all, or a page would replace a file that this function did not make.
        RunError: If a file is no record, or two records contradict each other.
    """
    pages = _pages(runs, records, published)
    for name in pages:
        if (out / name).exists() and not _made_here(out / name):
            raise UsageError(f"{out / name} was not made by this command. Name another folder, or move the file away.")
    for name, text in pages.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    stale = _stale(out, pages)
    for path in stale:
        path.unlink()
    return Built(tuple(out / name for name in sorted(pages)), tuple(stale))


def check(runs: Path, records: Path, out: Path, *, published: Path | None = None) -> list[str]:
    """Compare the boards on disk with what the records say; writes nothing.

    Args:
        runs: As in `build`.
        records: As in `build`.
        out: As in `build`.
        published: As in `build`.

    Returns:
        One sentence for each page that differs, is missing, or has nothing behind it; empty when all agree.

    Raises:
        UsageError: As `build`.
        RunError: As `build`.
    """
    pages = _pages(runs, records, published)
    found = []
    for name, text in sorted(pages.items()):
        path = out / name
        if not path.is_file():
            found.append(f"{path} is missing.")
        elif path.read_bytes() != text.encode():
            found.append(f"{path} is not what the records say.")
    return found + [f"{path} has no records behind it." for path in _stale(out, pages)]


def publish(runs: Path, records: Path, *, overwrite: Literal["never", "always"] = "never") -> Copied:
    """Copy the records of finished runs, without predictions, to where a repository keeps them.

    Args:
        runs: Folder of runs.
        records: Folder of published records.
        overwrite: What to do with another record of the same key, seed and fold that stands there.

    Returns:
        The copies, and the records that were left, with the reason.

    Raises:
        UsageError: If there is no record in `runs`, or another stands where a copy would go and `overwrite` is never.
        RunError: If a file is no record.
    """
    entries = gather([(runs, "record.json")])
    if not entries:
        raise UsageError(f"No record.json under {runs}/. `skelbench run` leaves one for each run.")
    ready, left = [], []
    for entry in entries:
        if entry.record.state == "done":
            ready.append((entry, records / record_path(entry.record)))
        else:
            left.append((entry.path, f"state {entry.record.state}"))
    if overwrite == "never":
        for entry, target in ready:
            _refuse_other(entry, target)
    for entry, target in ready:
        write_record(target, entry.record)
    return Copied(tuple(target for _, target in ready), tuple(left))


def record_path(record: Record) -> Path:
    """Where a published record stands: `<set>/<protocol>/<model>-<method>-<streams>-<key8>-seed<n>[-fold<n>].json`."""
    fold = "" if record.fold is None else f"-fold{record.fold}"
    name = "-".join(map(_file_name, [record.model, record.method, "+".join(record.streams)]))
    file = f"{name}-{record.key[:8]}-seed{record.seed}{fold}.json"
    return Path(_file_name(record.dataset), _file_name(record.protocol), file)


def _pages(runs: Path, records: Path, published: Path | None) -> dict[str, str]:
    """Text of every page by its path below the output folder."""
    entries = gather([(runs, "record.json"), (records, "*.json")])
    if not entries:
        raise UsageError(f"No records under {runs}/ or {records}/. `skelbench run` leaves one for each run.")
    printed = load_published(published)
    named: dict[str, Board] = {}
    for board in boards(entries):
        name = _page_name(board)
        other = named.setdefault(name, board)
        if other is not board:
            raise RunError(
                f"The boards of {other.dataset}, {other.protocol} and of {board.dataset}, {board.protocol} would both "
                f"be {name}. Give one of the data sets another name."
            )
    return {INDEX: index_text(named.items()), **{name: board_text(board, printed) for name, board in named.items()}}


def _page_name(board: Board) -> str:
    """Path of a board below the output folder."""
    name = f"{_file_name(board.dataset)}-{_file_name(board.protocol)}.md"
    return f"{SYNTHETIC}/{name}" if board.synthetic else name


def _stale(out: Path, pages: dict[str, str]) -> list[Path]:
    """Pages that were made by us and that nothing stands behind; other people's files are left alone."""
    found = [path for folder in (out, out / SYNTHETIC) for path in sorted(folder.glob("*.md"))]
    return [path for path in found if _made_here(path) and path.relative_to(out).as_posix() not in pages]


def _made_here(path: Path) -> bool:
    """Whether a file bears the mark of a generated page."""
    return path.is_file() and path.read_bytes().startswith(MARK.encode())


def _refuse_other(entry: Entry, target: Path) -> None:
    """Stop when another record stands where this one would go."""
    if target.is_file() and read_record(target) != entry.record:
        raise UsageError(
            f"{target} is another record than {entry.path}. To replace it, publish with --overwrite always."
        )


def _file_name(text: str) -> str:
    """A name that is safe in any file system and stays below its folder."""
    return re.sub(r"^\.|[^\w.+=-]", "_", text, flags=re.ASCII)[:80]
