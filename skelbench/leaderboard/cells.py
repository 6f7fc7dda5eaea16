"""One cell of a board each: from a row of records to a short plain text, empty where there is nothing to say."""

import re
from collections.abc import Iterable

from skelbench.leaderboard.collect import Row
from skelbench.leaderboard.published import PLAIN, Published
from skelbench.leaderboard.statistics import half_width
from skelbench.metrics import LOWER_IS_BETTER
from skelbench.record import Record, Stage

_TITLES = {
    **{"top1": "top-1", "top5": "top-5", "mean_class_accuracy": "mean class accuracy"},
    **{"macro_f1": "macro F1", "micro_f1": "micro F1", "map": "mAP", "frame_map": "frame mAP"},
    **{f"event_map_{overlap}": f"event mAP at {overlap / 100}" for overlap in (10, 20, 30, 40, 50)},
    **{"ece": "ECE", "nll": "NLL", "mse": "MSE"},
}
ORACLE = "oracle_"  # what metrics of the epoch that is best on the test part are called


_USUAL = ("logits", "equal weights")  # what a fusion adds, and how


def metric_title(name: str) -> str:
    """How a metric is called in a table."""
    if name.startswith(ORACLE):
        return f"oracle {metric_title(name.removeprefix(ORACLE))}"
    return _TITLES.get(name, name)


def number(value: float | None, metric: str) -> str:
    """A value with two decimals, shares in percent; empty for None."""
    if value is None:
        return ""
    return f"{value:.4g}" if metric.removeprefix(ORACLE) in PLAIN else f"{100 * value:.2f}"


def key(row: Row) -> str:
    """The first digits of the run key, which name the run's folder."""
    return row.first.key[:8]


def model(row: Row) -> str:
    """Name of the encoder; of a fusion those of its runs."""
    fusion = row.first.fusion
    return row.first.model if fusion is None else _once(run.model for run in fusion.runs)


def method(row: Row) -> str:
    """Name of the method; of a fusion those of its runs."""
    fusion = row.first.fusion
    return row.first.method if fusion is None else _once(run.method for run in fusion.runs)


def streams(row: Row) -> str:
    """Names of the streams, `joint+bone` of one network; of a fusion `fuse:` and those of each network."""
    fusion = row.first.fusion
    if fusion is None:
        return "+".join(row.first.streams)
    return "fuse:" + ",".join("+".join(run.streams) for run in fusion.runs)


def recipe(row: Row) -> str:
    """Name of the recipe, what `-o` changed in it, and the precision where it is not the usual one.

    Of a fusion also what is not usual: that scores of a softmax are added, and where the weights come from.
    """
    fusion = row.first.fusion
    names = [row.first.recipe] if fusion is None else [run.recipe for run in fusion.runs]
    changed = [
        f"{name}={value.value}"
        for stage in _stages(row)
        for name, value in sorted(stage.values.items())
        if value.layer.partition(",")[0] == "-o"
    ]
    if row.first.precision != "32-true":
        changed.append(row.first.precision)
    if fusion is not None:
        changed += [told for told in (fusion.by, f"{fusion.weights} weights") if told not in _USUAL]
    return ", ".join(dict.fromkeys([*names, *changed]))


def control(row: Row) -> str:
    """What as many seeds of one of the fused runs reach, fused without another stream; the best of the runs."""
    found: dict[tuple[str, int], list[tuple[float, int]]] = {}  # values, each with how many samples it is of
    for record in row.done:
        for one in () if record.fusion is None else record.fusion.controls:
            if one.value is not None:
                count = max(record.metrics[record.primary].n, 1)
                found.setdefault(("+".join(one.streams), one.members), []).append((one.value, count))
    if not found:
        return ""
    means = {
        name: sum(value * count for value, count in pairs) / sum(count for _, count in pairs)
        for name, pairs in found.items()
    }
    pick = min if row.first.primary in LOWER_IS_BETTER else max
    (names, members), value = pick(means.items(), key=lambda item: item[1])
    return f"{number(value, row.first.primary)} ({members} seeds of {names})"


def result(row: Row) -> str:
    """The primary metric: mean, interval, number of seeds."""
    primary = row.first.primary
    values = row.values(primary)
    if not values:
        return ""
    half = half_width(values)
    spread = "" if half is None else f" ± {number(half, primary)}"
    return f"{number(row.mean(primary), primary)}{spread} (n = {len(values)})"


