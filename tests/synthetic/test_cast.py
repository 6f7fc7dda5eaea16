import tomllib
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from skelbench import registry
from skelbench.card import Card, load_card
from skelbench.errors import UsageError
from skelbench.sample import Sample
from skelbench.synthetic.cast import SAMPLES_A_CLASS, Role, cast, combinations, sharing
from skelbench.synthetic.generate import _targets
from skelbench.synthetic.raw import settled


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


def of_part(columns: Mapping[str, Any], protocol: dict[str, Any], part: str) -> bool:
    """Whether a rule takes a sample, the labels aside."""
    rule = protocol.get(part, {})
    if rule == "rest":
        return not of_part(columns, protocol, {"train": "test", "test": "train"}[part])
    return all(columns[column] in values for column, values in rule.items() if column != protocol.get("target"))


@pytest.mark.parametrize("name", sorted(set(registry.names("converters")) & set(registry.names("splits"))))
@pytest.mark.parametrize(("count", "seed"), [(64, 0), (64, 1), (65, 7), (128, 1), (333, 7)])
def test_every_part_of_every_protocol_has_samples(name: str, count: int, seed: int) -> None:
    card = card_of(name)
    assert card.synth
    if "{index" not in card.synth.sample_id:
        count = min(count, combinations(card.synth))
    module, found = registry.load(registry.find("converters", name)), cast(card, count, seed)
    heads = [settled(module, card, head_of(card, found.role(at))) for at in range(count * sharing(card.synth))]
    for title, protocol in protocols(name).items():
        if "list" in protocol:  # of ids, which need not be those of a twin
            continue
        parts = {
            part: [sample for sample in heads if of_part(sample.meta, protocol, part)] for part in ("train", "test")
        }
        folds = protocol.get("folds")
        if folds:
            values = {part: {sample.meta[folds["by"]] for sample in samples} for part, samples in parts.items()}
            there: list[Any] = sorted(values["train"] | values["test"])
            dealt = folds.get("groups") or [there[at :: folds["count"]] for at in range(folds.get("count", 0))]
            assert all(values["test"] & set(fold) for fold in dealt), f"{title}: every fold scores samples"
            assert len(values["train"]) > 1
        else:
            assert all(parts.values()), f"{title}: {[len(samples) for samples in parts.values()]}"


def head_of(card: Card, role: Role) -> Sample:
    """A role as a sample of no frames."""
    shape = 0, len(card.layout.joints), len(card.channels)
    return Sample(
        sample_id=role.sample_id,
        n_frames=0,
        frame=np.zeros(0, np.uint32),
        person=np.zeros(0, np.int64),
        keypoints=np.zeros(shape, np.float32),
        score=np.zeros(shape[:2], np.float32) if card.score else None,
        targets=_targets(card.targets, role, ()),
        segments=(),
        meta={name: value for name, value in {**role.columns, "take": role.take}.items() if name in card.columns},
    )


@pytest.mark.parametrize("name", ["ntu60", "ntu120", "nw_ucla", "penn_action"])
@pytest.mark.parametrize("count", [64, 65, 128, 333])
@pytest.mark.parametrize("seed", [0, 1, 7])
def test_every_class_is_in_every_part_of_a_protocol_without_narrower_rules(name: str, count: int, seed: int) -> None:
    found = roles(name, count, seed)
    labels = {role.label for role in found}
    for protocol in protocols(name).values():
        train = Counter((role.label, of_part(role.columns, protocol, "train")) for role in found)
        assert min(train[label, part] for label in labels for part in (True, False)) >= 3


@pytest.mark.parametrize("name", registry.names("converters"))
def test_ids_are_unique_and_a_take_is_shared_by_its_views_only(name: str) -> None:
    card = card_of(name)
    assert card.synth
    indexed = "{index" in card.synth.sample_id
    found = roles(name, 2000 if indexed else min(2000, combinations(card.synth)))
    assert len({role.sample_id for role in found}) == len(found)
    if indexed and "{index" not in card.synth.take:
        return  # the owner's takes hold several clips each
    for column in card.synth.axes.keys() - card.synth.views.keys():
        takes = {(role.take, role.columns[column]) for role in found}
        assert len(takes) == len({role.take for role in found})


def test_few_samples_have_few_classes_and_many_have_all() -> None:
    assert len({role.label for role in roles("ntu60", 64)}) == 4
    assert len({role.label for role in roles("ntu60", 10 * SAMPLES_A_CLASS)}) == 10
    assert len({role.label for role in roles("ntu60", 60 * SAMPLES_A_CLASS)}) == 60
    assert len({role.label for role in roles("nw_ucla", 3000)}) == 10


def test_where_names_of_few_classes_do_not_suffice_there_are_more() -> None:
    found = roles("mixamo", 256)  # 30 motions, so that nine characters are needed
    assert len({role.label for role in found}) == 9
    assert len({role.sample_id for role in found}) == 256


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


@pytest.mark.parametrize("name", ["aihub_fitness", "aihub_fitness_3d", "squat", "squat_lifted"])
def test_what_a_label_moves_says_which_classes_it_has(name: str) -> None:
    """So several defects at once can be learnt from each alone."""
    card, module = card_of(name), registry.load(registry.find("converters", name))
    assert card.synth
    moves, found = card.synth.moves, cast(card, 500, 0)
    heads = [settled(module, card, head_of(card, found.role(at * sharing(card.synth)))) for at in found.labels]
    labels = [np.flatnonzero(np.equal(sample.targets["defects"], 1)).tolist() for sample in heads]
    assert found.labels == tuple(range(len(moves)))
    means = {
        move: set.intersection(*(set(classes) for classes, own in zip(labels, moves, strict=True) if move in own))
        for move in {move for own in moves for move in own}
    }
    for classes, own in zip(labels, moves, strict=True):
        assert set().union(*(means[move] for move in own)) == set(classes)
