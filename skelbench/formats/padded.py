"""Blocks of frames, persons, joints and channels, as training code keeps them: what is missing or beyond the end is 0.

Source: Uason-Chen/CTR-GCN, data/ntu/seq_transformation.py; lshiwjx/2s-AGCN, data_gen/preprocess.py.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float32, Int64, UInt32

from skelbench.errors import RawFormatError
from skelbench.sample import Sample

Block = Float32[np.ndarray, "frames persons joints channels"]


def poses(
    block: Block, where: str
) -> tuple[UInt32[np.ndarray, " poses"], Int64[np.ndarray, " poses"], Float32[np.ndarray, "poses joints channels"]]:
    """Take the poses out of a block.

    Args:
        block: One clip.
        where: Name of file and clip, for messages.

    Returns:
        Frame, place of the person and coordinates of each pose, by frame and place; a pose of zeros is none.

    Raises:
        RawFormatError: If a value is infinite.
    """
    for frame, person, joint, _ in np.argwhere(np.isinf(block))[:1].tolist():
        raise RawFormatError(f"{where}, frame {frame}, person {person}, joint {joint}: not finite.")
    frame, person = np.nonzero((block != 0).any(axis=(2, 3)))
    return frame.astype(np.uint32), person.astype(np.int64), block[frame, person]


def length(block: Block) -> int:
    """Frames up to the last one that shows anybody, one at least."""
    shown = np.flatnonzero((block != 0).any(axis=(1, 2, 3)))
    return int(shown[-1]) + 1 if shown.size else 1


def block(sample: Sample, frames: int, persons: int) -> Block:
    """Lay a sample out as a block; what it does not hold is zero, and NaN stays NaN.

    Args:
        sample: Persons are places on the axis of persons.
        frames: Length of the block; later frames are cut off.
        persons: Places; persons beyond them are left out.

    Returns:
        The block.
    """
    found = np.zeros((frames, persons, *sample.keypoints.shape[1:]), np.float32)
    keep = (sample.frame < frames) & (sample.person < persons)
    found[sample.frame[keep], sample.person[keep]] = sample.keypoints[keep]
    return found


def settle(sample: Sample) -> Sample:
    """The nearest sample that a block can hold: people numbered in each frame, no empty frames at the end."""
    order = np.argsort(sample.frame, kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order)) - np.searchsorted(sample.frame[order], sample.frame[order])
    return replace(sample, person=place, n_frames=int(sample.frame.max(initial=0)) + 1)


def period(block: Block) -> int | None:
    """Find the length of a clip that was filled up by being replayed, each person on its own.

    Args:
        block: One clip without empty frames at the end.

    Returns:
        The longest of the smallest periods of its persons; None where one shows no repetition. A person who
        holds still throughout looks like a repetition of one frame.
    """
    found = 1
    for person in range(block.shape[1]):
        frames = block[:, person].reshape(len(block), -1)
        if (frames != 0).any():
            own = next(
                (shift for shift in _candidates(frames) if np.array_equal(frames[shift:], frames[:-shift])), None
            )
            if own is None:
                return None
            found = max(found, own)
    return found


def _candidates(frames: Float32[np.ndarray, "frames values"]) -> list[int]:
    """Shifts at which the first frame stands again."""
    return [int(shift) for shift in np.flatnonzero((frames == frames[0]).all(axis=1)) if shift]
