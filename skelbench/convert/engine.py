"""The conversion engine: plan, read in parallel, stage, write, verify, rename. Knows no data set.

raw paths -> source -> plan -> outcomes in order -> parts on the disk -> one store, verified -> its place
"""

import errno
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Literal, TypeVar

import skelbench
from skelbench.convert.features import write_features
from skelbench.convert.finishing import is_wanted, place_of, raw_digest, verified
from skelbench.convert.planning import Converter, Plan, load_converter, make_plan, part_of, refined
from skelbench.convert.report import PlanReport, Progress, Report, plan_report_of, report_of
from skelbench.convert.staging import (
    PART_ITEMS,
    Chunk,
    Part,
    keep_only,
    locked,
    part_path,
    partial_folder,
    publish,
    read_part,
    remove,
    staged_items,
    staged_parts,
    write_part,
)
from skelbench.convert.workers import Workplace, read_item, read_items, worker_count
from skelbench.crew import Crew, crew
from skelbench.errors import RawFormatError, StoreError, UsageError
from skelbench.garbage import nothing_collected, seldom_collected
from skelbench.sources.source import Source, open_source
from skelbench.store.block import Block
from skelbench.store.reader import open_store
from skelbench.store.schema import DatasetInfo, Origin, RawDigest, Reject, pose_bytes
from skelbench.store.writer import write_blocks

log = logging.getLogger(__name__)

Counted = TypeVar("Counted", Chunk, Block)

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LOOKED_AT = 8  # items that a dry run reads to estimate the space


@dataclass(frozen=True)
class Request:
    """What the user asks for."""

    converter: str  # registered name, or path of a module
    raw: tuple[Path, ...]  # folders, archives, files: one source
    out: Path  # the store's own path
    card: Path | None = None  # instead of the converter's own
    workers: int | None = None  # processes; None chooses
    limit: int | None = None  # items at most
    shard: tuple[int, int] | None = None  # only this part, counted from 1, of so many
    channels: tuple[str, ...] = ()  # of the card that the store keeps; none for all
    overwrite: Literal["never", "always"] = "never"


@dataclass(frozen=True)
class _Job:
    """A request with all that it names found."""

    request: Request
    out: Path  # where the store really stands, links resolved
    converter: Converter
    source: Source
    plan: Plan

    @property
    def skip(self) -> tuple[Path, ...]:
        """What is not raw data, even if it lies there."""
        return self.out, partial_folder(self.out)


def plan_report(request: Request) -> PlanReport:
    """Find out what `convert` would do; nothing is written.

    Args:
        request: What the user asks for.

    Returns:
        Items, rejects known from names, official against found, an estimate of the space, and what is there.

    Raises:
        UsageError: If a name, path or number is wrong, or there is nothing to convert.
        CardError: If the card is wrong.
        RawFormatError: If what planning reads is damaged.
    """
    job = _prepare(request)
    size = sum(job.source.size(path) for path in {path for item in job.plan.items for path in item.paths})
    return plan_report_of(
        request.out, job.plan, job.converter.card, state=_state(job), size=size, estimate=_space(job, size)
    )


@seldom_collected()
def convert(request: Request, *, on_progress: Callable[[Progress], None] = lambda _: None) -> Report:
    """Convert raw data into a store, which appears whole and verified or not at all.

    What was staged when a conversion stopped is kept; the same request goes on from there, and the store is the
    same byte for byte.

    Args:
        request: What the user asks for.
        on_progress: Called after each item, sample or block.

    Returns:
        What was made, or what stood there already for the same request.

    Raises:
        UsageError: If a name, path or number is wrong, there is nothing to convert, or something else stands there.
        CardError: If the card is wrong.
        RawFormatError: If not a single sample could be read.
        StoreError: If another process writes this store, the disk is full, a worker died, or what was written does
            not verify.
        KeyboardInterrupt: With a message of how far it got, when the user interrupts.
    """
    started = time.perf_counter()
    job = _prepare(request)
    if not _wanted(job):
        return _done(job, started)
    with _told(job), locked(job.out) as folder:
        if not _wanted(job):  # the writer that held the lock has just made it
            remove(folder)
            return _done(job, started)
        if keep_only(folder, {"request": job.plan.request, "skelbench": skelbench.__version__}):
            log.warning("%s held work for another request (or version), which is dropped.", folder)
        parts = staged_parts(folder)
        with crew(worker_count(job.request.workers, len(job.plan.items) - PART_ITEMS * len(parts)) - 1) as helpers:
            _stage(job, folder, parts, helpers, on_progress)
            info, rejects = _finish(job, folder, parts, helpers, on_progress)
    seconds = time.perf_counter() - started
    return report_of(request.out, job.plan.ignored, info=info, rejects=rejects, state="written", seconds=seconds)


