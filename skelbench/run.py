"""Runs: each cell of a request idempotent and resumable, one after the other."""

import fcntl
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from lightning_fabric import Fabric

from skelbench.cell import Cell, Progress, Sink
from skelbench.errors import USAGE, RunError
from skelbench.execute import ORACLE, Preview, assist, execute, preview, unfinished
from skelbench.freed import freed_memory_kept
from skelbench.metrics import shown
from skelbench.plan import plan_runs
from skelbench.processes import Order, Seat, launched, seat, started_here, supervise
from skelbench.record import Record, write_record, write_whole
from skelbench.request import RunRequest
from skelbench.resume import forget_resume
from skelbench.standing import CHECKPOINT, LOCK, LOG, PREDICTIONS, RECORD, State, read_standing

ERROR = "error.txt"  # the whole traceback of a run that failed


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

    What is done already is said and skipped, what was interrupted goes on, what fails does not stop the rest. With
    several devices each cell has processes of its own, which are started here and end with the cell; where SLURM has
    started as many tasks, this is one of them, and only the first one of them has results.

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
    sat = seat() if request.devices > 1 else None
    with _threads(request.threads):
        for place, cell in enumerate(cells):
            try:
                result = _attempt(request, place, cell, sink, sat)
                if result is None:
                    continue
                results.append(result)
            except KeyboardInterrupt:
                standing = read_standing(cell.folder)
                epochs = standing.epochs or sum(cell.plan)
                told = f"stopped after epoch {standing.epoch} of {epochs}" if epochs else "stopped"
                without = " without --overwrite always" if request.overwrite == "always" else ""
                again = f"the same command{without} goes on from there"
                results.append(RunResult(cell.name, cell.folder, "partial", f"{told}; {again}"))
                break
            sink(Progress(cell.name, "end", text=results[-1].message))
            if sat is not None and results[-1].state == "failed":
                break  # the other tasks may be anywhere
    return results


@freed_memory_kept()
def run_cell(cell: Cell, overwrite: str, sink: Sink, sat: Seat | None) -> RunResult | None:
    """Run a cell in this process, alone or with others.

    Args:
        cell: What to run.
        overwrite: `never` or `always`.
        sink: Told of every step.
        sat: Which of the processes of the cell this is.

    Returns:
        The result; None from all processes but the first.
    """
    others = sat is not None and sat.process > 0
    if cell.devices == 1:
        return None if others else _one(cell, overwrite, sink, None)
    fabric = launched(cell.device, cell.precision, cell.devices)
    if not others:
        return _one(cell, overwrite, sink, fabric)
    if fabric.broadcast(False):
        assist(cell, fabric)
    return None


def preview_runs(request: RunRequest) -> list[Preview]:
    """Say what a request would run and cost: every value with layer and source. Nothing is trained.

    Args:
        request: What would be run.

    Returns:
        A preview for each cell of the first seed and fold.

    Raises:
        UsageError, RecipeError, SplitError, RunError: As `run` would.
    """
    with _threads(request.threads):
        cells = plan_runs(replace(request, seeds=request.seeds[:1]))
        folds = {cell.key: cell for cell in reversed(cells)}
        return [preview(cell) for cell in reversed(folds.values())]


def _attempt(request: RunRequest, place: int, cell: Cell, sink: Sink, sat: Seat | None) -> RunResult | None:
    """Run one cell, here or in processes of its own; where nothing can be written, that is its result."""
    try:
        if sat is None and cell.devices > 1:
            return _supervised(request, place, cell, sink)
        return run_cell(cell, request.overwrite, sink, sat)
    except OSError as error:  # a full disk, or a folder of somebody else: the other cells may have another
        if sat is not None:
            raise
        return RunResult(cell.name, cell.folder, "failed", f"cannot be written: {error}", None, error)


