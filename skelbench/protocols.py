"""What protocols of a data set may say: in a file of `splits/`, or in the card of a stranger's own data."""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from skelbench.card import Card, explain
from skelbench.errors import CardError, nearest

Rule = dict[str, tuple[int | str, ...]]
_PROTOCOL = r"^[a-z0-9][a-z0-9._-]*$"
ProtocolName = Annotated[str, Field(pattern=_PROTOCOL)]  # it names folders of runs

_METRICS = {"single": "top1", "multi": "map", "score": "mae"}  # what ranks boards where nobody says


class ListFiles(BaseModel, frozen=True, extra="forbid"):
    """Gzipped files beside the TOML, one sample id a line."""

    train: str
    test: str


class Folds(BaseModel, frozen=True, extra="forbid"):
    """Cross-validation over the whole set, or what rules leave of it: a fold is scored once and trains the others."""

    by: str  # column whose values a fold never shares with another
    count: int | None = Field(default=None, ge=2)  # folds; None for one fold a value, or for those of `groups`
    groups: tuple[tuple[int | str, ...], ...] = ()  # the values of each fold, where the source names them

    @model_validator(mode="after")
    def _one_way(self) -> "Folds":
        """Either a count or the groups themselves."""
        if self.groups and self.count is not None:
            raise ValueError("folds have either a count or groups")
        listed = [value for group in self.groups for value in group]
        if len(set(listed)) < len(listed) or not all(self.groups) or len(self.groups) == 1:
            raise ValueError("groups of folds must be two or more, none empty, and share no value")
        return self


class OfficialCounts(BaseModel, frozen=True, extra="forbid"):
    """Samples in each part according to the protocol's source."""

    train: int
    test: int


class ProtocolCard(BaseModel, frozen=True, extra="forbid"):
    """One protocol: what trains, what is scored, and what the two must not share."""

    title: str  # the name that papers use
    source: str  # where the rule or the lists come from
    target: str = ""  # what is predicted; empty for the card's first target
    train: Rule | Literal["rest"] | None = None  # column -> values; a sample belongs when all columns match
    test: Rule | Literal["rest"] | None = None
    list: ListFiles | None = None  # instead of rules
    folds: Folds | None = None  # instead of lists; train and test, if given, narrow what a fold trains and scores
    disjoint: tuple[str, ...] = ()  # columns of which the parts must share no value
    classes: tuple[str, ...] = ()  # the classes that count, in label order; empty for the card's
    official: OfficialCounts | None = None
    metric: str = "top1"  # what ranks a leaderboard
    frames: bool = False  # whether the classes of every frame are predicted, which the segments name

    @model_validator(mode="after")
    def _one_way(self) -> "ProtocolCard":
        """Either two rules, one of which may be the rest, or two lists, or folds."""
        rules = [rule for rule in (self.train, self.test) if rule is not None]
        if self.list is not None or self.folds is not None:
            narrowed = self.list is None and len(rules) == 2 and "rest" not in rules
            if (rules and not narrowed) or (self.list and self.folds):
                raise ValueError("a protocol has either rules or lists or folds; of folds, two rules narrow the parts")
        elif self.train is None or self.test is None:
            raise ValueError("a protocol needs train and test, or lists of both, or folds")
        elif self.train == self.test == "rest":
            raise ValueError("train and test cannot both be the rest")
        if {} in (self.train, self.test):
            raise ValueError("a rule must name a column")
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("classes must differ from each other")
        return self


class OwnSplit(BaseModel, frozen=True, extra="forbid"):
    """One rule of `[options.splits]` in the card of a stranger's own data: exactly one of the four ways."""

    column: str = ""  # of the card, whose values say who trains and who is scored
    train: tuple[int | str, ...] = ("train",)
    test: tuple[int | str, ...] = ("test",)
    lists: dict[Literal["train", "test"], str] = {}  # files among the raw data, one id a line
    by: str = ""  # a column that folds never share
    folds: int | None = Field(default=None, ge=2)  # how many; None for one a value
    leave_out: str = ""  # a column: each of its values is scored once
    target: str = ""  # empty for the card's first
    metric: str = ""  # what ranks; empty for the target's usual one
    frames: bool = False  # untrimmed: whether the classes of every frame are predicted, instead of the whole's

    @model_validator(mode="after")
    def _one_way(self) -> "OwnSplit":
        """One way, and all that it needs."""
        ways = [name for name in ("column", "lists", "by", "leave_out") if getattr(self, name)]
        if len(ways) != 1:
            raise ValueError(f"a split has one of column, lists, by and leave_out; found {', '.join(ways) or 'none'}")
        if self.lists and len(self.lists) < len(("train", "test")):
            raise ValueError("lists need train and test")
        return self


class SplitFile(BaseModel, frozen=True, extra="forbid"):
    """A file of `splits/`."""

    protocols: dict[ProtocolName, ProtocolCard] = Field(min_length=1)  # the first is the default


def own_protocol(card: Card, name: str, rule: object) -> ProtocolCard:
    """Make a protocol of a rule of a card's own `[options.splits]`.

    Args:
        card: Its targets and columns.
        name: Of the protocol.
        rule: The table under that name.

    Returns:
        The protocol.

    Raises:
        CardError: If the rule does not say what it must, or names what the card lacks.
    """
    where = f"{card.name}: options.splits.{name}"
    if not re.fullmatch(_PROTOCOL, name):
        raise CardError(f"{where}: the name of a protocol is of a-z, 0-9, points, dashes and underscores, as 'people'.")
    try:
        own = OwnSplit.model_validate(rule)
    except ValidationError as error:
        raise CardError(f"{where}: {explain(error, OwnSplit)}") from error
    target = own.target or next(iter(card.targets))
    if target not in card.targets:
        raise CardError(f"{where}: the card has no target '{target}'. {nearest(target, card.targets)}")
    column = own.column or own.by or own.leave_out or f"split_{name.replace('-', '_')}"
    if not own.lists and column not in card.columns:
        raise CardError(f"{where}: the card has no column '{column}'. {nearest(column, card.columns)}")
    parts: dict[str, Any] = {"train": {column: own.train}, "test": {column: own.test}, "disjoint": ()}
    if own.lists:
        parts = {"train": {column: ("train",)}, "test": {column: ("test",)}, "disjoint": ()}
    if own.by or own.leave_out:
        parts = {"folds": Folds(by=column, count=own.folds if own.by else None), "disjoint": (column,)}
    if own.frames and (target != next(iter(card.targets)) or not _of_frames(card)):
        raise CardError(
            f"{where}: frames = true needs labels of frames, of the first target: [options] says by 'frame_label' or "
            "'segments' where they are."
        )
    metric = own.metric or ("frame_map" if own.frames else _METRICS[card.targets[target].kind])
    return ProtocolCard(title=name, source="ours", target=target, metric=metric, frames=own.frames, **parts)


def _of_frames(card: Card) -> bool:
    """Whether the options of a card say what is shown when."""
    return bool(card.options.get("frame_label") or card.options.get("segments"))