@nothing_collected()
def _prepare(request: Request) -> _Job:
    """Check the request, find what it names, and plan."""
    for name in ("workers", "limit"):
        number = getattr(request, name)
        if number is not None and number < 1:
            raise UsageError(f"--{name} is {number}, expected 1 or more.")
    if request.shard is not None and not 1 <= request.shard[0] <= request.shard[1]:
        raise UsageError(f"--shard is {request.shard[0]}/{request.shard[1]}, expected 1/4, 2/4, 3/4 or 4/4, say.")
    out = place_of(request.out)
    converter = load_converter(request.converter, request.card, request.channels)
    skip = (out, partial_folder(out))
    source = open_source(request.raw, max_file=converter.max_file, skip=skip)
    converter = refined(converter, source)
    plan = make_plan(converter, source, request.limit)
    return _Job(request, out, converter, source, plan if request.shard is None else part_of(plan, *request.shard))


def _wanted(job: _Job) -> bool:
    """Whether there is anything to do; something else in the store's place must not be lost."""
    return is_wanted(job.out, job.request.out, job.plan.request, overwrite=job.request.overwrite)


def _done(job: _Job, started: float) -> Report:
    """The report of a store that was made before; what a kill at the very end left beside it is removed."""
    if partial_folder(job.out).is_dir():
        with suppress(StoreError, OSError), locked(job.out) as folder:
            remove(folder)
    store = open_store(job.out)
    seconds = time.perf_counter() - started
    return report_of(
        job.request.out, job.plan.ignored, info=store.info, rejects=store.rejects(), state="done", seconds=seconds
    )


def _stage(job: _Job, folder: Path, parts: list[Part], helpers: Crew, on_progress: Callable[[Progress], None]) -> None:
    """Read what is not staged yet, and add its parts."""
    items = job.plan.items
    staged = min(len(parts) * PART_ITEMS, len(items))
    if staged:
        log.info("%s of %s items are staged already.", f"{staged:,}", f"{len(items):,}")
    if staged == len(items):
        return
    copies = job.source.unpack(folder)
    place = Workplace(
        converter=job.request.converter,
        card=job.converter.card.model_dump_json(),
        raw=job.request.raw,
        skip=job.skip,
        copies=tuple(copies.items()),
        max_file=job.converter.max_file,
        folder=folder,
        wide=job.converter.wide.model_dump_json() if job.converter.wide else "",
    )
    rejects = len(job.plan.rejects) + sum(len(part.rejects) for part in parts)
    with closing(read_items(job.converter, job.source, items[staged:], place, helpers)) as chunks:
        counted = _counted(chunks, Progress("reading", staged, len(items), "items", rejects), on_progress)
        while len(parts) * PART_ITEMS < len(items):
            parts.append(write_part(part_path(folder, len(parts)), _of_one_part(counted, len(items) - staged)))
            staged = len(parts) * PART_ITEMS
    for copy in copies.values():
        copy.unlink()


def _finish(
    job: _Job, folder: Path, parts: Sequence[Part], helpers: Crew, on_progress: Callable[[Progress], None]
) -> tuple[DatasetInfo, list[Reject]]:
    """Write one store from the parts, verify it, and put it in its place."""
    rejects = [*job.plan.rejects, *(reject for part in parts for reject in part.rejects)]
    lengths = [length for part in parts for length in part.lengths]
    if not lengths and not job.plan.shard:  # a part may well have none: the others are not here
        remove(folder)
        first = (rejects[len(job.plan.rejects) :] or rejects)[0]  # one that was read says more than a stray name
        where = first.path or first.sample_id
        reason = first.reason if first.reason.startswith(where) else f"{where}: {first.reason}"
        raise RawFormatError(f"Not one of {job.plan.planned:,} items became a sample, so there is no store. {reason}")
    whole = folder / "store"
    shutil.rmtree(whole, ignore_errors=True)
    digests = _digests(job, parts)
    blocks = chain.from_iterable(map(read_part, parts))
    info = write_blocks(
        whole,
        job.converter.card,
        _origin(job, digests),
        blocks=_counted(blocks, Progress("writing", 0, len(lengths), "samples", len(rejects)), on_progress),
        lengths=lengths,
        rejects=rejects,
        raw={path: (job.source.size(path), digest) for path, digest in digests.items()} if job.plan.shard else None,
    )
    verified(whole, len(rejects), helpers, on_progress)
    write_features(job.converter, job.source, whole, job.out)
    publish(whole, job.out, folder)
    remove(folder)
    return info, rejects


