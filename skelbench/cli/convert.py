"""`skelbench convert`: raw data in, a verified store out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skelbench.cli import output
from skelbench.cli.options import PATH, dry_run_option, json_option, overwrite_option

if TYPE_CHECKING:
    from skelbench.convert import MergePlan, PlanReport, Progress, Report

OF_FORMS = ("own", "pyskl", "ctrgcn_npz", "stgcn_npy")  # converters of a form, not of a set: the card names the store
EXAMPLES = """\b
Examples:
  skelbench convert ntu60 --raw nturgbd_skeletons_s001_to_s017.zip
  skelbench convert nw_ucla --raw all_sqe.zip --dry-run
  skelbench convert penn_action --raw Penn_Action/labels --limit 200 --out data/penn_200
  skelbench convert smarthome --raw smarthome_skeletons --channels u,v
  skelbench convert own --raw my_recordings --card my.toml
  skelbench convert posecap --raw posecap --shard 2/8
  skelbench convert posecap --merge data/posecap.*-of-8
"""


@click.command("convert", short_help="Raw data in, a verified store out.", epilog=EXAMPLES)
@click.argument("name")
@click.argument("parts", nargs=-1, type=PATH)
@click.option("--raw", type=PATH, multiple=True, help="Folder, zip or tar; repeat for several.")
@click.option(
    "--out", type=PATH, help="The store's own path.  [default: data/NAME, of one's own data by the card's name]"
)
@click.option("--card", type=PATH, help="A card of your own instead of the converter's.")
@click.option("--channels", default="", metavar="LIST", help="Keep only these, such as u,v.  [default: all]")
@click.option("--workers", type=click.IntRange(min=1), help="Processes.  [default: as many as pay off]")
@click.option("--limit", type=click.IntRange(min=1), help="Only N items, spread over classes, subjects and cameras.")
@click.option("--shard", metavar="I/N", help="Convert part I of N only, on any machine that sees the raw data.")
@click.option("--merge", is_flag=True, help="Join parts into one store: those named after it, or all in data/.")
@overwrite_option
@dry_run_option
@json_option
def command(dry_run: bool, as_json: bool, **given: Any) -> None:
    """Convert the raw data of NAME (a registered data set, or the path of a converter) into a store.

    The store is written beside its place, re-read, verified, then renamed: it is there whole or not at all.
    A conversion that was stopped goes on where it was when the same command is given again. Large sets may be
    converted in PARTS, on several machines, and joined: the store is that of one conversion, byte for byte.
    """
    from skelbench.convert import Request, convert, plan_report

    if given.pop("merge"):
        _merge(dry_run, as_json, given)
        return
    if given.pop("parts"):
        raise click.UsageError("parts are joined by --merge, which is not given; raw data are named by --raw.")
    if not given["raw"]:
        raise click.UsageError("Missing option '--raw': where the raw data of the set are.")
    shard = _shard(given.pop("shard"))
    channels = tuple(name.strip() for name in given.pop("channels").split(",") if name.strip())
    named = given["card"] if given["card"] and given["name"] in OF_FORMS else Path(given["name"])
    out = given.pop("out") or _place(named, shard)
    request = Request(converter=given.pop("name"), out=out, channels=channels, shard=shard, **given)
    if dry_run:
        plan = plan_report(request)
        output.emit(plan.as_json()) if as_json else _show_plan(plan)
        return
    with _bar() as on_progress:
        report = convert(request, on_progress=on_progress)
    output.emit(report.as_json()) if as_json else _show(report)


def _place(named: Path, shard: tuple[int, int] | None) -> Path:
    """Where a store stands that no --out names."""
    from skelbench.workspace import data_folder

    return data_folder() / (f"{named.stem}.{shard[0]}-of-{shard[1]}" if shard else named.stem)


def _shard(text: str | None) -> tuple[int, int] | None:
    """Read `2/8`."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text, re.ASCII)
    if match is None:
        raise click.UsageError(f"--shard is '{text[:40]}', expected part and parts such as 2/8.")
    return int(match[1]), int(match[2])


def _merge(dry_run: bool, as_json: bool, given: dict[str, Any]) -> None:
    """Join parts."""
    from skelbench.convert import MergeRequest, merge, merge_plan

    for name in ("raw", "shard", "limit", "channels", "card"):
        if given[name]:
            raise click.UsageError(f"--merge joins parts that are converted; --{name} has no meaning there.")
    request = MergeRequest(
        converter=given["name"],
        parts=given["parts"],
        out=given["out"],
        workers=given["workers"],
        overwrite=given["overwrite"],
    )
    if dry_run:
        with _bar() as on_progress:
            plan = merge_plan(request, on_progress=on_progress)
        output.emit(plan.as_json()) if as_json else _show_merge(plan)
        if plan.problem:
            raise plan.problem
        return
    with _bar() as on_progress:
        report = merge(request, on_progress=on_progress)
    output.emit(report.as_json()) if as_json else _show(report)


