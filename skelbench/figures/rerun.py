"""A sample as a recording of the viewer Rerun, of the extra `view`."""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skelbench.errors import UsageError
from skelbench.figures.view import COLOURS
from skelbench.prepare.prepared import Prepared
from skelbench.skeletons import Layout


def write_rerun(shown: Sequence[tuple[str, Prepared, Layout]], channels: Sequence[str], path: Path) -> Path:
    """Write an `.rrd` file: joints and bones of every person by frame.

    Args:
        shown: Name, persons and layout of each scene, such as before and after.
        channels: Names of the coordinates; those in space where there are three, else those of the image.
        path: Where to.

    Returns:
        The path.

    Raises:
        UsageError: If Rerun is not installed.
    """
    try:
        viewer: Any = importlib.import_module("rerun")
    except ImportError as error:
        raise UsageError("--rerun needs the extra `view`: pip install 'skelbench[view]'.") from error
    axes = [place for place, channel in enumerate(channels) if channel in "xyz"]
    if len(axes) < 3 or not any(_any_seen(one, axes) for _, one, _ in shown):
        axes = [place for place, channel in enumerate(channels) if channel in "uv"] or axes
    viewer.init("skelbench", spawn=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    viewer.save(str(path))
    points, lines = (viewer.Points3D, viewer.LineStrips3D) if len(axes) == 3 else (viewer.Points2D, viewer.LineStrips2D)
    for name, prepared, layout in shown:
        for place, frame in enumerate(prepared.frame.tolist()):
            viewer.set_time("frame", sequence=frame)
            for person in range(len(prepared.keypoints)):
                spots = prepared.keypoints[person, place][:, axes]
                known = ~np.isnan(spots).any(-1)
                bones = [
                    spots[[child, parent]]
                    for child, parent in enumerate(layout.parents)
                    if parent >= 0 and known[child] and known[parent]
                ]
                colour = _rgb(COLOURS[person % len(COLOURS)])
                where = f"{name}/person {person}"
                viewer.log(f"{where}/joints", points(spots[known], colors=[colour]))
                viewer.log(f"{where}/bones", lines(bones, colors=[colour]))
    viewer.disconnect()
    return path


def _any_seen(prepared: Prepared, axes: Sequence[int]) -> bool:
    """Whether any joint is known on these axes."""
    return bool((~np.isnan(prepared.keypoints[..., axes])).all(-1).any())


def _rgb(colour: str) -> tuple[int, int, int]:
    """`#0072B2` as numbers."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
