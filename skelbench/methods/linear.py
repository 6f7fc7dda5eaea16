"""What the baselines that scikit-learn fits share: the training part as standardised vectors."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Shaped
from torch import Tensor

from skelbench.data.types import Batch
from skelbench.errors import RunError

ABSENT = -1e9  # logit of a class without a training sample: finite, and below all others


@dataclass(frozen=True)
class Vectors:
    """The training part as scikit-learn takes it."""

    x: Float64[np.ndarray, "samples features"]  # standardised
    y: Shaped[np.ndarray, "samples ..."]  # class of each sample, or a column a class with 1, 0 and NaN = unknown
    mean: Float64[np.ndarray, " features"]  # of the vectors before
    scale: Float64[np.ndarray, " features"]  # standard deviation before; 1 where it is 0


def standardised(batches: Iterable[Batch], features: Callable[[Batch], Tensor]) -> Vectors:
    """Collect the training part and standardise it, feature by feature.

    Args:
        batches: The training part, targets as class indices or as columns of classes.
        features: Gives one finite vector a sample of a batch.

    Returns:
        Vectors, classes, and what standardised them.

    Raises:
        RunError: If each sample has one class and all have the same, or a feature is not finite.
    """
    vectors, target = [], []
    for batch in batches:
        vectors.append(features(batch).double().cpu())
        target.append(batch.target.cpu())
    x, y = torch.cat(vectors).numpy(), torch.cat(target).numpy()
    if y.ndim == 1 and np.unique(y).size < 2:
        raise RunError(f"The training part holds {np.unique(y).size} classes, expected at least 2.")
    if not np.isfinite(x).all():
        raise RunError("A statistic of the training part is not finite: are coordinates beyond 1e19 in the store?")
    mean, scale = x.mean(0), x.std(0)
    # a constant feature says nothing; rounding may leave it a spread, which must not be blown up to 1
    scale = np.where(scale <= 1e-6 * np.abs(mean) + 1e-12, 1.0, scale)
    return Vectors((x - mean) / scale, y, mean, scale)
