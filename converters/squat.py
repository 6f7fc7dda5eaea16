"""Squat (Ogata et al.): distances between the 19 joints of each frame, one JSON file a video."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64

from skelbench.card import Card
from skelbench.errors import RawFormatError
from skelbench.formats import pairwise, squat_names, strict_json
from skelbench.raw import Feature, RawItem, RawSource, Sequences
from skelbench.sample import Sample

LIFTED = "poses that a user lifted are the set 'squat_lifted': skelbench convert squat_lifted"
_LAST = 100_000  # frames; a squat of an hour at 30 a second


def plan(raw: RawSource, card: Card) -> Iterator[RawItem]:
    """Name the videos; see `squat_names.plan`."""
    yield from squat_names.plan(raw, card, (".json",), dict.fromkeys((".npy", ".npz"), LIFTED))


def read(raw: RawSource, item: RawItem, card: Card) -> Sample:
    """Read one video.

    Args:
        raw: The source that was planned.
        item: A video of it.
        card: Joints, defects, and the joints that fix a frame.

    Returns:
        At most one pose a frame, in the frame of the body that `pairwise` describes and the unit of the distances. A
        pose is NaN throughout where its distances are null, or do not make a body.

    Raises:
        RawFormatError: If the file is not what the format says.
    """
    frames, pairs = _pairs(raw, item, card)
    return Sample(
        sample_id=item.sample_id,
        n_frames=int(frames[-1]) + 1,
        frame=frames.astype(np.uint32),
        person=np.full(len(frames), -1, np.int64),
        keypoints=pairwise.coordinates(pairs, len(card.layout.joints), _anchors(card)),
        score=None,
        targets=squat_names.targets(item.meta, card),
        segments=(),
        meta=item.meta,
    )


def features(raw: RawSource, card: Card) -> Iterator[Feature]:
    """The distances as they stand in the files, rounded to float32.

    Args:
        raw: The source.
        card: Of the set.

    Yields:
        One table, `distances`: for each pose of a video, in the order in which `read` gives them, the 171 distances;
        NaN where they are null.

    Raises:
        RawFormatError: If a file is not what the format says.
    """
    items: dict[str, RawItem] = {}
    for item in plan(raw, card):
        if item.reject is None:
            items.setdefault(item.sample_id, item)

    def distances(sample_id: str) -> Float32[np.ndarray, "poses pairs"]:
        """Those of one video."""
        return _pairs(raw, items[sample_id], card)[1].astype(np.float32)

    count = len(card.layout.joints)
    yield Feature("distances", tuple(items), Sequences(count * (count - 1) // 2, distances), "the owners, by HMR")


def write(sample: Sample, card: Card) -> Iterator[tuple[str, bytes]]:
    """Write the distances of a video's poses as one JSON file, the inverse of `read`.

    Args:
        sample: As `settle` leaves it.
        card: Of the set.

    Yields:
        The path and content of one file; it depends on nothing but the sample.

    Raises:
        ValueError: If the file cannot say what the sample holds.
    """
    frames = sample.frame.tolist()
    if not frames or frames != sorted(set(frames)) or frames[-1] + 1 != sample.n_frames:
        raise ValueError(f"{sample.sample_id}: a video of this set has at most one pose a frame, one in the last.")
    rows = pairwise.distances(sample.keypoints)
    found = {
        str(frame): {"index": frame, "3d_joint": [None] * rows.shape[1] if np.isnan(row).any() else row.tolist()}
        for frame, row in zip(frames, rows, strict=True)
    }
    folder = f"{squat_names.folder(sample, card)}/{card.options['folder']}"
    yield f"{folder}/{sample.sample_id}.json", json.dumps(found, allow_nan=False).encode("ascii")


def settle(sample: Sample, card: Card) -> Sample:
    """The nearest sample that distances can tell: in the frame of the body, whole poses, one a frame.

    Args:
        sample: Any sample of the card's shape.
        card: Of the set.

    Returns:
        A sample that `write` takes; giving it again changes nothing.
    """
    sample = squat_names.settle(sample, card)
    limit = np.float32(card.options["largest"] / 4)
    keypoints = np.clip(sample.keypoints, -limit, limit)
    for _ in range(len(keypoints) + 2):
        found = pairwise.coordinates(pairwise.distances(keypoints), len(card.layout.joints), _anchors(card))
        settled = ((found == keypoints) | (np.isnan(found) & np.isnan(keypoints))).all(axis=(1, 2))
        if settled.all():
            break
        keypoints = found
    else:
        keypoints[~settled] = np.nan  # bodies so flat that rounding turns them
    return replace(sample, keypoints=keypoints)


def _anchors(card: Card) -> pairwise.Anchors:
    """The joints that fix the frame, by the names in the card."""
    joints, wanted = card.layout.joints, card.options["anchors"]
    first, second, above = (joints.index(wanted[name]) for name in ("first", "second", "above"))
    return pairwise.Anchors(first, second, above, tuple(joints.index(name) for name in wanted["forward"]))


def _pairs(raw: RawSource, item: RawItem, card: Card) -> tuple[np.ndarray, Float64[np.ndarray, "poses pairs"]]:
    """The frames of a file in their order, and the distances of each."""
    (path,) = item.paths
    where = raw.where(path)
    found = strict_json.load(raw.read(path), where)
    rows: dict[int, list[Any]] = {}
    for key, value in found.items():
        here = f"{where}, frame '{key[:20]}'"
        if not isinstance(value, dict):
            raise RawFormatError(f"{here}: {strict_json.kind(value)}, expected an object of index and 3d_joint.")
        index = strict_json.field(value, "index", int, here)
        if not 0 <= index < _LAST or index in rows:
            told = "stands there twice" if index in rows else f"expected 0 to {_LAST - 1}"
            raise RawFormatError(f"{here}: the index {index}: {told}.")
        rows[index] = strict_json.field(value, "3d_joint", list, here)
    if not rows:
        raise RawFormatError(f"{where}: holds no frame, expected one at least.")
    order = sorted(rows)
    return np.array(order), _checked([rows[index] for index in order], order, card, where)


def _checked(rows: list[list[Any]], order: list[int], card: Card, where: str) -> Float64[np.ndarray, "poses pairs"]:
    """Rows of distances as an array: all of a pose there or none, none negative."""
    count = len(card.layout.joints)
    for index, row in zip(order, rows, strict=True):
        kinds = set(map(type, row))
        if len(row) != count * (count - 1) // 2 or not (kinds <= {int, float} or kinds == {type(None)}):
            raise RawFormatError(
                f"{where}, index {index}: {len(row)} values, expected the {count * (count - 1) // 2} distances "
                f"between {count} joints, or null for every one."
            )
    try:
        pairs = np.array(rows, np.float64)
    except OverflowError as error:
        raise RawFormatError(f"{where}: an integer of more than 300 digits, expected a distance.") from error
    with np.errstate(invalid="ignore"):
        strange = (pairs < 0) | (pairs > card.options["largest"])
    for pose, pair in np.argwhere(strange).tolist():
        raise RawFormatError(
            f"{where}, index {order[pose]}: the distance {pairs[pose, pair]:g}, expected 0 to "
            f"{card.options['largest']:g}; were they normalised?"
        )
    return pairs
