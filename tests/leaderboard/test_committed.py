"""The boards of the repository are what its records say."""

import shlex
from pathlib import Path

from skelbench.leaderboard.boards import check
from skelbench.leaderboard.collect import limits
from skelbench.leaderboard.publish import RESULTS
from skelbench.record import read_record

BOARDS = Path(__file__).parents[2] / "leaderboards"


def test_every_committed_table_is_what_its_records_say(tmp_path: Path) -> None:
    assert check(tmp_path / "runs", BOARDS / "records", BOARDS) == []


def test_committed_records_are_of_real_recordings_and_whole_runs() -> None:
    records = [read_record(path) for path in sorted((BOARDS / "records").rglob("*.json"))]
    assert records
    for record in records:
        assert record.state in RESULTS
        assert record.scored == "test"
        assert not record.synthetic
        assert not list(limits(record))


def test_committed_records_name_no_place_on_the_machine_that_made_them() -> None:
    for path in sorted((BOARDS / "records").rglob("*.json")):
        record = read_record(path)
        lines = [record.command, *(run.command for run in record.fusion.runs)] if record.fusion else [record.command]
        assert not [word for line in lines for word in shlex.split(line) if word.startswith(("/", "~"))], path
