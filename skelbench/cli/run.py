"""`skelbench run`: train a model on a store, score it once, leave a record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skelbench.cli import output
from skelbench.cli.options import PATH, dry_run_option, json_option, overwrite_option

if TYPE_CHECKING:
    from skelbench.cell import Progress
    from skelbench.execute import Preview
    from skelbench.recipe import Setting
    from skelbench.run import RunResult

EXAMPLES = """\b
Examples:
  skelbench run --dataset nw_ucla --model lite --seeds 3
  skelbench run --dataset nw_ucla --method posestats --dry-run
  skelbench run --dataset data/mine --model ./mynet.py -o optim.lr=0.05 -o model.width=96
  skelbench run --dataset nw_ucla --model lite --layout coco17
  skelbench run --dataset nw_ucla --model lite --tune -o optim.lr=0.05
  skelbench run --dataset nw_ucla --model lite --evaluation linear --init runs/ntu60/xsub/lite-supervised-joint/1a2b3c4d
"""


@click.command("run", short_help="Train, score once, leave a record.", epilog=EXAMPLES)
@click.option("--dataset", help="Name of a store in data/, or the path of one.")
@click.option("--protocol", help="What is scored; `all` for each.  [default: the set's first]")
@click.option("--splits", help="Another file of protocols, by path.  [default: the set's own]")
@click.option(
    "--model", "models", multiple=True, help="Name or path; repeat for several.  [default: the method's, or lite]"
)
@click.option(
    "--method",
    "methods",
    multiple=True,
    help="Name or path; repeat for several.  [default: the model's, or supervised]",
)
@click.option(
    "--streams", multiple=True, help="Such as joint,bone for one network on both; repeat for several networks."
)
@click.option(
    "--layout", help="Train on the joints of another layout: its name or path, and perhaps a variant after a comma."
)
@click.option("--recipe", default="default", show_default=True, help="Name of a recipe, or path of a TOML file.")
@click.option(
    "--evaluation",
    type=click.Choice(["supervised", "linear", "finetune"]),
    help="linear: a new head on a frozen encoder; finetune: a new head, all trained.  [default: supervised]",
)
@click.option("--labels", type=float, help="Share of the training labels, the same of every class, such as 0.05.")
@click.option("--init", help="Start from a run, a folder of its seeds, or a file of weights.")
@click.option("-o", "overrides", multiple=True, metavar="KEY=VALUE", help="One value, such as optim.lr=0.05; repeat.")
@click.option("--seeds", type=click.IntRange(min=1), help="Run the seeds 0 to N-1.  [default: 1]", metavar="N")
@click.option("--seed", type=click.IntRange(min=0), multiple=True, help="Run this seed; repeat for several.")
@click.option("--fold", "folds", type=click.IntRange(min=0), multiple=True, help="Only this fold.  [default: all]")
@click.option("--tune", is_flag=True, help="Score a validation part cut out of the training part; test is not touched.")
@click.option("--oracle", is_flag=True, help="Also report the best epoch on the test part, under that name.")
@click.option("--from", "record", type=PATH, help="Repeat the run of a record.json.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option(
    "--devices", type=click.IntRange(min=1), default=1, metavar="N",
    help="Train on N GPUs of a node, or by N processes on its CPU.  [default: 1]",
)  # fmt: skip
@click.option("--precision", default="32-true", show_default=True, help="32-true or bf16-mixed.")
@click.option(
    "--threads", type=click.IntRange(min=1), help="Threads on the CPU, of each process.  [default: the cores]"
)
@click.option("--limit", type=click.IntRange(min=1), help="Only N samples a part; stamped on the result.")
@overwrite_option
@dry_run_option
@json_option
def command(*, dry_run: bool, as_json: bool, record: Path | None, **given: Any) -> None:
    """Train on all training data of a protocol, score the last epoch on its test part once, write a record.

    A run that is done says so; one that was stopped goes on where it was. --dry-run prints every value with the
    layer and the source it came from, pushes one batch through, and says what the run will cost.
    """
    from skelbench.processes import speaks
    from skelbench.request import RunRequest, request_from
    from skelbench.run import preview_runs, run

    seeds = _seeds(given.pop("seeds"), given.pop("seed"))
    given["streams"] = tuple(tuple(part.strip() for part in text.split(",")) for text in given["streams"])
    if record is not None:
        request = request_from(record, _only_where(given), seeds=seeds)
    elif given["dataset"] is None:
        raise click.UsageError("Name a store with --dataset, or a record with --from.")
    else:
        request = RunRequest(seeds=seeds or (0,), **given)
    if dry_run:
        previews = preview_runs(request) if speaks(request.devices) else []
        output.emit([_preview_json(preview) for preview in previews]) if as_json else _show_previews(previews)
        return
    with _bar() as sink:
        results = run(request, sink)
    if speaks(request.devices):
        output.emit([_result_json(result) for result in results]) if as_json else _show(results)
    _leave(results)


def _seeds(count: int | None, named: tuple[int, ...]) -> tuple[int, ...]:
    """The seeds of both options; empty where neither is given."""
    if count is not None and named:
        raise click.UsageError("--seeds N runs the seeds 0 to N-1, --seed S runs S: give one of them.")
    return named or tuple(range(count or 0))


def _only_where(given: dict[str, Any]) -> dict[str, Any]:
    """What may be said beside --from: where and whether to run, not what."""
    where = ("device", "devices", "threads", "overwrite")
    source = click.get_current_context().get_parameter_source
    for name in given.keys() - set(where):
        if source(name) is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--from repeats a record as it is; leave --{name.removesuffix('s')} out.")
    return {name: given[name] for name in where}


@contextmanager
def _bar() -> Iterator[Callable[[Progress], None]]:
    """One bar a run over its epochs; on a pipe a line for each run."""
    from tqdm import tqdm

    bar: Any = None
    shown = ""

    def update(progress: Progress) -> None:
        """Move the bar."""
        nonlocal bar, shown
        if progress.phase == "check":
            click.echo(f"{progress.run}: {progress.text}", err=True)
        if progress.phase == "train" and output.progress_wanted():
            if bar is None or shown != progress.run:
                bar, shown = tqdm(total=progress.total, initial=progress.done - 1, unit=" epochs"), progress.run
            bar.set_postfix_str(progress.text, refresh=False)
            bar.update(progress.done - bar.n)
        if progress.phase in ("test", "end") and bar is not None:
            bar.close()

    try:
        yield update
    finally:
        if bar is not None:
            bar.close()


def _show(results: list[RunResult]) -> None:
    """A line for each run, on stderr where it failed."""
    for result in results:
        failed = result.error is not None or result.state in ("failed", "diverged")
        told = result.message if result.message.startswith(result.state) else f"{result.state}: {result.message}"
        click.echo(f"{result.name}: {told}", err=failed)
        click.echo(f"  {result.folder / 'record.json' if result.record else result.folder}", err=failed)


def _leave(results: list[RunResult]) -> None:
    """End with the exit code that the results ask for."""
    from skelbench.cli import INTERRUPTED
    from skelbench.errors import USAGE

    errors = [result.error for result in results if result.error is not None]
    if any(isinstance(error, USAGE) for error in errors):
        raise click.exceptions.Exit(2)
    if errors or any(result.state == "diverged" for result in results):
        raise click.exceptions.Exit(1)
    if any(result.state == "partial" for result in results):
        raise click.exceptions.Exit(INTERRUPTED)


def _result_json(result: RunResult) -> dict[str, Any]:
    """Stable keys: record, state, metrics; and the run's name, folder and message."""
    record = result.record
    return {
        "record": str(result.folder / "record.json") if record else None,
        "state": result.state,
        "metrics": {name: metric.model_dump(mode="json") for name, metric in record.metrics.items()} if record else {},
        "name": result.name,
        "folder": str(result.folder),
        "message": result.message,
    }


