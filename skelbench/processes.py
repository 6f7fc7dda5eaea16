"""The processes of a run: one, several that are started here, or the tasks that SLURM has started."""

import logging
import os
import pickle
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import IO, Any, NamedTuple

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import distributed

from skelbench.errors import RunError, UsageError

TIMEOUT = timedelta(minutes=30)  # after which a process that waits for the others gives up
GRACE = 3.0  # seconds in which others may tell what was the cause of a failure
RANKED = "SKELBENCH_PROCESS"  # set in the processes that are started here
# sys.path first, so that everything else can be imported
CHILD = "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); from skelbench.worker import main; main()"


class Seat(NamedTuple):
    """Which of how many processes this one is."""

    process: int
    processes: int


class Order(NamedTuple):
    """What processes that are started here have to do."""

    request: Any  # a RunRequest
    place: int  # of the run among those of the request
    key: str  # that it must have


class Message(NamedTuple):
    """What a process tells the one that started it."""

    kind: str  # progress | result | error | gone
    content: Any  # of `gone` the exit code


class Failure(NamedTuple):
    """Why a process has no result; the least of several is the cause of the others."""

    rank: int  # 0: it was killed; 1: an error of ours; 2: another one; 3: gone without a word
    place: int
    text: str
    traceback: str


@dataclass(frozen=True)
class _Child:
    """One process that was started."""

    place: int
    popen: subprocess.Popen[bytes]
    said: IO[bytes] | None  # where its output goes, unless it is the first


def seat() -> Seat | None:
    """Which of several processes that were started together this one is; None where it stands alone."""
    if started_here():
        return Seat(int(os.environ["LOCAL_RANK"]), int(os.environ["WORLD_SIZE"]))
    tasks = int(os.environ.get("SLURM_STEP_NUM_TASKS", "1"))  # set by srun, and not in a batch script outside of it
    return Seat(int(os.environ["SLURM_PROCID"]), tasks) if tasks > 1 else None


def check_processes(device: str, devices: int) -> None:
    """Hold the number of processes against what there is.

    Args:
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        devices: Processes on a node, each with a device of its own.

    Raises:
        UsageError: If it is below 1, there are not so many devices, or SLURM has started another number of tasks.
    """
    if devices < 1:
        raise UsageError(f"--devices {devices}: expected at least 1.")
    if devices == 1:
        return
    there = torch.cuda.device_count()
    if device.startswith("cuda:"):
        raise UsageError(f"--device {device} is one device; with --devices {devices} give --device cuda.")
    if device != "cpu" and (there or device == "cuda") and there < devices:
        raise UsageError(
            f"--devices {devices}: torch sees {there} CUDA devices. Under SLURM ask for all of a node's with "
            f"--gpus-per-node={devices}, not for one a task; without a GPU give --device cpu."
        )
    sat = seat()
    nodes = int(os.environ.get("SLURM_NNODES", "1"))
    if sat is not None and not started_here() and sat.processes != devices * nodes:
        raise UsageError(
            f"--devices {devices}: SLURM has started {sat.processes} tasks on {nodes} nodes, expected "
            f"{devices} on each. Give srun --ntasks-per-node={devices}."
        )


def make_fabric(device: str, precision: str, devices: int = 1) -> Fabric:
    """Device, precision and processes of a run.

    Args:
        device: `auto` (the GPU where there is one), `cpu`, `cuda` or `cuda:N`.
        precision: `32-true` or `bf16-mixed`.
        devices: Processes on a node, each with a device of its own.

    Returns:
        Fabric on that device; one of several processes has still to be launched, which waits for the others.

    Raises:
        UsageError: If there is no such device or precision.
    """
    if precision not in ("32-true", "bf16-mixed"):
        raise UsageError(f"No precision '{precision}'. Known: 32-true, bf16-mixed.")
    name, _, place = device.partition(":")
    if name not in ("auto", "cpu", "cuda") or (place and (name != "cuda" or not place.isdecimal())):
        raise UsageError(f"No device '{device}'. Known: auto, cpu, cuda, cuda:N.")
    there = torch.cuda.device_count()
    if name == "cuda" and int(place or 0) >= there:
        raise UsageError(f"No device '{device}': torch sees {there} CUDA devices. Use --device cpu.")
    on_cpu = name == "cpu" or not there
    if devices > 1:
        return _several("cpu" if on_cpu else "cuda", precision, devices)
    if on_cpu:
        return Fabric(accelerator="cpu", devices=1, precision=precision)  # type: ignore[arg-type]  # checked above
    return Fabric(accelerator="cuda", devices=[int(place or 0)], precision=precision)  # type: ignore[arg-type]  # as above


def speaks(devices: int) -> bool:
    """Whether this process is the one of its run that tells people of it."""
    sat = seat() if devices > 1 else None
    return sat is None or sat.process == 0


def started_here() -> bool:
    """Whether this process was started by `supervise`."""
    return RANKED in os.environ


def launched(device: str, precision: str, devices: int) -> Fabric:
    """Fabric of one of several processes, once all are there; as `make_fabric`."""
    # what the libraries say to those who write training loops
    logging.getLogger("lightning_fabric").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=r"(?s).*(find_unused_parameters=True|`broadcast_buffers` is deprecated)")
    fabric = make_fabric(device, precision, devices)
    fabric.launch()
    if not started_here():  # a later run of the same tasks meets elsewhere, so that nothing is left of this one
        os.environ["MASTER_PORT"] = str(int(os.environ["MASTER_PORT"]) + 1)
    return fabric


