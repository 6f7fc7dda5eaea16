"""The poses of one video in the form of any detector that a card names, and what sets of such videos have in common.

A card's `options.poses` names the form of its JSON files: `lcrnet` (where it says nothing), `mmpose`, `alphapose` or
`coco`, one file a video; or `openpose`, one file a frame. Arrays of NumPy are read beside them.
"""

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from skelbench.card import Card
from skelbench.errors import CardError, RawFormatError
from skelbench.formats import alphapose, coco_keypoints, detections, lcrnet, mmpose, names, numpy_files, openpose
from skelbench.formats.detections import Detections
from skelbench.raw import RawItem, RawSource
from skelbench.sample import Sample

# LCR-Net's thirteen in the order of COCO's seventeen, whose nose stands for the head
COCO = (16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 0)
_COCO_JOINTS = 17
_PLANE = 2  # channels of the image
_FRAMES = "openpose"  # the form of one file a frame
_USUAL = ("kpts", "keypoints", "poses")  # of several arrays in one file that of the poses


def videos(raw: RawSource, card: Card, others: Container[str] = ()) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Find the files of poses, those of one video together.

    Args:
        raw: The source.
        card: Its `options.poses` names the form.
        others: Members that hold something else.

    Yields:
        What the file of the video is called, or would be if its frames did not have one each, and its members.
    """
    endings = (".json", ".npy", ".npz")
    members = sorted(path for end in endings for path in names.members(raw, end) if path not in others)
    frames: dict[str, list[str]] = {}
    for path in members:
        match = openpose.FILE.fullmatch(names.file_name(path)) if _form(card) == _FRAMES else None
        folder = path.rpartition("/")[0]
        video = path if match is None else f"{folder}/{match['clip']}.json" if match["clip"] else f"{folder}.json"
        frames.setdefault(video, []).append(path)
    for video, paths in frames.items():
        yield video, tuple(paths)


def parse(raw: RawSource, paths: Sequence[str], card: Card) -> Detections:
    """Read the poses of one video.

    Args:
        raw: The source.
        paths: Its members, as `videos` gives them: in the form that `options.poses` names, or one array of frames x
            joints x numbers, `.npy` or `.npz`.
        card: Joints, channels, and the form.

    Returns:
        The detections.

    Raises:
        RawFormatError: If a file is not what the form says.
    """
    where, joints, form = raw.where(paths[0]), len(card.layout.joints), _form(card)
    if paths[0].lower().endswith((".npz", ".npy")):
        return _array(raw.read(paths[0]), paths[0], card, where)
    if form != _FRAMES:
        return _READERS[form](raw.read(paths[0]), joints, where)
    files: dict[int, tuple[bytes, str]] = {}
    for path in paths:
        match = openpose.FILE.fullmatch(names.file_name(path))
        if match is None or int(match["frame"]) in files:
            told = "is no <video>_NNN_keypoints.json, one a frame" if match is None else "has the number of another"
            raise RawFormatError(f"{raw.where(path)}: the name {told}; is it OpenPose's? (the card's options.poses)")
        files[int(match["frame"])] = raw.read(path), raw.where(path)
    return openpose.parse(files, joints)


def read(raw: RawSource, item: RawItem, card: Card) -> Sample:
    """Read one clip.

    Args:
        raw: The source that was planned.
        item: A clip of it; its label, where it has one, is among the meta.
        card: Joints and channels.

    Returns:
        The detections of every frame, in the detector's order and without identity; u, v in pixels. The score of
        LCR-Net is that of the whole detection. A clip that nobody labelled has -1.

    Raises:
        RawFormatError: If the file is not what the format says.
    """
    meta = {name: value for name, value in item.meta.items() if name != "label"}
    label = int(item.meta.get("label", -1))
    return detections.sample(item, parse(raw, item.paths, card), {"label": label}, meta=meta)


def write(sample: Sample, card: Card) -> Iterator[tuple[str, bytes]]:
    """Write a clip's poses, the inverse of `read`; a missing number is `null`, or what the form has for it.

    Args:
        sample: Detections in the order of their frames, with scores; of LCR-Net one score each, and no identity.
        card: Of the set; its `options.folder` and, where it has folders for its parts, `options.prefix` say where.

    Yields:
        The path and content of each file; they depend on nothing but the sample.

    Raises:
        ValueError: If the form cannot say what the sample holds.
    """
    form = _form(card)
    if sample.score is None or (form == "lcrnet" and (sample.person != -1).any()):
        raise ValueError(f"{sample.sample_id}: detections of this set have a score and no identity.")
    found = Detections(sample.n_frames, sample.frame, sample.person, sample.keypoints, sample.score)
    folder = str(card.options["folder"])
    if "prefix" in card.options:
        folder = f"{folder}/{card.options['prefix']}_{sample.meta['part']}"
    if form != _FRAMES:
        yield f"{folder}/{sample.sample_id}.json", _WRITERS[form](found)
        return
    for frame, content in openpose.render(found).items():
        yield f"{folder}/{sample.sample_id}/{sample.sample_id}_{frame:012d}_keypoints.json", content


def settle(sample: Sample, card: Card) -> Sample:
    """The nearest sample that LCR-Net's files can hold: the score of the first joint at all joints."""
    if sample.score is None:
        return sample
    return replace(sample, score=np.repeat(sample.score[:, :1], sample.score.shape[1], axis=1))


