"""`skelbench leaderboard` as a user meets it, on runs made of records that the repository holds."""

import json
from pathlib import Path
from typing import Any

import pytest

RECORDS = Path(__file__).parents[2] / "leaderboards" / "records" / "nw_ucla"


def have_run(**changes: Any) -> Path:
    """A run folder with one of the repository's records, some fields changed."""
    source = sorted(RECORDS.rglob("identity-posestats-*-seed0.json"))[0]
    record = {**json.loads(source.read_text()), **changes}
    path = Path("runs", record["key"][:8], f"seed{record['seed']}", "record.json")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(record))
    return path


def test_publishing_copies_whole_runs_and_says_what_was_left(skelbench) -> None:
    have_run()
    part = have_run(key="1" * 64, limit=64)
    tuned = have_run(key="2" * 64, scored="validation")
    broken = have_run(key="3" * 64, state="failed", metrics={}, evaluated="")
    said = skelbench("leaderboard", "--publish")
    assert said.code == 0
    assert "1 records copied to leaderboards/records" in said.err
    assert f"left: {part}: --limit 64; --all takes it too" in said.err
    assert f"left: {tuned}: scored on validation; --all takes it too" in said.err
    assert f"left: {broken}: state failed\n" in said.err
    assert len(list(Path("leaderboards/records").rglob("*.json"))) == 1
    assert "3 records copied" in skelbench("leaderboard", "--publish", "--all").err


def test_latex_is_written_when_asked_for_and_checked_from_then_on(skelbench) -> None:
    have_run()
    assert skelbench("leaderboard").out.split() == ["leaderboards/README.md", "leaderboards/nw_ucla-xview.md"]
    assert skelbench("leaderboard", "--check", "--latex").code == 1
    assert "leaderboards/nw_ucla-xview.tex" in json.loads(skelbench("leaderboard", "--latex", "--json").out)
    assert skelbench("leaderboard", "--check").code == 0
    page = Path("leaderboards/nw_ucla-xview.tex")
    page.write_text(page.read_text().replace("posestats", "magic"))
    said = skelbench("leaderboard", "--check")
    assert said.code == 1
    assert "nw_ucla-xview.tex is not what the records say" in said.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("--all",), "give it with --publish"), (("--check", "--publish"), "give one of them")],
)
def test_options_that_do_not_go_together_are_a_usage_error(skelbench, arguments: tuple[str, ...], words: str) -> None:
    said = skelbench("leaderboard", *arguments)
    assert said.code == 2
    assert words in said.err