def further(row: Row, metric: str) -> str:
    """The mean of another metric, with the number of seeds where some lack it."""
    count = len(row.values(metric))
    some = f" (n = {count})" if 0 < count < len(row.values(row.first.primary)) else ""
    return f"{number(row.mean(metric), metric)}{some}"


def over_subjects(row: Row) -> str:
    """Bounds of the bootstrap over subjects, each the mean over the seeds; none where a seed has several folds."""
    primary = row.first.primary
    metrics = [record.metrics[primary] for record in row.done]
    bounds = [metric.interval for metric in metrics if metric.interval and metric.interval_over == "subject"]
    if not bounds or len(row.folds) > 1:
        return ""
    low, high = (sum(side) / len(bounds) for side in zip(*bounds, strict=True))
    return f"{number(low, primary)} to {number(high, primary)}"


def poses(row: Row) -> str:
    """Who or what saw the joints of the data set that was scored."""
    first = row.first
    return next((trail.pose_source for trail in first.data if trail.dataset == first.dataset), "")


def data(row: Row) -> str:
    """First digits of the fingerprint of the data set that was scored."""
    first = row.first
    return next((trail.fingerprint[:8] for trail in first.data if trail.dataset == first.dataset), "")


def trained_on(row: Row) -> str:
    """Samples of the training part, and the first digits of the split's digest."""
    split = row.first.split
    return f"{split.train:,} samples, split {split.digest[:8]}"


def incomplete(row: Row) -> str:
    """Why the row has no rank."""
    return "; ".join(row.problems)


def prepare(row: Row) -> str:
    """The prepare list of the stage that was scored."""
    settings = [stages[-1].values.get("data.prepare") for stages in _networks(row) if stages]
    lists = [setting.value for setting in settings if setting is not None]
    return "; ".join(dict.fromkeys(", ".join(map(str, steps)) for steps in lists if isinstance(steps, list)))


def layout(row: Row) -> str:
    """The joints that the model saw, where they are not those of the data set."""
    settings = [stages[-1].values.get("data.prepare") for stages in _networks(row) if stages]
    lists = [setting.value for setting in settings if setting is not None and isinstance(setting.value, list)]
    return _once(str(step).partition(":")[2] for steps in lists for step in steps if str(step).startswith("layout:"))


def pretraining(row: Row) -> str:
    """Data sets that it was trained on before the stage that was scored; what is not known is said."""
    names = [stage.dataset for stages in _networks(row) for stage in stages[:-1]]
    for stage in _stages(row):
        if stage.init is not None and stage.init.kind != "previous":
            names += stage.init.trained_on or [stage.init.source or "unknown data"]
    return _once(names)


def settings_from(row: Row) -> str:
    """Sources of the settings, the one of most settings first."""
    sources = [value.source for stage in _stages(row) for value in stage.values.values()]
    return "; ".join(sorted(set(sources), key=lambda source: (-sources.count(source), source)))


def epochs(row: Row) -> str:
    """Epochs trained, all stages together."""
    return str(row.typical.epochs)


def parameters(row: Row) -> str:
    """Size of encoder and method."""
    return f"{row.typical.parameters:,}"


def gflops(row: Row) -> str:
    """Multiply-accumulates for one sample."""
    count = row.typical.gflops
    if count is None:
        return ""
    return "< 0.001" if 0 < count < 0.001 else f"{count:.3g}"


def command(row: Row) -> str:
    """The command that repeats the row, all its seeds and folds."""
    return _for_all(row, row.first.command)


def notes(row: Row) -> str:
    """What every run of the row said of itself; what only some said is in their records."""
    said = [record.messages for record in row.done]
    return "; ".join(dict.fromkeys(told for told in row.typical.messages if all(told in others for others in said)))


def fused_commands(row: Row) -> list[tuple[str, str]]:
    """Key and command of each run that a fusion adds up, all seeds and folds; empty where it is none."""
    fusion = row.first.fusion
    return [] if fusion is None else [(run.key[:8], _for_all(row, run.command)) for run in fusion.runs]


def files(row: Row) -> str:
    """First digits of the digests of the files that the command names."""
    return ", ".join(f"{path} = {digest[:8]}" for path, digest in sorted(row.first.files.items()))


def training(row: Row) -> str:
    """Training time of a seed, its folds together: the mean over the seeds that ended."""
    if not row.done:
        return ""
    seconds = sum(record.seconds.train for record in row.done) / len({record.seed for record in row.done})
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5997 else f"{seconds / 3600:.1f} h"


