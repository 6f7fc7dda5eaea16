"""`--to parquet`: one row a sample, nothing lost; the rows of `--to hf` are the same."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skelbench.card import Card, TargetCard
from skelbench.export.job import Job
from skelbench.sample import Sample
from skelbench.store.reader import Store

if TYPE_CHECKING:
    import pyarrow as pa

_GROUP = 32 << 20  # bytes of poses in a row group: what a reader must take at once
_RESERVED = ("sample_id", "n_frames", "frame", "person", "keypoints", "score", "segments")


def write(job: Job) -> None:
    """Write one file; its metadata holds the card, so that the rows can be read without us.

    Args:
        job: The store.
    """
    write_rows(job.out, job.store, range(len(job.store)))
    card = job.store.card
    job.said.append(
        f"keypoints holds poses x {len(card.layout.joints)} joints x {len(card.channels)} channels "
        f"({', '.join(card.channels)}) in one list; missing is NaN."
    )


def write_rows(out: Path, store: Store, places: Sequence[int]) -> None:
    """Write some samples as the rows of one file, row group by row group.

    Args:
        out: The file.
        store: The data set.
        places: Samples, in order.
    """
    import pyarrow.parquet as pq

    schema = schema_of(store)
    floats = [f"{name}.list.element" for name in ("keypoints", "score") if name in schema.names]
    words = [name for name in schema.names if name not in _RESERVED and str(schema.field(name).type) == "string"]
    with pq.ParquetWriter(
        out,
        schema,
        compression="zstd",
        use_dictionary=words,
        use_byte_stream_split=floats,
    ) as writer:
        for table in _tables(store.samples(places), schema, store.card):
            writer.write_table(table)


def schema_of(store: Store) -> "pa.Schema":
    """Columns and their types; the card and the fingerprint are the schema's metadata.

    Args:
        store: The data set.

    Returns:
        sample_id, n_frames, the labels, the meta columns, frame, person, keypoints, and score and segments where
        the set has them.
    """
    import pyarrow as pa

    card = store.card
    fields = [pa.field("sample_id", pa.string()), pa.field("n_frames", pa.int64())]
    fields += [pa.field(name, _type_of(target)) for name, target in card.targets.items()]
    fields += [pa.field(name, kind) for name, kind in _meta_types(store).items()]
    fields += [pa.field("frame", pa.list_(_element(pa.uint32()))), pa.field("person", pa.list_(_element(pa.int64())))]
    fields += [pa.field("keypoints", pa.list_(_element(pa.float32())))]
    if card.score:
        fields += [pa.field("score", pa.list_(_element(pa.float32())))]
    if store.info.files.get("segments.parquet"):
        segment = pa.struct([("start", pa.int64()), ("end", pa.int64()), ("label", pa.int64())])
        fields += [pa.field("segments", pa.list_(_element(segment)))]
    said = {"card": card.model_dump(mode="json"), "fingerprint": store.info.fingerprint, "made by": "skelbench export"}
    return pa.schema(fields, {"skelbench": json.dumps(said, ensure_ascii=False)})


def sample_of(row: Mapping[str, Any], card: Card) -> Sample:
    """Make a sample of a row again.

    Args:
        row: As pandas, Arrow or DuckDB give it: lists or arrays by name of a column.
        card: Of the set.

    Returns:
        The sample that was written, bit for bit.
    """
    poses, joints = len(row["frame"]), len(card.layout.joints)
    score = row.get("score")
    known = {*_RESERVED, *card.targets}
    return Sample(
        sample_id=row["sample_id"],
        n_frames=int(row["n_frames"]),
        frame=np.asarray(row["frame"], np.uint32),
        person=np.asarray(row["person"], np.int64),
        keypoints=np.asarray(row["keypoints"], np.float32).reshape(poses, joints, len(card.channels)),
        score=None if score is None else np.asarray(score, np.float32).reshape(poses, joints),
        targets={
            name: tuple(map(int, row[name])) if target.kind == "multi" else row[name]
            for name, target in card.targets.items()
        },
        segments=tuple((one["start"], one["end"], one["label"]) for one in row.get("segments") or ()),
        meta={name: value for name, value in row.items() if name not in known and value is not None},
    )


def _tables(samples: Iterable[Sample], schema: "pa.Schema", card: Card) -> Iterator["pa.Table"]:
    """Rows in groups of some megabytes."""
    waiting: list[Sample] = []
    size = 0
    for sample in samples:
        waiting.append(sample)
        size += sample.keypoints.nbytes
        if size > _GROUP:
            yield _table(waiting, schema, card)
            waiting, size = [], 0
    if waiting:
        yield _table(waiting, schema, card)


def _table(samples: Sequence[Sample], schema: "pa.Schema", card: Card) -> "pa.Table":
    """Some rows; the long lists are taken over from the arrays as they are."""
    import pyarrow as pa

    columns: dict[str, Any] = {
        "sample_id": [sample.sample_id for sample in samples],
        "n_frames": [sample.n_frames for sample in samples],
        "segments": [[dict(zip(("start", "end", "label"), one, strict=True)) for one in s.segments] for s in samples],
        **{name: [_label(sample.targets[name]) for sample in samples] for name in card.targets},
    }
    arrays: list[pa.Array] = []
    for field in schema:
        if field.name in ("frame", "person", "keypoints", "score"):
            arrays.append(_lists([getattr(sample, field.name) for sample in samples], field.type))
        else:
            values = columns.get(field.name) or [sample.meta.get(field.name) for sample in samples]
            arrays.append(pa.array(values, field.type))
    return pa.table(arrays, schema=schema)


def _lists(arrays: Sequence[np.ndarray | None], kind: "pa.DataType") -> "pa.Array":
    """One list a sample; null where a sample has no such array."""
    import pyarrow as pa

    flat = [np.zeros(0, kind.value_type.to_pandas_dtype()) if array is None else array.ravel() for array in arrays]
    ends = np.cumsum([0, *map(len, flat)])
    if ends[-1] >= 1 << 31:
        return pa.array([None if array is None else array.ravel() for array in arrays], kind)
    missing = np.array([array is None for array in arrays])
    values = pa.array(np.concatenate(flat), kind.value_type)
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), values, type=kind, mask=pa.array(missing))


def _label(value: object) -> object:
    """A label as Arrow takes it."""
    return list(value) if isinstance(value, tuple) else value


def _element(kind: "pa.DataType") -> "pa.Field":
    """What a list holds, under the name that all readers know."""
    import pyarrow as pa

    return pa.field("element", kind)


def _type_of(target: TargetCard) -> "pa.DataType":
    """The type of a label's column."""
    import pyarrow as pa

    kinds = {"single": pa.int64(), "multi": pa.list_(_element(pa.int8())), "score": pa.float64()}
    return kinds[target.kind]


def _meta_types(store: Store) -> dict[str, "pa.DataType"]:
    """Types of the meta columns, as samples.parquet has them."""
    import pyarrow.parquet as pq

    own = pq.read_schema(store.path / "samples.parquet")
    skip = {"sample_id", "n_frames", "n_poses", "offset", "scored", *store.card.targets}
    return {field.name: field.type for field in own if field.name not in skip}


def pose_size(store: Store) -> int:
    """Bytes of one pose."""
    return 4 * len(store.card.layout.joints) * (len(store.card.channels) + bool(store.card.score)) + 12
