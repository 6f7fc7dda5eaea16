import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from skelbench.errors import RawFormatError
from skelbench.formats.number_rows import rows, text


@settings(max_examples=50, deadline=None)
@given(values=arrays(np.float32, (3, 4), elements=st.floats(width=32, allow_infinity=False)))
def test_what_is_written_reads_back_bit_for_bit(values: np.ndarray) -> None:
    found = rows(text(values), 4, "x")
    assert np.array_equal(found, values, equal_nan=True)
    assert np.array_equal(
        np.signbit(found), np.signbit(values) & ~np.isnan(values) | np.signbit(found) & np.isnan(values)
    )


@settings(max_examples=50, deadline=None)
@given(
    values=st.lists(st.integers(-9_999_999, 9_999_999).map(lambda n: n / 1e6), min_size=6, max_size=12).filter(
        lambda v: len(v) % 3 == 0
    ),
    gap=st.sampled_from([" ", "  ", "\t"]),
    end=st.sampled_from(["\n", " \n", "\r\n", "\n ", "\n\n"]),
)
def test_six_decimals_read_as_float_reads_them(values: list[object], gap: str, end: str) -> None:
    lines = [gap.join(f"{value:.6f}" for value in values[at : at + 3]) for at in range(0, len(values), 3)]
    content = (end.replace("\n\n", "\n").join(lines) + end).encode()
    expected = [[np.float32(float(f"{value:.6f}")) for value in values[at : at + 3]] for at in range(0, len(values), 3)]
    found = rows(content, 3, "x")
    assert np.array_equal(found, np.array(expected, np.float32))
    assert np.array_equal(np.signbit(found), np.signbit(np.array(expected, np.float32)))


def test_a_negative_zero_stays_negative() -> None:
    assert np.signbit(rows(b"-0.000000 0.000000\n", 2, "x")).tolist() == [[True, False]]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "x: an empty file, expected 2 numbers"),
        (b" \n", "x: an empty file"),
        (b"1.000000 2.000000\n3.000000\n", "x, line 2: 1 numbers, expected 2; is it cut"),
        (b"1.000000 2.000000 3.000000\n4.000000\n", "x, line 1: 3 numbers, expected 2"),
        (b"1.000000 2.000000\n\n3.000000 4.000000", "x, line 2: 0 numbers"),
        (b"1.000000 a.000000\n", "x, line 1: b'a.000000', expected a finite number"),
        (b"1.000000 2.0000001.000000\n", "x, line 1: b'2.0000001.000000'"),
        (b"1.000000 1_0\n", "x, line 1: b'1_0'"),
        (b"1.000000 1e39\n", "x, line 1: b'1e39'"),
        (b"1.000000 inf\n", "x, line 1: b'inf'"),
        (b"1.000000 \xff\xfe\n", "x, line 1"),
        (b"1.000000,2.000000,\n", "x, line 1: 3 numbers"),
        (b"1.000000,\n", "x, line 1: b'', expected a finite number|x, line 1: b.n., expected a finite"),
        (b"1.000000;2.000000\n", "x, line 1: 1 numbers"),
        (b"1.000000 --2.000000\n", "x, line 1: b'--2.000000'"),
        (b"1.000000-2.000000\n", "x, line 1: 1 numbers"),
        (b"1." * 1000, "x, line 1: 2000 characters, expected 2 numbers"),
        (b"." * 100 + b"\n1 2", "x, line 1: 1 numbers"),
    ],
)
def test_what_is_no_table_of_numbers_is_refused_by_line(content: bytes, words: str) -> None:
    with pytest.raises(RawFormatError, match=words):
        rows(content, 2, "x")


@pytest.mark.parametrize(
    "content", [b"1.5,2\n3,4e0\n", b"1.5\t2\r\n3  4.\r\n", b"\xef\xbb\xbf1.500000 2.000000\n3.000000 4.000000"]
)
def test_commas_tabs_and_a_byte_order_mark_change_nothing(content: bytes) -> None:
    assert rows(content, 2, "x").tolist() == [[1.5, 2], [3, 4]]
