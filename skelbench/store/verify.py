"""Verifies a store: every byte against its digest, and what the bytes say against the format."""

import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from skelbench.crew import Crew
from skelbench.errors import StoreError
from skelbench.sample import Sample
from skelbench.store.check import pose_problem, row_problem, sample_problem, segment_problem
from skelbench.store.fingerprint import fingerprint, sample_digest
from skelbench.store.reader import Store
from skelbench.store.schema import INFO, SAMPLES, SEGMENTS, DatasetInfo, in_form, read_info

_BLOCK = 1 << 20  # bytes read at a time
_FEW = 200  # samples that are checked by one process


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a store."""

    file: str  # name within the store
    problem: str  # a sentence


def verify_store(
    path: Path, progress: Callable[[int], None] | None = None, helpers: Crew | None = None
) -> list[Finding]:
    """Check a store from the bytes up; memory does not grow with its size.

    First every file is compared with its digest: a single changed byte is found. Where all agree, the content is
    read and checked too: order of ids, offsets, index and label ranges, no infinite value, the fingerprint.

    Args:
        path: The store.
        progress: Called with the number of bytes read since the last call; their sum is the size of the files.
        helpers: Other processes, which then read parts of the content.

    Returns:
        What is wrong, by file; empty for a sound store.

    Raises:
        StoreError: If the folder holds no dataset.json, so is no store at all.
        OSError: If a file cannot be read.
    """
    try:
        info = read_info(path)
    except StoreError as error:
        if not (path / INFO).is_file():
            raise
        return [Finding(INFO, str(error))]
    mine, others = _shared_out(path, info, helpers)
    return list(_byte_findings(path, info, progress or _ignore)) or list(_content_findings(path, mine, others))


def _byte_findings(path: Path, info: DatasetInfo, progress: Callable[[int], None]) -> Iterator[Finding]:
    """Files that are missing, extra, or hold other bytes than were written."""
    data = (path / INFO).read_bytes()
    progress(len(data))
    if data != in_form(data):
        yield Finding(INFO, "was changed after it was written: the same content, in another form.")
    for name, digest in sorted(info.files.items()):
        if not (path / name).is_file():
            yield Finding(name, "is missing, or not a regular file.")
        elif _sha256(path / name, progress) != digest:
            yield Finding(name, "was changed after it was written: its SHA-256 differs. Convert again.")
    for name in sorted({child.name for child in path.iterdir()} - info.files.keys() - {INFO}):
        yield Finding(name, "does not belong to the store.")


def _shared_out(path: Path, info: DatasetInfo, helpers: Crew | None) -> tuple[range, list["Future[_Checked]"]]:
    """Have all but the first samples checked by others; these samples, and what will become of the rest."""
    count = info.samples
    others = 0 if helpers is None or count < _FEW else helpers.count
    shares = 2 * others + 1  # one of them is ours: comparing bytes takes this process as long again
    bounds = [0, *(count * part // shares for part in range(1, shares + 1, 2))]
    rest = [range(start, stop) for start, stop in itertools.pairwise(bounds[1:])]
    return range(bounds[1]), [] if helpers is None else [helpers.submit(_check_there, path, places) for places in rest]


def _content_findings(path: Path, mine: range, others: Sequence["Future[_Checked]"]) -> Iterator[Finding]:
    """What is wrong with a store whose bytes are as they were written."""
    store = Store(path)
    try:
        store.rejects()
    except StoreError as error:
        yield _unreadable(store, error)
        return
    parts = [_check(store, mine), *(other.result() for other in others)]
    for part in parts:
        yield from part.findings
    if not all(part.whole for part in parts):
        return
    frames = sum(part.frames for part in parts)
    if frames != store.info.frames:
        yield Finding(INFO, f"says {store.info.frames} frames, the samples have {frames}.")
    content = fingerprint(store.card, (digest for part in parts for digest in part.digests))
    if content != store.info.fingerprint:
        yield Finding(INFO, f"says the fingerprint is {store.info.fingerprint}, the content has {content}.")


@dataclass(frozen=True)
class _Checked:
    """What was found in some samples in a row."""

    findings: tuple[Finding, ...]
    digests: tuple[bytes, ...]
    frames: int
    whole: bool  # whether all of them could be read


def _check_there(path: Path, places: range) -> _Checked:
    """What another process does with some samples."""
    return _check(Store(path), places)


def _check(store: Store, places: range) -> _Checked:
    """Read some samples of a store and check them and their order."""
    findings: list[Finding] = []
    digests: list[bytes] = []
    frames = 0
    try:
        previous = store.ids[places.start - 1] if places.start else ""
        for place, sample in zip(places, store.samples(places), strict=True):
            if sample.sample_id <= previous or sample_problem(sample, store.card):
                findings += _sample_findings(store, place, sample, previous)
            frames, previous = frames + sample.n_frames, sample.sample_id
            digests.append(sample_digest(sample))
    except StoreError as error:
        return _Checked((*findings, _unreadable(store, error)), tuple(digests), frames, False)
    return _Checked(tuple(findings), tuple(digests), frames, True)


def _sample_findings(store: Store, place: int, sample: Sample, previous: str) -> Iterator[Finding]:
    """What is wrong with one sample, and whether it comes after the one before it."""
    where = f"sample {place} ('{sample.sample_id}')"
    if sample.sample_id <= previous:
        yield Finding(SAMPLES, f"{where} does not come after '{previous}': ids must ascend, each once.")
    parts = ((SAMPLES, row_problem), (store.shard(place).file, pose_problem), (SEGMENTS, segment_problem))
    for file, problem_of in parts:
        problem = problem_of(sample, store.card)
        if problem:
            yield Finding(file, f"{where}: {problem}")


def _unreadable(store: Store, error: StoreError) -> Finding:
    """The finding for a file that the reader refuses; its messages begin with the file's path."""
    files = (name for name in store.info.files if str(error).startswith(f"{store.path / name}:"))
    return Finding(next(files, INFO), str(error))


def _sha256(path: Path, progress: Callable[[int], None]) -> str:
    """Digest of a file, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            progress(len(block))
    return digest.hexdigest()


def _ignore(_: int) -> None:
    """No one wants to know how far it is."""
