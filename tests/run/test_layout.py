"""Runs on the joints of another layout."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from skelbench.api import open_dataset
from skelbench.cli import cli
from skelbench.data.types import DataRecipe
from skelbench.errors import RecipeError, UsageError
from skelbench.plan import plan_runs
from skelbench.record import Record, read_record
from skelbench.request import RunRequest, request_from
from skelbench.run import preview_runs, run

FEW = ("optim.epochs=1", "data.batch=24", "data.frames=8", "model.heads=4")
MINE = 'joints = ["top", "end"]\nparents = [-1, 0]\npairs = []\n[from.kinect_v1]\ntop = "head"\nend = "{}"\n'


@pytest.fixture(autouse=True)
def here(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def request(*overrides: str, **changes: Any) -> RunRequest:
    return RunRequest(dataset="nw_ucla", overrides=(*FEW, *overrides), device="cpu", **changes)


def key(*overrides: str, **changes: Any) -> str:
    (cell,) = plan_runs(request(*overrides, **changes))
    return cell.key


def done(asked: RunRequest) -> Record:
    (result,) = run(asked)
    assert result.record is not None
    assert result.record.state == "done", result.record.messages
    return result.record


def test_a_model_trains_on_the_joints_of_another_layout_and_the_record_says_so() -> None:
    record = done(request(layout="coco17"))
    prepare = record.stages[-1].values["data.prepare"]
    assert isinstance(prepare.value, list)
    assert prepare.value[-1] == "layout:coco17"
    assert prepare.layer.endswith(", --layout")
    assert " --layout coco17 " in record.command
    assert any(told.startswith("joints kinect_v1 -> coco17: 4 missing (left eye") for told in record.messages)


def test_the_layout_is_part_of_the_key_but_the_sets_own_is_the_run_without() -> None:
    plain = key()
    assert len({plain, key(layout="coco17"), key(layout="smarthome17")}) == 3
    assert key(layout="kinect_v1") == plain
    steps = json.dumps([*plan_runs(request())[0].resolved.data.prepare, "layout:coco17"])
    assert key(f"data.prepare={steps}") == key(layout="coco17")


def test_a_mapping_that_changes_is_another_run(tmp_path: Path) -> None:
    keys = set()
    for hand in ("left hand", "right hand"):
        (tmp_path / "mine.toml").write_text(MINE.format(hand))
        (cell,) = plan_runs(request(layout="./mine.toml"))
        keys.add(cell.key)
        assert list(cell.files) == ["./mine.toml"]
        assert cell.last.layout.joints == ("top", "end")
    assert len(keys) == 2


def test_a_record_is_repeated_with_its_layout() -> None:
    first = done(request(layout="coco17"))
    (path,) = Path("runs").rglob("record.json")
    (cell,) = plan_runs(request_from(path, {"device": "cpu"}))
    assert cell.key == first.key
    assert cell.command == first.command
    assert cell.last.layout.name == "coco17"


def test_weights_go_from_one_layout_to_a_set_of_another_only_through_a_mapping() -> None:
    done(request(layout="smarthome17"))
    (weights,) = Path("runs").rglob("checkpoint.safetensors")
    with pytest.raises(RecipeError, match="is of the layout 'smarthome17', this stage has 'kinect_v1'"):
        preview_runs(request(init=str(weights.parent)))
    preview_runs(request(init=str(weights.parent), layout="smarthome17"))


def test_it_holds_for_every_stage(tmp_path: Path) -> None:
    (tmp_path / "two.toml").write_text('evaluation = "finetune"\n[[stage]]\n[[stage]]\n')
    (cell,) = plan_runs(request(recipe=str(tmp_path / "two.toml"), layout="coco17"))
    assert [stage.layout.name for stage in cell.stages] == ["coco17", "coco17"]


def test_what_cannot_be_is_said_before_anything_is_trained() -> None:
    with pytest.raises(
        UsageError, match="No mapping from the layout 'kinect_v1' to 'vicon39': 'kinect_v1' lacks 'left f"
    ):
        plan_runs(request(layout="vicon39"))
    with pytest.raises(UsageError, match="expected the name or path of a layout, and perhaps a variant after a comma"):
        plan_runs(request(layout="coco17,a,b"))
    with pytest.raises(UsageError, match="'smarthome17' is for kinect_v2, not for 'kinect_v1'"):
        plan_runs(request(layout="smarthome17, wrists"))


def test_the_dry_run_shows_the_step_and_what_it_loses() -> None:
    ran = CliRunner().invoke(
        cli, ["run", "--dataset", "nw_ucla", "--layout", "coco17", "--recipe", "small", "--device", "cpu", "--dry-run"]
    )
    assert ran.exit_code == 0, ran.output
    assert '"layout:coco17"]' in ran.output
    assert "note: joints kinect_v1 -> coco17: 4 missing (left eye, right eye, left ear, right ear)" in ran.output


def test_from_python_the_step_stands_in_the_prepare_list() -> None:
    ours = open_dataset("nw_ucla")
    recipe = ours._recipe("small", "xview")
    recipe = DataRecipe.model_validate({**recipe.model_dump(), "prepare": (*recipe.prepare, "layout:coco17")})
    assert next(ours.batches(recipe)).clips[0].x.shape[3] == 17


def test_every_layout_can_be_trained_on_two_sets_of_other_joints_end_to_end(tmp_path: Path) -> None:
    runner = CliRunner()

    def say(*words: str) -> str:
        ran = runner.invoke(cli, list(words))
        assert ran.exit_code == 0, ran.output
        return ran.output

    say("synth", "ntu60", "--out", "raw", "--samples", "64")
    say("convert", "ntu60", "--raw", "raw")
    few = ("--recipe", "small", "-o", "optim.epochs=1", "--device", "cpu")
    say("run", "--dataset", "ntu60", "--model", "stgcn", "--layout", "coco17", *few)
    say("run", "--dataset", "ntu60", "--layout", "smarthome17,wrists", "--streams", "joint,bone", *few)
    records = [read_record(path) for path in sorted(Path("runs/ntu60").rglob("record.json"))]
    assert {record.state for record in records} == {"done"}
    say("leaderboard")
    page = Path("leaderboards/synthetic/ntu60-xsub.md").read_text()
    assert "--layout coco17 " in page
    assert "--layout smarthome17,wrists " in page
    assert "layout:coco17 |" in page
    assert "| layout |" in page
