"""The documented sbatch script, run by bash with a made-up SLURM: what its tasks would call, and a whole run."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from skelbench.cli import cli
from skelbench.record import read_record

SCRIPT = Path(__file__).parents[1] / "docs" / "slurm" / "run.sbatch"
PAGE = SCRIPT.parent.with_suffix(".md")
SRUN = 'echo "srun $*" >>calls\nexec "$@"\n'
SCONTROL = 'echo "scontrol $*" >>calls\n'
CALLED = 'echo "threads $OMP_NUM_THREADS" >>calls\n'
REAL = f'exec {sys.executable} -c "from skelbench.cli import main; main()" "$@"\n'


def programs(**bodies: str) -> None:
    """Put programs of these names into bin/."""
    Path("bin").mkdir(exist_ok=True)
    for name, body in bodies.items():
        path = Path("bin") / name
        path.write_text(f"#!/bin/bash\n{body}")
        path.chmod(0o755)


def job(**variables: object) -> dict[str, str]:
    """The environment of a task: that of SLURM, and the programs of bin/."""
    usual = {"SLURM_JOB_ID": 77, "SLURM_CPUS_PER_TASK": 1, "SLURM_NTASKS": 1, "SLURM_PROCID": 0, "SLURM_LOCALID": 0}
    given = {name: str(value) for name, value in {**usual, "SLURM_NODEID": 0, **variables}.items()}
    return {**os.environ, **given, "PATH": f"{Path('bin').resolve()}:{os.environ['PATH']}"}


def call(*arguments: str, **variables: object) -> subprocess.CompletedProcess[str]:
    """Run the script as a task would."""
    return subprocess.run(
        ["bash", SCRIPT, *arguments], env=job(**variables), capture_output=True, text=True, check=False
    )


def calls() -> list[str]:
    return Path("calls").read_text().splitlines()


def test_the_script_is_sound() -> None:
    checker = shutil.which("shellcheck")
    command = [checker, SCRIPT] if checker else ["bash", "-n", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_sbatch_reads_stands_before_the_first_command() -> None:
    lines = SCRIPT.read_text().splitlines()
    options = [place for place, line in enumerate(lines) if line.startswith("#SBATCH ")]
    first = next(place for place, line in enumerate(lines) if line and not line.startswith("#"))
    assert options
    assert max(options) < first
    assert all(re.fullmatch(r"#SBATCH --[a-z-]+(=\S+)?", lines[place]) for place in options)


def test_a_task_of_an_array_is_a_seed() -> None:
    programs(srun=SRUN, skelbench=CALLED)
    done = call("--dataset", "nw_ucla", "-o", "optim.lr=0.05", SLURM_ARRAY_TASK_ID=2, SLURM_CPUS_PER_TASK=3)
    assert done.returncode == 0, done.stderr
    assert calls() == ["srun skelbench run --dataset nw_ucla -o optim.lr=0.05 --seed 2", "threads 3"]


def test_hints_of_torch_to_programmers_do_not_fill_the_output_unless_asked_for() -> None:
    programs(srun=SRUN, skelbench='echo "level $TORCH_CPP_LOG_LEVEL" >>calls\n')
    assert call().returncode == call(TORCH_CPP_LOG_LEVEL="INFO").returncode == 0
    assert [line for line in calls() if line.startswith("level")] == ["level ERROR", "level INFO"]


def test_without_an_array_it_is_seed_0() -> None:
    programs(srun=SRUN, skelbench=CALLED)
    assert call("--dataset", "a set").returncode == 0
    assert calls()[0] == "srun skelbench run --dataset a set --seed 0"


def test_several_tasks_a_node_train_one_run_together() -> None:
    programs(srun=SRUN, skelbench='echo "end all: $SLURM_KILL_BAD_EXIT" >>calls\n')
    done = call("--dataset", "x", SLURM_NTASKS_PER_NODE=4, SLURM_NTASKS=4, SLURM_ARRAY_TASK_ID=1)
    assert done.returncode == 0, done.stderr
    assert calls() == ["srun skelbench run --dataset x --devices 4 --seed 1", "end all: 1"]


def test_tasks_go_through_the_seeds_of_each_model() -> None:
    programs(srun=SRUN, skelbench="")
    for task in range(6):
        assert call("--dataset", "x", MODELS="lite ./my.py", SEEDS=3, SLURM_ARRAY_TASK_ID=task).returncode == 0
    assert [line.split("--model ")[1] for line in calls()] == [
        f"{model} --seed {seed}" for model in ("lite", "./my.py") for seed in range(3)
    ]


def test_a_task_beyond_the_last_cell_runs_nothing() -> None:
    programs(srun=SRUN, skelbench=CALLED)
    done = call("--dataset", "x", MODELS="lite ctrgcn", SEEDS=3, SLURM_ARRAY_TASK_ID=6)
    assert done.returncode == 2
    assert "2 MODELS of 3 SEEDS are --array=0-5" in done.stderr
    assert not Path("calls").exists()


@pytest.mark.parametrize("code", [0, 1, 2, 130])
def test_the_job_ends_with_the_code_of_the_run(code: int) -> None:
    programs(srun=SRUN, skelbench=f"exit {code}\n")
    assert call("--dataset", "x").returncode == code


@pytest.mark.parametrize(("restarts", "queued"), [(0, True), (3, False)])
def test_near_its_end_the_job_goes_back_into_the_queue_and_the_run_goes_on_until_it_is_ended(
    restarts: int, queued: bool
) -> None:
    programs(
        srun=SRUN, scontrol=SCONTROL, skelbench="touch started\nwhile [ ! -e ended ]; do sleep 0.02; done\nexit 5\n"
    )
    child = subprocess.Popen(
        ["bash", SCRIPT, "--dataset", "x"],
        env=job(SLURM_RESTART_COUNT=restarts, MAX_RESTARTS=3),
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(Path("started"))
    child.send_signal(signal.SIGUSR1)
    time.sleep(0.3)
    assert child.poll() is None
    Path("ended").touch()
    _, said = child.communicate(timeout=20)
    assert child.returncode == 5
    assert ("scontrol requeue 77" in calls()) == queued
    assert ("back into the queue" if queued else "it was requeued 3 times") in said


@pytest.mark.slow
def test_an_array_leaves_a_record_for_each_task_with_data_and_runs_elsewhere() -> None:
    programs(srun=SRUN, skelbench=REAL)
    for words in ("synth nw_ucla --samples 64 --out raw", "convert nw_ucla --raw raw --out far/data/nw_ucla"):
        cli.main(words.split(), standalone_mode=False)
    places = {"SKELBENCH_DATA": "far/data", "SKELBENCH_RUNS": "far/runs"}
    for task in range(2):
        done = call("--dataset", "nw_ucla", "--method", "centroid", SLURM_ARRAY_TASK_ID=task, **places)
        assert done.returncode == 0, done.stderr
    again = call("--dataset", "nw_ucla", "--method", "centroid", SLURM_ARRAY_TASK_ID=1, **places)
    assert "done already" in again.stdout
    records = [read_record(path) for path in sorted(Path("far/runs").rglob("record.json"))]
    assert [(record.seed, record.state) for record in records] == [(0, "done"), (1, "done")]
    assert not Path("runs").exists()


@pytest.mark.slow
def test_a_job_whose_time_was_up_goes_on_where_it_was() -> None:
    programs(srun=SRUN, skelbench=REAL)
    for words in ("synth nw_ucla --samples 64 --out raw", "convert nw_ucla --raw raw"):
        cli.main(words.split(), standalone_mode=False)
    words = ["--dataset", "nw_ucla", "-o", "optim.epochs=60", "-o", "data.batch=8", "-o", "data.frames=8"]
    child = subprocess.Popen(["bash", SCRIPT, *words], env=job(), start_new_session=True, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(Path("runs").rglob("resume.safetensors")):
        assert time.monotonic() < deadline
        assert child.poll() is None
        time.sleep(0.02)
    os.killpg(child.pid, signal.SIGTERM)  # as SLURM does when the time is up
    child.wait(timeout=30)
    assert not list(Path("runs").rglob("record.json"))
    done = call(*words)
    assert done.returncode == 0, done.stderr
    (path,) = Path("runs").rglob("record.json")
    assert read_record(path).epochs == 60


def test_the_page_names_what_the_script_reads() -> None:
    page, script = PAGE.read_text(), SCRIPT.read_text()
    options = ("--signal=B:USR1@120", "--requeue", "--gpus-per-node", "--ntasks-per-node")
    for name in ("MODELS", "SEEDS", "MAX_RESTARTS", *options):
        assert name in page
        assert name in script
    for folder in ("SKELBENCH_DATA", "SKELBENCH_RUNS"):
        assert folder in page


def wait_for(path: Path) -> None:
    """Until a file is there."""
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
