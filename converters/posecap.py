"""PoseCap, privately held: LCR-Net's poses, labels, captions, and vectors computed before, in a form of ours."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from skelbench.card import Card
from skelbench.errors import RawFormatError
from skelbench.formats import label_json, lcrnet_set, names, numpy_files, pose_files, strict_json
from skelbench.formats.label_json import Labels
from skelbench.raw import Feature, RawItem, RawSource
from skelbench.sample import MetaValue, Sample

NAME = re.compile(r"[\w-][\w.-]{0,199}\.json", re.ASCII)
VECTORS = re.compile(r"(?:.*/)?embeddings/(?P<name>[A-Za-z0-9][A-Za-z0-9_-]{0,99})\.npz", re.ASCII | re.DOTALL)
CAPTIONS = "captions"
_SURROGATE = re.compile("[\ud800-\udfff]")

refine = lcrnet_set.with_classes
read, write, settle = pose_files.read, pose_files.write, pose_files.settle


def plan(raw: RawSource, card: Card) -> Iterator[RawItem]:
    """Name the clips of a source, and those that its label files list without one.

    Args:
        raw: A folder or archive of `posecap_train/*.json`, `posecap_val/*.json`, perhaps `posecap_*_label.json`.
        card: Of the set.

    Yields:
        One item a clip. Rejects are clips with a name that is no id, of no known part, or listed as without a
        skeleton, and entries of a label file whose clip is missing.

    Raises:
        RawFormatError: If a label file is damaged.
    """
    listed = label_json.read(raw, card.options["prefix"])
    captions = label_json.find(raw, card.options["prefix"], CAPTIONS).values()
    yield from lcrnet_set.plan(raw, listed, lambda path: (names.stem(path), _item(path, listed, card)), captions)


def features(raw: RawSource, card: Card) -> Iterator[Feature]:
    """The captions, and the vectors of `embeddings/NAME.npz`.

    Args:
        raw: The source.
        card: Of the set.

    Yields:
        One table for the captions of all parts, one for each file of vectors.

    Raises:
        RawFormatError: If a file is not what the format says.
    """
    texts: dict[str, str] = {}
    for path in label_json.find(raw, card.options["prefix"], CAPTIONS).values():
        texts |= _captions(raw.read(path), raw.where(path))
    if texts:
        yield Feature(CAPTIONS, tuple(texts), tuple(texts.values()), "captions among the raw data")
    for path in raw.paths:
        match = VECTORS.fullmatch(f"./{path}")
        if match and "__MACOSX" not in path:
            yield _vectors(match["name"], raw.read(path), raw.where(path))


def write_shared(samples: Iterable[Sample], card: Card) -> Iterator[tuple[str, bytes]]:
    """Write the label files and captions of all parts, and a file of vectors: numbers of the labels, no meaning.

    Args:
        samples: Of the set, without their poses.
        card: Of the set.

    Yields:
        Paths and contents.
    """
    ids, vectors = list[str](), list[list[float]]()
    for path, entries, content in lcrnet_set.write_labels(samples, card, lambda sample: sample.sample_id):
        yield f"{path}_label.json", content
        captions = {name: {"text": f"A person performs the action {entry.index}."} for name, entry in entries}
        yield f"{path}_{CAPTIONS}.json", json.dumps(captions, indent=0).encode("ascii")
        ids += [name for name, _ in entries]
        vectors += [[entry.index / 2**power % 1 for power in range(1, 9)] for _, entry in entries]
    if ids:
        arrays = {"ids": np.array(ids), "values": np.array(vectors, np.float32)}
        yield f"{card.options['folder']}/embeddings/made.npz", numpy_files.render_npz(arrays)


def _item(path: str, listed: Mapping[str, Labels], card: Card) -> RawItem:
    """One clip, with what its name and the label files say."""
    sample_id = names.stem(path)
    if not NAME.fullmatch(names.file_name(path)):
        return RawItem(sample_id, (path,), reject=f"the name '{sample_id}' is not of letters, digits, '_', '-' and '.'")
    part = label_json.part_of(path, sample_id, listed)
    if not part:
        return RawItem(sample_id, (path,), reject="neither in a folder *_train or *_val, nor in a label file")
    meta: dict[str, MetaValue] = {"part": part, "take": sample_id}
    entry = listed[part].entries.get(sample_id) if part in listed else None
    if entry is None:
        return RawItem(sample_id, (path,), {**meta, "label": -1})
    return RawItem(sample_id, (path,), {**meta, "label": entry.index}, lcrnet_set.problem(entry, card))


def _captions(data: bytes, where: str) -> dict[str, str]:
    """The texts of a file of captions."""
    found = {}
    for sample_id, entry in strict_json.load(label_json.plain(data, where), where).items():
        if not isinstance(entry, dict) or not isinstance(entry.get("text"), str):
            raise RawFormatError(f"{where}, '{sample_id[:40]}': no 'text', expected an object with one.")
        if _SURROGATE.search(sample_id + entry["text"]):
            raise RawFormatError(f"{where}: a text holds half a character (a lone surrogate), expected Unicode.")
        found[sample_id] = entry["text"]
    return found


def _vectors(name: str, data: bytes, where: str) -> Feature:
    """The vectors of one file."""
    arrays = numpy_files.npz(data, where)
    ids, values = arrays.get("ids"), arrays.get("values")
    if ids is None or values is None or ids.ndim != 1 or ids.dtype.kind != "U" or values.ndim != 2:
        raise RawFormatError(f"{where}: expected the arrays 'ids' (samples) of text and 'values' (samples, features).")
    if values.dtype.kind != "f" or len(ids) != len(values) or not values.shape[1] or len(set(ids.tolist())) < len(ids):
        raise RawFormatError(
            f"{where}: {len(ids)} ids for values of {values.dtype} {values.shape}; expected one id each, none twice."
        )
    if np.isinf(values).any():
        raise RawFormatError(f"{where}: 'values' holds an infinite number.")
    return Feature(name, tuple(ids.tolist()), values.astype(np.float32), f"embeddings/{name}.npz among the raw data")
