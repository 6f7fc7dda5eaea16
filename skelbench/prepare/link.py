"""Linking detections that have no identity: a tracker by distance."""

import math
from dataclasses import replace

import numpy as np
from jaxtyping import Float64, Int64

from skelbench.errors import RecipeError, RunError
from skelbench.prepare.prepared import Prepared, by_id
from skelbench.sample import Sample

_PLANE, _SPACE = 2, 3  # channels
_GAP = 20  # frames: a second at the frame rate of many detectors
_PAIRS = 1_000_000  # of persons and detections in one frame: more is a broken file
_FREE = -(1 << 62)  # above this, the ids of sources


def link(sample: Sample, most: float, gap: int = _GAP) -> Prepared:
    """Make a person of detections that lie near each other from frame to frame; keep all frames.

    The distance of two poses is the mean over the joints that both show, in the image's plane where a set has one
    beside space, else in all channels. In every frame the nearest pairs of a person and a detection go together first,
    as far as they lie within `most`; a detection that is left begins a new person. No detection is dropped.

    Args:
        sample: What was recorded; poses that have an id keep it and are not linked.
        most: Largest distance between two poses of a person, in the unit of the coordinates.
        gap: Frames in which a person may be missing and still go on.

    Returns:
        Persons in the order in which they appear; all frames.

    Raises:
        RecipeError: If the distance or the gap is not positive.
        RunError: If there are too many detections at once, or persons × frames would not fit into memory.
    """
    if not (math.isfinite(most) and most > 0) or gap < 1:
        raise RecipeError(f"link: a distance of {most:g} and a gap of {gap} frames, expected numbers above 0.")
    loose = sample.person == -1
    if not loose.any():
        return by_id(sample)
    channels = sample.keypoints.shape[2]
    points = sample.keypoints[loose].astype(np.float64)
    points = points if channels <= _SPACE else points[..., :_PLANE]
    try:
        tracks = _tracks(sample.frame[loose].astype(np.int64), points, most, gap)
    except RunError as error:
        raise RunError(f"{sample.sample_id}: {error}") from error
    person = sample.person.copy()
    person[loose] = _FREE + tracks
    return by_id(replace(sample, person=person))


def _tracks(
    frame: Int64[np.ndarray, " poses"], points: Float64[np.ndarray, "poses joints channels"], most: float, gap: int
) -> Int64[np.ndarray, " poses"]:
    """The number of the track of every pose."""
    track = np.empty(len(frame), np.int64)
    order = np.argsort(frame, kind="stable")
    starts = np.flatnonzero(np.diff(frame[order], prepend=-1))
    known: list[int] = []  # the last pose of each track that may go on
    count = 0
    for at, begin in enumerate(starts.tolist()):
        end = int(starts[at + 1]) if at + 1 < len(starts) else len(order)
        here = order[begin:end]
        known = [pose for pose in known if frame[here[0]] - frame[pose] <= gap]
        taken = _pairs(points, np.array(known, np.int64), here, most)
        for pose in here.tolist():
            before = taken.get(pose)
            if before is None:
                track[pose], count = count, count + 1
            else:
                track[pose] = track[before]
                known.remove(before)
        known += here.tolist()
    return track


def _pairs(
    points: Float64[np.ndarray, "poses joints channels"],
    known: Int64[np.ndarray, " known"],
    here: Int64[np.ndarray, " found"],
    most: float,
) -> dict[int, int]:
    """The pose that each pose of a frame goes on from, the nearest pairs first."""
    if not known.size:
        return {}
    if len(known) * len(here) > _PAIRS:
        raise RunError(f"link: {len(known)} persons and {len(here)} detections at once. Leave the sample out.")
    apart = np.sqrt(((points[known][:, None] - points[here]) ** 2).sum(-1))  # (known, found, joints)
    seen = ~np.isnan(apart)
    shown = np.maximum(seen.sum(-1), 1)
    distance = np.where(seen.any(-1), np.where(seen, apart, 0).sum(-1) / shown, np.inf)
    found: dict[int, int] = {}
    for place in np.argsort(distance, axis=None, kind="stable").tolist():
        row, column = divmod(place, len(here))
        if not distance[row, column] <= most:
            break
        before, pose = int(known[row]), int(here[column])
        if pose not in found and before not in found.values():
            found[pose] = before
    return found
