"""`skelbench leaderboard`: tables from records, and nothing else."""

from pathlib import Path
from typing import Any

import click

from skelbench.cli import output
from skelbench.cli.options import PATH, json_option, overwrite_option

EXAMPLES = """\b
Examples:
  skelbench leaderboard
  skelbench leaderboard --check
  skelbench leaderboard --publish
  skelbench leaderboard --latex
"""


@click.command("leaderboard", short_help="Build the tables from the records.", epilog=EXAMPLES)
@click.option("--check", is_flag=True, help="Write nothing; exit 1 when a table differs from its records.")
@click.option(
    "--publish", is_flag=True, help="First copy the records of runs/, without predictions, beside the tables."
)
@click.option("--all", "everything", is_flag=True, help="With --publish: also --limit, --tune and synthetic runs.")
@click.option("--latex", is_flag=True, help="A LaTeX file beside each page; from then on it is kept up and checked.")
@click.option("--out", type=PATH, default="leaderboards", show_default=True, help="Folder of the tables.")
@overwrite_option
@json_option
def command(*, out: Path, latex: bool, as_json: bool, **given: Any) -> None:
    """Build the Markdown tables from the records in runs/ and OUT/records/.

    One page a data set and protocol, OUT/README.md is the index. A table holds only what scored the same samples;
    tables of synthetic data stand apart, marked.
    """
    from skelbench.leaderboard import boards
    from skelbench.workspace import runs_folder

    if given["check"] and given["publish"]:
        raise click.UsageError("--check writes nothing and --publish writes: give one of them.")
    if given["everything"] and not given["publish"]:
        raise click.UsageError("--all says what to publish: give it with --publish.")
    runs, records = runs_folder(), out / "records"
    if given["check"]:
        _check(boards.check(runs, records, out, tex=latex), as_json=as_json)
        return
    if given["publish"]:
        _publish(runs, records, overwrite=given["overwrite"], everything=given["everything"])
    built = boards.build(runs, records, out, tex=latex)
    if as_json:
        output.emit([str(path) for path in built.written])
        return
    for path in built.written:
        click.echo(path)
    for path in built.removed:
        click.echo(f"removed: {path}", err=True)


def _publish(runs: Path, records: Path, *, overwrite: str, everything: bool) -> None:
    """Copy records, and say which were left and why."""
    from skelbench.leaderboard.publish import publish

    copied = publish(
        runs,
        records,
        overwrite="always" if overwrite == "always" else "never",
        which="all" if everything else "whole",
    )
    click.echo(f"{len(copied.written)} records copied to {records}", err=True)
    for path, reason in copied.left:
        click.echo(f"left: {path}: {reason}", err=True)


def _check(differences: list[str], *, as_json: bool) -> None:
    """Say where tables and records differ."""
    if as_json:
        output.emit(differences)
    else:
        click.echo("\n".join(differences) or "Every table is what its records say.")
    if differences:
        raise click.exceptions.Exit(1)
