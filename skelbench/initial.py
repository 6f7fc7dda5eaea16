"""What a stage starts from: a file of weights found, read, held against the network, and loaded into it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor, nn

from skelbench.blocks import Head
from skelbench.errors import RecipeError, RunError, UsageError
from skelbench.models.checkpoint import read_authors
from skelbench.record import Init, Record, read_record
from skelbench.standing import CHECKPOINT, RECORD
from skelbench.workspace import expanded

ENCODER = "encoder."  # what the names of an encoder's weights begin with
MAX_BYTES = 8 << 30  # no network of this field is a hundredth of it


@dataclass(frozen=True)
class Source:
    """A file of weights that is there."""

    kind: Literal["run", "checkpoint", "authors"]
    given: str  # how the user named it
    path: Path
    sha256: str
    record: Record | None = None  # of the run that left it
    paired: bool = False  # whether every seed has a file of its own


@dataclass(frozen=True)
class Weights:
    """Weights by the names of a method's state, and what is known of them."""

    tensors: Mapping[str, Tensor]
    about: Mapping[
        str, str
    ]  # model, method, classes (digest), layout, streams, key; what a file does not say is missing
    init: Init


def find_source(given: str, seed: int, fold: int | None) -> Source:
    """Find the weights that `--init` names.

    Args:
        given: A run folder, its record.json, a folder of `seedN` folders, a checkpoint.safetensors of ours, or a
            checkpoint of the model's authors.
        seed: Of the run that starts from it: of a folder of seeds the same one is taken.
        fold: The same.

    Returns:
        The file, its digest, and the record beside it.

    Raises:
        UsageError: If there is nothing of the kind, or the run it names has not reached its end.
        RunError: If the record is damaged, or of other weights than lie beside it.
    """
    path = expanded(given)
    if path.name == RECORD:
        path = path.parent
    if not path.is_dir():
        return _file_source(given, path)
    folder, paired = _of_seed(path, seed, fold)
    if not (folder / RECORD).is_file():
        raise UsageError(
            f"--init {given}: holds no {RECORD}. Expected the folder of a run, of its seeds (of which seed {seed} is "
            "wanted here), or a file of weights."
        )
    record = read_record(folder / RECORD)
    if record.state != "done" or not (folder / CHECKPOINT).is_file():
        raise UsageError(f"--init {given}: the run in {folder} is {record.state} and has no {CHECKPOINT}.")
    digest = _digest(folder / CHECKPOINT)
    if digest != record.checkpoint_sha256:
        raise RunError(f"{folder / CHECKPOINT}: is not the file that the record beside it names. Run it again.")
    return Source("run", given, folder / CHECKPOINT, digest, record, paired)


def read_weights(source: Source, encoder: nn.Module) -> Weights:
    """Read a file of weights.

    Args:
        source: The file.
        encoder: Its `CHECKPOINT` says how authors' names become ours.

    Returns:
        The weights.

    Raises:
        RecipeError: If the model has no map for its authors' names.
        RunError: If the file is damaged.
    """
    init = Init(kind=source.kind, given=source.given, sha256=source.sha256)
    if source.kind == "authors":
        return _authors(source, encoder, init)
    record = source.record
    if record is not None:
        before = [name for stage in record.stages if stage.init is not None for name in stage.init.trained_on]
        trained_on = tuple(dict.fromkeys([*before, *(stage.dataset for stage in record.stages)]))
        init = init.model_copy(update={"key": record.key, "trained_on": trained_on})
    return parse_weights(source.path.read_bytes(), init, str(source.path))


def parse_weights(content: bytes, init: Init, where: str) -> Weights:
    """Read the bytes of a checkpoint of ours.

    Args:
        content: The file.
        init: What the record will say.
        where: Of the file, for messages.

    Returns:
        The weights.

    Raises:
        RunError: If it is damaged.
    """
    try:
        tensors, about = load_tensors(content), _about(content)
    except (SafetensorError, ValueError) as error:
        raise RunError(f"{where}: no readable safetensors file: {str(error)[:200]}.") from error
    if init.key is None and about.get("key"):
        init = init.model_copy(update={"key": about["key"]})
    return Weights(tensors, about, init)


