"""Measure all works, print the table, hold it against the one that is committed, and write the new one."""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.measure import Measured, Work, rounds
from benchmarks.works import WORKS

HERE = Path(__file__).parent
PAGE, RATIOS = HERE / "README.md", HERE / "ratios.json"
WORSE = 0.7  # of the committed ratio: below it something has become slower
PACKAGES = ("numpy", "pyarrow", "torch", "numba", "isal", "orjson")


def main() -> int:
    """Run; 1 where a ratio has fallen."""
    asked = _arguments()
    measured: list[Measured] = []
    with tempfile.TemporaryDirectory(prefix="skelbench-bench-", dir=asked.folder) as folder:
        for name in asked.works or WORKS:
            measured += rounds(WORKS[name], Path(folder) / name, asked.rounds, _log)
    sys.stdout.write(table(measured))
    committed = json.loads(RATIOS.read_text()) if RATIOS.is_file() else {}
    fallen = slower(measured, committed)
    for line in fallen:
        _log(line)
    if fallen and not asked.accept:
        return 1
    if not asked.works:
        RATIOS.write_text(json.dumps({_key(one): round(one.ratio, 2) for one in measured}, indent=1) + "\n")
        PAGE.write_text(page(measured, asked.rounds))
    return 0


def _arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("works", nargs="*", metavar="WORK", help=f"one of {', '.join(WORKS)}; default: all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the raw data is made for the time of the run")
    parser.add_argument("--accept", action="store_true", help="write the table although a ratio has fallen")
    asked = parser.parse_args()
    unknown = set(asked.works) - set(WORKS)
    if unknown:
        parser.error(f"no work {', '.join(sorted(unknown))}; known: {', '.join(WORKS)}")
    return asked


def table(measured: Sequence[Measured], works: Mapping[str, Work] = WORKS) -> str:
    """Markdown, a row a way."""
    lines = [
        "| work | way | × the first way | clips/s | MB/s | peak MB | limit |",
        "| --- | --- | --: | --: | --: | --: | --- |",
    ]
    for one in measured:
        work = works[one.work]
        first = one.way == work.ways[0].name
        spread = "" if first else f" ({min(one.ratios):.1f} to {max(one.ratios):.1f})"
        rate = f"{one.megabytes / one.second:.0f}" if one.megabytes else "–"
        lines.append(
            f"| {f'{one.work}: {work.what}' if first else ''} | {one.way} | {one.ratio:.2f}{spread} "
            f"| {one.items / one.second:,.0f} | {rate} | {one.peak:.0f} | {work.limit if first else ''} |"
        )
    return "\n".join(lines) + "\n"


def slower(measured: Sequence[Measured], committed: dict[str, float]) -> list[str]:
    """What has become slower than it was, relative to the first way of its work."""
    return [
        f"{_key(one)}: {one.ratio:.2f} × the first way, was {committed[_key(one)]:.2f}: slower by more than 30 %."
        for one in measured
        if _key(one) in committed and one.ratio < WORSE * committed[_key(one)]
    ]


def page(measured: Sequence[Measured], count: int) -> str:
    """The page of the table."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"""<!-- Made by `make bench`; changes by hand are lost. -->

# Speed and memory, as ratios

Each way runs in a process of its own, on one core unless it says two, in turns with the others, {count} rounds; the
figures are medians, the ratio that of the rounds, with its range. *idiom* does the work as the field's scripts do, one
line, frame or clip at a time (`idioms.py`); *base* is skelbench as `pip install .` gives it, *fast* with the extra
`fast`. Ratios hold between machines, seconds do not. Fixtures are made by code (`fixtures.py`).

{table(measured)}
{datetime.now(UTC):%Y-%m-%d}; {os.cpu_count()} cores, {_processor()}, Python {platform.python_version()}, {versions}.
"""


def _processor() -> str:
    """The processor's name, where the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _key(one: Measured) -> str:
    """Name of a way in the file of ratios."""
    return f"{one.work}/{one.way}"


def _log(line: str) -> None:
    """Tell people."""
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
