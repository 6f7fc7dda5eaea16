"""Writes a store: samples in, a folder of Parquet, HDF5 and JSON out."""

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
import pyarrow as pa

from skelbench.card import Card
from skelbench.errors import StoreError
from skelbench.sample import Sample
from skelbench.store.block import Block, blocks_of, cut
from skelbench.store.check import sample_problem
from skelbench.store.fingerprint import fingerprint
from skelbench.store.readme import readme
from skelbench.store.schema import (
    FORMAT,
    INFO,
    RAW,
    README,
    REJECTS,
    SAMPLES,
    SEGMENTS,
    DatasetInfo,
    Origin,
    Reject,
    ShardInfo,
    dump_info,
    pose_arrays,
    pose_bytes,
    seal,
    shard_file,
)
from skelbench.store.tables import SampleRows, parquet_bytes, raw_table, rejects_table
from skelbench.store.tally import Tally

_BUFFER = 1 << 20  # bytes gathered for each array before they are written
_ALIGNMENT = 64  # bytes; every array starts on a cache line, so that a map of it is aligned


def write_store(  # noqa: PLR0913  (what a store is made of has seven parts)
    folder: Path,
    card: Card,
    origin: Origin,
    *,
    samples: Iterable[Sample],
    lengths: Sequence[int],
    rejects: Sequence[Reject],
    shard_bytes: int = 2 << 30,
) -> DatasetInfo:
    """Check samples and write them as a store, see `write_blocks`; it is on the disk for good when this returns.

    Args:
        folder: Where to; it must not exist, its parent must.
        card: The set's card.
        origin: How the samples came to be.
        samples: In the order of their ids (by bytes of UTF-8), each id once.
        lengths: Poses of each sample, which must be known beforehand to cut the shards.
        rejects: Raw items that did not become samples, in any order.
        shard_bytes: Size that a shard does not exceed, unless a single sample does: none straddles two.

    Returns:
        The content of dataset.json.

    Raises:
        StoreError: If the folder exists, or a sample does not fit the card, the order or its length.
        OSError: If the disk is full or cannot be written.
    """
    blocks = blocks_of(_checked(samples, card), card)
    info = write_blocks(folder, card, origin, blocks=blocks, lengths=lengths, rejects=rejects, shard_bytes=shard_bytes)
    with on_disk(folder):
        return info


def write_blocks(  # noqa: PLR0913  (what a store is made of has eight parts)
    folder: Path,
    card: Card,
    origin: Origin,
    *,
    blocks: Iterable[Block],
    lengths: Sequence[int],
    rejects: Sequence[Reject],
    raw: Mapping[str, tuple[int, str]] | None = None,
    shard_bytes: int = 2 << 30,
) -> DatasetInfo:
    """Write a store; the same content gives the same bytes. It has yet to be put on the disk for good: `on_disk`.

    Memory grows by a row for each sample, not by its arrays. What a failed write leaves is removed.

    Args:
        folder: Where to; it must not exist, its parent must.
        card: The set's card.
        origin: How the samples came to be.
        blocks: Samples that fit the card, in the order of their ids (by bytes of UTF-8), each id once.
        lengths: Poses of each sample, which must be known beforehand to cut the shards.
        rejects: Raw items that did not become samples, in any order.
        raw: Size and SHA-256 of the raw files by name; of a part of a conversion only.
        shard_bytes: Size that a shard does not exceed, unless a single sample does: none straddles two.

    Returns:
        The content of dataset.json.

    Raises:
        StoreError: If the folder exists, or a sample does not fit the order or its length.
        OSError: If the disk is full or cannot be written.
    """
    try:
        folder.mkdir()
    except FileExistsError as error:
        raise StoreError(f"{folder} is there already; a store is written whole into a new folder.") from error
    try:
        rows, tally = SampleRows(card), Tally(card.layout.joints)
        shards = _write_shards(folder, _listed(blocks, rows, tally), card, lengths, shard_bytes)
        extra = {RAW: raw_table(raw)} if raw is not None else {}
        return _write_rest(folder, origin, shards, (rows, tally), {REJECTS: rejects_table(rejects), **extra})
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


@contextmanager
def on_disk(folder: Path) -> Iterator[None]:
    """While other work is done, have the system put a folder and its files on the disk for good (fsync).

    A disk takes its time over it, in which what was written can already be read back from the system's memory.

    Args:
        folder: It must stay as it is meanwhile.

    Raises:
        OSError: At the end, if the disk did not take a file.
    """
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(_sync, folder)
        yield
        done.result()


def cut_shards(lengths: Sequence[int], limit: int) -> list[int]:
    """Divide samples among shards, in order, filling each as far as it goes.

    Args:
        lengths: Poses of each sample.
        limit: Poses that a shard may hold; a longer sample gets a shard of its own.

    Returns:
        Samples in each shard; one shard at least, even if it is empty.
    """
    counts, filled = [0], 0
    for length in lengths:
        if counts[-1] and filled + length > limit:
            counts.append(0)
            filled = 0
        counts[-1] += 1
        filled += length
    return counts


def _checked(samples: Iterable[Sample], card: Card) -> Iterator[Sample]:
    """The same samples; each is checked as it passes."""
    for sample in samples:
        problem = sample_problem(sample, card)
        if problem:
            raise StoreError(f"sample '{sample.sample_id}': {problem}")
        yield sample


def _listed(blocks: Iterable[Block], rows: SampleRows, tally: Tally) -> Iterator[Block]:
    """The same blocks; their rows are noted and their poses counted as they pass."""
    for block in blocks:
        tally.add(block)
        for row in block.rows:
            rows.add(row)
        yield block


