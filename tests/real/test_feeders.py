"""Clips of real recordings are what the references' feeders made of them with the same draws: sketches alone."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from skelbench import registry
from skelbench.card import load_card
from skelbench.sample import Sample
from skelbench.sources.source import open_source

pytestmark = pytest.mark.real

RECORDED: dict[str, Any] = json.loads(Path(__file__).with_name("feeders.json").read_text(encoding="utf-8"))
NAMES = [name for name in RECORDED if name not in ("sources", "ucla frames")]
CLOSE = 3e-6  # of a sketch; stored in single precision, coordinates of NW-UCLA end up within 3e-6 of the feeder's
CHANGED = 120  # recordings changed from the five of NTU


def read(name: str, where: Path) -> list[Sample]:
    plugin = registry.find("converters", name)
    module, card = registry.load(plugin), load_card(plugin.toml)
    source = open_source([where], max_file=int(card.max_file_mb * 1e6))
    samples = [module.read(source, item, card) for item in module.plan(source, card)]
    return sorted(samples, key=lambda sample: sample.sample_id.encode())


@pytest.fixture(scope="module")
def people(real_data: Path, mutations: Any, feeding: ModuleType) -> Any:
    """The NTU recordings, and changes of them."""
    real = read("ntu60", real_data / "ntu/nturgb+d_skeletons")
    changed = [
        mutations.mutated(real[number % 5], real[(number * 7 + number // 5) % 5], number) for number in range(CHANGED)
    ]
    return feeding.Recordings([sample for sample in (*real, *changed) if len(sample.frame)], "kinect_v2")


@pytest.fixture(scope="module")
def walks(real_data: Path, feeding: ModuleType) -> Any:
    """NW-UCLA."""
    return feeding.Recordings(read("nw_ucla", real_data / "nw_ucla/all_sqe.zip"), "kinect_v1")


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("ucla")])
def test_clips_of_ntu_are_those_of_the_references(feeding: ModuleType, people: Any, name: str) -> None:
    assert len(people.samples) == CHANGED + 5
    clips = feeding.outputs(feeding.part_of(people, feeding.NTU[name]))
    np.testing.assert_allclose(feeding.sketch(clips), RECORDED[name], rtol=0, atol=CLOSE)


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("ucla")])
def test_clips_of_nw_ucla_are_those_of_the_references(feeding: ModuleType, walks: Any, name: str) -> None:
    assert len(walks.samples) == 1484
    clips = feeding.outputs(feeding.part_of(walks, feeding.UCLA[name]))
    assert np.isfinite(clips).all()
    np.testing.assert_allclose(feeding.sketch(clips), RECORDED[name], rtol=0, atol=CLOSE)


def test_frames_of_nw_ucla_at_test_are_those_of_the_feeder(feeding: ModuleType, walks: Any) -> None:
    lengths = [walk.n_frames for walk in walks.samples]
    assert feeding.even_digest(lengths, 52) == RECORDED["ucla frames"]
