import json
from pathlib import Path

import pytest

from skelbench.fuse import FuseRequest, fuse
from skelbench.record import read_record


def test_a_run_is_told_by_folder_record_or_key(skelbench, scored_run) -> None:
    path = scored_run()
    record = read_record(path)
    for name in (path, path.parent, path.parent.parent, record.key[:8], record.key):
        said = skelbench("info", name)
        assert said.code == 0, said.err
        for words in (
            record.key,
            "nw_ucla (Kinect v1)",
            "top1",
            "chance 25.00 %",
            record.command,
            "class 3",
            "optim.lr",
        ):
            assert words in said.out
    assert json.loads(skelbench("info", path, "--json").out) == {"record": str(path), **record.model_dump(mode="json")}


def test_seeds_stand_side_by_side_with_their_mean(skelbench, scored_run) -> None:
    paths = [scored_run(seed=seed) for seed in range(3)]
    values = [read_record(path).metrics["top1"].value for path in paths]
    said = skelbench("info", paths[0].parent.parent)
    assert all(str(path) in said.out for path in paths)
    assert f"mean         {100 * sum(values) / 3:.2f} %" in said.out
    found = json.loads(skelbench("info", paths[0].parent.parent, "--json").out)
    assert found["value"] == pytest.approx(sum(values) / 3)
    assert [run["record"] for run in found["runs"]] == [str(path) for path in paths]


def test_a_fusion_tells_what_it_was_made_from(skelbench, scored_run) -> None:
    paths = [scored_run(streams=(name,), seed=seed) for name in ("joint", "bone") for seed in (0, 1)]
    folders = tuple(dict.fromkeys(str(path.parent.parent) for path in paths))
    (result, _) = fuse(FuseRequest(runs=folders))
    said = skelbench("info", result.folder)
    assert "fused by logits, equal weights" in said.out
    assert "control: 2 seeds of joint fused instead" in said.out


def test_notes_of_a_run_go_to_stderr(skelbench, scored_run) -> None:
    path = scored_run(state="failed", metrics={}, messages=("it rained",))
    said = skelbench("info", path)
    assert said.code == 0
    assert "note: seed 0: it rained" in said.err


def test_figures_are_drawn_and_listed(skelbench, scored_run, tmp_path) -> None:
    path = scored_run()
    said = skelbench("info", path, "--figures")
    assert said.code == 0, said.err
    assert str(path.parent / "figures" / "confusion.png") in said.out
    assert "not drawn" in said.err  # no log: nothing was trained
    scored_run(seed=1)
    found = json.loads(skelbench("info", path.parent.parent, "--figures", "--json", "--out", tmp_path / "g").out)
    assert all(Path(file).is_file() for file in found["figures"])
    assert {Path(file).parent.name for file in found["figures"]} == {"seed0", "seed1"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("lite", "--figures"), "--figures draws a run, a store or a layout, and lite is none"),
        (("nw_ucla", "--figures"), "is none"),
        (("lite", "--out", "x"), "give --figures too"),
        (("deadbeef",), "No run deadbeef"),
        (("runs",), "No run runs"),
        (("litte",), "Did you mean 'lite'"),
    ],
)
def test_what_is_no_run_is_exit_code_2(skelbench, arguments, words) -> None:
    Path("runs").mkdir()
    said = skelbench("info", *arguments)
    assert said.code == 2
    assert words in said.err
