"""Unfinished work: whole parts or none, one writer, nothing of anybody lost."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelbench.card import Card
from skelbench.convert.staging import (
    Chunk,
    keep_only,
    locked,
    part_path,
    publish,
    read_part,
    remove,
    staged_items,
    staged_parts,
    standing,
    write_part,
)
from skelbench.errors import StoreError
from skelbench.sample import Sample, same
from skelbench.store.block import Block, block_of, samples_of
from skelbench.store.schema import Reject

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
integers = st.integers(-(2**63), 2**63 - 1)
fields = st.fixed_dictionaries(
    {
        "sample_id": texts,
        "person": integers,
        "keypoints": st.lists(st.tuples(*[st.floats(width=32, allow_infinity=False)] * 6), max_size=3),
        "scored": st.booleans(),
        "targets": st.fixed_dictionaries(
            {"label": st.integers(-1, 5), "parts": st.just((1, 0, -1)), "quality": st.floats(allow_nan=False)}
        ),
        "meta": st.dictionaries(texts, texts | integers | st.floats(allow_nan=False, allow_infinity=False)),
    }
)


def sample_from(drawn: dict[str, Any]) -> Sample:
    poses = len(drawn["keypoints"])
    return Sample(
        sample_id=drawn["sample_id"],
        n_frames=poses + 2,
        frame=np.arange(poses, dtype=np.uint32),
        person=np.full(poses, drawn["person"], np.int64),
        keypoints=np.array(drawn["keypoints"], np.float32).reshape(poses, 3, 2),
        score=np.full((poses, 3), np.nan, np.float32) if drawn["scored"] else None,
        targets=drawn["targets"],
        segments=((0, 2, 1), (1, 3, 0)),
        meta=drawn["meta"],
    )


def card() -> Card:
    """Of what `sample_from` makes."""
    layout = {"name": "three", "joints": ["a", "b", "c"], "parents": [-1, 0, 1], "pairs": [], "source": ""}
    texts = dict.fromkeys(("title", "pose_source", "licence", "obtain", "citation", "raw"), "x")
    targets = {"label": {"classes": tuple("abcdef")}, "parts": {"kind": "multi"}, "quality": {"kind": "score"}}
    pixels = {"u": "pixel", "v": "pixel"}
    numbers = {"fps": 30.0, "persons": 1, "channels": ("u", "v"), "units": pixels, "score": "x"}
    return Card.model_validate({"name": "x", "layout": layout, "targets": targets, **numbers, **texts})


NOTHING = Block((), {})
A_REJECT = Chunk(1, NOTHING, (Reject("a", "b", "c"),), {})


@settings(max_examples=50, deadline=None)
@given(drawn=st.lists(fields, max_size=4), first=st.integers(0, 4))
def test_what_is_staged_is_what_was_read(
    drawn: list[dict[str, Any]], first: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("x")
    wanted = [sample_from(one) for one in drawn]
    blocks = [block_of(some, card()) for some in (wanted[:first], wanted[first:])]
    chunks = [Chunk(len(block.rows), block, (), {row.sample_id: "00" for row in block.rows}) for block in blocks]
    part = write_part(part_path(folder, 0), [*chunks, A_REJECT])
    (again,) = staged_parts(folder)
    assert again == part
    assert again.rejects == A_REJECT.rejects
    found = [sample for block in read_part(again) for sample in samples_of(block)]
    assert len(found) == len(wanted)
    assert all(same(one, other) for one, other in zip(found, wanted, strict=True))


def three_parts(folder: Path) -> list[Path]:
    return [write_part(part_path(folder, number), [A_REJECT]).path for number in range(3)]


def test_a_part_with_another_byte_anywhere_is_none(tmp_path: Path) -> None:
    drawn = {"sample_id": "a", "person": 1, "scored": True, "meta": {}, "keypoints": [(1.0,) * 6, (2.0,) * 6]}
    labels = {"label": 1, "parts": (1, 0, -1), "quality": 0.5}
    block = block_of([sample_from({**drawn, "targets": labels})], card())
    path = write_part(part_path(tmp_path, 0), [Chunk(1, block, (), {"a": "00"})]).path
    data = path.read_bytes()
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert staged_parts(tmp_path) == []
    for end in range(len(data)):
        path.write_bytes(data[:end])
        assert staged_parts(tmp_path) == []
    path.write_bytes(data)
    assert len(staged_parts(tmp_path)) == 1


@pytest.mark.parametrize("damage", ["cut", "byte", "gone", "empty"])
def test_a_damaged_part_and_all_after_it_are_done_again(damage: str, tmp_path: Path) -> None:
    first, second, _ = three_parts(tmp_path)
    data = second.read_bytes()
    if damage == "gone":
        second.unlink()
    else:
        second.write_bytes({"cut": data[:-1], "byte": data[:9] + b"!" + data[10:], "empty": b""}[damage])
    assert [part.path for part in staged_parts(tmp_path)] == [first]
    assert list(tmp_path.glob("part-*")) == [first]


def test_a_part_that_cannot_be_finished_leaves_nothing(tmp_path: Path) -> None:
    def chunks():  # type: ignore[no-untyped-def]
        yield A_REJECT
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_part(part_path(tmp_path, 0), chunks())
    assert list(tmp_path.iterdir()) == []


def test_what_a_kill_left_half_written_is_removed(tmp_path: Path) -> None:
    (tmp_path / "part-00000.samples.tmp").write_bytes(b"half")
    assert staged_parts(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_second_writer_is_refused_and_told_who_the_first_is(tmp_path: Path) -> None:
    out = tmp_path / "new/store"
    with (
        locked(out),
        pytest.raises(StoreError, match=rf"store is being written by process {os.getpid()}\."),
        locked(out),
    ):
        pass
    with locked(out) as folder:
        remove(folder)
    assert list(out.parent.iterdir()) == []


def test_a_writer_that_was_killed_is_in_nobodys_way(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from skelbench.convert.staging import locked\n"
        "with locked(Path(sys.argv[1])): print('locked', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "x")], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(StoreError, match=f"by process {other.pid}"), locked(tmp_path / "x"):
            pass
        other.send_signal(signal.SIGKILL)
        other.wait()
        with locked(tmp_path / "x"):
            pass


@pytest.mark.parametrize("link", [False, True])
def test_files_of_the_users_own_in_the_place_of_unfinished_work_are_never_touched(link: bool, tmp_path: Path) -> None:
    mine = tmp_path / ("mine" if link else "x.partial")
    mine.mkdir()
    (mine / ("store" if link else "download.zip")).write_text("mine")
    if link:
        (tmp_path / "x.partial").symlink_to(mine)
    with pytest.raises(StoreError, match="is a link or holds other files"), locked(tmp_path / "x"):
        pass
    assert [path.read_text() for path in mine.iterdir()] == ["mine"]


def test_work_for_another_request_is_dropped(tmp_path: Path) -> None:
    with locked(tmp_path / "x") as folder:
        assert not keep_only(folder, {"request": "1"})
        three_parts(folder)
        (folder / "store").mkdir()
        assert not keep_only(folder, {"request": "1"})
        assert staged_items(tmp_path / "x") == 3 * 1024
        assert keep_only(folder, {"request": "2"})
        assert {path.name for path in folder.iterdir()} == {"lock", "request.json"}


# --- replacing ---


def a_store(folder: Path, content: str) -> Path:
    folder.mkdir(parents=True)
    for name in ("dataset.json", "samples.parquet", "poses-000.h5"):
        (folder / name).write_text(content)
    return folder


def test_a_store_is_replaced_only_by_a_whole_one(tmp_path: Path) -> None:
    out = a_store(tmp_path / "x", "old")
    with locked(out) as folder:
        publish(a_store(folder / "store", "new"), out, folder)
        assert (out / "dataset.json").read_text() == "new"
        remove(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_replacement_cut_off_between_its_two_steps_is_taken_back(tmp_path: Path) -> None:
    out = tmp_path / "x"
    a_store(tmp_path / "x.partial/replaced", "old")
    with locked(out):
        assert (out / "dataset.json").read_text() == "old"


def test_a_replacement_cut_off_after_its_two_steps_is_finished(tmp_path: Path) -> None:
    out = a_store(tmp_path / "x", "new")
    a_store(tmp_path / "x.partial/replaced", "old")
    with locked(out) as folder:
        assert (out / "dataset.json").read_text() == "new"
        assert {path.name for path in folder.iterdir()} == {"lock"}


def test_only_a_folder_with_nothing_but_a_store_in_it_counts_as_one(tmp_path: Path) -> None:
    assert standing(tmp_path / "nothing") == ("nothing", None)
    (tmp_path / "empty").mkdir()
    assert standing(tmp_path / "empty") == ("nothing", None)
    (tmp_path / "file").write_text("mine")
    assert standing(tmp_path / "file") == ("other", None)
    (tmp_path / "broken").symlink_to("nowhere")
    assert standing(tmp_path / "broken") == ("other", None)
    out = a_store(tmp_path / "x", "damaged")
    assert standing(out) == ("store", None)
    (out / "thesis.tex").write_text("mine")
    assert standing(out) == ("other", None)
