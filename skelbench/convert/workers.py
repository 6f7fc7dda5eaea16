"""Reads planned items, here or in worker processes, and hands out what became of them in the order of the plan."""

import dataclasses
import logging
import os
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from skelbench import registry
from skelbench.card import Card
from skelbench.convert.planning import Converter
from skelbench.convert.staging import PART_ITEMS, Chunk
from skelbench.crew import Crew, work_through
from skelbench.errors import RawFormatError, StoreError
from skelbench.passing import Left, leave, take
from skelbench.raw import RawItem
from skelbench.sample import Sample
from skelbench.sources.source import Source, open_source, printable
from skelbench.store.block import block_of
from skelbench.store.check import sample_problem
from skelbench.store.schema import Reject

log = logging.getLogger(__name__)

_CHUNK_ITEMS = 32  # items that a process gets at once
_CHUNK_BYTES = 16 << 20  # or fewer, when they are large
_SHARES = 4  # pieces for each process that what is left makes at least
_LAST_ITEMS = 4  # or fewer at the end, where others would wait for the one who has the last
_FEW = 1000  # items below which starting processes takes longer than it saves
_LONGEST_REASON = 500  # characters
_PYTHONS = frozenset({int, float, str, bool, tuple})  # types of values that need not be looked at
_BUGS_SAID = 5  # errors of the converter that are logged one by one; all are rejects


@dataclass(frozen=True)
class Workplace:
    """All that a worker needs to open the same converter and the same raw data."""

    converter: str  # name or path
    card: str  # JSON
    raw: tuple[Path, ...]
    skip: tuple[Path, ...]
    copies: tuple[tuple[Path, Path], ...]  # plain copies of packed tars
    max_file: int
    folder: Path  # where it may leave what it has read
    wide: str = ""  # JSON: the card with all channels, where the store keeps some of them


Opened: TypeAlias = tuple[Converter, Source]
Read: TypeAlias = tuple[Chunk, Left | None]  # None where the chunk has its arrays with it

_OPEN: dict[Workplace, Opened] = {}  # what this process has open; a copy of it finds here what it needs not open again


def worker_count(wanted: int | None, items: int) -> int:
    """How many processes to read with: as many as wanted, else one for little work, else one a core."""
    if wanted is not None:
        return wanted
    return 1 if items < _FEW else len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Outcome:
    """What became of one planned item."""

    sample: Sample | None  # None for a reject
    reject: Reject | None
    digests: dict[str, str]  # member -> SHA-256 of what was read for it
    bug: bool = False  # the converter is to blame, not the file


def read_item(converter: Converter, source: Source, item: RawItem) -> Outcome:
    """Read one planned item; whatever a file or converter does wrong becomes a reject.

    Args:
        converter: The converter and its card.
        source: The raw data.
        item: One of the plan.

    Returns:
        The sample or the reject, and the digests of the members that were read for it.
    """
    source.digests.clear()
    sample, reason, bug = None, "", False
    try:
        sample = _plain(converter.module.read(source, item, converter.reads))
        if sample.sample_id != item.sample_id:
            raise ValueError(f"read the sample '{sample.sample_id}' for the item '{item.sample_id}'")
        problem = sample_problem(sample, converter.reads)
        if problem:
            raise RawFormatError(problem)
        sample = converter.narrow(sample)
    except RawFormatError as error:
        sample, reason = None, str(error)
    except (MemoryError, RecursionError) as error:
        sample, reason = None, f"{type(error).__name__} while reading: more than this machine can take in."
    except (Exception, SystemExit) as error:
        sample, bug = None, True
        reason = f"unexpected {type(error).__name__}: {error} ({converter.to_blame})"
    digests = dict(source.digests)
    source.digests.clear()
    if sample is not None:
        return Outcome(sample, None, digests)
    path = item.paths[0] if item.paths else ""
    reject = Reject(item.sample_id, path, _relative(reason, source, [*item.paths, *digests]))
    return Outcome(None, reject, digests, bug)


def read_chunk(converter: Converter, source: Source, items: Sequence[RawItem]) -> Chunk:
    """Read a few planned items, see `read_item`."""
    outcomes = [read_item(converter, source, item) for item in items]
    return Chunk(
        items=len(items),
        block=block_of([one.sample for one in outcomes if one.sample is not None], converter.card),
        rejects=tuple(one.reject for one in outcomes if one.reject is not None),
        digests={name: digest for one in outcomes for name, digest in one.digests.items()},
        bugs=tuple(one.reject for one in outcomes if one.reject is not None and one.bug),
    )


def read_items(
    converter: Converter, source: Source, items: Sequence[RawItem], workplace: Workplace, helpers: Crew
) -> Generator[Chunk, None, None]:
    """Read items, in their order, here and in the processes of a crew.

    Args:
        converter: The converter and its card.
        source: The raw data.
        items: What to read.
        workplace: The same two, for processes that must open them.
        helpers: Other processes, if any; they have not been given any work yet.

    Yields:
        What became of the items, in order; no chunk goes over the end of a part. At most a few chunks are held at once.

    Raises:
        StoreError: If one of the processes dies.
    """
    pieces = _pieces(items, source, helpers.count + 1)
    if helpers.count == 0 or len(items) <= 1:
        chunks: Generator[Chunk, None, None] = (read_chunk(converter, source, piece) for piece in pieces)
    else:
        chunks = _read_together(pieces, (converter, source), workplace, helpers)
    bugs = 0
    try:
        for chunk in chunks:
            for reject in chunk.bugs[: max(0, _BUGS_SAID - bugs)]:
                log.warning("%s: %s", reject.sample_id, reject.reason)
            if bugs <= _BUGS_SAID < bugs + len(chunk.bugs):
                log.warning("More items went wrong in this way; the rejects say which.")
            bugs += len(chunk.bugs)
            yield chunk
    finally:
        chunks.close()


