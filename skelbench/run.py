"""Runs: one command, a cell for each protocol, model, streams and seed; each cell idempotent and resumable."""

import fcntl
import hashlib
import json
import re
import shlex
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import torch

from skelbench import registry
from skelbench.data.batches import check_recipe
from skelbench.errors import USAGE, RunError, UsageError
from skelbench.execute import (
    CHECKPOINT,
    PREDICTIONS,
    Cell,
    Preview,
    Progress,
    Sink,
    execute,
    make_fabric,
    preview,
    stage_of,
    unfinished,
)
from skelbench.limit import spread
from skelbench.provenance import code_version
from skelbench.recipe import Ask, Choice, Resolved, Setting, default_choice, resolve
from skelbench.record import Record, read_record, write_record, write_whole
from skelbench.split import Split, load_protocols
from skelbench.split import resolve as resolve_split
from skelbench.standing import RECORD, State, read_standing
from skelbench.store.reader import Store, open_store
from skelbench.train import LOG, forget_resume
from skelbench.workspace import runs_folder, store_path

ERROR = "error.txt"  # the whole traceback of a run that failed
LOCK = ".lock"
MAX_SEED = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """What `skelbench run` was asked for."""

    dataset: str  # name of a store in the data folder, or the path of one
    protocol: str | None = None  # None: the first of the set; "all": each
    splits: str | None = None  # name or path of the file of protocols; None: that of the set
    models: tuple[str, ...] = ()  # names or paths; empty: the method's default
    method: str | None = None  # name or path; None: the model's default
    streams: tuple[tuple[str, ...], ...] = ()  # one network for each entry; empty: the recipe's
    recipe: str = "default"  # name, or path of a TOML file
    overrides: tuple[str, ...] = ()  # "optim.lr=0.05"
    seeds: tuple[int, ...] = (0,)
    device: str = "auto"  # auto | cpu | cuda | cuda:N
    precision: str = "32-true"  # or bf16-mixed
    threads: int | None = None  # of torch on the CPU; None: as it is
    limit: int | None = None  # samples a part, spread over classes, subjects and cameras
    overwrite: Literal["never", "always"] = "never"
    runs: Path = field(default_factory=runs_folder)
    repeats: Record | None = None  # whose values are taken as they are, instead of the recipe's


@dataclass(frozen=True)
class RunResult:
    """How one cell stands after a command."""

    name: str  # for people
    folder: Path
    state: State
    message: str
    record: Record | None = None  # of a run that has one
    error: Exception | None = None  # why there is no result; a type of `errors.USAGE`: it could never run


def run(request: RunRequest, sink: Sink = lambda progress: None) -> list[RunResult]:
    """Carry out every cell of a request, one after the other.

    What is done already is said and skipped, what was interrupted goes on, what fails does not stop the rest.

    Args:
        request: What to run.
        sink: Told of every step, as for a progress bar.

    Returns:
        A result for each cell in order; after Ctrl-C the cell at hand is the last, `partial`.

    Raises:
        UsageError, RecipeError, SplitError: If the request cannot be carried out at all; nothing was run.
        StoreError: If the store is damaged.
    """
    cells = plan_runs(request)
    results: list[RunResult] = []
    with _threads(request.threads):
        for cell in cells:
            try:
                results.append(_one(cell, request.overwrite, sink))
            except KeyboardInterrupt:
                standing = read_standing(cell.folder)
                told = f"stopped after epoch {standing.epoch} of {standing.epochs or cell.resolved.optim.epochs}"
                again = "the same command goes on from there"
                results.append(RunResult(cell.name, cell.folder, "partial", f"{told}; {again}"))
                break
            sink(Progress(cell.name, "end", text=results[-1].message))
    return results


