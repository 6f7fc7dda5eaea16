"""Raw data for benchmarks, made by code: like the real thing in size and number format, so that no way has it easy."""

import itertools
import os
import re
import zipfile
from pathlib import Path

import numpy as np

from skelbench.synthetic.raw import write_raw

_ORIENTED = 18  # of 25 joints have an orientation; the others are written as zeros
_PLAIN = re.compile(rb"( 0 0 0 0 2)(?=\r\n|$)")


def kinect_texts(folder: Path, *, clips: int, archive: bool = False, made: int = 300) -> None:
    """Write NTU RGB+D texts.

    Args:
        folder: Where to; it must not exist.
        clips: How many files.
        archive: Whether they lie in one zip, deflated.
        made: How many of them differ; the others are links to these under names of their own.
    """
    plain = folder.with_name(folder.name + "-files") if archive else folder
    write_raw("ntu60", plain, samples=min(clips, made), seed=0, archive=False, defects=False)
    files = sorted(plain.rglob("*.skeleton"))
    rng = np.random.default_rng(0)
    pool = [f" {' '.join(f'{value:.7g}' for value in rng.normal(size=4) / 2)} 2".encode() for _ in range(997)]
    for path in files:
        path.write_bytes(_with_orientations(path.read_bytes(), pool))
    _multiply(files, clips)
    if archive:
        folder.mkdir()
        with zipfile.ZipFile(folder / "ntu60.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=6) as packed:
            for path in sorted(plain.rglob("*.skeleton")):
                packed.write(path, path.relative_to(plain))


def _with_orientations(text: bytes, pool: list[bytes]) -> bytes:
    """The text with numbers where the writer of the twin leaves zeros, but for the joints at the ends of limbs."""
    fill = itertools.cycle(pool)
    turn = itertools.cycle(range(25))
    return _PLAIN.sub(lambda found: next(fill) if next(turn) < _ORIENTED else found[1], text)


def _multiply(files: list[Path], clips: int) -> None:
    """Links to files under other names of the data set, until there are enough."""
    taken = {path.name for path in files}
    names = (
        f"S{setup:03d}C{camera:03d}P{subject:03d}R{again:03d}A{action:03d}.skeleton"
        for setup, again, subject, camera, action in itertools.product(
            range(1, 18), (1, 2), range(1, 41), (1, 2, 3), range(1, 61)
        )
    )
    missing = clips - len(files)
    free = (name for name in names if name not in taken)
    for path, name in zip(itertools.cycle(files), itertools.islice(free, max(missing, 0))):
        os.link(path, path.with_name(name))


def ucla_zip(folder: Path) -> None:
    """Write a zip of NW-UCLA's JSON files."""
    write_raw("nw_ucla", folder, samples=400, seed=0, archive=True, defects=False)