def _form(card: Card) -> str:
    """The form of the card's JSON files.

    Raises:
        CardError: If there is no such form.
    """
    form, known = str(card.options.get("poses", "lcrnet")), (*_READERS, _FRAMES)
    if form not in known:
        raise CardError(f"[options]: 'poses' is '{form[:40]}', expected the form of the files: {', '.join(known)}.")
    return form


def _array(data: bytes, path: str, card: Card, where: str) -> Detections:
    """One pose a frame; a joint at (0, 0) was not found. COCO's joints are LCR-Net's where the card wants those."""
    joints, channels = len(card.layout.joints), len(card.channels)
    points = _points(data, path, where)
    known = {joints, _COCO_JOINTS} if joints == len(COCO) else {joints}
    widths = {_PLANE: _PLANE, _PLANE + 1: _PLANE, channels + 1: channels, channels: channels}
    fits = points.ndim == 3 and points.shape[1] in known and points.shape[2] in widths and len(points)
    if not fits or points.dtype.kind not in "fiu":
        raise RawFormatError(
            f"{where}: an array of {points.dtype} {points.shape}, expected numbers: frames x {max(known)} joints x "
            f"{_PLANE}, or {' or '.join(map(str, sorted(widths)))} with the other channels or a score."
        )
    with np.errstate(over="ignore"):
        chosen = (points if points.shape[1] == joints else points[:, COCO]).astype(np.float32)
    if np.isinf(chosen).any():
        raise RawFormatError(f"{where}: an infinite number, expected coordinates.")
    given = widths[points.shape[2]]
    keypoints = np.full((len(points), joints, channels), np.nan, np.float32)
    keypoints[..., :given] = chosen[..., :given]
    keypoints[(chosen[..., :given] == 0).all(-1)] = np.nan
    seen = np.flatnonzero(~np.isnan(keypoints).all((1, 2)))
    score = np.full(keypoints.shape[:2], np.nan, np.float32) if given == points.shape[2] else chosen[..., given]
    person = np.full(len(seen), -1, np.int64)
    return Detections(len(points), seen.astype(np.uint32), person, keypoints[seen], score[seen])


def _points(data: bytes, path: str, where: str) -> np.ndarray:
    """The array of a file; of several the one that bears a usual name."""
    if path.lower().endswith(".npy"):
        return numpy_files.npy(data, where)
    arrays = numpy_files.npz(data, where)
    usual = [name for name in _USUAL if name in arrays]
    if len(arrays) != 1 and len(usual) != 1:
        listed = ", ".join(sorted(arrays)[:8]) or "none"
        raise RawFormatError(f"{where}: the arrays {listed}; expected one, or one called {' or '.join(_USUAL)}.")
    return arrays[usual[0]] if len(arrays) != 1 else next(iter(arrays.values()))


_READERS: Mapping[str, Callable[[bytes, int, str], Detections]] = {
    "lcrnet": lcrnet.parse,
    "mmpose": lambda data, joints, where: mmpose.parse(data, joints, _PLANE, where),
    "alphapose": alphapose.parse,
    "coco": coco_keypoints.parse,
}
_WRITERS: Mapping[str, Callable[[Detections], bytes]] = {
    "lcrnet": lambda found: lcrnet.render(found.n_frames, found.frame, found.keypoints, found.score),
    "mmpose": mmpose.render,
    "alphapose": alphapose.render,
    "coco": coco_keypoints.render,
}