def _read_together(
    pieces: Iterator[list[RawItem]], opened: Opened, workplace: Workplace, helpers: Crew
) -> Generator[Chunk, None, None]:
    """Read here and in other processes."""
    begun: deque[list[RawItem]] = deque()

    def noted() -> Iterator[list[RawItem]]:
        """The same pieces; those that are begun and not yet done are known."""
        for piece in pieces:
            begun.append(piece)
            yield piece

    here: Callable[[list[RawItem]], Read] = partial(_read_here, opened)
    there: Callable[[list[RawItem]], Read] = partial(_read_there, workplace)
    _OPEN[workplace] = opened  # for the copies of this process
    try:
        for chunk, left in work_through(noted(), here, there, helpers):
            begun.popleft()
            yield chunk if left is None else _with_arrays(chunk, take(left))
    except BrokenProcessPool as error:
        first, last = (begun[0][0].sample_id, begun[-1][-1].sample_id) if begun else ("?", "?")
        raise StoreError(
            f"A worker process died while reading one of '{first}' to '{last}': out of memory, killed, or a crash "
            "in the converter. The same command goes on from what is staged; --workers 1 needs the least memory."
        ) from error
    finally:
        _OPEN.pop(workplace, None)


def _read_here(opened: Opened, items: list[RawItem]) -> Read:
    """What this process does with a few items."""
    return read_chunk(*opened, items), None


def _read_there(workplace: Workplace, items: list[RawItem]) -> Read:
    """What a worker does with a few items."""
    if workplace not in _OPEN:
        _OPEN[workplace] = _open(workplace)
    chunk = read_chunk(*_OPEN[workplace], items)
    return _with_arrays(chunk, {}), leave(chunk.block.arrays, workplace.folder)


def _with_arrays(chunk: Chunk, arrays: dict[str, np.ndarray]) -> Chunk:
    """The same with other arrays."""
    return dataclasses.replace(chunk, block=dataclasses.replace(chunk.block, arrays=arrays))


def _open(workplace: Workplace) -> Opened:
    """Open converter and raw data."""
    plugin = registry.find("converters", workplace.converter)
    wide = Card.model_validate_json(workplace.wide) if workplace.wide else None
    card = Card.model_validate_json(workplace.card)
    converter = Converter(plugin.name, registry.load(plugin), registry.digest(plugin), card, wide)
    source = open_source(workplace.raw, max_file=workplace.max_file, skip=workplace.skip, copies=dict(workplace.copies))
    return converter, source


def _pieces(items: Sequence[RawItem], source: Source, processes: int) -> Iterator[list[RawItem]]:
    """Cut the items into pieces of some 32, fewer where their files are large; none goes over the end of a part.

    A file that several items share counts in parts: it is not read anew for each. Where several processes share the
    work, pieces grow smaller towards its end, so that all of them are done at about the same time.
    """
    piece: list[RawItem] = []
    filled, most = 0, _CHUNK_ITEMS
    shared = Counter(path for item in items for path in item.paths)
    for place, item in enumerate(items):
        size = sum(source.size(path) // shared[path] for path in item.paths)
        full = len(piece) >= most or filled + size > _CHUNK_BYTES or place % PART_ITEMS == 0
        if piece and full:
            yield piece
            piece, filled = [], 0
            if processes > 1:
                most = min(_CHUNK_ITEMS, max(_LAST_ITEMS, (len(items) - place) // (processes * _SHARES)))
        piece.append(item)
        filled += size
    if piece:
        yield piece


def _plain(sample: object) -> Sample:
    """A sample of dicts, arrays and Python's own numbers, so that it can go from process to process and into JSON.

    Converters of others hand over NumPy's scalars, and frames counted in any integer.
    """
    if not isinstance(sample, Sample):
        raise TypeError(f"returned {type(sample).__name__}, expected a Sample")
    frame = sample.frame
    whole = frame.dtype.kind in "iu" and frame.dtype != np.uint32
    if whole and (not frame.size or 0 <= int(frame.min()) <= int(frame.max()) < 1 << 32):
        frame = frame.astype(np.uint32)
    values = (sample.n_frames, *sample.targets.values(), *sample.meta.values(), *chain(*sample.segments))
    usual = type(sample.targets) is type(sample.meta) is dict and type(sample.segments) is tuple
    if usual and frame is sample.frame and _PYTHONS.issuperset(map(type, values)):
        return sample
    return dataclasses.replace(
        sample,
        n_frames=_native(sample.n_frames),
        frame=frame,
        targets={name: _native(value) for name, value in sample.targets.items()},
        segments=tuple(tuple(map(_native, segment)) for segment in sample.segments),
        meta={name: _native(value) for name, value in sample.meta.items()},
    )


def _native(value: Any) -> Any:
    """Python's own number for one of NumPy's."""
    return value.item() if isinstance(value, np.generic) else value


def _relative(reason: str, source: Source, paths: Sequence[str]) -> str:
    """A reason that names members as the source does: the store must not say where the raw data lay."""
    for path in paths:
        with suppress(RawFormatError):  # an item may name a member that there is not
            reason = reason.replace(source.where(path), path)
    for root in source.roots:
        reason = reason.replace(str(root), root.name)
    return printable(reason, _LONGEST_REASON)
