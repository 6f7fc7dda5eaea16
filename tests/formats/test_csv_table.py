import numpy as np
import pytest

from skelbench.errors import RawFormatError
from skelbench.formats import csv_table


def test_numbers_are_read_in_every_spelling() -> None:
    found = csv_table.numbers(b"\xef\xbb\xbf1,-2.5,+3e2\r\n.5, 4 ,NaN\r\n", 3, "t.txt")
    assert found[0].tolist() == [1, -2.5, 300]
    assert found[1, :2].tolist() == [0.5, 4]
    assert np.isnan(found[1, 2])


def test_what_is_written_reads_back() -> None:
    values = np.random.default_rng(0).normal(size=(4, 5)) * np.logspace(-300, 30, 5)
    values[1, 2], values[2, 0] = np.nan, -0.0
    assert csv_table.numbers(csv_table.render_numbers(values), 5, "t.txt").tobytes() == values.tobytes()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "does not end with the end of a line"),
        (b"1,2", "is it cut"),
        (b"1,2\n3\n", "line 2: 1 numbers, expected 2"),
        (b"1,2\n\n", "line 2: 1 numbers, expected 2"),
        (b"1,2,3\n", "line 1: 3 numbers, expected 2"),
        (b"1,inf\n", "holds b'inf'"),
        (b"1,1_0\n", "holds b'_'"),
        (b"\xff\xfe1,2\n", "holds b'\\\\xff\\\\xfe'"),
        (b"x,y\n1,2\n", "holds b'xy'"),
        (b"1,\n", "could not convert"),
        (b"1,1e999\n", "line 1: inf, expected what float32 can hold"),
        (b"1,-4e38\n", "line 1: -4e"),
    ],
)
def test_what_is_no_table_of_numbers_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(RawFormatError, match=rf"^t\.txt.*{words}"):
        csv_table.numbers(content, 2, "t.txt")
