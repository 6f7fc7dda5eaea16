from pathlib import Path
from types import ModuleType
from typing import Literal

import pytest
from torch import nn

from skelbench import registry
from skelbench.data.types import InputSpec
from skelbench.errors import RecipeError, UsageError
from skelbench.models.encoder import check_hyper_parameters, encoder_class


class Example(nn.Module):
    def __init__(
        self,
        spec: InputSpec,
        *,
        width: int,
        rate: float = 0.5,
        widths: tuple[int, ...] = (1,),
        kind: Literal["a", "b"] = "a",
        top: int | None = None,
    ) -> None:
        super().__init__()


def module(tmp_path: Path, text: str) -> ModuleType:
    path = tmp_path / "net.py"
    path.write_text(text)
    return registry.load(registry.find("models", str(path)))


def test_values_get_the_types_of_the_signature() -> None:
    given = {"width": 3, "rate": 1, "widths": [2, 3], "kind": "b", "top": 4}
    values = check_hyper_parameters(Example, given, "model")
    assert values == {"width": 3, "rate": 1.0, "widths": (2, 3), "kind": "b", "top": 4}
    assert isinstance(values["rate"], float)


def test_defaults_are_filled_in() -> None:
    values = check_hyper_parameters(Example, {"width": 1}, "model")
    assert values == {"width": 1, "rate": 0.5, "widths": (1,), "kind": "a", "top": None}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"widht": 1}, "unknown key 'model.widht' of Example. Did you mean 'width'"),
        ({}, "'model.width' of Example has no default"),
        ({"width": 1.5}, "'model.width' is 1.5: Input should be a valid integer"),
        ({"width": "1"}, "'model.width' is '1'"),
        ({"width": True}, "'model.width' is True"),
        ({"width": 1, "kind": "c"}, "'model.kind' is 'c'"),
        ({"width": 1, "widths": 3}, "'model.widths' is 3"),
        ({"width": {1}}, "not JSON serializable"),
    ],
)
def test_wrong_hyper_parameters_are_named(given: dict[str, object], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        check_hyper_parameters(Example, given, "model")


NET = "from torch import nn\nclass {}(nn.Module):\n    def __init__(self, {}):\n        super().__init__()\n"


def test_helpers_beside_the_encoder_do_not_confuse(tmp_path: Path) -> None:
    text = NET.format("Net", "spec, *, width: int = 1") + NET.format("Unit", "width") + NET.format("_Other", "spec")
    assert encoder_class(module(tmp_path, text)).__name__ == "Net"


@pytest.mark.parametrize(
    "text", [NET.format("Net", "width"), NET.format("A", "spec") + NET.format("B", "spec"), "x = 1"]
)
def test_a_file_without_one_encoder_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"net\.py: \d classes that could be the encoder .*expected one"):
        encoder_class(module(tmp_path, text))
