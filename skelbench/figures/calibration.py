"""Calibration: whether a network that is 80 % sure is right in 80 % of the cases. And of scores, found against true."""

import numpy as np
from matplotlib.figure import Figure

from skelbench.figures.style import BLUE, GREY, INK, LIGHT, ORANGE, panels, title, wilson
from skelbench.metrics import ECE_BINS, confidence_bins


def reliability(logits: np.ndarray, target: np.ndarray, about: str) -> Figure:
    """Draw accuracy over confidence, and how often each confidence occurs.

    Args:
        logits: (N, K).
        target: (N,) labelled.
        about: Which run it is, with its calibration error.

    Returns:
        Above, the 15 bins of the expected calibration error with 95 % intervals; below, how many samples each holds.
    """
    confidence, place = confidence_bins(logits)
    right = logits.argmax(axis=1) == target
    count = np.bincount(place, minlength=ECE_BINS)
    figure, (above, below) = panels(4.6, 4.0, 1.1, gap=0.35)
    edges = 100 * np.arange(ECE_BINS) / ECE_BINS
    above.plot([0, 100], [0, 100], color=GREY, ls="--", lw=1.0, label="calibrated")
    filled = np.flatnonzero(count)
    hits = [int(right[place == each].sum()) for each in filled]
    sure = [100 * confidence[place == each].mean() for each in filled]
    shares = [100 * number / count[each] for number, each in zip(hits, filled, strict=True)]
    spans = [wilson(number, int(count[each])) for number, each in zip(hits, filled, strict=True)]
    above.vlines(sure, sure, shares, color=ORANGE, lw=3.5, zorder=2, label="gap to confidence")
    above.vlines(sure, [100 * low for low, _ in spans], [100 * high for _, high in spans], color=INK, lw=0.8, zorder=3)
    above.plot(sure, shares, "o", color=BLUE, ms=5, zorder=4, label="right, 95 % interval", clip_on=False)
    below.bar(edges, count, width=100 / ECE_BINS, align="edge", color=BLUE, alpha=0.85, edgecolor="white", lw=0.6)
    for axes in (above, below):
        axes.set_xlim(0, 100)
        axes.grid(axis="y", color=LIGHT, lw=0.6)
        axes.set_axisbelow(True)
    above.set_ylim(0, 100)
    above.set_ylabel("right among them, %")
    above.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, columnspacing=1.2, borderaxespad=0.2)
    below.set_ylabel("samples")
    below.set_xlabel("confidence of the prediction, %")
    title(above, "Calibration", about, above=20.0)
    return figure


def found_against_true(found: np.ndarray, target: np.ndarray, about: str) -> Figure:
    """Draw predicted numbers against true ones.

    Args:
        found: (N,) predicted.
        target: (N,) true, in the same unit.
        about: Which run it is, with its error.

    Returns:
        A point for each sample, and the line on which they should lie.
    """
    figure, (axes,) = panels(4.6, 4.6)
    low, high = float(min(found.min(), target.min())), float(max(found.max(), target.max()))
    pad = 0.04 * (high - low or 1.0)
    axes.plot([low - pad, high + pad], [low - pad, high + pad], color=GREY, ls="--", lw=1.0, label="without error")
    axes.plot(target, found, "o", color=BLUE, ms=3.5, alpha=0.5, mec="none", label="one sample")
    axes.set_xlim(low - pad, high + pad)
    axes.set_ylim(low - pad, high + pad)
    axes.set_xlabel("true score")
    axes.set_ylabel("predicted score")
    axes.grid(color=LIGHT, lw=0.6)
    axes.set_axisbelow(True)
    axes.legend(loc="upper left")
    title(axes, "Predicted against true scores", about)
    return figure
