"""Every recipe of every model, for every data set there is: it resolves, its steps are known, its network is built."""

import re

import pytest
import torch

from skelbench import registry
from skelbench.blocks import conflicts, plugin_card, read_card
from skelbench.card import Card, load_card
from skelbench.data.batches import recipe_spec
from skelbench.prepare import person_slots
from skelbench.recipe import DEFAULTS, Ask, Resolved, default_choice, resolve

CARDS = {name: load_card(registry.find("converters", name).toml) for name in registry.names("converters")}
SPEED = {"optim.compile"}  # of no consequence for what is learnt


def named(model: str, dataset: str) -> list[str]:
    """Recipes that a model has for a data set."""
    blocks = plugin_card(registry.find("models", model)).recipe
    found = {"default", "small"}
    for block in blocks:
        sets, recipes = (block.when.get(what, ()) for what in ("dataset", "recipe"))
        if dataset in ([sets] if isinstance(sets, str) else sets):
            found |= {recipes} if isinstance(recipes, str) else set(recipes)
    return sorted(found)


RECIPES = [
    (model, dataset, recipe)
    for model in registry.names("models")
    for dataset in CARDS
    for recipe in named(model, dataset)
]


def resolved(model: str, dataset: str, recipe: str) -> Resolved:
    model, method = default_choice(model, None)
    card: Card = CARDS[dataset]
    protocol = "xview" if dataset == "nw_ucla" else "xsub"
    return resolve(
        Ask(dataset=dataset, protocol=protocol, model=model, method=method, recipe=recipe, prepare=card.prepare)
    )


@pytest.fixture(scope="module")
def widths() -> dict[str, int]:
    """What the networks give that were tried; many recipes differ in how they train, not in the network."""
    return {}


@pytest.mark.parametrize(("model", "dataset", "recipe"), RECIPES)
def test_a_recipe_makes_a_network_for_its_data(model: str, dataset: str, recipe: str, widths: dict[str, int]) -> None:
    found, card = resolved(model, dataset, recipe), CARDS[dataset]
    slots = person_slots(found.data.prepare, card.persons)
    spec = recipe_spec(found.data, card.layout, channels=len(card.channels), slots=slots)
    network = f"{model} {spec} {sorted(found.model.values.items())}"
    if network not in widths:
        encoder = found.model.cls(spec, **found.model.values)
        rows = torch.randn(2 * spec.slots, spec.channels, 5, len(spec.layout.joints))
        features = encoder(rows, torch.arange(spec.slots).repeat(2))
        widths[network] = features.shape[1] if features.isfinite().all() else 0
    assert widths[network] > 0


@pytest.mark.parametrize(("model", "dataset", "recipe"), [entry for entry in RECIPES if entry[2] == "reference"])
def test_a_reference_recipe_leaves_nothing_to_us(model: str, dataset: str, recipe: str) -> None:
    ours = {}
    for key, setting in resolved(model, dataset, recipe).settings.items():
        if key not in SPEED and not re.match(r"[\w-]+/[\w.-]+@[0-9a-f]{7} \w", setting.source):
            ours[key] = (setting.value, setting.layer, setting.source)
    assert ours == {}


@pytest.mark.parametrize(
    ("model", "sets"),
    [
        ("ctrgcn", {"nw_ucla", "ntu60", "ntu120"}),
        ("unik", {"penn_action", "ntu60", "ntu120", "smarthome", "posetics"}),
        ("stgcn", {"ntu60"}),
        ("lstm", set()),
        ("lite", set()),
    ],
)
def test_there_is_a_reference_where_there_is_a_source(model: str, sets: set[str]) -> None:
    assert {dataset for dataset in CARDS if "reference" in named(model, dataset)} == sets


@pytest.mark.parametrize(
    ("dataset", "frames"), [("tsu", 300), ("pku_mmd1", 300), ("pku_mmd2", 300), ("charades", 64), ("uav_human", 150)]
)
def test_unik_trains_as_its_thesis_says_where_its_authors_gave_no_code(dataset: str, frames: int) -> None:
    found = resolved("unik", dataset, "default").settings
    said = {
        **{"data.frames": frames, "optim.lr": 0.1, "optim.weight_decay": 1e-4, "optim.schedule": "step"},
        **{"optim.steps": [30, 40], "optim.epochs": 50},
    }
    for key, value in said.items():
        assert found[key].value == value, key
        assert found[key].source.startswith("the thesis on UNIK")


@pytest.mark.parametrize("kind", ["models", "methods"])
def test_no_two_blocks_of_equal_rank_set_one_key_to_different_values(kind: registry.Kind) -> None:
    blocks = {name: plugin_card(registry.find(kind, name)).recipe for name in registry.names(kind)}
    blocks["runner"] = read_card(DEFAULTS).recipe
    assert {name: problems for name, listed in blocks.items() if (problems := conflicts(listed))} == {}
