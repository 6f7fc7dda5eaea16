import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skelbench.errors import RunError, UsageError
from skelbench.evaluate import predictions_bytes, read_predictions
from skelbench.fuse import FuseRequest, fuse
from skelbench.leaderboard.boards import build
from skelbench.record import Record, read_record, write_record


def changed(path: Path, **changes) -> Path:
    """A record rewritten with other fields."""
    write_record(path, Record.model_validate({**read_record(path).model_dump(), **changes}))
    return path


@pytest.fixture
def streams(scored_run) -> tuple[str, str]:
    """Folders of three seeds of joint and of bone."""
    found = []
    for name, skill in (("joint", 2.0), ("bone", 1.0)):
        paths = [scored_run(streams=(name,), skill=skill, seed=seed) for seed in range(3)]
        found.append(str(paths[0].parent.parent))
    return found[0], found[1]


def logits(path: Path) -> np.ndarray:
    return np.stack(pd.read_parquet(path.with_name("predictions.parquet"))["logits"].tolist())


def test_each_seed_leaves_a_record_of_its_own(streams) -> None:
    results = fuse(FuseRequest(runs=streams))
    assert [result.record.seed for result in results] == [0, 1, 2]
    for result in results:
        path = result.folder / "record.json"
        record = read_record(path)
        assert record == result.record
        assert (record.model, record.method, record.streams) == ("lite", "fuse", ("joint", "bone"))
        assert (record.parameters, record.gflops, record.epochs, record.seconds.train) == (2000, 1.0, 4, 4.0)
        members = [Path(folder, f"seed{record.seed}", "record.json") for folder in streams]
        np.testing.assert_allclose(logits(path), sum(logits(member) for member in members), rtol=1e-6)
        assert record.fusion is not None
        assert [run.key for run in record.fusion.runs] == [read_record(member).key for member in members]
        assert [run.predictions_sha256 for run in record.fusion.runs] == [
            read_record(member).predictions_sha256 for member in members
        ]
        assert [run.alone for run in record.fusion.runs] == [
            read_record(member).metrics["top1"].value for member in members
        ]
        assert record.metrics["top1"].interval_over == "subject"
    assert {result.folder.parent.parent.name for result in results} == {"fuse-lite-joint,bone"}
    assert len({result.record.key for result in results}) == 1


def test_without_one_of_two_the_other_alone_is_left(streams) -> None:
    (result, *_) = fuse(FuseRequest(runs=streams))
    joint, bone = result.fusion.runs
    assert (joint.left_out, bone.left_out) == (bone.alone, joint.alone)


def test_the_control_fuses_as_many_seeds_of_one_stream(streams) -> None:
    (result, *_) = fuse(FuseRequest(runs=streams, seeds=(0,)))
    joint = [logits(Path(streams[0], f"seed{seed}", "record.json")) for seed in range(3)]
    target = np.arange(60) % 4
    pairs = [(joint[a] + joint[b]).argmax(1) == target for a, b in ((0, 1), (0, 2), (1, 2))]
    control = result.fusion.controls[0]
    assert control.value == pytest.approx(np.mean(pairs))
    assert (control.members, control.seeds, control.streams) == (2, (0, 1, 2), ("joint",))


def test_seeds_without_predictions_are_no_control(streams) -> None:
    Path(streams[0], "seed2", "predictions.parquet").unlink()
    (result,) = fuse(FuseRequest(runs=streams, seeds=(0,)))
    assert [control.seeds for control in result.fusion.controls] == [(0, 1), (0, 1, 2)]


def test_without_further_seeds_there_is_no_control(scored_run) -> None:
    paths = [scored_run(streams=(name,)) for name in ("joint", "bone")]
    (result,) = fuse(FuseRequest(runs=tuple(map(str, paths))))
    assert result.fusion.controls == ()


def test_neither_the_order_nor_the_way_of_naming_makes_another_result(streams) -> None:
    first = fuse(FuseRequest(runs=streams))
    again = fuse(FuseRequest(runs=streams[::-1]))
    keys = tuple(Path(folder).name for folder in streams)
    by_key = fuse(FuseRequest(runs=keys))
    seeds = tuple(f"{folder}/seed{seed}" for seed in range(3) for folder in streams)
    one_by_one = fuse(FuseRequest(runs=seeds))
    for other in (again, by_key, one_by_one):
        assert [(result.folder, result.written) for result in other] == [(result.folder, False) for result in first]


