"""Confusion: the whole matrix, readable at 60 and 120 classes, and the confusions that occur most."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from skelbench.figures.style import GREY, INK, LIGHT, RED, drawn, panels, title

NAMED_BELOW = 20  # classes up to which predictions are named, not only numbered
COUNTED = 25  # classes up to which every cell shows its count
WORTH_A_NUMBER = 0.05  # of a row: from here on a cell of a larger matrix shows its percentage
READABLE = 160  # classes up to which all of them are labelled
MOST = 20  # confusions in the list
SHADES = LinearSegmentedColormap.from_list("shades", ["#FFFFFF", "#C6DBEF", "#6BAED6", "#2171B5", "#08306B"])
DARK = 0.25  # share of a row from which on white letters are read better


def matrix(counts: np.ndarray, classes: Sequence[str], about: str) -> Figure:
    """Draw a confusion matrix, each row in shares of its class.

    Args:
        counts: (K, K) samples by target and prediction.
        classes: K names.
        about: Which run it is.

    Returns:
        A figure whose size grows with the classes: targets by number and name, predictions by number, by name too
        where they are few. Small shares are made visible by a root scale. Up to 25 classes show counts, more show
        percentages from 5 on.
    """
    k = len(classes)
    cell = max(0.5, 4.0 / k) if k <= 12 else 0.38 if k <= COUNTED else max(0.155 if k <= READABLE else 0.05, 4.5 / k)
    size = 6.0 if k > COUNTED else 8.0
    figure, (axes,) = panels(k * cell, k * cell)
    support = counts.sum(axis=1)
    shares = np.divide(counts, support[:, None], out=np.zeros(counts.shape), where=support[:, None] > 0)
    shown = axes.imshow(shares, cmap=SHADES, norm=PowerNorm(0.5, 0, 1), aspect="auto", interpolation="nearest")
    _absent(axes, support)
    _labels(axes, classes, support, size=size)
    _lines(axes, k)
    if k <= READABLE:
        _numbers(axes, counts, shares)
    bar = figure.colorbar(shown, cax=axes.inset_axes((1.0 + 0.15 / (k * cell), 0.0, 0.16 / (k * cell), 1.0)))
    bar.set_ticks([0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1], labels=["0", "1", "5", "10", "25", "50", "75", "100"])
    bar.set_label("share of the class, % (root scale)")
    bar.outline.set_visible(False)
    numbered = "" if k <= NAMED_BELOW else ", by number"
    axes.set_xlabel(f"predicted class{numbered}", labelpad=8)
    axes.set_ylabel("target: number, name (samples)" if k <= READABLE else "target, by number", labelpad=8)
    cells = "cells: samples" if k <= COUNTED else "numbers: % of the class, from 5" if k <= READABLE else ""
    title(axes, "Confusion", "  ·  ".join(filter(None, (about, cells))), above=0.0 if k <= NAMED_BELOW else 14.0)
    return figure


def most_confused(counts: np.ndarray, classes: Sequence[str], about: str) -> Figure | None:
    """List the confusions that occur most, as shares of their class.

    Args:
        counts: (K, K) samples by target and prediction.
        classes: K names.
        about: Which run it is.

    Returns:
        Bars, the largest share first, equal shares by number of samples; None where nothing was confused.
    """
    support = counts.sum(axis=1)
    wrong = counts * ~np.eye(len(counts), dtype=bool)
    pairs = [(wrong[a, b] / support[a], int(wrong[a, b]), a, b) for a, b in np.argwhere(wrong > 0)]
    pairs = sorted(pairs, key=lambda pair: (-pair[0], -pair[1], pair[2], pair[3]))[:MOST]
    if not pairs:
        return None
    figure, (axes,) = panels(5.0, 0.26 * len(pairs) + 0.1)
    places = range(len(pairs))
    axes.barh(places, [100 * share for share, *_ in pairs], color=RED, height=0.72)
    for place, (share, n, a, _) in enumerate(pairs):
        text = f"{100 * share:.0f} %  ({n} of {support[a]})"
        axes.annotate(text, (100 * share, place), (4, 0), textcoords="offset points", va="center", fontsize=7.5)
    named = [f"{place}  {drawn(name, 34)}" for place, name in enumerate(classes)]
    axes.set_yticks(places, labels=[f"{named[a]}  →  {named[b]}" for _, _, a, b in pairs])
    axes.set_ylim(len(pairs) - 0.4, -0.6)
    axes.set_xlim(0, 100 * max(share for share, *_ in pairs) * 1.3)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("share of the class taken for another, %")
    axes.grid(axis="x", color=LIGHT, lw=0.6)
    axes.set_axisbelow(True)
    title(axes, "Most frequent confusions: target → prediction", about)
    return figure


def _labels(axes: Axes, classes: Sequence[str], support: np.ndarray, *, size: float) -> None:
    """Numbers and names on both sides."""
    k = len(classes)
    axes.tick_params(length=0, labelsize=size)
    if k > READABLE:
        axes.xaxis.set_major_locator(FixedLocator(range(0, k, 10)))
        axes.yaxis.set_major_locator(FixedLocator(range(0, k, 10)))
        return
    names = [f"{place}  {drawn(name)} ({n})" for place, (name, n) in enumerate(zip(classes, support, strict=True))]
    axes.set_yticks(range(k), labels=names)
    if k <= NAMED_BELOW:
        tilted = [f"{place}  {drawn(name, 30)}" for place, name in enumerate(classes)]
        axes.set_xticks(range(k), labels=tilted, rotation=40, ha="right", rotation_mode="anchor")
        return
    axes.set_xticks(range(k), labels=[str(place) for place in range(k)], rotation=90 if k > 60 else 0)
    axes.tick_params(axis="x", top=True, labeltop=True, bottom=True, labelbottom=True, length=0)


def _lines(axes: Axes, k: int) -> None:
    """Lines that lead the eye: around every cell of a small matrix, every fifth of a larger one."""
    step = 1 if k <= COUNTED else 5
    for place in np.arange(step, k, step) - 0.5:
        strong = k > COUNTED and (place + 0.5) % 10 == 0
        for line in (axes.axhline, axes.axvline):
            line(place, color="#AAAAAA" if strong else LIGHT, lw=0.6 if strong else 0.4, zorder=2)
    axes.xaxis.set_minor_locator(NullLocator())
    for side in axes.spines.values():
        side.set(visible=True, color=GREY, linewidth=0.8)


def _absent(axes: Axes, support: np.ndarray) -> None:
    """Rows of classes without a sample."""
    for place in np.flatnonzero(support == 0):
        axes.axhspan(place - 0.5, place + 0.5, facecolor="#F2F2F2", edgecolor="#C8C8C8", hatch="////", lw=0, zorder=1)


def _numbers(axes: Axes, counts: np.ndarray, shares: np.ndarray) -> None:
    """Counts in a small matrix, percentages worth a look in a larger one."""
    small = len(counts) <= COUNTED
    for row, column in np.argwhere(counts > 0):
        share = shares[row, column]
        if not small and (share < WORTH_A_NUMBER):
            continue
        text = str(counts[row, column]) if small else f"{100 * share:.0f}"
        size = 8.0 if small else 5.0 if len(text) < 3 else 4.2
        colour = "#FFFFFF" if share >= DARK else INK
        axes.text(column, row, text, ha="center", va="center", fontsize=size, color=colour, zorder=3)
