import gzip
import re
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

from skelbench import registry
from skelbench.card import Card, load_card
from skelbench.raw import RawItem
from skelbench.synthetic.raw import InMemory

LISTED = "on the owner's list of missing or incomplete skeletons"


@pytest.fixture(params=["ntu60", "ntu120"])
def ntu(request: pytest.FixtureRequest) -> tuple[ModuleType, Card]:
    plugin = registry.find("converters", request.param)
    return registry.load(plugin), load_card(plugin.toml)


def planned(ntu: tuple[ModuleType, Card], *names: str) -> list[RawItem]:
    module, card = ntu
    return list(module.plan(InMemory({f"some/folder/{name}.skeleton": b"" for name in names}), card))


def test_the_name_holds_everything_but_the_coordinates(ntu: tuple[ModuleType, Card]) -> None:
    (item,) = planned(ntu, "S017C003P040R002A060")
    assert item.meta == {
        "setup": 17, "camera": 3, "subject": 40, "replication": 2, "action": 60, "take": "S017P040R002A060",
    }  # fmt: skip
    assert item.reject is None


def test_the_label_is_the_action_counted_from_0(ntu: tuple[ModuleType, Card]) -> None:
    module, card = ntu
    raw = InMemory({"S001C001P001R001A060.skeleton": b"1\n0\n"})
    (item,) = module.plan(raw, card)
    sample = module.read(raw, item, card)
    assert sample.targets == {"label": 59}
    assert card.targets["label"].classes[59] == "walking apart from each other"
    assert (sample.n_frames, len(sample.frame), sample.score) == (1, 0, None)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("S001C000P001R001A001", "camera 0, expected 1 to 3"),
        ("S001C004P001R001A001", "camera 4, expected 1 to 3"),
        ("S001C001P001R003A001", "replication 3, expected 1 to 2"),
        ("S000C001P001R001A001", "setup 0"),
        ("S001C001P107R001A001", "subject 107"),
        ("S033C001P001R001A001", "setup 33"),
        ("S001C001P001R001A121", "action 121"),
        ("S01C001P001R001A001", "is not SsssCcccPpppRrrrAaaa.skeleton"),
        ("S001C001P001R001A0001", "is not SsssCcccPpppRrrrAaaa.skeleton"),
        ("s001c001p001r001a001", "is not SsssCcccPpppRrrrAaaa.skeleton"),
        ("S00١C001P001R001A001", "is not SsssCcccPpppRrrrAaaa.skeleton|setup 1"),
    ],
)
def test_names_that_do_not_fit_are_rejects(ntu: tuple[ModuleType, Card], name: str, words: str) -> None:
    (item,) = planned(ntu, name)
    assert item.reject
    assert re.search(words, item.reject)


@pytest.mark.parametrize("name", ["S018C001P001R001A001", "S001C001P001R001A061", "S001C001P041R001A001"])
def test_clips_of_ntu120_are_pointed_to_their_converter(name: str) -> None:
    for dataset, expected in (("ntu60", "'ntu120' converts"), ("ntu120", None)):
        plugin = registry.find("converters", dataset)
        (item,) = planned((registry.load(plugin), load_card(plugin.toml)), name)
        assert (item.reject is None) if expected is None else (expected in str(item.reject))


def test_listed_clips_are_rejects(ntu: tuple[ModuleType, Card]) -> None:
    items = planned(ntu, "S001C002P005R002A008", "S001C002P005R002A009", "S017C003P020R001A059")
    assert [item.reject for item in items] == [LISTED, None, LISTED]


def test_the_shipped_list_has_the_official_counts(ntu: tuple[ModuleType, Card]) -> None:
    module, card = ntu
    assert isinstance(module.INCOMPLETE, Path)
    listed = gzip.decompress(module.INCOMPLETE.read_bytes()).decode().split()
    assert len(set(listed)) == len(listed) == 535
    reasons = Counter(str(item.reject).partition(",")[0] for item in planned(ntu, *listed))
    assert reasons[LISTED] == card.official.rejects
    assert sum(reasons.values()) == 535


def test_two_person_classes_are_named_in_the_card(ntu: tuple[ModuleType, Card]) -> None:
    _, card = ntu
    assert card.synth
    classes = [card.targets["label"].classes[label] for label in card.synth.two_person]
    assert classes[0] == "punching/slapping other person"
    assert len(classes) == {60: 11, 120: 26}[len(card.targets["label"].classes)]
