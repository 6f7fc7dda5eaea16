"""The rules of a board, one by one, on records of runs that never were."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skelbench.leaderboard.boards import build
from skelbench.metrics import confusion, macro_f1, mean_class_accuracy

Keep = Callable[..., Path]
Fused = Callable[..., dict[str, Any]]
MINE = (
    "dataset,protocol,evaluation,model,method,streams,labels,pretraining,poses,metric,value,selected,document,table,"
    "as_printed,note\n"
)


def page(folder: Path, name: str = "nw_ucla-xview.md", published: Path | None = None) -> str:
    build(folder / "runs", folder / "records", folder / "boards", published=published)
    return (folder / "boards" / name).read_text(encoding="utf-8").replace("\u00a0", " ")


def tables(text: str) -> list[list[dict[str, str]]]:
    """The rows of every table of a page, by column."""
    found = []
    for part in text.split("\n\n"):
        if part.startswith("|"):
            head, _, *body = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in part.splitlines()]
            found.append([dict(zip(head, cells, strict=True)) for cells in body])
    return found


def rows(text: str, table: int = 0) -> list[dict[str, str]]:
    """The rows of one table of a page."""
    return tables(text)[table]


def row(text: str) -> dict[str, str]:
    """The first row of the first table."""
    return rows(text)[0]


def stage(**changes: Any) -> dict[str, Any]:
    fields = {"dataset": "nw_ucla", "protocol": "xview", "part": "train", "target": "label", "labels": None}
    return {**fields, "model": "ctrgcn", "method": "supervised", "streams": ["joint"], "values": {}, **changes}


def printed(folder: Path, *lines: str) -> Path:
    """A folder of printed values: the middle of each line, between data set and where it stands."""
    (folder / "mine").mkdir()
    text = "".join(f"nw_ucla,xview,{line},A paper,Table 1,a row,\n" for line in lines)
    (folder / "mine" / "mine.csv").write_text(MINE + text)
    return folder / "mine"


def test_the_columns_stand_in_the_order_of_the_design(tmp_path: Path, keep: Keep) -> None:
    chain = [stage(dataset="ntu60"), stage()]
    keep(model="ctrgcn", evaluation="finetune", stages=chain, interval=(0.8, 0.9), further={"map": 0.5})
    keep(model="posestats", evaluation="finetune", stages=chain, limit=3)
    text = page(tmp_path, published=printed(tmp_path, "finetune,ctrgcn,supervised,joint,,ntu60,,top1,94.0,last"))
    assert [*row(text)] == [
        *("rank", "model", "method", "streams", "recipe", "pre-training", "top-1", "over subjects", "macro F1", "mAP"),
        *("published", "difference", "incomplete", "key"),
    ]
    assert [*rows(text, 1)[0]] == [
        *("key", "model", "method", "streams", "epochs", "parameters", "GFLOPs", "training", "device", "code"),
    ]
    assert text.count("- aaaaaaaa") + text.count("- ffffffff") + text.count("- bbbbbbbb") == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"evaluation": "linear"},
        {"labels": 0.1},
        {"evaluated": "1" * 64},
        {"primary": "macro_f1"},
    ],
)
def test_nothing_is_ranked_against_what_was_scored_otherwise(
    tmp_path: Path, keep: Keep, changes: dict[str, Any]
) -> None:
    keep()
    keep(model="posestats", **changes)
    ranked = [[one["rank"] for one in table] for table in tables(page(tmp_path)) if "rank" in table[0]]
    assert ranked == [["1"], ["1"]]


@pytest.mark.parametrize("changes", [{"dataset": "other"}, {"protocol": "other"}])
def test_every_data_set_and_protocol_has_a_page(tmp_path: Path, keep: Keep, changes: dict[str, Any]) -> None:
    keep()
    keep(model="posestats", **changes)
    names = [path.name for path in build(tmp_path / "runs", tmp_path / "records", tmp_path / "boards").written]
    assert len(names) == 3


@pytest.mark.parametrize("selected", ["last", "best-on-test", "unknown"])
def test_a_difference_never_stands_without_how_theirs_was_selected(tmp_path: Path, keep: Keep, selected: str) -> None:
    keep(model="ctrgcn", top1=0.9)
    text = page(tmp_path, published=printed(tmp_path, f"supervised,ctrgcn,supervised,joint,,,,top1,88.5,{selected}"))
    assert row(text)["published"] == f"88.5 ({selected}; mine, Table 1)"
    assert row(text)["difference"] == f"+1.50 ({selected})"
    assert rows(text, 2)[0]["selected"] == selected


def test_two_printed_values_of_one_configuration_stand_side_by_side(tmp_path: Path, keep: Keep) -> None:
    keep(model="ctrgcn", top1=0.9)
    lines = [f"supervised,ctrgcn,supervised,joint,,,,top1,{value}" for value in ("91,last", "90.5,best-on-test")]
    found = row(page(tmp_path, published=printed(tmp_path, *lines)))
    assert found["published"] == "91 (last; mine, Table 1); 90.5 (best-on-test; mine, Table 1)"
    assert found["difference"] == "-1.00 (last); -0.50 (best-on-test)"


def test_no_difference_is_taken_from_another_pre_training(tmp_path: Path, keep: Keep) -> None:
    lines = [f"finetune,ctrgcn,supervised,joint,,{name},,top1,94.0,last" for name in ("Posetics", "NTU60")]
    keep(model="ctrgcn", evaluation="finetune", stages=[stage(dataset="ntu60"), stage()])
    found = row(page(tmp_path, published=printed(tmp_path, *lines)))
    assert found["pre-training"] == "ntu60"
    assert found["published"].startswith("94.0 (last; other pre-training: Posetics; mine, Table 1); 94.0 (last; mine")
    assert found["difference"] == "-4.00 (last)"


def test_values_without_streams_stand_beside_ours_where_there_is_no_better_one(tmp_path: Path, keep: Keep) -> None:
    lines = ["supervised,ctrgcn,supervised,,,,,top1,92.4,last", "supervised,ctrgcn,supervised,bone,,,,top1,91.8,last"]
    keep(model="ctrgcn", top1=0.9)
    keep(model="ctrgcn", top1=0.8, streams=["bone"], key="1" * 64)
    first, second = rows(page(tmp_path, published=printed(tmp_path, *lines)))
    assert first["published"] == "92.4 (last; streams not stated; mine, Table 1)"
    assert first["difference"] == "–"
    assert second["published"] == "91.8 (last; mine, Table 1)"
    assert second["difference"] == "-11.80 (last)"


@pytest.mark.parametrize("changes", [{"limit": 500}, {"official": ["train 1,000 of 1,020: the store is partial"]}])
def test_a_row_of_a_part_of_the_data_has_no_rank_and_no_difference(
    tmp_path: Path, keep: Keep, changes: dict[str, Any]
) -> None:
    official = changes.pop("official", [])
    split = {"protocol": "xview", "digest": "d" * 64, "train": 1000, "test": 464, "left_out": 0, "official": official}
    keep()
    keep(model="ctrgcn", split=split, **changes)
    found = rows(page(tmp_path))[1]
    assert (found["rank"], found.get("difference", "–")) == ("–", "–")
    assert found["incomplete"].startswith(("--limit 500", "train 1,000 of 1,020"))


def test_training_time_is_the_mean_of_a_seed_with_all_its_folds(tmp_path: Path, keep: Keep) -> None:
    for seed, fold in ((0, 0), (0, 1), (1, 0), (1, 1)):
        clock = {"train": 10.0 * (seed + 1), "test": 0.0, "prepare": 0.0}
        keep(seed=seed, fold=fold, seconds=clock, evaluated=str(fold) * 64)
    assert rows(page(tmp_path), 1)[0]["training"] == "30.0 s"


@pytest.mark.parametrize(
    ("device", "environment", "shown"),
    [
        ("cpu", {"cpu": "AMD EPYC", "threads": "1"}, "cpu (AMD EPYC, 1 thread)"),
        ("cpu", {"cpu": "AMD EPYC", "threads": "2"}, "cpu (AMD EPYC, 2 threads)"),
        ("NVIDIA H200", {"cpu": "AMD EPYC", "threads": "2"}, "NVIDIA H200"),
    ],
)
def test_a_cpu_is_named_with_its_threads(
    tmp_path: Path, keep: Keep, device: str, environment: dict[str, str], shown: str
) -> None:
    keep(device=device, environment=environment)
    assert rows(page(tmp_path), 1)[0]["device"] == shown


def test_a_metric_of_ones_own_gets_a_column(tmp_path: Path, keep: Keep) -> None:
    keep(further={"zeal": 0.25, "ece": 0.031, "nll": 0.4321, "top5": 0.99})
    found = row(page(tmp_path))
    columns = [*found]
    assert columns[columns.index("top-1") + 1 :] == ["top-5", "macro F1", "ECE", "NLL", "zeal", "key"]
    assert [found[name] for name in ("top-5", "ECE", "NLL", "zeal")] == ["99.00", "3.10", "0.4321", "25.00"]


def test_where_less_is_better_the_least_comes_first(tmp_path: Path, keep: Keep) -> None:
    keep(primary="nll", further={"nll": 0.9}, chance=2.3)
    keep(model="posestats", primary="nll", further={"nll": 0.2}, chance=2.3)
    text = page(tmp_path)
    assert [one["NLL"] for one in rows(text)] == ["0.2 (n = 1)", "0.9 (n = 1)"]
    assert "Primary metric: NLL; chance: 2.3." in text


def test_what_rows_have_in_common_is_said_once_and_what_not_in_a_column(tmp_path: Path, keep: Keep) -> None:
    keep()
    assert "Poses: Kinect v1." in page(tmp_path)
    assert {"poses", "data", "trained on"} & {*row(page(tmp_path))} == set()
    trail = {
        **{"dataset": "nw_ucla", "fingerprint": "9" * 64, "pose_source": "ViTPose", "synthetic": None, "limit": None},
        **{"raw_sha256": "c" * 64, "converter": "nw_ucla"},
    }
    split = {"protocol": "xview", "digest": "8" * 64, "train": 900, "test": 464, "left_out": 120, "official": []}
    keep(model="posestats", data=[trail], split=split, top1=0.1)
    first, second = rows(page(tmp_path))
    assert (first["poses"], second["poses"]) == ("Kinect v1", "ViTPose")
    assert (first["data"], second["data"]) == ("bbbbbbbb", "99999999")
    assert second["trained on"] == "900 samples, split 88888888"
    assert "Poses: " not in page(tmp_path)


def test_what_the_confusion_matrix_tells_is_pooled_over_the_samples_of_all_folds(tmp_path: Path, keep: Keep) -> None:
    rng = np.random.default_rng(5)
    counts = [confusion(rng.normal(size=(n, 10)), rng.integers(10, size=n)) for n in (40, 25)]
    for fold, count in enumerate(counts):
        metrics = {
            "top1": {"value": float(count.trace() / count.sum()), "n": int(count.sum())},
            "mean_class_accuracy": mean_class_accuracy(count).model_dump(),
            "macro_f1": macro_f1(count).model_dump(),
            "map": {"value": 0.2 + 0.1 * fold, "n": int(count.sum())},
            "confusion": {"n": int(count.sum()), "per_class": count.tolist()},
        }
        keep(fold=fold, evaluated=str(fold) * 64, metrics=metrics)
    text, pooled = page(tmp_path), counts[0] + counts[1]
    found = row(text)
    assert found["top-1"] == f"{100 * pooled.trace() / 65:.2f} (n = 1)"
    assert found["mean class accuracy"] == f"{100 * (mean_class_accuracy(pooled).value or 0):.2f}"
    assert found["macro F1"] == f"{100 * (macro_f1(pooled).value or 0):.2f}"
    assert found["mAP"] == f"{(20 * 40 + 30 * 25) / 65:.2f}"
    assert "The folds of a seed are pooled" in text


def test_the_interval_over_subjects_is_not_made_up_from_those_of_folds(tmp_path: Path, keep: Keep) -> None:
    for fold in range(2):
        keep(fold=fold, evaluated=str(fold) * 64, interval=(0.8, 0.9))
    assert "over subjects" not in row(page(tmp_path))


def test_a_fusion_is_named_by_its_networks_with_the_control_beside_it(tmp_path: Path, keep: Keep, fused: Fused) -> None:
    for seed in range(3):
        controls = [("joint", 0.92), ("bone", 0.915)]
        keep(seed=seed, **fused("joint", "bone", model="ctrgcn", controls=controls, top1=0.93 + seed / 100))
        keep(seed=seed, model="lite", top1=0.9 + seed / 100)
    first, second = rows(page(tmp_path))
    assert (first["model"], first["method"], first["streams"]) == ("ctrgcn", "supervised", "fuse:joint,bone")
    assert first["recipe"] == "default"
    assert (first["control"], second["control"]) == ("92.00 (2 seeds of joint)", "–")
    assert first["published"] == "94.2 (best-on-test; cacl, Table 2)"
    assert first["difference"] == "-0.20 (best-on-test)"
    assert rows(page(tmp_path), 1)[0]["prepare"] == "by-id, centre-first:1"


def test_the_control_of_folds_is_weighted_by_their_samples_as_the_fusion_is(
    tmp_path: Path, keep: Keep, fused: Fused
) -> None:
    for fold, count, value in ((0, 100, 0.8), (1, 300, 0.9)):
        given = {"evaluated": str(fold) * 64, "metrics": {"top1": {"value": value, "n": count}}}
        keep(fold=fold, **given, **fused("joint", "bone", controls=[("joint", value)]))
    found = row(page(tmp_path))
    assert (found["top-1"], found["control"]) == ("87.50 (n = 1)", "87.50 (2 seeds of joint)")


@pytest.mark.parametrize(
    ("how", "shown"),
    [
        ({"by": "softmax"}, "default, softmax"),
        ({"weights": "given"}, "default, given weights"),
        ({"by": "softmax", "weights": "learnt"}, "default, softmax, learnt weights"),
    ],
)
def test_a_fusion_says_what_of_it_is_not_usual(
    tmp_path: Path, keep: Keep, fused: Fused, how: dict[str, str], shown: str
) -> None:
    fields = fused("joint", "bone", model="ctrgcn")
    keep(**{**fields, "fusion": {**fields["fusion"], **how}})
    assert row(page(tmp_path))["recipe"] == shown


def test_one_network_on_two_streams_is_not_a_fusion_of_two(tmp_path: Path, keep: Keep) -> None:
    keep(model="ctrgcn", streams=["joint", "bone"])
    found = row(page(tmp_path))
    assert found["streams"] == "joint+bone"
    assert "published" not in found  # 94.2 is of two networks


def test_a_validation_part_never_stands_beside_a_test_part(tmp_path: Path, keep: Keep) -> None:
    split = {"protocol": "xview", "digest": "d" * 64, "train": 800, "test": 220, "left_out": 0, "official": []}
    carved = {**split, "carved": "validation: whole subjects 3 of the training part, 220 of 1020 samples"}
    keep(top1=0.8)
    keep(model="ctrgcn", scored="validation", split=carved, top1=0.99)
    text = page(tmp_path)
    whole, tuned = text.split("## supervised, all labels, scored on validation")
    assert "| ctrgcn | supervised | joint | default | 99.00" in tuned
    assert "| ctrgcn | supervised | joint | default | 99.00" not in whole
    assert "464 validation samples, 10 classes." in tuned
    assert "No test result; validation: whole subjects 3 of the training part" in tuned
    assert "94.6" not in tuned.split("## How to read this")[0]
    index = rows((tmp_path / "boards" / "README.md").read_text(encoding="utf-8"))
    assert [line["best row"] for line in index] == ["lite, supervised, joint", "ctrgcn, supervised, joint"]
    assert index[1]["evaluation"] == "supervised, all labels, scored on validation"


def test_tables_stand_in_the_usual_order(tmp_path: Path, keep: Keep) -> None:
    for place, (evaluation, labels) in enumerate(
        [("zero-shot", None), ("linear", None), ("supervised", 0.05), ("finetune", None), ("supervised", None)]
    ):
        keep(evaluation=evaluation, labels=labels, key=str(place) * 64)
    titles = [line for line in page(tmp_path).splitlines() if line.startswith("## ")]
    assert titles[:-1] == [
        *("## supervised, all labels", "## supervised, 5 % of the labels", "## finetune, all labels"),
        *("## linear, all labels", "## zero-shot, all labels"),
    ]


def test_the_best_test_epoch_stands_under_its_own_name_and_ranks_nothing(tmp_path: Path, keep: Keep) -> None:
    for seed in range(3):
        best = {"oracle_top1": 0.95 + seed / 100, "oracle_macro_f1": 0.9, "oracle_nll": 0.3}
        keep(seed=seed, model="ctrgcn", top1=0.93 + seed / 100, further=best if seed else {"oracle_top1": 0.95})
        keep(seed=seed, top1=0.99)
    first, second = rows(page(tmp_path))
    assert (first["model"], first["oracle top-1"]) == ("lite", "–")
    assert second["oracle top-1"] == "96.00"
    assert second["top-1"].startswith("94.00")
    assert second["difference"] == "-0.60, oracle +1.40 (best-on-test)"
    assert not {"oracle macro F1", "oracle NLL", "oracle_macro_f1"} & {*second}


def test_an_oracle_of_some_seeds_is_said_to_be_of_some(tmp_path: Path, keep: Keep) -> None:
    keep(seed=0, model="ctrgcn", further={"oracle_top1": 0.95})
    keep(seed=1, model="ctrgcn")
    found = row(page(tmp_path))
    assert found["oracle top-1"] == "95.00 (n = 1)"
    assert "oracle" not in found["difference"]


@pytest.mark.parametrize(
    ("init", "shown"),
    [
        ({"kind": "run", "trained_on": ["ntu60"]}, "ntu60"),
        ({"kind": "authors", "source": "Uason-Chen/CTR-GCN@e13d758"}, "Uason-Chen/CTR-GCN@e13d758"),
        ({"kind": "checkpoint"}, "unknown data"),
    ],
)
def test_what_a_network_started_from_is_its_pre_training(
    tmp_path: Path, keep: Keep, init: dict[str, Any], shown: str
) -> None:
    start = {"given": "weights", "sha256": "4" * 64, **init}
    keep(model="ctrgcn", stages=[stage(init=start)])
    found = row(page(tmp_path))
    assert found["pre-training"] == shown
    assert "published" not in found  # 94.6 is from scratch


def test_folds_that_were_never_run_are_missed(tmp_path: Path, keep: Keep) -> None:
    split = {"protocol": "xview", "digest": "d" * 64, "train": 800, "test": 220, "left_out": 0, "official": []}
    for fold in (0, 1):
        keep(fold=fold, evaluated=str(fold) * 64, split={**split, "folds": 5})
    assert row(page(tmp_path))["incomplete"] == "seed 0: 2 of 5 folds"


@pytest.mark.parametrize(("folds", "ends"), [((0, 1), "--seeds 2"), ((1,), "--fold 1 --seeds 2")])
def test_the_command_of_a_row_repeats_all_its_folds(
    tmp_path: Path, keep: Keep, folds: tuple[int, ...], ends: str
) -> None:
    split = {"protocol": "xview", "digest": "d" * 64, "train": 800, "test": 220, "left_out": 0, "official": []}
    for seed in range(2):
        for fold in folds:
            command = f"skelbench run --dataset nw_ucla --fold {fold} --seed {seed}"
            evaluated = str(fold) * 64
            keep(seed=seed, fold=fold, evaluated=evaluated, split={**split, "folds": 2}, command=command)
    assert f"`skelbench run --dataset nw_ucla {ends}`" in page(tmp_path)


def test_files_that_a_command_names_are_told_by_digest(tmp_path: Path, keep: Keep) -> None:
    keep(files={"./mynet.py": "5" * 64}, command="skelbench run --model ./mynet.py --seed 0")
    assert "`skelbench run --model ./mynet.py --seeds 1` with ./mynet.py = 55555555" in page(tmp_path)


def test_a_fusion_tells_how_to_make_its_runs_unless_they_are_rows(tmp_path: Path, keep: Keep, fused: Fused) -> None:
    keep(model="ctrgcn", key="1" * 64)
    keep(**fused("joint", "bone", model="ctrgcn", command="skelbench fuse 11111111 22222222 --seed 0"))
    text = page(tmp_path)
    assert "- ffffffff ctrgcn, supervised, fuse:joint,bone: `skelbench fuse 11111111 22222222 --seeds 1`\n" in text
    assert "\n  - 22222222: `skelbench run --streams bone`\n" in text
    assert "  - 11111111" not in text


def test_a_precision_that_is_not_the_usual_one_is_said(tmp_path: Path, keep: Keep) -> None:
    keep(precision="bf16-mixed")
    assert row(page(tmp_path))["recipe"] == "default, bf16-mixed"


def test_more_seeds_of_one_row_do_not_make_the_others_incomplete(tmp_path: Path, keep: Keep) -> None:
    for seed in range(5):
        keep(seed=seed, top1=0.9 + seed / 100)
    for seed in range(3):
        keep(seed=seed, model="posestats", top1=0.5 + seed / 100)
    for seed in range(2):
        keep(seed=seed, model="majority", top1=0.1)
    assert [(one["rank"], one["incomplete"]) for one in rows(page(tmp_path))] == [
        *(("1", "–"), ("2", "–"), ("–", "2 of 3 seeds"))
    ]


def test_costs_are_those_of_a_run_that_reached_its_end(tmp_path: Path, keep: Keep) -> None:
    keep(seed=0, state="failed", metrics={}, evaluated="", parameters=0, gflops=None, epochs=0, messages=["no memory"])
    keep(seed=1)
    found = rows(page(tmp_path), 1)[0]
    assert [found[name] for name in ("parameters", "GFLOPs", "epochs")] == ["79,306", "0.0213", "80"]
    assert "notes" not in found


def test_what_every_run_of_a_row_said_is_noted(tmp_path: Path, keep: Keep) -> None:
    for seed in range(3):
        keep(seed=seed, messages=["2 persons beyond the 2 slots are left out", f"best was epoch {seed}"])
    assert rows(page(tmp_path), 1)[0]["notes"] == "2 persons beyond the 2 slots are left out"
