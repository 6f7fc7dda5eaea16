"""The checks that stand behind all other tests: of the types and shapes of what functions take and give."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from skelbench import crew, sample, skeletons

MODULE = """
from collections.abc import Iterator
from dataclasses import dataclass
import numpy as np
from jaxtyping import Float32

Poses = Float32[np.ndarray, "frames joints"]


@dataclass(frozen=True)
class Pair:
    first: int

    @property
    def half(self) -> int:
        return self.first / 2

    @classmethod
    def of(cls, first: int) -> "Pair":
        return cls(first)

    @staticmethod
    def twice(first: int) -> int:
        return 2 * first


def plain(count: int) -> str:
    return count and "some"


def same_frames(one: Poses, other: Float32[np.ndarray, "frames"] | None) -> Float32[np.ndarray, "joints"]:
    return one[0] if other is None or other[0] == 0 else one[:, 0]


def rows(one: Poses, other: Poses) -> Iterator[int]:
    yield from range(len(one) + len(other))


def outer(count: object) -> object:
    def inner(count: int) -> int:
        return count

    return inner(count)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Functions, loaded as those of skelbench are."""
    path = tmp_path / "functions.py"
    path.write_text(MODULE)
    loader = type(sample.__loader__)("functions", str(path))  # type: ignore[misc, call-arg]
    spec = importlib.util.spec_from_file_location("functions", path, loader=loader)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "functions", made)  # where the name of a class is looked up
    spec.loader.exec_module(made)
    return made


def floats(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


@pytest.mark.parametrize(
    "call",
    [
        lambda it: it.plain("3"),
        lambda it: it.Pair("1"),
        lambda it: it.Pair.of("1"),
        lambda it: it.Pair.twice("1"),
        lambda it: it.outer("1"),
        lambda it: it.same_frames(np.zeros((4, 3)), None),
        lambda it: it.same_frames(floats(4, 3), floats(5)),
        lambda it: it.same_frames(floats(4), None),
    ],
)
def test_an_argument_of_another_type_or_shape_is_refused(module: ModuleType, call: Callable[..., object]) -> None:
    with pytest.raises(TypeCheckError):
        call(module)


@pytest.mark.parametrize(
    "call",
    [
        lambda it: it.plain(0),
        lambda it: it.Pair(1).half,
        lambda it: it.same_frames(floats(4, 3), floats(4) + 1),
    ],
)
def test_a_result_of_another_type_or_shape_is_refused(module: ModuleType, call: Callable[..., object]) -> None:
    with pytest.raises(TypeCheckError):
        call(module)


def test_a_generator_is_checked_before_its_first_value(module: ModuleType) -> None:
    with pytest.raises(TypeCheckError):
        module.rows(floats(4, 3), floats(4, 2))


def test_what_fits_passes_and_lengths_are_bound_anew_in_every_call(module: ModuleType) -> None:
    assert module.plain(1) == "some"
    assert module.Pair.of(2).first == module.Pair.twice(1) == module.outer(2)
    assert module.same_frames(floats(4, 3), floats(4)).shape == (3,)
    assert module.same_frames(floats(5, 2), None).shape == (2,)
    assert list(module.rows(floats(4, 3), floats(4, 3))) == list(range(8))


@pytest.mark.parametrize("module", [crew, sample, skeletons])
def test_modules_of_skelbench_are_loaded_with_the_checks(module: ModuleType) -> None:
    assert callable(vars(module)["__checked__"])
