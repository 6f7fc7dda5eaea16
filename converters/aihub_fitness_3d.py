"""AI-Hub fitness postures in 3-D: one JSON file a take, labels and performer from the file of the views beside it."""

import json
from collections.abc import Iterator
from dataclasses import replace

from skelbench.card import Card
from skelbench.errors import RawFormatError
from skelbench.formats import aihub, names, strict_json
from skelbench.raw import RawItem, RawSource
from skelbench.sample import Sample

settle = aihub.settle


def plan(raw: RawSource, card: Card) -> Iterator[RawItem]:
    """Name the takes of a source.

    Args:
        raw: A folder or archive of label files at any depth.
        card: Its table of exercises, and what it puts under quarantine.

    Yields:
        One item a file in space, with the file of the views of the same take where there is one: in the same folder, or
        else anywhere.
    """
    beside = {names.stem(path): path for path in reversed(raw.paths) if path.lower().endswith(".json")}
    there = set(raw.paths)
    for item in aihub.plan(raw, card, space=True):
        (path,), take = item.paths, item.meta.get("take")
        same_folder = f"{path.rpartition('/')[0]}/{take}.json".lstrip("/")
        other = same_folder if same_folder in there else beside.get(str(take))
        yield replace(item, paths=(path, other)) if item.reject is None and other else item


def read(raw: RawSource, item: RawItem, card: Card) -> Sample:
    """Read one take.

    Args:
        raw: The source that was planned.
        item: A take of it.
        card: Joints, exercises and conditions.

    Returns:
        At most one pose a frame, in centimetres; what is null is NaN. Without a file of the views, conditions are
        unknown (-1), and there is no column `subject`.

    Raises:
        RawFormatError: If a file is not what the format says, or contradicts its name.
    """
    where = raw.where(item.paths[0])
    found = strict_json.load(raw.read(item.paths[0]), where)
    frames = strict_json.field(found, "frames", list, where)
    if not frames or not all(isinstance(frame, dict) for frame in frames):
        raise RawFormatError(f"{where}: {len(frames)} frames; expected one at least, each an object.")
    return aihub.sample(item, [frame.get("pts") for frame in frames], _take(raw, item, card), card, where)


def write(sample: Sample, card: Card) -> Iterator[tuple[str, bytes]]:
    """Write a take as one JSON file, and beside it the file of views with its labels alone; the inverse of `read`.

    Args:
        sample: At most one pose a frame.
        card: Of the set.

    Yields:
        Paths and contents; they depend on nothing but the sample.

    Raises:
        ValueError: If the files cannot say what the sample holds.
    """
    place = aihub.by_frame(sample)
    if sample.sample_id != f"{sample.meta['take']}-3d":
        raise ValueError(f"{sample.sample_id}: expected the name of the take with -3d.")
    frames = [
        {"pts": aihub.points(sample.keypoints[place[frame]], card) if frame in place else {}}
        for frame in range(sample.n_frames)
    ]
    folder = aihub.folder(sample, card)
    yield f"{folder}/{sample.sample_id}.json", json.dumps({"frames": frames}, allow_nan=False).encode()
    if "subject" in sample.meta:
        view = {"pts": {}, "active": "Yes", "img_key": aihub.image(sample, "A", 0)}
        content = {"frames": [{"view1": view}], **aihub.type_info(sample, card)}
        yield f"{folder}/{sample.meta['take']}.json", json.dumps(content, ensure_ascii=False).encode()


def _take(raw: RawSource, item: RawItem, card: Card) -> aihub.Take:
    """Labels and performer from the file of the views; the exercise alone where there is none."""
    if len(item.paths) == 1:
        known = [exercise.name for exercise in aihub.exercises(card)]
        unknown = (-1,) * len(card.targets["defects"].classes)
        return aihub.Take({"defects": unknown, "exercise": known.index(str(item.meta["movement"]))}, {})
    where = raw.where(item.paths[1])
    found = strict_json.load(raw.read(item.paths[1]), where)
    take = aihub.describe(found, item, card, where)
    frames = strict_json.field(found, "frames", list, where)
    for at, camera in enumerate(aihub.CAMERAS, 1):
        views = [frame.get(f"view{at}") for frame in frames if isinstance(frame, dict)]
        keys = [view.get("img_key") for view in views if isinstance(view, dict)]
        subject = aihub.subject_of(keys, camera, f"{where}, view{at}")
        if subject:
            return replace(take, meta={**take.meta, "subject": subject})
    return take
