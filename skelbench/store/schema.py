"""What a store consists of: its files, their arrays and columns, and `dataset.json`."""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from pydantic import BaseModel, Field, ValidationError, model_serializer, model_validator

from skelbench.card import Card, explain
from skelbench.errors import StoreError

FORMAT = 1  # the version of everything in this module; a reader refuses all others

INFO = "dataset.json"
SAMPLES = "samples.parquet"
SEGMENTS = "segments.parquet"  # untrimmed sets only
REJECTS = "rejects.parquet"
RAW = "raw.parquet"  # parts of a conversion only: the raw files read, which the whole counts once
README = "README.md"
RESERVED = frozenset({"sample_id", "scored", "n_frames", "n_poses", "offset"})  # columns that no meta may take

_MAX_INFO_BYTES = 32 << 20  # far above any card; a larger file is not read
_SHA256 = r"^[0-9a-f]{64}$"
_SHARD_FILE = r"^poses-[0-9]{3,9}\.h5$"  # a name, never a path


@dataclass(frozen=True)
class Reject:
    """A raw item that did not become a sample: one row of rejects.parquet."""

    sample_id: str  # the id it would have had; empty where it has none
    path: str  # member of the raw source, relative
    reason: str  # a sentence


class RawDigest(BaseModel, frozen=True, extra="forbid"):
    """What the store was made from, without saying where it lay."""

    files: int  # raw files read
    bytes: int  # their size together
    sha256: str  # digest over the digests of the files, in the order of their names


class Parent(BaseModel, frozen=True, extra="forbid"):
    """Another store that this one was made from."""

    name: str
    fingerprint: str


class Shard(BaseModel, frozen=True, extra="forbid"):
    """Which part of a conversion a store is, see `skelbench convert --shard`."""

    part: int = Field(ge=1)  # counted from 1, in the order of the plan
    of: int = Field(ge=1)
    request: str  # of the whole


