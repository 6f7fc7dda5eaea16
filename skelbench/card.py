"""Cards: identity, geometry and provenance of one data set, read from TOML and checked."""

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from skelbench.errors import CardError, nearest
from skelbench.skeletons import Layout, layout_from, load_layout
from skelbench.toml import read_toml

_NAME = re.compile(r"[^./\\][^/\\]{0,99}")  # of a folder under runs/
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # a terminal would obey; line ends and tabs may be


class TargetCard(BaseModel, frozen=True, extra="forbid"):
    """One named label of a sample."""

    kind: Literal["single", "multi", "score"] = "single"  # one class, several classes, a number
    title: str = ""  # what the label says, for people
    classes: tuple[str, ...] = ()  # names in label order; empty for a score
    source: str = ""  # where names and order come from

    @model_validator(mode="after")
    def _consistent(self) -> "TargetCard":
        """Names of classes differ, since splits and boards name them."""
        if len(set(self.classes)) != len(self.classes):
            twice = next(name for name in self.classes if self.classes.count(name) > 1)
            raise ValueError(f"the class '{twice}' is named twice")
        return self


class Official(BaseModel, frozen=True, extra="forbid"):
    """What the owner of the data says there is; a difference is named after a conversion."""

    planned: int | None = None  # raw items handed out
    rejects: int | None = None  # of these, officially unusable
    source: str = ""  # who says so


class Synth(BaseModel, frozen=True, extra="forbid"):
    """How the ids and columns of a raw twin are made; motion itself knows nothing of data sets."""

    sample_id: str  # format string over the axes, the constants, `index` and `label`
    take: str  # the same, for the column `take`
    axes: dict[str, tuple[int | str, ...]]  # column -> the values it runs through
    constants: dict[str, int | float | str] = {}  # column -> its one value
    by_label: dict[str, tuple[int | str, ...]] = {}  # name -> one value a class, such as a file's action code; of codes
    # that name more than a class, any number of values: each code is then a label of the twin, and `settle` the classes
    moves: tuple[tuple[int, ...], ...] = ()  # for each label the motions that it is made of, the same of labels that
    # share something, such as a defect; empty where every label has a motion of its own
    two_person: tuple[int, ...] = ()  # labels of the classes with two people
    views: dict[str, tuple[float, ...]] = {}  # column -> degrees about the vertical from which each value sees people
    tracked: bool = False  # whether the source gives every person an id
    people: Literal["one", "any"] = "one"  # without ids: exactly one pose a frame, or from none up to `persons`
    scored: Literal["visibility", "confidence"] = "visibility"  # 0 or 1, NaN where 0; or a detector's any number
    segments: tuple[int, int] | None = None  # untrimmed sets: how many actions a sample shows, at least and at most
    overlap: float = Field(default=0.0, ge=0, le=1)  # share of these that begin before the one before has ended
    few: int = Field(default=4, ge=1)  # labels that take part in the smallest twin
    always: tuple[int, ...] = ()  # labels that take part in every twin, since a protocol scores few others
    together: str = ""  # an axis whose values, such as cameras, are samples that share their raw files
    any_name: bool = False  # whether raw files may bear any name, so that one which is renamed is none less
    unsealed: tuple[str, ...] = ()  # globs of files that cannot show that they were cut, such as lists of lines
    image: tuple[int, int] = (0, 0)  # width and height in pixels of a 2-D set; zeros for 3-D
    refused: tuple[str, ...] = ()  # ids of raw items that the owner lists as unusable; made as defects only


