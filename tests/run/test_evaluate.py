import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor, nn

from skelbench.data.types import Batch, Clip, InputSpec, Task
from skelbench.errors import RunError
from skelbench.evaluate import (
    Predictions,
    chance,
    evaluated_digest,
    measure,
    predict,
    predictions_bytes,
    read_predictions,
    sizes,
)
from skelbench.skeletons import load_layout

TASK = Task("single", ("a", "b", "c"), (1, 1, 1))
SPEC = InputSpec(load_layout("kinect_v2"), (3,), 16, 2)


class Linear(nn.Module):
    """One convolution, whose work can be counted by hand."""

    def __init__(self, outputs: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, outputs, 1)

    def predict(self, batch: Batch) -> Tensor:
        clip = batch.clips[0]
        rows = self.conv(clip.x).mean((2, 3))
        return rows.new_zeros(len(batch.target), rows.shape[1]).index_add(0, clip.sample, rows)


def batches(value: float = 1.0) -> Iterator[Batch]:
    for begin in (0, 2):
        index = torch.arange(begin, begin + 2)
        zeros = torch.zeros(2, dtype=torch.int64)
        clip = Clip(torch.full((2, 3, 4, 25), value), zeros, torch.arange(2), torch.zeros(2))
        yield Batch((clip,), index, index % 3, 1, {}, 0.0)


def made(target: list[int], logits: list[list[float]]) -> Predictions:
    ids = tuple(f"s{place}" for place in range(len(target)))
    return Predictions(ids, np.array(target), np.array(logits, np.float32))


def test_predictions_stand_in_the_order_of_the_part() -> None:
    found = predict(Linear(), batches(), ids=["w", "x", "y", "z"], outputs=3)
    assert found.ids == ("w", "x", "y", "z")
    assert found.target.tolist() == [0, 1, 2, 0]
    assert found.logits.shape == (4, 3)


def test_unusable_predictions_are_refused() -> None:
    with pytest.raises(RunError, match=r"shape \(2, 5\), expected \(samples, classes\) = \(2, 3\)"):
        predict(Linear(5), batches(), ids=["w", "x", "y", "z"], outputs=3)
    with pytest.raises(RunError, match="4 predictions for 3 samples"):
        predict(Linear(), batches(), ids=["w", "x", "y"], outputs=3)
    with pytest.raises(RunError, match="4 samples are not finite, the first is w"):
        predict(Linear(), batches(float("nan")), ids=["w", "x", "y", "z"], outputs=3)
    with pytest.raises(RunError, match="no batch"):
        predict(Linear(), [], ids=[], outputs=3)


def test_work_is_counted_in_multiply_accumulates_of_a_sample_with_all_persons() -> None:
    found = sizes(Linear(), SPEC)
    assert found.parameters == 3 * 3 + 3
    assert found.gflops == pytest.approx(2 * 16 * 25 * 3 * 3 / 1e9, abs=1e-6)


TARGETS = [
    np.array([2, 0]),
    np.array([2, -1]),
    np.array([[1, 0, np.nan], [0, 1, 1]], np.float32),
    np.array([0.5, np.nan], np.float32),
]


@pytest.mark.parametrize("target", TARGETS, ids=["single", "unlabelled", "multi", "score"])
@pytest.mark.parametrize("subjects", [None, (3, 5), ("ann", None)])
def test_the_file_of_predictions_gives_them_back(tmp_path: Path, target: np.ndarray, subjects) -> None:
    logits = np.array([[0.5, 1, 2], [3, 4, 5]], np.float32)[:, : 1 if target.dtype == np.float32 else 3]
    one = Predictions(("ä", "b"), target, logits, ("x", "ÿ", "z"), subjects)
    path = tmp_path / "p.parquet"
    path.write_bytes(predictions_bytes(one))
    assert predictions_bytes(one) == path.read_bytes()
    back = read_predictions(path)
    assert (back.ids, back.classes, back.subjects, back.kind) == (one.ids, one.classes, subjects, one.kind)
    np.testing.assert_array_equal(back.target, one.target)
    np.testing.assert_array_equal(back.logits, one.logits)
    assert back.target.dtype.kind == one.target.dtype.kind


def test_a_stranger_reads_the_names_of_the_classes_with_pandas_alone(tmp_path: Path) -> None:
    one = Predictions(("a", "b"), np.array([1, -1]), np.array([[0, 3], [4, 1]], np.float32), ("sit", "stand"), (7, 8))
    (tmp_path / "p.parquet").write_bytes(predictions_bytes(one))
    table = pd.read_parquet(tmp_path / "p.parquet")
    assert list(table.columns) == ["sample_id", "target", "target_name", "predicted_name", "subject", "logits"]
    assert table["predicted_name"].tolist() == ["stand", "sit"]
    assert table["target_name"][0] == "stand"
    assert pd.isna(table["target_name"][1])
    assert list(table["logits"][1]) == [4, 1]
    assert json.loads(pq.read_schema(tmp_path / "p.parquet").metadata[b"classes"]) == ["sit", "stand"]


def test_predictions_of_older_versions_are_read(tmp_path: Path) -> None:
    flat = pa.FixedSizeListArray.from_arrays(pa.array([0.0, 1.0, 2.0, 3.0], pa.float32()), 2)
    columns = {"sample_id": ["a", "b"], "target": pa.array([0, 1], pa.int32()), "logits": flat}
    pq.write_table(pa.table(columns), tmp_path / "p.parquet")
    back = read_predictions(tmp_path / "p.parquet")
    assert (back.classes, back.subjects, back.kind) == ((), None, "single")


def test_a_file_that_holds_no_predictions_is_named(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    with pytest.raises(RunError, match=r"p\.parquet: no readable predictions"):
        read_predictions(path)
    path.write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(RunError, match="no readable predictions"):
        read_predictions(path)


def test_the_digest_is_of_the_pairs_not_of_their_order_or_the_logits() -> None:
    one = made([0, 1], [[1, 0, 0], [0, 1, 0]])
    turned = Predictions(one.ids[::-1], one.target[::-1], one.logits)
    assert evaluated_digest(one) == evaluated_digest(turned)
    assert evaluated_digest(one) != evaluated_digest(made([0, 2], [[1, 0, 0], [0, 1, 0]]))


def test_the_interval_over_subjects_stands_at_the_primary_metric() -> None:
    predictions = made([0, 1, 2, 0], [[1, 0, 0], [0, 1, 0], [1, 0, 0], [1, 0, 0]])
    known = replace(predictions, subjects=(1, 1, 2, 2))
    metrics = measure(known, TASK, primary="top1")
    assert metrics["top1"].value == 0.75
    assert metrics["top1"].interval == (0.5, 1.0)
    assert metrics["macro_f1"].interval is None
    assert measure(known, TASK, primary="macro_f1")["macro_f1"].interval_over == "subject"
    for none in (predictions, replace(predictions, subjects=(1, 1, 2, None))):
        assert measure(none, TASK, primary="top1")["top1"].interval is None
    with pytest.raises(RunError, match="has no metric 'top9'"):
        measure(predictions, TASK, primary="top9")


@pytest.mark.parametrize(
    ("metric", "classes", "value"),
    [
        ("top1", 4, 0.25),
        ("top5", 10, 0.5),
        ("top5", 3, 1),
        ("mean_class_accuracy", 2, 0.5),
        ("map", 4, 0),
        ("top1", 0, 0),
    ],
)
def test_chance_knows_only_the_classes(metric: str, classes: int, value: float) -> None:
    assert chance(metric, classes) == value
