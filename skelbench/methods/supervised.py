"""Learn the labels: pooled features, a linear head, and the loss that the kind of target asks for."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from skelbench.data.types import Batch, InputSpec, Task
from skelbench.errors import RecipeError
from skelbench.methods.method import Loss
from skelbench.methods.pooling import pool_mean
from skelbench.models.encoder import Encoder

KINDS = ("single", "multi", "score")


class Supervised(nn.Module):
    """Cross-entropy for one class, binary cross-entropy for several, squared error for a score."""

    def __init__(self, encoder: Encoder, task: Task, spec: InputSpec, *, label_smoothing: float = 0.0) -> None:
        """Put a linear head on an encoder.

        Args:
            encoder: Gives the features.
            task: What is to be learnt.
            spec: What the clips look like; not used.
            label_smoothing: Share of the target spread over all classes, in [0, 1); only for one class a sample.

        Raises:
            RecipeError: If the kind of target is one that this method does not learn, or the share is out of range.
        """
        super().__init__()
        if task.kind not in KINDS:
            raise RecipeError(f"supervised learns targets of the kinds {', '.join(KINDS)}; found '{task.kind}'.")
        if not 0 <= label_smoothing < 1:
            raise RecipeError(f"method.label_smoothing is {label_smoothing}, expected at least 0 and below 1.")
        self.encoder = encoder
        self.kind = task.kind
        self.label_smoothing = label_smoothing
        self.head = nn.Linear(encoder.out_channels, 1 if task.kind == "score" else len(task.classes))

    def loss(self, batch: Batch) -> Loss:
        """Mean over the clips of a batch.

        Args:
            batch: A training batch; NaN in a target of several classes, or in a score, is left out.

        Returns:
            The loss; of one class a sample with the part `accuracy`, in [0, 1], of the augmented clips.
        """
        logits = self._logits(batch)
        target = batch.target.expand(logits.shape[0], *batch.target.shape).flatten(0, 1)
        logits = logits.flatten(0, 1)
        if self.kind == "single":
            accuracy = (logits.detach().argmax(1) == target).float().mean()
            total = functional.cross_entropy(logits, target, label_smoothing=self.label_smoothing)
            return Loss(total, {"accuracy": accuracy})
        given = ~target.isnan()
        known = torch.where(given, target, 0)
        if self.kind == "multi":
            each = functional.binary_cross_entropy_with_logits(logits, known, reduction="none")
        else:
            each = (logits[:, 0] - known).square()
        return Loss((each * given).sum() / given.sum().clamp(min=1), {})

    def predict(self, batch: Batch) -> Float[Tensor, "samples outputs"]:
        """Logits of each sample.

        Of several clips of one class a sample the probabilities are averaged, of other targets the logits.

        Source: PYSKL (Duan et al., ACM MM 2022), the authors' recognizer, for the mean of probabilities.
        """
        logits = self._logits(batch)
        if self.kind == "single" and len(logits) > 1:
            return logits.log_softmax(2).logsumexp(0) - math.log(len(logits))
        return logits.mean(0)

    def _logits(self, batch: Batch) -> Tensor:
        """Logits of every clip: (clips, samples, outputs)."""
        pooled = [pool_mean(self.encoder(clip.x, clip.slot), clip) for clip in batch.clips]
        logits: Tensor = self.head(torch.stack(pooled))
        return logits
