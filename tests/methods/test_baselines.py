import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid
from sklearn.preprocessing import StandardScaler
from torch import nn

from skelbench import registry
from skelbench.data.types import Batch, Clip, InputSpec, Task
from skelbench.errors import RecipeError, RunError
from skelbench.methods.method import method_class
from skelbench.models.encoder import encoder_class
from skelbench.skeletons import load_layout

SPEC = InputSpec(load_layout("penn13"), (2,), 8, 1)
IDENTITY = encoder_class(registry.load(registry.find("models", "identity")))


def build(name: str, classes: int = 3, kind: str = "single") -> nn.Module:
    cls = method_class(registry.load(registry.find("methods", name)))
    task = Task(kind, tuple("abcde"[:classes]), (1,) * classes)  # type: ignore[arg-type]
    return cls(IDENTITY(SPEC), task, SPEC)


def batch(target: torch.Tensor, seed: int = 0) -> Batch:
    count = len(target)
    x = torch.randn(count, 2, 8, 13, generator=torch.Generator().manual_seed(seed))
    x[:, 0] += target.float().nan_to_num().reshape(count, -1)[:, :1, None]
    clip = Clip(x, torch.zeros(count, dtype=torch.int64), torch.arange(count), torch.zeros(count))
    return Batch((clip,), torch.arange(count), target, 1, {}, 0.0)


def six_statistics(x: np.ndarray) -> np.ndarray:
    last, first = x[:, :, -2:].mean(2), x[:, :, :2].mean(2)
    parts = [x.mean(2), x.std(2), x.min(2), x.max(2), np.abs(np.diff(x, axis=2)).mean(2), last - first]
    return np.concatenate(parts, 1).reshape(len(x), -1)


def test_posestats_predicts_what_scikit_learn_predicts() -> None:
    train, test = batch(torch.arange(60) % 3, 1), batch(torch.arange(30) % 3, 2)
    method = build("posestats")
    method.fit([train])
    scaler = StandardScaler()
    rule = LogisticRegression(C=0.1, max_iter=2000)
    rule.fit(scaler.fit_transform(six_statistics(train.clips[0].x.double().numpy())), train.target.numpy())
    expected = rule.decision_function(scaler.transform(six_statistics(test.clips[0].x.double().numpy())))
    np.testing.assert_allclose(method.predict(test).numpy(), expected, atol=1e-3)


def test_posestats_of_two_classes_gives_two_logits() -> None:
    train = batch(torch.arange(40) % 2)
    method = build("posestats", 2)
    method.fit([train])
    logits = method.predict(train)
    assert logits.shape == (40, 2)
    assert (logits.argmax(1) == train.target).float().mean() > 0.9


def test_posestats_of_several_classes_is_a_regression_for_each_over_the_samples_that_are_known() -> None:
    target = torch.stack([torch.arange(60) % 2, torch.arange(60) // 30], 1).float()
    target[::7, 1] = torch.nan
    train, known = batch(target, 1), ~target[:, 1].isnan().numpy()
    method = build("posestats", 2, "multi")
    method.fit([train])
    x = StandardScaler().fit_transform(six_statistics(train.clips[0].x.double().numpy()))
    for label, rows in ((0, np.full(60, True)), (1, known)):
        rule = LogisticRegression(C=0.1, max_iter=2000).fit(x[rows], target[rows, label].numpy())
        np.testing.assert_allclose(method.predict(train)[:, label].numpy(), rule.decision_function(x), atol=1e-3)


def test_posestats_predicts_what_all_training_samples_have_and_not_what_none_has() -> None:
    target = torch.tensor([[1.0, 0.0, torch.nan], [1.0, 0.0, torch.nan], [torch.nan, 0.0, torch.nan]])
    method = build("posestats", 3, "multi")
    method.fit([batch(target)])
    logits = method.predict(batch(torch.zeros(4, 3), 2))
    assert logits.isfinite().all()
    assert ((logits > 0) == torch.tensor([True, False, False])).all()


def test_centroid_takes_samples_that_are_all_alike() -> None:
    empty = batch(torch.arange(6) % 3)
    empty.clips[0].x.zero_()
    method = build("centroid")
    method.fit([empty])
    assert method.predict(empty).isfinite().all()


def test_centroid_predicts_what_scikit_learn_predicts() -> None:
    train, test = batch(torch.arange(60) % 3, 1), batch(torch.arange(30) % 3, 2)
    method = build("centroid")
    method.fit([train])
    poses = [each.clips[0].x.mean(2).flatten(1).double().numpy() for each in (train, test)]
    scaler = StandardScaler().fit(poses[0])
    rule = NearestCentroid().fit(scaler.transform(poses[0]), train.target.numpy())
    assert method.predict(test).argmax(1).tolist() == rule.predict(scaler.transform(poses[1])).tolist()


@pytest.mark.parametrize("name", ["posestats", "centroid", "majority"])
def test_a_class_without_training_samples_is_never_predicted(name: str) -> None:
    method = build(name, 4)
    method.fit([batch(torch.arange(30) % 3)])
    logits = method.predict(batch(torch.arange(30) % 3, 5))
    assert logits.isfinite().all()
    assert (logits.argmax(1) != 3).all()


@pytest.mark.parametrize("name", ["posestats", "centroid"])
def test_one_class_alone_and_other_targets_are_refused(name: str) -> None:
    with pytest.raises(RunError, match="1 classes, expected at least 2"):
        build(name).fit([batch(torch.zeros(5, dtype=torch.int64))])
    with pytest.raises(RecipeError, match=r"kind 'frame'\. --method majority and supervised predict every kind"):
        build(name, kind="frame")


def test_majority_predicts_the_most_frequent_class() -> None:
    method = build("majority")
    method.fit([batch(torch.tensor([0, 1, 1])), batch(torch.tensor([1, 2, 2]))])
    logits = method.predict(batch(torch.tensor([0, 2])))
    assert logits.argmax(1).tolist() == [1, 1]
    torch.testing.assert_close(logits[0].softmax(0), torch.tensor([1 / 6, 3 / 6, 2 / 6]))


def test_majority_of_several_labels_is_their_frequency_and_of_scores_the_mean() -> None:
    several = build("majority", 2, "multi")
    several.fit([batch(torch.tensor([[1.0, 0.0], [1.0, torch.nan], [0.0, 0.0]]))])
    torch.testing.assert_close(several.predict(batch(torch.ones(1, 2))).sigmoid(), torch.tensor([[2 / 3, 1e-6]]))
    score = build("majority", 0, "score")
    score.fit([batch(torch.tensor([1.0, 3.0, torch.nan]))])
    assert score.predict(batch(torch.ones(2))).tolist() == [[2.0], [2.0]]


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_statistics_of_short_clips_are_finite(frames: int) -> None:
    statistics = registry.load(registry.find("methods", "posestats")).statistics
    assert statistics(torch.randn(2, 2, frames, 13)).isfinite().all()
