"""The boards of the repository are what its records say."""

from pathlib import Path

from skelbench.leaderboard.boards import check
from skelbench.record import read_record

BOARDS = Path(__file__).parents[2] / "leaderboards"


def test_every_committed_table_is_what_its_records_say(tmp_path: Path) -> None:
    assert check(tmp_path / "runs", BOARDS / "records", BOARDS) == []


def test_committed_records_are_of_real_recordings_and_whole_runs() -> None:
    records = [read_record(path) for path in sorted((BOARDS / "records").rglob("*.json"))]
    assert records
    for record in records:
        assert record.state == "done"
        assert not record.synthetic
        assert record.limit is None
        assert not record.split.official
