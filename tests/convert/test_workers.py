"""Reading items: whatever goes wrong with one is a reject with a reason, in one process or in several."""

import logging
import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from skelbench.convert.planning import load_converter, make_plan
from skelbench.convert.staging import Outcome
from skelbench.convert.workers import Workplace, read_items, worker_count
from skelbench.errors import StoreError
from skelbench.sources.source import open_source

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

Read = Callable[..., list[Outcome]]


@pytest.fixture
def outcomes(toy: Path, raw: Path, options: Callable[[str], Path]) -> Read:
    """Read the toy set whose card has the given options, with some workers."""

    def read(lines: str, workers: int = 1) -> list[Outcome]:
        converter = load_converter(str(toy), options(f"[options]\n{lines}"))
        source = open_source([raw], max_file=converter.max_file)
        plan = make_plan(converter, source, None)
        place = Workplace(str(toy), converter.card.model_dump_json(), (raw,), (), (), converter.max_file)
        return list(read_items(converter, source, plan.items, place, workers=workers))

    return read


@pytest.mark.parametrize("kind", EXPECTED)
def test_an_item_that_goes_wrong_is_a_reject_with_its_reason(kind: str, outcomes: Read) -> None:
    rejects = [one.reject for one in outcomes(f"fail = {{ {NAME} = '{kind}' }}") if one.reject]
    assert [(reject.sample_id, reject.path) for reject in rejects] == [(NAME, f"{NAME}.json")]
    assert rejects[0].reason.startswith(EXPECTED[kind])


def test_numbers_of_numpy_count_as_pythons_own(outcomes: Read) -> None:
    (sample,) = [one.sample for one in outcomes(f"fail = {{ {NAME} = 'numpy' }}") if one.sample.sample_id == NAME]
    assert type(sample.n_frames) is type(sample.targets["label"]) is type(sample.meta["subject"]) is int
    assert sample.frame.dtype == np.uint32


def test_frames_below_nothing_are_refused(outcomes: Read) -> None:
    (reject,) = [one.reject for one in outcomes(f"fail = {{ {NAME} = 'negative' }}") if one.reject]
    assert "frame" in reject.reason


def test_a_converter_that_fails_throughout_does_not_flood_the_log(
    outcomes: Read, caplog: pytest.LogCaptureFixture
) -> None:
    names = [one.sample.sample_id for one in outcomes("") if one.sample]
    with caplog.at_level(logging.WARNING):
        assert all(one.bug for one in outcomes("[options.fail]\n" + "\n".join(f"{name} = 'bug'" for name in names)))
    assert len(caplog.records) == 6
    assert "More items went wrong" in caplog.text


def test_a_bug_of_the_converter_is_logged_as_well(outcomes: Read, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        outcomes(f"fail = {{ {NAME} = 'bug' }}")
    assert f"{NAME}: unexpected KeyError" in caplog.text


def test_a_reason_does_not_say_where_the_raw_data_lay(outcomes: Read, raw: Path) -> None:
    (raw / f"{NAME}.json").write_bytes(b"{")
    (raw / "a2_s2_c0_n00002.json").write_bytes(b" " * 200_000)
    reasons = [one.reject.reason for one in outcomes("") if one.reject]
    assert reasons[0].startswith(f"{NAME}.json: not JSON: Expecting property name")
    assert reasons[1] == "a2_s2_c0_n00002.json: 200000 bytes, expected at most 100000 (the card's max_file_mb)."


def test_every_item_says_what_it_was_read_from_shared_members_too(outcomes: Read) -> None:
    for one in outcomes(""):
        assert one.sample is not None
        assert set(one.digests) == {f"{one.sample.sample_id}.json", "scale.txt"}


def test_several_workers_give_the_same_in_the_same_order(outcomes: Read) -> None:
    lines = f"fail = {{ {NAME} = 'bug', a2_s2_c0_n00002 = 'infinite' }}"
    alone, together = outcomes(lines), outcomes(lines, 2)
    assert [one.reject for one in alone] == [one.reject for one in together]
    assert [one.digests for one in alone] == [one.digests for one in together]
    assert [one.sample and one.sample.sample_id for one in alone] == [
        one.sample and one.sample.sample_id for one in together
    ]


def test_a_worker_that_dies_is_an_error_that_says_where_and_what_to_do(outcomes: Read) -> None:
    with pytest.raises(StoreError, match=r"A worker process died while reading one of 'a0_\w+' to .*--workers 1"):
        outcomes(f"fail = {{ {NAME} = 'die' }}", 2)


def test_workers_are_gone_when_reading_is_left_early(toy: Path, raw: Path, options: Callable[[str], Path]) -> None:
    converter = load_converter(str(toy), options("[options]\ndelay = 0.5"))
    source = open_source([raw], max_file=converter.max_file)
    plan = make_plan(converter, source, None)
    place = Workplace(str(toy), converter.card.model_dump_json(), (raw,), (), (), converter.max_file)
    reading = read_items(converter, source, plan.items * 9, place, workers=2)
    started = time.monotonic()
    reading.close()
    reading = read_items(converter, source, plan.items[:2], place, workers=2)
    next(reading)
    reading.close()
    assert time.monotonic() - started < 15
    assert multiprocessing.active_children() == []


def test_little_work_is_done_by_one_process_and_a_wish_is_a_command() -> None:
    assert worker_count(None, 999) == 1
    assert worker_count(None, 1000) == len(os.sched_getaffinity(0))
    assert worker_count(3, 1) == 3
