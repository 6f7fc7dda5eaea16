"""Before anything long: whether a run can work at all, found out in seconds and said in one line."""

import copy
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from skelbench.data.batches import PartData
from skelbench.data.types import Batch, Clip, Task
from skelbench.errors import USAGE, RunError
from skelbench.evaluate import check_logits
from skelbench.methods.method import learns_by_gradient
from skelbench.optimise import OptimRecipe

Result = TypeVar("Result")


_LOOKED_AT = 4  # samples of a batch whose features are looked at


@dataclass(frozen=True)
class Flight:
    """What pushing one batch through a method took."""

    step_seconds: float  # loss and gradient of one training batch; 0 where nothing is learnt by gradient
    predict_seconds: float  # prediction of one batch


def check_targets(task: Task, train: np.ndarray, test: np.ndarray, *, ids: Sequence[str]) -> None:
    """Hold the targets of both parts against the task.

    Args:
        task: Kind and classes.
        train: Targets of the training part.
        test: Targets of the test part.
        ids: Sample ids of the training part, then those of the test part.

    Raises:
        RunError: If a part is empty, a label is out of range, or training has fewer than two classes.
    """
    if not len(train) or not len(test):
        raise RunError(f"{len(train)} training and {len(test)} test samples: both parts need at least one.")
    if task.kind != "single":
        return
    both = np.concatenate([train, test])
    wrong = np.flatnonzero((both < 0) | (both >= len(task.classes)))
    if wrong.size:
        first = wrong[0]
        raise RunError(
            f"Sample {ids[first]}: label {both[first]}, expected 0 to {len(task.classes) - 1} "
            f"({wrong.size} samples are out of range). Check the labels with `skelbench verify`."
        )
    seen = np.unique(train).size
    if seen < 2:
        raise RunError(
            f"The training part holds {seen} class of {len(task.classes)}, expected at least 2: nothing to tell."
        )


def check_gradient(method: nn.Module, optim: OptimRecipe) -> None:
    """Whether the recipe trains what can be trained.

    Args:
        method: Built, not trained.
        optim: Its epochs.

    Raises:
        RunError: If there are epochs but no loss, or no parameter to learn.
    """
    if optim.epochs == 0:
        return
    name = type(method).__name__
    if not learns_by_gradient(type(method)):
        raise RunError(f"{name} has no loss, but optim.epochs is {optim.epochs}: set -o optim.epochs=0.")
    if not any(parameter.requires_grad for parameter in method.parameters()):
        raise RunError(f"{name} has no parameter to train, but optim.epochs is {optim.epochs}: set -o optim.epochs=0.")


def check_finite(part: PartData) -> None:
    """Look at every coordinate of a part, before any of it is trained on.

    Args:
        part: Prepared, on the device; NaN is what is missing.

    Raises:
        RunError: If one is infinite, naming the samples.
    """
    infinite = torch.isinf(part.frames.rows)
    if not bool(infinite.any()):
        return
    rows = torch.nonzero(infinite.any(2).any(1))[:, 0].cpu().numpy()
    tracks = part.tracks
    hit = np.searchsorted(rows, tracks.first) < np.searchsorted(rows, tracks.last, side="right")
    samples = np.unique(np.searchsorted(tracks.begin, np.flatnonzero(hit), side="right") - 1)
    if samples.size:
        names = ", ".join(part.items.ids[place] for place in samples[:5].tolist())
        more = f" and {samples.size - 5} more" if samples.size > 5 else ""
        raise RunError(
            f"Coordinates of {names}{more} are infinite after data.prepare. Look at these recordings, or at the steps."
        )


def fit(method: nn.Module, batches: Callable[[], Iterable[Batch]], *, loaded: Sequence[str] = ()) -> float:
    """Fit what is not learnt by gradient: the encoder first, then the method, where they have `fit`.

    Args:
        method: Has perhaps an `encoder`.
        batches: Gives the training part in order, afresh on each call.
        loaded: Which of `encoder` and `method` have been loaded from a file, and so are fitted already.

    Returns:
        Seconds it took.

    Raises:
        RunError: If it fails.
    """
    began = time.perf_counter()
    method.eval()
    for name, module in (("encoder", getattr(method, "encoder", None)), ("method", method)):
        function: Any = getattr(module, "fit", None)
        if callable(function) and name not in loaded:
            with torch.no_grad():
                guarded(partial(function, batches()), f"{type(module).__name__}.fit")
    return time.perf_counter() - began