def test_given_weights_belong_to_the_runs_as_they_were_named(streams) -> None:
    (result, *_) = fuse(FuseRequest(runs=streams[::-1], weights=(0.25, 0.75)))
    assert [(run.streams, run.weight) for run in result.fusion.runs] == [(("joint",), 0.75), (("bone",), 0.25)]
    assert result.record.command.endswith("--weights 0.75,0.25 --seed 0")
    again = fuse(FuseRequest(runs=streams, weights=(0.75, 0.25)))
    assert again[0].folder == result.folder
    equal = fuse(FuseRequest(runs=streams, weights=(1.0, 1.0)))
    assert equal[0].fusion.weights == "equal"
    assert equal[0].folder != result.folder


def test_the_command_of_a_record_gives_weights_to_their_last_digit(streams) -> None:
    (result, *_) = fuse(FuseRequest(runs=streams, weights=(0.123456789, 1e-7)))
    assert "--weights 0.123456789,1e-07" in result.record.command


def test_seeds_are_fused_in_the_order_of_their_numbers(scored_run) -> None:
    for name in ("joint", "bone"):
        for seed in (10, 2):
            scored_run(streams=(name,), seed=seed)
    folders = {str(path.parent.parent) for path in Path().resolve().rglob("record.json")}
    assert [result.record.seed for result in fuse(FuseRequest(runs=tuple(folders)))] == [2, 10]


def test_the_command_of_a_record_names_its_runs_by_key(streams) -> None:
    (result, *_) = fuse(FuseRequest(runs=streams, by="softmax"))
    keys = [Path(folder).name for folder in streams]
    assert result.record.command == f"skelbench fuse {keys[0]} {keys[1]} --by softmax --seed 0"


@pytest.fixture
def tuned(streams, scored_run) -> Callable[..., None]:
    """Leave runs on a validation part that tune those on test."""

    def leave(*skills: float, **changes) -> None:
        for folder, skill in zip(streams, skills, strict=True):
            for path in sorted(Path(folder).glob("seed*/record.json")):
                record = read_record(path)
                made = {"scored": "validation", "tunes": record.key, "ids": "v", "samples": 80, **changes}
                scored_run(streams=record.streams, seed=record.seed, skill=skill, **made)

    return leave


def test_weights_are_learnt_on_the_validation_part_and_recorded(streams, tuned) -> None:
    tuned(3.0, 0.2)
    results = fuse(FuseRequest(runs=streams, learnt=True))
    for result in results:
        joint, bone = result.fusion.runs
        assert joint.weight > 1 > bone.weight
        assert joint.weight + bone.weight == pytest.approx(2, abs=2e-4)
        learnt = result.fusion.learnt
        assert learnt is not None
        assert learnt.n == 80
        assert learnt.loss < learnt.loss_equal
        assert len(set(learnt.predictions_sha256)) == 2
        assert learnt.evaluated != result.record.evaluated
    assert len({result.record.key for result in results}) == 1
    assert results[0].record.command.endswith("--weights learnt --seed 0")


def test_weights_are_never_learnt_on_test(streams, tuned) -> None:
    with pytest.raises(UsageError, match=r"never learnt on what is scored.*Make one: skelbench run .*--tune"):
        fuse(FuseRequest(runs=streams, learnt=True))
    tuned(1.0, 1.0, ids="s")
    with pytest.raises(RunError, match="60 of its samples are also in the test part, such as s000"):
        fuse(FuseRequest(runs=streams, learnt=True))


def test_runs_tuned_on_different_samples_are_refused(streams, scored_run) -> None:
    for folder, samples in zip(streams, (80, 81), strict=True):
        record = read_record(Path(folder, "seed0", "record.json"))
        changes = {"scored": "validation", "tunes": record.key, "ids": "v", "samples": samples}
        scored_run(streams=record.streams, **changes)
    with pytest.raises(UsageError, match="tuned on different samples"):
        fuse(FuseRequest(runs=streams, learnt=True, seeds=(0,)))


def test_runs_on_validation_do_not_hide_those_on_test(streams, tuned) -> None:
    tuned(1.0, 1.0)
    above = tuple(str(Path(folder).parent) for folder in streams)
    assert fuse(FuseRequest(runs=above))[0].record.scored == "test"


