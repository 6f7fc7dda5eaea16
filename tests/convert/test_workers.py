"""Reading items: whatever goes wrong with one is a reject with a reason, in one process or in several."""

import logging
import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from skelbench.convert.planning import load_converter, make_plan
from skelbench.convert.staging import Chunk
from skelbench.convert.workers import Outcome, Workplace, read_item, read_items, worker_count
from skelbench.crew import crew, way_to_start
from skelbench.errors import StoreError
from skelbench.sources.source import open_source
from skelbench.store.block import samples_of
from skelbench.store.schema import Reject

NAME = "a1_s1_c1_n00001"
EXPECTED = {
    "bug": "unexpected KeyError: 'joints' (a bug in the converter 'toy', or options",
    "none": "unexpected TypeError: returned NoneType, expected a Sample (a bug in the converter 'toy', or options",
    "id": "unexpected ValueError: read the sample 'another' for the item 'a1_s1_c1_n00001' (a bug in the conv",
    "memory": "MemoryError while reading: more than this machine can take in.",
    "recursion": "RecursionError while reading: more than this machine can take in.",
    "infinite": "keypoints holds an infinite value",
    "frames": "a pose is in frame 1, expected less than n_frames = 1",
    "label": "target 'label' is 99, expected an int from -1 (unlabelled) to 3",
    "meta": "a meta column is called 'label'",
}

Read = Callable[..., list[Chunk]]


def ids_of(chunks: list[Chunk]) -> list[str]:
    return [row.sample_id for one in chunks for row in one.block.rows]


def rejects_of(chunks: list[Chunk]) -> list[Reject]:
    return [reject for one in chunks for reject in one.rejects]


@pytest.fixture
def chunks(toy: Path, raw: Path, options: Callable[[str], Path]) -> Read:
    """Read the toy set whose card has the given options, with some workers."""

    def read(lines: str, workers: int = 1) -> list[Chunk]:
        converter = load_converter(str(toy), options(f"[options]\n{lines}"))
        source = open_source([raw], max_file=converter.max_file)
        plan = make_plan(converter, source, None)
        place = Workplace(str(toy), converter.card.model_dump_json(), (raw,), (), (), converter.max_file, raw.parent)
        with crew(workers - 1) as helpers:
            return list(read_items(converter, source, plan.items, place, helpers))

    return read


@pytest.mark.parametrize("kind", EXPECTED)
def test_an_item_that_goes_wrong_is_a_reject_with_its_reason(kind: str, chunks: Read) -> None:
    rejects = rejects_of(chunks(f"fail = {{ {NAME} = '{kind}' }}"))
    assert [(reject.sample_id, reject.path) for reject in rejects] == [(NAME, f"{NAME}.json")]
    assert rejects[0].reason.startswith(EXPECTED[kind])


