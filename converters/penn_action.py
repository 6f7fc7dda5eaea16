"""Penn Action: 2-D joints annotated by hand, one MATLAB file a video."""

import re
from collections.abc import Iterator, Mapping

import numpy as np
from jaxtyping import Float32

from skelbench.card import Card
from skelbench.errors import RawFormatError, nearest
from skelbench.formats import matlab, names, one_pose
from skelbench.raw import RawItem, RawSource
from skelbench.sample import MetaValue, Sample

NAME = re.compile(r"\d{4}\.mat", re.ASCII)
Variables = Mapping[str, np.ndarray | str]


def plan(raw: RawSource, card: Card) -> Iterator[RawItem]:
    """Name the videos of a source.

    Args:
        raw: A folder or archive with `labels/NNNN.mat`.
        card: Of the set.

    Yields:
        One item a file; files with another name are rejects.
    """
    for path in names.members(raw, ".mat"):
        sample_id = names.stem(path)
        fits = names.numbers(NAME, path) is not None
        yield RawItem(sample_id, (path,), reject=None if fits else f"the name '{sample_id}' is not four digits")


def read(raw: RawSource, item: RawItem, card: Card) -> Sample:
    """Read one video.

    Args:
        raw: The source that was planned.
        item: A video of it.
        card: Joints and classes; its `options.spelling` holds other spellings of classes.

    Returns:
        One pose a frame, in pixels as annotated (the image begins at 1). The score is the visibility, 0 or
        1; a joint that is not visible is NaN, since its coordinates were parked somewhere.

    Raises:
        RawFormatError: If the file is not what the format says.
    """
    (path,) = item.paths
    where = raw.where(path)
    found = matlab.variables(raw.read(path), where)
    keypoints, visible = _poses(found, card, where)
    height, width, n_frames = (_whole(found, "dimensions", at, 3, where) for at in range(3))
    if not n_frames == _whole(found, "nframes", 0, 1, where) == len(keypoints):
        raise RawFormatError(f"{where}: 'dimensions' and 'nframes' contradict the {len(keypoints)} frames of 'x'.")
    train, view = _whole(found, "train", 0, 1, where), _text(found, "pose", where)
    if train not in (1, -1) or view not in card.options["views"]:
        raise RawFormatError(
            f"{where}: 'train' is {train}, 'pose' is '{view}'; expected 1 or -1, and one of "
            f"{', '.join(card.options['views'])}."
        )
    label = _label(_text(found, "action", where), card, where)
    meta: dict[str, MetaValue] = {"train": train, "view": view, "width": width, "height": height}
    meta["take"] = item.sample_id
    return one_pose.sample(item, keypoints, {"label": label}, meta=meta, score=visible)


def write(sample: Sample, card: Card) -> Iterator[tuple[str, bytes]]:
    """Write a video's annotation as one MATLAB file, the inverse of `read`.

    Args:
        sample: One pose in every frame; score 0 or 1, and NaN where it is 0.
        card: Names of the classes.

    Yields:
        The path and content of one file; it depends on nothing but the sample.

    Raises:
        ValueError: If the file cannot say what the sample holds.
    """
    visible, keypoints = sample.score, sample.keypoints.astype(np.float64)
    if visible is None or not np.isin(visible, (0, 1)).all() or not np.isnan(keypoints[visible == 0]).all():
        raise ValueError(f"{sample.sample_id}: the score must be 0 or 1, and a joint of score 0 NaN.")
    one_pose.check(sample)
    keypoints[visible == 0] = 1  # where the annotators' tool parks a joint that is not seen
    width, height = sample.meta["width"], sample.meta["height"]
    with np.errstate(invalid="ignore"):
        box = np.concatenate([keypoints.min(axis=1), keypoints.max(axis=1)], axis=1)
    found: dict[str, np.ndarray | str] = {
        "action": card.targets["label"].classes[int(str(sample.targets["label"]))],
        "pose": str(sample.meta["view"]),
        "x": keypoints[..., 0],
        "y": keypoints[..., 1],
        "visibility": visible.astype(np.uint8),
        "train": np.array([[sample.meta["train"]]], np.int32),
        "bbox": box,
        "dimensions": np.array([[height, width, sample.n_frames]], np.float64),
        "nframes": np.array([[sample.n_frames]], np.float64),
    }
    yield f"{card.options['folder']}/{sample.sample_id}.mat", matlab.render(found)


def _poses(
    found: Variables, card: Card, where: str
) -> tuple[Float32[np.ndarray, "frames joints channels"], Float32[np.ndarray, "frames joints"]]:
    """Coordinates, NaN where the joint is not visible, and the visibility."""
    x, y, visible = (_array(found, key, len(card.layout.joints), where) for key in ("x", "y", "visibility"))
    if not len(x) == len(y) == len(visible) > 0:
        raise RawFormatError(
            f"{where}: 'x', 'y', 'visibility' have {len(x)}, {len(y)}, {len(visible)} frames; expected one or more."
        )
    if not np.isin(visible, (0, 1)).all():
        raise RawFormatError(f"{where}: 'visibility' holds {np.unique(visible)[-1]:g}, expected 0 or 1.")
    return np.where(visible[..., None] == 1, np.stack([x, y], axis=-1), np.float32(np.nan)), visible


def _array(found: Variables, key: str, joints: int, where: str) -> Float32[np.ndarray, "frames joints"]:
    """One number for each frame and joint, as float32."""
    values = found.get(key)
    if not isinstance(values, np.ndarray) or values.ndim != 2 or values.shape[1] != joints:
        shape = values.shape if isinstance(values, np.ndarray) else "missing" if values is None else "a text"
        raise RawFormatError(f"{where}: '{key}' is {shape}, expected frames x {joints} numbers.")
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float32)
    for frame, joint in np.argwhere(np.isinf(rounded)).tolist():
        raise RawFormatError(f"{where}, frame {frame}, joint {joint}: '{key}' is {values[frame, joint]:g}, not finite.")
    return rounded


def _whole(found: Variables, key: str, at: int, count: int, where: str) -> int:
    """One of a known number of whole numbers."""
    values = found.get(key)
    if isinstance(values, np.ndarray) and values.size == count:
        value = float(values.ravel()[at])
        if value.is_integer() and abs(value) < 1 << 31:
            return int(value)
    raise RawFormatError(f"{where}: '{key}' is missing or does not hold {count} whole numbers.")


def _text(found: Variables, key: str, where: str) -> str:
    """One text."""
    value = found.get(key)
    if not isinstance(value, str):
        raise RawFormatError(f"{where}: '{key}' is missing or no text.")
    return value[:80]


def _label(action: str, card: Card, where: str) -> int:
    """Index of a class by its name."""
    classes = card.targets["label"].classes
    name = card.options["spelling"].get(action, action)
    if name not in classes:
        raise RawFormatError(f"{where}: 'action' is '{action[:40]}'. {nearest(action[:40], classes)}")
    return classes.index(name)
