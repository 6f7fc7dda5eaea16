"""When the garbage collector works, for work that makes many things at once and no cycles."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_SELDOM = 50_000  # things made and not yet freed, after which the collector comes


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Have the collector come seldom, and pass over all that is loaded by now.

    Work on many samples makes many things and hardly a cycle. What is loaded, with the libraries some 300,000 objects,
    it else looks through again and again, a tenth of a second each time; and copies of this process share what nobody
    touches.
    """
    if gc.get_freeze_count():  # whoever did so knows when to end it
        yield
        return
    first, *rest = gc.get_threshold()
    gc.set_threshold(max(first, _SELDOM), *rest)
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(first, *rest)


@contextmanager
def nothing_collected() -> Iterator[None]:
    """Have the collector rest while things are made that all stay; what no cycle holds is freed as ever."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
