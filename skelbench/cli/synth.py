"""`skelbench synth`: raw twins of data sets that nobody may hand on."""

from pathlib import Path
from typing import Any

import click

from skelbench.cli import output
from skelbench.cli.options import PATH, json_option

EXAMPLES = """\b
Examples:
  skelbench synth ntu60 --samples 600
  skelbench synth nw_ucla --samples 200 --seed 7 --zip
  skelbench convert ntu60 --raw raw/ntu60 --out data/ntu60_twin
"""


@click.command("synth", short_help="Make up raw files of a data set.", epilog=EXAMPLES)
@click.argument("name")
@click.option("--samples", type=click.IntRange(min=1), default=256, show_default=True, help="How many recordings.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of all that is drawn.")
@click.option("--out", type=PATH, help="An empty or new folder.  [default: raw/NAME]")
@click.option("--zip", "archive", is_flag=True, help="Pack the files into NAME.zip in that folder.")
@click.option("--defects", is_flag=True, help="Add the known defects of the real recordings, and damaged files.")
@json_option
def command(*, name: str, out: Path | None, as_json: bool, **given: Any) -> None:
    """Make up raw files of the data set NAME, in its owner's form: a body that moves, seen by cameras that err.

    Classes can be learnt, subjects differ in size and style. The folder is marked SYNTHETIC.json, and so is
    everything that is made from it.
    """
    from skelbench.synthetic.raw import write_raw

    folder = out or Path("raw") / Path(name).stem
    written = write_raw(name, folder, **given)
    if as_json:
        output.emit({"out": str(folder), "samples": written.samples, "files": written.files, "bytes": written.bytes,
                     "defects": dict(written.defects)})  # fmt: skip
        return
    click.echo(
        f"{folder}: {written.samples:,} made-up samples in {written.files:,} files, {output.size(written.bytes)}"
    )
    for defect, count in written.defects.items():
        click.echo(f"  {count:,} with {defect}")
