"""Learning curves: loss, learning rate, and what `--oracle` looked at."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from skelbench.figures.style import BLUE, GREEN, GREY, LIGHT, ORANGE, RED, SKY, panels, title
from skelbench.metrics import PLAIN

FEW = 40  # epochs up to which each is marked by a dot
COLOURS = (ORANGE, GREEN, RED, SKY)


@dataclass(frozen=True)
class Epoch:
    """What a figure needs of one line of log.jsonl."""

    stage: int  # counted from 0
    loss: float
    parts: Mapping[str, float]
    lr: float
    watched: Mapping[str, float]  # metrics on the scored part, looked at for --oracle


def curves(epochs: Sequence[Epoch], about: str) -> Figure:
    """Draw loss and learning rate over the epochs of all stages.

    Args:
        epochs: In their order, at least one.
        about: Which run it is.

    Returns:
        A figure with a panel for each: loss and its parts, learning rate, and metrics on the scored part where the
        run looked at them.
    """
    watched = list(dict.fromkeys(name for epoch in epochs for name in epoch.watched))
    figure, axes = panels(7.5, 3.0, 1.2, *([2.4] if watched else []), gap=0.3)
    marker = "o" if len(epochs) <= FEW else ""
    loss, rate = axes[0], axes[1]
    _line(loss, epochs, [epoch.loss for epoch in epochs], color=BLUE, marker=marker, ms=3, lw=1.8, label="loss")
    parts = list(dict.fromkeys(name for epoch in epochs for name in epoch.parts))
    if len(parts) > 1:
        for name, colour in zip(parts, COLOURS, strict=False):
            values = [epoch.parts.get(name, math.nan) for epoch in epochs]
            _line(loss, epochs, values, color=colour, lw=1.1, ls="--", label=name)
        loss.legend(loc="upper right")
    loss.set_ylabel("training loss\n(mean over an epoch)")
    loss.set_ylim(bottom=min(0.0, *(epoch.loss for epoch in epochs)))
    title(loss, "Learning curves", about, above=12.0 if epochs[-1].stage else 0.0)
    _stages(loss, epochs)
    _line(rate, epochs, [epoch.lr for epoch in epochs], color=GREY, marker=marker, ms=2.5, lw=1.4)
    rate.set_ylabel("learning rate\n(last step)")
    rate.set_ylim(bottom=0)
    if watched:
        _watched(axes[2], epochs, watched)
    for each in axes:
        _along(each, epochs)
        each.tick_params(axis="x", labelbottom=each is axes[-1])
    axes[-1].set_xlabel("epoch")
    return figure


def _watched(axes: Axes, epochs: Sequence[Epoch], names: Sequence[str]) -> None:
    """Metrics on the scored part, shares in percent; the last epoch is the result."""
    for name, colour in zip(names, (BLUE, *COLOURS), strict=False):
        scale = 1 if name in PLAIN else 100
        values = [scale * epoch.watched.get(name, math.nan) for epoch in epochs]
        _line(axes, epochs, values, color=colour, lw=1.6, label=name)
        axes.plot([len(epochs)], values[-1:], color=colour, marker="o", ms=5)
    axes.set_ylabel("scored part, %\n(looked at: --oracle)")
    axes.legend(loc="lower right", title="the dot, the last epoch, is the result", title_fontsize=7.5)


def _line(axes: Axes, epochs: Sequence[Epoch], values: Sequence[float], **how: Any) -> None:
    """A curve over the epochs, broken where a stage begins."""
    ends = [*_begins(epochs)[1:], len(epochs)]
    for begin, end in zip(_begins(epochs), ends, strict=True):
        axes.plot(range(begin + 1, end + 1), values[begin:end], **how)
        how["label"] = None  # one entry in the legend


def _along(axes: Axes, epochs: Sequence[Epoch]) -> None:
    """Whole epochs on the axis, a grid, and where a stage begins."""
    axes.set_xlim(0.5, len(epochs) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    axes.grid(axis="y", color=LIGHT, lw=0.6)
    axes.set_axisbelow(True)
    for place in _begins(epochs)[1:]:
        axes.axvline(place + 0.5, color=GREY, lw=0.8, ls=":")


def _stages(axes: Axes, epochs: Sequence[Epoch]) -> None:
    """Names of the stages, where there are several."""
    for place in _begins(epochs) if epochs[-1].stage else ():
        where: dict[str, Any] = {"xy": (place + 0.5, 1.0), "xycoords": ("data", "axes fraction"), "xytext": (3, 3)}
        axes.annotate(f"stage {epochs[place].stage + 1}", **where, textcoords="offset points", fontsize=7.5, color=GREY)


def _begins(epochs: Sequence[Epoch]) -> list[int]:
    """The first epoch of each stage."""
    return [place for place, epoch in enumerate(epochs) if not place or epoch.stage != epochs[place - 1].stage]
