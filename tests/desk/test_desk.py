"""The data desk: what is here, what is expected, and how to get the rest."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from skelbench import registry
from skelbench.cli import cli
from skelbench.convert import Request, convert
from skelbench.desk import desk
from skelbench.synthetic.raw import write_raw


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Raw files of a set in a folder, and no store."""
    monkeypatch.setenv("SKELBENCH_DATA", str(tmp_path / "data"))
    write_raw("nw_ucla", tmp_path / "raw", samples=6, seed=0, archive=False, defects=False)
    return tmp_path / "raw"


def test_every_set_says_how_to_get_it(raw: Path) -> None:
    entries = {entry.name: entry for entry in desk()}
    assert list(entries) == registry.names("converters")
    assert all(entry.licence and entry.obtain and entry.raw and not entry.here for entry in entries.values())
    assert entries["ntu60"].expected == 56_880
    assert entries["ntu60"].protocols == ("xsub", "xview")


def test_a_store_is_here_with_counts_and_size(raw: Path, tmp_path: Path) -> None:
    report = convert(Request("nw_ucla", (raw,), tmp_path / "data/nw_ucla"))
    (entry,) = (entry for entry in desk() if entry.name == "nw_ucla")
    assert (entry.here, entry.found, entry.samples, entry.rejects) == ("made up", 6, 6, 0)
    assert entry.bytes == sum(path.stat().st_size for path in report.store.iterdir())


def test_a_damaged_store_is_called_so(raw: Path, tmp_path: Path) -> None:
    convert(Request("nw_ucla", (raw,), tmp_path / "data/nw_ucla"))
    (tmp_path / "data/nw_ucla/dataset.json").write_text("{")
    assert [entry.here for entry in desk() if entry.here] == ["damaged"]


def test_recordings_of_which_some_are_missing_are_a_part(raw: Path, tmp_path: Path) -> None:
    (raw / "SYNTHETIC.json").unlink()
    convert(Request("nw_ucla", (raw,), tmp_path / "data/nw_ucla"))
    assert [entry.here for entry in desk() if entry.here] == ["part"]


def test_raw_files_are_found_where_one_looks(raw: Path) -> None:
    assert {entry.name: entry.found for entry in desk(raw)}["nw_ucla"] == 6


def test_the_command_shows_it_and_has_it_as_json(raw: Path) -> None:
    said = CliRunner().invoke(cli, ["list", "datasets", "--raw", str(raw)])
    assert said.exit_code == 0, said.output
    assert "\nnw_ucla: Not stated by the owners" in said.output
    assert "  get it: all_sqe.zip" in said.output
    rows = json.loads(CliRunner().invoke(cli, ["list", "datasets", "--json"]).output)
    assert set(rows[0]) >= {"name", "title", "here", "licence", "obtain", "expected", "found", "protocols", "bytes"}
    assert CliRunner().invoke(cli, ["list", "models", "--raw", str(raw)]).exit_code != 0
