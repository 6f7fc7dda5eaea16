from typing import Literal

import pytest

from skelbench.errors import RecipeError
from skelbench.steps import Span, bind, parse_step


def turn(subject: object, angle: float, around: str = "z") -> None: ...


def crop(subject: object, share: Span, frames: int | None = None) -> None: ...


def cover(subject: object, by: Literal["zero", "replay"] = "zero") -> None: ...


KNOWN = {"turn": turn, "crop": crop, "cover": cover}


def test_a_step_is_a_name_and_its_arguments() -> None:
    step = parse_step("crop:0.5-1,64")
    assert (step.name, step.arguments) == ("crop", ("0.5-1", "64"))


def test_arguments_follow_the_annotations() -> None:
    assert bind("crop:0.5-1,64", KNOWN, skip=1) == (crop, (Span(0.5, 1.0), 64))
    assert bind("crop:1", KNOWN, skip=1) == (crop, (Span(1.0, 1.0),))
    assert bind("turn:0.3,y", KNOWN, skip=1) == (turn, (0.3, "y"))
    assert bind("cover:replay", KNOWN, skip=1) == (cover, ("replay",))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("trun:1", "No step 'trun'.*Did you mean 'turn'"),
        ("turn", "0 arguments, expected angle, around"),
        ("turn:1,2,3", "3 arguments"),
        ("turn:left", "angle is 'left'"),
        ("crop:1,many", "frames is 'many'"),
        ("cover:mirror", "by is 'mirror': expected zero or replay"),
    ],
)
def test_a_wrong_step_is_refused_with_the_reason(text: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        bind(text, KNOWN, skip=1)
