"""Samples in a row, their poses end to end: how they go from process to process, and onto the disk."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from skelbench.card import Card
from skelbench.sample import MetaValue, Sample, Segment, TargetValue
from skelbench.store.fingerprint import one_nan, sample_digest
from skelbench.store.schema import pose_arrays

_BYTES = 1 << 18  # of joints, gathered into one block


class Row(NamedTuple):
    """What a store's tables say of a sample: all of it but its poses."""

    sample_id: str
    n_frames: int
    n_poses: int
    scored: bool  # whether its poses have scores
    targets: Mapping[str, TargetValue]
    segments: tuple[Segment, ...]
    meta: Mapping[str, MetaValue]
    digest: str  # SHA-256, see `sample_digest`


@dataclass(frozen=True, eq=False)
class Block:
    """Some samples, one after the other."""

    rows: tuple[Row, ...]
    arrays: Mapping[str, np.ndarray]  # those of `pose_arrays`, as on the disk; a score that is not there is NaN


def block_of(samples: Sequence[Sample], card: Card) -> Block:
    """Put samples end to end.

    Args:
        samples: Samples in which `sample_problem` finds nothing wrong.
        card: The card of their set.

    Returns:
        The block; every NaN has the same bits.
    """
    arrays = {
        name: _end_to_end([np.empty((0, *shape[1:]), dtype), *(_values(sample, name) for sample in samples)])
        for name, (shape, dtype) in pose_arrays(card, 0).items()
    }
    rows = [
        Row(
            sample.sample_id,
            sample.n_frames,
            len(sample.frame),
            sample.score is not None,
            sample.targets,
            sample.segments,
            sample.meta,
            sample_digest(sample).hex(),
        )
        for sample in samples
    ]
    floats = {name: one_nan(array) for name, array in arrays.items() if array.dtype.kind == "f"}
    return Block(tuple(rows), arrays | floats)


def blocks_of(samples: Iterable[Sample], card: Card) -> Iterator[Block]:
    """Gather samples into blocks of less than a megabyte, or one sample where that is larger."""
    gathered: list[Sample] = []
    filled = 0
    for sample in samples:
        gathered.append(sample)
        filled += sample.keypoints.nbytes
        if filled >= _BYTES:
            block, gathered, filled = block_of(gathered, card), [], 0
            del sample  # the block holds all of it
            yield block
    if gathered:
        yield block_of(gathered, card)


def samples_of(block: Block) -> Iterator[Sample]:
    """The samples of a block."""
    begin = 0
    for row in block.rows:
        found = {name: array[begin : begin + row.n_poses] for name, array in block.arrays.items()}
        begin += row.n_poses
        score = found.get("score") if row.scored else None
        yield Sample(
            sample_id=row.sample_id,
            n_frames=row.n_frames,
            frame=found["frame"],
            person=found["person"],
            keypoints=found["keypoints"],
            score=score,
            targets=row.targets,
            segments=row.segments,
            meta=row.meta,
        )


def cut(block: Block, count: int) -> tuple[Block, Block]:
    """The first samples of a block, and the others."""
    poses = sum(row.n_poses for row in block.rows[:count])
    first = {name: array[:poses] for name, array in block.arrays.items()}
    other = {name: array[poses:] for name, array in block.arrays.items()}
    return Block(block.rows[:count], first), Block(block.rows[count:], other)


def _values(sample: Sample, name: str) -> np.ndarray:
    """An array of a sample; NaN for a score that is not there."""
    values: np.ndarray | None = getattr(sample, name)
    return np.full(sample.keypoints.shape[:2], np.nan, "<f4") if values is None else values


def _end_to_end(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Arrays in a row; the first is empty and says what all are."""
    return np.ascontiguousarray(arrays[1]) if len(arrays) == 2 else np.concatenate(arrays)
