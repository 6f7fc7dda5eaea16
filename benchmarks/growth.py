"""Time and memory of a conversion as the data set grows: `python -m benchmarks.growth` writes growth.svg."""

import sys
import tempfile
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.measure import Measured, rounds
from benchmarks.works import GROWTH, SIZES

PICTURE = Path(__file__).with_name("growth.svg")


def main() -> None:
    """Measure all sizes, print them, draw them."""
    found: dict[str, list[Measured]] = {}
    for name, work in GROWTH.items():
        with tempfile.TemporaryDirectory(prefix="skelbench-growth-") as folder:
            for one in rounds(work, Path(folder), 1, lambda line: sys.stderr.write(line + "\n")):
                found.setdefault(one.way, []).append(one)
                sys.stdout.write(f"{name}, {one.way}: {one.second:.2f} s, {one.peak:.0f} MB\n")
    matplotlib.rcParams["svg.hashsalt"] = "growth"
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    time, memory = figure.subplots(1, 2)
    _draw(time, {way: [one.second for one in rows] for way, rows in found.items()}, "seconds")
    _draw(memory, {way: [one.peak for one in rows] for way, rows in found.items()}, "peak memory, MB")
    time.set_yscale("log")
    memory.set_ylim(bottom=0)
    figure.savefig(PICTURE, metadata={"Date": None})


def _draw(axes: Axes, lines: dict[str, list[float]], label: str) -> None:
    """One line a way over the sizes."""
    for way, values in lines.items():
        axes.plot(SIZES, values, marker="o", label=way)
    axes.set_xscale("log")
    axes.set_xticks(SIZES, [f"{size:,}" for size in SIZES], minor=False)
    axes.set_xticks([], minor=True)
    axes.set_xlabel("clips")
    axes.set_ylabel(label)
    axes.legend(frameon=False)


if __name__ == "__main__":
    main()
