"""The fingerprint is of what was recorded and how it is to be read, and of nothing else."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from skelbench.card import TargetCard
from skelbench.skeletons import Layout
from skelbench.store.fingerprint import fingerprint, one_nan, sample_digest


@pytest.mark.parametrize(
    "fields",
    [
        {"sample_id": "b"},
        {"n_frames": 6},
        {"frame": np.array([0, 1, 2, 4], np.uint32)},
        {"person": np.array([1, 2, 3, 4])},
        {"keypoints": np.full((4, 3, 2), -0.0, np.float32)},
        {"keypoints": np.full((4, 3, 2), np.nan, np.float32)},
        {"score": None},
        {"score": np.full((4, 3), 0.5, np.float32)},
        {"targets": {"label": -1}},
        {"segments": ((0, 1, 0),)},
        {"meta": {"subject": 2}},
        {"meta": {"subject": "0"}},
        {"meta": {}},
    ],
)
def test_every_field_of_a_sample_counts(make_sample: Any, fields: dict[str, Any]) -> None:
    sample = make_sample("a", keypoints=np.zeros((4, 3, 2), np.float32), meta={"subject": 0})
    assert sample_digest(sample) != sample_digest(dataclasses.replace(sample, **fields))


def test_order_of_meta_strides_and_the_payload_of_nan_do_not_count(make_sample: Any) -> None:
    keypoints = np.array([0x7FC00000, 0xFFC00001] * 12, np.uint32).view(np.float32).reshape(4, 3, 2)
    one = make_sample("a", keypoints=np.full((4, 3, 2), np.nan, np.float32), meta={"x": 1, "y": 2.5})
    other = make_sample("a", keypoints=np.asfortranarray(keypoints), meta={"y": 2.5, "x": 1.0})
    assert sample_digest(one) == sample_digest(other)


def test_integers_that_float64_cannot_hold_keep_their_last_digit(make_sample: Any) -> None:
    assert sample_digest(make_sample("a", meta={"x": 2**53})) != sample_digest(make_sample("a", meta={"x": 2**53 + 1}))


def test_one_nan_leaves_what_has_none_untouched_and_uncopied() -> None:
    values = np.array([[-0.0, 1e-45]], np.float32)
    assert one_nan(values) is values


@pytest.mark.parametrize(
    "changes",
    [
        {"layout": Layout(name="three", joints=("a", "b", "x"), parents=(-1, 0, 1), pairs=(), source="")},
        {"layout": Layout(name="three", joints=("a", "b", "c"), parents=(-1, 0, 0), pairs=(), source="")},
        {"layout": Layout(name="three", joints=("a", "b", "c"), parents=(-1, 0, 1), pairs=((1, 2),), source="")},
        {"channels": ("v", "u")},
        {"units": {"u": "pixel", "v": "metre"}},
        {"targets": {"label": TargetCard(classes=("sit", "walk"))}},
        {"targets": {"action": TargetCard(classes=("walk", "sit"))}},
        {"targets": {"label": TargetCard(kind="multi", classes=("walk", "sit"))}},
    ],
)
def test_what_the_numbers_mean_counts(make_card: Any, changes: dict[str, Any]) -> None:
    assert fingerprint(make_card(), []) != fingerprint(make_card(**changes), [])


def test_names_terms_and_sources_do_not_count(make_card: Any) -> None:
    layout = Layout(name="other", joints=("a", "b", "c"), parents=(-1, 0, 1), pairs=(), source="elsewhere")
    other = make_card(layout=layout, licence="other", citation="other", title="other", prepare=("by-position",))
    assert fingerprint(make_card(), [b"1"]) == fingerprint(other, [b"1"])


def test_the_order_of_samples_counts(make_card: Any) -> None:
    assert fingerprint(make_card(), [b"1", b"2"]) != fingerprint(make_card(), [b"2", b"1"])


def test_the_fingerprint_of_a_known_set_never_changes(make_card: Any, make_sample: Any) -> None:
    sample = make_sample("a", 1, keypoints=np.ones((1, 3, 2), np.float32), score=np.ones((1, 3), np.float32))
    found = fingerprint(make_card(), [sample_digest(sample)])
    assert found == "dacb6259ec52fb402ca198351bd4b0a41d33f8d286e3b9abd5efec0330eefa8f"
