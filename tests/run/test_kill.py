"""A run killed at any moment ends, when the command is given again, with the same bytes."""

import json
import os
import shutil
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
KILLS = int(os.environ.get("SKELBENCH_KILLS", "4"))  # of the widest test
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


@pytest.mark.slow
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


STAGES = """
[[stage]]
optim = { epochs = 4, ema = 0.9 }

[[stage]]
optim = { epochs = 0 }

[[stage]]
labels = 0.5
freeze = ["encoder.norm.*", "encoder.blocks.0.*"]
head = "new"
optim = { epochs = 3, name = "sgd", lr = 0.05, accumulate = 2 }
method = { mixup = 0.2 }
"""
MANY = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from skelbench.request import RunRequest
from skelbench.run import run
print("up", flush=True)
run(RunRequest(dataset="nw_ucla", overrides=("data.batch=8", "data.frames=8"), recipe="./three.toml", device="cpu",
               seeds=(0, 1), splits="two.toml", oracle=True, runs=Path(sys.argv[1])))
"""
FOLDS = '[protocols.two]\ntitle="x"\nsource="me"\nfolds={ by = "subject", count = 2 }\n'


def many(runs: str) -> dict[str, bytes]:
    """All that a run of two seeds, two folds and three stages leaves, but for times."""
    results = run(
        RunRequest(
            dataset="nw_ucla",
            overrides=("data.batch=8", "data.frames=8"),
            recipe="./three.toml",
            device="cpu",
            seeds=(0, 1),
            splits="two.toml",
            oracle=True,
            runs=Path(runs),
        )
    )
    assert [result.state for result in results] == ["done"] * 4
    left = {}
    for path in sorted(path for path in Path(runs).rglob("*") if path.is_file()):
        name, content = str(path.relative_to(runs)), path.read_bytes()
        if path.name == "record.json":
            table = json.loads(content)
            told = [text for text in table["messages"] if "resumed after epoch" not in text]
            content = json.dumps({**table, "seconds": 0, "messages": told, "environment": 0}).encode()
        if path.name == "log.jsonl":
            lines = [{**json.loads(line), "seconds": 0} for line in content.splitlines()]
            content = json.dumps(lines).encode()
        left[name] = content
    return left


@pytest.mark.slow
def test_kills_of_a_run_of_several_seeds_folds_and_stages_change_nothing() -> None:
    Path("three.toml").write_text(STAGES)
    Path("two.toml").write_text(FOLDS)
    began = time.monotonic()
    expected = many("whole")
    seconds = time.monotonic() - began
    assert len(expected) == 4 * 7  # lock, log, record, predictions, checkpoint and the weights of two stages
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    rng = np.random.default_rng(0)
    kills = 0
    while kills < KILLS:
        command = [sys.executable, "-c", MANY, "killed"]
        child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()  # it has loaded its libraries
        time.sleep(float(rng.random()) * seconds / 4)
        child.send_signal(signal.SIGKILL)
        _, complaint = child.communicate()
        assert child.returncode in (-signal.SIGKILL, 0), complaint.decode()
        kills += 1
        if child.returncode == 0:  # it had ended: begin anew, so that every kill hits something
            assert many("killed") == expected
            shutil.rmtree("killed")
    assert many("killed") == expected
