"""`skelbench verify`: whether a store is what it says."""

from pathlib import Path

import click

from skelbench.cli import output
from skelbench.cli.options import PATH, json_option

EXAMPLES = """\b
Examples:
  skelbench verify ntu60
  skelbench verify data/smarthome --strict
"""


@click.command("verify", short_help="Check that a store is what it says.", epilog=EXAMPLES)
@click.argument("store", type=PATH)
@click.option("--strict", is_flag=True, help="Remarks count as errors.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes.  [default: as many as pay off]")
@json_option
def command(store: Path, strict: bool, workers: int | None, as_json: bool) -> None:
    """Check every file, range and digest of STORE (a name or a path), and whether its content makes sense.

    Errors, with exit code 1, are damage, values out of range, parts of a protocol that share what they must not, and
    people who cannot have the size that the unit says. Remarks are what real recordings have and users should know:
    clips without a pose, the same poses under two ids, classes that a part lacks, counts that differ from the official.
    """
    from skelbench.audit import audit
    from skelbench.convert.workers import worker_count
    from skelbench.crew import crew
    from skelbench.workspace import store_path

    folder = store_path(str(store))
    samples = _samples(folder)
    with crew(worker_count(workers, samples) - 1) as helpers:
        findings = audit(folder, helpers)
    errors = [finding for finding in findings if strict or finding.level == "error"]
    if as_json:
        output.emit([vars(finding) for finding in findings])
    else:
        if not errors:
            click.echo(f"{folder}: whole; every file, range and digest is as written.")
        for finding in findings:
            mark = "" if finding in errors else "remark: "
            click.echo(f"{mark}{folder / finding.file}: {finding.problem}")
    if errors:
        raise click.exceptions.Exit(1)


def _samples(store: Path) -> int:
    """How much there is to read; 0 where the store does not say."""
    from skelbench.errors import StoreError
    from skelbench.store.schema import read_info

    try:
        return read_info(store).samples
    except StoreError:
        return 0