def _write_shards(
    folder: Path, blocks: Iterator[Block], card: Card, lengths: Sequence[int], shard_bytes: int
) -> tuple[ShardInfo, ...]:
    """Write all HDF5 files; as many samples must come as lengths were given."""
    shards: list[ShardInfo] = []
    counts = cut_shards(lengths, shard_bytes // pose_bytes(card))
    aligned = _aligned(blocks, counts)
    start = 0
    for count in counts:
        file = shard_file(len(shards))
        part = lengths[start : start + count]
        written = _write_shard(folder / file, card, aligned, part)
        if written < count:
            raise StoreError(f"{start + written} samples came, {len(lengths)} were announced.")
        shards.append(ShardInfo(file=file, poses=int(sum(part)), samples=count))
        start += count
    for block in aligned:
        sample_id = block.rows[0].sample_id
        raise StoreError(f"sample '{sample_id}' came after the {len(lengths)} that were announced.")
    return tuple(shards)


def _aligned(blocks: Iterator[Block], counts: Sequence[int]) -> Iterator[Block]:
    """The same samples in blocks that straddle no two shards."""
    ends = iter(counts)
    room = next(ends)
    for whole in blocks:
        block = whole
        while len(block.rows) > room:
            first, block = cut(block, room)
            if first.rows:
                yield first
            room = next(ends, len(block.rows))
        room -= len(block.rows)
        if block.rows:
            yield block


def _write_shard(path: Path, card: Card, blocks: Iterator[Block], lengths: Sequence[int]) -> int:
    """Write one HDF5 file and return how many samples it got.

    HDF5 only lays the file out; the values go past it to the place of each array. So a full disk is an
    OSError at the write that met it, and small samples cost no call of HDF5 each.
    """
    arrays = pose_arrays(card, sum(lengths))
    offsets = _lay_out(path, arrays)
    written = 0
    with ExitStack() as stack:
        streams = {name: stack.enter_context(_stream(path, offset)) for name, offset in offsets.items()}
        while written < len(lengths) and (block := next(blocks, None)) is not None:
            for row, length in zip(block.rows, lengths[written:], strict=False):
                if row.n_poses != length:
                    raise StoreError(f"sample '{row.sample_id}': {row.n_poses} poses, {length} were announced.")
            for name, stream in streams.items():
                stream.write(block.arrays[name].data)
            written += len(block.rows)
    return written


def _lay_out(path: Path, arrays: dict[str, tuple[tuple[int, ...], np.dtype[Any]]]) -> dict[str, int]:
    """Create an HDF5 file of contiguous arrays, unwritten, and say at which byte each begins; empty ones lie nowhere.

    Raises:
        OSError: If the disk is full; HDF5 reports some of these as RuntimeError.
    """
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_layout(h5py.h5d.CONTIGUOUS)
    plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    plan.set_obj_track_times(False)
    offsets = {}
    try:
        with h5py.File(path, "x", alignment_threshold=1, alignment_interval=_ALIGNMENT) as file:
            for name, (shape, dtype) in arrays.items():
                space, kind = h5py.h5s.create_simple(shape), h5py.h5t.py_create(dtype)
                dataset = h5py.h5d.create(file.id, name.encode(), kind, space, plan)
                if shape[0]:
                    offsets[name] = int(dataset.get_offset())
    except (OSError, RuntimeError) as error:
        found = re.search(r"errno = (\d+)", str(error))
        number = int(found[1]) if found else errno.EIO
        raise OSError(number, os.strerror(number), str(path)) from error
    return offsets


def _stream(path: Path, offset: int) -> BinaryIO:
    """A buffered writer into an existing file, from a byte on."""
    stream = path.open("r+b", buffering=_BUFFER)
    stream.seek(offset)
    return stream


def _write_rest(
    folder: Path,
    origin: Origin,
    shards: tuple[ShardInfo, ...],
    seen: tuple[SampleRows, Tally],
    others: Mapping[str, pa.Table],
) -> DatasetInfo:
    """Write the tables, the README and, last, dataset.json."""
    rows, tally = seen
    content = fingerprint(rows.card, rows.digests)
    tables = {SAMPLES: rows.samples_table(), SEGMENTS: rows.segments_table(), **others}
    for name, table in tables.items():
        if table is not None:
            (folder / name).write_bytes(parquet_bytes(table))
    poses = sum(shard.poses for shard in shards)
    counts = {"samples": len(rows), "frames": rows.frames, "poses": poses, "rejects": others[REJECTS].num_rows}
    words = {"lengths": rows.lengths, "balance": rows.balance, "missing": tally.missing, "persons": tally.persons}
    (folder / README).write_bytes(readme(rows.card, origin, {**counts, **words}, content).encode())
    info = DatasetInfo(
        format=FORMAT,
        name=rows.card.name,
        card=rows.card,
        origin=origin,
        samples=len(rows),
        poses=poses,
        frames=rows.frames,
        rejects=counts["rejects"],
        shards=shards,
        files={path.name: _sha256(path) for path in sorted(folder.iterdir())},
        fingerprint=content,
    )
    info = seal(info)
    (folder / INFO).write_bytes(dump_info(info))
    return info


def _sync(folder: Path) -> None:
    """Have the system put the files of a folder and then their names on the disk before going on."""
    for path in (*sorted(folder.iterdir()), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sha256(path: Path) -> str:
    """Digest of a file, read back from the disk."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
