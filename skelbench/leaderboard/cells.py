"""One cell of a board each: from a row of records to a short text, empty where there is nothing to say."""

import re
from collections.abc import Iterable

from skelbench.leaderboard.collect import Row
from skelbench.leaderboard.markdown import escape
from skelbench.leaderboard.published import PLAIN, Published
from skelbench.leaderboard.statistics import half_width

_TITLES = {
    **{"top1": "top-1", "top5": "top-5", "mean_class_accuracy": "mean class accuracy"},
    **{"macro_f1": "macro F1", "micro_f1": "micro F1", "map": "mAP", "frame_map": "frame mAP"},
}


def metric_title(name: str) -> str:
    """How a metric is called in a table."""
    return _TITLES.get(name, escape(name))


def number(value: float | None, metric: str) -> str:
    """A value with two decimals, shares in percent; empty for None."""
    if value is None:
        return ""
    return f"{value:.6g}" if metric in PLAIN else f"{100 * value:.2f}"


def key(row: Row) -> str:
    """The first digits of the run key, which name the run's folder."""
    return row.first.key[:8]


def model(row: Row) -> str:
    """Name of the encoder."""
    return escape(row.first.model)


def method(row: Row) -> str:
    """Name of the method."""
    return escape(row.first.method)


def streams(row: Row) -> str:
    """Names of the streams."""
    return escape("+".join(row.first.streams))


def recipe(row: Row) -> str:
    """Name of the recipe, and what `-o` changed in it."""
    changed = [
        f"{name}={value.value}"
        for stage in row.first.stages
        for name, value in sorted(stage.values.items())
        if value.layer == "-o"
    ]
    return escape(", ".join([row.first.recipe, *changed]))


def result(row: Row) -> str:
    """The primary metric: mean, interval, number of seeds."""
    primary = row.first.primary
    values = row.values(primary)
    if not values:
        return ""
    half = half_width(values)
    spread = "" if half is None else f" ± {number(half, primary)}"
    return f"{number(row.mean(primary), primary)}{spread} (n = {len(values)})"


def over_subjects(row: Row) -> str:
    """Bounds of the bootstrap over subjects, each the mean over the records that hold one."""
    primary = row.first.primary
    metrics = [record.metrics[primary] for record in row.done]
    bounds = [metric.interval for metric in metrics if metric.interval and metric.interval_over == "subject"]
    if not bounds:
        return ""
    low, high = (sum(side) / len(bounds) for side in zip(*bounds, strict=True))
    return f"{number(low, primary)} to {number(high, primary)}"


def poses(row: Row) -> str:
    """Who or what saw the joints of the data set that was scored."""
    first = row.first
    return escape(next((trail.pose_source for trail in first.data if trail.dataset == first.dataset), ""))


def incomplete(row: Row) -> str:
    """Why the row has no rank."""
    return escape("; ".join(row.problems))


def prepare(row: Row) -> str:
    """The prepare list of the stage that was scored."""
    stages = row.first.stages
    setting = stages[-1].values.get("data.prepare") if stages else None
    steps = None if setting is None else setting.value
    return escape(", ".join(map(str, steps))) if isinstance(steps, list) else ""


def pretraining(row: Row) -> str:
    """Data sets of the stages before the one that was scored."""
    return _different(stage.dataset for stage in row.first.stages[:-1])


def settings_from(row: Row) -> str:
    """Sources of the settings, the one of most settings first."""
    sources = [value.source for stage in row.first.stages for value in stage.values.values()]
    return escape("; ".join(sorted(set(sources), key=lambda source: (-sources.count(source), source))))


def epochs(row: Row) -> str:
    """Epochs trained, all stages together."""
    return str(row.first.epochs)


def parameters(row: Row) -> str:
    """Size of encoder and method."""
    return f"{row.first.parameters:,}"


def gflops(row: Row) -> str:
    """Multiply-accumulates for one sample."""
    count = row.first.gflops
    if count is None:
        return ""
    return escape("< 0.001") if 0 < count < 0.001 else f"{count:.3g}"


def command(row: Row) -> str:
    """The command that repeats the row, all its seeds; not escaped."""
    seeds = sorted({record.seed for record in row.records})
    counted = seeds == list(range(len(seeds)))
    asked = f"--seeds {len(seeds)}" if counted else " ".join(f"--seed {seed}" for seed in seeds)
    return re.sub(r"--seed \d+$", asked, row.first.command)


def training(row: Row) -> str:
    """Mean training time of a seed and fold."""
    if not row.done:
        return ""
    seconds = sum(record.seconds.train for record in row.done) / len(row.done)
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5997 else f"{seconds / 3600:.1f} h"


def device(row: Row) -> str:
    """What it ran on."""
    return _different(record.device for record in row.records)


def code_version(row: Row) -> str:
    """Versions of skelbench that ran it."""
    return _different(record.code_version for record in row.records)


def beside(row: Row, published: Iterable[Published]) -> tuple[str, str]:
    """The printed values of the same configuration, and how far ours is from them.

    Args:
        row: A row of ours.
        published: Printed values of the same data set, protocol, evaluation and labels.

    Returns:
        Values with how the epoch was selected and where they stand, and the differences in points; where the poses
        were others there is none, since it would compare two things at once.
    """
    first = row.first
    same = [value for value in published if _same(row, value)]
    mean = row.mean(first.primary)
    cells = [f"{value.value} ({_origin(value)})" for value in same]
    if mean is None or first.primary in PLAIN:
        return escape("; ".join(cells)), ""
    differences = dict.fromkeys(f"{100 * mean - float(value.value):+.2f}" for value in same if not value.poses)
    return escape("; ".join(cells)), "; ".join(differences)


def _same(row: Row, value: Published) -> bool:
    """Whether a printed value is of this configuration."""
    first = row.first
    ours = (first.model, first.method, "+".join(first.streams), first.primary, len(first.stages) > 1)
    return ours == (value.model, value.method, value.streams, value.metric, value.pretraining != "")


def _origin(value: Published) -> str:
    """How a printed value was selected, of which poses it is, where it stands."""
    others = [f"other poses: {value.poses}"] if value.poses else []
    return "; ".join([value.selected, *others, f"{value.paper}, {value.table}"])


def _different(texts: Iterable[str]) -> str:
    """Each different text once, sorted."""
    return escape(", ".join(sorted(set(texts))))
