"""A run killed at any moment ends, when the command is given again, with the same bytes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from skelbench.request import RunRequest
from skelbench.run import run
from skelbench.standing import read_standing

pytestmark = pytest.mark.usefixtures("store")
OVERRIDES = ("optim.epochs=8", "data.batch=8", "data.frames=8", "optim.name=adamw", "optim.lr=0.01")
CHILD = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from skelbench.request import RunRequest
from skelbench.run import run
run(RunRequest(dataset="nw_ucla", overrides=tuple(sys.argv[2:]), device="cpu", runs=Path(sys.argv[1])))
"""


def request(runs: str) -> RunRequest:
    return RunRequest(dataset="nw_ucla", overrides=OVERRIDES, device="cpu", runs=Path(runs))


def start(runs: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", CHILD, runs, *OVERRIDES], env=environment, stderr=subprocess.PIPE)


def kill_after(child: subprocess.Popen[bytes], folder: Path, *, epoch: int, seconds: float) -> None:
    """SIGKILL some time after an epoch is on disk."""
    deadline = time.monotonic() + 60
    while child.poll() is None and read_standing(folder).epoch < epoch:
        assert time.monotonic() < deadline, "the child does not get there"
        time.sleep(0.005)
    time.sleep(seconds)
    child.send_signal(signal.SIGKILL)
    _, complaint = child.communicate()
    assert child.returncode in (-signal.SIGKILL, 0), complaint.decode()


def whole(runs: str = "whole") -> dict[str, bytes]:
    (result,) = run(request(runs))
    assert result.state == "done"
    return {
        path.name: path.read_bytes() for path in result.folder.iterdir() if path.suffix in (".safetensors", ".parquet")
    }


def test_a_killed_run_ends_with_the_same_bytes() -> None:
    expected = whole()
    folder = next(Path("whole").rglob("seed0")).relative_to("whole")
    kill_after(start("killed"), Path("killed") / folder, epoch=3, seconds=0.03)
    assert read_standing(Path("killed") / folder).epoch >= 3
    assert whole("killed") == expected


@pytest.mark.slow
def test_ten_kills_at_random_moments_change_nothing() -> None:
    expected = whole()
    folder = next(Path("whole").rglob("seed0")).relative_to("whole")
    rng = np.random.default_rng(0)
    for _ in range(10):
        child = start("killed")
        begun = read_standing(Path("killed") / folder).epoch
        kill_after(child, Path("killed") / folder, epoch=min(begun + 1, 7), seconds=float(rng.random() * 0.3))
    assert whole("killed") == expected
    names = {path.name for path in (Path("killed") / folder).iterdir()}
    assert names == {".lock", "checkpoint.safetensors", "log.jsonl", "predictions.parquet", "record.json"}
