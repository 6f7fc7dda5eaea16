"""What `skelbench run` was asked for, as a request, as a command, and as a record that is repeated."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from skelbench.blocks import Evaluation, StageTable
from skelbench.errors import RunError, UsageError
from skelbench.record import Record, Stage, read_record
from skelbench.trail import RULES
from skelbench.workspace import runs_folder

MAX_SEED = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """What `skelbench run` was asked for."""

    dataset: str  # name of a store in the data folder, or the path of one
    protocol: str | None = None  # None: the first of the set; "all": each
    splits: str | None = None  # name or path of the file of protocols; None: that of the set
    models: tuple[str, ...] = ()  # names or paths; empty: the method's default
    methods: tuple[str, ...] = ()  # names or paths; empty: the model's default
    streams: tuple[tuple[str, ...], ...] = ()  # one network for each entry; empty: the recipe's
    layout: str | None = None  # name or path, perhaps with a variant after a comma; None: that of the data
    recipe: str = "default"  # name, or path of a TOML file
    evaluation: Evaluation | None = None  # None: that of the recipe file, or supervised
    labels: float | None = None  # share of the training labels of the stage that is scored
    init: str | None = None  # what the first stage starts from: a run, or a file of weights
    overrides: tuple[str, ...] = ()  # "optim.lr=0.05", "stage.2.optim.lr=0.01"
    seeds: tuple[int, ...] = (0,)
    folds: tuple[int, ...] = ()  # empty: all that the protocol has
    device: str = "auto"  # auto | cpu | cuda | cuda:N
    devices: int = 1  # processes on a node that train together, each on a device of its own
    precision: str = "32-true"  # or bf16-mixed
    threads: int | None = None  # of torch on the CPU, in each process; None: as it is, shared by the processes
    limit: int | None = None  # samples a part, spread over classes, subjects and cameras
    tune: bool = False  # score a validation part cut out of the training part, and not the test part
    oracle: bool = False  # also report the best epoch on the scored part
    overwrite: Literal["never", "always"] = "never"
    runs: Path = field(default_factory=runs_folder)
    repeats: Record | None = None  # whose stages and values are taken as they are, instead of the recipe's


def check_request(request: RunRequest) -> None:
    """Refuse numbers that make no sense, whatever the data.

    Raises:
        UsageError: Naming the option.
    """
    for name, found, most in (("Seeds", request.seeds, MAX_SEED), ("Folds", request.folds, MAX_SEED)):
        if not all(0 <= number <= most for number in found) or (name == "Seeds" and not found):
            raise UsageError(f"{name} {list(found)}: expected at least one, each from 0 to {most}.")
        if len(set(found)) != len(found):
            raise UsageError(f"{name} {list(found)}: one is given twice.")
    for name, value in (("limit", request.limit), ("threads", request.threads)):
        if value is not None and value < 1:
            raise UsageError(f"--{name} {value}: expected at least 1.")
    if request.labels is not None and not 0 < request.labels <= 1:
        raise UsageError(f"--labels {request.labels}: expected a share above 0 and at most 1, such as 0.05.")
    if request.tune and request.oracle:
        raise UsageError("--tune scores a validation part, --oracle looks at the test part: give one of them.")


class Chosen(NamedTuple):
    """What one of the runs of a request is of."""

    protocol: str
    model: str  # name or path
    method: str  # name or path
    streams: tuple[str, ...]  # empty for the recipe's


def command_of(request: RunRequest, chosen: Chosen, *, seed: int, fold: int | None) -> str:
    """The command that repeats one run.

    Args:
        request: What was asked for; of a repetition its record has the command.
        chosen: What this run is of.
        seed: Of the run.
        fold: Of the run, None where there is one fixed split.

    Returns:
        A line for a shell, its fold and seed last.
    """
    ends = ["--seed", str(seed)] if fold is None else ["--fold", str(fold), "--seed", str(seed)]
    if request.repeats is not None:
        return re.sub(r"(?: --fold \d+)? --seed \d+$", "", request.repeats.command) + " " + shlex.join(ends)
    given: list[tuple[str, object]] = [
        ("--dataset", request.dataset),
        ("--protocol", chosen.protocol),
        ("--model", chosen.model),
        ("--method", chosen.method),
        ("--splits", request.splits),
        ("--streams", ",".join(chosen.streams) or None),
        ("--layout", request.layout),
        ("--recipe", None if request.recipe == "default" else request.recipe),
        ("--evaluation", request.evaluation),
        ("--labels", request.labels),
        ("--init", request.init),
        *(("-o", override) for override in request.overrides),
        ("--precision", None if request.precision == "32-true" else request.precision),
        ("--limit", request.limit),
    ]
    words = [word for option, value in given if value is not None for word in (option, str(value))]
    words += [flag for flag, wanted in (("--tune", request.tune), ("--oracle", request.oracle)) if wanted]
    return shlex.join(["skelbench", "run", *words, *ends])


def request_from(path: Path, where: Mapping[str, Any], *, seeds: tuple[int, ...] = ()) -> RunRequest:
    """Ask for the run of a record again.

    Args:
        path: A record.json.
        where: Further fields of a `RunRequest` that do not change what is computed: device, devices, threads, runs,
            overwrite.
        seeds: Other seeds; empty for the record's.

    Returns:
        A request whose stages and values are the record's, whatever the recipes say by now.

    Raises:
        UsageError: If there is no such file.
        RunError: If it is no record, or of a run that this version cannot repeat.
    """
    if not path.is_file():
        raise UsageError(f"No file {path}; expected a record.json.")
    record = read_record(path)
    if not record.stages or not all(stage.given for stage in record.stages) or record.rules != RULES:
        why = f"its settings are those of rules {record.rules}, this skelbench trains by rules {RULES}"
        why = why if record.rules != RULES else "it is not of a run by `skelbench run`"
        raise RunError(f"{path}: cannot be repeated as it was: {why}. To run it anew: {record.command}")
    last = record.stages[-1]
    return RunRequest(
        dataset=last.given["dataset"],
        protocol=record.protocol,
        splits=last.given.get("splits"),
        models=(last.given["model"],),
        methods=(last.given["method"],),
        evaluation=record.evaluation,  # type: ignore[arg-type]  # checked where it is used
        labels=record.labels,
        seeds=seeds or (record.seed,),
        folds=() if record.fold is None else (record.fold,),
        precision=record.precision,
        limit=record.limit,
        tune=record.scored == "validation",
        oracle=" --oracle" in record.command,
        repeats=record,
        **where,
    )


def tables_of(record: Record) -> tuple[StageTable, ...]:
    """The stages of a record as a recipe file would have them, without their values."""
    last = len(record.stages) - 1
    return tuple(_table(stage, scored=place == last) for place, stage in enumerate(record.stages))


def _table(stage: Stage, *, scored: bool) -> StageTable:
    """A stage of a record."""
    where: dict[str, Any] = {} if scored else {"dataset": stage.given["dataset"], "protocol": stage.protocol}
    if not scored and "splits" in stage.given:
        where["splits"] = stage.given["splits"]
    return StageTable(
        **where,
        labels=stage.labels,
        init=stage.given.get("init"),
        head=stage.head,
        freeze=stage.freeze,
        model={"name": stage.given["model"]},
        method={"name": stage.given["method"]},
    )
