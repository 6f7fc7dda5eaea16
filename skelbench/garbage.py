"""When the garbage collector works, for work that makes many things at once and no cycles."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def nothing_old_collected() -> Iterator[None]:
    """Have the collector pass over all that is loaded by now, which it else looks through again and again.

    With the libraries this is some 300,000 objects, a tenth of a second each time; and copies of this process share
    what nobody touches.
    """
    if gc.get_freeze_count():  # whoever did so knows when to end it
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


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
