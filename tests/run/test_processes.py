"""Several processes that train together: the numbers of one, and one end for all."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import load_file

from skelbench.cell import Progress
from skelbench.errors import UsageError
from skelbench.processes import check_processes, seat
from skelbench.request import RunRequest
from skelbench.run import run
from skelbench.world import all_sum, gather, together

CREW = Path(__file__).parent / "crew.py"
TINY = {"width": 8}
WIDE = pytest.mark.skipif(
    "SKELBENCH_WIDE" not in os.environ, reason="one of the rarer cases: set SKELBENCH_WIDE to run them all"
)
OVERRIDES = ("optim.epochs=60", "data.batch=9", "data.frames=8")


class Told(NamedTuple):
    """What a process of a crew has left."""

    losses: list[float]  # of each step
    state: dict[str, torch.Tensor]


def crew(settings: dict[str, Any], folder: Path, count: int) -> list[Told]:
    """Let some processes train; what each of them has left."""
    folder.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo", "NODE_RANK": "0"}
    common |= {"SKELBENCH_PROCESS": "1", "WORLD_SIZE": str(count)} if count > 1 else {}
    command = [sys.executable, CREW, json.dumps(settings), folder]
    started = [
        subprocess.Popen(
            command,
            env={**os.environ, **common, "LOCAL_RANK": str(place), "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
        )
        for place in range(count)
    ]
    for process in started:
        _, complaint = process.communicate(timeout=300)
        assert process.returncode == 0, complaint.decode()[-2000:]
    told = [json.loads((folder / f"told{place}.json").read_text())["losses"] for place in range(count)]
    return [Told(told[place], load_file(folder / f"{place}.st")) for place in range(count)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "count"),
    [
        pytest.param({"model": "lite"}, 2, marks=WIDE),
        ({"model": "lite", "persons": "all", "method": {"class_weights": "balanced", "mixup": 0.4}}, 2),
        ({"model": "lite", "optim": {"accumulate": 3, "clip": 0.05, "ema": 0.5}}, 2),
        ({"model": "lite", "persons": "joined", "batch": 5}, 3),
        ({"model": "lite", "batch": 3}, 3),  # a process without a sample
        ({"model": "stgcn", "values": TINY, "kind": "score"}, 2),
        pytest.param({"model": "stgcn", "values": TINY, "kind": "multi", "persons": "all"}, 2, marks=WIDE),
        pytest.param({"model": "ctrgcn", "values": {**TINY, "input_slots": 2}, "persons": "all"}, 2, marks=WIDE),
        ({"model": "ctrgcn", "values": {**TINY, "arithmetic": "fused"}}, 2),
        pytest.param({"model": "unik", "values": {**TINY, "tau": 3}}, 2, marks=WIDE),
    ],
    ids=str,
)
def test_several_processes_train_as_one(tmp_path: Path, settings: dict[str, Any], count: int) -> None:
    (one,) = crew(settings, tmp_path / "one", 1)
    several = crew(settings, tmp_path / "several", count)
    assert several[0].losses == pytest.approx(one.losses, rel=1e-9, abs=1e-9)  # in 64 bits
    for name, tensor in one.state.items():
        torch.testing.assert_close(several[0].state[name], tensor, rtol=1e-8, atol=1e-8)
        assert all(torch.equal(several[0].state[name], other.state[name]) for other in several[1:])


@pytest.mark.slow
def test_two_processes_train_as_one_by_32_bits(tmp_path: Path) -> None:
    settings = {"model": "lite", "bits": 32, "optim": {"lr": 0.01}, "values": {"widths": [8, 8], "strides": [1, 2]}}
    (one,), (first, second) = crew(settings, tmp_path / "one", 1), crew(settings, tmp_path / "two", 2)
    assert first.losses == pytest.approx(one.losses, abs=1e-6)
    for name, tensor in one.state.items():
        torch.testing.assert_close(first.state[name], tensor, rtol=1e-5, atol=1e-5)
        assert torch.equal(first.state[name], second.state[name])


@pytest.mark.slow
def test_rows_of_all_processes_carry_their_gradient_home(tmp_path: Path) -> None:
    told = crew({"what": "gather"}, tmp_path / "crew", 3)
    rows = torch.cat([one.state["own"] for one in told]).requires_grad_()
    for place, one in enumerate(told):
        torch.testing.assert_close(one.state["rows"], rows.detach())
        torch.testing.assert_close(one.state["sum"], torch.tensor(6.0))
        assert len(one.state["own"]) == 2 * place  # one has none
    sum((place + 1) * rows.square().sum() for place in range(3)).backward()
    torch.testing.assert_close(torch.cat([one.state["grad"] for one in told]), rows.grad)


def test_alone_there_is_nobody_to_ask() -> None:
    x = torch.arange(3.0)
    with together():
        assert gather(x) is x
        assert all_sum(x) is x


@pytest.mark.parametrize(
    ("device", "devices", "said"),
    [
        ("cpu", 0, "--devices 0: expected at least 1"),
        ("cuda:1", 2, "--device cuda:1 is one device; with --devices 2 give --device cuda"),
        ("cuda", 99, r"--devices 99: torch sees \d+ CUDA devices. Under SLURM .* --gpus-per-node=99"),
    ],
)
def test_impossible_numbers_of_processes_are_refused(device: str, devices: int, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_processes(device, devices)


def test_slurm_says_which_of_its_tasks_this_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "4")
    monkeypatch.setenv("SLURM_PROCID", "0")
    assert seat() is None  # in a batch script, outside of srun
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    monkeypatch.setenv("SLURM_PROCID", "3")
    assert seat() == (3, 4)
    check_processes("cpu", 4)
    with pytest.raises(UsageError, match=r"SLURM has started 4 tasks on 1 nodes.*--ntasks-per-node=2"):
        check_processes("cpu", 2)


@pytest.mark.usefixtures("store")
def test_what_is_not_learnt_by_gradient_is_done_by_one_process() -> None:
    (result,) = run(RunRequest(dataset="nw_ucla", methods=("centroid",), device="cpu", devices=2))
    assert result.state == "done"
    assert "one process does all of it" in result.message
    assert result.record is not None
    assert result.record.environment["processes"] == "1"


def workers(parent: int) -> dict[int, int]:
    """Process ids of the processes that a process has started for its run, by their place."""
    found = {}
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdecimal() and int((folder / "stat").read_text().rsplit(")")[1].split()[1]) == parent:
                words = (folder / "environ").read_bytes().split(b"\0")
                if b"SKELBENCH_PROCESS=1" in words:
                    place = next(word for word in words if word.startswith(b"LOCAL_RANK="))
                    found[int(place.removeprefix(b"LOCAL_RANK="))] = int(folder.name)
        except OSError:
            continue
    return found


def request(runs: str, **changes: Any) -> RunRequest:
    return RunRequest(
        **{"dataset": "nw_ucla", "overrides": OVERRIDES, "device": "cpu", "devices": 2, "runs": Path(runs), **changes}
    )


def after(epoch: int, act: Callable[[], None]) -> Callable[[Progress], None]:
    """Do something once so many epochs are done."""
    done: list[int] = []

    def sink(progress: Progress) -> None:
        if progress.phase == "train" and progress.done >= epoch and not done:
            done.append(progress.done)
            act()

    return sink


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_when_one_process_dies_all_end_and_the_same_command_goes_on() -> None:
    started: list[int] = []

    def kill() -> None:
        started.extend(workers(os.getpid()).values())
        os.kill(workers(os.getpid())[1], signal.SIGKILL)

    began = time.monotonic()
    (result,) = run(request("killed"), after(3, kill))
    assert result.state == "failed"
    assert "Process 1 of 2, counted from 0: was ended by signal 9" in result.message
    assert len(started) == 2
    assert not any(Path("/proc", str(process)).exists() for process in started)
    assert time.monotonic() - began < 120
    (again,) = run(request("killed"))
    assert again.record is not None
    assert (again.state, again.record.epochs) == ("done", 60)
    assert "resumed after epoch" in again.message
    (whole,) = run(request("whole"))
    assert whole.record is not None
    assert whole.record.environment["processes"] == "2"
    assert whole.record.device == "2 x cpu"
    assert again.record.checkpoint_sha256 == whole.record.checkpoint_sha256
    started.clear()
    (done,) = run(request("whole"), lambda progress: started.extend(workers(os.getpid())))
    assert done.message.startswith("done already")
    assert not started


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_ctrl_c_ends_all_and_another_number_of_processes_says_so() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    (stopped,) = run(request("runs"), after(2, interrupt))
    assert stopped.state == "partial"
    assert "the same command goes on from there" in stopped.message
    assert not workers(os.getpid())
    (result,) = run(request("runs", devices=1))
    assert result.state == "done"
    assert "begun by 2 processes and resumed by 1: not equal bit for bit" in result.message


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_processes_end_with_the_command_that_started_them() -> None:
    words = ["run", "--dataset", "nw_ucla", "--device", "cpu", "--devices", "2", "--json"]
    words += [word for override in OVERRIDES for word in ("-o", override)]
    main = "from skelbench.cli import main; main()"
    command = subprocess.Popen([sys.executable, "-c", main, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(Path("runs").rglob("resume.json")):
        assert time.monotonic() < deadline
        assert command.poll() is None
        time.sleep(0.05)
    started = workers(command.pid).values()
    assert len(started) == 2
    command.kill()
    command.communicate()
    gone = threading.Event()
    while any(Path("/proc", str(process)).exists() for process in started):
        assert time.monotonic() < deadline
        gone.wait(0.05)


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_an_error_in_every_process_is_told_once(capfd: pytest.CaptureFixture[str]) -> None:
    Path("odd.py").write_text(
        "from torch import nn\n\n\nclass Odd(nn.Module):\n    def __init__(self, spec):\n        super().__init__()\n"
        "        self.out_channels = 4\n        self.lin = nn.Linear(1, 1)\n\n    def forward(self, x, slot):\n"
        "        print('hello')\n        raise ValueError('no idea')\n"
    )
    (result,) = run(request("runs", models=("./odd.py",)))
    assert result.state == "failed"
    assert "no idea" in result.message
    assert capfd.readouterr().out == ""
