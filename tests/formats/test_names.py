import re

import pytest

from skelbench.formats.names import MARKER, members, numbers, stem
from skelbench.synthetic.raw import InMemory


def test_members_are_those_with_the_ending_that_an_owner_would_hand_out() -> None:
    paths = [
        "a/1.json",
        "2.JSON",
        "a/._1.json",
        "__MACOSX/a/1.json",
        ".hidden/1.json",
        "a/.x.json",
        "1.txt",
        MARKER,
        "json",
    ]
    raw = InMemory(dict.fromkeys(paths, b""))
    assert list(members(raw, ".json")) == ["2.JSON", "a/1.json"]


def test_the_stem_is_the_name_without_folder_and_extension() -> None:
    assert stem("a/b.c/d.e.json") == "d.e"


@pytest.mark.parametrize(
    ("path", "found"),
    [("x/a07.json", {"n": 7}), ("a7.json", None), ("a07.json~", None), ("xa07.json", None), ("x/a07.JSON", {"n": 7})],
)
def test_numbers_are_read_from_names_that_fit_wholly(path: str, found: dict[str, int] | None) -> None:
    assert numbers(re.compile(r"a(?P<n>\d{2})\.json"), path) == found
