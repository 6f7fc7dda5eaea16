"""AI-Hub's fitness labels: what names, folders and the two kinds of JSON file say, in 2-D and in 3-D.

One take is one file `DDD-S-TTT.json` with five views of 24 joints in pixels, and one `DDD-S-TTT-3d.json` of the same
joints in space. Only the former says which conditions of the exercise were met, and who performed it.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations, islice
from typing import Any

import numpy as np
from jaxtyping import Float32

from skelbench.card import Card
from skelbench.errors import RawFormatError, nearest
from skelbench.formats import names, strict_json
from skelbench.raw import RawItem, RawSource
from skelbench.sample import MetaValue, Sample, TargetValue

CAMERAS = "ABCDE"  # of view1 to view5
_NAME = re.compile(r"D(?P<day>\d{2})-(?P<slot>\d{1,3})-(?P<type>\d{3})", re.ASCII)
_EXPECTED = "DNN-S-TTT: day, slot of the performer, type code"
_PART = re.compile(r"(?:\d\.)?(training|validation)(?:\.\w+)*", re.IGNORECASE | re.ASCII)
_SUBJECT = re.compile(r"-(Z\d+)_", re.ASCII)
_CAMERA = re.compile(r"/([A-Z])/", re.ASCII)


@dataclass(frozen=True)
class Exercise:
    """One exercise of the card's table."""

    name: str  # in English, for people
    korean: str  # as the files have it
    first: int  # type code
    last: int  # type code, inclusive
    conditions: tuple[str, ...]  # as the files have them, in our order


@dataclass(frozen=True)
class Take:
    """What the file of views says besides coordinates."""

    targets: dict[str, TargetValue]
    meta: dict[str, MetaValue]  # equipment, posture, problems; subject where an image names it


def exercises(card: Card) -> tuple[Exercise, ...]:
    """The exercises of a card's `options.exercises`, each with its place in the target's classes."""
    return tuple(
        Exercise(row["name"], row["korean"], row["first"], row["last"], tuple(row["conditions"]))
        for row in card.options["exercises"]
    )


def plan(raw: RawSource, card: Card, *, space: bool) -> Iterator[RawItem]:
    """Name the takes of a source, one item a file.

    Args:
        raw: A folder or archive of label files at any depth.
        card: Its table of exercises, and `options.quarantine_*`.
        space: Whether the files in space are wanted, else those of the views.

    Yields:
        Items with the name's take, day, slot, type, part and exercise; names that do not fit, types of no exercise, and
        what the card puts under quarantine are rejects.
    """
    for path in names.members(raw, ".json"):
        if names.stem(path).lower().endswith("-3d") == space:
            yield item_of(path, raw.where(path), card)


def item_of(path: str, where: str, card: Card) -> RawItem:
    """One take by the name of its file, and the folders of its full path; see `plan`."""
    sample_id, known = names.stem(path), exercises(card)
    take = re.sub("-3d$", "", sample_id, flags=re.IGNORECASE)
    match = _NAME.fullmatch(take)
    if match is None:
        return RawItem(sample_id, (path,), reject=f"the name '{sample_id}' is not {_EXPECTED}")
    day, slot, code = (int(match[part]) for part in ("day", "slot", "type"))
    found = [exercise for exercise in known if exercise.first <= code <= exercise.last]
    if not found:
        return RawItem(sample_id, (path,), reject=f"type {code:03d}, expected 001 to {known[-1].last}")
    meta: dict[str, MetaValue] = {"take": take, "day": day, "slot": slot, "type": code}
    meta |= {"part": _part(where, day, card), "movement": found[0].name}
    reject = _quarantine(day, code, found[0].name, card)
    return RawItem(sample_id, (path,), meta, reject)


