"""What a store holds, as pictures: lengths, people, missing joints, classes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from skelbench.figures.draw import FORMS, Drawn
from skelbench.figures.style import BLUE, GREY, ORANGE, drawing, drawn, image, panels, short, title
from skelbench.record import write_whole

_WIDTH, _HEIGHT, _ROW = 6.5, 1.8, 0.2  # inches
_BINS = 40
_MOST = 150  # classes that are drawn


def draw_contents(name: str, lengths: np.ndarray, found: Mapping[str, Any], out: Path) -> Drawn:
    """Draw what `contents` says of a store as PNG and SVG.

    Args:
        name: Of the store.
        lengths: Frames of each sample.
        found: What `contents` gave.
        out: Folder to write to, made where it is missing.

    Returns:
        The files, the same bytes each time.
    """
    out.mkdir(parents=True, exist_ok=True)
    made = []
    with drawing():
        figures = {"contents": overview(name, lengths, found), "missing": joints(name, found["missing_by_joint"])}
        for target in dict.fromkeys(row["target"] for row in found["class_balance"]):
            rows = [row for row in found["class_balance"] if row["target"] == target]
            if len(rows) <= _MOST:
                figures[f"classes-{target}"] = classes(name, target, rows)
                if any(row["missing"] for row in rows):
                    figures[f"missing-{target}"] = missing_in_classes(name, target, rows)
        for what, figure in figures.items():
            for form in FORMS:
                made.append(out / f"{name}-{what}.{form}")
                write_whole(made[-1], image(figure, form))
    left = () if len(made) > 2 * len(FORMS) else ("classes: none, or too many to draw",)
    return Drawn(tuple(made), left)


def overview(name: str, lengths: np.ndarray, found: Mapping[str, Any]) -> Figure:
    """Lengths of the samples, people in a frame, joints that are missing in a frame and over the time of a clip."""
    figure, (first, second, third, fourth) = panels(_WIDTH, *[_HEIGHT] * 4, gap=0.95)
    top = float(np.percentile(lengths, 99.5)) if len(lengths) else 1.0
    first.hist(np.minimum(lengths, top), bins=_BINS, color=BLUE)
    first.set_xlabel(
        "frames" if lengths.max(initial=0) <= top else f"frames ({lengths.max():,} at most; the tail is cut)"
    )
    first.set_ylabel("samples")
    first.yaxis.set_major_locator(MaxNLocator(integer=True))
    title(first, "Lengths of samples", f"{name}, {len(lengths):,} samples")
    rows = found["persons_per_frame"]
    _shares(second, [str(row["persons"]) for row in rows], rows, BLUE)
    second.set_xlabel("people in a frame")
    title(second, "People", name)
    rows = found["missing_by_frame"]
    _shares(third, [row["joints missing"] for row in rows], rows, ORANGE)
    third.set_xlabel("of the joints of the people in a frame, missing")
    title(third, "Missing joints in a frame", name)
    missing = [100 * (row["missing"] or 0) for row in found["missing_by_time"]]
    fourth.bar(range(5, 105, 10), missing, width=9, color=ORANGE)
    fourth.set_xlabel("time in the clip, %")
    fourth.set_ylabel("joints missing, %")
    fourth.set_ylim(0, max(*missing, 1.0))
    title(fourth, "Missing joints over time", name)
    return figure


def _shares(axes: Axes, names: Sequence[str], rows: Sequence[Mapping[str, Any]], colour: str) -> None:
    """Shares of frames as columns; few of them do not fill the width."""
    axes.bar(names, [100 * (row["share"] or 0) for row in rows], 0.6, color=colour)
    axes.set_xlim(-0.6, max(len(rows), 6) - 0.4)
    axes.set_ylabel("frames, %")


def joints(name: str, rows: Sequence[Mapping[str, Any]]) -> Figure:
    """How often each joint is missing."""
    figure, (axes,) = panels(_WIDTH / 2, max(len(rows), 3) * _ROW)
    _bars(axes, [row["joint"] for row in rows], [100.0 * (row["missing"] or 0) for row in rows], ORANGE)
    axes.set_xlabel("missing, % of poses")
    axes.set_xlim(0, max(*(100 * (row["missing"] or 0) for row in rows), 1.0))
    title(axes, "Missing joints", name)
    return figure


def classes(name: str, target: str, rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Samples of each class, in label order."""
    figure, (axes,) = panels(_WIDTH / 2, max(len(rows), 3) * _ROW)
    _bars(axes, _named(rows), [float(row["samples"]) for row in rows], BLUE)
    axes.set_xlabel("samples")
    title(axes, f"Classes of '{short(target, 30)}'", name)
    return figure


def missing_in_classes(name: str, target: str, rows: Sequence[Mapping[str, Any]]) -> Figure:
    """How much of the people is missing in the samples of each class, in label order."""
    figure, (axes,) = panels(_WIDTH / 2, max(len(rows), 3) * _ROW)
    shares = [100.0 * (row["missing"] or 0) for row in rows]
    _bars(axes, _named(rows), shares, ORANGE)
    axes.set_xlabel("joints missing, %")
    axes.set_xlim(0, max(*shares, 1.0))
    title(axes, f"Missing joints by classes of '{short(target, 30)}'", name)
    return figure


def _named(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of classes; their numbers where no font has the letters."""
    return [drawn(row["class"], 40) or f"class {place}" for place, row in enumerate(rows)]


def _bars(axes: Axes, names: Sequence[str], values: Sequence[float], colour: str) -> None:
    """Bars from the top down, names on the left."""
    places = np.arange(len(names))
    axes.barh(places, values, color=colour, height=0.75)
    axes.set_yticks(places, names, fontsize=7.5)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=GREY, alpha=0.2)
    axes.set_axisbelow(True)
