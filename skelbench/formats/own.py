"""A stranger's own data: what a card's `[options]` say of it, and what a clip needs whatever form it has."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32, Int64
from pydantic import BaseModel, Field, ValidationError

from skelbench.card import Card, explain
from skelbench.errors import CardError, RawFormatError, nearest
from skelbench.sample import MetaValue, Sample, TargetValue

Form = Literal["auto", "wide", "long", "array", "json", "openpose", "alphapose", "mmpose", "coco"]

SPLIT = "split_"  # begins the columns that say in which list of a split a sample stands
_MOST_FRAMES = 2_000_000  # of one clip: 18 hours at 30 frames a second
_MISSING = frozenset({"", "nan", "na", "null", "none"})  # a cell without a value
_WHOLE = re.compile(r"[-+]?\d{1,18}", re.ASCII)


class Options(BaseModel, frozen=True, extra="forbid"):
    """What `[options]` of a card for `convert own` may say; every part has a default."""

    form: Form = "auto"  # by the file's ending: tables are wide, or long where `joint` is given
    files: str = ""  # glob of the files that hold poses, such as "poses/*.csv"; empty: all of a known ending
    path: str = ""  # regular expression over a file's path; its named groups are fields
    id: str = ""  # the field that tells samples apart; empty: each file is one
    label: str = "label"  # the field of the first target; "" where there is none
    targets: dict[str, str] = {}  # of further targets, by the card's names
    first_label: int = 0  # the number of the first class, where labels are numbers
    columns: dict[str, str] = {}  # the field of a column of the card, where it has another name
    subject: str = "subject"  # the same for the column `subject`
    numbers: tuple[str, ...] = ()  # columns that hold numbers; all others are texts
    constants: dict[str, str | int | float] = {}  # fields that are equal for all samples
    labels: str = ""  # a table with one row a sample; its id stands in a column named as `id`, or in the first
    frame: str = "frame"  # tables: the number of the frame; where it is not there, rows are frames
    first_frame: int = Field(default=0, ge=0)  # the number of the first frame
    person: str = "person"  # tables: who; where it is not there, nobody has an identity
    joint: str = ""  # long tables: which joint, by its name or its number from 0
    coordinates: str = "{joint}_{channel}"  # wide tables: names of columns, also of {index} and {number} = index + 1
    score: str = ""  # the same for the confidence, such as "{joint}_score"; long tables: one column
    axes: str = "TVC"  # arrays: N samples, M persons, T frames, V joints, C channels; D is V and C in one
    array: str = ""  # arrays: the key of the poses; empty where there is but one that fits
    missing: Literal["nan", "zero"] = "nan"  # whether a joint with all coordinates 0 is missing too
    splits: dict[str, dict[str, Any]] = {}  # see `skelbench.protocols.OwnSplit`


@dataclass(frozen=True, eq=False)
class Clip:
    """Poses of one sample as its file has them, and what else the file says."""

    keypoints: Float32[np.ndarray, "poses joints channels"]
    frame: Int64[np.ndarray, " poses"]  # counted from 0
    person: Int64[np.ndarray, " poses"]
    score: Float32[np.ndarray, "poses joints"] | None
    n_frames: int
    fields: Mapping[str, object] = field(default_factory=dict)


def options_of(card: Card) -> Options:
    """The options of a card, checked.

    Raises:
        CardError: If one is unknown, of another type, or contradicts the card.
    """
    try:
        found = Options.model_validate(card.options)
    except ValidationError as error:
        raise CardError(f"{card.name}: [options]: {explain(error, Options)}") from error
    problem = _contradiction(found, card)
    if problem:
        raise CardError(f"{card.name}: [options]: {problem}")
    return found


def normal(name: object) -> str:
    """A name without what people write differently: case, blanks, underscores, points."""
    return re.sub(r"[\W_]+", "", str(name)).lower()


def text_of(value: object) -> str:
    """A value of a file as the text that a table would hold: no point behind whole numbers."""
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.item() if value.size == 1 else value.tolist()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return "" if value is None or value != value else str(value).strip()


def merged(where: str, *sources: Mapping[str, object]) -> dict[str, object]:
    """Fields of one sample from several places.

    Raises:
        RawFormatError: If two of them contradict each other.
    """
    found: dict[str, object] = {}
    for source in sources:
        for name, value in source.items():
            if text_of(found.get(name, value)) != text_of(value):
                here, there = text_of(found[name])[:40], text_of(value)[:40]
                raise RawFormatError(f"{where}: '{name}' is '{here}' in one place and '{there}' in another.")
            found[name] = value
    return found


def sample_of(clip: Clip, sample_id: str, fields: Mapping[str, object], card: Card, where: str) -> Sample:
    """Put a sample together.

    Args:
        clip: Poses in any order.
        sample_id: Its id.
        fields: All that is known of it.
        card: Targets and columns.
        where: File and sample, for messages.

    Returns:
        The sample, poses in the order of their frames.

    Raises:
        RawFormatError: If a field is missing or holds what no class is, two poses are of one person in one frame,
            more people are in a frame than the card allows, or a number is infinite.
    """
    options = options_of(card)
    order = np.argsort(clip.frame, kind="stable")
    frame, person = clip.frame[order], clip.person[order]
    _check_poses(clip, frame, person, card, where)
    return Sample(
        sample_id=sample_id,
        n_frames=clip.n_frames,
        frame=frame.astype(np.uint32),
        person=person.astype(np.int64),
        keypoints=np.ascontiguousarray(clip.keypoints[order], np.float32),
        score=None if clip.score is None else np.ascontiguousarray(clip.score[order], np.float32),
        targets=_targets(fields, card, options, where),
        segments=(),
        meta=meta_of(fields, card, options, sample_id, where),
    )


def meta_of(
    fields: Mapping[str, object], card: Card, options: Options, sample_id: str, where: str
) -> dict[str, MetaValue]:
    """The columns of the card.

    Raises:
        RawFormatError: If one has no field.
    """
    found: dict[str, MetaValue] = {name: str(part) for name, part in fields.items() if name.startswith(SPLIT)}
    for column in card.columns:
        name = options.columns.get(column, options.subject if column == "subject" else column)
        if name not in fields and column == "take":
            found[column] = sample_id
        elif name in options.constants:
            found[column] = options.constants[name]
        else:
            value = text_of(_field(fields, name, f"column '{column}'", where))
            if value.lower() not in _MISSING:
                found[column] = _number(value, column, where) if column in options.numbers else value
    return found


def fields_error(fields: Iterable[str]) -> str:
    """What fields there are, for a message."""
    return ", ".join(sorted(fields)[:12]) or "none"


def _field(fields: Mapping[str, object], name: str, what: str, where: str) -> object:
    """One field."""
    if name not in fields:
        raise RawFormatError(
            f"{where}: no field '{name}' for the {what}. {nearest(name, fields)} [options] say where it is."
        )
    return fields[name]


def _targets(fields: Mapping[str, object], card: Card, options: Options, where: str) -> dict[str, TargetValue]:
    """The labels, by the card's classes."""
    found: dict[str, TargetValue] = {}
    for place, (target, known) in enumerate(card.targets.items()):
        name = options.targets.get(target, "" if place else options.label)
        if not name:
            blank: dict[str, TargetValue] = {
                "single": -1,
                "multi": (-1,) * len(known.classes),
                "score": float("nan"),
            }
            found[target] = blank[known.kind]
            continue
        value = _field(fields, name, f"target '{target}'", where)
        if known.kind == "score":
            text = text_of(value)
            found[target] = float("nan") if text.lower() in _MISSING else float(_number(text, target, where))
        elif known.kind == "multi":
            named = {_class(one, known.classes, options, target, where) for one in _several(value)}
            found[target] = tuple(int(label in named) for label in range(len(known.classes)))
        else:
            text = text_of(value)
            found[target] = -1 if text.lower() in _MISSING else _class(text, known.classes, options, target, where)
    return found


