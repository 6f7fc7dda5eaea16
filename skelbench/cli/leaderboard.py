"""`skelbench leaderboard`: tables from records, and nothing else."""

from pathlib import Path

import click

from skelbench.cli import output
from skelbench.cli.options import PATH, json_option, overwrite_option

EXAMPLES = """\b
Examples:
  skelbench leaderboard
  skelbench leaderboard --check
  skelbench leaderboard --publish
"""


@click.command("leaderboard", short_help="Build the tables from the records.", epilog=EXAMPLES)
@click.option("--check", is_flag=True, help="Write nothing; exit 1 when a table differs from its records.")
@click.option(
    "--publish", is_flag=True, help="First copy the records of runs/, without predictions, beside the tables."
)
@click.option("--out", type=PATH, default="leaderboards", show_default=True, help="Folder of the tables.")
@overwrite_option
@json_option
def command(*, check: bool, publish: bool, out: Path, overwrite: str, as_json: bool) -> None:
    """Build the Markdown tables from the records in runs/ and OUT/records/.

    One page a data set and protocol, OUT/README.md is the index. A table holds only what scored the same samples;
    tables of synthetic data stand apart, marked.
    """
    from skelbench.leaderboard import boards
    from skelbench.workspace import runs_folder

    if check and publish:
        raise click.UsageError("--check writes nothing and --publish writes: give one of them.")
    runs, records = runs_folder(), out / "records"
    if check:
        _check(boards.check(runs, records, out), as_json=as_json)
        return
    if publish:
        copied = boards.publish(runs, records, overwrite="always" if overwrite == "always" else "never")
        click.echo(f"{len(copied.written)} records copied to {records}", err=True)
        for path, reason in copied.left:
            click.echo(f"left: {path}: {reason}", err=True)
    built = boards.build(runs, records, out)
    if as_json:
        output.emit([str(path) for path in built.written])
        return
    for path in built.written:
        click.echo(path)
    for path in built.removed:
        click.echo(f"removed: {path}", err=True)


def _check(differences: list[str], *, as_json: bool) -> None:
    """Say where tables and records differ."""
    if as_json:
        output.emit(differences)
    else:
        click.echo("\n".join(differences) or "Every table is what its records say.")
    if differences:
        raise click.exceptions.Exit(1)
