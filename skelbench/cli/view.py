"""`skelbench view`: a sample as pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from skelbench.cli import output
from skelbench.cli.options import PATH, json_option
from skelbench.errors import UsageError, nearest

if TYPE_CHECKING:
    from skelbench.sample import Sample
    from skelbench.store.reader import Store

EXAMPLES = """\b
Examples:
  skelbench view nw_ucla a01_s01_e00_v01
  skelbench view data/ntu60 0 --prepare ctr
  skelbench view smarthome 12 --prepare "by-position select-energy:1" --out pictures
"""


@click.command("view", short_help="A sample as pictures, an animation, and a page that plays it.", epilog=EXAMPLES)
@click.argument("store", type=PATH)
@click.argument("sample")
@click.option("--prepare", "steps", multiple=True, metavar="LIST", help="Show it before and after these steps.")
@click.option("--moments", type=click.IntRange(1, 40), default=8, show_default=True, help="Pictures in the strip.")
@click.option("--rerun", is_flag=True, help="Write a recording for the viewer Rerun too (extra `view`).")
@click.option("--out", type=PATH, default=Path("views"), show_default=True, help="Folder of the pictures.")
@json_option
def command(  # noqa: PLR0913  (click passes each option by name)
    store: Path, sample: str, steps: tuple[str, ...], moments: int, rerun: bool, out: Path, as_json: bool
) -> None:
    """Draw SAMPLE (an id, or a number from 0) of STORE (a name or path) as a strip, an animation and a page.

    The strip is a PNG, the animation a GIF; the page (HTML, one file, no network) plays the sample, steps by frames,
    and turns what is in space.

    Persons have colours. A missing joint is a grey cross where it was seen last, its bones are thin and grey. Steps of
    --prepare are named as in recipes, separated by spaces; a list such as `ctr` stands for its steps.
    """
    from skelbench.figures.album import draw_sample
    from skelbench.store.reader import open_store
    from skelbench.workspace import store_path

    opened = open_store(store_path(str(store)))
    found = _sample(opened, sample)
    wanted = [step for text in steps for step in text.split()]
    written = draw_sample(opened, found, wanted, out, moments=moments, rerun=rerun)
    if as_json:
        output.emit({"sample": found.sample_id, "frames": found.n_frames, "files": list(map(str, written))})
    else:
        click.echo("\n".join(map(str, written)))


def _sample(opened: Store, wanted: str) -> Sample:
    """A sample by its id, or by its number."""
    if wanted in opened:
        return opened[wanted]
    if wanted.isdecimal() and int(wanted) < len(opened):
        return opened[int(wanted)]
    first = opened.ids[: min(3, len(opened))]
    known = nearest(wanted, opened.ids) if len(opened) < 1000 else f"The first are {', '.join(first)}."
    raise UsageError(f"No sample '{wanted[:80]}' among the {len(opened):,} of {opened.path}. {known[:300]}")
