"""Runs that start from other runs: stages, freezing, few labels, new heads."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from skelbench.errors import RecipeError, RunError, SplitError, UsageError
from skelbench.plan import plan_runs
from skelbench.record import Record, read_record
from skelbench.request import RunRequest, request_from
from skelbench.run import RunResult, preview_runs, run
from skelbench.standing import CHECKPOINT
from skelbench.store.reader import open_store
from skelbench.store.writer import write_store

pytestmark = pytest.mark.usefixtures("store")
FEW = ("optim.epochs=2", "data.batch=24", "data.frames=8", "model.widths=[8, 8]", "model.strides=[1, 2]")
TWO = """
source = "a test"

[[stage]]
optim = { epochs = 3 }

[[stage]]
freeze = ["encoder.norm.*", "encoder.blocks.0.*"]
head = "new"
optim = { lr = 0.02 }
"""


def request(*overrides: str, **changes: Any) -> RunRequest:
    return RunRequest(dataset="nw_ucla", overrides=(*FEW, *overrides), device="cpu", **changes)


def one(asked: RunRequest) -> RunResult:
    (result,) = run(asked)
    return result


def done(asked: RunRequest) -> tuple[Record, Path]:
    result = one(asked)
    assert result.state == "done", result.message
    assert result.record is not None
    return result.record, result.folder


def weights(folder: Path, name: str = CHECKPOINT) -> dict[str, torch.Tensor]:
    return load_file(folder / name)


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str = TWO) -> str:
        path = tmp_path / "two.toml"
        path.write_text(text)
        return str(path)

    return write


@pytest.fixture
def other(store: Path) -> Path:
    """The same layout under another name: other samples, other people, and its classes the other way round."""
    first = open_store(store)
    card = first.info.card
    target = card.targets["label"].model_copy(update={"classes": card.targets["label"].classes[::-1]})
    card = card.model_copy(update={"name": "other", "targets": {"label": target}})
    samples = [
        type(sample)(
            **{**vars(sample), "sample_id": f"o{sample.sample_id}", "targets": {"label": 9 - sample.targets["label"]}}
        )
        for sample in first
    ]
    lengths = [len(sample.frame) for sample in samples]
    write_store(store.parent / "other", card, first.info.origin, samples=samples, lengths=lengths, rejects=[])
    Path("other.toml").write_text(
        '[protocols.xview]\ntitle="x"\nsource="me"\ntrain={camera=[1, 2]}\ntest={camera=[3]}\ndisjoint=["camera"]\n'
    )
    return store.parent / "other"


def test_linear_evaluation_leaves_every_bit_of_the_encoder(recipe: Callable[[str], str]) -> None:
    pretrained, folder = done(request())
    record, probed = done(request(evaluation="linear", init=str(folder)))
    before, after = weights(folder), weights(probed)
    encoder = {name for name in before if name.startswith("encoder.")}
    assert any("running_mean" in name for name in encoder)
    assert any("num_batches_tracked" in name for name in encoder)
    assert all(torch.equal(before[name], after[name]) for name in encoder)
    assert not torch.equal(before["head.weight"], after["head.weight"])
    (stage,) = record.stages
    assert (record.evaluation, stage.freeze, stage.head) == ("linear", ("encoder.*",), "new")
    assert stage.init is not None
    assert (stage.init.kind, stage.init.key) == ("run", pretrained.key)
    assert stage.init.sha256 == pretrained.checkpoint_sha256
    assert stage.init.new == ("head.bias", "head.weight")
    assert stage.init.loaded == len(encoder)
    assert stage.init.trained_on == ("nw_ucla",)
    assert record.key != pretrained.key


def test_without_epochs_a_run_is_scored_again() -> None:
    first, folder = done(request())
    for init in (folder, folder / "record.json", folder / CHECKPOINT):
        record, _ = done(request("optim.epochs=0", init=str(init), runs=Path("again")))
        assert record.predictions_sha256 == first.predictions_sha256
        assert record.metrics == first.metrics
        assert record.stages[0].init is not None
        assert record.stages[0].init.new == ()
    shutil.copy(folder / CHECKPOINT, "alone.safetensors")
    record, _ = done(request("optim.epochs=0", init="alone.safetensors", runs=Path("again"), overwrite="always"))
    assert record.predictions_sha256 == first.predictions_sha256
    assert record.stages[0].init is not None
    assert (record.stages[0].init.kind, record.stages[0].init.key) == ("checkpoint", first.key)
    assert set(record.files) == {"alone.safetensors"}


def test_fine_tuning_takes_a_new_head_and_trains_all() -> None:
    _, folder = done(request())
    record, tuned = done(request(evaluation="finetune", init=str(folder)))
    assert record.stages[0].init is not None
    assert record.stages[0].init.new == ("head.bias", "head.weight")
    before, after = weights(folder), weights(tuned)
    assert not any(torch.equal(before[name], after[name]) for name in before if name.endswith("mix.weight"))


def test_other_classes_on_another_set_of_the_same_layout_get_a_new_head(other: Path) -> None:
    _, folder = done(request())
    asked = request("optim.epochs=0", init=str(folder), splits="other.toml")
    record, moved = done(RunRequest(**{**vars(asked), "dataset": "other"}))
    assert record.dataset == "other"
    assert record.stages[0].init is not None
    assert record.stages[0].init.new == ("head.bias", "head.weight")
    before, after = weights(folder), weights(moved)
    assert torch.equal(before["encoder.norm.running_mean"], after["encoder.norm.running_mean"])


def test_stages_follow_each_other(recipe: Callable[[str], str]) -> None:
    record, folder = done(request("stage.1.optim.lr=0.3", recipe=recipe()))
    names = {path.name for path in folder.iterdir()}
    assert names == {
        ".lock", "checkpoint.safetensors", "log.jsonl", "predictions.parquet", "record.json", "stage1.safetensors",
    }  # fmt: skip
    first, second = record.stages
    assert (first.epochs, second.epochs, record.epochs) == (2, 2, 4)  # -o wins over the table
    assert (first.values["optim.lr"].value, second.values["optim.lr"].value) == (0.3, 0.02)
    assert (first.values["optim.lr"].layer, second.values["optim.lr"].source) == ("-o", "a test")
    assert second.init is not None
    assert (second.init.kind, second.init.sha256) == ("previous", first.checkpoint_sha256)
    assert (first.samples, second.samples) == (48, 48)
    before, after = weights(folder, "stage1.safetensors"), weights(folder)
    held = [name for name in before if name.startswith(("encoder.norm.", "encoder.blocks.0."))]
    assert held
    assert all(torch.equal(before[name], after[name]) for name in held)
    assert not torch.equal(before["encoder.blocks.1.spatial.graph"], after["encoder.blocks.1.spatial.graph"])
    assert not torch.equal(
        before["encoder.blocks.1.spatial.norm.running_mean"], after["encoder.blocks.1.spatial.norm.running_mean"]
    )
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [(line["stage"], line["epoch"]) for line in lines] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert (record.recipe, set(record.files)) == ("two", {recipe()})


def test_a_run_of_stages_is_repeated_from_its_record(recipe: Callable[[str], str]) -> None:
    path = recipe()
    first, folder = done(request(recipe=path, seeds=(3,), labels=0.5))
    Path(path).unlink()
    again, elsewhere = done(request_from(folder / "record.json", {"runs": Path("again"), "device": "cpu"}))
    for name in ("key", "seed", "stages", "command", "files", "predictions_sha256", "checkpoint_sha256", "labels"):
        assert getattr(again, name) == getattr(first, name), name
    assert (elsewhere / "stage1.safetensors").read_bytes() == (folder / "stage1.safetensors").read_bytes()


def test_an_earlier_stage_may_be_of_another_set(other: Path, recipe: Callable[[str], str]) -> None:
    path = recipe(
        '[[stage]]\ndataset = "other"\nsplits = "other.toml"\nlabels = 0.5\n[[stage]]\nfreeze = ["encoder.*"]\n'
    )
    record, _ = done(request(recipe=path))
    first, second = record.stages
    assert (first.dataset, first.labels, first.samples) == ("other", 0.5, 24)
    assert (second.dataset, second.labels) == ("nw_ucla", None)
    assert second.init is not None
    assert second.init.new == ("head.bias", "head.weight")  # the classes stand in another order
    assert [trail.dataset for trail in record.data] == ["nw_ucla", "other"]
    assert {"other.toml", path} == set(record.files)


def test_a_block_beside_a_model_may_hold_the_stages(tmp_path: Path) -> None:
    shutil.copy(Path(__file__).parents[2] / "skelbench/models/lite.py", tmp_path / "mine.py")
    (tmp_path / "mine.toml").write_text(
        '[[recipe]]\nwhen = { evaluation = "linear" }\nsource = "me"\noptim.clip = 2.0\n'
        'stage = [{}, { method = "supervised" }]\n'
        '[[recipe]]\nwhen = { evaluation = "pretraining" }\nsource = "me"\noptim.clip = 3.0\n'
    )
    plain, _ = done(request(models=("./mine.py",)))
    assert len(plain.stages) == 1
    record, folder = done(request(models=("./mine.py",), evaluation="linear"))
    first, second = record.stages
    assert (first.values["optim.clip"].value, second.values["optim.clip"].value) == (3.0, 2.0)
    assert (first.freeze, second.freeze) == ((), ("encoder.*",))
    before, after = weights(folder, "stage1.safetensors"), weights(folder)
    assert all(torch.equal(before[name], after[name]) for name in before if name.startswith("encoder."))


def test_few_labels_are_a_part_of_every_class_and_of_more_labels() -> None:
    kept = {}
    for share in (0.1, 0.25, 0.5, 1.0):
        (cell,) = plan_runs(request(labels=share))
        kept[share] = set(cell.split.train)
        labels = cell.last.store.table["label"].iloc[list(cell.split.train)]
        assert labels.value_counts().tolist() == [max(1, round(16 * share + 1e-9))] * 3
    assert kept[0.1] < kept[0.25] < kept[0.5] < kept[1.0]
    first, second = plan_runs(request(labels=0.25, seeds=(0, 1)))
    assert first.split.train != second.split.train
    assert first.key == second.key
    assert first.key != plan_runs(request())[0].key


def test_a_share_of_1_is_the_run_on_all_labels(tmp_path: Path) -> None:
    recipe = tmp_path / "few.toml"
    recipe.write_text("[[stage]]\nlabels = 0.5\n")
    asked = (request(), request(labels=1.0), request(recipe=str(recipe), labels=1.0))
    cells = [plan_runs(each)[0] for each in asked]
    assert [cell.last.labels for cell in cells] == [None] * 3
    assert cells[0].key == cells[1].key


def test_few_labels_are_said_in_the_record() -> None:
    record, _ = done(request(labels=0.25))
    assert (record.labels, record.stages[0].labels, record.stages[0].samples) == (0.25, 0.25, 12)
    assert record.split.train == 12


def test_every_seed_may_start_from_its_own(recipe: Callable[[str], str]) -> None:
    first = run(request(seeds=(0, 1)))
    folder = first[0].folder.parent
    records = [result.record for result in run(request(seeds=(0, 1), init=str(folder), evaluation="linear"))]
    assert records[0] is not None
    assert records[1] is not None
    assert records[0].key == records[1].key
    inits = [record.stages[0].init for record in records if record is not None]
    assert [init.sha256 for init in inits if init] == [one.record.checkpoint_sha256 for one in first if one.record]
    with pytest.raises(UsageError, match="of which seed 2 is"):
        plan_runs(request(seeds=(2,), init=str(folder)))


def test_what_was_trained_on_is_never_scored(store: Path, recipe: Callable[[str], str]) -> None:
    Path("mine.toml").write_text(
        '[protocols.a]\ntitle="x"\nsource="me"\ntrain={camera=[1, 2]}\ntest={camera=[3]}\n'
        '[protocols.b]\ntitle="x"\nsource="me"\ntrain={subject=[1, 2, 3]}\ntest="rest"\n'
    )
    path = recipe('[[stage]]\nprotocol = "b"\n[[stage]]\n')
    with pytest.raises(SplitError, match=r"Stage 1 was trained on 18 samples that are scored here, such as a00"):
        run(request(recipe=path, splits="mine.toml", protocol="a"))
    _, folder = done(request(splits="mine.toml", protocol="b"))
    with pytest.raises(SplitError, match=r"The run of --init .* 18 samples .* its protocol is 'b'"):
        run(request(init=str(folder), splits="mine.toml", protocol="a"))
    _, folder = done(request(splits="mine.toml", protocol="a"))
    with pytest.raises(SplitError, match="its protocol is 'a'"):  # it has met the validation part
        run(request(init=str(folder), splits="mine.toml", protocol="a", tune=True))
    _, folder = done(request(splits="mine.toml", protocol="a", tune=True))
    assert done(request(init=str(folder), splits="mine.toml", protocol="a", tune=True))[0].scored == "validation"


def renamed(store: Path, name: str, *, longer: int = 0) -> None:
    """A store of another name whose samples have the same ids, and perhaps more frames."""
    first = open_store(store)
    samples = [replace(sample, n_frames=sample.n_frames + longer) for sample in first]
    card = first.info.card.model_copy(update={"name": name})
    lengths = [len(sample.frame) for sample in samples]
    write_store(store.parent / name, card, first.info.origin, samples=samples, lengths=lengths, rejects=[])
    Path("all.toml").write_text(
        '[protocols.all]\ntitle="x"\nsource="me"\ntrain={camera=[1, 2, 3], subject=[1, 2, 3]}\ntest="rest"\n'
    )


def test_the_same_recordings_under_another_name_are_known_by_their_ids_and_lengths(
    store: Path, recipe: Callable[[str], str]
) -> None:
    renamed(store, "again")
    renamed(store, "chance", longer=1)
    stage = '[[stage]]\ndataset = "{}"\nsplits = "all.toml"\n[[stage]]\n'
    with pytest.raises(SplitError, match="Stage 1 was trained on 18 samples that are scored here"):
        run(request(recipe=recipe(stage.format("again"))))
    assert done(request(recipe=recipe(stage.format("chance"))))[0].data[1].dataset == "chance"
    asked = RunRequest(**{**vars(request(splits="all.toml")), "dataset": "again"})
    _, folder = done(asked)
    with pytest.raises(SplitError, match=r"The run of --init .* was trained on 18 samples that are scored here"):
        run(request(init=str(folder)))


def test_what_cannot_be_told_is_said() -> None:
    _, folder = done(request())
    path = folder / "record.json"
    table = json.loads(path.read_text())
    table["data"][0]["fingerprint"] = "0" * 64
    path.write_text(json.dumps(table))
    result = one(request("optim.epochs=0", init=str(folder)))
    assert "whose training part cannot be found here: whether it holds scored samples is not known" in result.message
    tuned, second = done(request(evaluation="finetune", init=str(folder)))
    assert "init" in tuned.messages[0]
    third = one(request("optim.epochs=0", init=str(second)))
    assert "began with weights trained on nw_ucla; on which part is not known" in third.message
    assert "linear without --init: the encoder starts from random weights" in one(request(evaluation="linear")).message


@pytest.mark.parametrize(
    ("overrides", "changes", "error", "words"),
    [
        ((), {"init": "nowhere"}, UsageError, "--init nowhere: no such file or folder"),
        ((), {"init": "data"}, UsageError, "--init data: holds no record.json"),
        ((), {"labels": 0.0}, UsageError, "--labels 0.0: expected a share above 0"),
        ((), {"tune": True, "oracle": True}, UsageError, "give one of them"),
        ((), {"folds": (1,)}, UsageError, "--fold 1: the protocol 'xview' has no folds"),
        (("stage.2.optim.lr=1",), {}, RecipeError, "there are 1 stages, counted from 1"),
    ],
)
def test_wrong_requests_are_refused(
    overrides: tuple[str, ...], changes: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        run(request(*overrides, **changes))
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[stage]]\ninit = 'previous'\n", "there is no stage before it"),
        ("[[stage]]\ndataset = 'nw_ucla'\n", "the last stage is the one that is scored"),
        ("[[stage]]\nfreze = ['*']\n", r"unknown key 'stage.0.freze'. Did you mean 'freeze'"),
        ("[[stage]]\noptim.lrr = 1\n", r"two.toml, stage 1: unknown key 'optim.lrr'. Did you mean 'optim.lr'"),
        ("[[stage]]\nmodel.name = 3\n", "stage: model.name is 3"),
        ("evaluation = 'linea'\n", "evaluation"),
        ("[[stage]]\nlabels = 5\n", "less than or equal to 1"),
    ],
)
def test_wrong_stages_are_refused(recipe: Callable[[str], str], text: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        run(request(recipe=recipe(text)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "[[stage]]\nfreeze = ['encoder.blocs.*']\n",
            "freeze: 'encoder.blocs.*' names no parameter. There are encoder",
        ),
        ("[[stage]]\n[[stage]]\nmodel.heads = 4\n", "does not fit the encoder: it has 'encoder.blocks"),
        ("[[stage]]\n[[stage]]\nmodel = 'identity'\nmethod = 'posestats'\n", "is of the model 'lite'"),
    ],
)
def test_what_does_not_fit_is_said_before_the_first_stage_is_trained(
    recipe: Callable[[str], str], text: str, words: str
) -> None:
    said: list[str] = []
    asked = RunRequest(dataset="nw_ucla", overrides=FEW[1:3], recipe=recipe(text))
    (result,) = run(asked, lambda progress: said.append(progress.phase))
    assert result.state == "failed"
    assert words in result.message
    assert "train" not in said


def test_weights_that_are_damaged_or_of_another_run_are_refused(tmp_path: Path) -> None:
    _, folder = done(request())
    path = folder / CHECKPOINT
    content = path.read_bytes()
    Path("cut.safetensors").write_bytes(content[:-5])
    assert "no readable safetensors" in one(request(init="cut.safetensors")).message
    path.write_bytes(content[:-5])
    with pytest.raises(RunError, match="is not the file that the record beside it names"):
        run(request(init=str(folder)))
    path.unlink()
    with pytest.raises(UsageError, match="is done and has no checkpoint"):
        run(request(init=str(folder)))


def test_authors_weights_need_a_map(tmp_path: Path) -> None:
    save_file({"fc.weight": torch.zeros(3)}, "theirs.safetensors")
    assert "has no CHECKPOINT" in one(request(init="theirs.safetensors")).message


def test_authors_weights_come_under_our_names(tmp_path: Path) -> None:
    """With their map, their names; the head too, where its shape fits."""
    source = (Path(__file__).parents[2] / "skelbench/models/lite.py").read_text()
    maps = 'CHECKPOINT = {"me/net@0": {"^fc": "head", "^body": "encoder"}}'
    (tmp_path / "mine.py").write_text(
        source.replace("class Lite(nn.Module):", f"class Lite(nn.Module):\n    {maps}\n", 1)
    )
    first, folder = done(request(models=("./mine.py",)))
    theirs = {
        name.replace("encoder.", "body.").replace("head.", "fc."): tensor for name, tensor in weights(folder).items()
    }
    torch.save({"state_dict": theirs}, "theirs.pt")
    again, _ = done(request("optim.epochs=0", models=("./mine.py",), init="theirs.pt"))
    assert again.predictions_sha256 == first.predictions_sha256
    init = again.stages[0].init
    assert init is not None
    assert (init.kind, init.source, init.new) == ("authors", "me/net@0", ())
    assert "other people's weights" in again.messages[0]
    probe, _ = done(request(models=("./mine.py",), init="theirs.pt", evaluation="linear"))
    assert probe.stages[0].init is not None
    assert probe.stages[0].init.new == ("head.bias", "head.weight")


def test_the_preview_shows_every_stage(recipe: Callable[[str], str]) -> None:
    (shown,) = preview_runs(request(recipe=recipe()))
    titles = [title for title, _ in shown.stages]
    assert titles[0].startswith("stage 1 of 2: nw_ucla/xview lite-supervised")
    assert "from previous" in titles[1]
    assert "frozen: encoder.norm.*" in titles[1]
    assert shown.settings == shown.stages[1][1]
    assert not Path("runs").exists()


def test_other_streams_are_said() -> None:
    _, folder = done(request())
    result = one(request(streams=(("bone",),), evaluation="linear", init=str(folder)))
    assert "was trained on the streams joint, this stage sees bone" in result.message


def test_a_record_of_other_rules_is_not_repeated() -> None:
    _, folder = done(request())
    path = folder / "record.json"
    table = json.loads(path.read_text())
    path.write_text(json.dumps({**table, "rules": 1}))
    with pytest.raises(
        RunError, match=r"those of rules 1, this skelbench trains by rules 2. To run it anew: skelbench"
    ):
        request_from(path, {})
    assert read_record(path).rules == 1
