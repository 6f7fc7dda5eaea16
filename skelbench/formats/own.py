"""A stranger's own data: what a card's `[options]` say of it, and what a clip needs whatever form it has."""

import codecs
import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32, Int64
from pydantic import BaseModel, Field, ValidationError

from skelbench.card import Card, TargetCard, explain
from skelbench.errors import CardError, RawFormatError, nearest
from skelbench.sample import MetaValue, Sample, Segment, TargetValue

Form = Literal["auto", "wide", "long", "array", "json", "openpose", "alphapose", "mmpose", "coco"]

SPLIT = "split_"  # begins the columns that say in which list of a split a sample stands
_MOST_FRAMES = 2_000_000  # of one clip: 18 hours at 30 frames a second
_MISSING = frozenset({"", "nan", "na", "null", "none"})  # a cell without a value
_ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,6}$", re.ASCII)  # of a file's name
_NAMED, _COMPARED = 6, 2000  # of many names: how many a message shows, and how many are held against the wrong one
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
    labels_by: str = ""  # the group of `path` that names a sample's row there; empty: its id
    no_label: tuple[str, ...] = ()  # labels that mean none, such as "background"; empty cells always do
    frame_label: str = ""  # untrimmed: the column or key that holds the label of every frame
    segments: str = ""  # untrimmed: a table with a row an action: id, start, end, label
    start: str = "start"  # its column of the first frame
    end: str = "end"  # and of the last
    time: Literal["frames", "seconds"] = "frames"  # what start and end are
    decimal: Literal[".", ","] = "."  # tables of text: the mark before decimals
    encoding: str = "utf-8"  # of text that is not UTF-8, such as "cp1252"
    frame: str = "frame"  # tables: the number of the frame; where it is not there, rows are frames
    first_frame: int = Field(default=0, ge=0)  # the number of the first frame
    person: str = "person"  # tables: who; where it is not there, nobody has an identity
    joint: str = ""  # long tables: which joint, by its name or its number from 0
    coordinates: str = "{joint}_{channel}"  # wide tables: names of columns, also of {index} and {number} = index + 1
    score: str = ""  # the same for the confidence, such as "{joint}_score"; long tables: one column; arrays: a key
    joints: tuple[str, ...] = ()  # what the files call the layout's joints, in its order; empty: as the layout does
    axes: str = "TVC"  # arrays: N samples, M persons, T frames, V joints, C channels; D is V and C in one
    array: str = ""  # arrays: the key of the poses; of JSON keys with points between; empty where only one fits
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
    varying: frozenset[str] = frozenset()  # columns that hold several values
    labelled: tuple[Int64[np.ndarray, " rows"], tuple[object, ...]] | None = None  # frames, and what they show


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
    if isinstance(value, (list, tuple)):
        return ";".join(map(text_of, value))
    return "" if value is None or value != value else str(value).strip()


def near(name: str, known: Iterable[str]) -> str:
    """Say which of many names was probably meant, and name a few of them."""
    listed = sorted(known)
    match = difflib.get_close_matches(name, listed[:_COMPARED], n=1, cutoff=0.5)
    question = f"Did you mean '{match[0]}'? " if match else ""
    return f"{question}Known: {', '.join(listed[:_NAMED]) or 'none'}{', ...' if len(listed) > _NAMED else ''}."


def split_column(split: str) -> str:
    """The column that says in which list of a split a sample stands."""
    return SPLIT + split.replace("-", "_")


def joint_names(card: Card, options: Options) -> tuple[str, ...]:
    """What the files call the joints, in the layout's order."""
    return options.joints or card.layout.joints


def spellings(listed: str) -> tuple[str, ...]:
    """The ids that a line of a list may mean: as it stands, without the file's ending, without its folder."""
    name = _ENDING.sub("", listed)
    return tuple(dict.fromkeys((listed, name, name.rpartition("/")[2], name.replace("/", "__"))))


def decoded(data: bytes, options: Options, where: str) -> str:
    """The text of a file: UTF-8 where it is that, else as `options.encoding` says.

    Raises:
        RawFormatError: If it is neither.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = error.start
    if normal(options.encoding) != "utf8":
        try:
            return data.decode(options.encoding)
        except UnicodeError as error:
            raise RawFormatError(f"{where}: is neither UTF-8 nor {options.encoding} (options.encoding).") from error
    raise RawFormatError(
        f'{where}: byte {place} is not UTF-8. Save it as UTF-8, or say what it is: options.encoding = "cp1252" '
        "is what Excel writes in Western Europe."
    )


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


def sample_of(
    clip: Clip,
    sample_id: str,
    fields: Mapping[str, object],
    card: Card,
    where: str,
    *,
    segments: tuple[Segment, ...] | None = None,
) -> Sample:
    """Put a sample together.

    Args:
        clip: Poses in any order.
        sample_id: Its id.
        fields: All that is known of it.
        card: Targets and columns.
        where: File and sample, for messages.
        segments: What it shows from when to when; None where nobody says, or it is trimmed.

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
        targets=_targets(fields, card, options, where, segments, clip.varying),
        segments=segments or (),
        meta=meta_of(fields, card, options, sample_id, where, clip.varying),
    )


