import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelbench.leaderboard.markdown import code, escape, plain, table, unbroken


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_no_text_leaves_its_cell_or_line(text: str) -> None:
    safe = escape(text)
    assert len(safe.splitlines()) <= 1
    assert not re.search(r"(?<!\\)(\\\\)*\|", safe)
    assert not set("<>") & set(safe)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="`a \n"))
def test_a_code_span_is_closed_by_its_own_fence_alone(text: str) -> None:
    span = code(text)
    fence = re.match("`+", span)
    assert fence is not None
    inside = span[fence.end() : -fence.end()]
    assert fence[0] not in re.findall("`+", inside)


@pytest.mark.parametrize("name", ["nw_ucla", "2s-AGCN", "joint+bone", "centre-first:1", "Kinect v2"])
def test_ordinary_names_are_left_as_they_are(name: str) -> None:
    assert escape(name) == name


def test_no_line_ends_inside_a_number_with_its_interval() -> None:
    parts = ("91.38 ± 2.33 (n = 3)", "88.81 to 93.91", "94.6 (last; cacl, Table 2)", "up to 3")
    assert [unbroken(part).replace("\u00a0", "~") for part in parts] == [
        *("91.38~±~2.33 (n~=~3)", "88.81~to~93.91", "94.6 (last; cacl, Table 2)", "up to 3")
    ]


def test_control_characters_become_blanks() -> None:
    assert plain("a\r\n\tb\x00\u202ec") == "a b c"


def test_columns_that_are_empty_in_all_rows_are_left_out() -> None:
    lines = table(["a", "b", "c"], [["1", "", "2"], ["", "", "3"]], right=frozenset({"c"}))
    assert lines == ["| a | c |", "| --- | --: |", "| 1 | 2 |", "| – | 3 |"]
    assert table(["a"], []) == []
