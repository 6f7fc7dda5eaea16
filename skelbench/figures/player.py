"""A sample as a page that plays it: one file, no network, nothing to install."""

import base64
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined

from skelbench.figures.scene import Scene, Sight
from skelbench.figures.style import BLUE, GREEN, ORANGE, RED, SKY

PERSONS = (BLUE, RED, GREEN, ORANGE, SKY, "#CC79A7")  # their colours in turn, seen on light and dark paper
_STEPS = 20_000  # of a coordinate from one side of the picture to the other
_MISSING = -32_768
_MOST = 6_000_000  # numbers of a page (16 MB); of longer samples every n-th frame is kept
_LANES = 12  # rows of overlapping segments


def page(
    scenes: Sequence[Scene], fps: float, facts: Mapping[str, str], segments: Sequence[tuple[int, int, str]]
) -> str:
    """Make a page that plays a sample: play, pause, speed, every frame; what is in space can be turned.

    Args:
        scenes: Such as one before and one after preparation; they stand beside each other, at the same frame.
        fps: Frames per second as recorded.
        facts: What is known of the sample, by name.
        segments: Start, end (half open) and name of what is marked in it.

    Returns:
        HTML, the same for the same sample.
    """
    size = sum(sight.spots.size for one in scenes for sight in one.sights)
    step = max(1, -(-size // _MOST))
    length = max([one.length for one in scenes] + [end for _, end, _ in segments])
    data = {
        "fps": fps,
        "step": step,
        "length": max(length, 1),
        "steps": _STEPS,
        "missing": _MISSING,
        "colours": PERSONS,
        "scenes": [_scene(one, step) for one in scenes],
        "segments": _in_lanes(segments),
    }
    text = resources.files("skelbench.figures").joinpath("player.html.j2").read_text(encoding="utf-8")
    made = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return made.from_string(text).render(title=scenes[0].name, facts=dict(facts), data=data)


def _scene(one: Scene, step: int) -> dict[str, Any]:
    """A scene as plain values."""
    layout = one.layout
    return {
        "name": one.name,
        "joints": layout.joints,
        "bones": [[child, parent] for child, parent in enumerate(layout.parents) if parent >= 0],
        "frame": one.frame[::step].tolist(),
        "persons": len(one.spots),
        "sights": [_sight(sight, step) for sight in one.sights],
    }


def _sight(sight: Sight, step: int) -> dict[str, Any]:
    """Coordinates as 16-bit numbers, and a byte for each joint that is missing."""
    spots = sight.spots[:, ::step]
    number = np.where(np.isnan(spots), _MISSING, np.clip(np.round(np.nan_to_num(spots) * _STEPS), -32_767, 32_767))
    return {
        "axes": spots.shape[-1],
        "spots": base64.b64encode(number.astype("<i2").tobytes()).decode(),
        "gone": base64.b64encode(np.packbits(sight.gone[:, ::step], bitorder="little").tobytes()).decode(),
    }


def _in_lanes(segments: Sequence[tuple[int, int, str]]) -> list[dict[str, Any]]:
    """Segments with a row for each, so that those that overlap stand below each other; one colour a name."""
    ends: list[int] = []
    colours: dict[str, int] = {}
    made = []
    for start, end, name in sorted(segments):
        lane = next((place for place, free in enumerate(ends) if free <= start), len(ends))
        ends[lane : lane + 1] = [end]
        colour = colours.setdefault(name, len(colours))
        made.append({"start": start, "end": end, "name": name, "lane": min(lane, _LANES - 1), "colour": colour})
    return made
