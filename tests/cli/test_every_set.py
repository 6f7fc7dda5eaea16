"""The whole way by the command line for every registered data set: made-up raw files, store, runs, board."""

import json
from pathlib import Path

import pytest

from skelbench import registry
from skelbench.split import load_protocols

pytestmark = pytest.mark.slow

SAMPLES = 40  # enough for both parts of the first protocol
OTHER = {"aihub_fitness_3d": 128, "charades": 20, "pku_mmd1": 20, "pku_mmd2": 20, "tsu": 20}
PRIMARY = {  # of the set's first protocol, where it is not top1
    "aihub_fitness": "macro_f1",
    "aihub_fitness_3d": "macro_f1",
    "charades": "frame_map",
    "finegym288": "mean_class_accuracy",
    "finegym99": "mean_class_accuracy",
    "pku_mmd1": "event_map_50",
    "pku_mmd2": "event_map_50",
    "smarthome": "mean_class_accuracy",
    "squat": "macro_f1",
    "squat_lifted": "macro_f1",
    "tsu": "frame_map",
}
FRAMES = {"frame_map", "event_map_50"}
TINY = "--model lite --limit 4 -o optim.epochs=1 -o data.frames=16 -o data.batch=4 -o model.widths=[8,8,8,8]"


@pytest.mark.parametrize("name", registry.names("converters"))
def test_a_set_goes_by_its_name_from_made_up_files_to_a_board(skelbench, name: str) -> None:
    def done(line: str) -> str:
        said = skelbench(*line.split())
        assert said.code == 0, f"skelbench {line}: {said.out}{said.err}"
        assert "a bug" not in said.err
        return said.out

    done(f"synth {name} --samples {OTHER.get(name, SAMPLES)}")
    assert json.loads(done(f"convert {name} --raw raw/{name} --json"))["rejects"] == 0
    assert f"data/{name}: whole" in done(f"verify {name}")
    assert json.loads(done(f"info {name} --json"))["name"] == name
    fold = "--fold 0" if next(iter(load_protocols(name).values())).folds else ""
    primary = PRIMARY.get(name, "top1")
    line = TINY if primary in FRAMES else "--method posestats"
    (base,) = json.loads(done(f"run --dataset {name} --method majority {fold} --json"))
    (run,) = json.loads(done(f"run --dataset {name} {line} {fold} --json"))
    record = json.loads(Path(run["record"]).read_text())
    assert record["primary"] == primary
    if primary not in FRAMES:
        metric = "map" if primary == "macro_f1" else primary  # rare classes are ranked long before they are predicted
        value, floor = (one["metrics"][metric]["value"] for one in (run, base))
        assert value > floor or floor == 1  # where a few takes of one fold all show the same
    pages = done("leaderboard").split()
    (page,) = [path for path in pages if path.startswith(f"leaderboards/synthetic/{name}-{record['protocol']}")]
    assert "The recordings are made up" in Path(page).read_text()
    done("leaderboard --check")
