"""What a training method is, and how it is found in its file."""

from collections.abc import Mapping
from types import ModuleType
from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from skelbench.data.types import Batch
from skelbench.errors import UsageError
from skelbench.models.encoder import the_class


class Loss(NamedTuple):
    """What a step minimises, and what else is worth a column in the log."""

    total: Float[Tensor, ""]
    parts: Mapping[str, Tensor]  # scalars by name: the terms of the loss, an accuracy; may be empty
    counts: Tensor | None = None  # what a sample of the batch counts in `total` on average; None: all count the same


@runtime_checkable
class Method(Protocol):
    """A way to learn: an `nn.Module` built as `(encoder, task, spec, *, typed hyper-parameters)`.

    `loss` is what gradient descent minimises. A method that learns otherwise has `fit(batches)`, called once before
    the first step with the training part in order and without augmentation; it may have both.
    """

    def loss(self, batch: Batch) -> Loss:
        """The loss of a training batch.

        Of several processes each is given its part of a step's batch, the last ones perhaps without a sample. The loss
        of the step is the mean of theirs, weighted by their samples; one that is no mean over samples asks
        `skelbench.world` for what the others have: `gather` for their rows, `all_sum` for a sum.
        """

    def predict(self, batch: Batch) -> Float[Tensor, "samples *frames outputs"]:
        """Logits of each sample in the order of the task's classes, or of each frame; the number itself for a score."""


def method_class(module: ModuleType) -> type[nn.Module]:
    """Find the method in its module: the one public `nn.Module` built from `encoder, task, spec`.

    Args:
        module: What `registry.load` gave for a method.

    Returns:
        The class.

    Raises:
        UsageError: If there is not exactly one, or it can neither predict nor learn.
    """
    cls = the_class(module, ("encoder", "task", "spec"), "method")
    if not callable(getattr(cls, "predict", None)):
        raise UsageError(f"{module.__file__ or module.__name__}: {cls.__name__} has no method 'predict'.")
    if not (learns_by_gradient(cls) or callable(getattr(cls, "fit", None))):
        raise UsageError(f"{module.__file__ or module.__name__}: {cls.__name__} has neither 'loss' nor 'fit'.")
    return cls


def learns_by_gradient(cls: type[nn.Module]) -> bool:
    """Whether a method has a loss."""
    return callable(getattr(cls, "loss", None))
