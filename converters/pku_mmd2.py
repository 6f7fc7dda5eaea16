"""PKU-MMD phase II: untrimmed videos of one or two people, three cameras; 41 actions."""

import re
from collections.abc import Iterator
from dataclasses import replace

from skelbench.card import Card
from skelbench.formats import pku_mmd
from skelbench.raw import RawItem, RawSource
from skelbench.sample import Sample

NAME = re.compile(r"A(?P<scene>\d{2})N(?P<subject>\d{2})-(?P<camera>[LMR])", re.ASCII)
EXPECTED = "AnnNnn-V.txt: scene, subject, and the view L, M or R"


def plan(raw: RawSource, card: Card) -> Iterator[RawItem]:
    """Name the videos; see `pku_mmd.plan`."""
    for item, parts in pku_mmd.plan(raw, NAME, EXPECTED):
        take = "" if parts is None else f"A{parts['scene']}N{parts['subject']}"
        yield replace(item, meta={} if parts is None else pku_mmd.meta_of(parts, ("scene", "subject"), take))


def read(raw: RawSource, item: RawItem, card: Card) -> Sample:
    """Read one video; see `pku_mmd.read`."""
    return pku_mmd.read(raw, item, card)


def write(sample: Sample, card: Card) -> Iterator[tuple[str, bytes]]:
    """Write one video; see `pku_mmd.write`."""
    return pku_mmd.write(sample, card)
