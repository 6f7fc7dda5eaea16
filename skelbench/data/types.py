"""What passes between data, encoders and methods: specs, clips, batches, tasks, and the data section of a recipe."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float, Float64, Int64
from pydantic import BaseModel, Field, field_validator
from torch import Tensor

from skelbench.skeletons import Layout

TaskKind: TypeAlias = Literal["single", "multi", "frame", "score", "none"]


@dataclass(frozen=True)
class InputSpec:
    """All that an encoder may know of its data."""

    layout: Layout  # joints and bones of a row
    streams: tuple[int, ...]  # channels per stream, concatenated on the channel axis
    frames: int | None  # clip length; None = any
    slots: int  # person slots; `Clip.slot` is below it

    @property
    def channels(self) -> int:
        """Channels of a row, all streams together."""
        return sum(self.streams)


class Clip(NamedTuple):
    """One cut-out of every sample of a batch, persons packed: a row is one person of one sample."""

    x: Float[Tensor, "rows channels frames joints"]  # finite
    slot: Int64[Tensor, " rows"]  # person slot
    sample: Int64[Tensor, " rows"]  # place in the batch, ascending
    start: Float[Tensor, " batch"]  # first frame of the cut-out, in frames of the prepared sample


@dataclass(frozen=True)
class Batch:
    """Some samples, ready for `loss` or `predict`."""

    clips: tuple[Clip, ...]  # one per list of the recipe's `clips`, or of its `test_clips` when predicting
    index: Int64[Tensor, " batch"]  # place in the part (memory banks)
    target: Tensor  # (N,) int64 | (N, K) float, NaN = ignore | (N, T, K) the same | (N,) float
    group: int  # samples stand in groups of so many, in the sampler's order
    features: Mapping[str, Tensor]  # (N, F) each
    progress: float  # 0 <= share of this stage done < 1
    key: Int64[Tensor, " batch"] | None = None  # number of each sample, for draws of the method
    salt: int = 0  # of the pass over the data, for the same
    whole: int = 0  # samples of its step on all processes and in all pieces; 0: not known
    frames: Float64[Tensor, "batch frames"] | None = None  # of windows: where in the sample each frame of the clip is


@dataclass(frozen=True)
class Share:
    """Which samples of each step are wanted: of some of the equal pieces that it is cut into, one process's part."""

    pieces: int = 1  # that a step is cut into, in its order and between pairs; the first ones may be larger
    first: int = 0  # the first piece wanted
    count: int = 1  # pieces wanted from there on; each makes a batch
    processes: int = 1  # that work on each piece together
    process: int = 0  # whose part of the piece is wanted; the first has the most, the last perhaps none


WHOLE = Share()  # one batch a step, of all its samples


@dataclass(frozen=True)
class Task:
    """What is to be predicted."""

    kind: TaskKind
    classes: tuple[str, ...]  # names in label order; empty for a score
    train_counts: tuple[int, ...]  # training samples of each class, or in which it occurs


@dataclass(frozen=True)
class Items:
    """The samples of one part and what is known of them, in the order of the part."""

    ids: tuple[str, ...]  # sample_ids
    target: np.ndarray  # single: (n,) int64; multi: (n, K) float32, NaN = ignore; score: (n,) float32; frame: (n,)
    # objects, each (frames, bytes) uint8, a bit for every class of the frame, `np.packbits` of them
    kind: TaskKind
    classes: int = 0  # of the kind `frame`: how many bits count


class DataRecipe(BaseModel, frozen=True, extra="forbid"):
    """The `data.*` section of a recipe; the values here are the runner's defaults."""

    prepare: tuple[str, ...] = ("by-id",)  # steps on one sample, see skelbench/prepare/steps.py
    frames: int | None = Field(default=64, ge=1, le=1_000_000)  # clip length; None = whatever the clip steps give
    persons: str = "present"  # which rows a sample has: present | all | joined
    fill: str = "zero"  # what NaN becomes, last
    clips: tuple[tuple[str, ...], ...] = (("resample:0.5-1",),)  # training: one list of steps per cut-out
    test_clips: tuple[tuple[str, ...], ...] = (("resample:1",),)  # the same when predicting
    streams: tuple[str, ...] = ("joint",)  # concatenated on the channel axis
    batch: int = Field(default=64, ge=1, le=1_000_000)  # samples
    sampler: str = "shuffle"  # order of the training samples
    repeat: int = Field(default=1, ge=1, le=1000)  # how often an epoch meets each of them, with draws of its own

    @field_validator("clips", "test_clips", mode="before")
    @classmethod
    def _one_list_is_one_clip(cls, value: Any) -> Any:
        """A flat list of steps stands for a single cut-out."""
        flat = isinstance(value, (list, tuple)) and len(value) > 0 and all(isinstance(step, str) for step in value)
        return (tuple(value),) if flat else value
