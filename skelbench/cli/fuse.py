"""`skelbench fuse`: add up the predictions of several runs, and leave a record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from skelbench.cli import output
from skelbench.cli.options import PATH, dry_run_option, json_option, overwrite_option

if TYPE_CHECKING:
    from skelbench.fuse import Fused, FuseRequest

EXAMPLES = """\b
Examples:
  skelbench fuse runs/nw_ucla/xview/lite-supervised-joint runs/nw_ucla/xview/lite-supervised-bone
  skelbench fuse 15ac5d1b 87c1e02f 0b9a4e55 5d20f7a1 --weights 0.6,0.6,0.4,0.4
  skelbench fuse 15ac5d1b 87c1e02f --by softmax --weights learnt
"""


@click.command("fuse", short_help="Add up the predictions of several runs.", epilog=EXAMPLES)
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option(
    "--by", type=click.Choice(["logits", "softmax"]), default="logits", show_default=True, help="What is added up."
)
@click.option(
    "--weights",
    help="One number a run, such as 0.6,0.4; or `learnt` on validation parts (runs with --tune).  [default: 1 each]",
)
@click.option("--seeds", type=click.IntRange(min=1), help="Only the seeds 0 to N-1.  [default: all]", metavar="N")
@click.option("--seed", type=click.IntRange(min=0), multiple=True, help="Only this seed; repeat for several.")
@click.option("--out", type=PATH, help="Folder of the runs to write to.  [default: runs]")
@overwrite_option
@dry_run_option
@json_option
def command(*, dry_run: bool, as_json: bool, **given: Any) -> None:
    """Add up the predictions of each RUN, seed by seed, and leave a record and predictions of the result.

    A RUN is a folder, a record.json or the first digits of a key; the runs of one key are its seeds. Beside the
    result stand each run alone, the others without it, and the control: as many seeds of one run fused instead.
    """
    from skelbench.fuse import fuse

    results = fuse(_request(given), dry_run=dry_run)
    if as_json:
        output.emit([_json(result, dry_run=dry_run) for result in results])
        return
    _show(results)
    for result in results:
        told = "not written (--dry-run)" if dry_run else "written" if result.written else "done already"
        seed = f"seed {result.record.seed}" + ("" if result.record.fold is None else f", fold {result.record.fold}")
        click.echo(f"{seed}: {_value([_primary(result)], [result])}; {told}\n  {result.folder / 'record.json'}")


def _request(given: dict[str, Any]) -> FuseRequest:
    """The options as a request."""
    from skelbench.fuse import FuseRequest

    text, count = given["weights"], given["seeds"]
    if count is not None and given["seed"]:
        raise click.UsageError("--seeds N takes the seeds 0 to N-1, --seed S takes S: give one of them.")
    try:
        weights = tuple(float(part) for part in text.split(",")) if text not in (None, "learnt") else ()
    except ValueError as error:
        raise click.UsageError(f"--weights {text}: expected numbers with commas between them, or `learnt`.") from error
    return FuseRequest(
        runs=given["runs"],
        by=given["by"],
        weights=weights,
        learnt=text == "learnt",
        seeds=given["seed"] or tuple(range(count or 0)),
        overwrite=given["overwrite"],
        **({} if given["out"] is None else {"out": given["out"]}),
    )


def _show(results: list[Fused]) -> None:
    """A line for each run, means over the seeds; then all of them fused."""
    first, fusion = results[0].record, results[0].fusion
    seeds, folds = ({getattr(result.record, name) for result in results} for name in ("seed", "fold"))
    over = f"mean over {len(seeds)} seeds" if len(seeds) > 1 else f"seed {first.seed}"
    over += f", {len(folds)} folds together" if len(folds) > 1 else ""
    click.echo(f"{first.dataset} {first.protocol}: {first.primary}, {over}; {fusion.weights} weights, by {fusion.by}")
    learnt = [result.fusion.learnt for result in results if result.fusion.learnt is not None]
    if learnt:
        counts = "/".join(str(count) for count in dict.fromkeys(one.n for one in learnt))
        loss, equal = (
            sum(each) / len(learnt) for each in zip(*((one.loss, one.loss_equal) for one in learnt), strict=True)
        )
        mean = "mean loss" if len(learnt) > 1 else "loss"
        click.echo(
            f"learnt on {counts} samples of the validation part: {mean} {loss:.4f}, with equal weights {equal:.4f}"
        )
    click.echo()
    rows = []
    for place, run in enumerate(fusion.runs):
        each = [result.fusion.runs[place] for result in results]
        weight = sum(one.weight for one in each) / len(each)
        rows.append(
            {
                "run": run.key[:8],
                "model": run.model,
                "streams": "+".join(run.streams),
                "weight": f"{weight:.4g}",
                "alone": _value((one.alone for one in each), results),
                "the others": _value((one.left_out for one in each), results),
                "control": _control(results, run.key),
            }
        )
    rows.append({"run": "all fused", "alone": _value(map(_primary, results), results)})
    output.table(rows, rows[0])
    click.echo("\nthe others: fused without this run; control: seeds of this run fused with equal weights instead\n")


def _control(results: list[Fused], key: str) -> str:
    """What seeds of one run give; where they are too few, how many there are."""
    pairs = [(control, result) for result in results for control in result.fusion.controls if control.key == key]
    found, of = [control for control, _ in pairs], [result for _, result in pairs]
    wanted = len(results[0].fusion.runs)
    if not found:
        return f"needs {wanted} seeds"
    few = "" if found[0].members == wanted else f", needs {wanted}"
    return f"{_value((control.value for control in found), of)} ({found[0].members} seeds{few})"


def _primary(result: Fused) -> float | None:
    """The value that ranks."""
    return result.record.metrics[result.record.primary].value


def _value(values: Iterable[float | None], results: Sequence[Fused]) -> str:
    """The mean over the seeds; of several folds weighted by their samples, as on a board."""
    from skelbench.metrics import shown

    primary = results[0].record.primary
    counts = [max(result.record.metrics[primary].n, 1) for result in results]
    pairs = [(value, count) for value, count in zip(values, counts, strict=True) if value is not None]
    if len(pairs) < len(results):
        return shown(None, primary)
    return shown(sum(value * count for value, count in pairs) / sum(counts), primary)


def _json(result: Fused, *, dry_run: bool) -> dict[str, Any]:
    """Stable keys: record, state, metrics; and how it was fused."""
    record = result.record
    return {
        "record": None if dry_run else str(result.folder / "record.json"),
        "state": record.state,
        "metrics": {name: metric.model_dump(mode="json") for name, metric in record.metrics.items()},
        "seed": record.seed,
        "folder": str(result.folder),
        "written": result.written,
        "fusion": result.fusion.model_dump(mode="json", exclude={"runs": {"__all__": {"stages"}}}),
    }
