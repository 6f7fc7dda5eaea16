"""The npy and pkl pairs of ST-GCN, 2s-AGCN, MS-G3D and UNIK: padded clips, names and labels beside them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from skelbench.card import Card
from skelbench.errors import RawFormatError
from skelbench.formats import exchange, names, numpy_files, padded, plain_pickle, plain_pickle_out
from skelbench.raw import RawItem, RawSource
from skelbench.sample import MetaValue, Sample

DATA = re.compile(r"(?P<part>train|val|test)_data(_joint)?\.npy", re.ASCII)
# what follows from the joints, and labels
BESIDE = re.compile(r"\w+_(data_(bone|joint_motion|bone_motion|joint_bone|motion)|label)\.npy", re.ASCII)
ZEROS, REPLAYED, UNKNOWN = "zeros after the end", "replayed to the end", "unknown"


@dataclass(frozen=True)
class _Labels:
    """The names and labels of the clips of one file."""

    path: str
    names: tuple[str, ...]
    labels: tuple[int, ...]


def plan(raw: RawSource, card: Card) -> Iterator[RawItem]:
    """Name the clips of a source.

    Args:
        raw: `<part>_data.npy` or `<part>_data_joint.npy`, each beside its `<part>_label.pkl` or, without
            names, `.npy`.
        card: Of the set.

    Yields:
        One item a name; files of bones and motions, which follow from the joints, are passed over. A name that a
        file repeats comes once. Of several files a damaged one, or one without labels, is a reject.

    Raises:
        RawFormatError: If the only file is damaged or has no labels.
    """
    paths = [path for path in names.members(raw, ".npy") if not BESIDE.fullmatch(names.file_name(path))]
    data = [path for path in paths if DATA.fullmatch(names.file_name(path))]
    for path in paths:
        if path not in data:
            yield RawItem(names.stem(path), (path,), reject=f"'{names.stem(path)}' is not <part>_data[_joint].npy")

    def named(path: str) -> str:
        """What to call a file that cannot be opened; others have its name in other folders."""
        return f"{_part(path)} of {path[:100].replace('/', ' ')}"

    for path, found in exchange.opened(raw, data, partial(_labelled, raw), named):
        if isinstance(found, RawItem):
            yield found
            continue
        first = {name: row for row, name in reversed([*enumerate(found.names)])}
        for name, row in sorted(first.items(), key=lambda one: one[1]):
            meta: dict[str, MetaValue] = {"part": _part(path), "row": row}
            yield RawItem(name, (path, found.path), meta)


def read(raw: RawSource, item: RawItem, card: Card) -> Sample:
    """Read one clip.

    Args:
        raw: The source that was planned.
        item: A clip of it.
        card: Joints and channels; a channel more than it has is the score.

    Returns:
        Persons by their place in the file. What follows the last frame that shows anybody is left out; where a clip
        was filled up by being replayed it ends with its first period. `length` says which, or that neither is seen.

    Raises:
        RawFormatError: If the shape is not that of the card, or a value is infinite.
    """
    path, beside = item.paths
    row, where = int(item.meta["row"]), f"{raw.where(path)}, row {item.meta['row']}"
    clips, joints, channels = _clips(raw, path), len(card.layout.joints), len(card.channels)
    scored = bool(card.score) and clips.shape[1] == channels + 1
    if clips.shape[3] != joints or clips.shape[1] != channels + scored:
        raise RawFormatError(
            f"{where}: an array of {clips.shape}, expected clips x {channels} channels (one more where the card has a "
            f"score) x frames x {joints} joints x persons."
        )
    with np.errstate(over="ignore"):
        block = np.ascontiguousarray(clips[row].transpose(1, 3, 2, 0)).astype(np.float32)
    frames, length = _length(block)
    frame, person, values = padded.poses(block[:frames], where)
    return Sample(
        sample_id=item.sample_id,
        n_frames=frames,
        frame=frame,
        person=person,
        keypoints=np.ascontiguousarray(values[..., :channels]),
        score=np.ascontiguousarray(values[..., channels]) if scored else None,
        targets={next(iter(card.targets)): _labels(raw, beside).labels[row]},
        segments=(),
        meta={"part": item.meta["part"], "length": length},
    )


def write(sample: Sample, card: Card) -> Iterator[tuple[str, bytes]]:
    """Write a clip as a pair of files of its own, the inverse of `read`.

    Args:
        sample: As `settle` leaves it.
        card: Its `options.frames` is the usual length of a clip.

    Yields:
        Paths and contents of both files; at least one frame of zeros marks the end.
    """
    frames = max(int(card.options["frames"]), sample.n_frames + 1)
    block = padded.block(sample, frames, card.persons)
    folder = f"{card.options['folder']}/{sample.sample_id}"
    label = int(str(sample.targets[next(iter(card.targets))]))
    yield f"{folder}/{sample.meta['part']}_data_joint.npy", numpy_files.render_npy(block.transpose(3, 0, 2, 1)[None])
    yield (
        f"{folder}/{sample.meta['part']}_label.pkl",
        plain_pickle_out.dumps(([f"{sample.sample_id}.skeleton"], [label])),
    )


def settle(sample: Sample, card: Card) -> Sample:
    """See `padded.settle`."""
    return padded.settle(sample)


def _clips(raw: RawSource, path: str) -> np.ndarray:
    """All clips of a file: clips, channels, frames, joints, persons."""
    return raw.once_mapped(path, partial(_parse_clips, where=raw.where(path)))


def _parse_clips(data: memoryview, where: str) -> np.ndarray:
    """Parse a file of clips; the array is a view of the bytes."""
    found = numpy_files.npy(data, where)
    if found.ndim != 5 or found.dtype.kind != "f" or not all(found.shape[1:]):
        raise RawFormatError(
            f"{where}: {found.dtype} {found.shape}, expected clips x channels x frames x joints x persons."
        )
    return found


def _part(path: str) -> str:
    """The part that the name of a file says."""
    return names.file_name(path).partition("_data")[0]


def _labelled(raw: RawSource, path: str) -> _Labels:
    """The names and labels of a file's clips, one each."""
    stem = f"{path.removesuffix(names.file_name(path))}{_part(path)}_label"
    beside = next((one for one in (f"{stem}.pkl", f"{stem}.npy") if one in raw.paths), "")
    if not beside:
        raise RawFormatError(f"{raw.where(path)}: no labels beside it, expected {names.file_name(stem)}.pkl or .npy.")
    found = _labels(raw, beside)
    if len(found.labels) != len(_clips(raw, path)):
        raise RawFormatError(f"{raw.where(path)}: {len(_clips(raw, path))} clips, {len(found.labels)} labels.")
    return found


