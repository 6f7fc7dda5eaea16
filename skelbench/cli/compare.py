"""`skelbench compare`: two runs, or two groups of seeds, set against each other."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from skelbench.cli import output
from skelbench.cli.options import json_option

if TYPE_CHECKING:
    from skelbench.compare import Comparison

EXAMPLES = """\b
Examples:
  skelbench compare runs/nw_ucla/xview/lite-supervised-joint runs/nw_ucla/xview/lite-supervised-bone
  skelbench compare 15ac5d1b 87c1e02f --json
"""


@click.command("compare", short_help="Set two runs against each other.", epilog=EXAMPLES)
@click.argument("a")
@click.argument("b")
@json_option
def command(a: str, b: str, as_json: bool) -> None:
    """Say how far run B is from run A, how sure that is, in which classes they differ, and what differs in them.

    A and B are folders, record.json files or first digits of keys; several seeds of a key count together. The
    interval is paired: both are scored on the same test subjects, drawn again and again.
    """
    from skelbench.compare import compare

    found = compare(a, b)
    output.emit(asdict(found)) if as_json else _show(found, a, b)


def _show(found: Comparison, a: str, b: str) -> None:
    """The difference, then tables: single runs, classes, what differs."""
    from skelbench.metrics import of_frames, shown

    click.echo(f"{found.metric} of {found.n} {'frames' if of_frames(found.metric) else 'samples'}\n")
    sides = (("A", a, found.a, found.values_a), ("B", b, found.b, found.values_b))
    rows = [
        {
            "": side,
            "run": name,
            found.metric: shown(mean, found.metric),
            "by seed": ", ".join(shown(value, found.metric) for value in values) if len(values) > 1 else "",
        }
        for side, name, mean, values in sides
    ]
    output.table(rows, rows[0])
    click.echo(f"\nB - A  {_points(found.difference, found.metric)}")
    many = f"{found.units} {found.over}s"
    if found.interval is None:
        click.echo(f"no interval: {many}, or a value that some resamples lack")
    else:
        click.echo(f"95 % interval over {many}: {_span(found.interval, found.metric)}")
    if found.seeds_interval is not None:
        click.echo(f"95 % interval over seeds: {_span(found.seeds_interval, found.metric)}")
    else:
        click.echo("what other seeds would give is not known: that takes three of each")
    click.echo(f"{found.better} is better" if found.better else "the two are not told apart")
    if found.mcnemar:
        click.echo("\nMcNemar, exact, run by run")
        pairs: list[dict[str, Any]] = [
            {"seed A": row.seed_a, "seed B": row.seed_b, "only A right": row.only_a, "only B right": row.only_b,
             "p": f"{row.p:.2g}"}
            for row in found.mcnemar
        ]  # fmt: skip
        output.table(pairs, pairs[0])
    _show_classes(found)
    click.echo("\nwhat differs" if found.differs else "\nnothing differs in data, split, settings, code and machine")
    output.table([asdict(row) for row in found.differs], ("what", "a", "b"))


def _show_classes(found: Comparison) -> None:
    """The classes, from the one that lost most to the one that won most."""
    from skelbench.metrics import of_frames, shown

    if not found.classes:
        return
    counted = "frames" if of_frames(found.metric) else "samples"
    click.echo(f"\nclasses by {found.per_class}")
    rows: list[dict[str, Any]] = [
        {"class": row.name, counted: row.n, "A": shown(row.a, "top1"), "B": shown(row.b, "top1"),
         "B - A": _points(row.difference, "top1")}
        for row in found.classes
    ]  # fmt: skip
    output.table(rows, rows[0])


def _points(value: float | None, metric: str) -> str:
    """A difference: in points where the metric is a share."""
    from skelbench.metrics import PLAIN

    if value is None:
        return "not defined"
    return f"{value:+.4g}" if metric in PLAIN else f"{round(100 * value, 2) + 0.0:+.2f} points"  # no -0.00


def _span(bounds: tuple[float, float], metric: str) -> str:
    """Both bounds of an interval."""
    low, high = (_points(value, metric).removesuffix(" points") for value in bounds)
    return f"{low} to {high}"
