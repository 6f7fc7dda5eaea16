"""Joins the parts of a conversion, made by `--shard i/n` anywhere, into the store that one conversion makes."""

import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq

import skelbench
from skelbench.convert.features import merge_features
from skelbench.convert.finishing import is_wanted, place_of, raw_digest, verified
from skelbench.convert.report import Progress, Report, report_of
from skelbench.convert.staging import locked, publish, remove
from skelbench.convert.workers import worker_count
from skelbench.crew import Crew, crew
from skelbench.errors import StoreError, UsageError
from skelbench.store.block import Block, blocks_of
from skelbench.store.reader import open_store
from skelbench.store.schema import RAW, REJECTS, SAMPLES, DatasetInfo, Origin, RawDigest, Reject, Shard, read_info
from skelbench.store.tables import read_raw, read_rejects
from skelbench.store.verify import verify_store
from skelbench.store.writer import write_blocks
from skelbench.workspace import data_folder, expanded

_NAMED = 8  # missing parts that are named
_PART = re.compile(r".+\.\d{1,6}-of-\d{1,6}")  # how `--shard` calls what it makes


@dataclass(frozen=True)
class MergeRequest:
    """What the user asks for."""

    converter: str  # registered name, or path of a module: that of the parts
    parts: tuple[Path, ...] = ()  # stores, in any order; none for those in the data folder
    out: Path | None = None  # the store's own path; None for that of the set's name in the data folder
    workers: int | None = None  # processes that verify; None chooses
    overwrite: Literal["never", "always"] = "never"


@dataclass(frozen=True)
class FoundPart:
    """A part as it says of itself."""

    path: Path  # as it was given
    part: int | None  # counted from 1; None where it is none, or is not a store
    of: int | None
    samples: int
    rejects: int
    bytes: int


@dataclass(frozen=True)
class MergePlan:
    """What a merge would do."""

    store: Path
    state: str  # what stands at `store`, and what the command would do about it; empty where the parts are no whole
    parts: tuple[FoundPart, ...]  # in their order
    missing: tuple[int, ...]
    problem: UsageError | StoreError | None  # with which the merge would end

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "store": str(self.store),
            "state": self.state,
            "parts": [{**vars(part), "path": str(part.path)} for part in self.parts],
            "missing": list(self.missing),
            **{name: sum(getattr(part, name) for part in self.parts) for name in ("samples", "rejects", "bytes")},
            "problem": str(self.problem or ""),
        }


@dataclass(frozen=True)
class _Job:
    """The parts in their order, and where the whole will stand."""

    parts: tuple[Path, ...]
    infos: tuple[DatasetInfo, ...]
    shards: tuple[Shard, ...]
    given: Path
    out: Path


def merge(request: MergeRequest, *, on_progress: Callable[[Progress], None] = lambda _: None) -> Report:
    """Join parts into a store, which is that of one conversion, byte for byte.

    Every part is verified before, the whole after. Memory grows by a row for each sample, as in a conversion; the
    parts stay as they are.

    Args:
        request: What the user asks for.
        on_progress: Called after each block.

    Returns:
        What was made, or what stood there already.

    Raises:
        UsageError: If parts are missing, given twice, of different conversions or none, or something else stands in
            the store's place.
        StoreError: If a part is damaged, two parts read different bytes of one raw file, another process writes this
            store, or what was written does not verify.
        OSError: If the disk is full.
    """
    started = time.perf_counter()
    job = _prepare(request)
    whole_request = job.shards[0].request
    if not is_wanted(job.out, job.given, whole_request, overwrite=request.overwrite):
        info = read_info(job.out)
        return report_of(job.given, (), info=info, rejects=open_store(job.out).rejects(), state="done", seconds=0.0)
    with locked(job.out) as folder:
        try:
            with crew(_workers(job, request.workers)) as helpers:
                info, rejects = _join(job, folder, helpers, on_progress)
        finally:
            remove(folder)  # nothing is gained by keeping half of a copy
    seconds = time.perf_counter() - started
    return report_of(job.given, (), info=info, rejects=rejects, state="written", seconds=seconds)