def load_weights(method: nn.Module, weights: Weights, about: Mapping[str, str], head: Head) -> Init:
    """Load weights into a method.

    All of the encoder is taken over, or it is an error. All else is taken over or begins anew, as `head` says; with
    `auto` it is taken over where it is of the same method, for the same classes, and fits.

    Args:
        method: Encoder and head, built; changed in place.
        weights: What was read.
        about: What a checkpoint of this method would say of itself.
        head: `auto`, `new` or `keep`.

    Returns:
        What the record says of it.

    Raises:
        RecipeError: If the weights are of another network or layout, or the head should be kept and does not fit.
    """
    given = weights.init.given
    for what in ("model", "layout"):
        theirs = weights.about.get(what)
        if theirs is not None and theirs != about[what]:
            raise RecipeError(f"init {given}: is of the {what} '{theirs}', this stage has '{about[what]}'.")
    state = method.state_dict()
    body = {name for name in state if name.startswith(ENCODER)}
    _check_encoder({name: state[name] for name in body}, weights)
    rest = state.keys() - body
    fits = all(name in weights.tensors and weights.tensors[name].shape == state[name].shape for name in rest)
    if head == "keep" and not fits:
        raise RecipeError(f"init {given}: head = 'keep', but what is not the encoder has other names or shapes there.")
    same = all(weights.about.get(what, about[what]) == about[what] for what in ("method", "classes"))
    kept = rest if fits and (head == "keep" or (head == "auto" and same)) else set()
    method.load_state_dict({**state, **{name: weights.tensors[name] for name in body | kept}})
    return weights.init.model_copy(update={"loaded": len(body | kept), "new": tuple(sorted(rest - kept))})


def warnings(weights: Weights, about: Mapping[str, str]) -> tuple[str, ...]:
    """What people should know of weights that were loaded: other streams, or a head of unknown classes."""
    theirs, told = weights.about.get("streams"), []
    if theirs is not None and theirs != about["streams"]:
        told.append(f"init: was trained on the streams {theirs}, this stage sees {about['streams']}")
    if weights.init.kind == "authors":
        told.append("init: other people's weights; what they were trained on is not recorded in them")
    return tuple(told)


def classes_digest(classes: tuple[str, ...]) -> str:
    """SHA-256 of the names of classes in order, as checkpoints bear it."""
    return hashlib.sha256(json.dumps(list(classes), ensure_ascii=False).encode()).hexdigest()


def _check_encoder(state: Mapping[str, Tensor], weights: Weights) -> None:
    """Refuse weights that are not those of the encoder to the last tensor."""
    theirs = {name: tensor for name, tensor in weights.tensors.items() if name.startswith(ENCODER)}
    wrong = [f"lacks '{name}'" for name in sorted(state.keys() - theirs.keys())]
    wrong += [f"has '{name}', which is not in it" for name in sorted(theirs.keys() - state.keys())]
    wrong += [
        f"has '{name}' of shape {tuple(theirs[name].shape)} instead of {tuple(state[name].shape)}"
        for name in sorted(state.keys() & theirs.keys())
        if theirs[name].shape != state[name].shape
    ]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise RecipeError(
            f"init {weights.init.given}: does not fit the encoder: it {', '.join(wrong[:3])}{more}. Give model.* and "
            "data.streams the values of the run that it is from."
        )


def _file_source(given: str, path: Path) -> Source:
    """Weights named by their file."""
    if not path.is_file():
        raise UsageError(f"--init {given}: no such file or folder.")
    digest = _digest(path)
    if path.suffix != ".safetensors" or not _about(path.read_bytes()):
        return Source("authors", given, path, digest)
    source = Source("checkpoint", given, path, digest)
    if (path.parent / RECORD).is_file():
        record = read_record(path.parent / RECORD)
        if record.checkpoint_sha256 == digest:
            return replace(source, kind="run", record=record)
    return source


def _of_seed(path: Path, seed: int, fold: int | None) -> tuple[Path, bool]:
    """The folder of a seed and fold inside a folder of seeds; the folder itself where it is of one run."""
    names = [f"seed{seed}"] if fold is None else [f"seed{seed}-fold{fold}", f"seed{seed}"]
    for name in names:
        if (path / name / RECORD).is_file():
            return path / name, True
    return path, False


def _authors(source: Source, encoder: nn.Module, init: Init) -> Weights:
    """Weights of other people, under our names."""
    found = read_authors(source.path, getattr(encoder, "CHECKPOINT", {}), encoder.state_dict())
    return Weights(found.tensors, {}, init.model_copy(update={"source": found.repository}))


def _about(content: bytes) -> dict[str, str]:
    """What a safetensors file of ours says of itself; empty for one that says nothing."""
    try:
        size = int.from_bytes(content[:8], "little")
        told = json.loads(json.loads(content[8 : 8 + size]).get("__metadata__", {}).get("skelbench", "{}"))
    except (ValueError, AttributeError):
        return {}
    return {str(key): str(value) for key, value in told.items()} if isinstance(told, dict) else {}


def _digest(path: Path) -> str:
    """SHA-256 of a file of bounded size."""
    if path.stat().st_size > MAX_BYTES:
        raise UsageError(f"{path}: more than {MAX_BYTES >> 30} GiB, expected a file of weights.")
    return hashlib.sha256(path.read_bytes()).hexdigest()
