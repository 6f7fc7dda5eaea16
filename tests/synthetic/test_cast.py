import tomllib
from collections import Counter
from typing import Any

import pytest

from skelbench import registry
from skelbench.card import Card, load_card
from skelbench.errors import UsageError
from skelbench.synthetic.cast import FEW_CLASSES, SAMPLES_A_CLASS, Role, cast, combinations


def card_of(name: str) -> Card:
    return load_card(registry.find("converters", name).toml)


def roles(name: str, count: int, seed: int = 0) -> list[Role]:
    found = cast(card_of(name), count, seed)
    return [found.role(index) for index in range(count)]


def protocols(name: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = tomllib.loads(registry.find("splits", name).toml.read_text(encoding="utf-8"))[
        "protocols"
    ]
    return found


@pytest.mark.parametrize("name", registry.names("converters"))
@pytest.mark.parametrize("count", [64, 65, 100, 128, 333, 1000])
@pytest.mark.parametrize("seed", [0, 1, 7])
def test_every_class_is_in_every_part_of_every_protocol(name: str, count: int, seed: int) -> None:
    found = roles(name, count, seed)
    labels = {role.label for role in found}
    for protocol in protocols(name).values():
        train = Counter(
            (role.label, all(role.columns[column] in values for column, values in protocol["train"].items()))
            for role in found
        )
        assert min(train[label, part] for label in labels for part in (True, False)) >= 3


@pytest.mark.parametrize("name", registry.names("converters"))
def test_ids_are_unique_and_a_take_is_shared_by_its_views_only(name: str) -> None:
    found = roles(name, 2000)
    assert len({role.sample_id for role in found}) == 2000
    card = card_of(name)
    assert card.synth
    for column in card.synth.axes.keys() - card.synth.views.keys():
        takes = {(role.take, role.columns[column]) for role in found}
        assert len(takes) == len({role.take for role in found})


def test_few_samples_have_few_classes_and_many_have_all() -> None:
    assert len({role.label for role in roles("ntu60", 64)}) == FEW_CLASSES
    assert len({role.label for role in roles("ntu60", 10 * SAMPLES_A_CLASS)}) == 10
    assert len({role.label for role in roles("ntu60", 60 * SAMPLES_A_CLASS)}) == 60
    assert len({role.label for role in roles("nw_ucla", 3000)}) == 10


def test_few_classes_hold_one_and_two_people() -> None:
    two_person = card_of("ntu60").synth.two_person  # type: ignore[union-attr]
    assert {role.label in two_person for role in roles("ntu60", 64)} == {True, False}


def test_a_role_depends_on_seed_and_place_alone() -> None:
    found = cast(card_of("ntu60"), 500, 3)
    assert found.role(123) == cast(card_of("ntu60"), 500, 3).role(123)
    assert found.role(123) != cast(card_of("ntu60"), 500, 4).role(123)


def test_every_combination_comes_once() -> None:
    card = card_of("nw_ucla")
    assert card.synth
    count = 10 * combinations(card.synth)
    assert len({role.sample_id for role in roles("nw_ucla", count)}) == count
    with pytest.raises(UsageError, match=f"{count + 1} samples of 'nw_ucla': its names tell {count} apart"):
        cast(card, count + 1, 0)


def test_a_card_without_synth_is_refused() -> None:
    with pytest.raises(UsageError, match=r"The card 'ntu60' has no \[synth\]"):
        cast(card_of("ntu60").model_copy(update={"synth": None}), 1, 0)
