from collections.abc import Callable
from pathlib import Path

import pytest

from skelbench.errors import UsageError
from skelbench.leaderboard.boards import build
from skelbench.leaderboard.publish import publish, record_path
from skelbench.record import read_record

Keep = Callable[..., Path]
SPLIT = {"protocol": "xview", "digest": "d" * 64, "train": 1000, "test": 464, "left_out": 0}


def page(folder: Path) -> str:
    build(folder / "runs", folder / "records", folder / "boards")
    return (folder / "boards" / "nw_ucla-xview.md").read_text(encoding="utf-8")


def test_published_records_count_once_and_suffice_alone(tmp_path: Path, keep: Keep) -> None:
    path = keep()
    before = page(tmp_path)
    copied = publish(tmp_path / "runs", tmp_path / "records")
    target = tmp_path / "records" / "nw_ucla" / "xview" / "lite-supervised-joint-aaaaaaaa-seed0.json"
    assert copied.written == (target,)
    assert target.read_bytes() == path.read_bytes()
    assert page(tmp_path) == before
    path.unlink()
    assert page(tmp_path) == before


def test_publishing_twice_changes_nothing_and_another_record_needs_a_word(tmp_path: Path, keep: Keep) -> None:
    runs, records = tmp_path / "runs", tmp_path / "records"
    keep()
    assert publish(runs, records) == publish(runs, records)
    keep(top1=0.1)
    with pytest.raises(UsageError, match=r"is another record than .* --overwrite always"):
        publish(runs, records)
    (target,) = publish(runs, records, overwrite="always").written
    assert read_record(target).metrics["top1"].value == 0.1


@pytest.mark.parametrize("state", ["partial", "failed"])
def test_runs_that_are_to_be_run_again_are_not_published(tmp_path: Path, keep: Keep, state: str) -> None:
    path = keep(state=state, metrics={}, evaluated="")
    copied = publish(tmp_path / "runs", tmp_path / "records")
    assert (copied.written, copied.left) == ((), ((path, f"state {state}"),))
    with pytest.raises(UsageError, match=r"No record\.json under"):
        publish(tmp_path / "nowhere", tmp_path / "records")


def test_that_a_seed_diverged_is_published_and_keeps_its_row_from_a_rank(tmp_path: Path, keep: Keep) -> None:
    paths = [keep(seed=0), keep(seed=1), keep(seed=2, state="diverged", metrics={}, evaluated="")]
    assert len(publish(tmp_path / "runs", tmp_path / "records").written) == 3
    for path in paths:
        path.unlink()
    assert "| seed 2 diverged | aaaaaaaa |" in page(tmp_path)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"limit": 64}, "--limit 64"),
        ({"scored": "validation"}, "scored on validation"),
        ({"synthetic": {"generator": "skelbench", "seed": 0}}, "made-up recordings"),
        ({"split": {**SPLIT, "official": ["train 1,000 of 1,020: the store is partial"]}}, "train 1,000 of 1,020"),
    ],
)
def test_parts_of_the_data_and_made_up_recordings_are_published_on_demand_alone(
    tmp_path: Path, keep: Keep, changes: dict[str, object], reason: str
) -> None:
    whole, part = keep(), keep(model="posestats", **changes)
    copied = publish(tmp_path / "runs", tmp_path / "records")
    assert len(copied.written) == 1
    ((left, why),) = copied.left
    assert left == part
    assert why.startswith(reason)
    assert why.endswith("; --all takes it too")
    copied = publish(tmp_path / "runs", tmp_path / "records", which="all")
    assert (len(copied.written), copied.left) == (2, ())
    assert {path.read_bytes() for path in copied.written} == {whole.read_bytes(), part.read_bytes()}


def test_folds_and_streams_are_in_the_name_of_a_published_record(tmp_path: Path, keep: Keep) -> None:
    record = read_record(keep(fold=2, streams=["joint", "bone"], model="my/net"))
    assert str(record_path(record)) == "nw_ucla/xview/my_net-supervised-joint+bone-ffffffff-seed0-fold2.json"
