"""Fixtures that every folder of tests shares."""

import hashlib
import importlib.util
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest


def _loaded(name: str) -> ModuleType:
    """A module of helpers."""
    path = Path(__file__).parent / name
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_loaded("checked.py").install("skelbench")


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_is_heard() -> Iterator[None]:
    """A shell starts what runs in its background deaf to Ctrl-C, and children inherit it: tests of it would fail."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real recordings, laid out as `SKELBENCH_REAL_DATA` has them."""
    folder = os.environ.get("SKELBENCH_REAL_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("no real recordings: SKELBENCH_REAL_DATA names no folder")
    return Path(folder)


@pytest.fixture(scope="session")
def mutations() -> ModuleType:
    """Recordings that are hard to clean: `tests/prepare/mutations.py`."""
    return _loaded("prepare/mutations.py")


@pytest.fixture(scope="session")
def feeding() -> ModuleType:
    """Clips beside what the references' feeders make: `tests/data/feeding.py`."""
    return _loaded("data/feeding.py")


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test stands in an empty folder of its own, so nothing lands in the repository."""
    monkeypatch.chdir(tmp_path)
    for variable in ("SKELBENCH_DATA", "SKELBENCH_RUNS"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def scored_run() -> Callable[..., Path]:
    """Write a run that never was: made-up predictions, and the record that follows from them; returns its path.

    Keywords: name, seed, fold, streams, skill (how well the logits know the target), ids (how they begin), samples,
    classes, target, subjects; all others are fields of the record.
    """
    from skelbench.data.types import Task
    from skelbench.evaluate import Predictions, evaluated_digest, measure, predictions_bytes
    from skelbench.record import Record, write_record

    def write(
        *,
        name: str = "lite",
        seed: int = 0,
        fold: int | None = None,
        streams: tuple[str, ...] = ("joint",),
        skill: float = 1.0,
        ids: str = "s",
        samples: int = 60,
        classes: int = 4,
        target: np.ndarray | None = None,
        subjects: tuple[int, ...] | None = (),
        **changes: Any,
    ) -> Path:
        key = hashlib.sha256(f"{name} {streams} {sorted(map(str, changes.items()))}".encode()).hexdigest()
        rng = np.random.default_rng([seed, int(key[:6], 16)])
        names = tuple(f"class {k}" for k in range(classes))
        truth = np.arange(samples) % classes if target is None else target
        known = np.nan_to_num(np.eye(classes)[truth] if truth.dtype.kind in "iu" else truth.reshape(samples, -1))
        logits = (skill * known + rng.normal(size=known.shape)).astype(np.float32)
        who = tuple(int(place) // 7 for place in range(samples)) if subjects == () else subjects
        names = names if truth.dtype.kind in "iu" or truth.ndim == 2 else ()
        named = tuple(f"{ids}{place:03d}" for place in range(samples))
        predictions = Predictions(named, truth, logits, names, who)
        primary = {"single": "top1", "multi": "map", "score": "mae"}[predictions.kind]
        primary = changes.get("primary", primary)
        stage = {
            **{"dataset": "nw_ucla", "protocol": "xview", "part": "train", "target": "label", "labels": None},
            **{"model": name, "method": "supervised", "streams": streams},
            "values": {"optim.lr": {"value": 0.1, "layer": "runner", "source": "ours"}},
        }
        trail = {
            **{"dataset": "nw_ucla", "fingerprint": "b" * 64, "pose_source": "Kinect v1", "synthetic": None},
            **{"raw_sha256": "c" * 64, "converter": "nw_ucla", "limit": None},
        }
        split = {"protocol": "xview", "digest": "d" * 64, "train": 9, "test": samples, "left_out": 0, "official": ()}
        content = predictions_bytes(predictions)
        fields = {
            **{"state": "done", "key": key, "seed": seed, "fold": fold, "dataset": "nw_ucla", "protocol": "xview"},
            **{"evaluation": "supervised", "labels": None, "model": name, "method": "supervised", "recipe": "small"},
            **{"streams": streams, "stages": (stage,), "data": (trail,), "split": split, "classes": names},
            **{"evaluated": evaluated_digest(predictions), "primary": primary, "chance": 1 / classes},
            "metrics": measure(predictions, Task(predictions.kind, names, ()), primary=primary),
            **{"parameters": 1000, "gflops": 0.5, "epochs": 2, "seconds": {"train": 2.0, "test": 1.0, "prepare": 0.5}},
            **{"device": "cpu", "environment": {"threads": "1"}, "code_version": "0.1.0", "messages": ()},
            "command": f"skelbench run --dataset nw_ucla --model {name} --streams {','.join(streams)} --seed {seed}",
            **{"predictions_sha256": hashlib.sha256(content).hexdigest(), "checkpoint_sha256": None},
        }
        end = f"seed{seed}" + ("" if fold is None else f"-fold{fold}")
        folder = Path("runs/nw_ucla/xview", f"{name}-supervised-{'+'.join(streams)}", key[:8], end)
        write_record(folder / "record.json", Record.model_validate({**fields, **changes}))
        (folder / "predictions.parquet").write_bytes(content)
        return folder / "record.json"

    return write
