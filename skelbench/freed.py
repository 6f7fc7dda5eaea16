"""Whether memory that is freed goes back to the system at once, for work that soon takes as much again."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM, _MAP = -1, -3  # numbers of glibc's settings (malloc.h): M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
_KEPT = 1 << 30  # bytes that may lie free, and from which on a piece is the system's affair
_USUAL = {_TRIM: 64 << 20, _MAP: 32 << 20}  # where glibc itself ends up once such pieces have come and gone


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Have freed memory stay with this process for a while.

    A training step takes what the one before has freed. glibc gives large pieces back, and the system clears them page
    by page when they are taken again: a tenth of a step on the CPU, and a third of making a batch. Where the C library
    is another one, nothing changes.
    """
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):
        yield
        return
    for setting in _USUAL:
        library.mallopt(setting, _KEPT)
    try:
        yield
    finally:
        for setting, usual in _USUAL.items():
            library.mallopt(setting, usual)
        library.malloc_trim(0)
