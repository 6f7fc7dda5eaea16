"""FineGym, the 288 classes of Gym288: official element lists joined with poses of others."""

from collections.abc import Iterable, Iterator

from skelbench.card import Card
from skelbench.formats import finegym
from skelbench.raw import RawItem, RawSource
from skelbench.sample import Sample


def plan(raw: RawSource, card: Card) -> Iterator[RawItem]:
    """Join lists and poses; see `finegym.plan`."""
    return finegym.plan(raw, card)


def read(raw: RawSource, item: RawItem, card: Card) -> Sample:
    """Read one element; see `finegym.read`."""
    return finegym.read(raw, item, card)


def write(sample: Sample, card: Card) -> Iterator[tuple[str, bytes]]:
    """Write one element; see `finegym.write`."""
    return finegym.write(sample, card)


def write_shared(samples: Iterable[Sample], card: Card) -> Iterator[tuple[str, bytes]]:
    """Write the lists; see `finegym.write_shared`."""
    return finegym.write_shared(samples, card)