def preview_runs(request: RunRequest) -> list[Preview]:
    """Say what a request would run and cost: every value with layer and source. Nothing is trained.

    Args:
        request: What would be run.

    Returns:
        A preview for each cell of the first seed.

    Raises:
        UsageError, RecipeError, SplitError, RunError: As `run` would.
    """
    with _threads(request.threads):
        return [preview(cell) for cell in plan_runs(replace(request, seeds=request.seeds[:1]))]


def plan_runs(request: RunRequest) -> list[Cell]:
    """Settle everything about each cell before the first is run.

    Args:
        request: What to run.

    Returns:
        The cells: protocols, then models, then streams, then seeds.

    Raises:
        UsageError, RecipeError, SplitError: If a name, key or value is wrong.
        StoreError: If the store is damaged.
    """
    _check(request)
    store = open_store(store_path(request.dataset))
    code = code_version()
    cells = []
    for protocol in _protocols(request, store):
        split = _limited(store, resolve_split(store, protocol, splits=request.splits), request.limit)
        for model in request.models or (None,):
            for streams in request.streams or ((),):
                resolved = _resolved(request, store, split, (model, streams))
                key = run_key(store, split, resolved, precision=request.precision, limit=request.limit)
                _check_repeated(request.repeats, store, split, key)
                base = request.runs / _folder(resolved) / key[:8]
                cells += [
                    Cell(
                        store=store,
                        split=split,
                        resolved=resolved,
                        key=key,
                        seed=seed,
                        folder=base / f"seed{seed}",
                        device=request.device,
                        precision=request.precision,
                        limit=request.limit,
                        command=_command(request, resolved, seed),
                        code=code,
                    )
                    for seed in request.seeds
                ]
    return cells


