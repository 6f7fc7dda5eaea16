"""Reads planned items, here or in worker processes, and hands out what became of them in the order of the plan."""

import dataclasses
import logging
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np

from skelbench import registry
from skelbench.card import Card
from skelbench.convert.planning import Converter
from skelbench.convert.staging import Outcome
from skelbench.errors import RawFormatError, StoreError
from skelbench.raw import RawItem
from skelbench.sample import Sample
from skelbench.sources.source import Source, open_source, printable
from skelbench.store.check import sample_problem
from skelbench.store.schema import Reject

log = logging.getLogger(__name__)

_CHUNK_ITEMS = 32  # items that a worker gets at once
_CHUNK_BYTES = 16 << 20  # or fewer, when they are large
_AHEAD = 3  # chunks under way or waiting to be taken, for each worker
_FEW = 1000  # items below which starting processes takes longer than it saves
_LONGEST_REASON = 500  # characters
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


def worker_count(wanted: int | None, items: int) -> int:
    """How many processes to read with: as many as wanted, else one for little work, else one a core."""
    if wanted is not None:
        return wanted
    return 1 if items < _FEW else len(os.sched_getaffinity(0))


def check_sample(sample: Sample, card: Card) -> None:
    """Refuse a sample that does not fit the card, before it is staged.

    Args:
        sample: What a converter has read.
        card: The card of its set.

    Raises:
        RawFormatError: Naming shape, type, range or name: what was found and what was expected.
    """
    problem = sample_problem(sample, card)
    if problem:
        raise RawFormatError(problem)


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
        sample = _plain(converter.module.read(source, item, converter.card))
        if sample.sample_id != item.sample_id:
            raise ValueError(f"read the sample '{sample.sample_id}' for the item '{item.sample_id}'")
        check_sample(sample, converter.card)
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


def read_items(
    converter: Converter, source: Source, items: Sequence[RawItem], workplace: Workplace, *, workers: int
) -> Generator[Outcome, None, None]:
    """Read items, in their order, with one or several processes.

    Args:
        converter: The converter and its card, for reading in this process.
        source: The raw data, the same.
        items: What to read.
        workplace: The same two, for workers.
        workers: Processes; 1 reads in this one.

    Yields:
        What became of each item, in order. At most a few chunks are held at once.

    Raises:
        StoreError: If a worker process dies.
    """
    if workers == 1 or len(items) <= 1:
        outcomes: Generator[Outcome, None, None] = (read_item(converter, source, item) for item in items)
    else:
        outcomes = _read_with_pool(_chunks(items, source), workplace, workers)
    bugs = 0
    try:
        for outcome in outcomes:
            if outcome.reject is not None and outcome.bug:
                bugs += 1
                if bugs <= _BUGS_SAID:
                    log.warning("%s: %s", outcome.reject.sample_id, outcome.reject.reason)
                if bugs == _BUGS_SAID + 1:
                    log.warning("More items went wrong in this way; the rejects say which.")
            yield outcome
    finally:
        outcomes.close()


def _read_with_pool(
    chunks: Iterator[list[RawItem]], workplace: Workplace, workers: int
) -> Generator[Outcome, None, None]:
    """Keep a bounded number of chunks under way, and take them in order."""
    waiting: deque[tuple[list[RawItem], Future[list[Outcome]]]] = deque()
    with _pool(workers) as submit:
        try:
            for chunk in chunks:
                waiting.append((chunk, submit(workplace, chunk)))
                if len(waiting) >= workers * _AHEAD:
                    yield from waiting[0][1].result()
                    waiting.popleft()
            while waiting:
                yield from waiting[0][1].result()
                waiting.popleft()
        except BrokenProcessPool as error:
            first = waiting[0][0][0].sample_id if waiting else "?"
            last = waiting[-1][0][-1].sample_id if waiting else "?"
            raise StoreError(
                f"A worker process died while reading one of '{first}' to '{last}': out of memory, killed, or a crash "
                "in the converter. The same command goes on from what is staged; --workers 1 needs the least memory."
            ) from error


Submit = Callable[[Workplace, list[RawItem]], "Future[list[Outcome]]"]


@contextmanager
def _pool(workers: int) -> Iterator[Submit]:
    """A pool of processes that no interrupt reaches; when it is left early its work is dropped."""
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_start_worker)

    def submit(workplace: Workplace, items: list[RawItem]) -> "Future[list[Outcome]]":
        """Hand out a chunk. A process may be started here: it must not see a Ctrl-C before it can ignore it."""
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return pool.submit(_read_chunk, workplace, items)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    try:
        yield submit
    except BaseException:
        _stop(set(multiprocessing.active_children()) - before)
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _stop(processes: set[BaseProcess]) -> None:
    """End worker processes whose results nobody wants."""
    for process in processes:
        process.terminate()


def _start_worker() -> None:
    """Leave Ctrl-C to the main process, and end when that one is gone, even by a kill."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    """Wait for the main process to end, then end this one: nobody else would."""
    wait([sentinel])
    os._exit(1)


def _read_chunk(workplace: Workplace, items: list[RawItem]) -> list[Outcome]:
    """What a worker does with a chunk."""
    converter, source = _open(workplace)
    return [read_item(converter, source, item) for item in items]


@lru_cache(maxsize=1)
def _open(workplace: Workplace) -> tuple[Converter, Source]:
    """Open converter and raw data, once in each worker."""
    plugin = registry.find("converters", workplace.converter)
    converter = Converter(
        plugin.name, registry.load(plugin), registry.digest(plugin), Card.model_validate_json(workplace.card)
    )
    source = open_source(workplace.raw, max_file=workplace.max_file, skip=workplace.skip, copies=dict(workplace.copies))
    return converter, source


def _chunks(items: Sequence[RawItem], source: Source) -> Iterator[list[RawItem]]:
    """Cut the items into chunks of some 32, fewer where their files are large."""
    chunk: list[RawItem] = []
    filled = 0
    for item in items:
        size = sum(map(source.size, item.paths))
        if chunk and (len(chunk) == _CHUNK_ITEMS or filled + size > _CHUNK_BYTES):
            yield chunk
            chunk, filled = [], 0
        chunk.append(item)
        filled += size
    if chunk:
        yield chunk


def _plain(sample: object) -> Sample:
    """A sample of dicts, arrays and Python's own numbers, so that it can go from process to process and into JSON.

    Converters of others hand over NumPy's scalars, and frames counted in any integer.
    """
    if not isinstance(sample, Sample):
        raise TypeError(f"returned {type(sample).__name__}, expected a Sample")
    frame = sample.frame
    if frame.dtype.kind in "iu" and (not frame.size or 0 <= int(frame.min()) <= int(frame.max()) < 1 << 32):
        frame = frame.astype(np.uint32, copy=False)
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