def meta_of(
    fields: Mapping[str, object],
    card: Card,
    options: Options,
    sample_id: str,
    where: str,
    varying: frozenset[str] = frozenset(),
) -> dict[str, MetaValue]:
    """The columns of the card; `varying` are fields that a message says to have several values.

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
            value = text_of(_field(fields, name, f"column '{column}'", where, varying))
            if value.lower() not in _MISSING:
                found[column] = _number(value, column, options, where) if column in options.numbers else value
    return found


def fields_error(fields: Iterable[str]) -> str:
    """What fields there are, for a message."""
    return ", ".join(sorted(fields)[:12]) or "none"


def class_of(text: str, card: Card, options: Options, target: str, where: str) -> int:
    """A label by the name of its class, else by its number.

    Raises:
        RawFormatError: If the target has no such class.
    """
    return _class(text, card.targets[target].classes, options, target, where)


def several(value: object, options: Options) -> list[str]:
    """The classes of a sample that has several: a list, or a text with semicolons or bars."""
    parts = value if isinstance(value, (list, tuple, np.ndarray)) else re.split(r"[;|]", text_of(value))
    return [text for part in parts if not _blank(text := text_of(part), options)]


def _blank(text: str, options: Options) -> bool:
    """Whether a cell says nothing."""
    return text.lower() in _MISSING or text in options.no_label


def _field(fields: Mapping[str, object], name: str, what: str, where: str, varying: frozenset[str]) -> object:
    """One field."""
    if name in varying:
        raise RawFormatError(
            f"{where}: '{name}' for the {what} has several values in one sample, expected one. Is options.id another "
            "column? Labels that change from frame to frame are options.frame_label."
        )
    if name not in fields:
        raise RawFormatError(
            f"{where}: no field '{name}' for the {what}. {nearest(name, fields)} [options] say where it is."
        )
    return fields[name]


def _targets(
    fields: Mapping[str, object],
    card: Card,
    options: Options,
    where: str,
    segments: tuple[Segment, ...] | None,
    varying: frozenset[str],
) -> dict[str, TargetValue]:
    """The labels, by the card's classes."""
    found: dict[str, TargetValue] = {}
    for place, (target, known) in enumerate(card.targets.items()):
        name = options.targets.get(target, "" if place else options.label)
        if segments is not None and not place:
            shown = {label for _, _, label in segments}
            found[target] = tuple(int(label in shown) for label in range(len(known.classes)))
        elif not name or (not place and untrimmed(options)):
            found[target] = _unknown(known)
        elif known.kind == "multi" and name not in fields and set(known.classes) <= fields.keys():
            found[target] = tuple(_yes(fields[label], label, options, where) for label in known.classes)
        else:
            value = _field(fields, name, f"target '{target}'", where, varying)
            found[target] = _value(value, known, options, target, where)
    return found


def untrimmed(options: Options) -> bool:
    """Whether labels are those of frames."""
    return bool(options.frame_label or options.segments)


def _unknown(known: TargetCard) -> TargetValue:
    """The value of a target of which nobody says anything."""
    if known.kind == "multi":
        return (-1,) * len(known.classes)
    return float("nan") if known.kind == "score" else -1


def _value(value: object, known: TargetCard, options: Options, target: str, where: str) -> TargetValue:
    """The value of a target by what a field says."""
    if known.kind == "multi":  # an empty cell is none of them
        named = {_class(one, known.classes, options, target, where) for one in several(value, options)}
        return tuple(int(label in named) for label in range(len(known.classes)))
    text = text_of(value)
    if _blank(text, options):
        return _unknown(known)
    if known.kind == "score":
        return float(_number(text, target, options, where))
    return _class(text, known.classes, options, target, where)


def _yes(value: object, label: str, options: Options, where: str) -> int:
    """Whether a class occurs, of a table with a column a class."""
    text = text_of(value).lower()
    if _blank(text, options):
        return -1
    if text not in ("0", "1", "false", "true"):
        raise RawFormatError(f"{where}: '{label}' is '{text[:40]}', expected 0 or 1, as of a column a class.")
    return int(text in ("1", "true"))


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
    raise RawFormatError(
        f"{where}: '{target}' is '{text[:40]}', no class of the card. {near(text[:40], classes)} "
        "Labels that mean none are options.no_label."
    )


def _number(text: str, name: str, options: Options, where: str) -> int | float:
    """A number of a column."""
    try:
        value = int(text) if _WHOLE.fullmatch(text) else float(text.replace(options.decimal, "."))
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise RawFormatError(f"{where}: '{name}' is '{text[:40]}', expected a number.")
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
    problem = _labels_problem(found, card) or _joints_problem(found, card)
    if problem:
        return problem
    if found.form == "long" and not found.joint:
        return "'form' is \"long\", but 'joint' does not say which column names the joint."
    try:
        groups = re.compile(found.path).groupindex
    except re.error as error:
        return f"'path' is no regular expression: {error}."
    if found.labels_by and found.labels_by not in groups:
        return f"'labels_by' is '{found.labels_by}', no named group of 'path'. {nearest(found.labels_by, groups)}"
    return _axes_problem(found.axes)


def _labels_problem(found: Options, card: Card) -> str:
    """What is contradictory about labels and segments, or an empty text."""
    first, known = next(iter(card.targets.items()))
    if found.frame_label and found.segments:
        return "'frame_label' and 'segments' both say what is shown when: keep one of them."
    if untrimmed(found) and known.kind != "multi":
        return f'what frames show may be several classes: the card\'s [targets.{first}] needs kind = "multi".'
    if found.labels_by and not found.labels:
        return "'labels_by' is given, but no table 'labels' whose rows it names."
    return ""


def _joints_problem(found: Options, card: Card) -> str:
    """What is wrong with the names of joints or the encoding, or an empty text."""
    joints = card.layout.joints
    if found.joints and len(found.joints) != len(joints):
        return f"'joints' holds {len(found.joints)} names, but the layout '{card.layout.name}' has {len(joints)}."
    if len({normal(name) for name in found.joints}) < len(found.joints):
        return "'joints' names one joint twice."
    try:
        codecs.lookup(found.encoding)
    except LookupError:
        return f"'encoding' is '{found.encoding[:40]}', which is unknown; expected one such as \"cp1252\"."
    return ""


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
