"""Fusing runs: their predictions added up, scored, and left as a record of its own."""

import hashlib
import json
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from skelbench.data.types import Task
from skelbench.errors import RunError, UsageError
from skelbench.evaluate import Predictions, evaluated_digest, measure, metrics_of, predictions_bytes
from skelbench.fusion import By, combine, learn
from skelbench.metrics import Metric
from skelbench.provenance import code_version, environment
from skelbench.record import (
    FusedRun,
    Fusion,
    FusionControl,
    FusionWeights,
    Record,
    Timing,
    read_record,
    write_record,
    write_whole,
)
from skelbench.scored import (
    PREDICTIONS,
    Scored,
    aligned,
    check_same_protocol,
    check_same_scored,
    find_records,
    load_scored,
)
from skelbench.standing import RECORD
from skelbench.workspace import runs_folder

METHOD = "fuse"
STREAMS = ("joint", "bone", "joint-motion", "bone-motion")  # their order in a name
CHOICES = 50  # choices of seeds that a control averages over, at most

Members: TypeAlias = Sequence[Scored]  # the runs of one seed and fold, one of each stream
Rule: TypeAlias = Callable[[Sequence[int]], np.ndarray]  # some of the members -> their weights


@dataclass(frozen=True, kw_only=True)
class FuseRequest:
    """What `skelbench fuse` was asked for."""

    runs: tuple[str, ...]  # folders, records or keys; runs of one key are its seeds
    by: By = "logits"
    weights: tuple[float, ...] = ()  # one for each key, in the order of `runs`; empty: 1 each
    learnt: bool = False  # choose the weights on validation, by the runs that tune those that are fused
    seeds: tuple[int, ...] = ()  # empty: all that are there
    overwrite: Literal["never", "always"] = "never"
    out: Path = field(default_factory=runs_folder)


@dataclass(frozen=True)
class Fused:
    """One fused result."""

    folder: Path
    record: Record
    fusion: Fusion  # how, as the record says
    written: bool  # false where it stood there already


def fuse(request: FuseRequest, *, dry_run: bool = False) -> list[Fused]:
    """Fuse runs seed by seed, and leave a record and predictions for each seed.

    Args:
        request: What to fuse.
        dry_run: Compute everything and write nothing.

    Returns:
        One result for each seed and fold, by seed.

    Raises:
        UsageError: If a run is not there, has no predictions, or the runs do not fit together: one key only, other
            samples, other classes, seeds that some of them lack, weights that do not fit, a result of other
            predictions where this would be written.
        RunError: If a file is damaged.
    """
    members, given = _chosen(request)
    results = []
    for group in members:  # nothing is written before all of them are known to fit
        predictions, fusion = _fused(group, given, request)
        record = _record(group, predictions, fusion)
        folder = request.out / _folder(record)
        content = predictions_bytes(predictions)
        record = record.model_copy(update={"predictions_sha256": hashlib.sha256(content).hexdigest()})
        there = _standing(folder, record, overwrite=request.overwrite)
        results.append((Fused(folder, there or record, fusion, there is None and not dry_run), content))
    for result, content in results:
        if result.written:
            result.folder.mkdir(parents=True, exist_ok=True)
            write_whole(result.folder / PREDICTIONS, content)
            write_record(result.folder / RECORD, result.record)
    return [result for result, _ in results]


def _chosen(request: FuseRequest) -> tuple[list[list[Scored]], tuple[float, ...]]:
    """The runs of each seed and fold, in the order of their streams, with the weights in that order."""
    paths = dict.fromkeys(path.resolve() for name in request.runs for path in find_records(name))
    keys: dict[str, dict[tuple[int, int | None], Path]] = {}
    records = {path: read_record(path) for path in paths}
    for path, record in records.items():
        check_same_protocol(next(iter(records.items())), (path, record))
        if request.seeds and record.seed not in request.seeds:
            continue
        if keys.setdefault(record.key, {}).setdefault((record.seed, record.fold), path) != path:
            raise UsageError(f"{path} is seed {record.seed} of {record.key[:8]}, which is given twice.")
    if paths and not keys:
        raise UsageError(f"None of the runs has seed {', '.join(map(str, request.seeds))}.")
    given = request.weights or (1.0,) * len(keys)
    _check(request, keys, given)
    order = sorted(zip(keys, given, strict=True), key=lambda pair: _order(keys[pair[0]]))
    places = sorted(next(iter(keys.values())), key=_by_number)
    groups = [[load_scored(_own_path(keys[key][place])) for key, _ in order] for place in places]
    for group in groups:
        for other in group[1:]:
            check_same_scored(group[0], other)
            _check_alike(group[0].record, other.record)
    return groups, tuple(weight for _, weight in order)


