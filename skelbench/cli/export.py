"""`skelbench export`: a store in the files that others' code reads."""

from pathlib import Path

import click

from skelbench.cli import output
from skelbench.cli.options import PATH, json_option, overwrite_option

FORMS = ("pyskl", "ctrgcn", "stgcn", "parquet", "hf")
EXAMPLES = """\b
Examples:
  skelbench export penn_action --to pyskl
  skelbench export ntu60 --to ctrgcn --protocol xsub --prepare ctr
  skelbench export ntu60 --to stgcn --protocol xview --prepare agcn --out ntu/xview
  skelbench export nw_ucla --to hf --out nw_ucla_hf
"""


@click.command("export", short_help="A store in the files that others' code reads.", epilog=EXAMPLES)
@click.argument("store", type=PATH)
@click.option("--to", "form", type=click.Choice(FORMS), required=True, help="The form.")
@click.option("--out", type=PATH, help="File or folder to write.  [default: the store's name in the current folder]")
@click.option("--protocol", help="Parts to write.  [default: all that the form can hold, else the first]")
@click.option(
    "--prepare", multiple=True, metavar="STEP", help="Of ctrgcn and stgcn: a step or list; repeat.  [default: by-id]"
)
@click.option("--frames", type=click.IntRange(1, 100_000), help="Of their clips.  [default: 300]")
@click.option("--persons", type=click.IntRange(1, 100), help="Of their clips.  [default: 2]")
@overwrite_option
@json_option
def command(store: Path, form: str, prepare: tuple[str, ...], overwrite: str, as_json: bool, **given: object) -> None:
    """Write STORE (a name or a path) as others' code reads it.

    pyskl: one pickle of PYSKL and MMAction2. ctrgcn: one npz. stgcn: npy and pkl of both parts, as ST-GCN, 2s-AGCN,
    MS-G3D and UNIK read them. parquet: one file, one row a sample, nothing lost. hf: a folder for Hugging Face's
    `load_dataset`, one configuration a protocol, with croissant.json.
    """
    from skelbench.export import Request, export
    from skelbench.workspace import store_path

    folder = store_path(str(store))
    again = overwrite == "always"
    asked = Request(folder, form, prepare=prepare, overwrite=again, **given)  # type: ignore[arg-type] # click's
    done = export(asked)
    if as_json:
        output.emit({"out": str(done.out), "bytes": done.bytes, "said": list(done.said)})
        return
    click.echo(f"{done.out}: {done.bytes / 1e6:,.1f} MB")
    for line in done.said:
        click.echo(f"  {line}")
