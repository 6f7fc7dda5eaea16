"""Squat, the user's own 3-D poses: one `.npy` or `.npz` a video, named like it, in the owners' folders."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float32

from skelbench.card import Card
from skelbench.errors import RawFormatError
from skelbench.formats import numpy_files, one_pose, squat_names
from skelbench.raw import RawItem, RawSource
from skelbench.sample import Sample

DISTANCES = "the owners' distances are the set 'squat': skelbench convert squat"

settle = squat_names.settle  # whole poses, labels of the folder


def plan(raw: RawSource, card: Card) -> Iterator[RawItem]:
    """Name the videos; see `squat_names.plan`."""
    yield from squat_names.plan(raw, card, (".npy", ".npz"), {".json": DISTANCES})


def read(raw: RawSource, item: RawItem, card: Card) -> Sample:
    """Read one video.

    Args:
        raw: The source that was planned.
        item: A video of it.
        card: Joints and defects; its `options.arrays` hold names of the array in an `.npz` of several.

    Returns:
        One pose a frame, as the user lifted them; NaN stays NaN.

    Raises:
        RawFormatError: If the file holds no array of frames x joints x 3 numbers, or one that is infinite.
    """
    (path,) = item.paths
    where = raw.where(path)
    keypoints = _poses(_array(raw.read(path), path, card, where), card, where)
    return one_pose.sample(item, keypoints, squat_names.targets(item.meta, card))


def write(sample: Sample, card: Card) -> Iterator[tuple[str, bytes]]:
    """Write a video's poses as one `.npy` file, the inverse of `read`.

    Args:
        sample: One pose in every frame, labels as its folder says.
        card: Of the set.

    Yields:
        The path and content of one file; it depends on nothing but the sample.

    Raises:
        ValueError: If the file cannot say what the sample holds.
    """
    one_pose.check(sample)
    yield f"{squat_names.folder(sample, card)}/{sample.sample_id}.npy", numpy_files.render_npy(sample.keypoints)


def _array(data: bytes, path: str, card: Card, where: str) -> np.ndarray:
    """The array of a file; of several in an `.npz` the one that bears a usual name."""
    if path.lower().endswith(".npy"):
        return numpy_files.npy(data, where)
    found = numpy_files.npz(data, where)
    usual = [name for name in card.options["arrays"] if name in found]
    if len(found) != 1 and len(usual) != 1:
        listed = ", ".join(sorted(found)[:8]) or "none"
        raise RawFormatError(f"{where}: the arrays {listed}, expected one, or one called {card.options['arrays'][0]}.")
    return found[usual[0]] if len(found) != 1 else next(iter(found.values()))


def _poses(array: np.ndarray, card: Card, where: str) -> Float32[np.ndarray, "frames joints channels"]:
    """Frames x joints x 3 numbers as float32; a first or second axis of length 1, the person, may be there."""
    wanted = len(card.layout.joints), len(card.channels)
    for axis in (0, 1):
        if array.ndim == 4 and array.shape[axis] == 1 and array.shape[2:] == wanted:
            array = array.squeeze(axis)
    if array.ndim != 3 or array.shape[1:] != wanted or not len(array) or array.dtype.kind not in "fiu":
        raise RawFormatError(f"{where}: {array.dtype} of {array.shape}, expected frames x {wanted[0]} x {wanted[1]}.")
    with np.errstate(over="ignore"):
        found = array.astype(np.float32)
    for frame, joint, _ in np.argwhere(np.isinf(found)).tolist():
        raise RawFormatError(f"{where}, frame {frame}, joint {joint}: a number that is infinite, expected coordinates.")
    return found