def _several(value: object) -> list[str]:
    """The classes of a sample that has several: a list, or a text with semicolons or bars."""
    parts = value if isinstance(value, (list, tuple, np.ndarray)) else re.split(r"[;|]", text_of(value))
    return [text for part in parts if (text := text_of(part))]


def _class(text: str, classes: tuple[str, ...], options: Options, target: str, where: str) -> int:
    """A label by the name of its class, else by its number."""
    if text in classes:
        return classes.index(text)
    if _WHOLE.fullmatch(text) and not any(_WHOLE.fullmatch(name) for name in classes):
        label = int(text) - options.first_label
        if 0 <= label < len(classes):
            return label
        raise RawFormatError(
            f"{where}: '{target}' is {text}, expected {options.first_label} to "
            f"{options.first_label + len(classes) - 1} (options.first_label and the card's classes say so)."
        )
    raise RawFormatError(f"{where}: '{target}' is '{text[:40]}', no class of the card. {nearest(text[:40], classes)}")


def _number(text: str, name: str, where: str) -> int | float:
    """A number of a column."""
    try:
        value = int(text) if _WHOLE.fullmatch(text) else float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise RawFormatError(f"{where}: '{name}' is '{text[:40]}', expected a number (options.numbers lists it).")
    return value


def _check_poses(clip: Clip, frame: np.ndarray, person: np.ndarray, card: Card, where: str) -> None:
    """Frames, people and numbers must be possible."""
    if clip.n_frames < 1:
        raise RawFormatError(f"{where}: holds no frame, expected one at least.")
    if clip.n_frames > _MOST_FRAMES or (frame.size and not 0 <= int(frame.min()) <= int(frame.max()) < clip.n_frames):
        raise RawFormatError(
            f"{where}: frames {int(frame.min())} to {int(frame.max())} after options.first_frame is taken away, "
            f"expected 0 to {_MOST_FRAMES - 1} at most."
        )
    if np.isinf(clip.keypoints).any() or (clip.score is not None and np.isinf(clip.score).any()):
        raise RawFormatError(f"{where}: holds an infinite coordinate or confidence; what is missing is empty or NaN.")
    people = np.bincount(frame.astype(np.int64)) if frame.size else np.zeros(1, np.int64)
    if people.max() > card.persons:
        raise RawFormatError(
            f"{where}, frame {int(people.argmax())}: {people.max()} poses, but the card's persons = {card.persons}. "
            "Is options.frame or options.id another field, or are there more people?"
        )
    known = person >= 0
    pairs = np.stack([frame[known], person[known]])
    if len(np.unique(pairs, axis=1).T) < known.sum():
        raise RawFormatError(f"{where}: two poses of one person in one frame. Is options.id another field?")


