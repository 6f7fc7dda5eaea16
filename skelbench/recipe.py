"""Recipes: every setting of a run, resolved from layers, each value with the layer and the source it came from.

Layers, later ones win: the runner's defaults (`recipe.toml` beside this file) < the card's usual prepare list < the
`[[recipe]]` blocks of model and method by their number of conditions, a tie going to the method < `--recipe FILE` <
the stage's own table < `--streams` < `-o key=value`; `--layout` then adds its step to the prepare list. With
`--recipe reference` only blocks that name it count.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import nn

from skelbench import registry
from skelbench.blocks import (
    Block,
    RecipeFile,
    StageTable,
    conflicts,
    flat,
    is_file,
    options,
    plugin_card,
    read_card,
    read_recipe,
)
from skelbench.card import explain
from skelbench.data.types import DataRecipe
from skelbench.errors import RecipeError, nearest
from skelbench.methods.method import method_class
from skelbench.models.encoder import check_hyper_parameters, encoder_class, hyper_parameters
from skelbench.optimise import OptimRecipe

DEFAULTS = Path(__file__).with_suffix(".toml")
ALWAYS = ("default", "small")  # recipes that the runner's defaults complete for every model


@dataclass(frozen=True)
class Setting:
    """One resolved value."""

    value: Any  # as JSON has it
    layer: str  # "runner", "card", "models/lite.toml when {...}", "--recipe FILE", "-o"
    source: str  # a paper, code at a commit, or "ours"


@dataclass(frozen=True)
class Layer:
    """Values that one place sets."""

    values: Mapping[str, Any]  # by dotted key
    name: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What a run is asked to be, before its recipe is known."""

    dataset: str
    protocol: str
    model: str  # name or path
    method: str  # name or path
    evaluation: str = "supervised"
    recipe: str = "default"  # name, or path of a TOML file
    prepare: tuple[str, ...] = ()  # the card's usual list; empty for the runner's
    stage: tuple[Layer, ...] = ()  # what the stage's table sets
    streams: tuple[str, ...] = ()  # of --streams; empty for the recipe's
    layout: str = ""  # of --layout, the step that ends the prepare list; empty for none
    overrides: tuple[str, ...] = ()  # of -o, each "key=value"
    settled: Mapping[str, Setting] | None = None  # of a record: all values, instead of the layers


@dataclass(frozen=True)
class Choice:
    """A model or method with the hyper-parameters it will be built with."""

    name: str
    plugin: registry.Plugin
    cls: type[nn.Module]
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Resolved:
    """A recipe with nothing left open."""

    ask: Ask
    recipe: str  # name for the record
    data: DataRecipe
    optim: OptimRecipe
    model: Choice
    method: Choice
    settings: Mapping[str, Setting] = field(repr=False)  # every value by dotted key, sorted


def default_choice(model: str | None, method: str | None) -> tuple[str, str]:
    """Complete a pair of model and method by what their TOML files name.

    Args:
        model: Name or path, or None.
        method: Name or path, or None.

    Returns:
        Model and method; without either, `lite` and `supervised`.

    Raises:
        UsageError: If a name is unknown.
        RecipeError: If a TOML file is wrong.
    """
    if method is None:
        named = plugin_card(registry.find("models", model)).default_method if model else None
        method = named or "supervised"
    if model is None:
        model = plugin_card(registry.find("methods", method)).default_model or "lite"
    return model, method


def stages(ask: Ask) -> tuple[tuple[StageTable, ...], Layer]:
    """Find the stages of a run.

    Args:
        ask: What the run is asked to be.

    Returns:
        The tables of `--recipe FILE`, else of the block with most conditions that has some, else one empty table; and
        where they come from, without values.

    Raises:
        RecipeError: If a file is wrong, or two blocks of equal rank disagree.
        UsageError: If model or method is unknown.
    """
    file = recipe_file(ask)
    if file is not None and file.stages:
        return file.stages, Layer({}, f"--recipe {ask.recipe}", file.source)
    model, method = registry.find("models", ask.model), registry.find("methods", ask.method)
    for plugin, block in reversed(_blocks(_context(ask, model, method), model, method)):
        if block.stage:
            return block.stage, Layer({}, f"{plugin.kind}/{plugin.toml.name} when {block.text}", block.source)
    return (StageTable(),), Layer({}, "runner", "ours")


def recipe_file(ask: Ask) -> RecipeFile | None:
    """The recipe file that is asked for, if it is one.

    Raises:
        RecipeError: If it is not TOML, or holds an unknown section.
    """
    return read_recipe(Path(ask.recipe)) if is_file(ask.recipe) else None


