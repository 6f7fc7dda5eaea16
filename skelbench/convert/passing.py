"""How what another process has read comes to this one: its rows as they are, its arrays by way of a file.

Through a pipe arrays would come 64 KB at a time, and the other process would wait for this one each time.
"""

import math
import mmap
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from skelbench.convert.staging import PIECE, Chunk


@dataclass(frozen=True)
class Left:
    """A chunk whose arrays lie in a file, one after the other."""

    path: Path
    chunk: Chunk  # without arrays
    arrays: Mapping[str, tuple[str, tuple[int, ...]]]  # type and shape of each


def leave(chunk: Chunk, folder: Path) -> Left:
    """Put the arrays of a chunk into a new file of a folder.

    Raises:
        OSError: If the disk is full or cannot be written; then nothing is left behind.
    """
    arrays = chunk.block.arrays
    with tempfile.NamedTemporaryFile(prefix=PIECE, dir=folder, delete=False) as file:
        path = Path(file.name)
        try:
            for array in arrays.values():
                file.write(array.data)
            file.flush()
        except BaseException:
            path.unlink()
            raise
    bare = replace(chunk, block=replace(chunk.block, arrays={}))
    return Left(path, bare, {name: (array.dtype.str, array.shape) for name, array in arrays.items()})


def take(left: Left) -> Chunk:
    """The whole chunk, its arrays a map of the file, whose name is removed.

    Raises:
        OSError: If the file is gone or cannot be read.
    """
    with left.path.open("rb") as file:
        size = file.seek(0, 2)
        pages = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) if size else b""
    left.path.unlink()
    arrays = {}
    begin = 0
    for name, (kind, shape) in left.arrays.items():
        count = math.prod(shape)
        arrays[name] = np.frombuffer(pages, kind, count, begin).reshape(shape) if count else np.empty(shape, kind)
        begin += arrays[name].nbytes
    return replace(left.chunk, block=replace(left.chunk.block, arrays=arrays))
