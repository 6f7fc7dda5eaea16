"""Toyota Smarthome, trimmed clips: LCR-Net's poses, one JSON file a clip, or one estimator's as NumPy files."""

import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from skelbench.card import Card
from skelbench.errors import RawFormatError, nearest
from skelbench.formats import lcrnet, names, numpy_files
from skelbench.formats.detections import Detections
from skelbench.raw import RawItem, RawSource
from skelbench.sample import MetaValue, Sample

NAME = re.compile(
    r"(?P<activity>[A-Za-z]+(?:\.[A-Za-z]+)?)_p(?P<subject>\d{2})_r(?P<repetition>\d{2})_v(?P<video>\d{2})"
    r"_c(?P<camera>\d{2})(?:_pose3d\.json|\.json|_(?P<estimator>[A-Za-z]+)2d\.npz)",
    re.ASCII,
)
EXPECTED = "Activity_pNN_rNN_vNN_cNN.json (or _pose3d.json): person, repetition, video, camera"
PLANE = 2  # channels of the NumPy files
# LCR-Net's thirteen in the order of COCO's seventeen, whose nose stands for the head
COCO = (16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 0)


def plan(raw: RawSource, card: Card) -> Iterator[RawItem]:
    """Name the clips of a source.

    Args:
        raw: A folder or archive of `.json` files, or of `.npz` files.
        card: Its options hold the activities, subjects, cameras, and whose `.npz` files are read.

    Yields:
        One item a file; files with another name, activity, subject, camera or estimator are rejects.
    """
    for path in sorted((*names.members(raw, ".json"), *names.members(raw, ".npz"))):
        match = NAME.fullmatch(names.file_name(path))
        if match is None:
            sample_id = names.stem(path)
            yield RawItem(sample_id, (path,), reject=f"the name '{sample_id}' is not {EXPECTED}")
            continue
        found = match.groupdict()
        estimator, activity = found.pop("estimator"), found.pop("activity")
        meta: dict[str, MetaValue] = {name: int(digits) for name, digits in found.items()}
        width, height = card.options["image"]
        take = f"{activity}_p{found['subject']}_r{found['repetition']}_v{found['video']}"
        meta |= {"activity": activity, "take": take, "width": width, "height": height}
        if activity in card.targets["label"].classes:
            meta["label"] = card.targets["label"].classes.index(activity)  # for `read`, and to spread a limit over
        yield RawItem(f"{take}_c{found['camera']}", (path,), meta, _reject(meta, estimator, card))


def read(raw: RawSource, item: RawItem, card: Card) -> Sample:
    """Read one clip.

    Args:
        raw: The source that was planned.
        item: A clip of it.
        card: Joints and classes.

    Returns:
        The detections of every frame, in the detector's order and without identity; u, v in pixels. The score is
        that of the whole detection. An activity that the owner's papers do not score has no label.

    Raises:
        RawFormatError: If the file is not what the format says.
    """
    (path,) = item.paths
    where, joints = raw.where(path), len(card.layout.joints)
    if path.lower().endswith(".npz"):
        found = _estimated(numpy_files.npz(raw.read(path), where), len(card.channels), where)
    else:
        found = lcrnet.parse(raw.read(path), joints, where)
    return Sample(
        sample_id=item.sample_id,
        n_frames=found.n_frames,
        frame=found.frame,
        person=found.person,
        keypoints=found.keypoints,
        score=found.score,
        targets={"label": int(item.meta.get("label", -1))},
        segments=(),
        meta={name: value for name, value in item.meta.items() if name != "label"},
    )


def write(sample: Sample, card: Card) -> Iterator[tuple[str, bytes]]:
    """Write a clip as one JSON file, the inverse of `read`; a missing number is `null`.

    Args:
        sample: Detections without identity in the order of their frames, each with one score.
        card: Of the set.

    Yields:
        The path and content of one file.

    Raises:
        ValueError: If the file cannot say what the sample holds.
    """
    if sample.score is None or (sample.person != -1).any():
        raise ValueError(f"{sample.sample_id}: detections of this set have a score and no identity.")
    content = lcrnet.render(sample.n_frames, sample.frame, sample.keypoints, sample.score)
    yield f"{card.options['folder']}/{sample.sample_id}.json", content


def settle(sample: Sample, card: Card) -> Sample:
    """The nearest sample that the files can hold: one score a detection.

    Args:
        sample: Any sample of the card's shape.
        card: Of the set.

    Returns:
        The score of the first joint at all joints.
    """
    return sample if sample.score is None else replace(sample, score=np.repeat(sample.score[:, :1], 13, axis=1))


def _reject(meta: dict[str, MetaValue], estimator: str | None, card: Card) -> str | None:
    """Why a clip is not read."""
    known = (*card.targets["label"].classes, *card.options["unscored"])
    if meta["activity"] not in known:
        return f"activity '{str(meta['activity'])[:40]}'. {nearest(str(meta['activity'])[:40], known)}"
    for column in ("subject", "camera"):
        if meta[column] not in card.options[f"{column}s"]:
            return f"{column} {meta[column]}, expected one of {', '.join(map(str, card.options[f'{column}s']))}"
    if estimator not in (None, card.options["estimator"]):
        return (
            f"poses by {estimator}, this card reads those by {card.options['estimator']}: another estimator is another "
            "store, made with a card whose options.estimator names it"
        )
    return None


def _estimated(arrays: dict[str, np.ndarray], channels: int, where: str) -> Detections:
    """One pose a frame in COCO's order, pixels; a joint at (0, 0) was not found, and x, y, z are missing."""
    points = arrays.get("kpts")
    if points is None or points.ndim != 3 or points.shape[1:] != (17, PLANE) or points.dtype.kind != "f":
        shape = "missing" if points is None else f"{points.dtype} {points.shape}"
        raise RawFormatError(f"{where}: 'kpts' is {shape}, expected numbers of frames x 17 x {PLANE}.")
    if not len(points) or np.isinf(points).any():
        raise RawFormatError(f"{where}: 'kpts' holds no frame or an infinite number.")
    chosen = points[:, COCO].astype(np.float32)
    chosen[(chosen == 0).all(-1)] = np.nan
    seen = np.flatnonzero(~np.isnan(chosen).all((1, 2)))
    keypoints = np.full((len(seen), len(COCO), channels), np.nan, np.float32)
    keypoints[..., :PLANE] = chosen[seen]
    score = np.full(keypoints.shape[:2], np.nan, np.float32)
    return Detections(len(points), seen.astype(np.uint32), np.full(len(seen), -1, np.int64), keypoints, score)
