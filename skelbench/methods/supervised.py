"""Learn the labels: pooled features, a linear head, and the loss that the kind of target asks for."""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from skelbench.data.types import Batch, Clip, InputSpec, Task
from skelbench.errors import RecipeError
from skelbench.methods.method import Loss
from skelbench.methods.mixup import Mixed, beta_table, mix
from skelbench.methods.pooling import pool_mean, pool_persons
from skelbench.models.encoder import Encoder
from skelbench.world import all_sum

KINDS = ("single", "multi", "frame", "score")


class Supervised(nn.Module):
    """Cross-entropy for one class, binary cross-entropy for several, of a sample or a frame, squared error for a score.

    Where frames are predicted, the logits of an encoder's fewer frames are spread linearly over those of the clip.
    """

    class_weights: Tensor | None  # (classes,) what a sample of each counts
    shares: Tensor | None  # quantiles of the shares of mixed samples

    def __init__(  # noqa: PLR0913 - hyper-parameters are keywords
        self,
        encoder: Encoder,
        task: Task,
        spec: InputSpec,
        *,
        head_init: Literal["torch", "2/classes", "0.02"] = "torch",
        label_smoothing: float = 0.0,
        class_weights: Literal["none", "balanced"] = "none",
        mixup: float = 0.0,
    ) -> None:
        """Put a linear head on an encoder.

        Args:
            encoder: Gives the features.
            task: What is to be learnt.
            spec: What the clips look like; not used.
            head_init: How the head's first weights are drawn: as torch does; normal with a variance of 2 / classes
                (2s-AGCN, UNIK, CTR-GCN); normal with a standard deviation of 0.02, no bias (ST-GCN).
            label_smoothing: Share of the target spread over all classes, in [0, 1); only for one class a sample.
            class_weights: `balanced` weights a sample by n / (classes * samples of its class), as scikit-learn does;
                only for one class a sample.
            mixup: Parameter of the Beta distribution from which shares of mixed samples are drawn; 0 mixes nothing.

        Raises:
            RecipeError: If the kind of target is one that this method does not learn, or a value does not suit it.
        """
        super().__init__()
        if task.kind not in KINDS:
            raise RecipeError(f"supervised learns targets of the kinds {', '.join(KINDS)}; found '{task.kind}'.")
        if not 0 <= label_smoothing < 1:
            raise RecipeError(f"method.label_smoothing is {label_smoothing}, expected at least 0 and below 1.")
        if class_weights == "balanced" and task.kind != "single":
            raise RecipeError(
                f"method.class_weights balances one class a sample; found a target of kind '{task.kind}'."
            )
        if not (mixup == 0 or 1e-3 <= mixup <= 1e3):
            raise RecipeError(f"method.mixup is {mixup}, expected 0, or 0.001 to 1000.")
        self.encoder = encoder
        self.kind = task.kind
        self.label_smoothing = label_smoothing
        self.head = nn.Linear(encoder.out_channels, 1 if task.kind == "score" else len(task.classes))
        if head_init != "torch":
            spread = 0.02 if head_init == "0.02" else math.sqrt(2 / self.head.out_features)
            nn.init.normal_(self.head.weight, 0, spread)
        if head_init == "0.02":
            nn.init.zeros_(self.head.bias)
        # neither is learnt, so neither is in a checkpoint
        weights = _balanced(task.train_counts) if class_weights == "balanced" else None
        self.register_buffer("class_weights", weights, persistent=False)
        self.register_buffer("shares", beta_table(mixup) if mixup else None, persistent=False)

    def loss(self, batch: Batch) -> Loss:
        """Mean over the clips of a batch; of the whole step's, where several processes have a part of it each.

        Args:
            batch: A training batch; NaN in a target of several classes, or in a score, is left out.

        Returns:
            The loss; of one class a sample with the part `accuracy`, in [0, 1], of the augmented clips, and where
            samples are mixed as share of what each one holds of the class found.
        """
        mixed = None if self.shares is None else mix(batch, self.shares)
        logits = self._logits(batch if mixed is None else mixed.batch)
        each, given, right = self._terms(logits, batch.target)
        if mixed is not None:
            each, given, right = self._blend(logits, batch.target, mixed)
        known, terms = all_sum(torch.stack([given.sum().to(each.dtype), each.new_full((), given.numel())]))
        total = all_sum(each.sum()) / known.clamp(min=1e-12)
        same = self.kind == "single" and self.class_weights is None
        return Loss(total, {"accuracy": right.mean()} if self.kind == "single" else {}, None if same else known / terms)

    def predict(self, batch: Batch) -> Float[Tensor, "samples *frames outputs"]:
        """Logits of each sample, or of each of its frames.

        Of several clips of one class a sample the probabilities are averaged, of other targets the logits.

        Source: PYSKL (Duan et al., ACM MM 2022), the authors' recognizer, for the mean of probabilities.
        """
        logits = self._logits(batch)
        if self.kind == "single" and len(logits) > 1:
            return logits.log_softmax(2).logsumexp(0) - math.log(len(logits))
        return logits.mean(0)

    def _logits(self, batch: Batch) -> Tensor:
        """Logits of every clip: (clips, samples, outputs), or (clips, samples, frames, outputs)."""
        if self.kind == "frame":
            return torch.stack([self._of_frames(clip) for clip in batch.clips])
        pooled = [pool_mean(self.encoder(clip.x, clip.slot), clip) for clip in batch.clips]
        logits: Tensor = self.head(torch.stack(pooled))
        return logits

    def _of_frames(self, clip: Clip) -> Tensor:
        """Logits of every frame of a clip."""
        logits = self.head(pool_persons(self.encoder(clip.x, clip.slot), clip))
        if logits.shape[1] == clip.x.shape[2]:
            return torch.as_tensor(logits)
        return functional.interpolate(logits.transpose(1, 2), clip.x.shape[2], mode="linear").transpose(1, 2)

    def _terms(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Loss of each clip of each sample, what it counts, and whether it is right: (clips, samples, ...)."""
        target = target.expand(logits.shape[0], *target.shape)
        if self.kind == "single":
            weights = self.class_weights
            each = functional.cross_entropy(
                logits.movedim(2, 1), target, weights, reduction="none", label_smoothing=self.label_smoothing
            )
            right = (logits.detach().argmax(2) == target).to(each.dtype)
            return each, torch.ones_like(each) if weights is None else weights[target], right
        given = ~target.isnan()
        known = torch.where(given, target, 0)
        if self.kind in ("multi", "frame"):
            each = functional.binary_cross_entropy_with_logits(logits, known, reduction="none")
        else:
            each = (logits[..., 0] - known).square()
        return each * given, given, given

    def _blend(self, logits: Tensor, target: Tensor, mixed: Mixed) -> tuple[Tensor, Tensor, Tensor]:
        """The same of mixed samples: both targets, each by its share."""
        share = mixed.share.view(1, -1, *[1] * (target.ndim - 1)).to(logits.dtype)
        pairs = zip(self._terms(logits, target), self._terms(logits, target[mixed.partner]), strict=True)
        each, given, right = (share * own + (1 - share) * other for own, other in pairs)
        return each, given, right


def _balanced(counts: tuple[int, ...]) -> Tensor:
    """A weight for each class; 0 for one without a sample, which no target names."""
    found = torch.tensor(counts, dtype=torch.float32)
    there = found > 0
    weights: Tensor = torch.where(there, found.sum() / (there.sum() * found.clamp(min=1)), 0.0)
    return weights
