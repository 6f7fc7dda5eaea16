"""Mixamo and other animated rigs: BVH by forward kinematics, or the `.npy` files of LAC; one motion of a character."""

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Float32

from skelbench.card import Card
from skelbench.errors import RawFormatError
from skelbench.formats import bvh, names, numpy_files, one_pose
from skelbench.raw import RawItem, RawSource
from skelbench.sample import Sample

_COPY = re.compile(r"copy of .*|.*[ _-]copy( ?\(?\d+\)?)?", re.IGNORECASE)  # what systems call a file's double
_BETWEEN = "__"  # character and motion in an id
_FAST, _DIGITS = 1e4, 2  # frames per second at most, and the decimals to which a file's frame time is a rate


def plan(raw: RawSource, card: Card) -> Iterator[RawItem]:
    """Name the motions of a source.

    Args:
        raw: A folder or archive of `<character>/<motion>.bvh` or `<character>/<motion>/<motion>.npy`.
        card: Of the set.

    Yields:
        One item a file; copies, by their names, are rejects. LAC's windows, `motions/<number>.npy`, are passed over.
    """
    for path in (*names.members(raw, ".bvh"), *names.members(raw, ".npy")):
        motion, folders = names.stem(path), path.split("/")[:-1]
        if folders and path.lower().endswith(".npy"):
            if folders[-1] == "motions":
                continue
            folders = folders[: -1 if folders[-1] == motion else None]
        found = {"motion": motion, "take": motion, **({"character": folders[-1]} if folders else {})}
        sample_id = f"{folders[-1]}{_BETWEEN}{motion}" if folders else motion
        copy = f"the name '{motion}' is that of a copy" if _COPY.fullmatch(motion) else None
        yield RawItem(sample_id, (path,), found, copy)


def read(raw: RawSource, item: RawItem, card: Card) -> Sample:
    """Read one motion.

    Args:
        raw: The source that was planned.
        item: A motion of it.
        card: Its `options.rigs` name the layout's joints as different rigs do; a character's class is its label.

    Returns:
        One pose a frame, in the rig's unit; the rate is known of BVH files alone.

    Raises:
        RawFormatError: If the file is not what its format says, or its rig lacks a joint.
    """
    (path,) = item.paths
    where, meta = raw.where(path), dict(item.meta)
    if path.lower().endswith(".npy"):
        keypoints = _from_array(numpy_files.npy(raw.read(path), where), card, where)
    else:
        found = bvh.parse(raw.read(path), where)
        meta["fps"] = _rate(found.frame_time, where)
        keypoints = _rounded(bvh.positions(found)[:, _places(found, card.options["rigs"], where)], where)
    classes, character = card.targets["label"].classes, meta.get("character")
    label = classes.index(str(character)) if character in classes else -1
    return one_pose.sample(item, keypoints, {"label": label}, meta=meta)


def write(sample: Sample, card: Card) -> Iterator[tuple[str, bytes]]:
    """Write a motion as one BVH file, or as LAC's array where no rate is known; the inverse of `read`.

    Args:
        sample: One pose in every frame.
        card: Joints, bones, and their names in the first of `options.rigs`.

    Yields:
        The path and content of one file.

    Raises:
        ValueError: If a frame has no pose or several, or a coordinate is infinite.
    """
    one_pose.check(sample)
    if np.isinf(sample.keypoints).any():
        raise ValueError(f"{sample.sample_id}: a coordinate is infinite.")
    motion = str(sample.meta["motion"])
    folder = f"{card.options['folder']}/{sample.meta['character']}/" if "character" in sample.meta else ""
    if "fps" not in sample.meta:
        array = np.moveaxis(sample.keypoints, 0, -1).astype(np.float64)
        yield f"{folder}{motion}/{motion}.npy" if folder else f"{motion}.npy", numpy_files.render_npy(array)
        return
    rig = next(iter(card.options["rigs"].values()))
    content = bvh.render(
        [f"{card.options['prefix']}{name}" for name in rig],
        card.layout.parents,
        sample.keypoints,
        1 / float(sample.meta["fps"]),
    )
    yield f"{folder}{motion}.bvh", content


def _places(found: bvh.Bvh, rigs: Mapping[str, Sequence[str]], where: str) -> list[int]:
    """Where a file's rig has the layout's joints."""
    for wanted in rigs.values():
        places = bvh.named(found, wanted)
        if places is not None:
            return places
    nearest = min((bvh.lacking(found, wanted) for wanted in rigs.values()), key=len)
    named = ", ".join(joint.name for joint in found.joints[:3])
    without = f"has no {', '.join(nearest[:5])}" if nearest else "names its joints in more than one way"
    raise RawFormatError(
        f"{where}: the rig ({named[:80]} ...) {without}; expected the joints of one of {', '.join(rigs)}. "
        "A card of your own may name the joints of another rig in [options.rigs]."
    )


def _from_array(array: np.ndarray, card: Card, where: str) -> Float32[np.ndarray, "frames joints 3"]:
    """LAC's order of axes brought into ours."""
    wanted = (len(card.layout.joints), 3)
    if array.ndim != 3 or array.shape[:2] != wanted or not array.shape[2] or array.dtype.kind != "f":
        raise RawFormatError(f"{where}: {array.dtype} {array.shape}, expected numbers of {wanted} x frames.")
    return _rounded(np.moveaxis(array, -1, 0), where)


def _rounded(values: np.ndarray, where: str) -> Float32[np.ndarray, "frames joints 3"]:
    """The positions as float32, if it can hold them."""
    with np.errstate(over="ignore"):
        keypoints = values.astype(np.float32)
    for frame, joint in np.argwhere(np.isinf(keypoints).any(axis=-1))[:1].tolist():
        raise RawFormatError(f"{where}, frame {frame}, joint {joint}: not finite in 32 bits.")
    return keypoints


def _rate(frame_time: float, where: str) -> float:
    """Frames per second; a frame time is printed with few digits."""
    rate = round(1 / frame_time, _DIGITS)
    if not 0 < rate <= _FAST:
        raise RawFormatError(f"{where}: 'Frame Time' is {frame_time:g}, expected seconds between two frames.")
    return rate
