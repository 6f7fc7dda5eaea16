from collections import Counter

import numpy as np
import pytest

from skelbench.data.batches import check_recipe
from skelbench.data.samplers import oversample, rare, times_of
from skelbench.data.types import DataRecipe
from skelbench.errors import RecipeError


def met(part) -> list[tuple[int, int]]:
    """Samples and draws of an epoch."""
    batches = list(part.train_batches(1, 0, 2, 5))
    return [pair for batch in batches for pair in zip(batch.index.tolist(), batch.key.tolist(), strict=True)]


def test_rare_classes_are_met_more_often(make_part) -> None:
    part = make_part([(1, 5)] * 4, batch=1, sampler="rare:2")  # labels 0 1 2 0: class 0 has two samples
    found = met(part)
    assert Counter(index for index, _ in found) == {0: 1, 1: 2, 2: 2, 3: 1}
    assert len(set(found)) == part.steps == 6, "each meeting has draws of its own"


def test_each_class_is_met_as_often_as_said_times_the_repetition(make_part) -> None:
    part = make_part([(1, 5)] * 3, batch=1, sampler="oversample:1+3+2", repeat=2)
    assert Counter(index for index, _ in met(part)) == {0: 2, 1: 6, 2: 4}


def test_predictions_meet_every_sample_once(make_part) -> None:
    part = make_part([(1, 5)] * 4, sampler="rare:9")
    assert [index for batch in part.batches() for index in batch.index.tolist()] == [0, 1, 2, 3]


def test_without_rare_classes_an_epoch_is_that_of_shuffle(make_part) -> None:
    one, other = (make_part([(1, 5)] * 8, batch=2, repeat=3, sampler=sampler) for sampler in ("shuffle", "rare:1"))
    assert met(one) == met(other)


def test_counts_are_rounded_and_bounded() -> None:
    target = np.array([0] * 3 + [1] * 8 + [2])
    assert rare(target, 10).tolist() == [3] * 3 + [1] * 8 + [10]
    assert rare(target, 1_000_000).max() == 1000
    assert oversample(target, "2+1+1").tolist() == [2] * 3 + [1] * 9


@pytest.mark.parametrize(
    ("sampler", "words"),
    [
        ("rare", "expected below"),
        ("rare:0", "from 1 to 1,000,000"),
        ("rare:x", "below is 'x'"),
        ("oversample:2+0", "expected numbers from 1 to 1000"),
        ("oversample:2+x", "expected numbers from 1 to 1000"),
        ("oversampel:2", "no 'oversampel:2'"),
    ],
)
def test_wrong_samplers_are_refused_without_data(sampler: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        check_recipe(DataRecipe(sampler=sampler))


def test_they_go_by_classes() -> None:
    with pytest.raises(RecipeError, match="has 1 numbers, but there is a class 1"):
        times_of("oversample:2", np.array([0, 1]))
    for target in (np.zeros((3, 2), np.float32), np.zeros(3, np.float32)):
        with pytest.raises(RecipeError, match="not one class a sample"):
            times_of("rare:5", target)