def test_a_large_file_that_all_items_share_does_not_part_them(
    toy: Path, raw: Path, options: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (raw / "scale.txt").write_bytes(b"2.0".ljust(100_000))
    monkeypatch.setattr("skelbench.convert.workers._CHUNK_BYTES", 200_000)
    converter = load_converter(str(toy), options(""))
    source = open_source([raw], max_file=converter.max_file)
    items = [replace(item, paths=(*item.paths, "scale.txt")) for item in make_plan(converter, source, None).items]
    place = Workplace(str(toy), converter.card.model_dump_json(), (raw,), (), (), converter.max_file, raw.parent)
    with crew(0) as helpers:
        assert [chunk.items for chunk in read_items(converter, source, items, place, helpers)] == [32, 8]


def test_numbers_of_numpy_count_as_pythons_own(chunks: Read) -> None:
    found = [sample for one in chunks(f"fail = {{ {NAME} = 'numpy' }}") for sample in samples_of(one.block)]
    (sample,) = [sample for sample in found if sample.sample_id == NAME]
    assert type(sample.n_frames) is type(sample.targets["label"]) is type(sample.meta["subject"]) is int
    assert sample.frame.dtype == np.uint32


def test_frames_below_nothing_are_refused(chunks: Read) -> None:
    (reject,) = rejects_of(chunks(f"fail = {{ {NAME} = 'negative' }}"))
    assert "frame" in reject.reason


def test_a_converter_that_fails_throughout_does_not_flood_the_log(
    chunks: Read, caplog: pytest.LogCaptureFixture
) -> None:
    names = ids_of(chunks(""))
    with caplog.at_level(logging.WARNING):
        found = chunks("[options.fail]\n" + "\n".join(f"{name} = 'bug'" for name in names))
    assert [reject.sample_id for one in found for reject in one.bugs] == names
    assert len(caplog.records) == 6
    assert "More items went wrong" in caplog.text


def test_a_bug_of_the_converter_is_logged_as_well(chunks: Read, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        chunks(f"fail = {{ {NAME} = 'bug' }}")
    assert f"{NAME}: unexpected KeyError" in caplog.text


def test_a_reason_does_not_say_where_the_raw_data_lay(chunks: Read, raw: Path) -> None:
    (raw / f"{NAME}.json").write_bytes(b"{")
    (raw / "a2_s2_c0_n00002.json").write_bytes(b" " * 200_000)
    reasons = [reject.reason for reject in rejects_of(chunks(""))]
    assert reasons[0].startswith(f"{NAME}.json: not JSON: Expecting property name")
    assert reasons[1] == "a2_s2_c0_n00002.json: 200000 bytes, expected at most 100000 (the card's max_file_mb)."


def test_every_item_says_what_it_was_read_from_shared_members_too(toy: Path, raw: Path) -> None:
    converter = load_converter(str(toy), None)
    source = open_source([raw], max_file=converter.max_file)
    for item in make_plan(converter, source, None).items:
        one: Outcome = read_item(converter, source, item)
        assert one.sample is not None
        assert set(one.digests) == {f"{one.sample.sample_id}.json", "scale.txt"}


@pytest.mark.parametrize("way", ["fork", "spawn"])
def test_several_processes_give_the_same_in_the_same_order(
    way: str, chunks: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skelbench.crew.way_to_start", lambda: way)
    monkeypatch.setattr("skelbench.convert.workers._CHUNK_ITEMS", 3)
    lines = f"fail = {{ {NAME} = 'bug', a2_s2_c0_n00002 = 'infinite' }}"
    alone, together = chunks(lines), chunks(lines, 2)
    assert len(alone) > 10
    assert ids_of(alone) == ids_of(together)
    for one, other in zip(alone, together, strict=True):
        assert (one.items, one.rejects, one.digests, one.bugs) == (
            other.items,
            other.rejects,
            other.digests,
            other.bugs,
        )


def test_no_copy_is_made_of_a_process_in_which_others_work_too(monkeypatch: pytest.MonkeyPatch) -> None:
    assert way_to_start() == "fork"
    end = threading.Event()
    other = threading.Thread(target=end.wait)
    other.start()
    try:
        assert way_to_start() == "spawn"
    finally:
        end.set()
        other.join()


def test_a_worker_that_dies_is_an_error_that_says_where_and_what_to_do(chunks: Read) -> None:
    with pytest.raises(StoreError, match=r"A worker process died while reading one of 'a0_\w+' to .*--workers 1"):
        chunks(f"fail = {{ {NAME} = 'die' }}", 2)


def test_workers_are_gone_when_reading_is_left_early(toy: Path, raw: Path, options: Callable[[str], Path]) -> None:
    converter = load_converter(str(toy), options("[options]\ndelay = 0.5"))
    source = open_source([raw], max_file=converter.max_file)
    plan = make_plan(converter, source, None)
    place = Workplace(str(toy), converter.card.model_dump_json(), (raw,), (), (), converter.max_file, raw.parent)
    started = time.monotonic()
    with crew(1) as helpers:
        read_items(converter, source, plan.items * 9, place, helpers).close()
    with suppress(KeyboardInterrupt), crew(1) as helpers:
        next(read_items(converter, source, plan.items[:2], place, helpers))
        raise KeyboardInterrupt
    assert time.monotonic() - started < 15
    assert multiprocessing.active_children() == []


def test_little_work_is_done_by_one_process_and_a_wish_is_a_command() -> None:
    assert worker_count(None, 999) == 1
    assert worker_count(None, 1000) == len(os.sched_getaffinity(0))
    assert worker_count(3, 1) == 3
