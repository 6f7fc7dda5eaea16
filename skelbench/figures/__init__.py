"""Figures of one run, for readers: learning curves, confusion, classes, calibration."""

from skelbench.figures.draw import Drawn, draw

__all__ = ["Drawn", "draw"]
