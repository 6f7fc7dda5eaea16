"""`skelbench demo`: the whole way on made-up data, in a folder of its own."""

import os
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from skelbench.cli.options import PATH

STEPS = (
    "synth ntu60 --samples {samples} --zip --defects --out {raw}",
    "convert ntu60 --raw {raw}/ntu60.zip --out {data}/ntu60",
    "run --dataset {data}/ntu60 --method majority --seeds 3",
    "run --dataset {data}/ntu60 --method posestats --seeds 3",
    # a twin is so small that ten epochs would be but a few steps
    "run --dataset {data}/ntu60 --model lite --recipe small --seeds 3 -o optim.epochs=30 -o data.batch=32",
    "leaderboard --out {boards}",
)


@click.command("demo", short_help="The whole way on made-up data.", epilog="Example:  skelbench demo --samples 300")
@click.option("--out", type=PATH, default="demo", show_default=True, help="Folder of all that it makes.")
@click.option("--samples", type=click.IntRange(min=64), default=600, show_default=True, help="Made-up recordings.")
def command(out: Path, samples: int) -> None:
    """Make raw files up, convert them, run two baselines and a network, build the board; minutes on two cores.

    Each step is a command, printed before it runs so that it can be repeated by hand. Nothing in it is a recording.
    """
    from skelbench.cli import cli

    started = time.perf_counter()
    places = {"raw": out / "raw", "data": out / "data", "boards": out / "leaderboards"}
    with _runs_in(out / "runs"):
        for step in STEPS:
            line = step.format(samples=samples, **{name: shlex.quote(str(place)) for name, place in places.items()})
            click.echo(f"\n$ skelbench {line}", err=True)
            if line.startswith("synth") and any((out / "raw").glob("*.zip")):
                click.echo("made already", err=True)
                continue
            code = cli.main(shlex.split(line), standalone_mode=False)
            if code:
                raise click.exceptions.Exit(code)
    minutes = (time.perf_counter() - started) / 60
    board = places["boards"] / "synthetic" / "ntu60-xsub.md"
    click.echo(f"\n{board.read_text(encoding='utf-8')}\nmade in {minutes:.1f} minutes; the table stands in {board}")


@contextmanager
def _runs_in(folder: Path) -> Iterator[None]:
    """Let runs stand in a folder of the demo, as SKELBENCH_RUNS would."""
    before = os.environ.get("SKELBENCH_RUNS")
    os.environ["SKELBENCH_RUNS"] = str(folder)
    click.echo(f"export SKELBENCH_RUNS={shlex.quote(str(folder))}", err=True)
    try:
        yield
    finally:
        if before is None:
            del os.environ["SKELBENCH_RUNS"]
        else:
            os.environ["SKELBENCH_RUNS"] = before
