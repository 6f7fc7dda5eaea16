"""The floor of every board: the class that is most frequent in training, whatever the input."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from skelbench.data.types import Batch, InputSpec, Task
from skelbench.errors import RecipeError
from skelbench.models.encoder import Encoder


class Majority(nn.Module):
    """Predicts the shares of the classes in training, or the mean score, for every sample."""

    share: Tensor  # (outputs,) logarithm of each class's share, or the mean score

    def __init__(self, encoder: Encoder, task: Task, spec: InputSpec) -> None:
        """Make an unfitted majority.

        Args:
            encoder: Not used; here because every method has one.
            task: What is to be predicted.
            spec: Not used.

        Raises:
            RecipeError: If there is nothing to be predicted.
        """
        super().__init__()
        if task.kind not in ("single", "multi", "frame", "score"):
            raise RecipeError(
                f"majority predicts targets of the kinds single, multi, frame, score; found '{task.kind}'."
            )
        self.kind = task.kind
        self.classes = len(task.classes)
        self.register_buffer("share", torch.zeros(1 if task.kind == "score" else len(task.classes)))

    def fit(self, batches: Iterable[Batch]) -> None:
        """Count.

        Args:
            batches: The training part; NaN in a target is left out.
        """
        target = torch.cat([batch.target for batch in batches])
        target = target.flatten(0, 1) if self.kind == "frame" else target
        if self.kind == "single":
            counts = torch.bincount(target, minlength=self.classes).double()
            share = (counts.clamp(min=1e-3) / counts.sum()).log()  # an absent class stays finite and last
        else:
            share = target.double().nanmean(0, keepdim=self.kind == "score").nan_to_num(0.0)
            share = torch.logit(share, eps=1e-6) if self.kind in ("multi", "frame") else share
        self.share.copy_(share)

    def predict(self, batch: Batch) -> Float[Tensor, "samples *frames outputs"]:
        """The same for every sample, or for each of its frames."""
        if self.kind == "frame":
            samples, frames = batch.clips[0].start.shape[0], batch.clips[0].x.shape[2]
            return self.share.expand(samples, frames, -1).clone()
        return self.share.expand(batch.clips[0].start.shape[0], -1).clone()
