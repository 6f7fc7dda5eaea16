"""Recipes as they are written: `[[recipe]]` blocks beside models and methods, recipe files, and their stages."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, field_validator

from skelbench import registry
from skelbench.card import explain
from skelbench.errors import CardError, RecipeError, nearest
from skelbench.toml import read_toml

SECTIONS = ("data", "optim", "model", "method")
NAMED = ("model", "method")  # sections of a stage in which `name` names the plug-in
PREVIOUS = "previous"  # what a stage after the first starts from

Portion = Annotated[float, Field(gt=0, le=1)]
Head = Literal["auto", "new", "keep"]
Evaluation = Literal["supervised", "linear", "finetune"]


class StageTable(BaseModel, frozen=True, extra="forbid"):
    """One `[[stage]]`: what it has otherwise than the command and the rest of the recipe.

    The last stage is the one that is scored, on the data set and protocol of the command.
    """

    dataset: str | None = None  # name or path of a store; of an earlier stage
    protocol: str | None = None  # of an earlier stage; without one, that of the command, or the first of another set
    splits: str | None = None  # name or path of a file of protocols, of an earlier stage
    labels: Portion | None = None  # share of the training labels
    init: str | None = None  # `previous`, or a path as of --init
    head: Head = "auto"  # auto: kept where method and classes are the same
    freeze: tuple[str, ...] = ()  # patterns of names: no gradient, and eval mode
    data: dict[str, Any] = {}
    optim: dict[str, Any] = {}
    model: dict[str, Any] = {}  # `name`, and hyper-parameters
    method: dict[str, Any] = {}  # the same

    @field_validator("model", "method", mode="before")
    @classmethod
    def _a_text_is_a_name(cls, value: Any) -> Any:
        """`model = "lite"` stands for `model = { name = "lite" }`."""
        return {"name": value} if isinstance(value, str) else value

    def named(self, section: Literal["model", "method"]) -> str | None:
        """Name or path of the model or method; None for that of the command."""
        name = getattr(self, section).get("name")
        if name is not None and not isinstance(name, str):
            raise RecipeError(f"stage: {section}.name is {name!r}, expected a name or a path.")
        return name

    @property
    def values(self) -> dict[str, Any]:
        """Settings by dotted key."""
        tables = {section: dict(getattr(self, section)) for section in SECTIONS}
        for section in NAMED:
            tables[section].pop("name", None)
        return flat(tables)


class Block(BaseModel, frozen=True, extra="forbid"):
    """One `[[recipe]]`: values that hold when all its conditions do."""

    when: dict[Literal["dataset", "protocol", "model", "method", "evaluation", "recipe"], str | tuple[str, ...]]
    source: str
    data: dict[str, Any] = {}
    optim: dict[str, Any] = {}
    model: dict[str, Any] = {}
    method: dict[str, Any] = {}
    stage: tuple[StageTable, ...] = ()  # the stages of the run; empty for those of a weaker block, or one

    @property
    def values(self) -> dict[str, Any]:
        """Settings by dotted key."""
        return flat({section: getattr(self, section) for section in SECTIONS})

    @property
    def text(self) -> str:
        """The conditions, for people."""
        conditions = [f"{key} = {'|'.join(options(wanted))}" for key, wanted in sorted(self.when.items())]
        return "{" + ", ".join(conditions) + "}"

    def applies(self, context: Mapping[str, str]) -> bool:
        """Whether every condition holds."""
        return all(context[condition] in options(wanted) for condition, wanted in self.when.items())


class PluginCard(BaseModel, frozen=True, extra="forbid"):
    """The TOML beside a model or method."""

    title: str = ""  # for people
    source: str = ""  # whose idea it is
    default_model: str | None = None  # of a method: the model where none is named
    default_method: str | None = None  # of a model: the method where none is named
    recipe: tuple[Block, ...] = ()


class _Stages(BaseModel, frozen=True, extra="forbid"):
    """The stages and the evaluation of a recipe file."""

    evaluation: Evaluation | None = None
    stage: tuple[StageTable, ...] = ()


@dataclass(frozen=True)
class RecipeFile:
    """A `--recipe FILE`."""

    values: Mapping[str, Any]  # by dotted key, for every stage
    source: str
    evaluation: Evaluation | None
    stages: tuple[StageTable, ...]  # empty for the one of the command


def plugin_card(plugin: registry.Plugin) -> PluginCard:
    """Read the TOML beside a model or method; a module named by path may have none.

    Args:
        plugin: What `registry.find` gave.

    Returns:
        Its title, defaults and recipes.

    Raises:
        RecipeError: If the file is not TOML, or has an unknown or wrong key.
    """
    return read_card(plugin.toml) if plugin.toml.is_file() else PluginCard(title=plugin.name, source="named by path")


def read_card(path: Path) -> PluginCard:
    """Read a TOML file of blocks.

    Args:
        path: The file.

    Returns:
        What it says.

    Raises:
        RecipeError: If it is not TOML, or has an unknown or wrong key.
    """
    try:
        return PluginCard.model_validate(_read(path))
    except ValidationError as error:
        raise RecipeError(f"{path}: {explain(error, PluginCard)}") from error


def read_recipe(path: Path) -> RecipeFile:
    """Read a `--recipe FILE`: the sections, perhaps `source`, `evaluation` and `[[stage]]` tables.

    Args:
        path: The file.

    Returns:
        What it says; whether keys and values of the sections are known is not looked at.

    Raises:
        RecipeError: If it is not TOML, or holds another section.
    """
    table = _read(path)
    source = table.pop("source", path.name)
    try:
        found = _Stages.model_validate({key: table.pop(key) for key in _Stages.model_fields if key in table})
    except ValidationError as error:
        raise RecipeError(f"{path}: {explain(error, _Stages)}") from error
    for section, values in table.items():
        if section not in SECTIONS:
            known = (*SECTIONS, *_Stages.model_fields)
            raise RecipeError(f"{path}: '{section}' is no section of a recipe. {nearest(section, known)}")
        if not isinstance(values, dict):
            raise RecipeError(f"{path}: '{section}' is {values!r}, expected a table such as [{section}].")
    return RecipeFile(flat(table), str(source), found.evaluation, found.stage)


def conflicts(blocks: Iterable[Block]) -> list[str]:
    """Find blocks of one file whose order is not settled: equally many conditions, which can hold at once.

    Args:
        blocks: The blocks of one TOML file.

    Returns:
        A sentence for each key that two such blocks set to different values.
    """
    found = []
    listed = list(blocks)
    for place, one in enumerate(listed):
        for other in listed[place + 1 :]:
            if len(one.when) != len(other.when) or _exclude(one, other):
                continue
            found += [
                f"'{key}' is set by when {one.text} and when {other.text}, which are of equal rank"
                for key in _different(one, other)
            ]
    return found


def flat(sections: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Dotted keys of tables, one level deep: `{"optim": {"lr": 1}}` becomes `{"optim.lr": 1}`."""
    return {f"{section}.{key}": value for section, table in sections.items() for key, value in table.items()}


def options(wanted: str | tuple[str, ...]) -> tuple[str, ...]:
    """The values of which a condition accepts any."""
    return (wanted,) if isinstance(wanted, str) else wanted


def is_file(recipe: str) -> bool:
    """Whether a recipe is named by path."""
    return recipe.endswith(".toml") or "/" in recipe


def _read(path: Path) -> dict[str, Any]:
    """Read a TOML file of bounded size."""
    try:
        return read_toml(path)
    except CardError as error:
        reason = str(error).removeprefix(f"{path}: ").removesuffix(".")
        raise RecipeError(f"{path}: cannot be read as TOML: {reason}.") from error


def _different(one: Block, other: Block) -> Iterator[str]:
    """What two blocks set to different values."""
    for key in sorted(one.values.keys() & other.values.keys()):
        if one.values[key] != other.values[key]:
            yield key
    if one.stage and other.stage and one.stage != other.stage:
        yield "stage"


def _exclude(one: Block, other: Block) -> bool:
    """Whether two blocks cannot apply at once."""
    shared = one.when.keys() & other.when.keys()
    return any(not set(options(one.when[key])) & set(options(other.when[key])) for key in shared)