def run_key(store: Store, split: Split, resolved: Resolved, *, precision: str, limit: int | None) -> str:
    """SHA-256 over all that decides what a run computes; not over seed, device, threads or version of the code.

    Args:
        store: Its fingerprint counts.
        split: Its digest counts.
        resolved: Its values count, not where they came from; of a model or method named by path the source too.
        precision: Of the arithmetic.
        limit: Samples a part, None for all.

    Returns:
        64 hexadecimal digits; folders bear the first eight.
    """
    stage = stage_of(split, resolved).model_dump(mode="json")
    stage["values"] = {key: entry["value"] for key, entry in stage["values"].items()}
    content = {
        "stages": [stage],
        "fingerprints": [store.info.fingerprint],
        "split": split.digest,
        "precision": precision,
        "limit": limit,
        "files": {kind: _source(choice) for kind, choice in (("model", resolved.model), ("method", resolved.method))},
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def request_from(path: Path, where: Mapping[str, Any], *, seeds: tuple[int, ...] = ()) -> RunRequest:
    """Ask for the run of a record again.

    Args:
        path: A record.json.
        where: Further fields of a `RunRequest` that do not change what is computed: device, threads, runs, overwrite.
        seeds: Other seeds; empty for the record's.

    Returns:
        A request whose values are the record's, whatever the recipes say by now.

    Raises:
        UsageError: If there is no such file.
        RunError: If it is no record, or of a run that this version cannot repeat.
    """
    if not path.is_file():
        raise UsageError(f"No file {path}; expected a record.json.")
    record = read_record(path)
    try:
        words = shlex.split(record.command)
    except ValueError as error:
        raise RunError(f"{path}: its command cannot be read: {error}.") from error
    given = {name: value for name, value in pairwise(words) if name.startswith("-")}
    if len(record.stages) != 1 or record.fold is not None or "--dataset" not in given:
        raise RunError(f"{path}: is not of a run of one stage by `skelbench run`, which is what can be repeated.")
    return RunRequest(
        dataset=given["--dataset"],
        protocol=record.protocol,
        splits=given.get("--splits"),
        models=(given.get("--model", record.model),),
        method=given.get("--method", record.method),
        streams=(record.streams,) if "--streams" in given else (),
        recipe=given.get("--recipe", "default"),
        overrides=tuple(word for flag, word in pairwise(words) if flag == "-o"),
        seeds=seeds or (record.seed,),
        precision=given.get("--precision", "32-true"),
        limit=record.limit,
        repeats=record,
        **where,
    )


def _one(cell: Cell, overwrite: str, sink: Sink) -> RunResult:
    """Run one cell, unless it is done or another process is at it."""
    cell.folder.mkdir(parents=True, exist_ok=True)
    with _locked(cell.folder) as free:
        if not free:
            told = "another process is running it; left to that"
            return RunResult(cell.name, cell.folder, "partial", told, None, RunError(told))
        if overwrite == "always":
            _clear(cell.folder)
        try:
            finished = _finished(cell)
            if finished is not None:
                return finished
            record = execute(cell, sink)
        except USAGE as error:
            return RunResult(cell.name, cell.folder, "failed", str(error), None, error)
        except Exception as error:  # whatever it is, the other cells go on
            return _failed(cell, error)
        (cell.folder / ERROR).unlink(missing_ok=True)
        write_record(cell.folder / RECORD, record)
        forget_resume(cell.folder)
        return RunResult(cell.name, cell.folder, record.state, _verdict(record), record)


def _finished(cell: Cell) -> RunResult | None:
    """The result that stands in the folder already, if it is final."""
    record = read_standing(cell.folder).record
    if record is None or record.state in ("failed", "partial"):
        return None
    if (record.key, record.seed) != (cell.key, cell.seed):
        raise RunError(f"{cell.folder / RECORD}: is of another run. Move it away, or give --overwrite always.")
    forget_resume(cell.folder)  # a kill may have come between the record and this
    told = f"{record.state} already: {_verdict(record)}"
    if record.code_version != cell.code:
        told += f" (by skelbench {record.code_version}, this is {cell.code}; --overwrite always runs it again)"
    elif record.state == "diverged":
        told += " (--overwrite always tries again)"
    return RunResult(cell.name, cell.folder, record.state, told, record)


def _failed(cell: Cell, error: Exception) -> RunResult:
    """Keep why a run failed."""
    ours = type(error).__module__.startswith("skelbench.")
    message = str(error) if ours else f"{type(error).__name__}: {error}"
    if not ours or error.__cause__ is not None:
        message += f" (traceback in {cell.folder / ERROR})"
    write_whole(cell.folder / ERROR, "".join(traceback.format_exception(error)).encode())
    record = unfinished(cell, "failed", message)
    write_record(cell.folder / RECORD, record)
    return RunResult(cell.name, cell.folder, "failed", message, record, error)


def _verdict(record: Record) -> str:
    """The result of a run in a few words."""
    if record.state != "done":
        return "; ".join(record.messages)
    value = record.metrics[record.primary].value
    shown = "not defined" if value is None else f"{100 * value:.2f} %"
    return "; ".join([f"{record.primary} {shown} (chance {100 * record.chance:.1f} %)", *record.messages])


def _clear(folder: Path) -> None:
    """Remove what a run left, its record first."""
    for name in (RECORD, PREDICTIONS, CHECKPOINT, LOG, ERROR):
        (folder / name).unlink(missing_ok=True)
    forget_resume(folder)


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Hold the folder's lock; false where another process does. The system frees it when the process ends."""
    with (folder / LOCK).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Use so many threads on the CPU, and as many as before afterwards."""
    before = torch.get_num_threads()
    try:
        if count is not None:
            torch.set_num_threads(count)
        yield
    finally:
        torch.set_num_threads(before)


def _check(request: RunRequest) -> None:
    """Refuse numbers that make no sense, and a device that is not there."""
    make_fabric(request.device, request.precision)
    if not request.seeds or not all(0 <= seed <= MAX_SEED for seed in request.seeds):
        raise UsageError(f"Seeds {list(request.seeds)}: expected at least one, each from 0 to {MAX_SEED}.")
    if len(set(request.seeds)) != len(request.seeds):
        raise UsageError(f"Seeds {list(request.seeds)}: one is given twice.")
    for name, value in (("limit", request.limit), ("threads", request.threads)):
        if value is not None and value < 1:
            raise UsageError(f"--{name} {value}: expected at least 1.")


def _protocols(request: RunRequest, store: Store) -> list[str | None]:
    """Names of the protocols to run; None for the set's first."""
    return [*load_protocols(request.splits or store.info.name)] if request.protocol == "all" else [request.protocol]


def _resolved(request: RunRequest, store: Store, split: Split, choice: tuple[str | None, tuple[str, ...]]) -> Resolved:
    """The recipe of one cell."""
    model, method = default_choice(choice[0], request.method)
    resolved = resolve(
        Ask(
            dataset=store.info.name,
            protocol=split.name,
            model=model,
            method=method,
            recipe=request.recipe,
            prepare=store.card.prepare,
            streams=choice[1],
            overrides=request.overrides,
            settled=None if request.repeats is None else _settled(request.repeats),
        )
    )
    check_recipe(resolved.data)
    return resolved


def _settled(record: Record) -> dict[str, Setting]:
    """The values of a record, each with the layer and source it has there."""
    return {key: Setting(one.value, one.layer, one.source) for key, one in record.stages[0].values.items()}


def _check_repeated(record: Record | None, store: Store, split: Split, key: str) -> None:
    """Refuse to call another run a repetition; say what differs."""
    if record is None or record.key == key:
        return
    differs = []
    if record.data[0].fingerprint != store.info.fingerprint:
        differs.append(
            f"the data (fingerprint {store.info.fingerprint[:8]}, recorded {record.data[0].fingerprint[:8]})"
        )
    if record.split.digest != split.digest:
        differs.append(f"the split (digest {split.digest[:8]}, recorded {record.split.digest[:8]})")
    what = " and ".join(differs) or "a file or setting"
    raise UsageError(f"This is not the run of the record: {what} differs. To run it nevertheless: {record.command}")


def _limited(store: Store, split: Split, limit: int | None) -> Split:
    """A split of at most so many samples a part, spread over target, subject and camera."""
    if limit is None:
        return split
    columns = [name for name in (split.target, "subject", "camera") if name in store.table.columns]
    rows: list[dict[Any, Any]] = store.table[columns].astype(str).to_dict("records")
    parts = []
    for part in (split.train, split.test):
        places = {store.ids[place]: place for place in part}
        picked = spread({name: rows[place] for name, place in places.items()}, columns)[:limit]
        parts.append(tuple(sorted(places[name] for name in picked)))
    return replace(split, train=parts[0], test=parts[1])


def _folder(resolved: Resolved) -> Path:
    """Where the runs of a pair of model and method on a protocol stand, below the runs folder."""
    ask, streams = resolved.ask, "+".join(resolved.data.streams)
    names = (ask.dataset, ask.protocol, f"{resolved.model.name}-{resolved.method.name}-{streams}")
    return Path(*(re.sub(r"[^\w.+-]", "_", name).lstrip(".") or "_" for name in names))


def _source(choice: Choice) -> str | None:
    """Digest of a model or method named by path; None for one that comes with a version."""
    return registry.digest(choice.plugin) if choice.plugin.module.endswith(".py") else None


def _command(request: RunRequest, resolved: Resolved, seed: int) -> str:
    """The command that repeats one run."""
    ask = resolved.ask
    words = ["skelbench", "run", "--dataset", request.dataset, "--protocol", ask.protocol]
    words += ["--model", ask.model, "--method", ask.method]
    if request.splits is not None:
        words += ["--splits", request.splits]
    if ask.streams:
        words += ["--streams", ",".join(ask.streams)]
    if ask.recipe != "default":
        words += ["--recipe", ask.recipe]
    for override in ask.overrides:
        words += ["-o", override]
    if request.precision != "32-true":
        words += ["--precision", request.precision]
    if request.limit is not None:
        words += ["--limit", str(request.limit)]
    return shlex.join([*words, "--seed", str(seed)])
