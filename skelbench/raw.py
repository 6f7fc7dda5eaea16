"""What a converter reads from: types only here, the sources themselves in `skelbench/sources/`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Float32

from skelbench.sample import MetaValue

Parsed = TypeVar("Parsed")


@dataclass(frozen=True)
class RawItem:
    """One thing in the raw data that should become a sample."""

    sample_id: str  # the owner's name, without folder and extension
    paths: tuple[str, ...]  # members of the source, as `RawSource.paths` names them
    meta: Mapping[str, MetaValue] = field(default_factory=dict)  # what the name says
    reject: str | None = None  # why it cannot become a sample, where names alone show it


@dataclass(frozen=True)
class Sequences:
    """Vectors of each sample in a row, read one sample at a time, since all together may be too many for memory."""

    width: int  # numbers of a vector
    read: Callable[[str], Float32[np.ndarray, "poses features"]]  # by sample_id


@dataclass(frozen=True, eq=False)
class Feature:
    """What is known of samples beside their poses: a text, a vector or several each, from somebody or computed."""

    name: str  # of the table: letters, digits, - and _
    ids: tuple[str, ...]  # samples, each once
    values: tuple[str, ...] | Float32[np.ndarray, "samples features"] | Sequences  # of each
    source: str  # who wrote or computed it, as far as the raw data say


@runtime_checkable  # the types of arguments are checked in every test
class RawSource(Protocol):
    """A folder, a zip or a tar (or several as one), read without unpacking."""

    paths: tuple[str, ...]  # members, sorted, relative, with forward slashes

    def where(self, path: str) -> str:
        """Name a member for people: the folder's or archive's path and the member's."""

    def open(self, path: str) -> BinaryIO:
        """Open a member for reading.

        Raises:
            RawFormatError: If the member is damaged or larger than the source allows.
        """

    def read(self, path: str) -> bytes:
        """Read a member whole; raises like `open`."""

    def once(self, path: str, parse: Callable[[bytes], Parsed]) -> Parsed:
        """Parse a shared member, such as a label list, once in each process."""

    def once_mapped(self, path: str, parse: Callable[[memoryview], Parsed]) -> Parsed:
        """The same of a large one, whose bytes need not be in memory: what `parse` makes may be views of them."""