def device(row: Row) -> str:
    """What it ran on; of a CPU which one, and on how many threads, where that is known."""
    return _once(_machine(record) for record in row.records)


def code_version(row: Row) -> str:
    """Versions of skelbench that ran it."""
    return _once(record.code_version for record in row.records)


def beside(row: Row, published: Iterable[Published]) -> tuple[str, str]:
    """The printed values of the same configuration, and how far ours is from them.

    Args:
        row: A row of ours.
        published: Printed values of the same data set, protocol, evaluation and labels.

    Returns:
        Values with where they stand, and the differences in points, ours minus theirs, each with the word for how the
        printed value was selected. Where the poses or the pre-training were others, the streams are not stated, or
        ours used a part of the data, there is no difference, since it would compare two things at once.
    """
    same = matching(row, published)
    shown = "; ".join(f"{value.value} ({_origin(row, value)})" for value in same)
    if row.mean(row.first.primary) is None or row.first.primary in PLAIN or row.limits:
        return shown, ""
    alike = [value for value in same if not _other(row, value)]
    return shown, "; ".join(dict.fromkeys(_difference(row, value) for value in alike))


def matching(row: Row, published: Iterable[Published]) -> list[Published]:
    """The printed values of the same model, method, streams and metric, both pre-trained or neither.

    Where there is none, those of which the document does not state the streams.
    """
    ours = (model(row), method(row), row.first.primary, pretraining(row) != "")
    same = [value for value in published if ours == (value.model, value.method, value.metric, value.pretraining != "")]
    alike = [value for value in same if value.streams == streams(row)]
    return alike or [value for value in same if not value.streams]


def _difference(row: Row, value: Published) -> str:
    """Ours minus theirs in points, with how theirs was selected; ours selected likewise stands beside it."""
    primary = row.first.primary
    names = {primary: ""}
    if value.selected == "best-on-test" and len(row.values(ORACLE + primary)) == len(row.values(primary)):
        names[ORACLE + primary] = "oracle "
    means = {told: row.mean(name) for name, told in names.items()}
    points = [f"{told}{100 * mean - float(value.value):+.2f}" for told, mean in means.items() if mean is not None]
    return f"{', '.join(points)} ({value.selected})"


def _other(row: Row, value: Published) -> list[str]:
    """What a printed value of the same configuration has otherwise than ours."""
    found = [f"other poses: {value.poses}"] if value.poses else []
    if not value.streams:
        found.append("streams not stated")
    if value.pretraining.casefold() != pretraining(row).casefold():
        found.append(f"other pre-training: {value.pretraining}")
    if layout(row):
        found.append(f"ours has the joints of {layout(row)}")
    return found


def _origin(row: Row, value: Published) -> str:
    """How a printed value was selected, what is other than in ours, where it stands."""
    return "; ".join([value.selected, *_other(row, value), f"{value.paper}, {value.table}"])


def _for_all(row: Row, line: str) -> str:
    """The command of one seed and fold made one for all of the row."""
    seeds = sorted({record.seed for record in row.records})
    folds = sorted({record.fold for record in row.records if record.fold is not None})
    counted = seeds == list(range(len(seeds)))
    words = [] if len(folds) == row.first.split.folds else [f" --fold {fold}" for fold in folds]
    words += [f" --seeds {len(seeds)}"] if counted else [f" --seed {seed}" for seed in seeds]
    return re.sub(r"(?: --fold \d+)?(?: --seed \d+)$", "".join(words), line)


def _machine(record: Record) -> str:
    """The device of one record."""
    processor, threads = record.environment.get("cpu"), record.environment.get("threads")
    if record.device != "cpu" or not processor or not threads:
        return record.device
    return f"cpu ({processor}, {threads} thread{'' if threads == '1' else 's'})"


def _networks(row: Row) -> list[tuple[Stage, ...]]:
    """The stages of the row's network; of a fusion those of each of its networks."""
    fusion = row.first.fusion
    return [row.first.stages] if fusion is None else [run.stages for run in fusion.runs]


def _stages(row: Row) -> list[Stage]:
    """All stages of all networks."""
    return [stage for stages in _networks(row) for stage in stages]


def _once(texts: Iterable[str]) -> str:
    """Each different text once, sorted."""
    return ", ".join(sorted(set(texts)))
