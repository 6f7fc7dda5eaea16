from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from skelbench.card import TargetCard
from skelbench.data.targets import part_items, task_of
from skelbench.split import ProtocolCard, Split
from skelbench.store.reader import Store

TARGETS = {
    "label": TargetCard(classes=("walk", "sit", "stand")),
    "tags": TargetCard(kind="multi", classes=("left", "right")),
    "quality": TargetCard(kind="score"),
}


class FakeStore(Store):
    """A store that is only its table."""

    def __init__(self) -> None:
        """Open nothing."""

    card = SimpleNamespace(targets=TARGETS)
    table = pd.DataFrame(
        {"label": [0, 2, 2, 1], "tags": [[1, 0], [-1, 1], [0, 0], [1, 1]], "quality": [0.5, 1.5, 2.0, 0.0]}
    )
    ids = ("a", "b", "c", "d")


def split_on(target: str, classes: tuple[str, ...], index: dict[int, int], **parts: Any) -> Split:
    card = ProtocolCard(title="One", source="ours", train={"subject": (1,)}, test="rest")
    fixed = {"left_out": 0, "digest": "", "official": (), "notes": ()}
    return Split("tiny", "one", card, target, classes, index, **{"train": (1, 2), "test": (0, 3)} | parts | fixed)


def test_labels_become_those_of_the_protocol() -> None:
    split = split_on("label", ("stand", "walk"), {2: 0, 0: 1}, test=(0,))
    train, test = (part_items(FakeStore(), split, part) for part in ("train", "test"))
    assert train.ids == ("b", "c")
    assert train.target.tolist() == [0, 0]
    assert test.target.tolist() == [1]
    assert train.target.dtype == np.int64
    task = task_of(split, train)
    assert (task.kind, task.classes, task.train_counts) == ("single", ("stand", "walk"), (2, 0))


def test_several_labels_have_a_column_a_class_in_the_protocols_order() -> None:
    split = split_on("tags", ("right", "left"), {1: 0, 0: 1})
    train = part_items(FakeStore(), split, "train")
    np.testing.assert_array_equal(train.target, [[1, np.nan], [0, 0]])
    assert train.target.dtype == np.float32
    assert task_of(split, train).train_counts == (1, 0)


def test_scores_stay_as_they_are() -> None:
    split = split_on("quality", (), {})
    test = part_items(FakeStore(), split, "test")
    np.testing.assert_array_equal(test.target, np.array([0.5, 0.0], np.float32))
    assert task_of(split, test).train_counts == ()


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_kinds_are_those_of_the_card(target: str) -> None:
    classes = TARGETS[target].classes
    split = split_on(target, classes, {place: place for place in range(len(classes))})
    assert part_items(FakeStore(), split, "train").kind == TARGETS[target].kind
