"""Clips beside what the references' feeders make of the same samples with the same draws.

Of the feeders' output only sketches are recorded: eight sums over all of it with signs from an integer hash, each
divided by the root of its size, so that an error of 1e-6 in every number changes a sketch by about 1e-6.
"""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from skelbench.data.batches import PartData, part_data, recipe_spec
from skelbench.data.rows import Rows, Seen
from skelbench.data.sampling import draw_linspace, draw_uniform_segments
from skelbench.data.types import DataRecipe, Items
from skelbench.prepare import prepare
from skelbench.prepare.sets import PreparedSet, pack
from skelbench.sample import Sample
from skelbench.skeletons import load_layout


class Case(NamedTuple):
    """One setting of one feeder."""

    prepare: tuple[str, ...]
    clips: tuple[str, ...]
    stream: str


_STREAMS = ("joint", "bone", "joint-motion", "bone-motion")
_TURNED = ("random-view:60,0.5-1.5", "minmax", "sorted-draw:52", "stream")
NTU = {
    **{f"ctr test {one}": Case(("ctr",), ("zero", "crop-resize:0.95,64", "stream"), one) for one in _STREAMS},
    **{
        f"ctr train {one}": Case(("ctr",), ("zero", "crop-resize:0.5-1,64", "rotate:0.3", "stream"), one)
        for one in _STREAMS
    },
    **{f"agcn whole {one}": Case(("agcn",), ("replay:300", "zero", "stream"), one) for one in _STREAMS},
    **{
        f"unik window {one}": Case(("unik",), ("contiguous:150,replay,300", "zero", "stream", "random-move"), one)
        for one in ("joint", "bone")
    },
    "stgcn window joint": Case(("stgcn",), ("contiguous:150,zero,300", "zero", "random-move", "stream"), "joint"),
    "stgcn own window joint": Case(("stgcn",), ("contiguous:64", "zero", "random-move", "stream"), "joint"),
    "stgcn shift joint": Case(("stgcn",), ("random-shift:300", "zero", "stream"), "joint"),
    "stgcn whole joint-motion": Case(("stgcn",), ("zero-pad:300", "zero", "stream"), "joint-motion"),
}
UCLA = {
    **{
        f"ucla test {one}": Case(("by-id", "centre-first:1"), ("minmax", "linspace:52", "stream"), one)
        for one in _STREAMS
    },
    **{f"ucla train {one}": Case(("by-id", "centre-first:1"), _TURNED, one) for one in _STREAMS},
}


class Recordings:
    """Samples of one layout; what a prepare list makes of them is kept."""

    def __init__(self, samples: Sequence[Sample], layout: str) -> None:
        self.samples, self.layout = samples, layout
        self._prepared: dict[tuple[str, ...], PreparedSet] = {}

    def prepared(self, steps: tuple[str, ...]) -> PreparedSet:
        """All samples after a prepare list."""
        if steps not in self._prepared:
            made = [prepare(sample, steps) for sample in self.samples]
            self._prepared[steps] = pack(made, 3, len(load_layout(self.layout).joints))
        return self._prepared[steps]


def part_of(recordings: Recordings, case: Case) -> PartData:
    """The samples as the feeder has them: every slot of each, in order, with the draws of prediction."""
    samples, layout = recordings.samples, recordings.layout
    slots = 1 if layout == "kinect_v1" else 2
    data = DataRecipe(
        prepare=case.prepare, frames=64, persons="all", test_clips=(case.clips,), streams=(case.stream,), batch=16
    )
    items = Items(tuple(sample.sample_id for sample in samples), np.zeros(len(samples), np.int64), "single")
    spec = recipe_spec(data, load_layout(layout), channels=3, slots=slots)
    return part_data(recordings.prepared(case.prepare), items, data, spec)


def outputs(part: PartData) -> np.ndarray:
    """All clips as the feeders shape them: (samples, channels, frames, joints, persons)."""
    slots = part.tracks.begin[1]
    found = [batch.clips[0].x for batch in part.batches()]
    rows = torch.cat(found)
    array: np.ndarray = rows.view(-1, slots, *rows.shape[1:]).permute(0, 2, 3, 4, 1).numpy()
    return array


def sketch(array: np.ndarray) -> list[float]:
    """Eight numbers that hardly change where an array hardly changes."""
    values = np.ascontiguousarray(array, np.float64).ravel()
    word = np.arange(values.size, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    signs = [1 - 2 * (word >> np.uint64(63 - bit) & np.uint64(1)).astype(np.float64) for bit in range(8)]
    return [float(sign @ values) / values.size**0.5 for sign in signs]


def made_walk(number: int) -> Sample:
    """A recording of one body of 20 joints, all coordinates multiples of 1/1024; some are short or flat."""
    state, length = np.uint64(number * 977 + 5), (1, 2, 3, 9, 26, 39, 52, 53, 101)[number % 9]
    word = (np.arange(length * 60, dtype=np.uint64) + state) * np.uint64(0x9E3779B97F4A7C15)
    word = (word ^ (word >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    jitter = (word >> np.uint64(55)).astype(np.int64).reshape(length, 20, 3) - 256
    along = np.arange(length)[:, None, None] * np.array([11, -7, 5]) * (number % 5 - 2)
    body = np.stack([np.arange(20) * 37 % 41 - 20, 60 - 6 * np.arange(20), 100 + np.arange(20) * 13 % 9], -1) * 24
    keypoints = (body + along + jitter // 8) / np.float32(1024)
    if number % 7 == 3:
        keypoints[..., 2] = 2.5  # a flat axis
    return Sample(
        sample_id=f"walk{number}",
        n_frames=length,
        frame=np.arange(length, dtype=np.uint32),
        person=np.full(length, -1),
        keypoints=keypoints.astype(np.float32),
        score=None,
        targets={"label": 0},
        segments=(),
        meta={},
    )


def segments_digest(frames: int) -> str:
    """Of the frames that `uniform-segments` draws of samples of 1 to 700 frames."""
    return digest(draw_uniform_segments(_rows(range(1, 701)), frames).numpy())


def even_digest(lengths: Sequence[int], frames: int) -> str:
    """Of the frames that `linspace` takes."""
    return digest(draw_linspace(_rows(lengths), frames).numpy())


def _rows(lengths: Sequence[int]) -> Rows:
    """Samples of some lengths."""
    length = torch.tensor(lengths)
    none = torch.zeros_like(length)
    return Rows(length * 7919, length, none, none, Seen(length, none, length, length), 3, None, 700, none, by=3)


def digest(array: np.ndarray) -> str:
    """Of whole numbers."""
    return hashlib.sha256(np.ascontiguousarray(array, "<i8").tobytes()).hexdigest()[:20]
