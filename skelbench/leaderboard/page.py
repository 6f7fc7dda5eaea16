"""A board as Markdown: results, what stands behind each row, how to repeat it, and what papers printed."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from skelbench.leaderboard import cells
from skelbench.leaderboard.cells import metric_title, number
from skelbench.leaderboard.collect import Board, Row, Table
from skelbench.leaderboard.markdown import code, escape, table
from skelbench.leaderboard.published import PLAIN, Published
from skelbench.leaderboard.statistics import ranks

MARK = "<!-- Made by `skelbench leaderboard` from records; changes by hand are lost. -->"
SECONDARY = ("top1", "top5", "mean_class_accuracy", "macro_f1", "micro_f1", "map")
NAMES: dict[str, Callable[[Row], str]] = {
    **{"model": cells.model, "method": cells.method, "streams": cells.streams, "recipe": cells.recipe}
}
BACKGROUND: dict[str, Callable[[Row], str]] = {
    **{"key": cells.key, "model": cells.model, "method": cells.method, "prepare": cells.prepare},
    **{"pre-training": cells.pretraining, "settings from": cells.settings_from, "epochs": cells.epochs},
    **{"parameters": cells.parameters, "GFLOPs": cells.gflops, "training": cells.training},
    **{"device": cells.device, "code": cells.code_version},
}
RIGHT = frozenset({"rank", "epochs", "parameters", "GFLOPs", "training", "value", "difference", "rows"})

SYNTHETIC = (
    "**The recordings are made up.** These numbers show that the code runs, and nothing about people; "
    "no published value stands beside them."
)
READING = (
    "Last epoch; means over seeds ± 95 % t-interval, which needs three seeds. Going down, a row shares the rank of "
    "the row that opened it unless the two differ by Welch's t-test over seeds (p < 0.05); with fewer than three seeds "
    "only equal printed values share a rank. Incomplete rows have no rank. The interval over subjects says what other "
    "people might have given. Published values were not measured by us; beside ours stands one of the same model, "
    "method and streams, with how its epoch was selected, and a difference where the poses are the same."
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
        shown = () if board.synthetic or part.limited else published
        lines += _section(part, [row for row in shown if _belongs(row, part)])
    return "\n".join([*lines, "## How to read this", "", READING]) + "\n"


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
            lines += [*table(head, rows, right=RIGHT), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def board_title(board: Board) -> str:
    """Data set and protocol, marked where the recordings are made up."""
    return f"{'Synthetic: ' if board.synthetic else ''}{escape(board.dataset)}, {escape(board.protocol)}"


def _section(part: Table, published: Sequence[Published]) -> list[str]:
    """One table with everything that belongs to it."""
    title = _title(part)
    lines = [f"## {title}", "", *_about(part), "", *_results(part, published), ""]
    behind = [[cell(row) for cell in BACKGROUND.values()] for row in part.rows]
    lines += ["### What stands behind the rows", "", *table(list(BACKGROUND), behind, right=RIGHT), ""]
    lines += ["### To repeat a row", ""]
    lines += [f"- {cells.key(row)} {_name(row)}: {code(cells.command(row))}" for row in part.rows] + [""]
    if published:
        papers = sorted({(row.paper, row.document) for row in published})
        sources = "; ".join(f"{escape(paper)} = {escape(document)}" for paper, document in papers)
        lines += [f"### As published: {title}", "", f"As printed, shares in percent. Sources: {sources}.", ""]
        lines += [*_as_published(part, published), ""]
    return lines


def _title(part: Table) -> str:
    """Evaluation, labels, and whether all samples were used."""
    labels = part.first.labels
    share = "all labels" if labels is None else f"{100 * labels:g} % of the labels"
    return f"{escape(part.first.evaluation)}, {share}{', part of the samples' if part.limited else ''}"


def _name(row: Row) -> str:
    """What a row is called outside of its table."""
    return ", ".join([cells.model(row), cells.method(row), cells.streams(row)])


def _about(part: Table) -> list[str]:
    """What was scored, and what a guess would reach."""
    done = [record for row in part.rows for record in row.done]
    if not done:
        return ["Nothing was scored yet."]
    primary, classes = done[0].primary, len(done[0].classes)
    counts = {record.fold: record.metrics[primary].n for record in done}
    samples = f"{sum(counts.values())} test samples{f' in {len(counts)} folds' if len(counts) > 1 else ''}"
    chance = " or ".join(sorted({number(record.chance, primary) for record in done}))
    unit = "" if primary in PLAIN else ", in percent"
    return [
        f"{samples}, {classes} classes. Primary metric: {metric_title(primary)}{unit}; chance: {chance}. "
        f"Digest of what was scored: {', '.join(code(digest[:8]) for digest in part.scored)}."
    ]


def _results(part: Table, published: Sequence[Published]) -> list[str]:
    """The ranked table."""
    primary = part.first.primary
    others = [name for name in SECONDARY if name != primary]
    places = ranks([row.values(primary) for row in part.rows if not row.problems])
    head = ["rank", *NAMES, metric_title(primary), "over subjects", *map(metric_title, others)]
    head += ["published", "difference", "poses", "incomplete", "key"]
    rows = []
    for place, row in enumerate(part.rows):
        line = [str(places[place]) if place < len(places) else "", *(cell(row) for cell in NAMES.values())]
        line += [cells.result(row), cells.over_subjects(row), *(number(row.mean(name), name) for name in others)]
        line += [*cells.beside(row, published), cells.poses(row), cells.incomplete(row), cells.key(row)]
        rows.append(line)
    return table(head, rows, right=RIGHT | {metric_title(primary), *map(metric_title, others)})


def _as_published(part: Table, published: Sequence[Published]) -> list[str]:
    """Printed values: the primary metric first, the highest first."""
    primary = part.first.primary
    head = ["as printed", "metric", "value", "selected", "model", "streams", "pre-training", "poses", "source", "note"]
    rows = []
    for row in sorted(published, key=lambda row: (row.metric != primary, row.metric, -row.value, row.as_printed)):
        texts = [
            row.selected,
            row.model,
            row.streams,
            row.pretraining,
            row.poses,
            f"{row.paper}, {row.table}",
            row.note,
        ]
        rows.append([escape(row.as_printed), metric_title(row.metric), str(row.value), *map(escape, texts)])
    return table(head, rows, right=RIGHT)


def _belongs(row: Published, part: Table) -> bool:
    """Whether a printed value is a result on the same data set, protocol, evaluation and labels."""
    first = part.first
    theirs = (row.dataset, row.protocol, row.evaluation, row.labels)
    return theirs == (first.dataset, first.protocol, first.evaluation, first.labels) and row.metric not in PLAIN


def _index_rows(path: str, board: Board) -> Iterator[list[str]]:
    """One line for each table of a board; a row that has no rank is not the best."""
    for part in board.tables:
        best, primary = part.rows[0], metric_title(part.first.primary)
        line = [f"[{escape(board.dataset)}]({path})", escape(board.protocol), _title(part)]
        line += (
            ["none is complete", "", primary, ""]
            if best.problems
            else [_name(best), cells.recipe(best), primary, cells.result(best)]
        )
        yield [*line, str(len(part.rows))]
