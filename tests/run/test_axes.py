"""Folds, validation parts, the oracle, and several runs in one command."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from skelbench.cell import Progress
from skelbench.cli import cli
from skelbench.leaderboard.collect import boards, gather
from skelbench.plan import plan_runs
from skelbench.record import Record, read_record
from skelbench.request import RunRequest, request_from
from skelbench.run import RunResult, run
from skelbench.standing import RECORD, RESUME_JSON, list_runs, read_standing
from skelbench.store.reader import open_store

pytestmark = pytest.mark.usefixtures("store")
FEW = ("optim.epochs=2", "data.batch=24", "data.frames=8", "model.heads=4")
FOLDS = '[protocols.cv]\ntitle="x"\nsource="me"\nfolds={ by = "subject" }\n'
NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.out_channels = 4
        self.conv = nn.Conv2d(spec.channels, 4, 1)

    def forward(self, x, slot):
        return 1 / 0
"""


def request(*overrides: str, **changes: Any) -> RunRequest:
    return RunRequest(dataset="nw_ucla", overrides=(*FEW, *overrides), device="cpu", **changes)


def baseline(**changes: Any) -> RunRequest:
    return RunRequest(dataset="nw_ucla", methods=("posestats",), **changes)


def one(asked: RunRequest) -> RunResult:
    (result,) = run(asked)
    return result


def done(asked: RunRequest) -> Record:
    record = one(asked).record
    assert record is not None
    assert record.state == "done", record.messages
    return record


@pytest.fixture
def folded(tmp_path: Path) -> str:
    path = tmp_path / "cv.toml"
    path.write_text(FOLDS)
    return str(path)


def test_all_folds_run_unless_some_are_named(folded: str) -> None:
    results = run(baseline(splits=folded))
    assert [result.folder.name for result in results] == [f"seed0-fold{fold}" for fold in range(4)]
    assert len({result.folder.parent for result in results}) == 1  # one key
    records = [result.record for result in results if result.record]
    assert [(record.fold, record.split.folds, record.split.train, record.split.test) for record in records] == [
        (fold, 4, 54, 18) for fold in range(4)
    ]
    scored = [set(pd.read_parquet(result.folder / "predictions.parquet")["sample_id"]) for result in results]
    assert len(set.union(*scored)) == sum(map(len, scored)) == 72
    third = one(baseline(splits=folded, folds=(2,)))
    assert third.message.startswith("done already")
    assert third.record is not None
    assert third.record.command.endswith("--fold 2 --seed 0")
    again = one(request_from(third.folder / RECORD, {"runs": Path("again")}))
    assert again.record is not None
    assert (again.record.key, again.record.fold) == (third.record.key, 2)
    assert again.record.command == third.record.command


def test_a_board_pools_the_folds_of_a_seed(folded: str) -> None:
    run(baseline(splits=folded))
    (board,) = boards(gather([(Path("runs"), RECORD)]))
    ((row,),) = [table.rows for table in board.tables]
    tables = [pd.read_parquet(path) for path in sorted(Path("runs").rglob("predictions.parquet"))]
    right = np.concatenate([np.stack(table["logits"]).argmax(1) == table["target"] for table in tables])
    assert row.values("top1") == (pytest.approx(right.mean()),)
    assert row.problems == ()


def test_a_validation_part_is_scored_instead_of_the_test_part() -> None:
    result = one(request(tune=True))
    record = result.record
    assert record is not None
    assert (record.scored, record.state) == ("validation", "done")
    assert record.split.carved == "validation: subject 4 of the training part, 12 of 48 samples"
    assert f"tuned on {record.split.carved}; the test part is not scored" in result.message
    store = open_store(Path("data/nw_ucla"))
    subjects = dict(zip(store.ids, store.table["subject"], strict=True))
    cameras = dict(zip(store.ids, store.table["camera"], strict=True))
    scored = pd.read_parquet(result.folder / "predictions.parquet")["sample_id"]
    assert {subjects[name] for name in scored} == {4}
    assert {cameras[name] for name in scored} == {1, 2}  # none of the third, which is the test part
    (cell,) = plan_runs(request(tune=True))
    assert {subjects[store.ids[place]] for place in cell.split.train} == {1, 2, 3}
    assert record.tunes == plan_runs(request())[0].key
    assert record.key != record.tunes


def test_the_validation_part_is_the_same_for_all_seeds_and_settings() -> None:
    cells = [*plan_runs(request(tune=True, seeds=(0, 1))), *plan_runs(request("optim.lr=0.3", tune=True))]
    assert len({cell.split.test for cell in cells}) == 1
    assert len({cell.key for cell in cells}) == 2


