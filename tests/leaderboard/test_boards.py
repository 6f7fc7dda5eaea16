import json
from collections.abc import Callable
from pathlib import Path

import pytest

from skelbench.errors import RunError, UsageError
from skelbench.leaderboard.boards import build, check
from skelbench.leaderboard.publish import publish

Keep = Callable[..., Path]
SPLIT = {"protocol": "xview", "digest": "d" * 64, "train": 1020, "test": 464, "left_out": 0, "official": []}


def page(folder: Path, name: str = "nw_ucla-xview.md") -> str:
    build(folder / "runs", folder / "records", folder / "boards")
    return (folder / "boards" / name).read_text(encoding="utf-8").replace("\u00a0", " ")


def row_of(text: str, start: str) -> dict[str, str]:
    """The first row below the first head in which a cell begins with some text, by column."""
    lines = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line[:1] == "|"]
    return next(
        dict(zip(lines[0], line, strict=True))
        for line in lines[2:]
        if any(cell.startswith(start) for cell in line) and len(line) == len(lines[0])
    )


def test_seeds_of_a_key_make_one_row_with_mean_and_interval(tmp_path: Path, keep: Keep) -> None:
    for seed, value in enumerate([0.91, 0.92, 0.93]):
        keep(seed=seed, top1=value)
    row = row_of(page(tmp_path), "lite")
    assert row["top-1"] == "92.00 ± 2.48 (n = 3)"  # 4.303 * 1 / sqrt(3)
    assert row["macro F1"] == "50.00"


def test_below_three_seeds_there_is_no_interval(tmp_path: Path, keep: Keep) -> None:
    for seed in range(2):
        keep(seed=seed)
    assert row_of(page(tmp_path), "lite")["top-1"] == "90.00 (n = 2)"


def test_chance_counts_and_what_was_scored_are_said(tmp_path: Path, keep: Keep) -> None:
    keep()
    text = page(tmp_path)
    assert "464 test samples, 10 classes. Primary metric: top-1, in percent; chance: 10.00." in text
    assert "`eeeeeeee`" in text


def test_a_row_says_what_stands_behind_it(tmp_path: Path, keep: Keep) -> None:
    keep()
    text = page(tmp_path)
    assert (
        "| aaaaaaaa | lite | supervised | joint | by-id, centre-first:1 | ours | 80 | 79,306 | 0.0213 | 3.2 min | cpu |"
        in text
    )
    assert "- aaaaaaaa lite, supervised, joint: `skelbench run --dataset nw_ucla`" in text
    assert "Poses: Kinect v1. Digest of what was scored: `eeeeeeee`; of the data: `bbbbbbbb`." in text


def test_the_command_of_a_row_repeats_all_its_seeds(tmp_path: Path, keep: Keep) -> None:
    for seed in range(3):
        keep(seed=seed, command=f"skelbench run --dataset nw_ucla --seed {seed}")
    for seed in (2, 5):
        keep(seed=seed, model="posestats", command=f"skelbench run --method posestats --seed {seed}")
    text = page(tmp_path)
    assert "`skelbench run --dataset nw_ucla --seeds 3`" in text
    assert "`skelbench run --method posestats --seed 2 --seed 5`" in text


@pytest.mark.parametrize(("count", "shown"), [(5.4e-05, "&lt; 0.001"), (0.001, "0.001"), (17.25, "17.2"), (None, "")])
def test_work_below_what_is_worth_printing_is_said_so(
    tmp_path: Path, keep: Keep, count: float | None, shown: str
) -> None:
    keep(gflops=count)
    keep(model="posestats", gflops=2.0)
    text = page(tmp_path)
    assert f"| 79,306 | {shown or '–'} | 3.2 min |" in text


def test_the_interval_over_subjects_is_shown_where_it_is_stored(tmp_path: Path, keep: Keep) -> None:
    keep(interval=(0.85, 0.94))
    keep(model="posestats")
    assert row_of(page(tmp_path), "lite")["over subjects"] == "85.00 to 94.00"
    assert row_of(page(tmp_path), "posestats")["over subjects"] == "–"


def test_what_scored_other_samples_stands_in_another_table(tmp_path: Path, keep: Keep) -> None:
    keep()
    keep(model="posestats", evaluated="1" * 64)
    keep(model="majority", labels=0.05)
    text = page(tmp_path)
    assert text.count("## supervised, all labels") == 2
    assert text.count("## supervised, 5 % of the labels") == 1


