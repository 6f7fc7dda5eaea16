"""dataset.json: one form for one content, and nothing else passes for it."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from skelbench.errors import StoreError
from skelbench.store.schema import INFO, ShardInfo, dump_info, parse_info, read_info
from skelbench.store.verify import verify_store


def test_dataset_json_says_all_of_the_card_and_nothing_of_the_machine(store_path: Path, tmp_path: Path) -> None:
    text = (store_path / INFO).read_text(encoding="utf-8")
    assert read_info(store_path).card.targets["label"].classes == ("walk", "sit")
    assert str(tmp_path) not in text
    assert not re.search(r"20[2-9]\d-\d\d", text)


def test_writing_what_was_read_gives_the_same_bytes(store_path: Path) -> None:
    assert dump_info(read_info(store_path)) == (store_path / INFO).read_bytes()


def test_the_first_target_stays_the_first(tmp_path: Path, make_card: Any, write: Any) -> None:
    targets = {"zeta": {"classes": ("a",)}, "alpha": {"classes": ("a",)}}
    write(tmp_path / "s", [], make_card(targets=targets))
    assert list(read_info(tmp_path / "s").card.targets) == ["zeta", "alpha"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not JSON .*Convert again"),
        (b"\xff\xfe{}", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"format": NaN}', "not JSON .found NaN"),
        (b'{"format": ' + b"9" * 5000 + b"}", "not JSON"),
        (b"[]", "no 'format' number"),
        (b'{"format": "1"}', "no 'format' number"),
        (b'{"format": true}', "no 'format' number"),
        (b'{"format": 2}', r"made by a newer skelbench \(format 2, this one reads 1\): upgrade skelbench"),
        (b'{"format": 0}', r"made by an older skelbench \(format 0, this one reads 1\): convert again"),
        (b'{"format": 1}', "the key 'name' is missing"),
    ],
)
def test_what_is_no_dataset_json_is_refused_with_its_path(data: bytes, words: str) -> None:
    with pytest.raises(StoreError, match=f"^here/dataset.json: {words}"):
        parse_info(data, "here/dataset.json")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("smaples", 4, "unknown key 'smaples'. Did you mean 'samples'"),
        ("samples", -1, "samples: Input should be greater than or equal to 0"),
        ("samples", 10**9, "the shards hold 4 samples, the set 1000000000"),
        ("poses", 11, "the shards hold 10 poses, the set 11"),
        ("fingerprint", "x", "fingerprint: String should match"),
        ("card", {}, "the key 'card.name' is missing"),
        ("shards", [{"file": "../poses-000.h5", "poses": 10, "samples": 4}], "shards.0.file: String should match"),
        ("shards", [{"file": "poses-001.h5", "poses": 10, "samples": 4}], "shards must be poses-000.h5 and so on"),
        ("files", {"../../etc/passwd": "0" * 64}, "files must name every file of the store and no other"),
        ("name", "other", "was changed after it was written"),
        ("digest", "", "was changed after it was written"),
    ],
)
def test_a_dataset_json_that_contradicts_itself_is_refused(
    store_path: Path, key: str, value: object, words: str
) -> None:
    table = json.loads((store_path / INFO).read_bytes())
    table[key] = value
    with pytest.raises(StoreError, match=re.escape(words)):
        parse_info(json.dumps(table).encode(), "here")


def test_a_folder_without_dataset_json_is_not_a_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"is not a store: it has no dataset\.json\. `skelbench convert` makes one"):
        read_info(tmp_path)


def test_a_huge_dataset_json_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / INFO).open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(StoreError, match="1099511627776 bytes, expected at most"):
        read_info(tmp_path)


def test_shards_count_on_beyond_three_digits() -> None:
    assert ShardInfo(file="poses-1000.h5", poses=0, samples=0).file == "poses-1000.h5"


def test_a_card_that_json_cannot_hold_is_refused(tmp_path: Path, make_card: Any, write: Any) -> None:
    with pytest.raises(StoreError, match="toy's card or origin cannot be written as JSON"):
        write(tmp_path / "s", [], make_card(fps=float("inf")))


def test_a_store_written_before_a_field_of_the_card_existed_is_still_whole(store_path: Path) -> None:
    table = json.loads((store_path / INFO).read_text(encoding="utf-8"))
    del table["card"]["not_kept"], table["card"]["notes"]
    text = json.dumps({**table, "digest": ""}, indent=2, ensure_ascii=False) + "\n"
    table["digest"] = hashlib.sha256(text.encode()).hexdigest()
    assert parse_info(json.dumps(table).encode(), "here").card.not_kept == ""
    (store_path / INFO).write_text(json.dumps(table, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    assert verify_store(store_path) == []
