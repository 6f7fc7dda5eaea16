"""AI-Hub fitness postures in 2-D: five views of a take in one JSON file, each a sample."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from skelbench.card import Card
from skelbench.errors import RawFormatError
from skelbench.formats import aihub, strict_json
from skelbench.raw import RawItem, RawSource
from skelbench.sample import Sample

_LARGEST = np.float32(100_000)  # pixels; a made-up recording is kept within


def plan(raw: RawSource, card: Card) -> Iterator[RawItem]:
    """Name the views of all takes of a source.

    Args:
        raw: A folder or archive of label files at any depth; those in space belong to `aihub_fitness_3d`.
        card: Its table of exercises, and what it puts under quarantine.

    Yields:
        Five items a file; a file with another name, or under quarantine, is one reject.
    """
    for item in aihub.plan(raw, card, space=False):
        if item.reject is not None:
            yield item
            continue
        for camera in aihub.CAMERAS:
            yield replace(item, sample_id=f"{item.sample_id}-{camera}", meta={**item.meta, "camera": camera})


def read(raw: RawSource, item: RawItem, card: Card) -> Sample:
    """Read one view of a take.

    Args:
        raw: The source that was planned.
        item: A view of it.
        card: Joints, exercises and conditions.

    Returns:
        At most one pose a frame, in pixels; what is null is NaN. A defect is a condition that is not met.

    Raises:
        RawFormatError: If the file is not what the format says, contradicts its name, or lacks the view.
    """
    (path,) = item.paths
    where = raw.where(path)
    found = strict_json.load(raw.read(path), where)
    take = aihub.describe(found, item, card, where)
    camera = str(item.meta["camera"])
    views = _views(strict_json.field(found, "frames", list, where), camera, where)
    here = f"{where}, view{aihub.CAMERAS.index(camera) + 1}"
    subject = aihub.subject_of([view.get("img_key") for view in views], camera, here)
    if not subject:
        raise RawFormatError(f"{here}: no 'img_key', which names the performer.")
    seen = replace(take, meta={**take.meta, "subject": subject})
    return aihub.sample(item, [view.get("pts") for view in views], seen, card, here)


def write(sample: Sample, card: Card) -> Iterator[tuple[str, bytes]]:
    """Write one view as a file that holds no other; see `write_together`."""
    yield from write_together([sample], card)


def write_together(samples: Sequence[Sample], card: Card) -> Iterator[tuple[str, bytes]]:
    """Write views of one take as its one JSON file, the inverse of `read` for each.

    Args:
        samples: Views of one take by different cameras.
        card: Of the set.

    Yields:
        The path and content of one file; it depends on nothing but the samples.

    Raises:
        ValueError: If the file cannot say what the samples hold.
    """
    first = samples[0]
    frames: list[dict[str, Any]] = [{} for _ in range(first.n_frames)]
    for sample in samples:
        alike = [(one.n_frames, one.targets, one.meta["take"]) for one in (first, sample)]
        if alike[0] != alike[1] or sample.sample_id != f"{sample.meta['take']}-{sample.meta['camera']}":
            raise ValueError(f"{sample.sample_id}: no view of {first.meta['take']}, or of other length or labels.")
        for at, view in enumerate(_seen(sample, card)):
            frames[at][f"view{aihub.CAMERAS.index(str(sample.meta['camera'])) + 1}"] = view
    content = {"frames": frames, **aihub.type_info(first, card)}
    text = json.dumps(content, ensure_ascii=False, allow_nan=False)
    yield f"{aihub.folder(first, card)}/{first.meta['take']}.json", text.encode()


def settle(sample: Sample, card: Card) -> Sample:
    """As `aihub.settle`, with coordinates in whole pixels."""
    keypoints = np.round(np.clip(sample.keypoints, -_LARGEST, _LARGEST)) + np.float32(0)
    return aihub.settle(replace(sample, keypoints=keypoints), card)


def _views(frames: list[Any], camera: str, where: str) -> list[dict[str, Any]]:
    """One view of every frame; empty objects where a frame lacks it."""
    key = f"view{aihub.CAMERAS.index(camera) + 1}"
    if not frames:
        raise RawFormatError(f"{where}: holds no frame, expected one at least.")
    views = []
    for at, frame in enumerate(frames):
        view = frame.get(key, {}) if isinstance(frame, dict) else frame
        if not isinstance(view, dict):
            raise RawFormatError(f"{where}, frame {at}: {strict_json.kind(view)}, expected an object of views.")
        views.append(view)
    if not any(views):
        raise RawFormatError(f"{where}: no frame has '{key}'; camera {camera} saw nothing of this take.")
    return views


def _seen(sample: Sample, card: Card) -> Iterator[dict[str, Any]]:
    """A view of each frame as the file has it."""
    place = aihub.by_frame(sample)
    for frame in range(sample.n_frames):
        points = aihub.points(sample.keypoints[place[frame]], card) if frame in place else {}
        yield {"pts": points, "active": "Yes", "img_key": aihub.image(sample, str(sample.meta["camera"]), frame)}