def _show_previews(previews: list[Preview]) -> None:
    """Tables of values with layers and sources, stage by stage, then what each run would cost."""
    from skelbench.standing import duration

    for preview in previews:
        click.echo(f"{preview.name}\n")
        for title, settings in preview.stages:
            if len(preview.stages) > 1 or ", " in title:
                click.echo(f"{title}\n")
            output.table(_rows(settings), ("key", "value", "layer", "source"))
            click.echo()
        gflops = preview.sizes.gflops
        output.pairs({
            "run folder": preview.folder,
            "parts": f"{preview.train:,} training samples, {preview.test:,} test samples",
            "size": f"{preview.sizes.parameters:,} parameters"
            + (f", {gflops:.3f} GFLOPs (multiply-accumulates) a sample" if gflops is not None else ""),
            "cost": f"about {duration(preview.seconds)} a seed on {preview.device}, by one of {preview.steps:,} steps"
            if preview.seconds
            else f"no training by gradient; on {preview.device}",
        })  # fmt: skip
        click.echo("\n".join(f"note: {message}" for message in preview.messages), err=True)


def _rows(settings: dict[str, Setting]) -> list[dict[str, str]]:
    """Settings as rows of a table."""
    return [
        {"key": key, "value": _text(setting.value), "layer": setting.layer, "source": setting.source}
        for key, setting in settings.items()
    ]


def _preview_json(preview: Preview) -> dict[str, Any]:
    """A dry run with plain values."""
    return {
        "name": preview.name,
        "key": preview.key,
        "folder": str(preview.folder),
        "values": {key: vars(setting) for key, setting in preview.settings.items()},
        "stages": [
            {"title": title, "values": {key: vars(setting) for key, setting in settings.items()}}
            for title, settings in preview.stages
        ],
        "train": preview.train,
        "test": preview.test,
        "chance": preview.chance,
        "parameters": preview.sizes.parameters,
        "gflops": preview.sizes.gflops,
        "steps": preview.steps,
        "seconds": preview.seconds,
        "device": preview.device,
        "messages": list(preview.messages),
    }


def _text(value: Any) -> str:
    """A value as TOML has it, near enough."""
    import json

    return json.dumps(value, ensure_ascii=False)
