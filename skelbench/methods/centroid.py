"""Nearest centroid of the mean pose: what can be told without looking at motion."""

from collections.abc import Iterable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from skelbench.data.types import Batch, InputSpec, Task
from skelbench.errors import RecipeError
from skelbench.methods.linear import ABSENT, standardised
from skelbench.methods.pooling import place_by_slot
from skelbench.models.encoder import Encoder


class Centroid(nn.Module):
    """The class whose mean standardised pose is nearest."""

    mean: Tensor  # (features,) of the training part
    scale: Tensor  # (features,) of the training part
    centroids: Tensor  # (classes, features), standardised
    present: Tensor  # (classes,) whether a class has training samples

    def __init__(self, encoder: Encoder, task: Task, spec: InputSpec) -> None:
        """Make an unfitted rule.

        Args:
            encoder: Gives features with all joints; meant for `identity`.
            task: One class a sample.
            spec: Its joints and person slots make the vector.

        Raises:
            RecipeError: If the task is another.
        """
        super().__init__()
        if task.kind != "single":
            raise RecipeError(
                f"centroid predicts one class a sample; found a target of kind '{task.kind}'. "
                "--method majority and supervised predict every kind."
            )
        self.encoder = encoder
        self.slots = spec.slots
        size = spec.slots * encoder.out_channels * len(spec.layout.joints)
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))
        self.register_buffer("centroids", torch.zeros(len(task.classes), size))
        self.register_buffer("present", torch.ones(len(task.classes), dtype=torch.bool))

    def fit(self, batches: Iterable[Batch]) -> None:
        """Average the standardised mean poses of each class.

        Args:
            batches: The training part.

        Raises:
            RunError: If it holds fewer than two classes, or numbers too large.
        """
        train = standardised(batches, self._features)
        seen = np.unique(train.y)
        centroids = np.stack([train.x[train.y == label].mean(0) for label in seen])
        self.mean.copy_(torch.from_numpy(train.mean))
        self.scale.copy_(torch.from_numpy(train.scale))
        self.present.zero_()
        self.present[torch.from_numpy(seen)] = True
        self.centroids[self.present] = torch.from_numpy(centroids).to(self.centroids)

    def predict(self, batch: Batch) -> Float[Tensor, "samples classes"]:
        """Minus the squared distance to each centroid, averaged over features."""
        vectors = (self._features(batch) - self.mean) / self.scale
        distance = torch.stack([(vectors - centroid).square().mean(1) for centroid in self.centroids], 1)
        return torch.where(self.present, -distance, ABSENT)

    def _features(self, batch: Batch) -> Tensor:
        """The mean pose of each sample over its frames and clips: (samples, slots * channels * joints)."""
        means = [
            place_by_slot(self.encoder(clip.x, clip.slot).mean(2).flatten(1), clip, self.slots) for clip in batch.clips
        ]
        return torch.stack(means).mean(0)
