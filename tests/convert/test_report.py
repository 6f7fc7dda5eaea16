"""What a conversion says."""

import json
from pathlib import Path

import pytest

from skelbench.card import Card, load_card
from skelbench.convert.report import Reasons, grouped, official
from skelbench.store.schema import Reject


@pytest.fixture
def card(toy: Path) -> Card:
    return load_card(toy.with_suffix(".toml"))


def test_rejects_are_counted_by_kind_whatever_names_and_numbers_they_hold() -> None:
    rejects = [
        Reject(f"a{n}", f"f/a{n}.json", f"f/a{n}.json, frame {n * 7}: {n} joints, expected 25") for n in range(9)
    ]
    groups = grouped([*rejects, Reject("", "link", "The member is a symbolic link.")])
    assert groups == (
        Reasons("f/a0.json, frame 0: 0 joints, expected 25", "a0", 9),
        Reasons("The member is a symbolic link.", "link", 1),
    )
    assert grouped([]) == ()


def test_what_differs_from_the_official_numbers_is_said_in_words(card: Card) -> None:
    found = official(card, 39, 3)
    assert found["planned"] == {"found": 39, "official": 40}
    assert found["differences"] == ["planned: 39 found, 40 official: 1 fewer", "rejects: 3 found, 1 official: 2 more"]
    assert official(card, 40, 1)["differences"] == []
    assert official(card, 40, None)["differences"] == []
    assert json.dumps(found)


def test_a_card_without_official_numbers_is_held_against_nothing(card: Card) -> None:
    assert official(card.model_copy(update={"official": type(card.official)()}), 5, 5) == {}
