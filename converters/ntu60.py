"""NTU RGB+D 60: one `.skeleton` file a clip, everything but the coordinates in its name."""

from collections.abc import Iterator
from pathlib import Path

from skelbench.card import Card
from skelbench.formats import ntu_rgbd
from skelbench.raw import RawItem, RawSource
from skelbench.sample import Sample

INCOMPLETE = Path(__file__).with_name("ntu-incomplete.txt.gz")  # those of setups 1 to 17 concern this set


def plan(raw: RawSource, card: Card) -> Iterator[RawItem]:
    """Name the clips; see `ntu_rgbd.plan`."""
    return ntu_rgbd.plan(raw, card, ntu_rgbd.listed_names(INCOMPLETE))


def read(raw: RawSource, item: RawItem, card: Card) -> Sample:
    """Read one clip; see `ntu_rgbd.read`."""
    return ntu_rgbd.read(raw, item)


def write(sample: Sample, card: Card) -> Iterator[tuple[str, bytes]]:
    """Write one clip; see `ntu_rgbd.write`."""
    return ntu_rgbd.write(sample, card)