def _supervised(request: RunRequest, place: int, cell: Cell, sink: Sink) -> RunResult:
    """Run one cell in processes of its own, unless it is done."""
    try:
        finished = None if request.overwrite == "always" else _kept(cell)
        if finished is not None:
            return finished
        threads = request.threads or max(1, torch.get_num_threads() // cell.devices)
        result: RunResult = supervise(Order(request, place, cell.key), cell.devices, threads, sink)
    except RunError as error:
        cell.folder.mkdir(parents=True, exist_ok=True)
        return _failed(cell, error)
    return result


def _one(cell: Cell, overwrite: str, sink: Sink, fabric: Fabric | None) -> RunResult:
    """Run one cell, unless it is done or another run is at it; the other processes are told whether."""
    finished = None if overwrite == "always" else _kept(cell)
    if finished is not None:  # known without the lock, which a folder of somebody else may not allow
        _announce(fabric, begins=False)
        return finished
    cell.folder.mkdir(parents=True, exist_ok=True)
    with _locked(cell.folder) as free:
        if not free:
            _announce(fabric, begins=False)
            told = "another process is running it; left to that"
            return RunResult(cell.name, cell.folder, "partial", told, None, RunError(told))
        if overwrite == "always":
            _clear(cell.folder)
        try:
            finished = _kept(cell)
            _announce(fabric, begins=finished is None)
            if finished is not None:
                return finished
            record = execute(cell, sink, fabric)
        except USAGE as error:
            _withdraw(cell.folder)
            return RunResult(cell.name, cell.folder, "failed", str(error), None, error)
        except Exception as error:  # whatever it is, the other cells go on
            if started_here() and not _ours(error):
                raise  # perhaps because another process is gone: who started them knows
            return _failed(cell, error)
        (cell.folder / ERROR).unlink(missing_ok=True)
        write_record(cell.folder / RECORD, record)
        forget_resume(cell.folder)
        return RunResult(cell.name, cell.folder, record.state, _verdict(record), record)


def _kept(cell: Cell) -> RunResult | None:
    """What stands in the folder and is left as it is: a final result, or a record that is damaged or of another run."""
    try:
        return _finished(cell)
    except RunError as error:
        return RunResult(cell.name, cell.folder, "failed", str(error), None, error)


def _finished(cell: Cell) -> RunResult | None:
    """The result that stands in the folder already, if it is final."""
    try:
        record = read_standing(cell.folder).record
    except RunError as error:
        raise RunError(f"{error} Move it away, or give --overwrite always.") from error
    if record is None or record.state in ("failed", "partial"):
        return None
    if (record.key, record.seed, record.fold) != (cell.key, cell.seed, cell.fold):
        raise RunError(f"{cell.folder / RECORD}: is of another run. Move it away, or give --overwrite always.")
    forget_resume(cell.folder)  # a kill may have come between the record and this
    told = f"{record.state} already: {_verdict(record)}"
    if record.code_version != cell.code:
        told += f" (by skelbench {record.code_version}, this is {cell.code}; --overwrite always runs it again)"
    elif record.state == "diverged":
        told += " (--overwrite always tries again)"
    if cell.oracle and record.epochs and not any(name.startswith(ORACLE) for name in record.metrics):
        told += " (without --oracle; --overwrite always runs it again)"
    return RunResult(cell.name, cell.folder, record.state, told, record)


def _failed(cell: Cell, error: Exception) -> RunResult:
    """Keep why a run failed."""
    message = str(error) if _ours(error) else f"{type(error).__name__}: {error}"
    if not _ours(error) or error.__cause__ is not None:
        message += f" (traceback in {cell.folder / ERROR})"
    write_whole(cell.folder / ERROR, "".join(traceback.format_exception(error)).encode())
    record = unfinished(cell, "failed", message)
    write_record(cell.folder / RECORD, record)
    return RunResult(cell.name, cell.folder, "failed", message, record, error)


def _ours(error: Exception) -> bool:
    """Whether an error says itself what it is about."""
    return type(error).__module__.startswith("skelbench.")


def _announce(fabric: Fabric | None, *, begins: bool) -> None:
    """Tell the other processes whether there is something to do."""
    if fabric is not None:
        fabric.broadcast(begins)


def _verdict(record: Record) -> str:
    """The result of a run in a few words."""
    if record.state != "done":
        return "; ".join(record.messages)
    value = shown(record.metrics[record.primary].value, record.primary)
    guess = f" (chance {100 * record.chance:.1f} %)" if record.chance else ""  # of a score there is none
    where = f" tuned on {record.split.carved}; the test part is not scored" if record.split.carved else ""
    said = f"{record.primary} {value}{guess}{where}"
    return "; ".join([said, *record.messages])


def _clear(folder: Path) -> None:
    """Remove what a run left, its record first."""
    for name in (RECORD, PREDICTIONS, CHECKPOINT, LOG, ERROR):
        (folder / name).unlink(missing_ok=True)
    for path in folder.glob("stage[1-9]*.safetensors"):
        path.unlink()
    forget_resume(folder)


def _withdraw(folder: Path) -> None:
    """Take a folder away in which nothing was ever begun, and those above it that were made for it alone."""
    if [path.name for path in folder.iterdir()] != [LOCK]:
        return
    (folder / LOCK).unlink()
    with suppress(OSError):  # the first that holds something else
        for empty in (folder, *folder.parents[:4]):
            empty.rmdir()


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Hold the folder's lock; false where another process does. The system frees it when the process ends."""
    with (folder / LOCK).open("a") as file:
        for wait in (0.05, 0.2, None):  # `list runs` tries a lock for a moment to see who holds it
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if wait is None:
                    yield False
                    return
                time.sleep(wait)
            else:
                break
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
