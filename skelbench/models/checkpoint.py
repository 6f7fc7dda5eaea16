"""Other people's weights: read without running their code, renamed to ours, held against the network they are for.

A model's class says under `CHECKPOINT` how names become ours: for each repository at its commit, patterns and what
takes their place, applied to every name one after the other. The results begin with `encoder.` or `head.`; a name that
becomes empty has no place in our network and is left out.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import TypeAlias

import torch
from safetensors.torch import load_file
from torch import Tensor

from skelbench.errors import RecipeError, RunError

Maps: TypeAlias = Mapping[str, Mapping[str, str]]  # repository@commit -> pattern -> what takes its place

ENCODER, HEAD = "encoder.", "head."
WRAPPED = ("state_dict", "model_state_dict", "model", "net", "weights")  # keys under which training scripts put weights
COUNTER = "num_batches_tracked"  # of a batch norm; files from before PyTorch 0.4.1 have none
SHOWN = 4  # names in a message


@dataclass(frozen=True)
class Authors:
    """Weights by the names of a method's state."""

    repository: str  # whose names they had: "owner/repository@commit"
    tensors: Mapping[str, Tensor]  # all of `encoder.*`, and `head.*` where there is one; on the CPU
    left_out: tuple[str, ...]  # their names that have no place in our network


def read_authors(path: Path, maps: Maps, encoder: Mapping[str, Tensor]) -> Authors:
    """Read a checkpoint of a model's authors.

    Args:
        path: What `torch.save` wrote of a state dict (.pt, .pth, .pkl, ...), or .safetensors. No code in it is run.
        maps: The model's `CHECKPOINT`.
        encoder: State of the encoder that the weights are for, by its own names.

    Returns:
        All of the encoder's weights in its types, and the head's as they are: whether those fit is the caller's to
        see. Weights of a pointwise convolution that serves as a head become those of a linear layer.

    Raises:
        RunError: If the file cannot be read, or holds no weights, or some that are not finite.
        RecipeError: If they are not those of the encoder: the message names what is missing, too much, or of another
            shape.
    """
    theirs = read_tensors(path)
    if not maps:
        raise RecipeError(f"{path}: the model has no CHECKPOINT that says what its authors call their weights.")
    wanted = {f"{ENCODER}{name}" for name in encoder}
    renamed = {repository: {name: rename(name, rules) for name in theirs} for repository, rules in maps.items()}
    repository = max(renamed, key=lambda one: len(wanted & set(renamed[one].values())))
    named = {ours: theirs[name] for name, ours in renamed[repository].items() if ours}
    left_out = tuple(sorted(name for name, ours in renamed[repository].items() if not ours))
    tensors = {name: tensor for name, tensor in named.items() if not name.startswith(HEAD)}
    for name, own in encoder.items():
        if name.endswith(COUNTER):
            tensors.setdefault(f"{ENCODER}{name}", own.cpu().clone())
    _check(path, repository, tensors, encoder)
    fitted = {name: tensor.to(encoder[name.removeprefix(ENCODER)].dtype) for name, tensor in tensors.items()}
    head = {name: _linear(tensor) for name, tensor in named.items() if name.startswith(HEAD)}
    return Authors(repository, {**fitted, **head}, left_out)


def rename(name: str, rules: Mapping[str, str]) -> str:
    """Our name for one of theirs: every rule in turn takes the place of what its pattern finds."""
    for pattern, place in rules.items():
        name = re.sub(pattern, place, name)
    return name


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a file, without the `module.` that a parallel training puts before their names.

    Args:
        path: The file; its state dict may be wrapped in a dict, as training scripts do.

    Returns:
        Tensors on the CPU.

    Raises:
        RunError: If it cannot be read without running code of it, or holds no tensor, or one that is not finite.
    """
    try:
        content = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except UnpicklingError as error:
        raise RunError(
            f"{path}: holds more than weights, or is no file of torch.save; it is not read, because reading it could "
            "run code of it. Load it where you trust it, and save its state_dict() with torch.save or safetensors."
        ) from error
    except Exception as error:  # what torch's readers raise for damaged bytes is of a dozen kinds
        raise RunError(
            f"{path}: cannot be read as a file of weights ({' '.join(str(error).split())[:200]})."
        ) from error
    found = _tensors(content)
    for key in WRAPPED:
        if not found and isinstance(content, Mapping):
            found = _tensors(content.get(key))
    if not found:
        raise RunError(f"{path}: holds no weights; expected a state dict, names and tensors.")
    broken = [name for name, tensor in found.items() if not bool(torch.isfinite(tensor).all())]
    if broken:
        raise RunError(f"{path}: '{broken[0]}' is not finite ({len(broken)} of {len(found)} tensors are not).")
    return {re.sub(r"^(module\.)+", "", name): tensor for name, tensor in found.items()}


def _tensors(content: object) -> dict[str, Tensor]:
    """The tensors of a mapping by name; nothing of anything else."""
    if not isinstance(content, Mapping):
        return {}
    dense = {name: value for name, value in content.items() if isinstance(value, Tensor) and not value.is_quantized}
    return {name: value for name, value in dense.items() if isinstance(name, str) and value.layout == torch.strided}


def _check(path: Path, repository: str, tensors: Mapping[str, Tensor], encoder: Mapping[str, Tensor]) -> None:
    """Refuse weights that are not those of the encoder to the last tensor."""
    wanted = {f"{ENCODER}{name}": tuple(tensor.shape) for name, tensor in encoder.items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    shapes = [
        f"{name} {found[name]} instead of {wanted[name]}"
        for name in sorted(wanted.keys() & found.keys())
        if wanted[name] != found[name]
    ]
    problems = {
        "missing": sorted(wanted.keys() - found.keys()),
        "unexpected": sorted(found.keys() - wanted.keys()),
        "of another shape": shapes,
    }
    told = [f"{len(names)} {what}: {_listed(names)}" for what, names in problems.items() if names]
    if told:
        raise RecipeError(
            f"{path}: not the weights of this encoder, by the names of {repository}. {'; '.join(told)}. Give model.*, "
            "data.streams and data.persons the values of its training, on the same joints and channels."
        )


def _listed(names: list[str]) -> str:
    """Some names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"


def _linear(tensor: Tensor) -> Tensor:
    """Weights of a linear layer from those of a pointwise convolution."""
    pointwise = tensor.ndim > 2 and all(size == 1 for size in tensor.shape[2:])
    return tensor.flatten(1) if pointwise else tensor
