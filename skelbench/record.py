"""What a run leaves behind: every number traced to the data, the split, the recipe and the code it came from."""

import json
import math
import os
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, ValidationError

from skelbench.card import explain
from skelbench.errors import RunError
from skelbench.metrics import Metric

SCHEMA_VERSION = 1
MAX_BYTES = 16 << 20  # several times the record of 1,000 classes with its confusion matrix

Name: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Sha256: TypeAlias = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Count: TypeAlias = Annotated[int, Field(ge=0)]
Seconds: TypeAlias = Annotated[float, Field(ge=0)]

CONFIG = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class Value(BaseModel):
    """One setting, with the layer that set it and where that layer has it from."""

    model_config = CONFIG

    value: JsonValue
    """The setting itself."""
    layer: str
    """`runner`, `card`, `models/lite.toml when {...}`, `--recipe FILE` or `-o`."""
    source: str
    """Where the value comes from: a paper, code at a commit, or `ours`."""


class Init(BaseModel):
    """What a stage started from instead of random weights."""

    model_config = CONFIG

    kind: Literal["previous", "run", "checkpoint", "authors"]
    """The stage before; a run of ours by its folder, or by its file of weights alone; a file of other people's."""
    given: str
    """What was named, as it was given."""
    sha256: Sha256 | None
    """Digest of the file of weights; null where the run did not get so far."""
    key: Sha256 | None = None
    """Key of the run that left it, where that is known."""
    trained_on: tuple[Name, ...] = ()
    """Data sets that it was trained on, as far as its record says."""
    source: str = ""
    """Of other people's: the repository and commit whose names of parameters it bears."""
    loaded: Count = 0
    """Tensors that were taken over."""
    new: tuple[str, ...] = ()
    """Tensors that began anew, such as those of a head for other classes."""


class Stage(BaseModel):
    """One stage of a run, all its settings resolved."""

    model_config = CONFIG

    dataset: Name
    """Name of the data set trained on."""
    protocol: Name
    """Name of the protocol whose part was used."""
    part: Name
    """Which part of the split: `train`, or a named portion of it."""
    target: Name
    """Name of the label that was learnt."""
    labels: Annotated[float, Field(gt=0, le=1)] | None
    """Share of the labels used; null for all."""
    model: Name
    """Name of the encoder."""
    method: Name
    """Name of the training method."""
    streams: tuple[Name, ...]
    """Input streams, concatenated on the channel axis."""
    values: dict[str, Value]
    """Every setting by its dotted key, such as `optim.lr`."""
    given: dict[str, str] = {}
    """How data set, file of protocols, model, method and `init` were named, for a repetition."""
    init: Init | None = None
    """What it started from; null for random weights."""
    head: Literal["auto", "new", "keep"] = "auto"
    """Whether what is not the encoder was taken over: always, never, or where method and classes are the same."""
    freeze: tuple[str, ...] = ()
    """Patterns of the names of what was not trained."""
    split: str = ""
    """Digest of its split."""
    samples: Count | None = None
    """Samples it was trained on; null where it did not get so far."""
    epochs: Count | None = None
    """Epochs trained; null where it did not get so far."""
    checkpoint_sha256: Sha256 | None = None
    """Digest of its weights, where another stage followed."""


class DataTrail(BaseModel):
    """One data set that went into a run, back to the raw files."""

    model_config = CONFIG

    dataset: Name
    """Name of the data set."""
    fingerprint: Sha256
    """Digest of the converted content."""
    pose_source: str
    """Who or what saw the joints."""
    synthetic: dict[str, JsonValue] | None
    """Generator and seed where the recordings are made up; null for real ones."""
    raw_sha256: str
    """Digest of the raw files."""
    converter: str
    """Name of the converter."""
    limit: int | None
    """`--limit` of the conversion; null when all raw items were taken."""


class SplitTrail(BaseModel):
    """The split as it was resolved on the store."""

    model_config = CONFIG

    protocol: Name
    """Name of the protocol."""
    digest: str
    """Digest of the ids in both parts."""
    train: Count
    """Samples in the training part."""
    test: Count
    """Samples in the test part."""
    left_out: Count
    """Samples of the store in neither part."""
    official: tuple[str, ...]
    """Differences from the official counts, in words; empty when there are none."""
    folds: Count | None = None
    """Folds of the cross-validation; null where there is one fixed split."""
    carved: str = ""
    """How the part that was scored was cut out of the training part; empty where the test part was scored."""