def _digests(job: _Job, parts: Sequence[Part]) -> dict[str, str]:
    """SHA-256 of all the raw files that were read."""
    digests = dict(job.plan.digests)
    for part in parts:
        digests |= part.digests
    return digests


def _origin(job: _Job, digests: dict[str, str]) -> Origin:
    """How the store came to be; the raw digest does not depend on where, or in what archive, the files lay."""
    size = sum(map(job.source.size, digests))
    return Origin(
        converter=job.converter.name,
        skelbench=skelbench.__version__,
        request=job.plan.request,
        raw=RawDigest(files=len(digests), bytes=size, sha256=raw_digest(digests)),
        planned=job.plan.planned,
        limit=job.plan.limit,
        synthetic=job.plan.synthetic,
        shard=job.plan.shard,
    )


def _of_one_part(chunks: Iterator[Chunk], items: int) -> Iterator[Chunk]:
    """The chunks of the next part; none goes over its end."""
    missing = min(PART_ITEMS, items)
    while missing > 0:
        chunk = next(chunks)
        missing -= chunk.items
        yield chunk


def _counted(things: Iterator[Counted], begin: Progress, on_progress: Callable[[Progress], None]) -> Iterator[Counted]:
    """The same things; progress is reported with each."""
    on_progress(begin)
    done, rejects = begin.done, begin.rejects
    for thing in things:
        done += thing.items if isinstance(thing, Chunk) else len(thing.rows)
        rejects += len(thing.rejects) if isinstance(thing, Chunk) else 0
        on_progress(replace(begin, done=done, rejects=rejects))
        yield thing


@contextmanager
def _told(job: _Job) -> Iterator[None]:
    """Say, whatever stops the work from outside, how far it is and how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"Stopped. {_how_far(job)} The same command goes on from there.") from None
    except OSError as error:
        where = error.filename or partial_folder(job.out)
        if error.errno in _FULL:
            raise StoreError(
                f"No space left while writing {where} ({error.strerror}). {_how_far(job)} Free space and repeat the "
                "command; it goes on from there."
            ) from error
        raise StoreError(f"{where}: cannot be written: {error.strerror or error}. {_how_far(job)}") from error


def _how_far(job: _Job) -> str:
    """How much of the work is kept."""
    staged = min(staged_items(job.out), len(job.plan.items))
    return f"{staged:,} of {len(job.plan.items):,} items are staged in {partial_folder(job.request.out)}."


def _state(job: _Job) -> str:
    """What stands in the store's place, and what `convert` would do about it."""
    try:
        if not _wanted(job):
            return "done: this very store is there"
    except UsageError as error:
        return f"refused: {error}"
    staged = min(staged_items(job.out), len(job.plan.items))
    goes_on = f"; goes on from {staged:,} of {len(job.plan.items):,} items staged, if by the same request"
    replaces = "replaces the store there" if job.out.exists() and any(job.out.iterdir()) else "new"
    return replaces + (goes_on if staged else "")


def _space(job: _Job, size: int) -> tuple[int | None, str]:
    """Bytes that the store will take, from a few items spread over the plan, and how they were found."""
    items = job.plan.items[:: max(1, len(job.plan.items) // _LOOKED_AT)][:_LOOKED_AT]
    raw = poses = read = 0
    for item in items:
        sample = read_item(job.converter, job.source, item).sample
        if sample is not None:
            raw += sum(map(job.source.size, item.paths))
            poses += len(sample.frame)
            read += 1
    if not raw:
        return None, f"none of {len(items)} items looked at could be read"
    space = poses * pose_bytes(job.converter.card) * size // raw
    return space, f"by {read} of {len(job.plan.items):,} items; twice that while it is made"
