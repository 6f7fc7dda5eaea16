from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch

from skelbench.data.batches import PartData, part_data, recipe_spec
from skelbench.data.draw import sample_keys
from skelbench.data.rows import Rows, Seen
from skelbench.data.types import DataRecipe, Items
from skelbench.prepare.prepared import Prepared
from skelbench.prepare.sets import PreparedSet, pack
from skelbench.skeletons import Layout, mirror

LAYOUT = Layout(
    name="small",
    joints=("root", "left", "right", "tip"),
    parents=(-1, 0, 0, 2),
    pairs=((1, 2),),
    source="made for tests",
)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def layout() -> Layout:
    return LAYOUT


@pytest.fixture
def make_rows() -> Callable[..., Rows]:
    """Rows of samples s0, s1, ... with the given lengths, one person each who is there all the time."""

    def make(lengths: Sequence[int], **changes: object) -> Rows:
        keys = torch.from_numpy(sample_keys([f"s{number}" for number in range(len(lengths))]))
        length, place = torch.tensor(lengths), torch.arange(len(lengths))
        rows = Rows(
            key=keys,
            length=length,
            sample=place,
            slot=torch.zeros_like(place),
            seen=Seen(length, torch.zeros_like(place), length, length),
            channels=3,
            frames=8,
            extent=max(lengths),
            mirror=torch.from_numpy(mirror(LAYOUT)),
        )
        return replace(rows, **changes)

    return make


@pytest.fixture
def make_prepared() -> Callable[..., Prepared]:
    def make(persons: int, frames: int, *, channels: int = 3, seed: int = 0) -> Prepared:
        keypoints = np.random.default_rng(seed).normal(size=(persons, frames, 4, channels)).astype(np.float32)
        return Prepared(keypoints, None, np.arange(frames), {})

    return make


@pytest.fixture
def make_set() -> Callable[[Sequence[Prepared]], PreparedSet]:
    def make(samples: Sequence[Prepared]) -> PreparedSet:
        return pack(samples, samples[0].keypoints.shape[3], 4)

    return make


@pytest.fixture
def make_part(make_prepared: Any, make_set: Any) -> Callable[..., PartData]:
    """A part of samples with the given (persons, frames), ids s0, s1, ... and labels 0, 1, 2, 0, ...

    `unseen` has for (sample, person) the frames in which the person is not there.
    """

    def make(
        shapes: Sequence[tuple[int, int]],
        *,
        keep: Sequence[int] | None = None,
        slots: int = 2,
        unseen: Mapping[tuple[int, int], slice] = MappingProxyType({}),
        **recipe: Any,
    ) -> PartData:
        keep = range(len(shapes)) if keep is None else keep
        samples = [make_prepared(*shapes[number], seed=number) for number in keep]
        for (number, person), frames in unseen.items():
            samples[number].keypoints[person, frames] = np.nan
        items = Items(tuple(f"s{number}" for number in keep), np.array([number % 3 for number in keep]), "single")
        data = DataRecipe(**({"frames": 8, "batch": 4} | recipe))
        spec = recipe_spec(data, LAYOUT, channels=3, slots=slots)
        return part_data(make_set(samples), items, data, spec)

    return make
