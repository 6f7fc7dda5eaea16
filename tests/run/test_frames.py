"""A run on frames from the store to its record, and what is made of two of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skelbench import registry
from skelbench.card import load_card
from skelbench.compare import compare
from skelbench.errors import RecipeError
from skelbench.fuse import FuseRequest, fuse
from skelbench.request import RunRequest
from skelbench.run import RunResult, preview_runs, run
from skelbench.scored import aligned, load_scored
from skelbench.store.schema import Origin, RawDigest
from skelbench.store.writer import write_store
from skelbench.synthetic.generate import synthesise

FEW = ("data.frames=16", "optim.epochs=2", "data.batch=16")
METRICS = {"frame_map", *(f"event_map_{overlap}" for overlap in (10, 20, 30, 40, 50))}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few untrimmed videos, of which every fourth frame is kept."""
    folder = tmp_path_factory.mktemp("stores") / "pku_mmd1"
    card = load_card(registry.find("converters", "pku_mmd1").toml)
    card = card.model_copy(update={"fps": 8.0})
    samples = sorted(synthesise(card, 18, 0), key=lambda sample: sample.sample_id)
    raw = RawDigest(files=1, bytes=1, sha256="0" * 64)
    origin = Origin(converter="pku_mmd1", skelbench="0", request="r", raw=raw, planned=len(samples))
    lengths = [len(sample.frame) for sample in samples]
    write_store(folder, card, origin, samples=samples, lengths=lengths, rejects=[])
    return folder


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def one(dataset: Path, *overrides: str, **changes: Any) -> RunResult:
    asked = RunRequest(dataset=str(dataset), overrides=(*FEW, *overrides), device="cpu", **changes)
    (result,) = run(asked)
    return result


def test_a_run_on_frames_is_scored_frame_by_frame_and_event_by_event(made: Path) -> None:
    result = one(made)
    assert result.state == "done", result.message
    assert result.record is not None
    metrics = result.record.metrics
    assert metrics.keys() >= METRICS
    assert result.record.primary == "event_map_50"
    predictions = load_scored(result.folder / "record.json").predictions
    assert metrics["frame_map"].n == len(predictions.target) == sum(predictions.frames or ())
    assert metrics["event_map_50"].n == sum(metrics["per_class_events"].per_class or ())  # type: ignore[arg-type]
    assert predictions.logits.dtype == np.float16
    again = one(made)
    assert "done already" in again.message


def test_the_same_run_gives_the_same_predictions(made: Path, tmp_path: Path) -> None:
    first = (one(made).folder / "predictions.parquet").read_bytes()
    second = (one(made, runs=tmp_path / "other").folder / "predictions.parquet").read_bytes()
    assert first == second


def test_majority_says_the_same_of_every_frame(made: Path) -> None:
    result = one(made, "optim.epochs=0", methods=("majority",))
    logits = load_scored(result.folder / "record.json").predictions.logits
    assert np.ptp(logits, axis=0).max() == 0


def test_the_best_epoch_and_a_part_of_the_labels_are_of_frames_too(made: Path) -> None:
    result = one(made, oracle=True, labels=0.5)
    assert result.record is not None
    assert result.record.metrics.keys() >= {f"oracle_{name}" for name in METRICS}


def test_a_preview_counts_windows(made: Path) -> None:
    asked = RunRequest(dataset=str(made), overrides=FEW, device="cpu")
    (preview,) = preview_runs(asked)
    assert preview.train + preview.test == 18


def test_two_runs_are_fused_and_compared(made: Path) -> None:
    a, b = one(made), one(made, streams=(("bone",),))
    (fused,) = fuse(FuseRequest(runs=(str(a.folder), str(b.folder))))
    found = load_scored(fused.folder / "record.json")
    parts = [load_scored(run.folder / "record.json").predictions for run in (a, b)]
    expected = sum(part.logits.astype(float) for part in parts)
    np.testing.assert_allclose(found.predictions.logits.astype(float), expected, atol=0.02)
    compared = compare(str(a.folder), str(b.folder))
    assert compared.n == len(parts[0].target)
    assert compared.interval is None
    assert compared.classes


def test_predictions_of_frames_are_put_into_another_order(made: Path) -> None:
    predictions = load_scored(one(made).folder / "record.json").predictions
    turned = aligned(predictions, predictions.ids[::-1])
    first = (predictions.frames or ())[0]
    assert turned.frames == (predictions.frames or ())[::-1]
    assert np.array_equal(turned.logits[-first:], predictions.logits[:first])
    assert np.array_equal(aligned(turned, predictions.ids).target, predictions.target)


def test_methods_that_do_not_know_frames_say_so(made: Path) -> None:
    result = one(made, "optim.epochs=0", methods=("centroid",))
    assert isinstance(result.error, RecipeError)
    assert "found a target of kind 'frame'" in result.message