def describe(found: Mapping[str, Any], item: RawItem, card: Card, where: str) -> Take:
    """Labels of a take, and what its file says of it.

    Args:
        found: The file of views.
        item: Of the plan.
        card: Exercises, and classes of the targets.
        where: Name of the file, for messages.

    Returns:
        Targets (a defect is a condition that is not met; -1 where the exercise does not have it) and meta.

    Raises:
        RawFormatError: If the file contradicts its name, or names an exercise or condition that the card lacks.
    """
    info = strict_json.field(dict(found), "type_info", dict, where)
    for name, value in (("type", found.get("type")), ("type_info.key", info.get("key"))):
        if value is not None and str(value).strip().lstrip("0") != str(item.meta["type"]):
            raise RawFormatError(f"{where}: '{name}' is {str(value)[:20]!r}, the name says {item.meta['type']:03d}.")
    known = {exercise.korean: (place, exercise) for place, exercise in enumerate(exercises(card))}
    korean = _text(strict_json.field(info, "exercise", str, where))
    if korean not in known:
        raise RawFormatError(f"{where}: the exercise '{korean[:40]}' is unknown. {nearest(korean[:40], known)}")
    place, exercise = known[korean]
    if exercise.name != item.meta["movement"]:
        raise RawFormatError(
            f"{where}: the exercise '{korean}' has the types {exercise.first:03d} to {exercise.last:03d}, the name "
            f"says {item.meta['type']:03d}."
        )
    defects = _defects(strict_json.field(info, "conditions", list, where), exercise, card, where)
    meta: dict[str, MetaValue] = {"problems": sum(value == 1 for value in defects)}
    for column, key in (("equipment", "type"), ("posture", "pose")):
        if isinstance(info.get(key), str):
            meta[column] = _text(info[key])[:80]
    return Take({"defects": defects, "exercise": place}, meta)


def subject_of(keys: Sequence[object], camera: str, where: str) -> str:
    """Who is seen, by the names of the images of one view; empty where no image has a name.

    Raises:
        RawFormatError: If the images name nobody, several people, or another camera.
    """
    texts = [key for key in keys if isinstance(key, str) and key]
    found = sorted({match[1] for match in map(_SUBJECT.search, texts) if match})
    cameras = sorted({match[1] for match in map(_CAMERA.search, texts) if match})
    if (texts and len(found) != 1) or cameras not in ([], [camera]):
        raise RawFormatError(
            f"{where}: its images name the performers {', '.join(found[:4]) or 'none'} and the cameras "
            f"{', '.join(cameras[:4]) or 'none'}; expected one performer, and camera {camera}."
        )
    return found[0] if found else ""


def poses(
    frames: Sequence[object], card: Card, where: str
) -> tuple[Float32[np.ndarray, "poses joints channels"], list[int]]:
    """The poses of a take, and the frame of each.

    Args:
        frames: For each frame the object of joints by name, each with one number for each of `axes`; empty or null
            where there is nobody.
        card: Joints and channels.
        where: Name of the file and of the view, for messages.

    Returns:
        Coordinates, NaN where null; frames counted from 0.

    Raises:
        RawFormatError: If a frame has other joints, or a value is no number; frame and joint are named.
    """
    wanted = [joint.title() for joint in card.layout.joints]
    axes = axes_of(card)
    there = [at for at, points in enumerate(frames) if points is not None and points != {}]
    nested = []
    for at in there:
        points = frames[at]
        if not isinstance(points, dict) or points.keys() != set(wanted):
            raise RawFormatError(f"{where}, frame {at}: {_joints(points, wanted)}")
        if any(type(point) is not dict or point.keys() != axes for point in points.values()):
            joint = next(name for name, one in points.items() if type(one) is not dict or one.keys() != axes)
            raise RawFormatError(f"{where}, frame {at}, joint '{joint}': expected {', '.join(sorted(axes))}.")
        nested.append([[points[joint][axis] for axis in sorted(axes)] for joint in wanted])
    if not nested:
        return np.zeros((0, len(wanted), len(axes)), np.float32), []
    return strict_json.poses(nested, len(wanted), len(axes), where), there


