"""Predictions of every frame of untrimmed samples, put together from those of overlapping windows."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from skelbench.data.batches import PartData
from skelbench.data.windows import Windows
from skelbench.errors import RunError
from skelbench.evaluate import Predictions, check_logits

_LARGEST = 6e4  # that half precision holds


def predict_frames(method: nn.Module, part: PartData, *, outputs: int) -> Predictions:
    """Run a method over every frame of a part.

    Between the frames of a clip logits are interpolated; where windows overlap, their mean counts. In memory are the
    logits of all frames in half precision, and those of one sample besides.

    Args:
        method: Trained or fitted; put into eval mode.
        part: Of the kind `frame`.
        outputs: Columns that the logits must have.

    Returns:
        Ids, targets and logits, frame by frame.

    Raises:
        RunError: If the logits have another shape, or are not finite.
    """
    method.eval()
    part = part.overlapping
    windows = part.windows
    if windows is None:
        raise RunError("The part is of whole samples, expected one of windows.")
    source, wide = windows.source, windows.source.bits.cpu().numpy()
    logits = np.zeros((int(source.frames.sum()), outputs), np.float16)
    ends = np.cumsum(source.frames)
    for sample, found in _by_sample(method, part, windows, outputs):
        if not np.isfinite(found).all():
            raise RunError(f"Predictions of {source.ids[sample]} are not finite.")
        logits[ends[sample] - len(found) : ends[sample]] = found.clip(-_LARGEST, _LARGEST)
    target = np.unpackbits(wide[:-1], axis=1, count=source.classes).astype(bool)
    return Predictions(source.ids, target, logits, frames=tuple(source.frames.tolist()))


def _by_sample(method: nn.Module, part: PartData, windows: Windows, outputs: int) -> Iterator[tuple[int, np.ndarray]]:
    """The logits of each sample that has frames, in order."""
    current, total, count = -1, np.zeros((0, outputs)), np.zeros(0)
    for places, frames, found in _by_batch(method, part, outputs):
        for place, positions, values in zip(places, frames, found, strict=True):
            sample, start, length = (int(of[place]) for of in (windows.sample, windows.start, windows.length))
            if sample != current:
                if current >= 0:
                    yield current, total / count[:, None]
                size = int(windows.source.frames[sample])
                current, total, count = sample, np.zeros((size, outputs)), np.zeros(size)
            total[start : start + length] += spread(values, positions - start, length)
            count[start : start + length] += 1
    if current >= 0:
        yield current, total / count[:, None]


def _by_batch(method: nn.Module, part: PartData, outputs: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Places of windows, where their clips' frames are, and the logits of these."""
    with torch.inference_mode():
        for batch in part.batches():
            out = method.predict(batch)  # type: ignore[operator] # the Protocol's method, found by method_class
            check_logits(out, batch, outputs)
            frames = batch.frames if batch.frames is not None else torch.zeros(out.shape[:2])
            yield batch.index.cpu().numpy(), frames.cpu().numpy(), out.float().cpu().numpy()


def spread(values: np.ndarray, positions: np.ndarray, length: int) -> np.ndarray:
    """Interpolate linearly from positions to every frame.

    Args:
        values: (frames of a clip, outputs).
        positions: Where in the window each of these is, in frames; in any order, below 0 for those that show nothing.
        length: Frames of the window.

    Returns:
        (length, outputs); beyond the first and last position their values. Zeros where no frame shows anything.
    """
    if len(positions) == length and np.array_equal(positions, np.arange(length)):
        return values
    shown = positions >= 0
    at, first = np.unique(positions[shown], return_index=True)
    if not len(at):
        return np.zeros((length, values.shape[1]))
    values, wanted = values[shown][first], np.arange(length)
    high = np.searchsorted(at, wanted).clip(1, max(len(at) - 1, 1)).clip(max=len(at) - 1)
    low = np.maximum(high - 1, 0)
    gap = np.where(high > low, at[high] - at[low], 1)
    share = ((wanted - at[low]) / gap).clip(0, 1)[:, None]
    found: np.ndarray = values[low] * (1 - share) + values[high] * share
    return found
