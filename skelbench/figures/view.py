"""A sample as pictures: a strip of moments, and an animation. Persons have colours; what is missing looks missing."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from skelbench.card import Card
from skelbench.figures.style import BLUE, GREEN, GREY, INK, ORANGE, RED, SKY, drawing, image, short
from skelbench.prepare.prepared import Prepared
from skelbench.record import write_whole
from skelbench.sample import Sample
from skelbench.skeletons import Layout

COLOURS = (BLUE, RED, GREEN, ORANGE, SKY, INK)  # of persons, in turn
_HEADS, _FEET = ("head", "nose", "neck", "spine"), ("ankle", "foot", "toe", "knee", "hip", "waist")
_SIDE = 1.9  # inches of a picture of the strip
_PIXELS = 320  # of a picture of the animation
_MOMENTS = 200  # pictures of an animation at most
_WIDE = 0.6  # share of the widest from which on the first axis is the one to the right, as for a camera in front
_MARGIN = 0.06  # of the picture's side


@dataclass(frozen=True, eq=False)
class Scene:
    """A sample on paper."""

    name: str  # of the sample, and what was done to it
    layout: Layout
    spots: Float64[np.ndarray, "persons frames joints 2"]  # right and down, in shares of the picture's side
    gone: Bool[np.ndarray, "persons frames joints"]  # missing; the spot is then where the joint was seen last, or next
    there: Bool[np.ndarray, "persons frames"]  # whether the person has any joint
    frame: np.ndarray  # (frames,) of the recording


def scene(prepared: Prepared, layout: Layout, channels: Sequence[str], name: str) -> Scene:
    """Put a sample on paper: the image plane where it has one, else from where people look tallest and widest.

    Args:
        prepared: Persons and frames.
        layout: Their joints.
        channels: Names of the coordinates.
        name: What the picture is called.

    Returns:
        The scene, scaled so that all of it is seen.
    """
    values = prepared.keypoints.astype(np.float64)
    gone: np.ndarray = np.asarray(np.isnan(values).any(-1))
    flat = _plane(np.where(gone[..., None], np.nan, values), layout, channels)
    known = flat[~gone]
    low, high = (known.min(0), known.max(0)) if len(known) else (np.zeros(2), np.ones(2))
    extent = max(float((high - low).max()), 1e-9)
    spots = (flat - (low + high) / 2) / extent * (1 - 2 * _MARGIN) + 0.5
    there: np.ndarray = np.asarray(~gone.all(-1))
    return Scene(name, layout, _carried(spots, gone), gone, there, prepared.frame)


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
    for row, one in enumerate(scenes):
        frames = one.spots.shape[1]
        spread = np.linspace(0, max(frames - 1, 0), moments).round().astype(int)
        places: list[int] = np.unique(spread).tolist() if frames else []
        for column, place in enumerate(places):
            height = _SIDE / (rows * (_SIDE + 0.55))
            where = (column / moments, 1 - (row + 1) / rows + 0.02, 0.96 / moments, height)
            _panel(figure.add_axes(where), one, place)
        figure.text(0.002, 1 - row / rows - 0.012, short(one.name, 110), va="top", fontsize=9.5, weight="bold")
    return figure


def animation(scenes: Sequence[Scene], fps: float) -> bytes:
    """Draw a sample as an animated GIF; several scenes side by side, each with its own pace.

    Args:
        scenes: Such as one before and one after preparation.
        fps: Frames per second as recorded.

    Returns:
        The file, the same bytes each time; every n-th frame only where there are too many.
    """
    longest = max((one.spots.shape[1] for one in scenes), default=0)
    step = -(-longest // _MOMENTS) or 1
    pictures = []
    for moment in range(0, max(longest, 1), step):
        picture = Image.new("RGB", (_PIXELS * len(scenes), _PIXELS), "white")
        draw = ImageDraw.Draw(picture)
        for column, one in enumerate(scenes):
            count = one.spots.shape[1]
            place = moment * count // max(longest, 1)
            if count:
                _paint(draw, one, place, column * _PIXELS)
        pictures.append(picture)
    sink = io.BytesIO()
    pause = max(20, round(1000 * step / fps))
    pictures[0].save(sink, "GIF", save_all=True, append_images=pictures[1:], duration=pause, loop=0, optimize=False)
    return sink.getvalue()


def label_of(sample: Sample, card: Card) -> str:
    """What a sample shows, by the first target of its set, for people."""
    name, target = next(iter(card.targets.items()))
    value = sample.targets[name]
    if isinstance(value, tuple):
        there = [target.classes[place] for place, one in enumerate(value) if one == 1 and place < len(target.classes)]
        return ", ".join(there) or "none of the classes"
    if target.kind == "score" or not 0 <= int(value) < len(target.classes):
        return f"{name} {value}"
    return target.classes[int(value)]


def draw_view(scenes: Sequence[Scene], fps: float, out: Path, *, moments: int = 8) -> tuple[Path, Path]:
    """Write strip and animation of a sample.

    Args:
        scenes: What to draw; the first names the files.
        fps: Frames per second as recorded.
        out: Folder to write to, made where it is missing.
        moments: Pictures in the strip.

    Returns:
        The PNG and the GIF.
    """
    out.mkdir(parents=True, exist_ok=True)
    stem = re.sub(r"[^\w.-]", "_", scenes[0].name.partition(",")[0])[:120] or "sample"
    with drawing():
        png = image(strip(scenes, moments), "png")
    paths = out / f"{stem}.png", out / f"{stem}.gif"
    for path, data in zip(paths, (png, animation(scenes, fps)), strict=True):
        write_whole(path, data)
    return paths


def _plane(values: np.ndarray, layout: Layout, channels: Sequence[str]) -> np.ndarray:
    """Two axes, right and down."""
    if {"u", "v"} <= set(channels):
        return np.asarray(values[..., [channels.index("u"), channels.index("v")]])
    heads, feet = (
        [place for place, joint in enumerate(layout.joints) if any(word in joint.lower() for word in words)]
        for words in (_HEADS, _FEET)
    )
    up, sign = 1, 1.0
    if heads and feet and np.isfinite(values).any():
        tall = _median(_mean(values[:, :, heads]) - _mean(values[:, :, feet]))
        up = int(np.argmax(np.abs(tall)))
        sign = float(np.sign(tall[up])) or 1.0
    others = [axis for axis in range(values.shape[-1]) if axis != up]
    wide = _median(np.ptp(np.where(np.isnan(values), _mean(values)[:, :, None], values), axis=2))
    across = next(axis for axis in others if wide[axis] >= _WIDE * max(wide[other] for other in others))
    return np.stack([values[..., across], -sign * values[..., up]], -1)


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over the joints that are there; NaN where none is."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, values, 0).sum(2) / known.sum(2))


def _median(values: np.ndarray) -> np.ndarray:
    """Median over persons and frames."""
    flat = values.reshape(-1, values.shape[-1])
    known = flat[~np.isnan(flat).any(-1)]
    return np.asarray(np.median(known, 0) if len(known) else np.zeros(values.shape[-1]))


def _carried(spots: np.ndarray, gone: np.ndarray) -> np.ndarray:
    """Where each joint was seen last, or else is seen next; NaN where it never is."""
    frames = spots.shape[1]
    place = np.arange(frames)[None, :, None]
    last = np.maximum.accumulate(np.where(gone, -1, place), axis=1)
    following = np.minimum.accumulate(np.where(gone, frames, place)[:, ::-1], axis=1)[:, ::-1]
    chosen = np.where(last >= 0, last, following)
    filled = np.take_along_axis(spots, np.minimum(chosen, max(frames - 1, 0))[..., None], axis=1)
    return np.asarray(np.where((chosen < frames)[..., None], filled, np.nan))


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
