"""What can be counted of poses while they pass on their way to the disk, in words for people."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from skelbench.store.block import Block


class Tally:
    """Counts missing joints and persons in a frame; a joint is missing where no channel says where it is."""

    def __init__(self, joints: Sequence[str]) -> None:
        """Begin with nothing."""
        self._joints = joints
        self._missing = np.zeros(len(joints), np.int64)
        self._persons: Counter[int] = Counter()  # frames with so many persons
        self._poses = self._frames = 0

    def add(self, block: Block) -> None:
        """Count the samples of a block."""
        keypoints, frame = block.arrays["keypoints"], block.arrays["frame"]
        if np.isnan(keypoints).any():  # most sets have none, and are counted at a tenth of the time
            self._missing += np.isnan(keypoints).all(2).sum(0)
        sample = np.repeat(np.arange(len(block.rows)), [row.n_poses for row in block.rows])
        counts = np.unique(sample << 32 | frame.astype(np.int64), return_counts=True)[1]
        self._persons.update(dict(enumerate(np.bincount(counts).tolist())))
        self._poses += len(frame)
        self._frames += sum(row.n_frames for row in block.rows)

    @property
    def missing(self) -> str:
        """The share of joints that are missing, and the joint that is so most often."""
        if not self._poses or not self._missing.any():
            return "none"
        worst = int(self._missing.argmax())
        share, most = self._missing.sum() / (self._poses * len(self._joints)), self._missing[worst] / self._poses
        return f"{share:.2%}; most often {self._joints[worst]}, {most:.2%}"

    @property
    def persons(self) -> str:
        """The shares of frames by how many persons are in them."""
        if not self._frames:
            return "none"
        there = {count: frames for count, frames in self._persons.items() if count and frames}
        found = {0: self._frames - sum(there.values())} | there
        return ", ".join(f"{count} in {found[count] / self._frames:.2%}" for count in sorted(found) if found[count])