def axes_of(card: Card) -> frozenset[str]:
    """What the file calls the channels."""
    return frozenset("xyz"[: len(card.channels)])


def points(keypoints: np.ndarray, card: Card) -> dict[str, dict[str, float | int | None]]:
    """One pose as the file has it, the inverse of `poses`: whole numbers as integers, NaN as null."""
    axes = sorted(axes_of(card))
    return {
        joint.title(): dict(zip(axes, map(_number, row), strict=True))
        for joint, row in zip(card.layout.joints, keypoints.tolist(), strict=True)
    }


def type_info(sample: Sample, card: Card) -> dict[str, Any]:
    """The labels of a take as the file has them, the inverse of `describe`.

    Raises:
        ValueError: If a condition of another exercise has a label.
    """
    exercise = exercises(card)[int(str(sample.targets["exercise"]))]
    values = dict(zip(card.targets["defects"].classes, _tuple(sample.targets["defects"]), strict=True))
    strange = [name for name, value in values.items() if value >= 0 and name not in exercise.conditions]
    if strange or sample.meta["movement"] != exercise.name:
        raise ValueError(f"{sample.sample_id}: '{exercise.name}' has no condition {strange[:1]}, or is another.")
    conditions = [{"condition": name, "value": values[name] == 0} for name in exercise.conditions if values[name] >= 0]
    info = {"key": f"{sample.meta['type']:03d}", "exercise": exercise.korean, "conditions": conditions}
    named = {
        key: sample.meta[name] for key, name in (("type", "equipment"), ("pose", "posture")) if name in sample.meta
    }
    return {"type": info["key"], "type_info": {**info, **named, "description": ""}}


def image(sample: Sample, camera: str, frame: int) -> str:
    """Name of an image as the file has it; every second one was annotated."""
    meta = sample.meta
    clip = f"{meta['type']:03d}-1-1-01-{meta['subject']}_{camera}"
    return f"Day{meta['day']:02d}_200901_F/{meta['slot']}/{camera}/{clip}/{clip}-{2 * frame + 1:07d}.jpg"


def folder(sample: Sample, card: Card) -> str:
    """The folder of a label file; of validation in the decomposed form of Unicode, as some unpackers write it."""
    part, meta = card.options["folders"][str(sample.meta["part"])], sample.meta
    path = f"{card.options['folder']}/{part}/Day{meta['day']:02d}_200901_F"
    return unicodedata.normalize("NFD", path) if meta["part"] == "validation" else path


def settle(sample: Sample, card: Card) -> Sample:
    """The nearest sample that the files can hold: labels and columns as the name of the take says them.

    The codes of an exercise run through no defect, each one, each pair, and so on, as was seen of the barbell curl.

    Args:
        sample: Any sample of the card's shape.
        card: Of the set.

    Returns:
        A sample that can be written; giving it again changes nothing.
    """
    name = f"{sample.meta['take']}.json"
    item = item_of(name, name, card)
    place, exercise = next(
        (place, exercise) for place, exercise in enumerate(exercises(card)) if exercise.name == item.meta["movement"]
    )
    count = len(exercise.conditions)
    sets = chain.from_iterable(combinations(range(count), size) for size in range(count + 1))
    wrong = next(islice(sets, int(str(item.meta["type"])) - exercise.first, None))
    values = {name: int(at in wrong) for at, name in enumerate(exercise.conditions)}
    defects = tuple(values.get(name, -1) for name in card.targets["defects"].classes)
    meta = {name: value for name, value in sample.meta.items() if name in card.columns}
    targets: dict[str, TargetValue] = {"defects": defects, "exercise": place}
    return replace(sample, targets=targets, meta={**meta, **item.meta, "problems": len(wrong)})