def push(method: nn.Module, train: Batch | None, test: Batch, *, outputs: int) -> Flight:
    """Push one batch through `loss` and `predict` of a copy, so that nothing of the run is touched.

    Args:
        method: Built and fitted.
        train: A training batch; None where nothing is learnt by gradient.
        test: A batch to predict.
        outputs: Columns that the logits must have.

    Returns:
        How long it took.

    Raises:
        RunError: If input, loss or gradient is not finite, or shapes do not fit; naming whose fault it is.
    """
    trial: Any = copy.deepcopy(method)
    seconds = [0.0, 0.0]
    check_input(test)
    trial.eval()
    with torch.inference_mode():
        check_features(trial, test)
    if train is not None:
        check_input(train)
        trial.train()
        began = time.perf_counter()
        loss = guarded(lambda: trial.loss(train), f"{_pair(method)} on a training batch {_shape(train)}")
        if loss.total.shape != () or not bool(torch.isfinite(loss.total)):
            raise RunError(
                f"{_pair(method)}: the loss of the first batch is {loss.total.detach()}, expected one finite number."
            )
        if not loss.total.requires_grad:
            raise RunError(f"{_pair(method)}: the loss depends on no parameter.")
        guarded(loss.total.backward, f"{_pair(method)}: gradient of the first batch")
        seconds[0] = time.perf_counter() - began
    trial.eval()
    began = time.perf_counter()
    with torch.inference_mode():
        logits = guarded(lambda: trial.predict(test), f"{_pair(method)} on a test batch {_shape(test)}")
    check_logits(logits, test, outputs)
    seconds[1] = time.perf_counter() - began
    return Flight(*seconds)


def check_input(batch: Batch) -> None:
    """Refuse a batch that is not finite.

    Args:
        batch: Its clips should hold finite numbers; what is missing is filled by then.

    Raises:
        RunError: If one holds NaN or infinity, naming the place of the first such sample in its part.
    """
    for clip in batch.clips:
        bad = ~torch.isfinite(clip.x).flatten(1).all(1)
        if bool(bad.any()):
            place = int(batch.index[clip.sample[bad][0]])
            raise RunError(
                f"{int(bad.sum())} of {len(bad)} rows of a batch are not finite, the first in sample {place} of its "
                "part. Look at its coordinates, or at data.prepare."
            )


def check_features(method: nn.Module, batch: Batch) -> None:
    """Hold what an encoder gives against what it says of itself.

    Args:
        method: In eval mode; one that keeps its encoder elsewhere than in `encoder` is not looked at.
        batch: The first samples of its first clip are encoded.

    Raises:
        RunError: If the encoder raises, or its features are not (rows, out_channels, frames, joints).
    """
    encoder: Any = getattr(method, "encoder", None)
    if encoder is None:
        return
    few = batch.clips[0].sample < _LOOKED_AT
    x, slot = batch.clips[0].x[few], batch.clips[0].slot[few]
    what = f"{type(encoder).__name__} on the rows {tuple(x.shape)}"
    features = guarded(lambda: encoder(x, slot), what)
    shape = tuple(getattr(features, "shape", ()))
    if len(shape) != 4 or shape[:2] != (len(x), encoder.out_channels):
        raise RunError(
            f"{what} gave {f'the shape {shape}' if shape else type(features).__name__}, expected (rows, out_channels, "
            f"frames, joints) with {len(x)} rows and out_channels = {encoder.out_channels}."
        )


def guarded(call: Callable[[], Result], what: str) -> Result:
    """Call a stranger's code.

    Args:
        call: Model or method at work.
        what: Who does what, for the message.

    Returns:
        What the call gives.

    Raises:
        RunError: In one line, for whatever it raises that is none of our errors; even if it wants to leave Python.
    """
    try:
        return call()
    except (*USAGE, RunError, KeyboardInterrupt, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        text = " ".join(str(error).split())[:300]
        raise RunError(f"{what}: {type(error).__name__}: {text}") from error


def _pair(method: nn.Module) -> str:
    """A method and its encoder, for messages."""
    encoder = getattr(method, "encoder", None)
    return type(method).__name__ if encoder is None else f"{type(method).__name__} on {type(encoder).__name__}"


def _shape(batch: Batch) -> str:
    """The shape of a batch, for messages."""
    clip: Clip = batch.clips[0]
    return f"of {len(batch.target)} samples, rows {tuple(clip.x.shape)}"