def _by_number(place: tuple[int, int | None]) -> tuple[int, int]:
    """Seeds and folds in the order of their numbers."""
    seed, fold = place
    return seed, -1 if fold is None else fold


def _own_path(path: Path) -> Path:
    """A path as people would write it: below the current folder without what leads there."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _check(
    request: FuseRequest, keys: Mapping[str, Mapping[tuple[int, int | None], Path]], given: Sequence[float]
) -> None:
    """Refuse what cannot be fused."""
    if len(keys) < 2:
        raise UsageError(
            f"{len(keys)} run to fuse; expected at least two that differ in more than their seed, such as one of each "
            "stream. What seeds of one stream give when fused is the control, which is shown beside."
        )
    places = {key: set(runs) for key, runs in keys.items()}
    for key, there in places.items():
        lacking = sorted(set.union(*places.values()) - there, key=_by_number)
        if lacking:
            seed, fold = lacking[0]
            told = f"seed {seed}" + ("" if fold is None else f", fold {fold}")
            raise UsageError(
                f"{key[:8]} lacks {told}, which others have. Runs are fused seed by seed: run it, or choose --seed."
            )
    if request.learnt and request.weights:
        raise UsageError("Weights are either given or learnt.")
    if len(given) != len(keys):
        raise UsageError(f"{len(given)} weights for {len(keys)} runs; expected one each, in the order of the runs.")
    if not all(0 <= weight < np.inf for weight in given) or not any(given):
        raise UsageError(f"Weights {', '.join(map(str, given))}: expected numbers of at least 0, not all 0.")


def _check_alike(first: Record, other: Record) -> None:
    """Refuse runs whose fusion would have no place in one table."""
    for name in ("evaluation", "labels", "scored"):
        one, two = getattr(first, name), getattr(other, name)
        if one != two:
            raise UsageError(f"{first.key[:8]} and {other.key[:8]} differ in {name} ({one} and {two}).")
    if METHOD in (first.method, other.method):
        raise UsageError("A fusion is given among the runs. Name the runs that it was made from instead.")


def _order(runs: Mapping[tuple[int, int | None], Path]) -> tuple[int, str, str, str]:
    """Where a run stands among those it is fused with: by streams, then by model."""
    record = read_record(next(iter(runs.values())))
    streams = "+".join(record.streams)
    return STREAMS.index(streams) if streams in STREAMS else len(STREAMS), streams, record.model, record.key


def _fused(group: Members, given: Sequence[float], request: FuseRequest) -> tuple[Predictions, Fusion]:
    """The predictions of one seed, and how they came about."""
    first = group[0].predictions
    same = [first, *(aligned(run.predictions, first.ids) for run in group[1:])]
    stack = np.stack([predictions.logits for predictions in same]).astype(float)
    rule, learnt = _learnt_rule(group, request.by) if request.learnt else (_given_rule(given), None)
    everyone = range(len(group))
    weights = rule(everyone)
    logits = combine(stack, weights, by=request.by, kind=first.kind)
    subjects = next((one.subjects for one in same if one.subjects is not None), None)
    predictions = replace(first, logits=logits.astype(first.logits.dtype), subjects=subjects)
    primary = group[0].record.primary

    def value(chosen: Sequence[int]) -> float | None:
        """The primary metric of some of the runs fused."""
        some = combine(stack[list(chosen)], rule(chosen), by=request.by, kind=first.kind)
        return _value(replace(first, logits=some), primary)

    runs = tuple(
        _run(
            run.record,
            weight=float(weights[place]),
            alone=_value(same[place], primary),
            left_out=value([other for other in everyone if other != place]),
        )
        for place, run in enumerate(group)
    )
    how: Literal["equal", "given", "learnt"] = "equal" if set(given) == {1.0} else "given"
    fusion = Fusion(
        by=request.by,
        weights="learnt" if request.learnt else how,
        runs=runs,
        controls=tuple(_controls(group, same, request.by)),
        learnt=learnt,
    )
    return predictions, fusion


def _given_rule(weights: Sequence[float]) -> Rule:
    """The weights as they were given; where only unweighted runs are left, they count equally."""

    def rule(chosen: Sequence[int]) -> np.ndarray:
        """Weights of some of the runs."""
        found = np.array([weights[place] for place in chosen])
        return found if found.any() else np.ones(len(found))

    return rule


def _learnt_rule(group: Members, by: By) -> tuple[Rule, FusionWeights]:
    """Weights learnt on the validation part of the same runs, anew for each choice of them."""
    found = [_validation(run) for run in group]
    first = found[0][1]
    digests = {evaluated_digest(predictions) for _, predictions in found}
    if len(digests) > 1:
        raise UsageError("The runs were tuned on different samples. Tune all of them on the same data.")
    same = [first, *(aligned(predictions, first.ids) for _, predictions in found[1:])]
    stack = np.stack([predictions.logits for predictions in same]).astype(float)

    def rule(chosen: Sequence[int]) -> np.ndarray:
        """Weights of some of the runs."""
        return np.array(learn(stack[list(chosen)], first.target, by=by, kind=first.kind)[0])

    _, loss, equal = learn(stack, first.target, by=by, kind=first.kind)
    told = FusionWeights(
        predictions_sha256=tuple(digest for digest, _ in found),
        evaluated=digests.pop(),
        n=len(first.ids),
        loss=loss,
        loss_equal=equal,
    )
    return rule, told


def _validation(run: Scored) -> tuple[str, Predictions]:
    """Predictions of the validation part by the run that tunes another, with their digest."""
    wanted = run.record
    for path in sorted(run.path.parents[3].rglob(RECORD)) if len(run.path.parents) > 3 else ():
        if wanted.key.encode() not in path.read_bytes():  # most records are of other runs: they need no reading
            continue
        record = read_record(path)
        if (record.tunes, record.seed, record.fold, record.state) == (wanted.key, wanted.seed, wanted.fold, "done"):
            found = load_scored(path)
            shared = set(found.predictions.ids) & set(run.predictions.ids)
            if shared:
                raise RunError(
                    f"{path}: {len(shared)} of its samples are also in the test part, such as {min(shared)}."
                )
            return str(record.predictions_sha256), found.predictions
    raise UsageError(
        f"{run.path}: weights are never learnt on what is scored, and no run on a validation part belongs to it. "
        f"Make one: {wanted.command} --tune"
    )


def _controls(group: Members, same: Sequence[Predictions], by: By) -> Iterable[FusionControl]:
    """Seeds of one run fused with equal weights, for each of the runs: as many as are fused here, where there are."""
    for run, predictions in zip(group, same, strict=True):
        found = _siblings(run)
        members = min(len(group), len(found))
        if members < 2:
            continue
        stack = np.stack([aligned(other.predictions, predictions.ids).logits for other in found]).astype(float)
        values = []
        for chosen in list(combinations(range(len(found)), members))[:CHOICES]:
            logits = combine(stack[list(chosen)], np.ones(members), by=by, kind=predictions.kind)
            values.append(_value(replace(predictions, logits=logits), run.record.primary))
        defined = [value for value in values if value is not None]
        yield FusionControl(
            key=run.record.key,
            streams=run.record.streams,
            seeds=tuple(other.record.seed for other in found),
            members=members,
            value=float(np.mean(defined)) if defined else None,
        )


def _siblings(run: Scored) -> list[Scored]:
    """All seeds of the key and fold of a run that stand beside it and scored the same, by seed."""
    found = [run]
    for path in sorted(run.path.parent.parent.glob(f"*/{RECORD}")):
        record = read_record(path)
        alike = (record.key, record.fold, record.evaluated) == (run.record.key, run.record.fold, run.record.evaluated)
        kept = path.with_name(PREDICTIONS).is_file()
        if alike and kept and record.state == "done" and record.seed != run.record.seed:
            found.append(load_scored(path))
    return sorted(found, key=lambda other: other.record.seed)


def _value(predictions: Predictions, metric: str) -> float | None:
    """One metric of predictions."""
    return _metrics(predictions)[metric].value


def _metrics(predictions: Predictions) -> dict[str, Metric]:
    """All metrics of predictions, without an interval."""
    return metrics_of(predictions, Task(predictions.kind, predictions.classes, ()))


def _run(record: Record, *, weight: float, alone: float | None, left_out: float | None) -> FusedRun:
    """What is kept of one of the runs."""
    if record.predictions_sha256 is None:
        raise RunError(f"The record of {record.key[:8]} does not name its predictions. Run it again.")
    return FusedRun(
        key=record.key,
        model=record.model,
        method=record.method,
        recipe=record.recipe,
        streams=record.streams,
        stages=record.stages,
        weight=weight,
        alone=alone,
        left_out=left_out,
        predictions_sha256=record.predictions_sha256,
        command=record.command,
        code_version=record.code_version,
    )


def _record(group: Members, predictions: Predictions, fusion: Fusion) -> Record:
    """The record of a fusion; what it cost is the sum over its runs."""
    records = [run.record for run in group]
    first = records[0]
    task = Task(predictions.kind, first.classes, ())
    works = [record.gflops for record in records if record.gflops is not None]
    clocks = [record.seconds for record in records]
    trails = {(trail.dataset, trail.fingerprint): trail for record in records for trail in record.data}
    return first.model_copy(
        update={
            "key": _key(fusion),
            "model": "+".join(dict.fromkeys(record.model for record in records)),
            "method": METHOD,
            "streams": tuple("+".join(record.streams) for record in records),
            "recipe": "+".join(dict.fromkeys(record.recipe for record in records)),
            "tunes": None,
            "rules": min(record.rules for record in records),
            "files": {},
            "limit": next((record.limit for record in records if record.limit is not None), None),
            "stages": (),
            "data": tuple(trails.values()),
            "metrics": measure(predictions, task, primary=first.primary),
            "parameters": sum(record.parameters for record in records),
            "gflops": sum(works) if works else None,
            "epochs": sum(record.epochs for record in records),
            "seconds": Timing(
                train=sum(clock.train for clock in clocks),
                test=sum(clock.test for clock in clocks),
                prepare=sum(clock.prepare for clock in clocks),
            ),
            "device": ", ".join(sorted({record.device for record in records})),
            "environment": environment(),
            "code_version": code_version(),
            "command": _command(first.seed, fusion),
            "checkpoint_sha256": None,
            "messages": _messages(records),
            "fusion": fusion,
        }
    )


def _key(fusion: Fusion) -> str:
    """SHA-256 over what is fused and how; learnt weights differ from seed to seed and do not count."""
    content = {
        "fuse": [[run.key, None if fusion.learnt else run.weight] for run in fusion.runs],
        "by": fusion.by,
        "learnt": fusion.learnt is not None,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _command(seed: int, fusion: Fusion) -> str:
    """The command that repeats it where the runs stand in the runs folder."""
    words = ["skelbench", "fuse", *(run.key[:8] for run in fusion.runs)]
    if fusion.by != "logits":
        words += ["--by", fusion.by]
    if fusion.weights != "equal":
        given = ",".join(repr(run.weight).removesuffix(".0") for run in fusion.runs)
        words += ["--weights", "learnt" if fusion.learnt else given]
    return shlex.join([*words, "--seed", str(seed)])


def _messages(records: Sequence[Record]) -> tuple[str, ...]:
    """What the runs said, and where they differ in what a reader takes to be equal."""
    told = [message for record in records for message in record.messages]
    if len({record.split.digest for record in records}) > 1:
        told.append("the runs were trained on different parts")
    return tuple(dict.fromkeys(told))


def _folder(record: Record) -> Path:
    """Where a fusion stands, below the runs folder."""
    names = (record.dataset, record.protocol, f"{METHOD}-{record.model}-{','.join(record.streams)}")
    fold = "" if record.fold is None else f"-fold{record.fold}"
    safe = (re.sub(r"[^\w.+,-]", "_", name).lstrip(".") or "_" for name in names)
    return Path(*safe, record.key[:8], f"seed{record.seed}{fold}")


def _standing(folder: Path, record: Record, *, overwrite: str) -> Record | None:
    """The record that stands there already, if it is this one but for the machine that fused and its command."""
    path = folder / RECORD
    if overwrite == "always" or not path.is_file():
        return None
    there = read_record(path)
    if there.predictions_sha256 != record.predictions_sha256:
        raise UsageError(f"{path}: holds a fusion of other predictions. To replace it, give --overwrite always.")
    file = folder / PREDICTIONS
    whole = file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == there.predictions_sha256
    machine = {name: getattr(record, name) for name in ("environment", "code_version", "command")}
    return there if whole and there.model_copy(update=machine) == record else None