def test_folds_are_pooled_within_a_seed(tmp_path: Path, keep: Keep) -> None:
    keep(fold=0, top1=0.8, evaluated="1" * 64)
    keep(fold=1, top1=0.9, evaluated="2" * 64)
    text = page(tmp_path)
    assert row_of(text, "lite")["top-1"] == "85.00 (n = 1)"
    assert "928 test samples in 2 folds" in text


def test_root_mean_squares_of_folds_are_pooled_as_of_all_samples(tmp_path: Path, keep: Keep) -> None:
    score = {"primary": "rmse", "classes": [], "chance": 0.0}
    keep(fold=0, further={"rmse": 3.0}, evaluated="1" * 64, **score)
    keep(fold=1, further={"rmse": 4.0}, evaluated="2" * 64, **score)
    assert row_of(page(tmp_path), "lite")["rmse"] == "3.536 (n = 1)"  # root of (9 + 16) / 2


def test_of_a_score_neither_classes_nor_chance_are_said(tmp_path: Path, keep: Keep) -> None:
    keep(primary="mae", classes=[], chance=0.0, further={"mae": 0.2})
    assert "464 test samples. Primary metric: mae. Poses:" in page(tmp_path)


def test_rows_of_a_small_unit_are_ranked_as_they_are_printed(tmp_path: Path, keep: Keep) -> None:
    score = {"primary": "mae", "classes": [], "chance": 0.0}
    keep(further={"mae": 1e-5}, **score)
    keep(model="posestats", further={"mae": 4e-5}, **score)
    text = page(tmp_path)
    assert [row_of(text, name)["rank"] for name in ("lite", "posestats")] == ["1", "2"]


def test_a_row_that_lacks_a_fold_stands_with_the_others(tmp_path: Path, keep: Keep) -> None:
    keep(fold=1, evaluated="2" * 64, model="posestats")
    keep(fold=0, evaluated="1" * 64)
    keep(fold=1, evaluated="2" * 64)
    text = page(tmp_path)
    assert text.count("## supervised") == 1
    assert row_of(text, "posestats")["incomplete"] == "seed 0: 1 of 2 folds"


@pytest.mark.parametrize("state", ["partial", "diverged", "failed"])
def test_a_seed_that_did_not_end_makes_its_row_incomplete(tmp_path: Path, keep: Keep, state: str) -> None:
    for model in ("lite", "posestats"):
        keep(model=model, top1=0.8)
    keep(seed=1, top1=0.8)
    keep(seed=1, model="posestats", state=state, metrics={}, evaluated="")
    text = page(tmp_path)
    row = row_of(text, "posestats")
    assert (row["rank"], row["incomplete"]) == ("–", f"seed 1 {state}; 1 of 2 seeds")
    assert row_of(text, "lite")["rank"] == "1"


def test_a_run_of_which_nothing_ended_is_shown(tmp_path: Path, keep: Keep) -> None:
    keep()
    keep(model="posestats", state="failed", metrics={}, evaluated="")
    row = row_of(page(tmp_path), "posestats")
    assert (row["top-1"], row["incomplete"]) == ("–", "seed 0 failed")


def test_a_board_without_any_score_says_so(tmp_path: Path, keep: Keep) -> None:
    keep(state="failed", metrics={}, evaluated="")
    assert "Nothing was scored yet." in page(tmp_path)


def test_one_seed_is_enough_for_what_has_no_parameters(tmp_path: Path, keep: Keep) -> None:
    for seed in range(3):
        keep(seed=seed, top1=0.9 + seed / 100)
    keep(model="posestats", parameters=0, top1=0.83)
    keep(model="majority", top1=0.1)
    text = page(tmp_path)
    assert (row_of(text, "posestats")["rank"], row_of(text, "posestats")["incomplete"]) == ("2", "–")
    assert row_of(text, "majority")["incomplete"] == "1 of 3 seeds"


def test_limited_runs_have_no_rank(tmp_path: Path, keep: Keep) -> None:
    keep(limit=64)
    assert row_of(page(tmp_path), "lite")["incomplete"] == "--limit 64"


def test_a_part_of_the_samples_stands_last_and_beside_no_printed_value(tmp_path: Path, keep: Keep) -> None:
    few = {"split": {**SPLIT, "train": 30, "test": 40}, "limit": 40, "evaluated": "0" * 64}
    keep(model="ctrgcn", key="1" * 64, **few)
    keep(model="ctrgcn", key="2" * 64, metrics={}, state="diverged", **few)
    keep(model="ctrgcn", key="3" * 64)
    keep(model="ctrgcn", key="4" * 64, metrics={}, state="failed")
    text = page(tmp_path)
    whole, part = text.split("## supervised, all labels, part of the samples")
    assert "| 94.6 (best-on-test" in whole
    assert "94.6" not in part
    assert [key * 8 in whole for key in "1234"] == [False, False, True, True]
    assert [key * 8 in part for key in "1234"] == [True, True, False, False]
    index = (tmp_path / "boards" / "README.md").read_text(encoding="utf-8")
    assert row_of(index, "supervised, all labels, part of the samples")["best row"] == "none is complete"


