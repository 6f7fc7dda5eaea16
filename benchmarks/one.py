"""One run of one way of one work, in a process of its own: what `measure.rounds` starts."""

import json
import sys
from pathlib import Path

from benchmarks.measure import run_here
from benchmarks.works import GROWTH, WORKS


def main() -> None:
    """Arguments: names of the work and of the way, and the folder of the raw data."""
    name, wanted, raw = sys.argv[1:]
    way = next(way for way in (WORKS | GROWTH)[name].ways if way.name == wanted)
    print(json.dumps(run_here(way, Path(raw))))  # noqa: T201  (what the caller reads)


if __name__ == "__main__":
    main()