def _labels(raw: RawSource, path: str) -> _Labels:
    """Names without folder and ending, and labels; labels alone give numbers for names."""
    return raw.once(path, partial(_parse_labels, path=path, where=raw.where(path)))


def _parse_labels(data: bytes, path: str, where: str) -> _Labels:
    """Parse a file of labels."""
    if path.endswith(".npy"):
        found: Any = numpy_files.npy(data, where)
        part = names.file_name(path).removesuffix("_label.npy")
        found = [f"{part}_{row:06d}" for row in range(len(found) if found.ndim else 0)], found
    else:
        found = plain_pickle.load(data, where)
    if not isinstance(found, (tuple, list)) or len(found) != 2:
        raise RawFormatError(f"{where}: expected a pair of lists, names and labels.")
    known, labels = [part.tolist() if isinstance(part, np.ndarray) and part.ndim == 1 else part for part in found]
    if not isinstance(known, list) or not isinstance(labels, list) or len(known) != len(labels):
        raise RawFormatError(f"{where}: expected two lists of equal length, names and labels.")
    good = all(type(label) is int and -1 <= label < 1 << 31 for label in labels)
    if not good or not all(type(name) is str for name in known):
        raise RawFormatError(f"{where}: expected names as text and classes counted from 0.")
    return _Labels(path, tuple(map(_bare, known)), tuple(labels))


def _bare(name: str) -> str:
    """A name without its folder and ending."""
    return re.sub(r"\.(skeleton|json|txt|npy|mat|avi|mp4)$", "", names.file_name(name.replace("\\", "/")))


def _length(block: padded.Block) -> tuple[int, str]:
    """Frames of a clip before it was filled up, and how that is known."""
    shown = padded.length(block)
    if shown < len(block):
        return shown, ZEROS
    period = padded.period(block)
    return (len(block), UNKNOWN) if period is None else (period, REPLAYED)
