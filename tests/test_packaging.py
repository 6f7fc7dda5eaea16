"""The wheel holds everything that a user without the repository needs."""

import json
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def skelbench(tmp_path_factory) -> Path:
    """The command of an installed wheel, in an environment of its own that borrows the dependencies."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT], check=True, cwd=folder
    )
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    (wheel,) = folder.glob("skelbench-*.whl")
    subprocess.run([*pip, "--python", python, "install", "--no-deps", wheel], check=True, cwd=folder)
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    # a folder named by a .pth file has its own .pth files ignored: the editable install stays out
    (site / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"])
    return folder / "venv" / "bin" / "skelbench"


def call(command: Path, *arguments: str) -> str:
    run = subprocess.run([command, *arguments], capture_output=True, text=True, check=True)
    return run.stdout


@pytest.mark.slow
def test_the_wheel_runs_outside_the_repository_with_all_its_facts(skelbench) -> None:
    listed = {row["name"]: row["entries"] for row in json.loads(call(skelbench, "list", "--json"))}
    assert {"ntu60", "ntu120", "nw_ucla", "penn_action"} <= set(listed["datasets"])
    assert "nw_ucla/xview" in listed["protocols"]
    assert {"kinect_v1", "kinect_v2", "penn13", "coco17"} <= set(listed["layouts"])
    assert {"lite", "identity"} <= set(listed["models"])
    assert len(listed["published"]) >= 4
    assert len(json.loads(call(skelbench, "info", "lite", "--json"))["recipes"]) > 3
    assert len(json.loads(call(skelbench, "info", "ntu60", "--json"))["classes"]) == 60


@pytest.mark.slow
def test_the_wheel_goes_from_made_up_raw_files_to_a_board(skelbench) -> None:
    call(skelbench, "synth", "ntu120", "--samples", "64", "--defects")  # with the list of unusable samples
    call(skelbench, "convert", "ntu120", "--raw", "raw/ntu120")
    call(skelbench, "run", "--dataset", "ntu120", "--method", "majority")
    assert "synthetic/ntu120-xsub.md" in call(skelbench, "leaderboard")
    origin = subprocess.run(
        [skelbench.with_name("python"), "-c", "import skelbench; print(skelbench.__file__)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert str(ROOT) not in origin.stdout