def test_rows_stand_by_value_and_share_ranks(tmp_path: Path, keep: Keep) -> None:
    for seed in range(3):
        keep(seed=seed, top1=0.90 + 0.01 * seed)
        keep(seed=seed, top1=0.895 + 0.01 * seed, model="posestats")
        keep(seed=seed, top1=0.1, model="majority")
    text = page(tmp_path)
    assert [row_of(text, model)["rank"] for model in ("lite", "posestats", "majority")] == ["1", "1", "3"]
    assert text.index("| lite") < text.index("| posestats") < text.index("| majority")


def test_a_printed_value_of_the_same_configuration_stands_beside_ours(tmp_path: Path, keep: Keep) -> None:
    keep(model="ctrgcn", top1=0.94)
    row = row_of(page(tmp_path), "ctrgcn")
    assert row["published"] == "94.6 (best-on-test; cacl, Table 2)"
    assert row["difference"] == "-0.60 (best-on-test)"


def test_no_difference_is_taken_from_values_of_other_poses(tmp_path: Path, keep: Keep) -> None:
    keep(model="unik", dataset="penn_action", protocol="standard")
    row = row_of(page(tmp_path, "penn_action-standard.md"), "unik")
    assert row["published"].startswith("90.1 (best-on-test; other poses: estimated; ")
    assert "difference" not in row


def test_printed_values_of_what_we_did_not_run_stand_below(tmp_path: Path, keep: Keep) -> None:
    keep()
    below = page(tmp_path).partition("### As published")[2]
    assert "| AGC-LSTM; supervised; joint | top-1 | 93.3 | unknown | – | – | joint | cacl, Table 2 |" in below
    assert "| CA-CL (Ours); supervised; joint | top-1 | 94.8 | best-on-test | ctrgcn | cacl | joint |" in below
    assert "cacl = Class-aware contrastive learning on CTR-GCN (ACCV 2024)" in below


def test_other_evaluations_and_labels_have_their_own_printed_values(tmp_path: Path, keep: Keep) -> None:
    keep(labels=0.05, evaluation="linear")
    assert "As published" not in page(tmp_path)


def test_synthetic_boards_stand_apart_are_marked_and_show_no_printed_value(tmp_path: Path, keep: Keep) -> None:
    keep(model="ctrgcn", synthetic={"generator": "skelbench", "seed": 0})
    text = page(tmp_path, "synthetic/nw_ucla-xview.md")
    assert "# Synthetic: nw_ucla, xview" in text
    assert "94.6" not in text
    assert not (tmp_path / "boards" / "nw_ucla-xview.md").exists()
    assert "## Synthetic recordings" in page(tmp_path, "README.md")


def test_the_index_names_every_table_and_links_its_page(tmp_path: Path, keep: Keep) -> None:
    keep(top1=0.8)
    keep(model="posestats", top1=0.7)
    keep(dataset="penn_action", protocol="standard", key="7" * 64)
    text = page(tmp_path, "README.md")
    assert (
        "| [nw_ucla](nw_ucla-xview.md) | xview | supervised, all labels | lite, supervised, joint | default | top-1 "
        "| 80.00 (n = 1) | 2 |" in text
    )
    assert "[penn_action](penn_action-standard.md)" in text


def test_the_text_does_not_depend_on_where_the_files_lie(tmp_path: Path, keep: Keep) -> None:
    paths = [keep(seed=seed, model=model) for seed in range(2) for model in ("lite", "posestats")]
    before = page(tmp_path)
    for place, path in enumerate(reversed(paths)):
        target = tmp_path / "runs" / f"moved{place}" / "record.json"
        target.parent.mkdir()
        path.rename(target)
    assert page(tmp_path) == before


def test_names_cannot_break_out_of_their_cell(tmp_path: Path, keep: Keep) -> None:
    keep(model="evil|x\n| a | b |\n<script>`*_[y](z)\u202e", command="run `a``b`\n# title")
    text = page(tmp_path)
    head = next(line for line in text.splitlines() if line.startswith("| rank"))
    row = next(line for line in text.splitlines() if "evil" in line)
    assert row.replace("\\|", "").count("|") == head.count("|")
    assert "evil\\|x \\| a \\| b \\| &lt;script&gt;\\`\\*\\_\\[y\\](z) |" in row
    assert "```run `a``b` # title```" in text.replace("``` run", "```run").replace("title ```", "title```")


