"""Parts of a conversion, and the whole that they make."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from skelbench.cli import cli
from skelbench.convert import MergePlan, MergeRequest, Report, Request, convert, merge, merge_plan
from skelbench.errors import StoreError, UsageError
from skelbench.store.reader import open_store
from skelbench.store.verify import verify_store

Options = Callable[[str], Path]
PARTS = 3


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture
def card(options: Options) -> Path:
    return options('[options]\nmissing = ["a0_s0_c0_n00020"]\nfail = { a1_s1_c1_n00001 = "infinite" }')


def part(toy: Path, raw: Path, card: Path, out: Path, number: int, of: int = PARTS) -> Path:
    place = out / f"{number}-of-{of}"
    convert(Request(str(toy), (raw,), place, card, shard=(number, of)))
    return place


@pytest.fixture
def parts(toy: Path, raw: Path, card: Path, tmp_path: Path) -> list[Path]:
    return [part(toy, raw, card, tmp_path / "parts", number) for number in (3, 1, 2)]


def joined(parts: list[Path], out: Path, **more: str) -> Report:
    return merge(MergeRequest("toy", tuple(parts), out, **more))  # type: ignore[arg-type]


@pytest.mark.parametrize("of", [1, 2, 7, 60])
def test_parts_put_together_are_one_conversion_byte_for_byte(
    toy: Path, raw: Path, card: Path, tmp_path: Path, of: int
) -> None:
    convert(Request(str(toy), (raw,), tmp_path / "whole", card))
    places = [part(toy, raw, card, tmp_path / "parts", number, of) for number in range(of, 0, -1)]
    for place in places:
        assert verify_store(place) == []
    report = joined(places, tmp_path / "joined")
    assert (report.samples, report.rejects) == (38, 2)
    assert files_of(tmp_path / "joined") == files_of(tmp_path / "whole")
    again = convert(Request(str(toy), (raw,), tmp_path / "joined", card))
    assert again.state == "done"
    assert joined(places, tmp_path / "joined").state == "done"


def test_a_part_says_which_it_is(parts: list[Path]) -> None:
    shards = [open_store(path).info.origin.shard for path in parts]
    assert [(shard.part, shard.of) for shard in shards if shard] == [(3, 3), (1, 3), (2, 3)]
    assert sum(len(open_store(path)) for path in parts) == 38


def test_the_parts_stay_as_they_are_and_nothing_else_is_left(parts: list[Path], tmp_path: Path) -> None:
    before = [files_of(path) for path in parts]
    joined(parts, tmp_path / "out/joined")
    assert [files_of(path) for path in parts] == before
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["joined"]


def test_missing_parts_are_named(parts: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Of 3 parts 2 are missing: 1, 2\. Name them too; .* --shard 1/3"):
        joined(parts[:1], tmp_path / "joined")


def test_a_part_that_is_given_twice_is_refused(parts: list[Path], tmp_path: Path) -> None:
    copy = shutil.copytree(parts[0], tmp_path / "copy")
    with pytest.raises(UsageError, match=r"copy is part 3 of 3, as is .*3-of-3: name one"):
        joined([*parts, copy], tmp_path / "joined")


def test_parts_of_another_cut_are_refused(toy: Path, raw: Path, card: Path, parts: list[Path], tmp_path: Path) -> None:
    other = part(toy, raw, card, tmp_path / "other", 2, 4)
    with pytest.raises(UsageError, match=r"2-of-4 is one of 4 parts, .* one of 3"):
        joined([*parts[:2], other], tmp_path / "joined")


def test_parts_of_other_raw_files_are_refused(
    toy: Path, raw: Path, card: Path, parts: list[Path], tmp_path: Path
) -> None:
    (raw / "a0_s0_c0_n99999.json").write_text('{"keypoints": []}')
    other = part(toy, raw, card, tmp_path / "other", 2)
    with pytest.raises(UsageError, match="parts of different conversions"):
        joined([*parts[:2], other], tmp_path / "joined")


def test_parts_that_read_other_bytes_of_a_shared_file_are_refused(
    toy: Path, raw: Path, card: Path, parts: list[Path], tmp_path: Path
) -> None:
    (raw / "scale.txt").write_bytes(b"3.0")  # of the same size: no listing shows it
    other = part(toy, raw, card, tmp_path / "other", 2)
    with pytest.raises(StoreError, match=r"read other bytes of scale\.txt"):
        joined([*parts[:2], other], tmp_path / "joined")


def test_a_whole_store_is_no_part(toy: Path, raw: Path, card: Path, tmp_path: Path) -> None:
    convert(Request(str(toy), (raw,), tmp_path / "whole", card))
    with pytest.raises(UsageError, match="whole is a whole store, no part of one"):
        joined([tmp_path / "whole"], tmp_path / "joined")


def test_parts_of_another_converter_are_refused(parts: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="was made by the converter 'toy', not by 'ntu60'"):
        merge(MergeRequest("ntu60", tuple(parts), tmp_path / "joined"))


def test_a_folder_that_is_no_store_is_no_part(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is not a store"):
        joined([tmp_path], tmp_path / "joined")


def test_a_part_that_is_not_there_is_an_error_of_the_command(parts: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="gone is not there; --merge joins parts"):
        joined([*parts, tmp_path / "gone"], tmp_path / "joined")


def test_a_damaged_part_is_named_and_nothing_is_made(parts: list[Path], tmp_path: Path) -> None:
    with (parts[1] / "poses-000.h5").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x07")
    with pytest.raises(StoreError, match=r"1-of-3/poses-000\.h5: was changed .* Convert this part again"):
        joined(parts, tmp_path / "joined")
    assert not (tmp_path / "joined").exists()


def test_another_store_in_the_place_is_not_lost(
    toy: Path, raw: Path, card: Path, parts: list[Path], tmp_path: Path
) -> None:
    convert(Request(str(toy), (raw,), tmp_path / "joined", card, limit=3))
    with pytest.raises(UsageError, match="--overwrite always"):
        joined(parts, tmp_path / "joined")
    assert joined(parts, tmp_path / "joined", overwrite="always").samples == 38


@pytest.mark.parametrize("shard", [(0, 3), (4, 3), (-1, 2)])
def test_a_part_that_there_is_not_is_refused(toy: Path, raw: Path, tmp_path: Path, shard: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="--shard is "):
        convert(Request(str(toy), (raw,), tmp_path / "part", shard=shard))


def plan(parts: list[Path], out: Path | None, **more: str) -> MergePlan:
    return merge_plan(MergeRequest("toy", tuple(parts), out, **more))  # type: ignore[arg-type]


def test_a_dry_run_says_what_would_be_joined_and_writes_nothing(parts: list[Path], tmp_path: Path) -> None:
    found = plan(parts, tmp_path / "out/joined")
    assert (found.state, found.problem, found.missing) == ("new", None, ())
    assert [(one.part, one.of) for one in found.parts] == [(1, 3), (2, 3), (3, 3)]
    said = found.as_json()
    assert (said["samples"], said["rejects"]) == (38, 2)
    assert said["bytes"] == sum(len(data) for path in parts for data in files_of(path).values())
    assert not (tmp_path / "out").exists()
    joined(parts, tmp_path / "out/joined")
    assert plan(parts, tmp_path / "out/joined").state == "done: this very store is there"


def test_a_dry_run_ends_as_the_merge_would(toy: Path, raw: Path, card: Path, parts: list[Path], tmp_path: Path) -> None:
    copy = shutil.copytree(parts[0], tmp_path / "copy")
    cut = part(toy, raw, card, tmp_path / "other", 2, 4)
    convert(Request(str(toy), (raw,), tmp_path / "whole", card))
    convert(Request(str(toy), (raw,), tmp_path / "taken", card, limit=3))
    (raw / "scale.txt").write_bytes(b"3.0")
    bytes_of = part(toy, raw, card, tmp_path / "bytes", 2)
    broken = shutil.copytree(parts[2], tmp_path / "broken")
    (broken / "poses-000.h5").unlink()
    for given, out in (
        (parts[:1], "joined"),
        ([*parts, copy], "joined"),
        ([*parts[:2], cut], "joined"),
        ([tmp_path / "whole"], "joined"),
        ([*parts[:2], bytes_of], "joined"),
        ([*parts[:2], broken], "joined"),
        ([tmp_path], "joined"),
        (parts, "taken"),
    ):
        found = plan(given, tmp_path / out)
        with pytest.raises((UsageError, StoreError)) as real:
            joined(given, tmp_path / out)
        assert type(found.problem) is type(real.value)
        assert str(found.problem) == str(real.value)
    assert plan(parts[:1], tmp_path / "joined").missing == (1, 2)


def test_parts_that_nobody_names_are_those_in_the_data_folder(
    toy: Path, raw: Path, card: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKELBENCH_DATA", str(tmp_path / "data"))
    with pytest.raises(UsageError, match=r"there is none of 'toy' in .*data: make them by `convert --shard i/n`"):
        merge(MergeRequest("toy"))
    for number in (1, 2):
        convert(Request(str(toy), (raw,), tmp_path / f"data/toy.{number}-of-2", card, shard=(number, 2)))
    assert merge(MergeRequest("toy")).samples == 38


def test_the_command_lists_the_parts_and_fails_where_one_is_missing(parts: list[Path], tmp_path: Path) -> None:
    names = [str(path) for path in parts]
    run = CliRunner()
    whole = run.invoke(cli, ["convert", "toy", "--merge", *names, "--out", str(tmp_path / "joined"), "--dry-run"])
    assert whole.exit_code == 0, whole.output
    assert "1 of 3" in whole.output
    assert "(new)" in whole.output
    less = run.invoke(cli, ["convert", "toy", "--merge", *names[:2], "--dry-run"])
    assert isinstance(less.exception, UsageError)
    assert "missing" in less.output
    document = run.invoke(cli, ["convert", "toy", "--merge", *names[:2], "--dry-run", "--json"])
    assert json.loads(document.output)["missing"] == [2]
