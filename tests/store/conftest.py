"""Small sets to write, read and break."""

import copy
import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

from skelbench.card import Card, TargetCard
from skelbench.sample import Sample
from skelbench.skeletons import Layout
from skelbench.store.schema import INFO, DatasetInfo, Origin, RawDigest, Reject, dump_info, read_info, seal
from skelbench.store.writer import write_store

MakeCard: TypeAlias = Callable[..., Card]
MakeSample: TypeAlias = Callable[..., Sample]
Write: TypeAlias = Callable[..., DatasetInfo]

JOINTS, CHANNELS = 3, 2


def toy_card(**changes: Any) -> Card:
    fields: dict[str, Any] = {
        "name": "toy",
        "title": "Toy set",
        "layout": Layout(name="three", joints=("a", "b", "c"), parents=(-1, 0, 1), pairs=(), source=""),
        "channels": ("u", "v"),
        "units": {"u": "pixel", "v": "pixel"},
        "fps": 30.0,
        "pose_source": "made up",
        "persons": 2,
        "score": "how sure the detector is",
        "targets": {"label": TargetCard(classes=("walk", "sit"))},
        "columns": {"take": "one performance", "subject": "who moves"},
        "licence": "CC0-1.0",
        "obtain": "nowhere",
        "citation": "Nobody, 2020",
        "raw": "nothing",
    }
    return Card(**(fields | changes))


def toy_sample(sample_id: str, poses: int = 4, **changes: Any) -> Sample:
    rng = np.random.default_rng(len(sample_id) + poses)
    fields: dict[str, Any] = {
        "sample_id": sample_id,
        "n_frames": poses + 1,
        "frame": np.arange(poses, dtype=np.uint32),
        "person": np.full(poses, 72057594037931101),  # above 2**53: a float would lose it
        "keypoints": rng.normal(size=(poses, JOINTS, CHANNELS)).astype(np.float32),
        "score": rng.random((poses, JOINTS), np.float32),
        "targets": {"label": poses % 2},
        "segments": (),
        "meta": {"subject": 1, "take": f"t{poses}"},
    }
    return Sample(**(fields | changes))


@pytest.fixture(scope="session")
def make_card() -> MakeCard:
    return toy_card


@pytest.fixture(scope="session")
def make_sample() -> MakeSample:
    return toy_sample


@pytest.fixture(scope="session")
def spoil() -> MakeSample:
    """A copy with other fields, past the checks of types and shapes that tests switch on."""

    def spoil(sample: Sample, **fields: Any) -> Sample:
        spoilt = copy.copy(sample)
        for name, value in fields.items():
            object.__setattr__(spoilt, name, value)
        return spoilt

    return spoil


@pytest.fixture(scope="session")
def origin() -> Origin:
    raw = RawDigest(files=3, bytes=1000, sha256="0" * 64)
    return Origin(converter="toy", skelbench="0.1.0", request="1" * 64, raw=raw, planned=4)


@pytest.fixture(scope="session")
def write(origin: Origin) -> Write:
    """Writes samples under the toy card, or another, and works out the rest."""

    def write(
        folder: Path, samples: Iterable[Sample], card: Card | None = None, rejects: Sequence[Reject] = (), **more: Any
    ) -> DatasetInfo:
        if "lengths" not in more:
            samples = list(samples)
            more["lengths"] = [len(sample.frame) for sample in samples]
        return write_store(folder, card or toy_card(), origin, samples=samples, rejects=rejects, **more)

    return write


@pytest.fixture
def store_path(tmp_path: Path, write: Write) -> Path:
    """A store of four samples (one of them empty) in two shards, with segments and a reject."""
    samples = [
        toy_sample("a", 2, segments=((0, 2, 1), (1, 3, 0))),
        toy_sample("b", 0),
        toy_sample("c", 5, score=None, meta={"camera": 0.5}),
        toy_sample("ü/é", 3),
    ]
    write(tmp_path / "toy", samples, rejects=[Reject("d", "d.txt", "is empty")], shard_bytes=400)
    return tmp_path / "toy"


@pytest.fixture(scope="module")
def sound_store(tmp_path_factory: pytest.TempPathFactory, write: Write) -> Path:
    """A store that a test may break, if it mends it afterwards."""
    folder = tmp_path_factory.mktemp("sound") / "toy"
    samples = [toy_sample("a", 2, segments=((0, 2, 1),)), toy_sample("b", 0), toy_sample("c", 5)]
    write(folder, samples, rejects=[Reject("d", "d.txt", "is empty")], shard_bytes=400)
    return folder


@pytest.fixture(scope="session")
def forge() -> Callable[..., None]:
    """Changes dataset.json and makes all digests agree with the files as they are: damage that no digest shows."""

    def forge(folder: Path, **changes: Any) -> None:
        info = read_info(folder)
        present = sorted({path.name for path in folder.iterdir()} - {INFO})
        files = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in present}
        (folder / INFO).write_bytes(dump_info(seal(info.model_copy(update={"files": files} | changes))))

    return forge
