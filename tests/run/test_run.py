import json
import multiprocessing
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from skelbench.cell import Progress
from skelbench.errors import RecipeError, RunError, SplitError, UsageError
from skelbench.plan import plan_runs
from skelbench.record import read_record
from skelbench.request import RunRequest, request_from
from skelbench.run import RunResult, preview_runs, run
from skelbench.standing import read_standing
from skelbench.store.reader import open_store
from skelbench.store.writer import write_store

pytestmark = pytest.mark.usefixtures("store")
FEW = ("optim.epochs=2", "data.batch=24", "data.frames=8")
NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, spec, *, width: int = 4) -> None:
        super().__init__()
        self.out_channels = width
        self.conv = nn.Conv2d(spec.channels, width, 1)

    def forward(self, x, slot):
        return {}
"""


def request(*overrides: str, **changes: Any) -> RunRequest:
    return RunRequest(dataset="nw_ucla", overrides=(*FEW, *overrides), device="cpu", **changes)


def one(asked: RunRequest) -> RunResult:
    (result,) = run(asked)
    return result


@pytest.fixture
def net(tmp_path: Path) -> Callable[[str], str]:
    def write(body: str = "self.conv(x)") -> str:
        path = tmp_path / "mynet.py"
        path.write_text(NET.format(body))
        return str(path)

    return write


def test_a_run_leaves_what_others_read() -> None:
    result = one(request())
    names = {path.name for path in result.folder.iterdir()}
    assert names == {".lock", "checkpoint.safetensors", "log.jsonl", "predictions.parquet", "record.json"}
    record = read_record(result.folder / "record.json")
    assert record == result.record
    assert record.state == "done"
    assert result.folder.name == "seed0"
    assert result.folder.parent.name == record.key[:8]
    assert (record.split.train, record.split.test, record.epochs, record.parameters) == (48, 24, 2, 78_914)
    assert record.stages[0].values["optim.epochs"].layer == "-o"
    assert record.metrics["top1"].interval_over == "subject"


def test_the_record_can_be_computed_again_from_the_predictions() -> None:
    result = one(request("optim.epochs=0", methods=("posestats",)))
    table = pd.read_parquet(result.folder / "predictions.parquet")
    right = np.stack(table["logits"]).argmax(1) == table["target"]
    assert result.record is not None
    assert right.mean() == result.record.metrics["top1"].value
    assert list(table["sample_id"]) == sorted(table["sample_id"])
    assert len(table) == 24


def test_the_baselines_order_themselves() -> None:
    found = {}
    for method in ("majority", "centroid", "posestats"):
        record = one(request("optim.epochs=0", methods=(method,))).record
        assert record is not None
        found[method] = record.metrics["top1"].value or 0
    assert found["majority"] == pytest.approx(1 / 3)
    assert found["majority"] < found["centroid"] < found["posestats"]


def test_lite_learns_the_classes() -> None:
    overrides = ("optim.epochs=12", "data.batch=8", "data.frames=16", 'data.clips=["resample:0.8-1"]')
    overrides += ('data.prepare=["by-id", "centre-first:1"]',)
    record = one(RunRequest(dataset="nw_ucla", overrides=overrides)).record
    assert record is not None
    assert (record.metrics["top1"].value or 0) > 0.9


def test_the_same_command_says_that_it_is_done() -> None:
    first, second = one(request()), one(request())
    assert second.message == f"done already: {first.message}"
    assert second.record == first.record
    again = one(request(overwrite="always"))
    assert "already" not in again.message
    assert again.record is not None
    assert first.record is not None
    assert again.record.metrics == first.record.metrics
    assert again.record.checkpoint_sha256 == first.record.checkpoint_sha256


def test_what_is_done_is_said_where_nothing_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    one(request())

    def refused(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr("skelbench.run._locked", refused)
    assert "done already" in one(request()).message


def test_a_run_of_other_code_is_said_and_kept() -> None:
    path = one(request()).folder / "record.json"
    table = json.loads(path.read_text())
    path.write_text(json.dumps({**table, "code_version": "0.0.1+0"}))
    assert "by skelbench 0.0.1+0, this is " in one(request()).message
    assert "--overwrite always" in one(request()).message


def test_seeds_are_runs_of_one_key_and_differ() -> None:
    results = run(request(seeds=(0, 1)))
    assert [result.folder.name for result in results] == ["seed0", "seed1"]
    assert results[0].folder.parent == results[1].folder.parent
    records = [result.record for result in results]
    assert records[0] is not None
    assert records[1] is not None
    assert records[0].checkpoint_sha256 != records[1].checkpoint_sha256


def test_the_key_follows_what_is_computed_and_nothing_else(net: Callable[[str], str], tmp_path: Path) -> None:
    def key(asked: RunRequest) -> str:
        return plan_runs(asked)[0].key

    base = key(request())
    assert key(request(seeds=(5,), threads=2, runs=tmp_path / "elsewhere")) == base
    assert key(request("optim.lr=0.1")) == base  # the value that the recipe has anyway
    others = [
        request("optim.lr=0.2"), request(limit=12), request(precision="bf16-mixed"), request(methods=("posestats",)),
        request(streams=(("bone",),)), request(streams=(("joint", "bone"),)),
    ]  # fmt: skip
    keys = {key(asked) for asked in others}
    assert len(keys | {base}) == 7
    before = key(request(models=(net("self.conv(x)"),)))
    assert key(request(models=(net("self.conv(x) * 2"),))) != before


def test_streams_are_one_network_or_several() -> None:
    both, bone = run(request(streams=(("joint", "bone"), ("bone",))))
    assert both.record is not None
    assert both.record.streams == ("joint", "bone")
    assert "lite-supervised-joint+bone" in str(both.folder)
    assert bone.record is not None
    assert bone.record.streams == ("bone",)


def test_a_limit_thins_both_parts_evenly() -> None:
    result = one(request("optim.epochs=0", limit=9, methods=("posestats",)))
    assert result.record is not None
    assert (result.record.split.train, result.record.split.test, result.record.limit) == (9, 9, 9)
    assert result.record.metrics["per_class_support"].per_class == (3, 3, 3, 0, 0, 0, 0, 0, 0, 0)


def test_a_model_named_by_path_runs(net: Callable[[str], str]) -> None:
    result = one(request(models=(net("self.conv(x)"),), recipe="small"))
    assert result.state == "done"
    assert result.record is not None
    assert (result.record.model, result.record.recipe) == ("mynet", "small")
    assert "mynet.py" in result.record.command


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("self.conv(x)[:, :2]", r"Net on the rows \(4, .* gave the shape \(4, 2, .*out_channels = 4"),
        ("self.conv(x).mean((2, 3))", r"gave the shape \(4, 4\), expected \(rows, out_channels, frames, joints\)"),
        ("None", "gave NoneType, expected"),
        ("exit(3)", "Net on the rows .*SystemExit: 3"),
        ("self.conv(x) * float('nan')", "the loss of the first batch is nan"),
        ("1 / 0", "ZeroDivisionError"),
        ("self.conv(x).new_zeros(3, 4, 1, 1)", r"gave the shape \(3, 4, 1, 1\)"),
    ],
)
def test_what_does_not_fit_is_one_line_before_training(net: Callable[[str], str], body: str, words: str) -> None:
    result = one(request(models=(net(body),)))
    assert result.state == "failed"
    assert isinstance(result.error, RunError)
    assert "\n" not in result.message
    with pytest.raises(RunError, match=words):
        raise result.error
    assert read_record(result.folder / "record.json").state == "failed"
    assert "Traceback" in (result.folder / "error.txt").read_text()


def test_a_failed_run_is_tried_again_and_does_not_stop_the_rest(net: Callable[[str], str]) -> None:
    path = net("1 / 0")
    first, second = run(request(models=(path, "lite")))
    assert (first.state, second.state) == ("failed", "done")
    shutil.copy(net("self.conv(x)"), Path(path).with_name("good.py"))
    assert one(request(models=(str(Path(path).with_name("good.py")),))).state == "done"


def test_what_cannot_be_built_says_which(net: Callable[[str], str]) -> None:
    path = Path(net())
    path.write_text(path.read_text().replace("self.conv = ", "self.conv = 1 / 0 or "))
    result = one(request(models=(str(path),)))
    assert result.message.startswith("mynet cannot be built: ZeroDivisionError: division by zero (traceback in ")


def test_a_module_that_leaves_python_is_named(net: Callable[[str], str]) -> None:
    path = Path(net())
    path.write_text("import sys\n\nsys.exit(4)\n")
    with pytest.raises(UsageError, match=r"mynet\.py: cannot be imported: SystemExit: 4"):
        run(request(models=(str(path),)))


@pytest.mark.parametrize(("slots", "told"), [(2, ()), (1, ("1 persons beyond the 1 slots are left out",))])
def test_persons_without_a_slot_are_counted_in_the_record(
    store: Path, monkeypatch: pytest.MonkeyPatch, slots: int, told: tuple[str, ...]
) -> None:
    sample = open_store(store)[0]
    more = replace(
        sample,
        frame=np.tile(sample.frame, 2),
        person=np.repeat([1, 2], len(sample.frame)),
        keypoints=np.tile(sample.keypoints, (2, 1, 1)),
    )
    samples = [more, *list(open_store(store))[1:]]
    info = open_store(store).info
    card = info.card.model_copy(update={"persons": slots})
    write_store(
        store.parent / "crowd", card, info.origin, samples=samples, lengths=[len(s.frame) for s in samples], rejects=[]
    )
    said: list[Progress] = []
    (result,) = run(replace(request(methods=("majority",)), dataset="crowd", overrides=()), said.append)
    assert result.record is not None
    assert result.record.messages == told
    assert any("3 of 10 classes occur" in progress.text for progress in said)


def test_a_divergence_is_a_record_with_the_samples() -> None:
    asked = request("optim.lr=1e9", "optim.warmup=0", "optim.epochs=5")
    result = one(asked)
    assert result.state == "diverged"
    assert result.record is not None
    assert result.record.metrics == {}
    assert "a0" in result.message
    assert "Lower optim.lr" in result.message
    assert re.match(r"In epoch [1-5]: ", result.message)
    assert "diverged already" in one(asked).message


def test_the_preview_prints_every_value_and_writes_no_run() -> None:
    (shown,) = preview_runs(request("optim.lr=0.3"))
    assert shown.settings["optim.lr"].layer == "-o"
    assert shown.seconds > 0
    assert shown.sizes.parameters == 78_914
    assert (shown.train, shown.test, shown.chance) == (48, 24, 0.1)
    assert "48 training and 24 test samples, 3 of 10 classes occur; chance top1 10.0 %" in shown.messages
    assert not Path("runs").exists()


@pytest.mark.parametrize(("changes", "steps"), [((), 4), (("data.repeat=3",), 12), (('data.sampler="rare:32"',), 8)])
def test_the_preview_counts_samples_as_often_as_an_epoch_meets_them(changes: tuple[str, ...], steps: int) -> None:
    (shown,) = preview_runs(request(*changes))  # 48 samples of three classes, 24 a step, two epochs
    assert shown.steps == steps


def test_a_run_that_could_not_begin_leaves_nothing() -> None:
    one(request("optim.epochs=0", methods=("majority",)))
    result = one(request("optim.epochs=0", "method.c=-1", methods=("posestats",)))
    assert (result.state, result.record) == ("failed", None)
    assert "method.c is -1" in result.message
    assert [path.name for path in Path("runs/nw_ucla/xview").iterdir()] == ["identity-majority-joint"]


def test_of_a_metric_without_chance_none_is_said(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[protocols.a]\ntitle="x"\nsource="me"\nmetric="map"\ntrain={subject=[1]}\ntest="rest"\n')
    (shown,) = preview_runs(request(splits=str(path), methods=("majority",)))
    assert any(told.endswith("test samples, 3 of 10 classes occur") for told in shown.messages)


@pytest.mark.parametrize("method", ["majority", "centroid", "posestats"])
def test_what_is_fitted_can_be_previewed(method: str) -> None:
    (shown,) = preview_runs(RunRequest(dataset="nw_ucla", methods=(method,)))
    assert shown.seconds == 0


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"dataset": "nw_ucl"}, UsageError, "No store 'nw_ucl' .*Did you mean 'nw_ucla'"),
        ({"protocol": "xvew"}, UsageError, "No protocol 'xvew' .*Did you mean 'xview'"),
        ({"models": ("lita",)}, UsageError, "Did you mean 'lite'"),
        ({"models": ("./nowhere.py",)}, UsageError, r"No file \./nowhere\.py"),
        ({"splits": "nowhere.toml"}, UsageError, r"No file nowhere\.toml; expected the path of a \.toml file"),
        ({"methods": ("supervized",)}, UsageError, "Did you mean 'supervised'"),
        ({"recipe": "smal"}, RecipeError, "Did you mean 'small'"),
        ({"overrides": ("optim.lrr=1",)}, RecipeError, r"Did you mean 'optim\.lr'"),
        ({"overrides": ('data.prepare=["by-idd"]',)}, RecipeError, "by-id"),
        ({"overrides": ('data.clips=["resampel:1"]',)}, RecipeError, "resample"),
        ({"streams": (("jiont",),)}, RecipeError, "joint"),
        ({"seeds": ()}, UsageError, "at least one"),
        ({"seeds": (1, 1)}, UsageError, "given twice"),
        ({"seeds": (-1,)}, UsageError, "from 0 to"),
        ({"limit": 0}, UsageError, "--limit 0: expected at least 1"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_runs(
    changes: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        run(RunRequest(**{"dataset": "nw_ucla", **changes}))
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"device": "gpu"}, "No device 'gpu'"),
        ({"device": "cuda:9"}, "CUDA devices"),
        ({"precision": "8"}, "No precision '8'"),
    ],
)
def test_a_device_or_precision_that_is_not_there_is_refused_before_anything_is_run(
    changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        run(RunRequest(**{"dataset": "nw_ucla", **changes}))
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"overrides": ("model.kernel=4",)}, "model.kernel is 4"),
        ({"overrides": ('optim.groups=[{ match = ["x"] }]',)}, "match no trained parameter"),
    ],
)
def test_what_only_shows_when_a_cell_is_built_is_an_error_of_its_result(changes: dict[str, Any], words: str) -> None:
    result = one(RunRequest(**{"dataset": "nw_ucla", **changes}))
    assert result.state == "failed"
    assert words in result.message
    assert isinstance(result.error, UsageError | RecipeError)
    assert not (result.folder / "record.json").exists()


def test_epochs_for_what_has_no_loss_are_refused() -> None:
    result = one(request("optim.epochs=3", methods=("posestats",)))
    assert "Posestats has no loss, but optim.epochs is 3" in result.message


def test_a_protocol_that_does_not_hold_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[protocols.xs]\ntitle="x"\nsource="me"\ntrain={subject=[1]}\ntest={subject=[9]}\n')
    with pytest.raises(SplitError, match="no sample for test"):
        run(request(splits=str(path)))


def test_all_protocols_run_one_after_the_other(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    rule = 'title="x"\nsource="me"\ntest="rest"\n'
    path.write_text(f"[protocols.a]\n{rule}train={{subject=[1]}}\n[protocols.b]\n{rule}train={{camera=[1]}}\n")
    results = run(request("optim.epochs=0", splits=str(path), protocol="all", methods=("posestats",)))
    assert [result.record.protocol for result in results if result.record] == ["a", "b"]


def test_ctrl_c_leaves_a_run_that_goes_on() -> None:
    def stop(progress: Progress) -> None:
        if (progress.phase, progress.done) == ("train", 1):
            raise KeyboardInterrupt

    (result,) = run(request(), stop)
    assert result.state == "partial"
    assert result.message == "stopped after epoch 1 of 2; the same command goes on from there"
    assert read_standing(result.folder).state == "partial"
    resumed = one(request())
    assert "resumed after epoch 1 of 2" in resumed.message
    (again,) = run(request(overwrite="always"), stop)
    assert again.message.endswith("the same command without --overwrite always goes on from there")
    assert one(request()).state == "done"
    whole = one(request(runs=Path("other")))
    assert resumed.record is not None
    assert whole.record is not None
    assert resumed.record.checkpoint_sha256 == whole.record.checkpoint_sha256
    assert resumed.record.predictions_sha256 == whole.record.predictions_sha256


def test_a_record_is_repeated_whatever_the_recipes_say(net: Callable[[str], str]) -> None:
    model = net("self.conv(x)")
    first = one(request(models=(model,), limit=20, streams=(("bone",),), seeds=(3,)))
    assert first.record is not None
    Path(model).with_suffix(".toml").write_text('[[recipe]]\nwhen = {}\nsource = "new"\nmodel.width = 7\n')
    again = one(request_from(first.folder / "record.json", {"runs": Path("again"), "device": "cpu"}))
    assert again.record is not None
    for name in ("key", "seed", "stages", "command", "predictions_sha256", "checkpoint_sha256", "recipe"):
        assert getattr(again.record, name) == getattr(first.record, name), name
    others = run(request_from(first.folder / "record.json", {"runs": Path("again")}, seeds=(4, 5)))
    assert [result.folder.name for result in others] == ["seed4", "seed5"]


def test_what_is_no_longer_the_recorded_run_is_refused(net: Callable[[str], str], tmp_path: Path) -> None:
    path = one(request(models=(net("self.conv(x)"),))).folder / "record.json"
    net("self.conv(x) * 2")
    with pytest.raises(UsageError, match=r"the file .*mynet.py \(digest \w+, recorded \w+\) differs. To run it nev"):
        run(request_from(path, {}))
    path.write_text("{}")
    with pytest.raises(RunError, match="schema_version"):
        request_from(path, {})


def test_a_damaged_record_is_named() -> None:
    folder = one(request()).folder
    (folder / "record.json").write_text("{}")
    for _ in range(2):  # it is left as it is
        assert one(request()).message.endswith("Move it away, or give --overwrite always.")
    assert one(request(overwrite="always")).state == "done"


def test_the_record_of_another_run_is_never_written_over() -> None:
    folder = one(request()).folder
    copied = shutil.copytree(folder, folder.with_name("seed1"))
    for _ in range(2):
        result = one(request(seeds=(1,)))
        assert result.state == "failed"
        assert "is of another run. Move it away" in result.message
    assert (copied / "record.json").read_bytes() == (folder / "record.json").read_bytes()


def test_where_nothing_can_be_written_the_other_cells_go_on() -> None:
    blocked = one(request()).folder.with_name("seed1")
    blocked.write_text("somebody's file")
    results = run(request(seeds=(1, 2)))
    assert [result.state for result in results] == ["failed", "done"]
    assert str(blocked) in results[0].message
    assert isinstance(results[0].error, OSError)


def _hold(folder: str, ready: Any, done: Any) -> None:
    from skelbench.run import _locked

    with _locked(Path(folder)):
        ready.set()
        done.wait(20)


def test_two_processes_do_not_run_one_cell() -> None:
    folder = one(request()).folder
    context = multiprocessing.get_context("fork")
    ready, done = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(str(folder), ready, done))
    holder.start()
    try:
        assert ready.wait(20)
        result = one(request(overwrite="always"))
    finally:
        done.set()
        holder.join()
    assert (result.state, result.message) == ("partial", "another process is running it; left to that")
    assert isinstance(result.error, RunError)  # there is no result, so the command has not done what it should
    assert (folder / "record.json").exists()


def test_half_precision_clipping_and_averages_are_settings_of_a_run() -> None:
    plain = one(request())
    result = one(request("optim.clip=0.5", "optim.ema=0.5", "optim.accumulate=3", precision="bf16-mixed"))
    assert result.state == "done", result.message
    assert result.record is not None
    assert plain.record is not None
    assert result.record.precision == "bf16-mixed"
    assert "--precision bf16-mixed" in result.record.command
    assert result.record.checkpoint_sha256 != plain.record.checkpoint_sha256
    again = one(request_from(result.folder / "record.json", {"runs": Path("again"), "device": "cpu"}))
    assert again.record is not None
    assert again.record.checkpoint_sha256 == result.record.checkpoint_sha256
