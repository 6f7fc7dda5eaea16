"""Adding up what several networks say of the same samples: by logits or softmax, with weights given or learnt."""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np
from jaxtyping import Float, Float32, Shaped
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp, softmax

from skelbench.errors import UsageError

By: TypeAlias = Literal["logits", "softmax"]
Stack: TypeAlias = Float[np.ndarray, "runs batch classes"]
Objective: TypeAlias = Callable[[np.ndarray], tuple[float, np.ndarray]]  # weights -> loss, gradient

DECIMALS = 4  # of learnt weights: what a record shows is what was used
RIDGE = 1e-4  # keeps weights finite where the validation part is separated without error


def combine(stack: Stack, weights: Float[np.ndarray, " runs"], *, by: By, kind: str) -> Float32[np.ndarray, "b k"]:
    """Fuse predictions of the same samples.

    Args:
        stack: Logits of each run; of a score the predicted numbers.
        weights: What each is multiplied by, at least 0, not all 0.
        by: `logits` adds them; `softmax` averages the probabilities.
        kind: Kind of the target.

    Returns:
        `logits`: the weighted sum. `softmax`: the logarithm of the weighted mean of probabilities, whose softmax is
        that mean. Of a score, always the weighted mean.

    Raises:
        UsageError: If softmax is asked for where a sample has several classes or a number.
    """
    if by == "softmax" and kind != "single":
        raise UsageError(f"A target of kind '{kind}' has no softmax. Fuse it --by logits.")
    if kind == "score":
        return np.asarray(np.average(stack, axis=0, weights=weights), np.float32)
    if by == "logits":
        return np.asarray(np.tensordot(weights, stack, 1), np.float32)
    used = weights > 0
    shares = (weights[used] / weights[used].sum())[:, None, None]
    return np.asarray(logsumexp(log_softmax(stack[used], axis=2), axis=0, b=shares), np.float32)


def learn(
    stack: Stack, target: Shaped[np.ndarray, "batch ..."], *, by: By, kind: str
) -> tuple[tuple[float, ...], float, float]:
    """Choose the weights that explain the labels of a validation part best.

    Args:
        stack: Logits of each run on the validation part.
        target: Its labels; unlabelled samples are left out.
        by: What is added.
        kind: Kind of the target.

    Returns:
        Weights of at least 0 that sum up to the number of runs; the loss they leave, and that of equal weights: the
        negative log likelihood, of a score the mean squared error. With logits both at the temperature that suits
        them best, since a sum of logits is surer than its parts, whatever the weights.
    """
    objective = _objective(stack, target, by=by, kind=kind)
    runs = len(stack)
    free = by == "logits" and kind != "score"  # the scale of the weights is a temperature
    equal = np.ones(runs)
    if free:
        found = minimize(_ridged(objective), equal / runs, jac=True, method="L-BFGS-B", bounds=[(0, None)] * runs).x
    else:
        whole: Any = {"type": "eq", "fun": lambda weights: weights.sum() - runs, "jac": np.ones_like}
        options: Any = {"ftol": 1e-12, "maxiter": 500}
        found = minimize(
            objective, equal, jac=True, method="SLSQP", bounds=[(0, runs)] * runs, constraints=whole, options=options
        ).x
    found = np.clip(found, 0, None)
    weights = np.round(found * runs / found.sum(), DECIMALS) if found.sum() > 0 else equal
    losses = [_at_best_scale(objective, each) if free else objective(each)[0] for each in (weights, equal)]
    return tuple(weights.tolist()), losses[0], losses[1]


def _objective(stack: Stack, target: np.ndarray, *, by: By, kind: str) -> Objective:
    """Mean loss and its gradient as functions of the weights."""
    wide = stack.astype(float)
    if kind == "score":
        return _squares(wide[:, :, 0], target)
    if kind in ("multi", "frame"):
        return _independent(wide, target.astype(float))
    kept = target >= 0
    chosen = target[kept]
    wide = wide[:, kept]
    if by == "softmax":
        right = softmax(wide, axis=2)[:, np.arange(len(chosen)), chosen]  # (runs, batch)
        return lambda weights: _mixture(right, weights)
    return lambda weights: _cross_entropy(wide, chosen, weights)


def _cross_entropy(stack: Stack, target: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
    """Of the softmax of a weighted sum of logits."""
    logits = np.tensordot(weights, stack, 1)
    places = np.arange(len(target))
    off = softmax(logits, axis=1)
    off[places, target] -= 1
    loss = -log_softmax(logits, axis=1)[places, target].mean()
    return float(loss), np.tensordot(stack, off, 2) / len(target)


def _mixture(right: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
    """Of a weighted mean of probabilities, from those of the right class."""
    mixed = np.maximum(weights @ right, np.finfo(float).tiny)
    loss = -np.log(mixed / len(right)).mean()
    return float(loss), -(right / mixed).mean(axis=1)


def _independent(stack: Stack, target: np.ndarray) -> Objective:
    """Binary cross-entropy over the known entries of several classes a sample."""
    known = ~np.isnan(target)
    rows, truth = stack[:, known], target[known]

    def of(weights: np.ndarray) -> tuple[float, np.ndarray]:
        """Loss and gradient."""
        logits = weights @ rows
        loss = np.logaddexp(0, logits) - truth * logits
        off = 0.5 * (1 + np.tanh(logits / 2)) - truth
        return float(loss.mean()), rows @ off / len(truth)

    return of


def _squares(found: np.ndarray, target: np.ndarray) -> Objective:
    """Mean squared error of a weighted mean."""
    kept = ~np.isnan(target)
    rows, truth = found[:, kept], target[kept]

    def of(weights: np.ndarray) -> tuple[float, np.ndarray]:
        """Loss and gradient, for weights that sum up to the number of runs."""
        off = weights @ rows / len(rows) - truth
        return float((off**2).mean()), 2 * rows @ off / len(rows) / len(truth)

    return of


def _ridged(objective: Objective) -> Objective:
    """The same with a slight pull towards 0."""

    def of(weights: np.ndarray) -> tuple[float, np.ndarray]:
        """Loss and gradient."""
        loss, slope = objective(weights)
        return loss + RIDGE * float(weights @ weights), slope + 2 * RIDGE * weights

    return of


def _at_best_scale(objective: Objective, weights: np.ndarray) -> float:
    """The loss of weights that may all be multiplied by one number."""

    def of(scale: np.ndarray) -> tuple[float, np.ndarray]:
        """Loss and slope along the ray."""
        loss, slope = objective(scale[0] * weights)
        return loss, np.array([slope @ weights])

    start = np.array([1 / len(weights)])
    best = minimize(of, start, jac=True, method="L-BFGS-B", bounds=[(0, 1e3)])
    return float(best.fun)
