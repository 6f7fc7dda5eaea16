"""What stands in the tables of a board, as plain text: results, what stands behind them, and what papers printed."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from skelbench.leaderboard import cells
from skelbench.leaderboard.cells import ORACLE, metric_title, number
from skelbench.leaderboard.collect import Board, Row, Table
from skelbench.leaderboard.published import PLAIN, Published
from skelbench.leaderboard.statistics import ranks
from skelbench.metrics import of_frames

Cell = Callable[[Row], str]

SECONDARY = ("top1", "top5", "mean_class_accuracy", "macro_f1", "micro_f1", "map", "ece", "nll")  # others stand after
NAMES: dict[str, Cell] = {
    **{"model": cells.model, "method": cells.method, "streams": cells.streams, "recipe": cells.recipe},
    "pre-training": cells.pretraining,
}
WHERE_THEY_DIFFER: dict[str, Cell] = {
    **{"layout": cells.layout, "poses": cells.poses, "data": cells.data, "trained on": cells.trained_on}
}
COSTS: dict[str, Cell] = {
    **{"parameters": cells.parameters, "GFLOPs": cells.gflops, "training": cells.training, "device": cells.device}
}
BEHIND: dict[str, Cell] = {
    **{"key": cells.key, "model": cells.model, "method": cells.method, "streams": cells.streams},
    **{"prepare": cells.prepare, "settings from": cells.settings_from, "epochs": cells.epochs},
    **COSTS,
    **{"code": cells.code_version, "notes": cells.notes},
}
NUMBERS = frozenset({"rank", "difference", "epochs", "parameters", "GFLOPs", "training", "value", "rows"})


@dataclass(frozen=True)
class Grid:
    """A table of plain text; columns that are empty in all rows are left out."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: frozenset[str] = NUMBERS  # titles of the columns that are set flush right

    @property
    def kept(self) -> tuple[int, ...]:
        """Places of the columns in which any row says something."""
        return tuple(place for place in range(len(self.head)) if any(row[place] for row in self.rows))

    def without(self, titles: Collection[str]) -> "Grid":
        """The same without some columns."""
        kept = [place for place, title in enumerate(self.head) if title not in titles]
        head, *rows = (tuple(line[place] for place in kept) for line in (self.head, *self.rows))
        return Grid(head, tuple(rows), self.right)


def results(part: Table, published: Sequence[Published]) -> Grid:
    """The ranked rows.

    Args:
        part: A table of records.
        published: The printed values that belong to it.

    Returns:
        A row for each run key, the best first; the rank is empty where a row is incomplete.
    """
    primary, others = part.first.primary, secondary(part)
    values = [row.values(primary) for row in part.rows if not row.problems]
    places = ranks(values, printed=lambda mean: number(mean, primary))
    apart = {title: cell for title, cell in WHERE_THEY_DIFFER.items() if same(part, cell) is None}
    head = ["rank", *NAMES, metric_title(primary), "over subjects", "control", *map(metric_title, others)]
    head += ["published", "difference", *apart, "incomplete", "key"]
    rows = []
    for place, row in enumerate(part.rows):
        line = [str(places[place]) if place < len(places) else "", *(cell(row) for cell in NAMES.values())]
        line += [cells.result(row), cells.over_subjects(row), cells.control(row)]
        line += [*(cells.further(row, name) for name in others)]
        line += [*cells.beside(row, published), *(cell(row) for cell in apart.values())]
        rows.append((*line, cells.incomplete(row), cells.key(row)))
    return Grid(tuple(head), tuple(rows), NUMBERS | {*map(metric_title, [primary, *others])})


def behind(part: Table) -> Grid:
    """What each row was made with, and what it cost."""
    rows = tuple(tuple(cell(row) for cell in BEHIND.values()) for row in part.rows)
    return Grid(tuple(BEHIND), rows)


def costs(part: Table) -> Grid:
    """What each row measured beside the primary metric, and what it cost."""
    others = secondary(part)
    rows = [
        (
            *(cell(row) for cell in NAMES.values()),
            *(cells.further(row, name) for name in others),
            *(cell(row) for cell in COSTS.values()),
        )
        for row in part.rows
    ]
    return Grid((*NAMES, *map(metric_title, others), *COSTS), tuple(rows), NUMBERS | {*map(metric_title, others)})


