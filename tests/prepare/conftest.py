from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from skelbench.card import Card, TargetCard
from skelbench.sample import Sample
from skelbench.skeletons import load_layout
from skelbench.store.reader import Store, open_store
from skelbench.store.schema import Origin, RawDigest
from skelbench.store.writer import write_store

MakeSample = Callable[..., Sample]
MakeStore = Callable[[Sequence[Sample]], Store]


@pytest.fixture
def make_sample() -> MakeSample:
    """Samples of Penn's 13 joints in 2-D from lists of frames and persons, coordinates drawn."""

    def make(name: str, frames: list[int], persons: list[int], *, n_frames: int | None = None, seed: int = 0) -> Sample:
        keypoints = np.random.default_rng(seed).uniform(10, 90, (len(frames), 13, 2)).astype(np.float32)
        return Sample(
            sample_id=name,
            n_frames=max(frames, default=-1) + 1 if n_frames is None else n_frames,
            frame=np.array(frames, np.uint32),
            person=np.array(persons, np.int64),
            keypoints=keypoints,
            score=np.arange(len(frames) * 13, dtype=np.float32).reshape(-1, 13),
            targets={"label": 0},
            segments=(),
            meta={"width": 200, "height": 100},
        )

    return make


@pytest.fixture
def make_store(tmp_path: Path) -> MakeStore:
    card = Card(
        name="tiny",
        title="Tiny",
        layout=load_layout("penn13"),
        channels=("u", "v"),
        units={"u": "pixel", "v": "pixel"},
        fps=30,
        pose_source="drawn",
        persons=2,
        score="order",
        targets={"label": TargetCard(classes=("walk", "sit"))},
        licence="none",
        obtain="here",
        citation="none",
        raw="nothing",
    )
    origin = Origin(
        converter="tiny", skelbench="0", request="0", raw=RawDigest(files=0, bytes=0, sha256="0" * 64), planned=0
    )

    def make(samples: Sequence[Sample]) -> Store:
        folder = tmp_path / "tiny"
        write_store(folder, card, origin, samples=samples, lengths=[len(s.frame) for s in samples], rejects=[])
        return open_store(folder)

    return make