def merge_plan(request: MergeRequest, *, on_progress: Callable[[Progress], None] = lambda _: None) -> MergePlan:
    """Find out what `merge` would do; nothing is written, and every byte of the parts is read and verified.

    Args:
        request: What the user asks for.
        on_progress: Called as bytes are read.

    Returns:
        The parts there are, those that are missing, and the error with which the merge would end, if it would.
    """
    named = request.out or data_folder() / Path(request.converter).stem
    given: tuple[Path, ...] = ()
    state, problem = "", None
    try:
        given = _given(request)
        job = _prepare(replace(request, parts=given))
        named, state = job.given, _state(job, request, on_progress)
    except (UsageError, StoreError) as error:
        problem = error
    parts = sorted(map(_look_at, given), key=lambda part: (part.of or 0, part.part or 0))
    most = max((part.of or 0 for part in parts), default=0)
    missing = sorted(set(range(1, most + 1)) - {part.part for part in parts if part.of == most})
    return MergePlan(named, state, tuple(parts), tuple(missing), problem)


def _state(job: _Job, request: MergeRequest, on_progress: Callable[[Progress], None]) -> str:
    """What stands in the store's place, and what a merge would do about it; every part is read as it would be.

    Raises:
        UsageError: If it would refuse.
        StoreError: If a part is damaged, or parts read different bytes of one raw file.
    """
    if not is_wanted(job.out, job.given, job.shards[0].request, overwrite=request.overwrite):
        return "done: this very store is there"
    with crew(_workers(job, request.workers)) as helpers:
        _check_sound(job, helpers, on_progress)
    _raw_files(job.parts)
    return "replaces the store there" if job.out.is_dir() and any(job.out.iterdir()) else "new"


def _workers(job: _Job, wanted: int | None) -> int:
    """Processes beside this one."""
    return worker_count(wanted, sum(info.samples for info in job.infos)) - 1


def _look_at(path: Path) -> FoundPart:
    """What a part says of itself; nothing where it is no store."""
    place = Path(expanded(path))
    size = sum(file.stat().st_size for file in place.iterdir() if file.is_file()) if place.is_dir() else 0
    try:
        info = read_info(place)
    except StoreError:
        return FoundPart(path, None, None, 0, 0, size)
    shard = info.origin.shard
    return FoundPart(path, shard.part if shard else None, shard.of if shard else None, info.samples, info.rejects, size)


def _given(request: MergeRequest) -> tuple[Path, ...]:
    """The parts that are named, or else those in the data folder.

    Raises:
        UsageError: If there is none.
        StoreError: If something there is called as a part and is no store.
    """
    if request.parts:
        return request.parts
    named = [path for path in sorted(data_folder().glob("*-of-*")) if _PART.fullmatch(path.name)]
    found = tuple(path for path in named if read_info(path).origin.converter == Path(request.converter).stem)
    if not found:
        raise UsageError(
            f"--merge joins parts, and there is none of '{request.converter}' in {data_folder()}: make them by "
            "`convert --shard i/n`, or name them: `skelbench convert NAME --merge PART PART ...`."
        )
    return found


def _prepare(request: MergeRequest) -> _Job:
    """Read what the parts say of themselves, and put them in order.

    Raises:
        UsageError: If they are not all parts of one conversion.
    """
    found: dict[int, tuple[Path, DatasetInfo, Shard]] = {}
    first: tuple[Path, DatasetInfo, Shard] | None = None
    for given in _given(request):
        path = Path(expanded(given)).absolute()
        if not path.exists():
            raise UsageError(f"{given} is not there; --merge joins parts that `convert --shard i/n` has made.")
        info = read_info(path)
        shard = _shard(given, info, request.converter)
        first = first or (given, info, shard)
        _check_alike(given, info, first)
        if shard.part in found:
            raise UsageError(f"{given} is part {shard.part} of {shard.of}, as is {found[shard.part][0]}: name one.")
        found[shard.part] = (path, info, shard)
    of = next(iter(found.values()))[2].of
    missing = [str(part) for part in range(1, of + 1) if part not in found]
    if missing:
        more = ", ..." if len(missing) > _NAMED else ""
        raise UsageError(
            f"Of {of} parts {len(missing)} are missing: {', '.join(missing[:_NAMED])}{more}. Name them too; "
            f"`skelbench convert {request.converter} --raw PATH --shard {missing[0]}/{of}` makes the first."
        )
    parts = [found[part] for part in sorted(found)]
    if not any(info.samples for _, info, _ in parts):
        raise UsageError("Not one of the parts holds a sample, so there is no store.")
    given = data_folder() / parts[0][1].name if request.out is None else request.out
    paths, infos, shards = zip(*parts, strict=True)
    return _Job(paths, infos, shards, given, place_of(given))


def _shard(given: Path, info: DatasetInfo, converter: str) -> Shard:
    """Which part a store is."""
    if info.origin.shard is None:
        raise UsageError(f"{given} is a whole store, no part of one: `convert --shard i/n` makes parts.")
    if info.origin.converter != Path(converter).stem:
        raise UsageError(f"{given} was made by the converter '{info.origin.converter}', not by '{converter}'.")
    return info.origin.shard


