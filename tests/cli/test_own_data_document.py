"""`docs/own-data.md` is walked through as a reader would: its Python, its card, its commands, in their order."""

import re
import shlex
import tomllib
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "own-data.md"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_page_leads_from_a_csv_to_a_board(skelbench) -> None:
    commands = 0
    for language, text in FENCE.findall(PAGE.read_text(encoding="utf-8")):
        if language == "python":
            exec(text, {})
        named = re.match(r"# (\w+\.toml)\n", text)
        if named:
            drafted = tomllib.loads(Path(named[1]).read_text())
            finished = tomllib.loads(text)
            assert drafted["channels"] == finished["channels"]
            for key in ("units", "targets", "options", "columns"):
                assert drafted[key].keys() == finished[key].keys()
            assert drafted["options"]["id"] == "clip"
            Path(named[1]).write_text(text)
        for line in text.splitlines() if language == "console" else ():
            said = skelbench(*shlex.split(line.removeprefix("$ skelbench ")))
            assert said.code == 0, f"{line}: {said.err}"
            commands += 1
    assert commands == 6
    board = Path("leaderboards/my-people.md").read_text()
    assert "48 test samples in 4 folds, 3 classes" in board
    assert re.search(r"centroid .* 100\.00|centroid .* 9\d\.", board)


def test_the_options_of_the_page_are_those_there_are() -> None:
    from skelbench.formats.own import Options

    text = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", text, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert Options.model_fields.keys() - {"form", "files"} <= named


def test_the_keys_of_a_card_on_the_page_are_those_there_are() -> None:
    from skelbench.card import Card
    from skelbench.protocols import OwnSplit

    page = PAGE.read_text(encoding="utf-8")
    for title, keys in (
        ("The card", Card.model_fields.keys() - {"synth"}),
        ("How to split", OwnSplit.model_fields.keys()),
    ):
        part = page.partition(f"## {title}\n")[2].partition("\n## ")[0]
        rows = re.findall(r"^\| (`.*?`) \|", part, re.MULTILINE)
        named = {name for row in rows for name in re.findall(r"`\[?(\w+)", row)}
        assert named == set(keys), title