@contextmanager
def _bar() -> Iterator[Callable[[Progress], None]]:
    """A progress bar for each stage, with rate, time left and rejects."""
    from tqdm import tqdm

    bars: dict[str, Any] = {}

    def update(progress: Progress) -> None:
        """Move the bar."""
        bar = bars.get(progress.stage)
        if bar is None:
            for former in bars.values():
                former.close()
            scaled = progress.unit == "bytes"
            unit = "B" if scaled else f" {progress.unit}"
            bar = tqdm(
                desc=progress.stage, total=progress.total, initial=progress.done, unit=unit, unit_scale=scaled,
                disable=not output.progress_wanted(),
            )  # fmt: skip
            bars[progress.stage] = bar
        bar.update(progress.done - bar.n)
        if progress.rejects:
            bar.set_postfix_str(f"{progress.rejects} rejects", refresh=False)

    try:
        yield update
    finally:
        for bar in bars.values():
            bar.close()


def _show(report: Report) -> None:
    """A finished conversion, for people; terms and citation once, at the end."""
    done = report.state == "done"
    click.echo(f"{report.store}: {'done already' if done else f'written and verified in {report.seconds:.1f} s'}")
    output.pairs({
        "samples": f"{report.samples:,}",
        "rejects": f"{report.rejects:,}" + (" (rejects.parquet has each)" if report.rejects else ""),
        "other members": _others(report),
        "fingerprint": report.fingerprint,
        "synthetic": "yes: made up, no recording" if report.synthetic else "",
    })  # fmt: skip
    _show_reasons(report)
    for difference in report.official.get("differences", []):
        click.echo(f"against the official numbers, {difference}")
    if not report.synthetic and not done:
        click.echo(f"licence: {report.licence}\ncite: {report.citation}", err=True)


def _show_plan(plan: PlanReport) -> None:
    """A dry run, for people."""
    output.pairs({
        "store": f"{plan.store}  ({plan.state})",
        "raw items": f"{plan.planned:,}",
        "to read": f"{plan.items:,} items, {output.size(plan.bytes)}",
        "limit": plan.limit and f"{plan.limit['items']:,}, spread over {', '.join(plan.limit['over']) or 'all'}",
        "other members": _others(plan),
        "space": f"about {output.size(plan.space)} ({plan.basis})" if plan.space is not None else plan.basis,
        "synthetic": "yes: made up, no recording" if plan.synthetic else "",
    })  # fmt: skip
    _show_reasons(plan)
    for difference in plan.official.get("differences", []):
        click.echo(f"against the official numbers, {difference}")


def _show_merge(plan: MergePlan) -> None:
    """A dry run of a merge, for people: every part that is there or missing."""
    rows: list[dict[str, object]] = [
        {
            "part": f"{one.part} of {one.of}" if one.part else "none",
            "store": str(one.path),
            "samples": f"{one.samples:,}",
            "rejects": f"{one.rejects:,}",
            "size": output.size(one.bytes),
        }
        for one in plan.parts
    ]
    rows += [{"part": f"{part}", "store": "missing", "samples": "", "rejects": "", "size": ""} for part in plan.missing]
    if rows:
        output.table(rows, rows[0])
    if plan.problem is None:
        size = sum(one.bytes for one in plan.parts)
        click.echo()
        output.pairs({
            "store": f"{plan.store}  ({plan.state})",
            "samples": f"{sum(one.samples for one in plan.parts):,}",
            "space": f"about {output.size(size)}, beside the parts",
        })  # fmt: skip


def _others(report: Report | PlanReport) -> str:
    """How many raw members were passed over; empty when none."""
    return f"{report.ignored:,} that belong to no item, such as {report.such_as}" if report.ignored else ""


def _show_reasons(report: Report | PlanReport) -> None:
    """Rejects by kind, the most frequent first."""
    groups = report.reasons if hasattr(report, "reasons") else report.rejects
    for group in groups[:8]:
        click.echo(f"  {group.count:,} rejected, such as {group.example}: {group.reason}")
    if len(groups) > 8:
        click.echo(f"  and {len(groups) - 8} more kinds")
