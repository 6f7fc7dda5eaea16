"""Logistic regression on six statistics of each joint and channel: the baseline that a network has to beat.

Where a sample has several classes, each has a regression of its own.
"""

from collections.abc import Iterable

import numpy as np
import torch
from jaxtyping import Float
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from skelbench.data.types import Batch, InputSpec, Task
from skelbench.errors import RecipeError
from skelbench.methods.linear import ABSENT, Vectors, standardised
from skelbench.methods.pooling import place_by_slot
from skelbench.models.encoder import Encoder

STATISTICS = 6


class Posestats(nn.Module):
    """Mean, spread, least, greatest, mean absolute step, and end minus beginning, of every joint and channel."""

    mean: Tensor  # (features,) of the training part
    scale: Tensor  # (features,) of the training part
    weight: Tensor  # (classes, features) on standardised features
    bias: Tensor  # (classes,)

    def __init__(
        self, encoder: Encoder, task: Task, spec: InputSpec, *, c: float = 0.1, iterations: int = 2000
    ) -> None:
        """Make an unfitted classifier.

        Args:
            encoder: Gives features with all joints; meant for `identity`.
            task: One class a sample, or several.
            spec: Its joints and person slots make the vector.
            c: Inverse strength of the L2 penalty.
            iterations: Most steps of the solver.

        Raises:
            RecipeError: If the task is another, or a value out of range.
        """
        super().__init__()
        if task.kind not in ("single", "multi"):
            raise RecipeError(
                f"posestats predicts one class a sample, or several; found a target of kind '{task.kind}'. "
                "--method majority and supervised predict every kind."
            )
        if c <= 0 or iterations < 1:
            raise RecipeError(f"method.c is {c} and method.iterations {iterations}, expected both above 0.")
        self.encoder, self.slots = encoder, spec.slots
        self.c, self.iterations = c, iterations
        size = spec.slots * encoder.out_channels * len(spec.layout.joints) * STATISTICS
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))
        self.register_buffer("weight", torch.zeros(len(task.classes), size))
        self.register_buffer("bias", torch.zeros(len(task.classes)))

    def fit(self, batches: Iterable[Batch]) -> None:
        """Fit the regression, of several classes one for each; the same data give the same weights.

        Args:
            batches: The training part.

        Raises:
            RunError: If each sample has one class and all have the same, or numbers are too large.
        """
        train = standardised(batches, self._features)
        weight, bias = self._one_class(train) if train.y.ndim == 1 else self._several(train)
        self.mean.copy_(torch.from_numpy(train.mean))
        self.scale.copy_(torch.from_numpy(train.scale))
        self.weight.copy_(torch.from_numpy(weight))
        self.bias.copy_(torch.from_numpy(bias))

    def _one_class(self, train: Vectors) -> tuple[np.ndarray, np.ndarray]:
        """Weights and biases of one regression over all classes."""
        rule = self._fitted(train.x, train.y)
        # of two classes scikit-learn keeps one row, the logit of the second
        two = rule.coef_.shape[0] == 1
        weight, bias = np.zeros(tuple(self.weight.shape)), np.full(len(self.bias), ABSENT)
        weight[rule.classes_] = np.concatenate([0 * rule.coef_, rule.coef_]) if two else rule.coef_
        bias[rule.classes_] = np.concatenate([0 * rule.intercept_, rule.intercept_]) if two else rule.intercept_
        return weight, bias

    def _several(self, train: Vectors) -> tuple[np.ndarray, np.ndarray]:
        """Weights and biases of a regression for each class, over the samples of which it is known."""
        weight, bias = np.zeros(tuple(self.weight.shape)), np.full(len(self.bias), ABSENT)
        for label, column in enumerate(train.y.T):
            known = ~np.isnan(column)
            found = np.unique(column[known])
            if found.size == 2:
                rule = self._fitted(train.x[known], column[known])
                weight[label], bias[label] = rule.coef_[0], rule.intercept_[0]
            elif found.size and found[0] > 0:  # every sample has it
                bias[label] = -ABSENT
        return weight, bias

    def _fitted(self, x: np.ndarray, y: np.ndarray) -> LogisticRegression:
        """scikit-learn's regression."""
        return LogisticRegression(C=self.c, max_iter=self.iterations).fit(x, y)

    def predict(self, batch: Batch) -> Float[Tensor, "samples classes"]:
        """Logits of the regression."""
        vectors = (self._features(batch) - self.mean) / self.scale
        return vectors @ self.weight.T + self.bias

    def _features(self, batch: Batch) -> Tensor:
        """Statistics of each sample, averaged over its clips: (samples, slots * 6 * channels * joints)."""
        each = [place_by_slot(statistics(self.encoder(clip.x, clip.slot)), clip, self.slots) for clip in batch.clips]
        return torch.stack(each).mean(0)


def statistics(x: Float[Tensor, "rows channels frames joints"]) -> Float[Tensor, "rows features"]:
    """Six statistics over the frames of each row.

    Args:
        x: Coordinates, finite; at least one frame.

    Returns:
        Mean, standard deviation, least, greatest, mean absolute difference of neighbouring frames (0 for one frame),
        and the mean of the last quarter of the frames minus that of the first; each for all channels and joints.
    """
    quarter = max(x.shape[2] // 4, 1)
    step = x.diff(dim=2).abs().mean(2) if x.shape[2] > 1 else torch.zeros_like(x[:, :, 0])
    each = [
        x.mean(2),
        x.std(2, correction=0),
        x.amin(2),
        x.amax(2),
        step,
        x[:, :, -quarter:].mean(2) - x[:, :, :quarter].mean(2),
    ]
    return torch.cat(each, 1).flatten(1)
