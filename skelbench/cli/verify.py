"""`skelbench verify`: whether a store is what it says."""

from pathlib import Path

import click

from skelbench.cli import output
from skelbench.cli.options import PATH, json_option


@click.command(
    "verify", short_help="Check that a store is what it says.", epilog="Example:  skelbench verify data/ntu60"
)
@click.argument("store", type=PATH)
@json_option
def command(store: Path, as_json: bool) -> None:
    """Check every file, range and digest of STORE (a name or a path); exit code 1 when something is wrong."""
    from skelbench.store.verify import verify_store
    from skelbench.workspace import store_path

    folder = store_path(str(store))
    findings = verify_store(folder)
    if as_json:
        output.emit([{"file": finding.file, "problem": finding.problem} for finding in findings])
    else:
        for finding in findings:
            click.echo(f"{folder / finding.file}: {finding.problem}")
        if not findings:
            click.echo(f"{folder}: whole; every file, range and digest is as written.")
    if findings:
        raise click.exceptions.Exit(1)