class FusedRun(BaseModel):
    """One of the runs whose predictions were added; its seed and fold are those of the record."""

    model_config = CONFIG

    key: Sha256
    """Key of the run."""
    model: Name
    """Name of its encoder."""
    method: Name
    """Name of its training method."""
    recipe: Name
    """Name of its recipe."""
    streams: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Input streams of its one network."""
    stages: tuple[Stage, ...]
    """Its stages with every setting."""
    weight: Annotated[float, Field(ge=0)]
    """What its predictions were multiplied by."""
    alone: float | None
    """The primary metric of its predictions alone."""
    left_out: float | None
    """The primary metric of the others fused without it."""
    predictions_sha256: Sha256
    """Digest of its predictions.parquet."""
    command: str
    """The command that repeats it."""
    code_version: str = ""
    """Version of skelbench that ran it."""


class FusionControl(BaseModel):
    """Several seeds of one of the runs fused instead: what adding up predictions gives without another stream."""

    model_config = CONFIG

    key: Sha256
    """Key of the run."""
    streams: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Its input streams."""
    seeds: tuple[Count, ...]
    """The seeds that were there."""
    members: Annotated[int, Field(ge=2)]
    """How many seeds were fused at a time; as many as there are fused runs, fewer where seeds are missing."""
    value: float | None
    """The primary metric, mean over all choices of so many seeds."""


class FusionWeights(BaseModel):
    """On what learnt weights were learnt."""

    model_config = CONFIG

    predictions_sha256: tuple[Sha256, ...]
    """Digests of the predictions of the validation part, in the order of the runs."""
    evaluated: str
    """Digest of the (sample_id, target) pairs of the validation part."""
    n: Count
    """Samples in it."""
    loss: float
    """Mean loss of the fused predictions there, with the learnt weights."""
    loss_equal: float
    """The same with equal weights."""


class Fusion(BaseModel):
    """How the predictions of several runs were added up."""

    model_config = CONFIG

    by: Literal["logits", "softmax"]
    """What was added: the logits, or their softmax."""
    weights: Literal["equal", "given", "learnt"]
    """Where the weights come from."""
    runs: Annotated[tuple[FusedRun, ...], Field(min_length=2)]
    """The runs, in the order of the record's streams."""
    controls: tuple[FusionControl, ...]
    """Seeds of one run fused, for each run that has at least two."""
    learnt: FusionWeights | None
    """What the weights were learnt on; null where they were not."""


class Timing(BaseModel):
    """Wall-clock seconds of a run."""

    model_config = CONFIG

    train: Seconds
    """Training, all stages."""
    test: Seconds
    """Prediction on the test part."""
    prepare: Seconds
    """Preparing the samples; near 0 where the cache held them."""


