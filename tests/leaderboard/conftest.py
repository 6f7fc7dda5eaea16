from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from skelbench.record import Record, write_record

KEYS = {"lite": "a" * 64, "posestats": "b" * 64, "majority": "c" * 64}


def made_up(**changes: Any) -> Record:
    """A record of a run that never was; changes of `top1` go into the metrics."""
    top1 = changes.pop("top1", 0.9)
    synthetic = changes.pop("synthetic", None)
    model = changes.get("model", "lite")
    interval = changes.pop("interval", None)
    further = {name: {"value": value, "n": 464} for name, value in changes.pop("further", {}).items()}
    over = None if interval is None else "subject"
    stage = {
        **{"dataset": "nw_ucla", "protocol": "xview", "part": "train", "target": "label", "labels": None},
        **{"model": model, "method": "supervised", "streams": ["joint"]},
        "values": {
            "optim.lr": {"value": 0.1, "layer": "runner", "source": "ours"},
            "data.prepare": {"value": ["by-id", "centre-first:1"], "layer": "card", "source": "ours"},
        },
    }
    trail = {
        **{"dataset": "nw_ucla", "fingerprint": "b" * 64, "pose_source": "Kinect v1", "synthetic": synthetic},
        **{"raw_sha256": "c" * 64, "converter": "nw_ucla", "limit": None},
    }
    split = {"protocol": "xview", "digest": "d" * 64, "train": 1020, "test": 464, "left_out": 0, "official": []}
    metrics = {
        "top1": {"value": top1, "n": 464, "interval": interval, "interval_over": over},
        "macro_f1": {"value": 0.5, "n": 464},
        **further,
    }
    fields = {
        **{"state": "done", "key": KEYS.get(model, "f" * 64), "seed": 0, "fold": None, "dataset": "nw_ucla"},
        **{"protocol": "xview", "evaluation": "supervised", "labels": None, "model": model, "method": "supervised"},
        **{"streams": ["joint"], "recipe": "default", "stages": [stage], "data": [trail], "split": split},
        **{"evaluated": "e" * 64, "classes": [f"c{k}" for k in range(10)], "metrics": metrics, "primary": "top1"},
        **{"chance": 0.1, "parameters": 79_306, "gflops": 0.0213, "epochs": 80, "device": "cpu"},
        **{"seconds": {"train": 190.0, "test": 0.1, "prepare": 0.0}, "environment": {}, "code_version": "0.1.0"},
        **{"command": "skelbench run --dataset nw_ucla", "predictions_sha256": None, "checkpoint_sha256": None},
        "messages": [],
    }
    return Record.model_validate({**fields, **changes})


def added_up(*streams: str, controls: Any = (), **changes: Any) -> dict[str, Any]:
    """The fields of a record that fuses runs of one model, one for each of the streams."""
    alone = made_up(**changes)
    runs = [
        {
            **{"key": f"{place + 1}" * 64, "model": alone.model, "method": "supervised", "recipe": "default"},
            **{"streams": [stream], "stages": alone.stages, "weight": 1, "alone": 0.9, "left_out": 0.8},
            **{"predictions_sha256": "0" * 64, "command": f"skelbench run --streams {stream}"},
        }
        for place, stream in enumerate(streams)
    ]
    tries = [
        {"key": "1" * 64, "streams": [stream], "seeds": [0, 1, 2], "members": len(streams), "value": value}
        for stream, value in controls
    ]
    fusion = {"by": "logits", "weights": "equal", "runs": runs, "controls": tries, "learnt": None}
    return {"key": "f" * 64, "method": "fuse", "streams": streams, "stages": (), "fusion": fusion, **changes}


@pytest.fixture
def fused() -> Callable[..., dict[str, Any]]:
    """Fields of a made-up fusion, for `keep`."""
    return added_up


@pytest.fixture
def keep(tmp_path: Path) -> Callable[..., Path]:
    """Write a made-up record as a run would; returns its path."""

    def write(**changes: Any) -> Path:
        record = made_up(**changes)
        fold = "" if record.fold is None else f"-fold{record.fold}"
        path = tmp_path / "runs" / record.key[:8] / f"seed{record.seed}{fold}" / "record.json"
        write_record(path, record)
        return path

    return write