def part(fabric: Fabric) -> None:
    """Let the processes go their own ways, once all have got here."""
    if fabric.world_size > 1 and distributed.is_initialized():
        fabric.barrier()
        distributed.destroy_process_group()


def supervise(order: Order, devices: int, threads: int, tell: Callable[[Any], None]) -> Any:
    """Start the processes of a run on this machine, and see to it that all end together.

    They end with this one, however it ends. An exception here, such as Ctrl-C, ends them.

    Args:
        order: What `skelbench.worker` is to do, the same for all.
        devices: How many there are.
        threads: Of torch in each.
        tell: Given what the first one tells of its progress.

    Returns:
        The result of the first process.

    Raises:
        RunError: If one fails or dies before the first has its result.
    """
    told: queue.Queue[tuple[int, Message]] = queue.Queue()
    children: list[_Child] = []
    try:
        port = _free_port()
        for place in range(devices):
            child = _start(place, devices, threads, port)
            children.append(child)
            threading.Thread(target=_listen, args=(place, child.popen, told), daemon=True).start()
            _give(child, order)
        return _await(told, children, tell)
    finally:
        for child in children:
            child.popen.kill()
        for child in children:
            _bury(child)


def _await(told: "queue.Queue[tuple[int, Message]]", children: list[_Child], tell: Callable[[Any], None]) -> Any:
    """Listen until the first process has its result; after a failure, a while longer for what may be its cause."""
    failures: list[Failure] = []
    gone: set[int] = set()
    deadline: float | None = None
    while len(gone) < len(children):
        try:
            wait = None if deadline is None else max(0.0, deadline - time.monotonic())
            place, message = told.get(timeout=wait)
        except queue.Empty:
            break
        if message.kind == "progress":
            tell(message.content)
        elif message.kind == "result":
            return message.content
        elif message.kind == "error":
            ours, text, traceback = message.content
            failures.append(Failure(1 if ours else 2, place, text, traceback))
        else:
            gone.add(place)
            if message.content != 0 or place == 0:
                failures.append(_died(children[place], message.content))
        if failures and deadline is None:
            deadline = time.monotonic() + GRACE
    cause = min(failures)
    where = "" if cause.rank == 1 else f"Process {cause.place} of {len(children)}, counted from 0: "
    raise RunError(where + cause.text) from (RuntimeError(cause.traceback) if cause.traceback else None)


def _died(child: _Child, code: int) -> Failure:
    """Why a process is gone."""
    why = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
    killed = " (perhaps for want of memory)" if code == -signal.SIGKILL else ""
    text = f"{why}{killed}. The others were ended too; the same command goes on from the last finished epoch."
    output = ""
    if child.said is not None:
        child.said.seek(0)
        output = child.said.read().decode(errors="replace").strip()
    return Failure(0 if code < 0 else 3, child.place, text, output)


def _give(child: _Child, order: Order) -> None:
    """Tell a process what to do; one that is dead already is heard of otherwise."""
    assert child.popen.stdin is not None
    with suppress(BrokenPipeError):
        pickle.dump(list(sys.path), child.popen.stdin)
        pickle.dump(order, child.popen.stdin)
        child.popen.stdin.flush()


def _bury(child: _Child) -> None:
    """Wait for the end of a process that was killed."""
    child.popen.wait()
    for file in (child.popen.stdin, child.said):
        if file is not None:
            with suppress(BrokenPipeError):
                file.close()


def _start(place: int, devices: int, threads: int, port: int) -> _Child:
    """Start one process, in a process group of its own, so that Ctrl-C reaches only this one."""
    environment: Mapping[str, str] = {
        **os.environ,
        RANKED: "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(devices),
        "NODE_RANK": "0",
        "LOCAL_RANK": str(place),
        "OMP_NUM_THREADS": str(threads),
        "TORCH_CPP_LOG_LEVEL": os.environ.get("TORCH_CPP_LOG_LEVEL", "ERROR"),
        "GLOO_SOCKET_IFNAME": os.environ.get("GLOO_SOCKET_IFNAME", "lo"),  # nothing leaves this machine
    }
    said = None if place == 0 else tempfile.TemporaryFile()  # noqa: SIM115 - closed where the process is buried
    command = [sys.executable, "-c", CHILD]
    popen = subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, process_group=0
    )
    return _Child(place, popen, said)


def _listen(place: int, popen: subprocess.Popen[bytes], told: "queue.Queue[tuple[int, Message]]") -> None:
    """Pass on what a process tells, and at last that it is gone."""
    assert popen.stdout is not None
    with popen.stdout as stream:
        while True:
            try:
                told.put((place, Message(*pickle.load(stream))))
            except Exception:  # the end, or half a message: either way it is gone
                break
    told.put((place, Message("gone", popen.wait())))


def _several(accelerator: str, precision: str, devices: int) -> Fabric:
    """Fabric for one of several processes."""
    try:
        environment: ClusterEnvironment = LightningEnvironment() if started_here() else SLURMEnvironment()
    except RuntimeError as error:  # SLURM was asked for tasks in a way that Lightning refuses
        raise UsageError(str(error)) from error
    strategy = DDPStrategy(
        timeout=TIMEOUT,
        broadcast_buffers=False,  # running statistics are the same everywhere, see norms.py
        find_unused_parameters=True,  # what a network does not use is no error, as on one process
    )
    nodes = 1 if started_here() else int(os.environ.get("SLURM_NNODES", "1"))
    return Fabric(
        accelerator=accelerator,
        devices=devices,
        num_nodes=nodes,
        strategy=strategy,
        plugins=[environment],
        precision=precision,  # type: ignore[arg-type]  # checked by the caller
    )


def _free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