def resolve(ask: Ask) -> Resolved:
    """Settle every value of a run.

    Args:
        ask: Data set, protocol, model, method, recipe and overrides.

    Returns:
        The recipe, each value with layer and source.

    Raises:
        RecipeError: If a key is unknown, a value wrong, or no block names the recipe.
        UsageError: If model or method is unknown or cannot be imported.
    """
    model_plugin, method_plugin = registry.find("models", ask.model), registry.find("methods", ask.method)
    model = encoder_class(registry.load(model_plugin))
    method = method_class(registry.load(method_plugin))
    known = known_keys(model, method)
    settings: dict[str, Setting] = {}
    for key, setting in _layers(ask, model_plugin, method_plugin):
        if key not in known:
            raise RecipeError(f"{setting.layer}: unknown key '{key}'. {_nearest_key(key, known)}")
        settings[key] = setting
    if ask.layout and ask.settled is None:
        settings["data.prepare"] = _ended(settings["data.prepare"], ask.layout)
    data = _section(DataRecipe, "data", settings)
    optim = _section(OptimRecipe, "optim", settings)
    chosen = [
        Choice(plugin.name, plugin, cls, check_hyper_parameters(cls, _under(section, settings), section))
        for section, plugin, cls in (("model", model_plugin, model), ("method", method_plugin, method))
    ]
    final = _complete(settings, data, optim, chosen)
    return Resolved(ask, _recipe_name(ask.recipe), data, optim, chosen[0], chosen[1], final)


def known_keys(model: type[nn.Module], method: type[nn.Module]) -> list[str]:
    """Every dotted key that a recipe may set for a model and a method."""
    fields = {"data": DataRecipe.model_fields, "optim": OptimRecipe.model_fields}
    parts: dict[str, Iterable[str]] = {
        **fields,
        "model": hyper_parameters(model),
        "method": hyper_parameters(method),
    }
    return [f"{section}.{name}" for section, names in parts.items() for name in names]


def parse_override(text: str) -> tuple[str, Any]:
    """Read one `-o`.

    Args:
        text: `key=value`, the value in TOML; a bare word counts as a string.

    Returns:
        The dotted key and the value.

    Raises:
        RecipeError: If it has no `=`, or the value is not TOML.
    """
    key, equals, value = text.partition("=")
    key, value = key.strip(), value.strip()
    if not equals or not key or not value:
        raise RecipeError(f"-o {text}: expected key=value, such as -o optim.lr=0.05.")
    if re.fullmatch(r"[A-Za-z_][\w.:/+-]*", value) and value not in ("true", "false", "inf", "nan"):
        return key, value
    try:
        table = tomllib.loads(f"value = {value}")
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise RecipeError(f"-o {text}: the value is not TOML ({error}); a text with signs needs quotes.") from error
    if set(table) != {"value"}:
        raise RecipeError(f"-o {text[:80]!r}: holds more than one value.")
    return key, table["value"]


def _layers(ask: Ask, model: registry.Plugin, method: registry.Plugin) -> Iterator[tuple[str, Setting]]:
    """All settings of all layers that apply, in the order in which they win."""
    if ask.settled is not None:
        yield from ask.settled.items()
        return
    context = _context(ask, model, method)
    for block in sorted(read_card(DEFAULTS).recipe, key=lambda block: len(block.when)):
        if block.applies(context):
            yield from _settings(block.values, "runner", block.source)
    if ask.prepare:
        yield "data.prepare", Setting(list(ask.prepare), "card", "the card's usual list")
    for plugin, block in _blocks(context, model, method):
        yield from _settings(block.values, f"{plugin.kind}/{plugin.toml.name} when {block.text}", block.source)
    file = recipe_file(ask)
    if file is not None:
        yield from _settings(file.values, f"--recipe {ask.recipe}", file.source)
    for layer in ask.stage:
        yield from _settings(layer.values, layer.name, layer.source)
    if ask.streams:
        yield "data.streams", Setting(list(ask.streams), "--streams", "the command line")
    for text in ask.overrides:
        key, value = parse_override(text)
        yield key, Setting(value, "-o", "the command line")


def _ended(prepare: Setting, step: str) -> Setting:
    """A prepare list with one more step; what is no list is refused later."""
    if not isinstance(prepare.value, list):
        return prepare
    return Setting([*prepare.value, step], f"{prepare.layer}, --layout", prepare.source)