def test_a_hostile_data_set_name_stays_in_the_folder(tmp_path: Path, keep: Keep) -> None:
    keep(dataset="../../etc/passwd", protocol="..")
    built = build(tmp_path / "runs", tmp_path / "records", tmp_path / "boards")
    assert [path.name for path in built.written] == ["README.md", "_._.._etc_passwd-_..md"]
    assert all(path.resolve().is_relative_to((tmp_path / "boards").resolve()) for path in built.written)


def test_two_data_sets_of_one_page_name_are_refused(tmp_path: Path, keep: Keep) -> None:
    keep(dataset="a/b")
    keep(dataset="a_b", model="posestats")
    with pytest.raises(RunError, match=r"a/b, xview and of a_b, xview would both be a_b-xview\.md"):
        page(tmp_path)


def test_check_is_silent_after_build_and_names_what_differs(tmp_path: Path, keep: Keep) -> None:
    runs, records, out = (tmp_path / name for name in ("runs", "records", "boards"))
    first = keep()
    assert check(runs, records, out) == [f"{out / name} is missing." for name in ("README.md", "nw_ucla-xview.md")]
    build(runs, records, out)
    assert check(runs, records, out) == []
    keep(seed=1)
    assert f"{out / 'nw_ucla-xview.md'} is not what the records say." in check(runs, records, out)
    first.unlink()
    keep(seed=1, dataset="penn_action", key="7" * 64)
    (tmp_path / "runs" / "aaaaaaaa" / "seed1" / "record.json").unlink()
    assert f"{out / 'nw_ucla-xview.md'} has no records behind it." in check(runs, records, out)


def test_build_removes_its_own_stale_pages_and_no_others(tmp_path: Path, keep: Keep) -> None:
    path = keep()
    page(tmp_path)
    notes = tmp_path / "boards" / "notes.md"
    notes.write_text("mine")
    path.unlink()
    keep(dataset="penn_action", key="7" * 64)
    built = build(tmp_path / "runs", tmp_path / "records", tmp_path / "boards")
    assert built.removed == (tmp_path / "boards" / "nw_ucla-xview.md",)
    assert notes.read_text() == "mine"
    assert check(tmp_path / "runs", tmp_path / "records", tmp_path / "boards") == []


def test_a_file_of_someone_else_is_not_replaced(tmp_path: Path, keep: Keep) -> None:
    keep()
    (tmp_path / "README.md").write_text("# my project")
    with pytest.raises(UsageError, match=r"README\.md was not made by this command"):
        build(tmp_path / "runs", tmp_path / "records", tmp_path)
    assert (tmp_path / "README.md").read_text() == "# my project"


def test_without_records_there_is_nothing_to_build(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"No records under .*runs/ or .*`skelbench run` leaves one"):
        build(tmp_path / "runs", tmp_path / "records", tmp_path / "boards")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_record_is_named(tmp_path: Path, keep: Keep) -> None:
    path = keep()
    path.write_text("{")
    with pytest.raises(RunError, match=r"record\.json: not JSON"):
        page(tmp_path)


def test_two_different_records_of_one_seed_are_an_error_that_names_both(tmp_path: Path, keep: Keep) -> None:
    path = keep()
    publish(tmp_path / "runs", tmp_path / "records")
    keep(top1=0.1)
    with pytest.raises(RunError, match="two different records of key aaaaaaaa, seed 0") as raised:
        page(tmp_path)
    assert str(path) in str(raised.value)
    assert "lite-supervised-joint-aaaaaaaa-seed0.json" in str(raised.value)


def test_one_key_cannot_stand_for_two_runs_or_two_test_parts(tmp_path: Path, keep: Keep) -> None:
    keep()
    keep(seed=1, recipe="small")
    with pytest.raises(RunError, match="share the key aaaaaaaa and differ in what was run"):
        page(tmp_path)
    keep(seed=1, evaluated="1" * 64)
    with pytest.raises(RunError, match="share the key aaaaaaaa and scored different samples"):
        page(tmp_path)


def test_numbers_on_a_board_can_be_made_again_from_the_records(tmp_path: Path, keep: Keep) -> None:
    paths = [keep(seed=seed, top1=value) for seed, value in enumerate([0.9, 0.93])]
    values = [json.loads(path.read_text())["metrics"]["top1"]["value"] for path in paths]
    assert row_of(page(tmp_path), "lite")["top-1"] == f"{100 * sum(values) / 2:.2f} (n = 2)"
