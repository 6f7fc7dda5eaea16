"""UI-PRMD on real recordings; of these only names, counts and distances stand here."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from skelbench import registry
from skelbench.card import Card, load_card
from skelbench.sample import Sample, same
from skelbench.sources.source import open_source
from skelbench.store.check import sample_problem
from skelbench.synthetic.raw import InMemory

pytestmark = pytest.mark.real

ARCHIVE = "ui_prmd/ui_prmd_kinect_m01_m02_m07_m10.zip"
PLUGIN = registry.find("converters", "ui_prmd")
MODULE = registry.load(PLUGIN)
WAIST, LEFT_FOOT, RIGHT_HAND, RIGHT_FOOT = 0, 16, 13, 20


def clips(folder: Path, chain: str = "whole") -> Iterator[tuple[Sample, Card]]:
    card = load_card(PLUGIN.toml)
    card = card.model_copy(update={"options": card.options | {"chain": chain}})
    source = open_source([folder / ARCHIVE], max_file=int(card.max_file_mb * 1e6))
    for item in MODULE.plan(source, card):
        assert item.reject is None, item
        yield MODULE.read(source, item, card), card


def travel(sample: Sample, joint: int) -> np.ndarray:
    return np.asarray(np.ptp(sample.keypoints[:, joint], axis=0))


def test_all_clips_that_are_there_are_read_and_written_back(real_data: Path) -> None:
    found = Counter[tuple[int, ...]]()
    for sample, card in clips(real_data):
        assert not sample_problem(sample, card)
        files = dict(MODULE.write(sample, card))
        (again,) = MODULE.plan(InMemory(files), card)
        assert same(MODULE.read(InMemory(files), again, card), sample), sample.sample_id
        code = int(str(sample.meta["movement_code"]))
        assert sample.targets["movement"] == code - 1
        found[code, int(str(sample.targets["correct"]))] += 1
    assert found == {(code, correct): 100 for code in (1, 2, 7, 10) for correct in (0, 1)}


@pytest.mark.parametrize("chain", ["whole", "chest"])
def test_a_squat_lowers_the_waist_and_leaves_the_feet_on_the_floor(real_data: Path, chain: str) -> None:
    squats = [sample for sample, _ in clips(real_data, chain) if sample.targets == {"movement": 0, "correct": 1}]
    assert np.median([travel(sample, WAIST)[1] for sample in squats]) > 35  # centimetres
    for foot in (LEFT_FOOT, RIGHT_FOOT):
        assert np.median([travel(sample, foot) for sample in squats], axis=0).max() < 15


@pytest.mark.parametrize("chain", ["whole", "chest"])
def test_an_abduction_lifts_one_hand_over_the_shoulder(real_data: Path, chain: str) -> None:
    for sample, _ in clips(real_data, chain):
        if sample.sample_id == "m07_s02_e03":
            assert travel(sample, RIGHT_HAND)[1] > 100
            assert travel(sample, WAIST).max() < 3
