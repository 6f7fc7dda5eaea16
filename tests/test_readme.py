"""The README's table of data sets is that of the registry."""

import re
from pathlib import Path

from skelbench import registry
from skelbench.desk import desk

README = Path(__file__).parent.parent / "README.md"
ROWS = re.findall(r"^\| (`.*?) \| (.*?) \| .* \|$", README.read_text(encoding="utf-8"), re.MULTILINE)


def test_every_registered_data_set_stands_in_the_table_once() -> None:
    named = [name for sets, _ in ROWS for name in re.findall(r"`(\w+)`", sets)]
    assert sorted(named) == registry.names("converters")


def test_the_protocols_in_the_table_are_those_of_the_sets() -> None:
    known = {entry.name: set(entry.protocols) for entry in desk()}
    checked = set[str]()
    for sets, words in ROWS:
        theirs = set[str]().union(*(known[name] for name in re.findall(r"`(\w+)`", sets)))
        named = {word for word in re.split(r"[,;] ", words) if re.fullmatch(r"[\w.-]+", word)}
        assert named <= theirs, sets
        checked |= named
    assert len(checked) > 15
