"""The data fingerprint: a digest of what a store holds, not of how it is filed.

It covers layout, channels, units and targets, and every field of every sample in sample order. It does not
cover shards, rejects, versions or citations: the same recordings have the same fingerprint wherever and
however they were converted.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import numpy as np
from jaxtyping import Float32

from skelbench.card import Card
from skelbench.sample import Sample

_EXACT = 2**53  # integers up to here are exact as float64
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def fingerprint(card: Card, digests: Iterable[bytes]) -> str:
    """Digest the content of a whole set.

    Args:
        card: The set's card; of it only layout (joints, parents, pairs), channels, units and targets (names,
            kinds, classes) count.
        digests: `sample_digest` of every sample, in sample order.

    Returns:
        SHA-256, 64 hexadecimal digits.
    """
    layout = card.layout
    header = {
        "skelbench": "data fingerprint 1",
        "joints": layout.joints,
        "parents": layout.parents,
        "pairs": layout.pairs,
        "channels": [(channel, card.units[channel]) for channel in card.channels],
        "targets": [(name, target.kind, target.classes) for name, target in card.targets.items()],
    }
    whole = hashlib.sha256(_block(_canonical_json(header)))
    for digest in digests:
        whole.update(digest)
    return whole.hexdigest()


def sample_digest(sample: Sample) -> bytes:
    """Digest one sample.

    Every field counts, bit for bit, but for the payload of NaN. Mappings count in sorted order, and a whole
    number is the same as int and as float, since a column of Parquet has one type.

    Args:
        sample: A sample that `sample_problem` finds nothing wrong with.

    Returns:
        SHA-256, 32 bytes.
    """
    header = {
        "sample_id": sample.sample_id,
        "n_frames": sample.n_frames,
        "shape": sample.keypoints.shape,
        "score": sample.score is not None,
        "targets": {name: _number(value) for name, value in sample.targets.items()},
        "segments": sample.segments,
        "meta": {name: _number(value) for name, value in sample.meta.items()},
    }
    digest = hashlib.sha256(_block(_canonical_json(header)))
    digest.update(np.ascontiguousarray(sample.frame, "<u4").data)
    digest.update(np.ascontiguousarray(sample.person, "<i8").data)
    digest.update(one_nan(sample.keypoints).data)
    if sample.score is not None:
        digest.update(one_nan(sample.score).data)
    return digest.digest()


def one_nan(values: Float32[np.ndarray, "*axes"]) -> Float32[np.ndarray, "*axes"]:
    """The same values, contiguous and little-endian, every NaN with the same bits."""
    values = np.ascontiguousarray(values, "<f4")
    missing = np.isnan(values)
    return np.where(missing, np.float32(np.nan), values) if missing.any() else values


def _number(value: Any) -> Any:
    """A whole float as int, where that is exact; all else unchanged."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT else value


def _canonical_json(value: object) -> bytes:
    """One form for one value: sorted keys, no spaces, ASCII."""
    return _CANONICAL.encode(value).encode()


def _block(data: bytes) -> bytes:
    """Data with its length before it, so that no two headers run into what follows alike."""
    return len(data).to_bytes(8, "little") + data