def test_runs_on_validation_are_fused_among_themselves(streams, tuned) -> None:
    tuned(1.0, 1.0)
    keys = sorted({path.parent.parent for path in Path("runs").rglob("record.json")} - set(map(Path, streams)))
    (result, *_) = fuse(FuseRequest(runs=tuple(map(str, keys))))
    assert (result.record.scored, result.record.tunes) == ("validation", None)
    with pytest.raises(UsageError, match="scored other samples or targets"):
        fuse(FuseRequest(runs=(streams[0], str(keys[0]))))


def test_predictions_in_another_order_are_fused_by_id(streams) -> None:
    expected = fuse(FuseRequest(runs=streams, seeds=(0,)), dry_run=True)[0].record.metrics
    path = Path(streams[1], "seed0", "record.json")
    part = read_predictions(path.with_name("predictions.parquet"))
    turned = type(part)(part.ids[::-1], part.target[::-1], part.logits[::-1], part.classes)
    path.with_name("predictions.parquet").write_bytes(predictions_bytes(turned))
    changed(path, predictions_sha256=None)
    with pytest.raises(RunError, match="does not name its predictions"):
        fuse(FuseRequest(runs=streams, seeds=(0,)))
    changed(path, predictions_sha256=hashlib.sha256(predictions_bytes(turned)).hexdigest())
    assert fuse(FuseRequest(runs=streams, seeds=(0,)), dry_run=True)[0].record.metrics == expected


@pytest.mark.parametrize("kind", ["multi", "score"])
def test_other_kinds_of_targets_are_fused_too(scored_run, kind: str) -> None:
    rng = np.random.default_rng(1)
    target = rng.choice([0.0, 1.0, np.nan], (60, 4)) if kind == "multi" else rng.normal(size=60)
    paths = [scored_run(streams=(name,), target=target.astype(np.float32)) for name in ("joint", "bone")]
    (result,) = fuse(FuseRequest(runs=tuple(map(str, paths))))
    record = read_record(result.folder / "record.json")
    assert record.metrics[record.primary].value is not None
    assert record.metrics[record.primary].interval_over == "subject"


def test_a_fusion_stands_on_a_board(streams) -> None:
    fuse(FuseRequest(runs=streams))
    build(Path("runs"), Path("records"), Path("boards"))
    assert "fuse:joint,bone" in Path("boards/nw_ucla-xview.md").read_text()


def test_a_dry_run_writes_nothing(streams) -> None:
    results = fuse(FuseRequest(runs=streams), dry_run=True)
    assert not any(result.written or result.folder.exists() for result in results)


def test_new_predictions_do_not_replace_a_fusion_unasked(streams, scored_run) -> None:
    (first, *_) = fuse(FuseRequest(runs=streams))
    scored_run(streams=("bone",), skill=3.0, seed=0)
    with pytest.raises(UsageError, match="holds a fusion of other predictions"):
        fuse(FuseRequest(runs=streams))
    (again, *_) = fuse(FuseRequest(runs=streams, overwrite="always"))
    assert again.written
    assert again.record.metrics != first.record.metrics


def test_a_seed_that_came_later_joins_the_control(streams, scored_run) -> None:
    (first, *_) = fuse(FuseRequest(runs=streams, seeds=(0,)))
    scored_run(streams=("bone",), seed=3)
    (again,) = fuse(FuseRequest(runs=streams, seeds=(0,)))
    assert again.written
    assert (first.fusion.controls[1].seeds, again.fusion.controls[1].seeds) == ((0, 1, 2), (0, 1, 2, 3))
    assert read_record(again.folder / "record.json").fusion == again.fusion


def test_damaged_predictions_of_a_fusion_are_written_again(streams) -> None:
    (first, *_) = fuse(FuseRequest(runs=streams, seeds=(0,)))
    (first.folder / "predictions.parquet").write_bytes(b"")
    (again,) = fuse(FuseRequest(runs=streams, seeds=(0,)))
    assert again.written
    assert (again.folder / "predictions.parquet").stat().st_size


def refused(*runs: str, words: str, **given) -> None:
    with pytest.raises(UsageError, match=words):
        fuse(FuseRequest(runs=runs, **given))
    assert not list(Path("runs").glob("*/*/fuse-*"))


