"""PKU-MMD phase I: untrimmed videos of one or two people, three cameras; 51 actions."""

import re
from collections.abc import Iterator
from dataclasses import replace

from skelbench.card import Card
from skelbench.formats import pku_mmd
from skelbench.raw import RawItem, RawSource
from skelbench.sample import Sample

NAME = re.compile(r"(?P<video>\d{4})-(?P<camera>[LMR])", re.ASCII)
EXPECTED = "NNNN-V.txt: four digits and the view L, M or R"


def plan(raw: RawSource, card: Card) -> Iterator[RawItem]:
    """Name the videos; see `pku_mmd.plan`."""
    for item, parts in pku_mmd.plan(raw, NAME, EXPECTED):
        meta = {} if parts is None else pku_mmd.meta_of(parts, ("video",), parts["video"])
        yield replace(item, meta=meta)


def read(raw: RawSource, item: RawItem, card: Card) -> Sample:
    """Read one video; see `pku_mmd.read`."""
    return pku_mmd.read(raw, item, card)


def write(sample: Sample, card: Card) -> Iterator[tuple[str, bytes]]:
    """Write one video; see `pku_mmd.write`."""
    return pku_mmd.write(sample, card)
