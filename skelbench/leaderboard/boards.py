"""Boards on disk: built from records, and checked against them."""

from dataclasses import dataclass
from pathlib import Path

from skelbench.errors import RunError, UsageError
from skelbench.leaderboard import latex, page
from skelbench.leaderboard.collect import Board, boards, gather
from skelbench.leaderboard.publish import file_name
from skelbench.leaderboard.published import load_published
from skelbench.record import write_whole

INDEX = "README.md"
SYNTHETIC = "synthetic"  # folder of the boards of made-up recordings
MARKS = {".md": page.MARK, ".tex": latex.MARK}  # how files made here begin


@dataclass(frozen=True)
class Built:
    """What building changed; paths in the output folder, sorted."""

    written: tuple[Path, ...]  # every page, changed or not
    removed: tuple[Path, ...]  # pages made earlier, for which there are no records any more


def build(runs: Path, records: Path, out: Path, *, published: Path | None = None, tex: bool = False) -> Built:
    """Write every board and the index over them.

    Args:
        runs: Folder of runs, searched for record.json at any depth.
        records: Folder of published records, searched for *.json.
        out: Folder of the boards.
        published: Folder of CSV files of printed values; those that skelbench brings when None.
        tex: Whether a LaTeX file is wanted beside every page; where there are some already, they are kept up.

    Returns:
        The pages written, and the pages removed because nothing stands behind them any more.

    Raises:
        UsageError: If there is no record at all, or a page would replace a file that this function did not make.
        RunError: If a file is no record, or two records contradict each other.
    """
    pages = _pages((runs, records), published, tex=tex or _has_latex(out))
    for name in pages:
        if (out / name).exists() and not _made_here(out / name):
            raise UsageError(f"{out / name} was not made by this command. Name another folder, or move the file away.")
    for name, text in pages.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.encode())
    stale = _stale(out, pages)
    for path in stale:
        path.unlink()
    return Built(tuple(out / name for name in sorted(pages)), tuple(stale))


def check(runs: Path, records: Path, out: Path, *, published: Path | None = None, tex: bool = False) -> list[str]:
    """Compare the boards on disk with what the records say; writes nothing.

    Args:
        runs: As in `build`.
        records: As in `build`.
        out: As in `build`.
        published: As in `build`.
        tex: Whether the LaTeX files have to be there; where there are some, all are compared.

    Returns:
        One sentence for each page that differs, is missing, or has nothing behind it; empty when all agree.

    Raises:
        UsageError: As `build`.
        RunError: As `build`.
    """
    pages = _pages((runs, records), published, tex=tex or _has_latex(out))
    found = []
    for name, text in sorted(pages.items()):
        path = out / name
        if not path.is_file():
            found.append(f"{path} is missing.")
        elif path.read_bytes() != text.encode():
            found.append(f"{path} is not what the records say.")
    return found + [f"{path} has no records behind it." for path in _stale(out, pages)]


def _pages(folders: tuple[Path, Path], published: Path | None, *, tex: bool) -> dict[str, str]:
    """Text of every page by its path below the output folder."""
    runs, records = folders
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
                f"be {name}.md. Give one of the data sets another name."
            )
    pages = {f"{name}.md": page.board_text(board, printed) for name, board in named.items()}
    if tex:
        pages |= {f"{name}.tex": latex.board_latex(board, printed) for name, board in named.items()}
    return {INDEX: page.index_text((f"{name}.md", board) for name, board in named.items()), **pages}


def _page_name(board: Board) -> str:
    """Path of a board below the output folder, without its extension."""
    name = f"{file_name(board.dataset)}-{file_name(board.protocol)}"
    return f"{SYNTHETIC}/{name}" if board.synthetic else name


def _has_latex(out: Path) -> bool:
    """Whether LaTeX files were made here before."""
    return any(path.suffix == ".tex" for path in _made(out))


def _stale(out: Path, pages: dict[str, str]) -> list[Path]:
    """Pages that were made by us and that nothing stands behind; other people's files are left alone."""
    return [path for path in _made(out) if path.relative_to(out).as_posix() not in pages]


def _made(out: Path) -> list[Path]:
    """All pages that were made here."""
    found = [path for folder in (out, out / SYNTHETIC) for end in MARKS for path in sorted(folder.glob(f"*{end}"))]
    return [path for path in found if _made_here(path)]


def _made_here(path: Path) -> bool:
    """Whether a file bears the mark of a generated page."""
    return path.is_file() and path.read_bytes().startswith(MARKS[path.suffix].encode())
