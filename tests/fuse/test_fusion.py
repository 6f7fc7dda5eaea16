import numpy as np
import pytest
from scipy.special import softmax

from skelbench.errors import UsageError
from skelbench.fusion import combine, learn


def stack(kind: str = "single", samples: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Three runs: a good one, a worse one that is surer of itself, and noise."""
    rng = np.random.default_rng(4)
    target: np.ndarray
    if kind == "single":
        target = rng.integers(0, 5, samples)
        truth = np.eye(5)[target]
    elif kind == "multi":
        target = rng.choice([0.0, 1.0, np.nan], (samples, 5), p=[0.6, 0.3, 0.1])
        truth = 2 * np.nan_to_num(target) - 1
    else:
        target = rng.normal(size=samples)
        truth = target[:, None]
    noise = rng.normal(size=(3, *truth.shape))
    return np.stack([2 * truth + noise[0], 3 * (truth + 1.3 * noise[1]), 2 * noise[2]]), target


def test_logits_are_added_and_softmax_scores_averaged() -> None:
    runs, _ = stack()
    weights = np.array([0.6, 0.4, 0.0])
    np.testing.assert_allclose(
        combine(runs, weights, by="logits", kind="single"), 0.6 * runs[0] + 0.4 * runs[1], rtol=1e-5, atol=1e-6
    )
    found = softmax(combine(runs, weights, by="softmax", kind="single"), axis=1)
    np.testing.assert_allclose(found, 0.6 * softmax(runs[0], 1) + 0.4 * softmax(runs[1], 1), rtol=1e-5)
    np.testing.assert_allclose(
        combine(runs, 5 * weights, by="softmax", kind="single"), combine(runs, weights, by="softmax", kind="single")
    )


def test_the_surest_of_networks_leave_finite_scores() -> None:
    runs = np.array([[[1e5, -1e5]], [[2e5, 0.0]]])
    assert np.isfinite(combine(runs, np.ones(2), by="softmax", kind="single")).all()


def test_numbers_are_averaged() -> None:
    runs = np.array([[[1.0], [2.0]], [[4.0], [5.0]]])
    assert combine(runs, np.array([2.0, 1.0]), by="logits", kind="score").tolist() == [[2.0], [3.0]]


@pytest.mark.parametrize("kind", ["multi", "score"])
def test_there_is_no_softmax_of_several_classes_or_a_number(kind: str) -> None:
    with pytest.raises(UsageError, match=f"'{kind}' has no softmax. Fuse it --by logits"):
        combine(stack(kind)[0], np.ones(3), by="softmax", kind=kind)


@pytest.mark.parametrize(("by", "kind"), [("logits", "single"), ("softmax", "single"), ("logits", "multi")])
def test_learnt_weights_leave_less_loss_than_any_on_a_grid(by, kind: str) -> None:
    runs, target = stack(kind)
    weights, loss, equal = learn(runs, target, by=by, kind=kind)
    assert sum(weights) == pytest.approx(3, abs=2e-4)
    assert min(weights) >= 0
    assert loss < equal
    assert weights[0] > weights[1] > weights[2]
    share = np.linspace(0, 3, 13)
    for one in share:
        for two in share[share <= 3 - one]:
            fused = combine(runs, np.array([one, two, 3 - one - two]), by=by, kind=kind).astype(float)
            scales = np.linspace(0.1, 2, 20) if by == "logits" else [1.0]
            assert loss <= min(log_loss(scale * fused, target) for scale in scales) + 1e-3


def log_loss(logits: np.ndarray, target: np.ndarray) -> float:
    if target.ndim == 1:
        return float(-np.log(softmax(logits, axis=1)[np.arange(len(target)), target]).mean())
    known = ~np.isnan(target)
    signed = np.where(target[known] > 0, logits[known], -logits[known])
    return float(np.logaddexp(0, -signed).mean())


def test_weights_of_numbers_are_those_of_constrained_least_squares() -> None:
    runs, target = stack("score")
    weights, loss, equal = learn(runs, target, by="logits", kind="score")
    assert loss < equal
    share = np.linspace(0, 3, 31)
    best = min(
        float(((np.tensordot([one, two, 3 - one - two], runs[:, :, 0], 1) / 3 - target) ** 2).mean())
        for one in share
        for two in share[share <= 3 - one]
    )
    assert loss <= best + 1e-6
    assert sum(weights) == pytest.approx(3, abs=2e-4)


def test_a_validation_part_without_an_error_gives_finite_weights() -> None:
    target = np.arange(20) % 4
    runs = np.stack([10 * np.eye(4)[target]] * 3)
    weights, loss, equal = learn(runs, target, by="logits", kind="single")
    assert weights == pytest.approx((1, 1, 1))
    assert loss == pytest.approx(equal)


def test_samples_without_a_label_teach_nothing() -> None:
    runs, target = stack()
    more = np.concatenate([runs, np.random.default_rng(0).normal(size=(3, 50, 5))], axis=1)
    unknown = np.concatenate([target, np.full(50, -1)])
    assert learn(more, unknown, by="softmax", kind="single") == learn(runs, target, by="softmax", kind="single")


def test_the_scale_of_one_run_does_not_change_what_its_sum_with_learnt_weights_ranks() -> None:
    runs, target = stack()
    wide = runs * np.array([1, 10, 1])[:, None, None]
    one, other = (np.array(learn(each, target, by="logits", kind="single")[0]) for each in (runs, wide))
    ranked = [
        combine(each, weights, by="logits", kind="single").argmax(1) for each, weights in ((runs, one), (wide, other))
    ]
    assert (ranked[0] == ranked[1]).mean() > 0.98
