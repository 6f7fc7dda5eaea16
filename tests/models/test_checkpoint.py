import re
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from skelbench.errors import RecipeError, RunError
from skelbench.models.checkpoint import read_authors, read_tensors, rename

MAPS = {
    "a/net@1": {r"^fc\.": "head.", r"^l(\d)\.": r"encoder.blocks.\1.", r"^.*\.unused$": ""},
    "b/net@2": {r"^out\.": "head.", r"^layer(\d)\.": r"encoder.blocks.\1."},
}
ENCODER = {"blocks.1.weight": torch.zeros(2, 3), "blocks.2.num_batches_tracked": torch.tensor(0)}


def weights(**more: Tensor) -> dict[str, Tensor]:
    named = {"l1.weight": torch.arange(6.0).view(2, 3), "fc.weight": torch.ones(4, 2, 1, 1), "fc.bias": torch.ones(4)}
    return {**named, **{name.replace("__", "."): value for name, value in more.items()}}


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def test_their_names_become_ours_rule_after_rule() -> None:
    rules = {"^a": "b", "b$": "c", r"(\d)": r"<\1>"}
    assert rename("a1b", rules) == "b<1>c"


def test_weights_are_found_under_the_names_of_the_repository_that_fits(tmp_path: Path) -> None:
    found = read_authors(saved(tmp_path / "w.pt", weights(l1__unused=torch.ones(2))), MAPS, ENCODER)
    assert found.repository == "a/net@1"
    assert found.left_out == ("l1.unused",)
    assert torch.equal(found.tensors["encoder.blocks.1.weight"], torch.arange(6.0).view(2, 3))
    assert found.tensors["head.weight"].shape == (4, 2)  # theirs is a pointwise convolution
    other = {"layer1.weight": torch.ones(2, 3), "out.bias": torch.ones(4)}
    assert read_authors(saved(tmp_path / "v.pt", other), MAPS, ENCODER).repository == "b/net@2"


def test_counters_that_old_files_lack_are_the_networks_own(tmp_path: Path) -> None:
    found = read_authors(saved(tmp_path / "w.pt", weights()), MAPS, ENCODER)
    assert int(found.tensors["encoder.blocks.2.num_batches_tracked"]) == 0


def test_weights_take_the_type_of_the_network(tmp_path: Path) -> None:
    half = {name: value.half() for name, value in weights().items()}
    found = read_authors(saved(tmp_path / "w.pt", half), MAPS, ENCODER)
    assert found.tensors["encoder.blocks.1.weight"].dtype == torch.float32


@pytest.mark.parametrize("wrap", [lambda state: state, lambda state: {"epoch": 3, "state_dict": state}, OrderedDict])
@pytest.mark.parametrize("prefix", ["", "module.", "module.module."])
@pytest.mark.parametrize("modern", [True, False])
def test_every_way_in_which_scripts_save_a_state_dict_is_read(tmp_path: Path, wrap, prefix: str, modern: bool) -> None:
    state = {f"{prefix}{name}": value for name, value in weights().items()}
    torch.save(wrap(state), tmp_path / "w.pkl", _use_new_zipfile_serialization=modern)
    assert read_tensors(tmp_path / "w.pkl").keys() == weights().keys()


def test_safetensors_are_read(tmp_path: Path) -> None:
    save_file(weights(), tmp_path / "w.safetensors")
    assert torch.equal(read_tensors(tmp_path / "w.safetensors")["l1.weight"], weights()["l1.weight"])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"l1.weight": torch.ones(5, 3)}, "1 of another shape: encoder.blocks.1.weight (5, 3) instead of (2, 3)"),
        ({"fc.bias": torch.ones(4)}, "1 missing: encoder.blocks.1.weight"),
        ({**weights(), "l7.bias": torch.ones(1)}, "1 unexpected: encoder.blocks.7.bias"),
        ({**weights(), **{f"x{i}": torch.ones(1) for i in range(9)}}, "9 unexpected: x0, x1, x2, x3 and 5 more"),
    ],
)
def test_weights_of_another_network_are_named(tmp_path: Path, given: dict[str, Tensor], words: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(words)):
        read_authors(saved(tmp_path / "w.pt", given), MAPS, ENCODER)


def test_a_model_without_a_map_has_no_authors(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="the model has no CHECKPOINT"):
        read_authors(saved(tmp_path / "w.pt", weights()), {}, ENCODER)


class Stranger:
    """What a pickle may hold: loading it would run code."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("touched"),))  # type: ignore[return-value]


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    torch.save({"l1.weight": Stranger()}, tmp_path / "w.pt")
    with pytest.raises(RunError, match=r"w\.pt: holds more than weights, .* run code"):
        read_tensors(tmp_path / "w.pt")
    assert not Path("touched").exists()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("w.pt", b"", "cannot be read as a file of weights"),
        ("w.pt", b"PK\x03\x04nothing", "cannot be read as a file of weights"),
        ("w.pt", b"no pickle at all", "holds more than weights, or is no file of torch.save"),
        ("w.safetensors", b"\xff" * 40, "cannot be read as a file of weights"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RunError, match=words):
        read_tensors(tmp_path / name)


@pytest.mark.parametrize("content", [{"epoch": 3}, {}, [torch.ones(1)], torch.ones(1)])
def test_a_file_without_weights_is_named(tmp_path: Path, content: object) -> None:
    with pytest.raises(RunError, match="holds no weights; expected a state dict"):
        read_tensors(saved(tmp_path / "w.pt", content))


def test_weights_that_are_not_finite_are_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"'l1.weight' is not finite \(1 of 3"):
        read_tensors(saved(tmp_path / "w.pt", weights(l1__weight=torch.tensor([[float("nan")]]))))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"w\.pt: cannot be read as a file of weights \(.*No such file"):
        read_tensors(tmp_path / "w.pt")
