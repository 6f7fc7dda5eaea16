"""A board as Markdown: results, what stands behind each row, how to repeat it, and what papers printed."""

from collections.abc import Iterable, Iterator, Sequence

from skelbench.leaderboard import cells, columns
from skelbench.leaderboard.collect import Board, Row, Table
from skelbench.leaderboard.columns import NUMBERS, Grid
from skelbench.leaderboard.markdown import code, escape, table, unbroken
from skelbench.leaderboard.published import Published

MARK = "<!-- Made by `skelbench leaderboard` from records; changes by hand are lost. -->"

SYNTHETIC = (
    "**The recordings are made up.** These numbers show that the code runs, and nothing about people; "
    "no published value stands beside them."
)
READING = (
    "Last epoch; means over seeds ± 95 % t-interval, which needs three seeds; n is the number of seeds. Going down, a "
    "row shares the rank of the row that opened it unless the two differ by Welch's t-test over seeds (p < 0.05); with "
    "fewer than three seeds only equal printed values share a rank. Incomplete rows have no rank.",
    "*Over subjects* says what other people might have given: bounds of a 95 % bootstrap over the test subjects, mean "
    "over seeds.",
    "*Published* values were not measured by us. Beside ours stands one of the same model, method and streams, and the "
    "*difference* is ours minus theirs, in points, with the word for how theirs was selected: `last` epoch, the epoch "
    "that was `best-on-test`, or `unknown`. Ours is the last epoch, so a difference to `best-on-test` flatters theirs. "
    "Where the poses or the pre-training are others, or the document does not state the streams, none is taken.",
    "*Oracle* is the epoch that is best on the test part, chosen by looking at it, as much of the literature does; no "
    "rank rests on it. *Control*, of a fusion: what as many seeds of one of its streams reach, fused likewise.",
    "*Streams*: `joint+bone` is one network on both, `fuse:joint,bone` adds the logits of two, with equal weights "
    "unless the recipe says otherwise. *GFLOPs* are multiply-accumulates for one sample; *training* is the mean time "
    "of a seed.",
)
FOLDED = (
    "The folds of a seed are pooled: what the confusion matrix or a mean square tells is that of all samples together, "
    "all else is the mean over the folds weighted by their samples."
)


def board_text(board: Board, published: Sequence[Published]) -> str:
    """The page of one data set and protocol.

    Args:
        board: Its tables.
        published: Every printed value there is; those that belong here are picked, none for synthetic recordings.

    Returns:
        Markdown, the same for the same records.
    """
    lines = [MARK, "", f"# {board_title(board)}", "", *([SYNTHETIC, ""] if board.synthetic else [])]
    for part in board.tables:
        lines += _section(part, columns.picked(board, part, published))
    folded = any(len(row.folds) > 1 for part in board.tables for row in part.rows)
    reading = [line for text in (*READING, *([FOLDED] if folded else [])) for line in (text, "")]
    return "\n".join([*lines, "## How to read this", "", *reading[:-1]]) + "\n"


def index_text(boards: Iterable[tuple[str, Board]]) -> str:
    """The page over all boards.

    Args:
        boards: Path of each page relative to the index, and its board.

    Returns:
        Markdown, boards of real recordings first.
    """
    pages = list(boards)
    lines = [MARK, "", "# Leaderboards", ""]
    lines += ["One page for each data set and protocol; in one table stands only what scored the same samples.", ""]
    for synthetic, title in ((False, "Recordings"), (True, "Synthetic recordings")):
        rows = [row for path, board in pages if board.synthetic == synthetic for row in _index_rows(path, board)]
        if rows:
            lines += [f"## {title}", "", *([SYNTHETIC, ""] if synthetic else [])]
            head = ["data set", "protocol", "evaluation", "best row", "recipe", "metric", "value", "rows"]
            lines += [*table(head, rows, right=NUMBERS), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def board_title(board: Board) -> str:
    """Data set and protocol, marked where the recordings are made up."""
    return escape(columns.board_title(board))


def _section(part: Table, published: Sequence[Published]) -> list[str]:
    """One table with everything that belongs to it."""
    title = escape(columns.title(part))
    lines = [f"## {title}", "", _about(part), "", *_table(columns.results(part, published)), ""]
    lines += ["### What stands behind the rows", "", *_table(columns.behind(part)), ""]
    lines += ["### To repeat a row", ""]
    lines += [line for row in part.rows for line in _repeat(row, {cells.key(row) for row in part.rows})]
    if published:
        papers = sorted({(row.paper, row.document) for row in published})
        sources = "; ".join(f"{escape(paper)} = {escape(document)}" for paper, document in papers)
        lines += ["", f"### As published: {title}", "", f"As printed, shares in percent. Sources: {sources}.", ""]
        lines += _table(columns.as_published(part, published))
    return [*lines, ""]


def _about(part: Table) -> str:
    """What was scored, with digests."""
    told = columns.about(part)
    if not told:
        return "Nothing was scored yet."
    digests = f"Digest of what was scored: {', '.join(code(digest[:8]) for digest in part.scored)}"
    data = columns.same(part, cells.data)
    return f"{escape(told)} {digests}{f'; of the data: {code(data)}' if data else ''}."


def _repeat(row: Row, shown: set[str]) -> Iterator[str]:
    """How to repeat a row; of a fusion also the runs that it adds up, unless they are rows themselves."""
    files = cells.files(row)
    told = f" with {escape(files)}" if files else ""
    yield f"- {cells.key(row)} {escape(columns.name(row))}: {code(cells.command(row))}{told}"
    for key, command in cells.fused_commands(row):
        if key not in shown:
            yield f"  - {key}: {code(command)}"


def _table(grid: Grid) -> list[str]:
    """A grid as lines of Markdown."""
    head, *rows = [[unbroken(escape(cell)) for cell in line] for line in (grid.head, *grid.rows)]
    return table(head, rows, right=frozenset(map(escape, grid.right)))


def _index_rows(path: str, board: Board) -> Iterator[list[str]]:
    """One line for each table of a board; a row that has no rank is not the best."""
    for part in board.tables:
        best, primary = part.rows[0], cells.metric_title(part.first.primary)
        line = [f"[{escape(board.dataset)}]({path})", board.protocol, columns.title(part)]
        line += (
            ["none is complete", "", primary, ""]
            if best.problems
            else [columns.name(best), cells.recipe(best), primary, cells.result(best)]
        )
        yield [line[0], *map(escape, line[1:]), str(len(part.rows))]