def by_frame(sample: Sample) -> dict[int, int]:
    """The place of each frame's pose.

    Raises:
        ValueError: If a frame has several.
    """
    place = {frame: at for at, frame in enumerate(sample.frame.tolist())}
    if len(place) < len(sample.frame):
        raise ValueError(f"{sample.sample_id}: a clip of this set has at most one pose a frame.")
    return place


def sample(
    item: RawItem,
    found: Sequence[object],
    take: Take,
    card: Card,
    where: str,
) -> Sample:
    """Make a sample of one take, or one view of it.

    Args:
        item: Its name and columns.
        found: For each frame its joints, as `poses` takes them.
        take: Its labels and further columns.
        card: Joints and channels.
        where: Name of the file and of the view, for messages.

    Returns:
        The sample, at most one pose a frame.

    Raises:
        RawFormatError: As `poses`.
    """
    keypoints, frames = poses(found, card, where)
    return Sample(
        sample_id=item.sample_id,
        n_frames=len(found),
        frame=np.array(frames, np.uint32),
        person=np.full(len(frames), -1, np.int64),
        keypoints=keypoints,
        score=None,
        targets=take.targets,
        segments=(),
        meta={**item.meta, **take.meta},
    )


def _part(where: str, day: int, card: Card) -> str:
    """Training or validation: by the nearest folder or archive that says so, else by the day."""
    for folder in reversed(where.split("/")[:-1]):
        found = _PART.fullmatch(folder)
        if found:
            return found[1].lower()
    return "validation" if day in card.options["validation_days"] else "training"


def _quarantine(day: int, code: int, exercise: str, card: Card) -> str | None:
    """Why a take is not to be used, by the card's lists; None where it is."""
    lists = (("type", code), ("day", day), ("exercise", exercise))
    for name, value in lists:
        if value in card.options[f"quarantine_{name}s"]:
            shown = f"{value:03d}" if name == "type" else value
            reason = card.options["quarantine"][name]
            return f"quarantine: {name} {shown}: {reason} (the card's options.quarantine_{name}s)"
    return None


def _defects(rows: list[Any], exercise: Exercise, card: Card, where: str) -> tuple[int, ...]:
    """1 where a condition is not met, 0 where it is, -1 where the exercise has none such or the file does not say."""
    values: dict[str, int] = {}
    for row in rows:
        if not isinstance(row, dict) or type(row.get("condition")) is not str or type(row.get("value")) is not bool:
            raise RawFormatError(f"{where}: a condition is {str(row)[:60]}, expected its text, and true or false.")
        name = _text(row["condition"])
        if name not in exercise.conditions:
            told = nearest(name[:60], exercise.conditions)
            raise RawFormatError(f"{where}: '{exercise.korean}' has no condition '{name[:60]}'. {told}")
        value = int(not row["value"])
        if values.setdefault(name, value) != value:
            raise RawFormatError(f"{where}: the condition '{name}' is both met and not met.")
    return tuple(values.get(name, -1) for name in card.targets["defects"].classes)


def _joints(found: object, wanted: Sequence[str]) -> str:
    """What is wrong with the joints of a frame."""
    if not isinstance(found, dict):
        return f"{strict_json.kind(found)}, expected an object of joints."
    lacking, strange = [name for name in wanted if name not in found], sorted(found.keys() - set(wanted))
    told = f"lacks '{lacking[0]}'" if lacking else f"has the joint '{strange[0][:40]}'"
    return f"{len(found)} joints, {told}; expected the {len(wanted)} of the card."


def _text(text: str) -> str:
    """Text without blanks around it, in the composed form of Unicode."""
    return unicodedata.normalize("NFC", text).strip()


def _number(value: float) -> float | int | None:
    """A float32 as JSON has it: the shortest of its decimals."""
    if value != value:
        return None
    return int(value) if value.is_integer() and abs(value) < 1 << 53 and str(value) != "-0.0" else float(f"{value:.9g}")


def _tuple(value: TargetValue) -> tuple[int, ...]:
    """Labels of several classes."""
    return value if isinstance(value, tuple) else ()
