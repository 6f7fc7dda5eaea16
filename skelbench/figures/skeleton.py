"""A layout as a picture: joints by number, bones, sides in colours."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from skelbench.figures.draw import FORMS, Drawn
from skelbench.figures.style import BLUE, GREY, INK, LIGHT, ORANGE, drawing, image, panels, short, title
from skelbench.record import write_whole
from skelbench.skeletons import Layout

_HEIGHT = 6.5  # inches
_LINE = 0.21  # inches between two names
_REACH = 0.028  # from a joint to its number, as a share of the body's extent


def draw_skeleton(layout: Layout, places: Float64[np.ndarray, "joints 2"], out: Path) -> Drawn:
    """Draw a layout as PNG and SVG.

    Args:
        layout: Joints, bones and mirror pairs.
        places: Of the joints, right and up, in any unit.
        out: Folder to write to, made where it is missing.

    Returns:
        The files, the same bytes each time.
    """
    out.mkdir(parents=True, exist_ok=True)
    made = []
    with drawing():
        figure = skeleton(layout, places)
        for form in FORMS:
            made.append(out / f"{layout.name}.{form}")
            write_whole(made[-1], image(figure, form))
    return Drawn(tuple(made), ())


def skeleton(layout: Layout, places: Float64[np.ndarray, "joints 2"]) -> Figure:
    """Draw a layout: the left side blue, the right orange, what has no partner black, the root with a ring.

    Args:
        layout: Joints, bones and mirror pairs.
        places: Of the joints, right and up, in any unit.

    Returns:
        A figure with the body on the left and the names on the right.
    """
    low, high = places.min(0), places.max(0)
    extent = max(float((high - low).max()), 1e-6)
    spots = (places - (low + high) / 2) / extent
    figure, (axes,) = panels(_HEIGHT, _HEIGHT)
    axes.set_axis_off()
    axes.set_aspect("equal")
    axes.set_xlim(-0.56, 0.56)
    axes.set_ylim(-0.56, 0.56)
    colours = _colours(layout)
    for child, parent in enumerate(layout.parents):
        if parent >= 0:
            axes.plot(*spots[[child, parent]].T, color=LIGHT, linewidth=3.0, solid_capstyle="round", zorder=1)
    axes.scatter(spots[:, 0], spots[:, 1], s=26, c=colours, zorder=2)
    root = spots[[layout.centre]]
    axes.scatter(root[:, 0], root[:, 1], s=110, facecolors="none", edgecolors=INK, linewidths=1.2, zorder=3)
    _numbers(axes, spots, colours)
    _names(axes, layout, colours)
    counts = f"{len(layout.joints)} joints, {len(layout.pairs)} mirror pairs"
    title(axes, layout.name, f"{counts}, root {layout.joints[layout.centre]}")
    return figure


def _colours(layout: Layout) -> list[str]:
    """A colour for each joint, by its side."""
    colours = [INK] * len(layout.joints)
    for left, right in layout.pairs:
        colours[left], colours[right] = BLUE, ORANGE
    return colours


def _numbers(axes: Axes, spots: np.ndarray, colours: list[str]) -> None:
    """Numbers beside the joints, each in the direction in which joints and numbers are farthest off."""
    angles = np.radians(np.arange(20, 380, 30))
    around = _REACH * np.stack([np.cos(angles), np.sin(angles)], 1)
    taken = spots
    for joint, spot in enumerate(spots):
        free = np.linalg.norm(spot + around[:, None] - taken, axis=2).min(1)
        text = spot + around[int(np.argmax(free.round(3)))]
        taken = np.concatenate([taken, text[None]])
        axes.text(text[0], text[1], str(joint), color=colours[joint], fontsize=7.5, ha="center", va="center", zorder=4)


def _names(axes: Axes, layout: Layout, colours: list[str]) -> None:
    """The names, a line each, in columns as high as the body."""
    most = int(_HEIGHT / _LINE)
    columns = -(-len(layout.joints) // most)
    lines = -(-len(layout.joints) // columns)
    for joint, name in enumerate(layout.joints):
        column, line = divmod(joint, lines)
        x, y = 1.03 + 0.42 * column, 1.0 - (line + 0.5) * _LINE / _HEIGHT
        where: dict[str, Any] = {"transform": axes.transAxes, "fontsize": 8.5, "va": "center"}
        axes.text(x, y, f"{joint}", color=GREY, ha="right", **where)
        axes.text(x + 0.015, y, short(name, 30), color=colours[joint], ha="left", **where)
