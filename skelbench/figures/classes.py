"""How well each class is found: sorted bars."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from skelbench.figures.style import BLUE, GREEN, GREY, INK, LIGHT, ORANGE, drawn, title, wilson

COLUMN = 60  # bars in a column
ROW, WIDTH, GAP = 0.195, 4.2, 3.8  # inches: height of a bar, width of a column, and of the names between two


@dataclass(frozen=True)
class Bar:
    """One class."""

    name: str
    number: int  # its place among the classes
    value: float | None  # recall or average precision; None without a sample
    n: int | None  # samples of it, where known
    precision: float | None = None
    hits: int | None = None  # samples of it that were found; None where there is no interval


def bars(classes: Sequence[Bar], *, what: str, mean: float | None, chance: float | None, about: str) -> Figure:
    """Draw a bar for each class, the best first.

    Args:
        classes: In any order.
        what: What the bars show, such as `recall`.
        mean: Over the classes.
        chance: What a guess reaches; None where that is not defined.
        about: Which run it is.

    Returns:
        A figure of as many columns as there are sixties of classes; classes without a sample come last.
    """
    ranked = sorted(classes, key=lambda bar: (bar.value is None, -(bar.value or 0.0), bar.number))
    columns = [ranked[begin : begin + COLUMN] for begin in range(0, len(ranked), COLUMN)]
    rows = max(len(column) for column in columns)
    width, height = len(columns) * WIDTH + (len(columns) - 1) * GAP, rows * ROW + 0.1
    figure = Figure(figsize=(width, height))
    for place, column in enumerate(columns):
        axes = figure.add_axes((place * (WIDTH + GAP) / width, 0, WIDTH / width, 1))
        _column(axes, column, rows)
        for value, colour, style in ((mean, GREEN, "-"), (chance, GREY, "--")):
            if value is not None:
                axes.axvline(100 * value, color=colour, ls=style, lw=1.2, zorder=3)
        axes.set_xlabel(f"{what}, %")
        if place == 0:
            title(axes, f"Classes by {what}", about, above=20.0)
            _legend(axes, classes, what, mean=mean, chance=chance)
    return figure


def _column(axes: Axes, column: Sequence[Bar], rows: int) -> None:
    """Bars with names on the left and numbers on the right."""
    places = range(len(column))
    axes.barh(places, [100 * (bar.value or 0.0) for bar in column], color=BLUE, height=0.74, alpha=0.85)
    for place, bar in enumerate(column):
        if bar.value is None:
            box = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
            axes.text(1.5, place, "no sample", va="center", fontsize=7, color=GREY, bbox=box, zorder=6)
            continue
        if bar.hits is not None and bar.n:
            low, high = wilson(bar.hits, bar.n)
            axes.plot([100 * low, 100 * high], [place, place], color=INK, lw=0.8, zorder=4)
        if bar.precision is not None:
            axes.plot(
                [100 * bar.precision], [place], "D", color=ORANGE, ms=3.4, mec="white", mew=0.4, zorder=5, clip_on=False
            )
        text = f"{100 * bar.value:.1f}"
        axes.annotate(
            text, (1, place), (6, 0), xycoords=("axes fraction", "data"), textcoords="offset points", va="center",
            fontsize=7.5, annotation_clip=False,
        )  # fmt: skip
    axes.set_yticks(places, labels=list(map(_label, column)), fontsize=7.5)
    axes.set_ylim(rows - 0.4, -0.6)
    axes.set_xlim(0, 100)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=LIGHT, lw=0.6)
    axes.set_axisbelow(True)


def _label(bar: Bar) -> str:
    """Number, which tells names apart that begin alike, name, and samples."""
    return f"{bar.number}  {drawn(bar.name)}" + ("" if bar.n is None else f" ({bar.n})")


def _legend(axes: Axes, classes: Sequence[Bar], what: str, *, mean: float | None, chance: float | None) -> None:
    """What the marks mean, in one line above the bars."""
    marks = [Line2D([], [], color=BLUE, lw=6, alpha=0.85, label=f"{what} (samples)")]
    if any(bar.hits is not None for bar in classes):
        marks.append(Line2D([], [], color=INK, lw=0.9, label="95 % interval"))
    if any(bar.precision is not None for bar in classes):
        marks.append(Line2D([], [], color=ORANGE, marker="D", ms=4, lw=0, label="precision"))
    if mean is not None:
        marks.append(Line2D([], [], color=GREEN, lw=1.4, label=f"mean {100 * mean:.1f}"))
    if chance is not None:
        marks.append(Line2D([], [], color=GREY, ls="--", lw=1.2, label=f"chance {100 * chance:.1f}"))
    axes.legend(
        handles=marks, loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=len(marks), fontsize=7.5, columnspacing=1.2,
        handlelength=1.4, borderaxespad=0.2,
    )  # fmt: skip