def as_published(part: Table, published: Sequence[Published]) -> Grid:
    """Printed values: the primary metric first, the highest first."""
    primary = part.first.primary
    head = ("as printed", "metric", "value", "selected", "model", "method", "streams", "pre-training", "poses")
    rows = [
        (
            *(row.as_printed, metric_title(row.metric), str(row.value), row.selected, row.model, row.method),
            *(row.streams, row.pretraining, row.poses, f"{row.paper}, {row.table}", row.note),
        )
        for row in sorted(published, key=lambda row: (row.metric != primary, row.metric, -row.value, row.as_printed))
    ]
    return Grid((*head, "source", "note"), tuple(rows))


def about(part: Table) -> str:
    """What was scored, on which data, and what a guess would reach; nothing where no row was scored."""
    done = [record for row in part.rows for record in row.done]
    if not done:
        return ""
    primary, classes = done[0].primary, f", {len(done[0].classes)} classes" if done[0].classes else ""
    counts = {record.fold: record.split.test if of_frames(primary) else record.metrics[primary].n for record in done}
    folds = f" in {len(counts)} folds" if len(counts) > 1 else ""
    guesses = sorted({number(record.chance, primary) for record in done if record.chance})  # 0: not defined
    chance = f"; chance: {' or '.join(guesses)}" if guesses else ""
    unit = "" if primary in PLAIN else ", in percent"
    told = [
        f"{sum(counts.values()):,} {done[0].scored} samples{folds}{classes}",
        f"Primary metric: {metric_title(primary)}{unit}{chance}",
    ]
    poses, carved = same(part, cells.poses), sorted({record.split.carved for record in done} - {""})
    told += [f"Poses: {poses}"] if poses else []
    told += [f"No test result; {'; '.join(carved)}"] if carved else []
    return ". ".join(told) + "."


def same(part: Table, cell: Cell) -> str | None:
    """What a cell says of all rows; None where they differ."""
    found = {cell(row) for row in part.rows}
    return found.pop() if len(found) == 1 else None


def secondary(part: Table) -> list[str]:
    """Names of the metrics beside the primary one that any row has a value of, the usual ones first.

    Of the best test epoch only the primary metric, right after, under that name.
    """
    records = [record for row in part.rows for record in row.done]
    found = {name for record in records for name, metric in record.metrics.items() if metric.value is not None}
    oracle = ORACLE + part.first.primary
    usual = [name for name in (oracle, *SECONDARY) if name in found]
    others = sorted(name for name in found - {*usual} if not name.startswith(ORACLE))
    return [name for name in (*usual, *others) if name != part.first.primary]


def title(part: Table) -> str:
    """Evaluation, labels, and whether it was the whole test part that was scored."""
    labels = part.first.labels
    share = "all labels" if labels is None else f"{100 * labels:g} % of the labels"
    scored = "" if part.first.scored == "test" else ", scored on validation"
    return f"{part.first.evaluation}, {share}{scored}{', part of the samples' if part.limited else ''}"


def name(row: Row) -> str:
    """What a row is called outside of its table."""
    return ", ".join([cells.model(row), cells.method(row), cells.streams(row)])


def board_title(board: Board) -> str:
    """Data set and protocol, marked where the recordings are made up."""
    return f"{'Synthetic: ' if board.synthetic else ''}{board.dataset}, {board.protocol}"


def picked(board: Board, part: Table, published: Sequence[Published]) -> list[Published]:
    """The printed values that belong to a table: of the same data set, protocol, evaluation and labels.

    Made-up recordings, validation parts and parts of the samples have none.
    """
    if board.synthetic or part.limited or part.first.scored != "test":
        return []
    first = part.first
    ours = (first.dataset, first.protocol, first.evaluation, first.labels)
    return [
        row
        for row in published
        if ours == (row.dataset, row.protocol, row.evaluation, row.labels) and row.metric not in ("", "parameters")
    ]
