"""Predictions of windows, put together to those of whole samples."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skelbench.evaluate import Predictions, evaluated_digest, predictions_bytes, read_predictions
from skelbench.stitch import spread


def made(seed: int = 0) -> Predictions:
    rng = np.random.default_rng(seed)
    frames = (30, 0, 7)
    logits = rng.normal(size=(37, 3)).astype(np.float16)
    return Predictions(("a", "b", "c"), rng.random((37, 3)) < 0.4, logits, ("x", "y", "z"), (1, 2, 2), frames)


def test_between_the_frames_of_a_clip_logits_are_interpolated() -> None:
    values = np.array([[0.0], [4.0], [2.0]])
    assert spread(values, np.array([0.0, 2.0, 4.0]), 5)[:, 0].tolist() == [0, 2, 4, 3, 2]
    assert spread(values, np.array([1.0, 1.5, 3.0]), 5)[:, 0].tolist() == pytest.approx([0, 0, 4 - 2 / 3, 2, 2])
    assert spread(values, np.array([-1.0, 1.0, -1.0]), 3)[:, 0].tolist() == [4, 4, 4]
    assert spread(values, np.array([0.0, 1.0, 2.0]), 3) is values
    assert not spread(values, np.full(3, -1.0), 4).any()


def test_predictions_of_frames_read_back_unchanged(tmp_path: Path) -> None:
    path, predictions = tmp_path / "predictions.parquet", made()
    path.write_bytes(predictions_bytes(predictions))
    found = read_predictions(path)
    assert found.kind == "frame"
    for name in ("ids", "classes", "subjects", "frames"):
        assert getattr(found, name) == getattr(predictions, name)
    assert np.array_equal(found.target, predictions.target)
    assert np.array_equal(found.logits, predictions.logits)
    assert predictions_bytes(found) == predictions_bytes(predictions)


def test_predictions_of_frames_open_in_pandas(tmp_path: Path) -> None:
    path, predictions = tmp_path / "predictions.parquet", made()
    path.write_bytes(predictions_bytes(predictions))
    table = pd.read_parquet(path)
    assert table["frames"].tolist() == [30, 0, 7]
    assert np.array_equal(np.array(table["logits"][0]).reshape(30, 3), predictions.logits[:30].astype(np.float32))
    on = np.zeros((7, 3), bool)
    for run in table["target"][2]:
        on[run["start"] : run["end"], run["label"]] = True
    assert np.array_equal(on, predictions.target[30:])


def test_the_digest_is_of_targets_whatever_was_predicted_and_in_which_order() -> None:
    one, other = made(), made()
    other.logits[:] = 0
    assert evaluated_digest(one) == evaluated_digest(other)
    other.target[3, 1] ^= True
    assert evaluated_digest(one) != evaluated_digest(other)
