import json
from pathlib import Path

import pytest


@pytest.fixture
def streams(scored_run) -> tuple[str, str]:
    """Folders of three seeds of joint and of bone."""
    found = []
    for name, skill in (("joint", 2.0), ("bone", 1.0)):
        paths = [scored_run(streams=(name,), skill=skill, seed=seed) for seed in range(3)]
        found.append(str(paths[0].parent.parent))
    return found[0], found[1]


def test_the_verb_prints_each_run_the_others_and_the_control(skelbench, streams) -> None:
    said = skelbench("fuse", *streams)
    assert said.code == 0, said.err
    rows = [line.split() for line in said.out.splitlines()]
    assert rows[0][:2] == ["nw_ucla", "xview:"]
    assert [row[2] for row in rows if row and row[0] in {Path(folder).name for folder in streams}] == ["joint", "bone"]
    assert said.out.count("; written") == 3
    assert "(2 seeds)" in said.out
    assert skelbench("fuse", *streams).out.count("done already") == 3


def test_its_json_has_documented_keys(skelbench, streams) -> None:
    said = json.loads(skelbench("fuse", *streams, "--json", "--seeds", 2, "--by", "softmax").out)
    assert len(said) == 2
    assert said[0].keys() == {"record", "state", "metrics", "seed", "folder", "written", "fusion"}
    assert Path(said[0]["record"]).is_file()
    dry = json.loads(skelbench("fuse", *streams, "--json", "--dry-run", "--weights", "1,0.5").out)
    assert dry[0]["record"] is None
    assert [run["weight"] for run in dry[0]["fusion"]["runs"]] == [1.0, 0.5]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--weights", "a,b"), "expected numbers with commas"),
        (("--weights", ""), "expected numbers with commas"),
        (("--weights", "learnt"), "--tune"),
        (("--weights", "nan,1"), "numbers of at least 0"),
        (("--by", "votes"), "logits"),
        (("--seeds", "1", "--seed", "1"), "give one of them"),
        (("--seed", "9"), "None of the runs has seed 9"),
    ],
)
def test_wrong_options_are_exit_code_2(skelbench, streams, options, words) -> None:
    said = skelbench("fuse", *streams, *options)
    assert said.code == 2
    assert words in said.err


def test_a_fusion_is_repeated_by_its_own_command_not_by_run(skelbench, streams) -> None:
    said = json.loads(skelbench("fuse", *streams, "--json").out)
    again = skelbench("run", "--from", said[0]["record"])
    assert again.code == 1
    assert "skelbench fuse" in again.err or "by `skelbench run`" in again.err


def test_folds_are_one_value_weighted_by_their_samples(skelbench, scored_run) -> None:
    for fold, samples in ((0, 40), (1, 80)):
        for name in ("joint", "bone"):
            scored_run(streams=(name,), fold=fold, samples=samples, ids="st"[fold], skill=1.0 + fold)
    folders = sorted({str(path.parents[1]) for path in Path("runs").rglob("record.json")})
    found = [one["metrics"]["top1"] for one in json.loads(skelbench("fuse", *folders, "--json").out)]
    assert [one["n"] for one in found] == [40, 80]
    said = skelbench("fuse", *folders).out
    assert "top1, seed 0, 2 folds together; equal weights" in said
    together = sum(one["value"] * one["n"] for one in found) / 120
    assert f"{100 * together:.2f} %" in next(line for line in said.splitlines() if line.startswith("all fused"))


def test_the_loss_of_learnt_weights_is_the_mean_over_the_seeds(skelbench, streams, scored_run) -> None:
    for folder in streams:
        for path in sorted(Path(folder).glob("seed*/record.json")):
            told = json.loads(path.read_text())
            made = {"scored": "validation", "tunes": told["key"], "ids": "v", "samples": 80}
            scored_run(streams=tuple(told["streams"]), seed=told["seed"], **made)
    command = ("fuse", *streams, "--weights", "learnt")
    learnt = [one["fusion"]["learnt"] for one in json.loads(skelbench(*command, "--json").out)]
    loss, equal = (sum(one[name] for one in learnt) / 3 for name in ("loss", "loss_equal"))
    wanted = f"learnt on 80 samples of the validation part: mean loss {loss:.4f}, with equal weights {equal:.4f}"
    assert wanted in skelbench(*command).out