def test_what_does_not_fit_together_is_refused(streams, scored_run) -> None:
    joint, bone = streams
    refused(joint, words="1 run to fuse; expected at least two")
    refused(joint, f"{bone}/seed1", words="lacks seed 0, which others have")
    refused(joint, bone, words="None of the runs has seed 7", seeds=(7,))
    refused(joint, bone, words="3 weights for 2 runs", weights=(1.0, 1.0, 1.0))
    refused(joint, bone, words="numbers of at least 0, not all 0", weights=(1.0, -1.0))
    refused(joint, bone, words="numbers of at least 0, not all 0", weights=(0.0, 0.0))
    refused(joint, bone, words="either given or learnt", weights=(1.0, 1.0), learnt=True)
    refused(joint, "nothing", words="No run nothing: expected the folder of a run")
    refused(joint, "runs", words="runs holds 2 runs")
    refused(joint, "12345678", words="No run 12345678")
    other = scored_run(streams=("bone-motion",), samples=59)
    refused(f"{joint}/seed0", str(other), words="scored other samples or targets")
    other = scored_run(streams=("bone-motion",), classes=5)
    refused(f"{joint}/seed0", str(other), words=r"scored other classes \(4 and 5\)")
    other = scored_run(streams=("bone-motion",), protocol="xsub")
    refused(f"{joint}/seed0", str(other), words=r"scored another protocol \(xview and xsub\)")
    other = scored_run(streams=("bone-motion",), labels=0.1)
    refused(f"{joint}/seed0", str(other), words=r"differ in labels \(None and 0.1\)")


def test_a_fusion_is_not_fused_again(streams) -> None:
    results = fuse(FuseRequest(runs=streams, seeds=(0,)))
    with pytest.raises(UsageError, match="Name the runs that it was made from instead"):
        fuse(FuseRequest(runs=(str(results[0].folder), f"{streams[0]}/seed0")))


def test_a_published_record_has_no_predictions_and_says_how_to_make_them(streams, scored_run) -> None:
    path = scored_run(streams=("bone-motion",))
    path.with_name("predictions.parquet").unlink()
    with pytest.raises(UsageError, match="kept without predictions; make them again: skelbench run --dataset nw_ucla"):
        fuse(FuseRequest(runs=(f"{streams[0]}/seed0", str(path))))


def test_a_run_that_failed_or_whose_predictions_are_others_is_named(streams) -> None:
    path = changed(Path(streams[1], "seed0", "record.json"), state="diverged")
    with pytest.raises(RunError, match="state diverged"):
        fuse(FuseRequest(runs=streams))
    changed(path, state="done", predictions_sha256="f" * 64)
    with pytest.raises(RunError, match="is not what its record was computed from"):
        fuse(FuseRequest(runs=streams))
    changed(path, predictions_sha256=None, evaluated="f" * 64)
    with pytest.raises(RunError, match="holds other samples or targets than its record says"):
        fuse(FuseRequest(runs=streams))


def test_one_run_given_twice_counts_once_and_two_of_one_seed_are_refused(streams, tmp_path) -> None:
    (result,) = fuse(FuseRequest(runs=(*streams, *streams), seeds=(0,)))
    assert len(result.fusion.runs) == 2
    copy = tmp_path / "copy" / "seed0" / "record.json"
    copy.parent.mkdir(parents=True)
    copy.write_text(Path(streams[0], "seed0", "record.json").read_text())
    with pytest.raises(UsageError, match=r"is seed 0 of .*, which is given twice"):
        fuse(FuseRequest(runs=(*streams, str(copy))))


def test_folds_are_fused_each_for_itself(scored_run) -> None:
    for fold in (0, 1):
        for name in ("joint", "bone"):
            scored_run(streams=(name,), fold=fold, samples=40 + fold)
    folders = tuple(str(path.parent) for path in Path("runs").glob("*/*/*/*/seed0-fold0"))
    results = fuse(FuseRequest(runs=folders))
    assert [(result.record.fold, result.folder.name) for result in results] == [(0, "seed0-fold0"), (1, "seed0-fold1")]


def test_another_protocol_is_named_before_its_folds(streams, scored_run) -> None:
    folded = scored_run(streams=("bone",), protocol="by-subject", fold=0)
    refused(f"{streams[0]}/seed0", str(folded), words=r"scored another protocol \(xview and by-subject\)")


def test_where_one_seed_cannot_be_fused_none_is_written(streams, tuned) -> None:
    tuned(2.0, 2.0)
    for path in Path("runs").rglob("record.json"):
        record = read_record(path)
        if record.tunes is not None and record.seed == 2:
            path.unlink()
    refused(*streams, words="seed2/record.json: weights are never learnt on what is scored", learnt=True)
    assert not [path for path in Path("runs").rglob("*") if path.name.startswith("fuse-")]
