"""The benchmarks themselves: what they compare is the same work, and what has become slower is said."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import RATIOS, slower, table
from benchmarks.measure import Done, Measured, Way, Work, rounds
from benchmarks.works import WORKS

ROOT = Path(__file__).parent.parent


def measured(work: str, way: str, ratio: float) -> Measured:
    return Measured(work, way, (1.0,), 10.0, 1, 0.0, (ratio,))


def test_what_has_lost_a_third_of_its_lead_is_named() -> None:
    committed = {"zip/fast": 10.0, "zip/base": 4.0}
    assert slower([measured("zip", "fast", 7.1), measured("zip", "base", 5.0)], committed) == []
    (line,) = slower([measured("zip", "fast", 6.9), measured("new", "fast", 0.1)], committed)
    assert line == "zip/fast: 6.90 × the first way, was 10.00: slower by more than 30 %."


def test_the_committed_ratios_are_of_the_ways_there_are() -> None:
    if not RATIOS.is_file():
        pytest.skip("no table is committed: `make bench` writes it")
    ways = {f"{work.name}/{way.name}" for work in WORKS.values() for way in work.ways}
    assert set(json.loads(RATIOS.read_text())) == ways


def test_a_table_has_a_row_for_each_way() -> None:
    work = WORKS["zip"]
    rows = table([measured("zip", way.name, 2.0) for way in work.ways]).splitlines()
    assert len(rows) == 2 + len(work.ways)
    assert work.limit in rows[2]


@pytest.mark.slow
def test_the_guard_fails_when_the_parser_sleeps(tmp_path: Path) -> None:
    """`python -m benchmarks trainable` in a copy of the package whose parser waits before each file."""
    for name in ("skelbench", "benchmarks", "converters", "splits", "leaderboards"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, time\n"
        "import importlib.abc\n"
        "class Late(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'skelbench.convert.engine' and not Late.done:\n"
        "            Late.done = True\n"
        "            from skelbench.formats import kinect_text\n"
        "            parse = kinect_text.parse\n"
        "            def slow(data, where):\n"
        "                time.sleep(0.02)\n"
        "                return parse(data, where)\n"
        "            kinect_text.parse = slow\n"
        "        return None\n"
        "    done = False\n"
        "sys.meta_path.insert(0, Late())\n"
    )
    command = [sys.executable, "-m", "benchmarks", "trainable", "--rounds", "1", "--folder", str(tmp_path)]
    done = subprocess.run(
        command, cwd=ROOT, env={"PYTHONPATH": str(tmp_path), "PATH": ""}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "trainable/fast" in done.stderr
    assert "slower by more than 30 %" in done.stderr


def test_ways_that_find_other_values_are_no_comparison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = iter(["one", "other"])
    monkeypatch.setattr(
        "benchmarks.measure._run",
        lambda work, way, raw: {"seconds": 1.0, "peak": 1.0, "items": 1, "megabytes": 0.0, "digest": next(told)},
    )
    ways = tuple(Way(name, lambda raw: lambda: Done(1)) for name in ("a", "b"))
    work = Work("w", "w", "clips", lambda folder: folder.mkdir(parents=True), ways, "")
    with pytest.raises(RuntimeError, match="do not find the same values"):
        rounds(work, tmp_path, 1, lambda line: None)
