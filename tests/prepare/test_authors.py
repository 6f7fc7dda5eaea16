"""The named lists against what their authors' scripts gave for recordings that our own code makes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skelbench.data.batches import part_data, recipe_spec
from skelbench.data.types import DataRecipe, Items
from skelbench.prepare import prepare
from skelbench.prepare.run import LISTS
from skelbench.prepare.sets import pack
from skelbench.sample import Sample
from skelbench.skeletons import load_layout

RECORDED: dict[str, Any] = json.loads(Path(__file__).with_name("authors.json").read_text(encoding="utf-8"))
RECORDED.pop("sources")  # repositories and commits
FILLING = {"agcn": "replay:300", "unik": "replay:300", "stgcn": "zero-pad:300"}
ALL = [(name, what) for name, found in RECORDED.items() for what in found]


def flat(sample: Sample, steps: tuple[str, ...]) -> np.ndarray:
    """As CTR-GCN's npz has a sample: a row of both bodies for each frame, 0 for NaN."""
    keypoints = np.nan_to_num(prepare(sample, steps).keypoints)
    both = np.zeros((2, *keypoints.shape[1:]), np.float32)
    both[: len(keypoints)] = keypoints
    return both.transpose(1, 0, 2, 3).reshape(-1, 150)


def batched(sample: Sample, steps: tuple[str, ...], clip: str) -> np.ndarray:
    """As the other authors' npy has a sample: (3, 300, 25, 2), through a batch."""
    recipe = DataRecipe(prepare=steps, persons="all", clips=((clip,),), test_clips=((clip,),), frames=None)
    layout = load_layout("kinect_v2")
    part = part_data(
        pack([prepare(sample, steps)], 3, 25),
        Items((sample.sample_id,), np.zeros(1, np.int64), "single"),
        recipe,
        recipe_spec(recipe, layout, channels=3, slots=2),
    )
    (batch,) = part.batches()
    return batch.clips[0].x.numpy().transpose(1, 2, 3, 0)


@pytest.mark.parametrize(("name", "what"), ALL, ids=lambda value: value.replace(" ", "-"))
def test_lists_give_what_their_authors_scripts_gave(mutations: Any, name: str, what: str) -> None:
    sample, expected = mutations.made(int(name)), RECORDED[name][what]
    match what.split():
        case ["ctr"]:
            assert mutations.digest(flat(sample, ("ctr",))) == expected
        case ["ctr120"]:
            assert mutations.digest(flat(sample, ("ctr", "copy-lone"))) == expected
        case [steps, "turned"]:
            found = mutations.probes(batched(sample, (steps,), FILLING[steps]), int(name))
            np.testing.assert_allclose(found, expected, atol=1e-5)
        case [steps]:  # before turns, which differ in the last digit from one processor to another
            still = tuple(step for step in LISTS[steps] if not step.startswith("rotate"))
            assert mutations.digest(batched(sample, still, FILLING[steps])) == expected


def test_most_recordings_are_hard(mutations: Any) -> None:
    honest: Mapping[str, bool] = {
        name: np.array_equal(flat(sample, ("ctr",)), flat(sample, ("ctr-denoise", "centre-first:1")))
        for name, sample in ((name, mutations.made(int(name))) for name in RECORDED)
    }
    scripts_stop = {name for name, found in RECORDED.items() if "ctr" not in found}
    assert all(honest[name] for name in scripts_stop)  # then both names mean the same
    assert sum(not equal for equal in honest.values()) >= 5
    assert len(scripts_stop) >= 5
