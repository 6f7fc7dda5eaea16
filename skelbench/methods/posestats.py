"""Logistic regression on six statistics of each joint and channel: the baseline that a network has to beat."""

from collections.abc import Iterable

import numpy as np
import torch
from jaxtyping import Float
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from skelbench.data.types import Batch, InputSpec, Task
from skelbench.errors import RecipeError
from skelbench.methods.linear import ABSENT, standardised
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
            task: One class a sample.
            spec: Its joints and person slots make the vector.
            c: Inverse strength of the L2 penalty.
            iterations: Most steps of the solver.

        Raises:
            RecipeError: If the task is another, or a value out of range.
        """
        super().__init__()
        if task.kind != "single":
            raise RecipeError(f"posestats predicts one class a sample; found a target of kind '{task.kind}'.")
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
        """Fit the regression; the same data give the same weights.

        Args:
            batches: The training part.

        Raises:
            RunError: If it holds fewer than two classes, or numbers too large.
        """
        train = standardised(batches, self._features)
        rule = LogisticRegression(C=self.c, max_iter=self.iterations).fit(train.x, train.y)
        # of two classes scikit-learn keeps one row, the logit of the second
        two = rule.coef_.shape[0] == 1
        weight = np.concatenate([0 * rule.coef_, rule.coef_]) if two else rule.coef_
        bias = np.concatenate([0 * rule.intercept_, rule.intercept_]) if two else rule.intercept_
        seen = torch.from_numpy(rule.classes_)
        self.mean.copy_(torch.from_numpy(train.mean))
        self.scale.copy_(torch.from_numpy(train.scale))
        self.weight.zero_()
        self.bias.fill_(ABSENT)
        self.weight[seen] = torch.from_numpy(weight).to(self.weight)
        self.bias[seen] = torch.from_numpy(bias).to(self.bias)

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
