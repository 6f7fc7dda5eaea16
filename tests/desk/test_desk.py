"""The data desk: what is here, what is expected, and how to get the rest."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from skelbench import registry
from skelbench.cli import cli
from skelbench.convert import Request, convert
from skelbench.desk import _here, desk
from skelbench.store.schema import read_info
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


def test_names_without_files_are_a_part_too(raw: Path, tmp_path: Path) -> None:
    (raw / "SYNTHETIC.json").unlink()
    next(path for path in sorted(raw.rglob("*.json"))).write_text("{")
    report = convert(Request("nw_ucla", (raw,), tmp_path / "data/nw_ucla"))
    info = read_info(report.store)
    assert info.rejects == 1
    assert _here(info, {"planned": info.origin.planned, "rejects": 1}) == "yes"
    assert _here(info, {"planned": info.origin.planned, "rejects": 0}) == "part"


def test_several_stores_of_one_set_are_named_and_the_set_s_own_is_told_of(raw: Path, tmp_path: Path) -> None:
    convert(Request("nw_ucla", (raw,), tmp_path / "data/nw_ucla.1-of-2", shard=(1, 2)))
    convert(Request("nw_ucla", (raw,), tmp_path / "data/few", limit=2))
    (entry,) = (entry for entry in desk() if entry.stores)
    assert (entry.name, entry.stores, entry.samples) == ("nw_ucla", ("few", "nw_ucla.1-of-2"), 2)
    convert(Request("nw_ucla", (raw,), tmp_path / "data/nw_ucla"))
    (entry,) = (entry for entry in desk() if entry.stores)
    assert (entry.stores, entry.samples) == (("nw_ucla", "few", "nw_ucla.1-of-2"), 6)
    said = CliRunner().invoke(cli, ["list", "datasets"]).output
    assert "  stores here: nw_ucla, few, nw_ucla.1-of-2" in said


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
