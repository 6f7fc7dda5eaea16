"""How large arrays come from one process to another: by way of a file, which is mapped and loses its name.

Through a pipe they would come 64 KB at a time, and the other process would wait for this one each time.
"""

import math
import mmap
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

PIECE = "piece-"  # what the names of such files begin with


@dataclass(frozen=True)
class Left:
    """Arrays that lie in a file, one after the other."""

    path: Path
    arrays: Mapping[str, tuple[str, tuple[int, ...]]]  # type and shape of each


def leave(arrays: Mapping[str, np.ndarray], folder: Path) -> Left:
    """Put arrays into a new file of a folder.

    Args:
        arrays: Contiguous ones.
        folder: What stops before it takes them leaves the file there.

    Raises:
        OSError: If the disk is full or cannot be written; then nothing is left behind.
    """
    with tempfile.NamedTemporaryFile(prefix=PIECE, dir=folder, delete=False) as file:
        path = Path(file.name)
        try:
            for array in arrays.values():
                file.write(array.data)
            file.flush()
        except BaseException:
            path.unlink()
            raise
    return Left(path, {name: (array.dtype.str, array.shape) for name, array in arrays.items()})


def take(left: Left) -> dict[str, np.ndarray]:
    """The arrays, read-only, which hold the file for as long as they are held; its name is gone.

    Raises:
        OSError: If the file is gone or cannot be read.
    """
    with left.path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        pages = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) if size else b""
    left.path.unlink()
    arrays: dict[str, np.ndarray] = {}
    begin = 0
    for name, (kind, shape) in left.arrays.items():
        count = math.prod(shape)
        arrays[name] = np.frombuffer(pages, kind, count, begin).reshape(shape) if count else np.empty(shape, kind)
        begin += arrays[name].nbytes
    return arrays