def _contradiction(found: Options, card: Card) -> str:
    """The first thing in which options and card do not fit together, or an empty text."""
    for option, known in (("targets", card.targets), ("columns", card.columns), ("numbers", card.columns)):
        for name in getattr(found, option):
            if name not in known:
                return f"'{option}' names '{name}', which the card's [{_part_of(option)}] lacks. {nearest(name, known)}"
    if found.score and not card.score:
        return "'score' is given, but the card does not say what a score means: fill its key 'score'."
    if found.form == "long" and not found.joint:
        return "'form' is \"long\", but 'joint' does not say which column names the joint."
    try:
        re.compile(found.path)
    except re.error as error:
        return f"'path' is no regular expression: {error}."
    return _axes_problem(found.axes)


def _part_of(option: str) -> str:
    """The part of a card that an option's names stand in."""
    return "targets" if option == "targets" else "columns"


def _axes_problem(axes: str) -> str:
    """What is wrong with the letters of an array's axes, or an empty text."""
    if not re.fullmatch(r"[NMTVCD]{2,5}", axes) or len(set(axes)) < len(axes):
        return f"'axes' is '{axes[:20]}', expected letters of N, M, T, V, C and D, such as \"TVC\" or \"NCTVM\"."
    if "T" not in axes or set(axes) & set("VCD") not in ({"V", "C"}, {"D"}):
        return f"'axes' is '{axes}', expected T, and V and C or D in their place."
    return ""
