"""What a store's recordings are like, measured in one pass: lengths, persons, missing joints, sizes of people."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from skelbench.card import Card
from skelbench.crew import Crew, work_through
from skelbench.sample import Sample
from skelbench.store.fingerprint import one_nan
from skelbench.store.reader import open_store

TENTHS = 10  # parts of a clip's time in which missing joints are counted
GONE = (0.0, 0.1, 0.25, 0.5, 1.0)  # shares of missing joints up to which frames are counted together; the last: not all
METRES = {"metre": 1.0, "centimetre": 0.01, "millimetre": 0.001}  # of a unit
_LOOKED_AT = 64  # poses of a sample whose size is measured
_AT_ONCE = 500  # samples


@dataclass(frozen=True, eq=False)
class Survey:
    """Measures of samples in a row; S of them, with V joints."""

    content: tuple[bytes, ...]  # (S,) digest of the poses alone: equal for two ids of one recording; empty without any
    persons: Counter[int]  # people in a frame -> frames
    crowd: np.ndarray  # (S,) most people in a frame
    twice: np.ndarray  # (S,) whether one person stands twice in a frame
    missing: np.ndarray  # (S, V) poses in which a joint is missing: no channel says where it is
    silent: np.ndarray  # (S, C) joints that are there without this channel, such as a detector's that gave no depth
    tenths: np.ndarray  # (TENTHS, 2) joints missing, and joints, by when in the clip
    frames: np.ndarray  # (len(GONE) + 1,) frames with people by the share of their joints that is missing; last: all
    zeros: np.ndarray  # (S,) joints that lie at exactly zero on every axis
    size: np.ndarray  # (S,) median over poses of a person's longest extent in space, in the card's unit; NaN unknown
    image_size: np.ndarray  # (S,) the same in the image
    outside: np.ndarray  # (S,) share of joints that lie outside the image; NaN where its size is not known


def survey(path: Path, helpers: Crew | None = None, progress: Callable[[int], None] = lambda _: None) -> Survey:
    """Measure every sample of a store; memory grows by a row for each.

    Args:
        path: The store.
        helpers: Other processes, which then measure parts of it.
        progress: Called with the number of samples measured since the last call.

    Returns:
        The measures, in the order of the samples.

    Raises:
        StoreError: If a file is damaged.
    """
    count = len(open_store(path))
    pieces = [range(start, min(start + _AT_ONCE, count)) for start in range(0, count, _AT_ONCE)]
    here = partial(_measure, path)
    if helpers is None or helpers.count == 0 or len(pieces) < 2:
        found: Iterator[Survey] = map(here, pieces)
    else:
        found = work_through(iter(pieces), here, here, helpers)
    parts = []
    for part in found:
        parts.append(part)
        progress(len(part.content))
    return _joined(parts or [here(range(0))])


def _joined(parts: list[Survey]) -> Survey:
    """Measures of parts, end to end."""

    def rows(name: str) -> np.ndarray:
        """One measure of all."""
        return np.concatenate([getattr(part, name) for part in parts])

    return Survey(
        content=tuple(digest for part in parts for digest in part.content),
        persons=sum((part.persons for part in parts), Counter()),
        crowd=rows("crowd"),
        twice=rows("twice"),
        missing=rows("missing"),
        silent=rows("silent"),
        tenths=np.sum([part.tenths for part in parts], axis=0),
        frames=np.sum([part.frames for part in parts], axis=0),
        zeros=rows("zeros"),
        size=rows("size"),
        image_size=rows("image_size"),
        outside=rows("outside"),
    )


def _measure(path: Path, places: range) -> Survey:
    """Measure some samples."""
    store = open_store(path)
    card, count = store.card, len(places)
    made = Survey(
        content=(),
        persons=Counter(),
        crowd=np.zeros(count, np.int64),
        twice=np.zeros(count, bool),
        missing=np.zeros((count, len(card.layout.joints)), np.int64),
        silent=np.zeros((count, len(card.channels)), np.int64),
        tenths=np.zeros((TENTHS, 2), np.int64),
        frames=np.zeros(len(GONE) + 1, np.int64),
        zeros=np.zeros(count, np.int64),
        size=np.full(count, np.nan),
        image_size=np.full(count, np.nan),
        outside=np.full(count, np.nan),
    )
    digests = []
    for row, sample in enumerate(store.samples(places)):
        unknown = [np.isnan(sample.keypoints[..., channel]) for channel in range(len(card.channels))]
        missing = np.logical_and.reduce(unknown)  # eight times as fast as all(-1)
        made.silent[row] = [np.count_nonzero(one) - np.count_nonzero(missing) for one in unknown]
        _count_persons(made, row, sample)
        _count_missing(made, row, sample, missing)
        _measure_people(made, row, sample, missing, card)
        digests.append(_content(sample))
    return Survey(**{**vars(made), "content": tuple(digests)})


def _count_persons(made: Survey, row: int, sample: Sample) -> None:
    """People by frame; a claim of many frames costs nothing."""
    _, counts = np.unique(sample.frame, return_counts=True)
    made.persons.update(dict(zip(*(part.tolist() for part in np.unique(counts, return_counts=True)), strict=True)))
    if sample.n_frames > len(counts):
        made.persons[0] += sample.n_frames - len(counts)
    made.crowd[row] = counts.max(initial=0)
    known = sample.person >= 0
    pairs = np.stack([sample.frame[known].astype(np.int64), sample.person[known]], 1)
    made.twice[row] = len(np.unique(pairs, axis=0)) < len(pairs) if len(pairs) > 1 else False


def _count_missing(made: Survey, row: int, sample: Sample, missing: np.ndarray) -> None:
    """Missing joints by joint, frame and time in the clip; joints at zero, which some sources write for such."""
    made.missing[row] = missing.sum(0)
    gone = missing.sum(1)
    _, at, counts = np.unique(sample.frame, return_inverse=True, return_counts=True)
    share = np.bincount(at, gone, len(counts)) / (counts * missing.shape[1])
    kinds = np.where(share == 1, len(GONE), np.searchsorted(GONE, share))  # the first limit that is not below it
    made.frames[:] += np.bincount(kinds, minlength=len(GONE) + 1)
    tenth = sample.frame.astype(np.int64) * TENTHS // max(sample.n_frames, 1)
    made.tenths[:, 0] += np.bincount(tenth, gone, TENTHS).astype(np.int64)
    made.tenths[:, 1] += np.bincount(tenth, minlength=TENTHS) * missing.shape[1]
    made.zeros[row] = int((sample.keypoints == 0).all(-1).sum())


def _measure_people(made: Survey, row: int, sample: Sample, missing: np.ndarray, card: Card) -> None:
    """How large people are, from some poses of which at least half of the joints are known."""
    whole = np.flatnonzero(2 * missing.sum(1) <= missing.shape[1])
    some = whole[:: max(1, len(whole) // _LOOKED_AT)][:_LOOKED_AT]
    if not len(some):
        return
    poses, gone = sample.keypoints[some].astype(np.float64), missing[some]
    for sizes, axes in ((made.size, "xyz"), (made.image_size, "uv")):
        places = [place for place, channel in enumerate(card.channels) if channel in axes]
        if places:
            sizes[row] = _extent(poses[..., places])
    made.outside[row] = _outside(sample, poses, gone, card)


def _extent(poses: np.ndarray) -> float:
    """Median over poses of the longest extent of a person; NaN where none has two joints on these axes."""
    known = ~np.isnan(poses).any(-1)
    poses, known = poses[2 * known.sum(1) >= known.shape[1]], known[2 * known.sum(1) >= known.shape[1]]
    if not len(poses):
        return float("nan")
    far = np.where(known[..., None], poses, -np.inf).max(1) - np.where(known[..., None], poses, np.inf).min(1)
    return float(np.median(far.max(-1)))


def _outside(sample: Sample, poses: np.ndarray, gone: np.ndarray, card: Card) -> float:
    """Share of joints that lie outside the image; NaN where there is none, or nobody says how large it is."""
    sides = []
    for channel, column in (("u", "width"), ("v", "height")):
        side = 1.0 if card.units.get(channel) == f"image {column}" else sample.meta.get(column)
        if channel not in card.channels or isinstance(side, str) or not side:
            return float("nan")
        sides.append((card.channels.index(channel), float(side)))
    gone = gone | np.isnan(poses[..., [place for place, _ in sides]]).any(-1)
    if gone.all():
        return float("nan")
    out = [(poses[..., place] < 0) | (poses[..., place] > side) for place, side in sides]
    return float((out[0] | out[1])[~gone].mean())


def _content(sample: Sample) -> bytes:
    """Digest of the poses, without names and labels; empty without poses."""
    if not len(sample.frame):
        return b""
    digest = hashlib.sha256(np.ascontiguousarray(sample.frame, "<u4").data)
    digest.update(one_nan(sample.keypoints).data)
    return digest.digest()[:16]