def test_a_tuned_run_never_stands_beside_test_results() -> None:
    done(request(tune=True))
    done(request())
    (board,) = boards(gather([(Path("runs"), RECORD)]))
    assert [{record.scored for row in table.rows for record in row.records} for table in board.tables] == [
        {"test"}, {"validation"},
    ]  # fmt: skip
    results = [row["result"] for row in list_runs(Path("runs"))]
    assert sum(result.endswith("on validation") for result in results) == 1


def test_the_oracle_reports_the_best_epoch_and_changes_nothing_else() -> None:
    plain, looked = done(request()), done(request(oracle=True, runs=Path("looked")))
    assert looked.key == plain.key
    assert looked.checkpoint_sha256 == plain.checkpoint_sha256
    assert looked.predictions_sha256 == plain.predictions_sha256
    assert {name: metric for name, metric in looked.metrics.items() if not name.startswith("oracle_")} == plain.metrics
    best = looked.metrics["oracle_top1"]
    assert best.n == 24
    log = next(Path("looked").rglob("log.jsonl")).read_text().splitlines()
    assert best.value == max(json.loads(line)["watched"]["top1"] for line in log)
    assert any(re.match(r"oracle: epoch [12] of 2 is best on the scored part", told) for told in looked.messages)
    assert "without --oracle; --overwrite always" in one(request(oracle=True)).message


def test_an_interrupted_oracle_goes_on() -> None:
    def stop(progress: Progress) -> None:
        if (progress.phase, progress.done) == ("train", 2):
            raise KeyboardInterrupt

    asked = request("optim.epochs=4", oracle=True)
    run(asked, stop)
    resumed = done(asked)
    whole = done(request("optim.epochs=4", oracle=True, runs=Path("whole")))
    assert resumed.metrics == whole.metrics
    assert resumed.checkpoint_sha256 == whole.checkpoint_sha256


def test_one_command_runs_all_that_is_asked_and_a_failing_cell_does_not_stop_it(folded: str, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(NET)
    asked = RunRequest(
        dataset="nw_ucla",
        overrides=FEW[:3],
        splits=folded,
        models=("./bad.py", "lite"),
        streams=(("joint",), ("bone",)),
        seeds=(0, 1),
        folds=(0, 3),
    )
    results = run(asked)
    assert len(results) == 2 * 2 * 2 * 2
    assert [result.state for result in results] == ["failed"] * 8 + ["done"] * 8
    again = run(asked)
    assert [result.message.startswith("done already") for result in again] == [False] * 8 + [True] * 8
    states = [row["state"] for row in list_runs(Path("runs"))]
    assert sorted(states) == ["done"] * 8 + ["failed"] * 8


def test_several_methods_run_each_with_its_own_model() -> None:
    results = run(RunRequest(dataset="nw_ucla", methods=("majority", "posestats")))
    assert [result.record.method for result in results if result.record] == ["majority", "posestats"]
    assert {result.record.model for result in results if result.record} == {"identity"}


def test_runs_under_way_say_how_long_they_still_take() -> None:
    def stop(progress: Progress) -> None:
        if (progress.phase, progress.done) == ("train", 2):
            (row,) = list_runs(Path("runs"))
            assert (row["state"], row["epochs"]) == ("running", "2 of 6")
            assert re.fullmatch(r"\d+ s", row["left"])
            raise KeyboardInterrupt

    (result,) = run(request("optim.epochs=6"), stop)
    standing = read_standing(result.folder)
    assert (standing.state, standing.epoch, standing.epochs) == ("partial", 2, 6)
    last = json.loads((result.folder / "log.jsonl").read_text().splitlines()[-1])
    assert standing.left == pytest.approx(last["seconds"] * 2)
    (row,) = list_runs(Path("runs"))
    assert (row["state"], row["epochs"]) == ("partial", "2 of 6")
    (result.folder / RESUME_JSON).write_text("{")
    assert read_standing(result.folder).epochs == 0


def test_the_command_line_runs_axes_and_lists_them(folded: str) -> None:
    runner = CliRunner()
    words = ["run", "--dataset", "nw_ucla", "--splits", folded, "--method", "majority", "--method", "centroid"]
    result = runner.invoke(cli, [*words, "--fold", "1", "--fold", "2", "--json"])
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)
    assert [row["state"] for row in rows] == ["done"] * 4
    assert read_record(Path(rows[0]["record"])).fold == 1
    listed = runner.invoke(cli, ["list", "runs"])
    assert listed.output.count("done") == 4
    wrong = runner.invoke(cli, [*words, "--fold", "9"], standalone_mode=True)
    assert wrong.exit_code != 0
