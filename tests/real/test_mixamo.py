"""BVH files of two real rigs; of these only names, counts and lengths stand here."""

from pathlib import Path

import numpy as np
import pytest

from skelbench import registry
from skelbench.card import load_card
from skelbench.formats import bvh
from skelbench.sample import same
from skelbench.sources.source import open_source
from skelbench.synthetic.raw import InMemory

pytestmark = pytest.mark.real

PLUGIN = registry.find("converters", "mixamo")


@pytest.mark.parametrize(("name", "frames"), [("test_freebvh", 69), ("test_mocapbank", 455)])
def test_a_person_of_either_rig_begins_upright(real_data: Path, name: str, frames: int) -> None:
    module, card = registry.load(PLUGIN), load_card(PLUGIN.toml)
    source = open_source([real_data / "bvh"], max_file=1 << 24)
    item = next(item for item in module.plan(source, card) if item.sample_id == name)
    sample = module.read(source, item, card)
    assert (sample.n_frames, sample.keypoints.shape) == (frames, (frames, 15, 3))
    assert sample.meta == {"motion": name, "take": name, "fps": 30.0}
    height = {joint: sample.keypoints[0, place, 1] for place, joint in enumerate(card.layout.joints)}
    assert height["head"] > height["neck"] > height["hips"] > height["left leg"] > height["left foot"]
    assert 100 < height["head"] - height["right foot"] < 180  # centimetres
    files = dict(module.write(sample, card))
    (again,) = module.plan(InMemory(files), card)
    assert same(module.read(InMemory(files), again, card), sample)


@pytest.mark.parametrize(("name", "joints"), [("test_freebvh", 70), ("test_mocapbank", 24)])
def test_bones_keep_their_lengths(real_data: Path, name: str, joints: int) -> None:
    found = bvh.parse((real_data / f"bvh/{name}.bvh").read_bytes(), name)
    places = bvh.positions(found)
    assert places.shape == (len(found.motion), joints, 3)
    for place, joint in enumerate(found.joints):
        if joint.parent >= 0:
            lengths = np.linalg.norm(places[:, place] - places[:, joint.parent], axis=-1)
            assert lengths == pytest.approx(np.linalg.norm(joint.offset), abs=1e-6)