class Origin(BaseModel, frozen=True, extra="forbid"):
    """How the store came to be; holds no date, host, path or duration."""

    converter: str  # name of the converter
    skelbench: str  # version that converted
    request: str  # digest of raw data, card and limit: the same request finds its store done
    raw: RawDigest
    planned: int  # raw items that the plan named: samples and rejects, before any limit
    limit: dict[str, Any] | None = None  # what `--limit` chose, and from what
    parents: tuple[Parent, ...] = ()
    synthetic: dict[str, Any] | None = None  # generator and seed; None for recordings
    shard: Shard | None = None  # None for the whole

    @model_serializer(mode="wrap")
    def _whole_says_nothing_of_parts(self, handler: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        """The key stands only where there is something to say, so that it changes no store that is whole."""
        return {name: value for name, value in handler(self).items() if name != "shard" or value is not None}


class ShardInfo(BaseModel, frozen=True, extra="forbid"):
    """One HDF5 file of whole samples."""

    file: str = Field(pattern=_SHARD_FILE)
    poses: int = Field(ge=0)
    samples: int = Field(ge=0)


class DatasetInfo(BaseModel, frozen=True, extra="forbid"):
    """The content of dataset.json."""

    format: int
    name: str
    card: Card
    origin: Origin
    samples: int = Field(ge=0)
    poses: int = Field(ge=0)
    frames: int = Field(ge=0)  # recorded frames, those without a pose included
    rejects: int = Field(ge=0)
    shards: tuple[ShardInfo, ...]
    files: dict[str, str]  # name -> SHA-256 of every file but this one
    fingerprint: str = Field(pattern=_SHA256)  # of the content; see fingerprint.py
    digest: str = ""  # SHA-256 of this file as written without this key

    @model_validator(mode="after")
    def _consistent(self) -> "DatasetInfo":
        """Shards add up, and the files are those that this format has."""
        for name in ("samples", "poses"):
            total = sum(getattr(shard, name) for shard in self.shards)
            if total != getattr(self, name):
                raise ValueError(f"the shards hold {total} {name}, the set {getattr(self, name)}")
        shards = [shard.file for shard in self.shards]
        if shards != [shard_file(place) for place in range(len(shards))]:
            raise ValueError(f"shards must be {shard_file(0)} and so on, found {', '.join(shards[:4])}")
        wanted = {SAMPLES, REJECTS, README, *shards, *((RAW,) if self.origin.shard else ())}
        wrong = sorted((self.files.keys() - {SEGMENTS}) ^ wanted)
        if wrong:
            raise ValueError(f"files must name every file of the store and no other, found a difference in {wrong[0]}")
        return self


def shard_file(place: int) -> str:
    """File name of a shard, counted from 0."""
    return f"poses-{place:03d}.h5"


def pose_arrays(card: Card, poses: int) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """The HDF5 datasets of a shard.

    Args:
        card: The set's card; `score` is kept where it says what a score means.
        poses: Poses in the shard.

    Returns:
        Shape and little-endian type by dataset name, in the order of writing.
    """
    joints = len(card.layout.joints)
    arrays: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {
        "keypoints": ((poses, joints, len(card.channels)), np.dtype("<f4")),
        "frame": ((poses,), np.dtype("<u4")),
        "person": ((poses,), np.dtype("<i8")),
    }
    if card.score:
        arrays["score"] = ((poses, joints), np.dtype("<f4"))
    return arrays


def pose_bytes(card: Card) -> int:
    """Bytes that one pose takes in a shard."""
    return sum(math.prod(shape) * dtype.itemsize for shape, dtype in pose_arrays(card, 1).values())


def seal(info: DatasetInfo) -> DatasetInfo:
    """Fill in the digest of dataset.json itself."""
    return info.model_copy(update={"digest": _digest(json.loads(dump_info(info)))})


def dump_info(info: DatasetInfo) -> bytes:
    """Write dataset.json: UTF-8, two spaces, keys in the order of the model, so that one content has one form.

    The keys are not sorted because the card's first target is the default one.

    Raises:
        StoreError: If the card or origin holds what JSON cannot, such as NaN.
    """
    try:
        return _text(info.model_dump(mode="json"))
    except ValueError as error:
        raise StoreError(f"{INFO}: {info.name}'s card or origin cannot be written as JSON: {error}.") from error


def read_info(folder: Path) -> DatasetInfo:
    """Read and check the dataset.json of a store.

    Args:
        folder: The store.

    Returns:
        Its content.

    Raises:
        StoreError: If there is none, it is damaged, or of another version (saying what to do).
    """
    path = folder / INFO
    if not path.is_file():
        raise StoreError(f"{folder} is not a store: it has no {INFO}. `skelbench convert` makes one.")
    if path.stat().st_size > _MAX_INFO_BYTES:
        raise StoreError(f"{path}: {path.stat().st_size} bytes, expected at most {_MAX_INFO_BYTES}. Convert again.")
    return parse_info(path.read_bytes(), str(path))


def parse_info(data: bytes, where: str) -> DatasetInfo:
    """Check the bytes of a dataset.json.

    Args:
        data: The file as it was read.
        where: Its path, for messages.

    Returns:
        Its content.

    Raises:
        StoreError: If it is not JSON, of another version, has wrong keys, or does not fit its own digest.
    """
    try:
        table = json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{where}: not JSON ({error}). Convert again.") from error
    version = table.get("format") if isinstance(table, dict) else None
    if type(version) is not int:
        raise StoreError(f"{where}: no 'format' number, so not the {INFO} of a store.")
    if version > FORMAT:
        raise StoreError(
            f"{where}: made by a newer skelbench (format {version}, this one reads {FORMAT}): upgrade skelbench."
        )
    if version < FORMAT:
        raise StoreError(
            f"{where}: made by an older skelbench (format {version}, this one reads {FORMAT}): convert again."
        )
    try:
        info = DatasetInfo.model_validate(table)
    except ValidationError as error:
        raise StoreError(f"{where}: {explain(error, DatasetInfo)} Convert again.") from error
    if info.digest != _digest(table):
        raise StoreError(f"{where}: was changed after it was written (its digest differs). Convert again.")
    return info


def in_form(data: bytes) -> bytes:
    """The same content of a dataset.json as it is written; a store from before a field existed does not get it."""
    return _text(json.loads(data))


def _digest(table: Mapping[str, Any]) -> str:
    """SHA-256 of dataset.json with an empty digest: of what is written, so that a later field changes no old store."""
    return hashlib.sha256(_text({**table, "digest": ""})).hexdigest()


def _text(table: Mapping[str, Any]) -> bytes:
    """The one form of a table, its keys in their order."""
    return (json.dumps(table, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _refuse_constant(text: str) -> NoReturn:
    """JSON has no NaN or infinity; Python's reader would take them."""
    raise ValueError(f"found {text}")