class Card(BaseModel, frozen=True, extra="forbid"):
    """Identity, geometry and provenance of one data set."""

    name: str  # equals the file name: converters/<name>.py
    title: str  # the name that papers use
    layout: Layout  # joints and bones; in TOML the name of a layout or a table in place
    channels: tuple[Literal["u", "v", "x", "y", "z"], ...]  # u v: image plane; x y z: space
    units: dict[str, str]  # channel -> "pixel", "metre", ...
    fps: float = Field(gt=0)  # frames per second as recorded
    pose_source: str  # who or what saw the joints: "Kinect v2", "annotated by hand", ...
    prepared: str = ""  # what was done to the poses before they came into this form; empty where nothing was
    persons: int = Field(ge=1)  # most people that one frame may hold
    score: str = ""  # meaning of the confidence; empty where the source gives none
    targets: dict[str, TargetCard]  # named labels; the first is the default
    columns: dict[str, str] = {}  # column of samples.parquet -> what it says
    not_kept: str = ""  # what the raw form holds and the store leaves out
    notes: str = ""  # what one should know before believing a number: defects, doubts, choices of ours
    licence: str  # SPDX id, or the terms in a sentence
    obtain: str  # where and how the owner hands the data out
    citation: str  # how to cite
    raw: str  # what the user must have: "a folder of *.skeleton files, or the zip"
    max_file_mb: float = Field(default=64.0, gt=0, le=100_000)  # larger raw files are refused unread
    official: Official = Official()
    prepare: tuple[str, ...] = ("by-id",)  # the usual prepare list
    options: dict[str, Any] = {}  # the converter's own settings
    synth: Synth | None = None

    @property
    def poses(self) -> str:
        """Where the poses come from, and what was done to them before."""
        return f"{self.pose_source}; prepared before: {self.prepared}" if self.prepared else self.pose_source

    @model_validator(mode="after")
    def _consistent(self) -> "Card":
        """A name that can be one of a folder, units for every channel, and at least one target."""
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"the name is '{self.name[:80]}', expected one that a folder can have")
        if self.layout.bodies != 1:
            raise ValueError(f"the layout '{self.layout.name}' has {self.layout.bodies} roots of -1, expected one root")
        if not self.channels or len(set(self.channels)) != len(self.channels):
            raise ValueError(f"channels must be there and differ from each other, found {list(self.channels)}")
        if set(self.units) != set(self.channels):
            raise ValueError(f"units are given for {sorted(self.units)}, channels are {sorted(self.channels)}")
        if not self.targets:
            raise ValueError("a card needs at least one [targets.<name>]")
        clash = set(self.columns) & set(self.targets)
        if clash:
            raise ValueError(f"no column may bear a target's name, found {sorted(clash)}")
        return self


def load_card(path: Path) -> Card:
    """Read and check a card.

    Args:
        path: A TOML file; a layout it names may stand beside it.

    Returns:
        The card, its layout resolved.

    Raises:
        CardError: If the file is missing or not TOML, lacks a key, has an unknown one, or contradicts itself.
    """
    table = read_toml(path)
    table.setdefault("name", path.stem)
    layout = table.get("layout")
    if isinstance(layout, str):
        table["layout"] = load_layout(layout, beside=path.parent)
    elif isinstance(layout, dict):
        table["layout"] = layout_from(layout, path.stem, str(path))
    return parse_card(table, str(path))


def parse_card(table: dict[str, Any], where: str) -> Card:
    """Check a table against the card's fields.

    Args:
        table: Keys of the card, the layout resolved or as a full table.
        where: File the table came from, for messages.

    Returns:
        The card.

    Raises:
        CardError: Naming the first wrong key, what it held and what was expected.
    """
    try:
        _check_plain(table, "")
        return Card.model_validate(table)
    except ValidationError as error:
        raise CardError(f"{where}: {explain(error, Card)}") from error
    except CardError as error:
        raise CardError(f"{where}: {error}") from error


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Put one finding of pydantic into a sentence: a misspelt key first, since others often follow from it.

    Args:
        error: What pydantic found.
        model: The model that was being filled.

    Returns:
        A sentence that names the key, what was found and what was expected.
    """
    findings = error.errors(include_url=False)
    first = next((finding for finding in findings if finding["type"] == "extra_forbidden"), findings[0])
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "value_error":  # ours: it says what was found
        return f"{where}{': ' if where else ''}{first['msg'].removeprefix('Value error, ')}."
    if first["type"] == "extra_forbidden":
        return f"unknown key '{where}'. {nearest(str(first['loc'][-1]), _known(model, first['loc'][:-1]))}"
    if first["type"] == "missing":
        return f"the key '{where}' is missing."
    found = repr(first.get("input"))
    wanted = first["msg"].replace("a valid tuple", "a list")  # as TOML calls it
    return f"{where or 'it'}: {wanted}; found {found[:80]}."


def _check_plain(value: object, key: str) -> None:
    """Refuse what JSON has no form for, or a terminal would obey, anywhere in a card.

    Raises:
        CardError: Naming the key.
    """
    if isinstance(value, Mapping):
        for name, inner in value.items():
            _check_plain(str(name), "a key")
            _check_plain(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _check_plain(inner, key)
    elif isinstance(value, float) and not math.isfinite(value):
        raise CardError(f"{key}: {value} is no finite number.")
    elif isinstance(value, str) and _CONTROL.search(value):
        raise CardError(f"{key}: {value[:40]!r} holds a control character.")


def _known(model: type[BaseModel], path: tuple[int | str, ...]) -> Iterator[str]:
    """Field names of the (nested) model at a path of keys."""
    for part in path:
        field = model.model_fields.get(str(part))
        inner = [] if field is None else _models(field.annotation)
        if inner:
            model = inner[0]
    yield from model.model_fields


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The pydantic models that occur in an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in getattr(annotation, "__args__", ()) for model in _models(argument)]
