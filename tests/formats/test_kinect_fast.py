"""The compiled reader of Kinect text, by itself; that it reads as the plain one does, `test_kinect_text.py` says."""

from collections.abc import Sequence

import pytest

pytest.importorskip("numba")

from skelbench.formats.kinect_fast import Scanned, scan

REST = " 4 5 6 7 0 0 0 0 2"
ID = 72057594037931101


def body(joint: str = "0.1 0.2 0.3", *, person: str = str(ID), joints: int = 25) -> list[str]:
    return [f"{person} 0 1 1 1 1 0 0.1 0.2 2", str(joints), *[joint + REST] * joints]


def text(*frames: Sequence[list[str]], end: str = "\n") -> bytes:
    lines = [str(len(frames))]
    for frame in frames:
        lines += [str(len(frame)), *(line for one in frame for line in one)]
    return end.join([*lines, ""]).encode()


def scanned(data: bytes) -> Scanned | None:
    return scan(data, data.index(b"\n") + 1, int(data.split(b"\n", 1)[0]))


@pytest.mark.parametrize(
    ("data", "left"),
    [
        (text([body()], [], [body("-0 1. .5"), body("5.99E-05 1e+5 -1.2e-07")]), 0),
        (text([body()], [body("0.1 0.1234567890123456789 nan")], end="\r\n"), 50),
        (text([body("1e-30 +1 0.9007199254740993")]), 75),
    ],
    ids=["usual", "long and missing", "beyond what is exact"],
)
def test_what_is_usual_is_taken_and_few_numbers_are_left(data: bytes, left: int) -> None:
    found = scanned(data)
    assert found is not None
    assert len(found.left) == left
    assert all(data[begin:end].split() for _, begin, end in found.left.tolist())


@pytest.mark.parametrize(
    "data",
    [
        text([body("0.1  0.2 0.3")]),
        text([body("0.1\t0.2 0.3")]),
        text([body("0.1 0.2 0.3 4")]),
        text([body()[:5] + body()[6:]]),
        text([body(person="9" * 19)]),
        text([body(person="")]),
        text([body(joints=24)]),
        text(*[[body("nan nan nan")] for _ in range(60)]),
        text([body()]) + b"0",
        text([body()]) + b"\n\x0b",
        b"2\n1\n" + b"\n".join([b"0"] * 28),
        b"1\n9" + b"\n" * 28 + b"0",
        b"1\n1\r" + b"\n" * 28 + b"0",
        b"2\n0\n",
    ],
    ids=lambda data: str(data[:24]),
)
def test_what_is_odd_is_handed_back(data: bytes) -> None:
    assert scanned(data) is None
