"""When the garbage collector works."""

import gc
from collections.abc import Iterator

import pytest

from skelbench.garbage import nothing_collected, seldom_collected


class Node:
    """Something that the garbage collector alone can remove."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    gc.unfreeze()
    yield
    gc.unfreeze()


def nodes() -> int:
    gc.collect()
    return sum(type(thing) is Node for thing in gc.get_objects())


def test_the_collector_passes_over_what_is_old_for_a_while_and_collects_what_is_new() -> None:
    before = gc.get_threshold()
    Node()
    with seldom_collected():
        assert gc.get_freeze_count() > 1000
        assert gc.get_threshold() > before
        Node()
        assert nodes() == 0
    assert gc.get_freeze_count() == 0
    assert gc.get_threshold() == before
    assert nodes() == 0


def test_what_a_user_has_frozen_stays_frozen() -> None:
    gc.freeze()
    with seldom_collected(), seldom_collected():
        pass
    assert gc.get_freeze_count() > 1000


def test_an_error_ends_it() -> None:
    with pytest.raises(KeyError), seldom_collected():
        raise KeyError
    assert gc.get_freeze_count() == 0


def test_the_collector_rests_and_wakes_up_as_it_was() -> None:
    assert gc.isenabled()
    with nothing_collected(), nothing_collected():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(KeyError), nothing_collected():
        raise KeyError
    assert gc.isenabled()
    gc.disable()
    try:
        with nothing_collected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
