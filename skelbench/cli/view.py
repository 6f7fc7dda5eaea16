"""`skelbench view`: a sample as pictures."""

from pathlib import Path

import click

from skelbench.cli import output
from skelbench.cli.options import PATH, json_option
from skelbench.errors import UsageError, nearest

EXAMPLES = """\b
Examples:
  skelbench view nw_ucla a01_s01_e00_v01
  skelbench view data/ntu60 0 --prepare ctr
  skelbench view smarthome 12 --prepare "by-position select-energy:1" --out pictures
"""


@click.command("view", short_help="A sample as a strip of pictures and an animation.", epilog=EXAMPLES)
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
    """Draw SAMPLE (an id, or a number from 0) of STORE (a name or path) as PNG and animated GIF.

    Persons have colours. A missing joint is a grey cross where it was seen last, its bones are thin and grey. Steps of
    --prepare are named as in recipes, separated by spaces; a list such as `ctr` stands for its steps.
    """
    from skelbench.figures.view import draw_view, label_of, scene
    from skelbench.prepare.run import check_prepare, prepare, prepared_layout
    from skelbench.store.reader import open_store
    from skelbench.workspace import store_path

    opened = open_store(store_path(str(store)))
    card = opened.card
    if sample not in opened and not (sample.isdecimal() and int(sample) < len(opened)):
        first = opened.ids[: min(3, len(opened))]
        known = nearest(sample, opened.ids) if len(opened) < 1000 else f"The first are {', '.join(first)}."
        raise UsageError(f"No sample '{sample[:80]}' among the {len(opened):,} of {opened.path}. {known[:300]}")
    found = opened[sample] if sample in opened else opened[int(sample)]
    shown = [(found.sample_id, prepare(found, check_prepare(()), card.layout), card.layout)]
    wanted = tuple(step for text in steps for step in text.split())
    if wanted:
        listed = check_prepare(wanted)
        after = prepare(found, listed, card.layout)
        shown.append((f"after {', '.join(listed)}", after, prepared_layout(listed, card.layout)))
    channels = card.channels
    scenes = [
        scene(one, layout, channels, f"{name}, {label_of(found, card)}" if place == 0 else name)
        for place, (name, one, layout) in enumerate(shown)
    ]
    written = [*draw_view(scenes, card.fps, out, moments=moments)]
    if rerun:
        from skelbench.figures.rerun import write_rerun

        written.append(write_rerun(shown, channels, written[0].with_suffix(".rrd")))
    if as_json:
        output.emit({"sample": found.sample_id, "frames": found.n_frames, "files": list(map(str, written))})
    else:
        click.echo("\n".join(map(str, written)))
