"""Functions that are made anew are the same where their code and all they are bound to are."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from pydantic import BaseModel

from skelbench.sources.alike import alike


@dataclass(frozen=True)
class Options:
    kinds: dict[str, int]


class Model(BaseModel, frozen=True):
    kinds: dict[str, int] = {}


class Parser:
    def parse(self, data: bytes) -> bytes:
        return data


def closure(*held: object) -> Callable[[], object]:
    return lambda: held


def other(*held: object) -> Callable[[], object]:
    return lambda: held


def itself() -> Callable[[], object]:
    def again() -> object:
        return again()

    return again


def unset() -> Callable[[], object]:
    found = lambda: later  # noqa: E731 - a name without a value yet is the case
    if not found:
        later = 1
    return found


PARSER, ARRAY = Parser(), np.zeros(3)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (closure(1, "a", b"b", None, (2.5, [3])), closure(1, "a", b"b", None, (2.5, [3]))),
        (closure(Options({"a": 1})), closure(Options({"a": 1}))),
        (closure(Model(kinds={"a": 1})), closure(Model(kinds={"a": 1}))),
        (closure(closure(1)), closure(closure(1))),
        (closure(ARRAY), closure(ARRAY)),
        (partial(int, base=3), partial(int, base=3)),
        (PARSER.parse, PARSER.parse),
        (len, len),
    ],
)
def test_functions_bound_to_the_same_are_alike(one: object, two: object) -> None:
    assert alike(one, two)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (closure(1), closure(2)),
        (closure(1), closure(True)),
        (closure(1), closure(1.0)),
        (closure(0.0), closure(-0.0)),
        (closure(float("nan")), closure(float("nan"))),
        (closure(1), closure(1, 1)),
        (closure("a"), closure(Path("a"))),
        (closure(1), other(1)),  # of the same words in another place
        (closure(Options({"a": 1})), closure(Options({"a": 2}))),
        (closure(Model(kinds={"a": 1})), closure(Model(kinds={"b": 1}))),
        (closure(np.zeros(3)), closure(np.zeros(3))),  # not looked into: too large perhaps
        (closure(closure(1)), closure(closure(2))),
        (partial(int, base=3), partial(int, base=4)),
        (partial(int, "3"), partial(float, "3")),
        (Parser().parse, PARSER.parse),
        (itself(), itself()),
        (unset(), unset()),
        (len, max),
    ],
)
def test_functions_that_something_tells_apart_are_not(one: object, two: object) -> None:
    assert not alike(one, two)
    assert alike(one, one)
