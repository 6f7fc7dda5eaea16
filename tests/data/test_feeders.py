"""Clips of made recordings are what the references' feeders made of them with the same draws."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

RECORDED: dict[str, Any] = json.loads(Path(__file__).with_name("feeders.json").read_text(encoding="utf-8"))
NAMES = [name for name in RECORDED if name != "sources" and not name.startswith("segments")]
CLOSE = 2e-6  # of a sketch; the numbers themselves were within 1e-6 of the feeders'


@pytest.fixture(scope="module")
def people(mutations: ModuleType, feeding: ModuleType) -> Any:
    """As NTU has them."""
    return feeding.Recordings([one for one in map(mutations.made, range(60)) if len(one.frame)], "kinect_v2")


@pytest.fixture(scope="module")
def walks(feeding: ModuleType) -> Any:
    """As NW-UCLA has them."""
    return feeding.Recordings([feeding.made_walk(number) for number in range(60) if number % 7 != 3], "kinect_v1")


def test_every_case_is_recorded(feeding: ModuleType) -> None:
    assert [*feeding.NTU, *feeding.UCLA] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_clips_are_those_of_the_references(feeding: ModuleType, people: Any, walks: Any, name: str) -> None:
    case = {**feeding.NTU, **feeding.UCLA}[name]
    clips = feeding.outputs(feeding.part_of(walks if name in feeding.UCLA else people, case))
    assert np.isfinite(clips).all()
    np.testing.assert_allclose(feeding.sketch(clips), RECORDED[name], rtol=0, atol=CLOSE)


@pytest.mark.parametrize("frames", [48, 100])
def test_uniform_segments_are_pyskls_for_the_same_draws(feeding: ModuleType, frames: int) -> None:
    assert feeding.segments_digest(frames) == RECORDED[f"segments {frames}"]


def test_a_sketch_shows_an_error_in_one_frame(feeding: ModuleType, people: Any) -> None:
    clips = feeding.outputs(feeding.part_of(people, feeding.NTU["ctr test joint"]))
    shifted = clips.copy()
    shifted[17, :, 30] = clips[17, :, 31]
    assert np.abs(np.array(feeding.sketch(shifted)) - feeding.sketch(clips)).max() > 5 * CLOSE


@pytest.mark.parametrize("name", ["ucla test joint", "ucla train bone-motion"])
def test_flat_and_single_frames_on_which_the_feeder_divides_by_zero_are_finite(feeding: ModuleType, name: str) -> None:
    flat = [feeding.made_walk(number) for number in range(3, 60, 7)]
    assert {sample.n_frames for sample in flat} >= {1, 2}
    clips = feeding.outputs(feeding.part_of(feeding.Recordings(flat, "kinect_v1"), feeding.UCLA[name]))
    assert np.isfinite(clips).all()
    if name == "ucla test joint":
        assert not clips[:, 2].any()
