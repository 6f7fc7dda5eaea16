import tomllib

import numpy as np
import pytest

from skelbench import registry
from skelbench.card import load_card
from skelbench.errors import RawFormatError
from skelbench.formats import uav_text
from skelbench.sample import Sample
from skelbench.synthetic.raw import InMemory

PLUGIN = registry.find("converters", "uav_human")
MODULE, CARD = registry.load(PLUGIN), load_card(PLUGIN.toml)
NAME = "P000S00G10B10H10UC022000LC021000A003R0_08241716"
JOINT = "{x} {y} 0.1 0 0 {x} {y} 0 0 0 0 2"


def body(joints: int = 17, **changed: str) -> list[str]:
    rows = [JOINT.format(x=joint, y=joint + 0.5) for joint in range(joints)]
    rows[3] = changed.get("row", rows[3])
    return [changed.get("info", "000 0 0 0 0 0 0 0 0 0"), changed.get("said", str(joints)), *rows]


def text(*frames: list[list[str]], count: int | None = None) -> bytes:
    lines = [str(len(frames) if count is None else count)]
    for bodies in frames:
        lines += [str(len(bodies)), *(line for one in bodies for line in one)]
    return ("\n".join(lines) + "\n").encode()


def read(content: bytes) -> Sample:
    raw = InMemory({f"Skeleton/{NAME}.txt": content})
    (item,) = MODULE.plan(raw, CARD)
    sample = MODULE.read(raw, item, CARD)
    assert isinstance(sample, Sample)
    return sample


def test_a_clip_is_read_as_it_stands() -> None:
    sample = read(text([body()], [], [body(), body()]))
    assert (sample.sample_id, sample.n_frames) == (NAME, 3)
    assert sample.frame.tolist() == [0, 2, 2]
    assert sample.person.tolist() == [-1, -1, -1]
    assert sample.keypoints[1, 16].tolist() == [16, 16.5]
    assert sample.score is None
    assert sample.targets == {"label": 3}
    assert (sample.meta["subject"], sample.meta["gender"], sample.meta["time"]) == (0, 10, 8241716)


def test_fields_beyond_the_first_two_may_be_few_and_blanks_double() -> None:
    short = [*body()[:2], *("1.5 2e1 0  0 0 0 0" for _ in range(17))]
    assert read(text([short])).keypoints.reshape(-1, 2).tolist() == [[1.5, 20]] * 17


def test_both_ways_of_reading_numbers_agree() -> None:
    rng = np.random.default_rng(0)
    rows = [(" ".join(f"{value:.{rng.integers(1, 17)}g}" for value in rng.normal(size=7))).encode() for _ in range(500)]
    fast = uav_text._by_arrow(rows)
    assert fast is not None
    assert fast.tobytes() == uav_text._by_float(rows, list(range(500)), "").tobytes()


def test_crlf_and_a_byte_order_mark_change_nothing() -> None:
    content = text([body()], [body()])
    again = read(b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n"))
    assert again.keypoints.tobytes() == read(content).keypoints.tobytes()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "line 1: '', expected a number of frames"),
        (b"1000000000\n", "line 1: '1000000000', expected a number of frames"),
        (text([body()], count=3), "line 22: nothing, expected a number of bodies"),
        (text([body()], [], count=1), "1 lines are left over after the 1 frames"),
        (text([body(16)]), "line 4, frame 0: 16 joints, expected 17"),
        (text([body()[:-1]]), "1 lines lack"),
        (text([body(said="x")]), "line 4: 'x', expected a number of joints"),
        (text([body(row="1 2 3")]), "line 8: 3 fields, expected as many as in other lines"),
        (text([body(row="1,5 2 0 0 0 0 0 0 0 0 0 2")]), "line 8: no number"),
        (text([body(row="1_0 2 0 0 0 0 0 0 0 0 0 2")]), "line 8: no number: b'1_0 2'"),
        (text([body(row="1e39 2 0 0 0 0 0 0 0 0 0 2")]), "line 8: a coordinate that float32 cannot hold"),
        (b"1\n17\n" + b"0\n" * 40, "expected a number of bodies, at most 16"),
        (text([[*body()[:2], *("1 2" for _ in range(17))]]), "line 5: 2 fields"),
    ],
)
def test_files_that_contradict_the_format_are_refused(content: bytes, words: str) -> None:
    with pytest.raises(RawFormatError, match=f"^Skeleton/{NAME}.txt.*{words}"):
        read(content)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("0001.txt", "the competition's test files have numbers"),
        (NAME[:-1] + ".txt", "is not PpppSss"),
        (NAME.replace("A003", "A155") + ".txt", "action 155, expected 0 to 154"),
        (NAME.replace("P000", "P119") + ".txt", "subject 119, expected 0 to 118"),
    ],
)
def test_names_that_the_set_does_not_have_are_rejects(name: str, words: str) -> None:
    (item,) = MODULE.plan(InMemory({name: b""}), CARD)
    assert words in item.reject


def test_the_parts_of_both_protocols_are_all_subjects() -> None:
    protocols = tomllib.loads(registry.find("splits", "uav_human").toml.read_text())["protocols"]
    for protocol in protocols.values():
        train, test = (protocol[part]["subject"] for part in ("train", "test"))
        assert (len(train), len(test)) == (89, 30)
        assert sorted(train + test) == list(range(119))
        assert sum(protocol["official"].values()) == CARD.official.planned


def test_what_the_text_cannot_say_is_not_written() -> None:
    with pytest.raises(ValueError, match="in the order of their frames"):
        uav_text.render(uav_text.PlaneClip(2, np.array([1, 0], np.uint32), np.zeros((2, 17, 2), np.float32)))
