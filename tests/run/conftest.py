"""A tiny set with the card of NW-UCLA: three classes whose motion differs, three cameras, four subjects."""

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from skelbench.card import load_card
from skelbench.registry import find
from skelbench.sample import Sample
from skelbench.store.schema import Origin, RawDigest
from skelbench.store.writer import write_store

CLASSES = 3


def motion(label: int, subject: int, camera: int, take: int) -> Sample:
    """A body that sways along the axis of its class, faster for later classes."""
    rng = np.random.default_rng([label, subject, camera, take])
    frames = int(rng.integers(12, 30))
    rest = np.random.default_rng(subject).normal(size=(20, 3)) * 0.3
    sway = np.zeros((frames, 20, 3))
    sway[:, :, label] = np.sin(np.arange(frames) * 0.2 * (label + 1) + rng.random())[:, None]
    keypoints = (rest + sway + rng.normal(size=sway.shape) * 0.02).astype(np.float32)
    keypoints[rng.random(keypoints.shape[:2]) < 0.02] = np.nan
    return Sample(
        sample_id=f"a{label:02d}_s{subject:02d}_e{take:02d}_v{camera:02d}",
        n_frames=frames,
        frame=np.arange(frames, dtype=np.uint32),
        person=np.full(frames, -1),
        keypoints=keypoints,
        score=None,
        targets={"label": label},
        segments=(),
        meta={
            "subject": subject,
            "environment": take,
            "camera": camera,
            "take": f"a{label:02d}_s{subject:02d}_e{take:02d}",
        },
    )


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The set, written once."""
    folder = tmp_path_factory.mktemp("stores") / "nw_ucla"
    grid = [(c, s, v, t) for c in range(CLASSES) for s in (1, 2, 3, 4) for v in (1, 2, 3) for t in (0, 1)]
    samples = sorted((motion(*place) for place in grid), key=lambda sample: sample.sample_id)
    raw = RawDigest(files=1, bytes=1, sha256=hashlib.sha256(b"tiny").hexdigest())
    origin = Origin(converter="nw_ucla", skelbench="0", request="r", raw=raw, planned=len(samples))
    write_store(
        folder,
        load_card(find("converters", "nw_ucla").toml),
        origin,
        samples=samples,
        lengths=[len(sample.frame) for sample in samples],
        rejects=[],
    )
    return folder


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    """The set, in the data folder of the test."""
    return Path(shutil.copytree(made, tmp_path / "data" / "nw_ucla"))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
