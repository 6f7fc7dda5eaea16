"""The ten lines of docs/records.md, run by a stranger who has only the files."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skelbench.cli import cli
from skelbench.fuse import FuseRequest, fuse
from skelbench.record import read_record

PAGE = Path(__file__).parent.parent / "docs" / "records.md"
NAMES = {name: name for name in ("top1", "top5", "mean_class_accuracy", "macro_f1", "nll", "ece")} | {"map": "mean_ap"}


@pytest.fixture(scope="module")
def code() -> str:
    found = re.findall(r"^```py\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return "\n".join(found)


def agrees(code: str, record: Path) -> None:
    """Run the lines on the predictions beside a record, and hold them against it."""
    wanted, there = record.with_name("predictions.parquet"), re.search(r"^path = .*$", code, re.MULTILINE)
    assert there
    known: dict[str, Any] = {}
    exec(code.replace(there[0], f"path = Path({str(wanted)!r})"), known)
    metrics = read_record(record).metrics
    for name, theirs in NAMES.items():
        if name in metrics:  # with five classes or fewer there is no top5
            assert known[theirs] == pytest.approx(metrics[name].value, abs=1e-9), name
    assert tuple(known["interval"]) == pytest.approx(metrics["top1"].interval)


def test_there_are_ten_lines(code) -> None:
    assert len(code.partition("\n\ntable = ")[2].partition("\n\n")[0].splitlines()) == 10


@pytest.mark.parametrize(("classes", "skill"), [(3, 1.0), (10, 3.0), (60, 0.5), (10, 300.0)])
def test_they_give_the_numbers_of_a_record(code, scored_run, classes, skill) -> None:
    target = np.random.default_rng(0).integers(-1, classes, 200)  # some unlabelled, some classes perhaps not there
    paths = [scored_run(streams=(name,), classes=classes, skill=skill, target=target, samples=200) for name in "ab"]
    for path in paths:
        agrees(code, path)
    for by in ("logits", "softmax"):
        (fused,) = fuse(FuseRequest(runs=tuple(map(str, paths)), by=by))
        agrees(code, fused.folder / "record.json")


def test_they_run_as_they_stand_after_a_run(code, capsys) -> None:
    for line in (
        "synth nw_ucla --samples 72 --out raw",
        "convert nw_ucla --raw raw",
        "run --dataset nw_ucla --method posestats",
    ):
        cli.main(line.split(), standalone_mode=False)
    exec(code, {})
    agrees(code, next(Path("runs").rglob("record.json")))
