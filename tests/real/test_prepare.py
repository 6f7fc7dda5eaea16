"""The named lists against their authors' scripts on real recordings, as they are and changed: digests alone."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skelbench import registry
from skelbench.card import load_card
from skelbench.prepare import prepare
from skelbench.prepare.run import LISTS
from skelbench.sample import Sample
from skelbench.sources.source import open_source

pytestmark = pytest.mark.real

RECORDED: dict[str, dict[str, str]] = json.loads(Path(__file__).with_name("prepare.json").read_text(encoding="utf-8"))
RECORDED.pop("sources")  # repositories and commits
WHERE = "ntu/nturgb+d_skeletons"


@pytest.fixture(scope="module")
def recordings(real_data: Path, mutations: Any) -> dict[str, Sample]:
    """The real samples, and samples changed from them as often as results are recorded."""
    plugin = registry.find("converters", "ntu60")
    module, card = registry.load(plugin), load_card(plugin.toml)
    source = open_source([real_data / WHERE], max_file=int(card.max_file_mb * 1e6))
    samples = [module.read(source, item, card) for item in module.plan(source, card)]
    count = len(RECORDED) - len(samples)
    changed = (
        mutations.mutated(samples[n % len(samples)], samples[(n * 7 + n // 5) % len(samples)], n) for n in range(count)
    )
    return {sample.sample_id: sample for sample in (*samples, *changed)}


def authors_array(sample: Sample, name: str) -> np.ndarray:
    """What the authors' script writes for a sample, turns left out, which differ in the last digit."""
    steps = [step for step in LISTS.get(name, ("ctr", "copy-lone")) if not step.startswith("rotate")]
    keypoints = prepare(sample, steps).keypoints
    if name.startswith("ctr"):
        array = np.zeros((keypoints.shape[1], 2, 25, 3), np.float32)
        array[:, : len(keypoints)] = np.nan_to_num(keypoints).swapaxes(0, 1)
        return array.reshape(-1, 150)
    array = np.zeros((2, 300, 25, 3), np.float32)
    for slot, person in enumerate(keypoints):
        seen = np.flatnonzero(~np.isnan(person).all((1, 2)))
        if name == "stgcn":
            array[slot, : len(person)] = np.nan_to_num(person)
        elif seen.size:
            array[slot] = np.nan_to_num(person[np.arange(300) % (seen[-1] + 1)])
    return array.transpose(3, 1, 2, 0)


@pytest.mark.parametrize("name", ["ctr", "ctr120", "agcn", "unik", "stgcn"])
def test_lists_give_what_their_authors_scripts_gave(recordings: dict[str, Sample], mutations: Any, name: str) -> None:
    compared = 0
    for sample_id, found in RECORDED.items():
        if name in found:
            array = authors_array(recordings[sample_id], name)
            assert mutations.digest(array) == found[name], sample_id
            compared += 1
    assert compared >= 80


def test_a_recording_on_which_the_authors_script_stops_is_cleaned_honestly(recordings: dict[str, Sample]) -> None:
    stopped = [name for name, found in RECORDED.items() if "ctr" not in found]
    assert stopped
    for name in stopped:
        exact, honest = (prepare(recordings[name], [f"ctr-denoise:{mode}"]).keypoints for mode in ("exact", "honest"))
        assert np.array_equal(exact, honest, equal_nan=True)
        assert not np.isinf(exact).any()
