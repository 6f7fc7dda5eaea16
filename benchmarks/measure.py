"""Several ways to do one work, measured side by side: each run in a process of its own, on one core, in turns."""

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Done:
    """What one run did."""

    items: int
    megabytes: float = 0.0  # of raw data, 10^6 bytes each; 0 where there is none
    digest: Callable[[], str] | None = None  # of the values it found, taken off the clock; all must be the same


Timed = Callable[[], Done]


@dataclass(frozen=True)
class Way:
    """One way to do a work."""

    name: str
    begin: Callable[[Path], Timed]  # imports and warms up on the folder of the raw data; what it returns is timed
    cores: int = 1
    without: tuple[str, ...] = ()  # packages that this way must do without


@dataclass(frozen=True)
class Work:
    """Something to be done, and the ways to do it."""

    name: str
    what: str  # for the table
    items: str  # what is counted
    make: Callable[[Path], object]  # of the raw data, into this folder
    ways: tuple[Way, ...]  # the first is the peers'; the others are measured against it
    limit: str  # what no way can pass, with its source
    child: tuple[str, ...] = ("benchmarks.one",)  # the module that runs one way, and its arguments


@dataclass(frozen=True)
class Measured:
    """All rounds of one way."""

    work: str
    way: str
    seconds: tuple[float, ...]
    peak: float  # MB, the greatest of all rounds; with several processes, all of them together
    items: int
    megabytes: float
    ratios: tuple[float, ...]  # to the first way, round by round

    @property
    def second(self) -> float:
        """The median."""
        return statistics.median(self.seconds)

    @property
    def ratio(self) -> float:
        """How many times as fast as the first way: the median over rounds."""
        return statistics.median(self.ratios)


def rounds(work: Work, folder: Path, count: int, log: Callable[[str], object]) -> list[Measured]:
    """Measure all ways of a work, in turns.

    Args:
        work: What is done.
        folder: For its raw data, which is made where it is missing, and for what the ways write.
        count: How often each way runs.
        log: Given a line for each run.

    Returns:
        One entry a way, in their order.

    Raises:
        RuntimeError: If a run fails, or two ways find other values.
    """
    raw = folder / "raw"
    if not raw.is_dir():
        work.make(raw)
    told: dict[str, list[dict[str, Any]]] = {way.name: [] for way in work.ways}
    for number in range(count):
        for way in work.ways if number % 2 == 0 else work.ways[::-1]:  # what slows down over time hits all alike
            told[way.name].append(_run(work, way, raw))
            log(f"{work.name}, {way.name}, round {number + 1} of {count}: {told[way.name][-1]['seconds']:.3f} s")
    if len({one["digest"] for runs in told.values() for one in runs if one["digest"]}) > 1:
        raise RuntimeError(f"{work.name}: the ways do not find the same values.")
    first = told[work.ways[0].name]
    return [_measured(work.name, way.name, told[way.name], first) for way in work.ways]


def _measured(work: str, way: str, runs: Sequence[dict[str, Any]], first: Sequence[dict[str, Any]]) -> Measured:
    """All rounds of a way, beside those of the first one, by items a second: ways may do different numbers of them."""
    seconds = tuple(one["seconds"] for one in runs)
    return Measured(
        work,
        way,
        seconds,
        peak=max(one["peak"] for one in runs),
        items=runs[0]["items"],
        megabytes=runs[0]["megabytes"],
        ratios=tuple(_rate(ours) / _rate(theirs) for theirs, ours in zip(first, runs, strict=True)),
    )


def _rate(one: dict[str, Any]) -> float:
    """Items a second."""
    return float(one["items"] / one["seconds"])


def _run(work: Work, way: Way, raw: Path) -> dict[str, Any]:
    """One run, in a process of its own."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    command = [sys.executable, "-m", *work.child, work.name, way.name, str(raw)]
    done = subprocess.run(command, env={**os.environ, **threads}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{work.name}, {way.name}: {done.stderr[-2000:]}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def run_here(way: Way, raw: Path) -> dict[str, Any]:
    """What the process of one run does: keep to its cores, warm up, work against the clock, and tell."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: way.cores])
    for package in way.without:
        sys.modules[package] = None  # type: ignore[assignment]  # how Python is told that there is no such module
    timed = way.begin(raw)
    os.sync()  # what ways before this one wrote is not to be waited for by one that puts its own on the disk
    begin = time.perf_counter()
    done = timed()
    seconds = time.perf_counter() - begin
    who = (resource.RUSAGE_SELF, *([resource.RUSAGE_CHILDREN] * (way.cores > 1) * way.cores))
    peak = sum(resource.getrusage(one).ru_maxrss for one in who) / 1e3
    digest = done.digest() if done.digest else ""
    return {"seconds": seconds, "peak": peak, "items": done.items, "megabytes": done.megabytes, "digest": digest}


def emptied(folder: Path) -> Path:
    """A folder's name with nothing there, beside the raw data of a run."""
    shutil.rmtree(folder, ignore_errors=True)
    return folder