def _check_alike(given: Path, info: DatasetInfo, first: tuple[Path, DatasetInfo, Shard]) -> None:
    """Refuse a part of another conversion than the first one's."""
    there, other, shard = first
    mine = info.origin.shard
    if mine is None or mine.request != shard.request or info.card != other.card:
        raise UsageError(
            f"{given} and {there} are parts of different conversions: of other raw files, converter, card or limit. "
            "Convert all parts from the same."
        )
    if mine.of != shard.of:
        raise UsageError(f"{given} is one of {mine.of} parts, {there} one of {shard.of}: cut the whole in one way.")
    versions = {info.origin.skelbench, other.origin.skelbench}
    if versions != {skelbench.__version__}:
        raise UsageError(
            f"{given} and {there} were made by skelbench {', '.join(sorted(versions))}, this is "
            f"{skelbench.__version__}: convert the parts and join them with one version."
        )


def _join(
    job: _Job, folder: Path, helpers: Crew, on_progress: Callable[[Progress], None]
) -> tuple[DatasetInfo, list[Reject]]:
    """Write the whole, verify it, and put it in its place."""
    _check_sound(job, helpers, on_progress)
    files = _raw_files(job.parts)
    rejects = [one for part, info in zip(job.parts, job.infos, strict=True) for one in _rejects(part, info)]
    lengths = [length for part in job.parts for length in _lengths(part)]
    whole = folder / "store"
    shutil.rmtree(whole, ignore_errors=True)
    info = write_blocks(
        whole,
        job.infos[0].card,
        _origin(job, files),
        blocks=_counted(_blocks(job.parts), Progress("writing", 0, len(lengths), "samples", len(rejects)), on_progress),
        lengths=lengths,
        rejects=rejects,
    )
    verified(whole, len(rejects), helpers, on_progress)
    merge_features(job.parts, whole, job.out)
    publish(whole, job.out, folder)
    return info, rejects


def _check_sound(job: _Job, helpers: Crew, on_progress: Callable[[Progress], None]) -> None:
    """Refuse a part that is not as it was written."""
    total = sum(path.stat().st_size for part in job.parts for path in part.iterdir())
    done = 0

    def progress(count: int) -> None:
        """Take the bytes read since the last call."""
        nonlocal done
        done += count
        on_progress(Progress("reading", done, total, "bytes"))

    for part in job.parts:
        findings = verify_store(part, progress, helpers)
        if findings:
            raise StoreError(f"{part / findings[0].file}: {findings[0].problem} Convert this part again.")


def _raw_files(parts: Iterable[Path]) -> dict[str, tuple[int, str]]:
    """Size and SHA-256 of all the raw files that were read; one that several parts read must be one."""
    files: dict[str, tuple[int, str]] = {}
    for part in parts:
        for name, found in read_raw(part / RAW).items():
            if files.setdefault(name, found) != found:
                raise StoreError(
                    f"{part}: read other bytes of {name} than a part before it. Convert the parts from the same files."
                )
    return files


def _origin(job: _Job, files: dict[str, tuple[int, str]]) -> Origin:
    """How the whole came to be: as if by one conversion."""
    raw = RawDigest(
        files=len(files),
        bytes=sum(size for size, _ in files.values()),
        sha256=raw_digest({name: digest for name, (_, digest) in files.items()}),
    )
    return job.infos[0].origin.model_copy(update={"raw": raw, "request": job.shards[0].request, "shard": None})


def _rejects(part: Path, info: DatasetInfo) -> list[Reject]:
    """What did not become a sample of a part."""
    return read_rejects(part / REJECTS, info.rejects)


def _lengths(part: Path) -> list[int]:
    """Poses of each sample of a part; nothing else of its table is read."""
    lengths: list[int] = pq.read_table(part / SAMPLES, columns=["n_poses"])["n_poses"].to_pylist()
    return lengths


def _blocks(parts: Sequence[Path]) -> Iterator[Block]:
    """The samples of all parts, one part open at a time."""
    return chain.from_iterable(blocks_of(iter(store), store.card) for store in map(open_store, parts))


def _counted(blocks: Iterator[Block], begin: Progress, on_progress: Callable[[Progress], None]) -> Iterator[Block]:
    """The same blocks; progress is reported with each."""
    done = 0
    for block in blocks:
        done += len(block.rows)
        on_progress(Progress(begin.stage, done, begin.total, begin.unit, begin.rejects))
        yield block