def _context(ask: Ask, model: registry.Plugin, method: registry.Plugin) -> dict[str, str]:
    """What the conditions of blocks are held against."""
    return {
        "dataset": ask.dataset,
        "protocol": ask.protocol,
        "model": model.name,
        "method": method.name,
        "evaluation": ask.evaluation,
        "recipe": "default" if is_file(ask.recipe) else ask.recipe,
    }


def _blocks(
    context: Mapping[str, str], model: registry.Plugin, method: registry.Plugin
) -> list[tuple[registry.Plugin, Block]]:
    """The blocks of model and method that apply, the weakest first."""
    ranked: list[tuple[int, int, registry.Plugin, Block]] = []
    recipe, named = context["recipe"], set()
    for side, plugin in enumerate((model, method)):
        blocks = plugin_card(plugin).recipe
        named |= {option for block in blocks for option in options(block.when.get("recipe", ()))}
        applying = [block for block in blocks if block.applies(context)]
        if recipe == "reference":  # the authors' exact setting: nothing of ours slips in
            applying = [block for block in applying if "recipe" in block.when]
        for problem in conflicts(applying):
            raise RecipeError(f"{plugin.toml}: {problem}. Give one of them one more condition.")
        ranked += [(len(block.when), side, plugin, block) for block in applying]
    if recipe not in ALWAYS and not any("recipe" in block.when for *_, block in ranked):
        pair = f"{model.name} with {method.name} on {context['dataset']}"
        raise RecipeError(f"No recipe '{recipe}' for {pair}. {nearest(recipe, (named | set(ALWAYS)) - {recipe})}")
    ranked.sort(key=lambda entry: entry[:2])
    return [(plugin, block) for _, _, plugin, block in ranked]


def _settings(values: Mapping[str, Any], layer: str, source: str) -> Iterator[tuple[str, Setting]]:
    """Values of one layer."""
    for key, value in values.items():
        yield key, Setting(value, layer, source)


def _section(model: type[Any], name: str, settings: Mapping[str, Setting]) -> Any:
    """Check one section of settings against its fields."""
    values = _under(name, settings)
    try:
        return model.model_validate({key: _tuples(value) for key, value in values.items()}, strict=True)
    except ValidationError as error:
        first = str(error.errors(include_url=False)[0]["loc"][0]) if error.errors()[0]["loc"] else ""
        layer = settings[f"{name}.{first}"].layer if f"{name}.{first}" in settings else "recipe"
        raise RecipeError(f"{layer}: {name}.{explain(error, model)}") from error


def _tuples(value: Any) -> Any:
    """Lists as tuples, all the way down: TOML has only the one, our types only the other."""
    if isinstance(value, dict):
        return {key: _tuples(entry) for key, entry in value.items()}
    return tuple(_tuples(entry) for entry in value) if isinstance(value, list) else value


def _under(section: str, settings: Mapping[str, Setting]) -> dict[str, Any]:
    """Values of one section by key."""
    start = f"{section}."
    return {key.removeprefix(start): setting.value for key, setting in settings.items() if key.startswith(start)}


def _complete(
    settings: Mapping[str, Setting], data: DataRecipe, optim: OptimRecipe, chosen: Iterable[Choice]
) -> dict[str, Setting]:
    """Every value in one canonical form, defaults of fields and signatures included, keys sorted."""
    final = {
        **flat({"data": data.model_dump(mode="json"), "optim": optim.model_dump(mode="json")}),
    }
    origins = dict.fromkeys(final, Setting(None, "runner", "ours"))
    for section, choice in zip(("model", "method"), chosen, strict=True):
        values = flat({section: json.loads(json.dumps(dict(choice.values)))})
        final |= values
        origins |= dict.fromkeys(values, Setting(None, f"{choice.plugin.kind}/{choice.name}.py", "its default"))
    origins |= settings
    return {key: Setting(final[key], origins[key].layer, origins[key].source) for key in sorted(final)}


def _recipe_name(recipe: str) -> str:
    """The name of a recipe for records: that of the file where it is one."""
    return Path(recipe).stem if is_file(recipe) else recipe


def _nearest_key(key: str, known: Iterable[str]) -> str:
    """The nearest known key; one that only lacks its section counts as nearest."""
    names = list(known)
    section = key.partition(".")[0]
    ends = [name for name in names if name.partition(".")[2] == key]
    if ends:
        return f"Did you mean '{ends[0]}'?"
    inside = [name for name in names if name.startswith(f"{section}.")]
    return nearest(key, inside or names)