class Record(BaseModel):
    """One run of one seed and fold: what was asked, what it was made from, what came out."""

    model_config = CONFIG

    schema_version: Literal[1] = 1
    """Version of this schema."""
    state: Literal["done", "partial", "diverged", "failed"]
    """Whether the run reached its end."""
    key: Sha256
    """Digest of the resolved stages, fingerprints and split; equal for all seeds and folds."""
    seed: Count
    """Seed of every random draw."""
    fold: Count | None
    """Fold of a cross-validation; null where there is one fixed split."""
    dataset: Name
    """Name of the data set scored on."""
    protocol: Name
    """Name of the protocol scored under."""
    evaluation: Name
    """`supervised`, `linear`, ..."""
    labels: Annotated[float, Field(gt=0, le=1)] | None
    """Share of the training labels used; null for all."""
    model: Name
    """Name of the encoder."""
    method: Name
    """Name of the training method."""
    streams: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Input streams, concatenated on the channel axis; of a fusion those of each network, joined by `+`."""
    recipe: Name
    """Name of the recipe: `default`, `small`, `reference`, ..."""
    limit: int | None = None
    """`--limit` of the run, per part; null when all samples were used."""
    scored: Literal["test", "validation"] = "test"
    """The part that was scored: `validation`, cut out of the training part, by `--tune`; that is no test result."""
    tunes: Sha256 | None = None
    """Of a run that was scored on validation: key of the same run on all training data, scored on test."""
    rules: Count = 1
    """What the same settings do: 1 until 0.1.0, 2 since the first step of a warm-up has a rate above 0."""
    stages: tuple[Stage, ...]
    """The stages in their order, the last being the one that was scored."""
    data: tuple[DataTrail, ...]
    """Every data set that the stages used."""
    split: SplitTrail
    """The split that was scored."""
    evaluated: str
    """Digest of the scored (sample_id, target) pairs; only runs of equal digest stand in one table."""
    classes: tuple[str, ...]
    """Class names in the order of the targets and logits."""
    metrics: dict[str, Metric]
    """What was measured, by name; empty where the run was not scored."""
    primary: Name
    """Name of the metric that ranks the table."""
    chance: float
    """The primary metric of a guess that knows only the classes."""
    parameters: Count
    """Trained and frozen parameters of encoder and method."""
    gflops: float | None
    """Billions of multiply-accumulates for one sample; null where not counted."""
    epochs: Count
    """Epochs trained, summed over the stages."""
    seconds: Timing
    """How long it took."""
    precision: str = "32-true"
    """Of the arithmetic in training."""
    device: str
    """What it ran on, such as `cpu` or the name of a GPU."""
    environment: dict[str, str]
    """Versions of python, torch and skelbench, threads, platform, processor."""
    code_version: str
    """Version of skelbench, with the commit where it is known."""
    command: str
    """The command that repeats the run."""
    files: dict[str, Sha256] = {}
    """Digest of every file that the command names, by its path as it was given."""
    predictions_sha256: Sha256 | None
    """Digest of predictions.parquet."""
    checkpoint_sha256: Sha256 | None
    """Digest of checkpoint.safetensors."""
    messages: tuple[str, ...]
    """Warnings and reasons, for people."""
    fusion: Fusion | None = None
    """Of a result that adds predictions of several runs; `stages` is then empty, and costs are summed over them."""

    @property
    def synthetic(self) -> bool:
        """Whether any of the data is made up."""
        return any(trail.synthetic is not None for trail in self.data)


def write_record(path: Path, record: Record) -> None:
    """Write a record: whole or not at all, the same bytes for the same record.

    Args:
        path: The file to write; what is there is replaced, missing folders are made.
        record: The record.

    Raises:
        OSError: If the disk is full or the folder cannot be written; an older record then stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, record_text(record).encode())


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or as it was before, whatever happens meanwhile.

    Args:
        path: The file, in a folder that is there.
        content: All of it.

    Raises:
        OSError: If the disk is full or the folder cannot be written.
    """
    draft = path.with_name(f".{path.name}.draft")  # the same each time: the next write takes over what a kill left
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def record_text(record: Record) -> str:
    """The JSON of a record: keys sorted, numbers exact, plain lists on one line, a newline at the end."""
    return _layout(record.model_dump(mode="json"), "") + "\n"


def read_record(path: Path) -> Record:
    """Read a record that anyone may have written.

    Args:
        path: A record.json.

    Returns:
        The record, every field checked.

    Raises:
        RunError: If the file is not a record of this version, naming the file and the first fault.
    """
    text = _read(path)
    try:
        table = json.loads(text, object_pairs_hook=_once_each, parse_constant=_not_finite, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path}: not JSON that a record may hold: {str(error)[:200]}.") from error
    version = table.get("schema_version") if isinstance(table, dict) else None
    if not isinstance(version, int) or isinstance(version, bool):
        raise RunError(f"{path}: no record: it holds no whole number 'schema_version'.")
    if version != SCHEMA_VERSION:
        advice = "Update skelbench." if version > SCHEMA_VERSION else "Run its command again."
        raise RunError(f"{path}: schema_version {version}, this skelbench reads {SCHEMA_VERSION}. {advice}")
    try:
        return Record.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise RunError(f"{path}: {explain(error, Record)}") from error


def schema_text() -> str:
    """The JSON Schema of a record, as `docs/record.schema.json` holds it."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Record.model_json_schema()}
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _read(path: Path) -> str:
    """The text of a file of bounded size."""
    try:
        if not path.is_file():
            raise RunError(f"{path}: no such file; expected a record.json.")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise RunError(f"{path}: more than {MAX_BYTES >> 20} MiB; no record is so large.")
        return content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: cannot be read: {error}.") from error


def _layout(value: Any, indent: str) -> str:
    """JSON text in which an object or a list of objects takes a line for each entry, and all else one line."""
    inner = indent + " "
    if isinstance(value, dict) and value:
        entries = [f"{inner}{_plain(key)}: {_layout(value[key], inner)}" for key in sorted(value)]
        return "{\n" + ",\n".join(entries) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(entry, dict | list) for entry in value):
        return "[\n" + ",\n".join(inner + _layout(entry, inner) for entry in value) + f"\n{indent}]"
    return _plain(value)


def _plain(value: Any) -> str:
    """JSON on one line; Python writes floats so that they read back exactly."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys must differ; JSON readers disagree on which of two would count."""
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key occurs twice in one object")
    return table


def _finite(text: str) -> float:
    """A number, unless it overflows."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:40]} is not finite")
    return number


def _not_finite(text: str) -> NoReturn:
    """NaN and Infinity are not JSON."""
    raise ValueError(f"{text} is not a number of JSON")
