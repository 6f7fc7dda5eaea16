"""A sample as pictures: a strip of moments, and an animation. Persons have colours; what is missing looks missing."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from skelbench.figures.scene import Scene
from skelbench.figures.style import BLUE, GREEN, GREY, INK, ORANGE, RED, SKY, drawing, image, short
from skelbench.record import write_whole

COLOURS = (BLUE, RED, GREEN, ORANGE, SKY, INK)  # of persons, in turn
_SIDE = 1.9  # inches of a picture of the strip
_PIXELS = 320  # of a picture of the animation
_MOMENTS = 200  # pictures of an animation at most


def strip(scenes: Sequence[Scene], moments: int = 8) -> Figure:
    """Draw moments of a sample side by side, evenly spread over its time; several scenes below each other.

    Args:
        scenes: Such as one before and one after preparation.
        moments: Pictures in a row.

    Returns:
        The figure.
    """
    rows = len(scenes)
    figure = Figure(figsize=(moments * _SIDE, rows * (_SIDE + 0.55)))
    longest = max((one.length for one in scenes), default=0)
    shown = np.unique(np.linspace(0, max(longest - 1, 0), moments).round().astype(int)).tolist()
    for row, one in enumerate(scenes):
        for column, frame in enumerate(shown if one.length else ()):
            height = _SIDE / (rows * (_SIDE + 0.55))
            where = (column / moments, 1 - (row + 1) / rows + 0.02, 0.96 / moments, height)
            _panel(figure.add_axes(where), one, one.place(frame))
        figure.text(0.002, 1 - row / rows - 0.012, short(one.name, 110), va="top", fontsize=9.5, weight="bold")
    return figure


def animation(scenes: Sequence[Scene], fps: float) -> bytes:
    """Draw a sample as an animated GIF; several scenes side by side, each at the same frame of the recording.

    Args:
        scenes: Such as one before and one after preparation.
        fps: Frames per second as recorded.

    Returns:
        The file, the same bytes each time; every n-th frame only where there are too many.
    """
    longest = max((one.length for one in scenes), default=0)
    step = -(-longest // _MOMENTS) or 1
    pictures = []
    for frame in range(0, max(longest, 1), step):
        picture = Image.new("RGB", (_PIXELS * len(scenes), _PIXELS), "white")
        draw = ImageDraw.Draw(picture)
        for column, one in enumerate(scenes):
            if one.length:
                _paint(draw, one, one.place(frame), column * _PIXELS)
        pictures.append(picture)
    sink = io.BytesIO()
    pause = max(20, round(1000 * step / fps))
    pictures[0].save(sink, "GIF", save_all=True, append_images=pictures[1:], duration=pause, loop=0, optimize=False)
    return sink.getvalue()


def draw_view(scenes: Sequence[Scene], fps: float, stem: Path, *, moments: int = 8) -> tuple[Path, Path]:
    """Write strip and animation of a sample.

    Args:
        scenes: What to draw.
        fps: Frames per second as recorded.
        stem: Where to, without an ending; folders are made where they are missing.
        moments: Pictures in the strip.

    Returns:
        The PNG and the GIF.
    """
    stem.parent.mkdir(parents=True, exist_ok=True)
    with drawing():
        png = image(strip(scenes, moments), "png")
    paths = stem.with_name(f"{stem.name}.png"), stem.with_name(f"{stem.name}.gif")
    for path, data in zip(paths, (png, animation(scenes, fps)), strict=True):
        write_whole(path, data)
    return paths


def _panel(axes: Axes, one: Scene, place: int) -> None:
    """One moment of the strip."""
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(1, 0)
    axes.set_aspect("equal")
    for person in np.flatnonzero(one.there[:, place]).tolist():
        colour = COLOURS[person % len(COLOURS)]
        spots, gone = one.spots[person, place], one.gone[person, place]
        for child, parent in enumerate(one.layout.parents):
            if parent >= 0:
                lost = gone[[child, parent]].any()
                axes.plot(
                    *spots[[child, parent]].T, color=GREY if lost else colour, lw=0.8 if lost else 1.6,
                    ls=":" if lost else "-",
                )  # fmt: skip
        axes.scatter(spots[~gone, 0], spots[~gone, 1], s=5, color=colour, zorder=3)
        axes.scatter(spots[gone, 0], spots[gone, 1], s=18, marker="x", color=GREY, linewidths=0.9, zorder=3)
    missing = int(one.gone[one.there[:, place], place].sum())
    told = f"frame {int(one.frame[place])}" + (f", {missing} missing" if missing else "")
    nobody = "" if one.there[:, place].any() else ", nobody"
    axes.text(0.5, 1.03, told + nobody, ha="center", va="top", fontsize=7.5, color=GREY)


def _paint(draw: ImageDraw.ImageDraw, one: Scene, place: int, left: int) -> None:
    """One moment of the animation."""
    for person in np.flatnonzero(one.there[:, place]).tolist():
        colour = COLOURS[person % len(COLOURS)]
        gone = one.gone[person, place]
        spots = one.spots[person, place] * _PIXELS + (left, 0)
        seen = ~np.isnan(spots).any(-1)
        for child, parent in enumerate(one.layout.parents):
            if parent >= 0 and seen[child] and seen[parent]:
                lost = bool(gone[[child, parent]].any())
                ends = [tuple(spots[child]), tuple(spots[parent])]
                draw.line(ends, fill="#CCCCCC" if lost else colour, width=1 if lost else 3)
        for (x, y), lost in zip(spots[seen], gone[seen], strict=True):
            if lost:
                draw.line([(x - 3, y - 3), (x + 3, y + 3)], fill=GREY)
                draw.line([(x - 3, y + 3), (x + 3, y - 3)], fill=GREY)
            else:
                draw.ellipse([x - 2.5, y - 2.5, x + 2.5, y + 2.5], fill=colour)
    label = "" if one.there[:, place].any() else ", nobody"
    draw.text((left + 6, _PIXELS - 14), f"frame {int(one.frame[place])}{label}", fill=GREY)
