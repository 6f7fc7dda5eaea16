"""The npz files of CTR-GCN and its kin: clips denoised, centred and padded, without names."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from skelbench.card import Card
from skelbench.errors import RawFormatError
from skelbench.formats import exchange, lists, names, ntu_rgbd, numpy_files, padded
from skelbench.raw import RawItem, RawSource
from skelbench.sample import MetaValue, Sample

PARTS = ("train", "test")
_RATIO = 100  # how much smaller than its content a packed file may be; blocks hold many zeros


@dataclass(frozen=True)
class _Part:
    """The clips of one part of a file."""

    clips: np.ndarray  # (clips, frames, persons * joints * channels) or (clips, frames, persons, joints, channels)
    labels: tuple[int, ...]
    names: tuple[str, ...]  # empty where the file has none


def plan(raw: RawSource, card: Card) -> Iterator[RawItem]:
    """Name the clips of a source.

    Args:
        raw: One or several `.npz` files with `x_train`, `y_train`, `x_test`, `y_test`; beside them perhaps the list
            of names that they were made from.
        card: Its `options.list` is that list, `options.by` the column that parts it, `options.parts` the values.

    Yields:
        One item a clip, named by the file itself (as our exports are), by the official list, or by number.

    Raises:
        RawFormatError: If the only file is damaged, or the list does not fit it.
    """
    paths = list(names.members(raw, ".npz"))
    listed = _listed(raw, card)
    for path, parts in exchange.opened(raw, paths, partial(_parts, raw)):
        if isinstance(parts, RawItem):
            yield parts
            continue
        for part, found in parts.items():
            own, how = found.names, "in the file"
            if not own and listed:
                own, how = _fitting(listed[part], found, f"{raw.where(path)}, 'x_{part}'"), "by the official list"
            for row in range(len(found.labels)):
                sample_id = own[row] if own else f"{part}_{row:06d}"
                meta: dict[str, MetaValue] = {"part": part, "named": how if own else "by number", "row": row}
                yield RawItem(sample_id, (path,), meta)


def read(raw: RawSource, item: RawItem, card: Card) -> Sample:
    """Read one clip.

    Args:
        raw: The source that was planned.
        item: A clip of it.
        card: Joints and channels.

    Returns:
        Persons by their place in the file, without the frames after the last one that shows anybody.

    Raises:
        RawFormatError: If the numbers of a frame are not those of some persons, or a value is infinite.
    """
    (path,) = item.paths
    found, row = _parts(raw, path)[str(item.meta["part"])], int(item.meta["row"])
    where = f"{raw.where(path)}, 'x_{item.meta['part']}', row {row}"
    block = _block(found.clips[row], len(card.layout.joints), len(card.channels), where)
    frame, person, keypoints = padded.poses(block, where)
    return Sample(
        sample_id=item.sample_id,
        n_frames=padded.length(block),
        frame=frame,
        person=person,
        keypoints=keypoints,
        score=None,
        targets={next(iter(card.targets)): found.labels[row]},
        segments=(),
        meta={name: value for name, value in item.meta.items() if name != "row"},
    )


def write(sample: Sample, card: Card) -> Iterator[tuple[str, bytes]]:
    """Write a clip as a file of its own that bears its name, the inverse of `read`.

    Args:
        sample: As `settle` leaves it.
        card: Its `options.frames` is the usual length of a clip.

    Yields:
        The path and content of one file.
    """
    block = padded.block(sample, max(int(card.options["frames"]), sample.n_frames), card.persons)
    classes = len(next(iter(card.targets.values())).classes)
    label = int(str(sample.targets[next(iter(card.targets))]))
    arrays: dict[str, np.ndarray] = {}
    for part in PARTS:
        own = part == sample.meta["part"]
        clips = block.reshape(1, len(block), -1)
        arrays[f"x_{part}"] = clips if own else clips[:0]
        arrays[f"y_{part}"] = np.eye(classes)[[label] if own else []]
        arrays[f"names_{part}"] = np.array([sample.sample_id] if own else [], f"<U{len(sample.sample_id)}")
    yield f"{card.options['folder']}/{sample.sample_id}.npz", numpy_files.render_npz(arrays)


def settle(sample: Sample, card: Card) -> Sample:
    """See `padded.settle`."""
    return padded.settle(sample)


def _parts(raw: RawSource, path: str) -> dict[str, _Part]:
    """Both parts of a file, parsed once a process."""
    where = raw.where(path)
    found = raw.once_mapped(path, partial(_parse, where=where))
    if not found:
        raise RawFormatError(f"{where}: holds neither 'x_train' nor 'x_test'; is it a file of CTR-GCN?")
    return found


def _parse(data: memoryview, where: str) -> dict[str, _Part]:
    """Parse a file; what is stored unpacked is not copied."""
    arrays = numpy_files.npz(data, where, inflated=max(1 << 26, _RATIO * len(data)))
    return {part: _part(arrays, part, where) for part in PARTS if f"x_{part}" in arrays}


def _part(arrays: Mapping[str, np.ndarray], part: str, where: str) -> _Part:
    """One part of a file, its shapes held against each other."""
    clips, labels = arrays[f"x_{part}"], arrays.get(f"y_{part}")
    if clips.ndim not in (3, 5) or clips.dtype.kind not in "fiu":
        raise RawFormatError(f"{where}: 'x_{part}' is {clips.dtype} {clips.shape}, expected clips x frames x numbers.")
    if labels is None or labels.ndim not in (1, 2) or len(labels) != len(clips) or labels.dtype.kind not in "fiub":
        shown = "missing" if labels is None else f"{labels.dtype} {labels.shape}"
        raise RawFormatError(f"{where}: 'y_{part}' is {shown}, expected a label for each of {len(clips)} clips.")
    if labels.ndim == 2:
        rows, columns = np.nonzero(labels > 0)
        if not np.array_equal(rows, np.arange(len(clips))):
            raise RawFormatError(f"{where}: a row of 'y_{part}' does not mark exactly one class.")
        labels = columns
    if labels.size and not (np.isfinite(labels).all() and labels.min() >= -1 and labels.max() < 1 << 31):
        raise RawFormatError(f"{where}: 'y_{part}' holds {labels.max():g}, expected classes counted from 0.")
    own = arrays.get(f"names_{part}")
    if own is not None and (own.dtype.kind != "U" or own.shape != (len(clips),)):
        raise RawFormatError(f"{where}: 'names_{part}' is {own.dtype} {own.shape}, expected a name for each clip.")
    return _Part(clips, tuple(labels.astype(np.int64).tolist()), () if own is None else tuple(own.tolist()))


def _block(clip: np.ndarray, joints: int, channels: int, where: str) -> padded.Block:
    """One clip with its axes."""
    numbers = int(np.prod(clip.shape[1:]))
    if not numbers or numbers % (joints * channels) or (clip.ndim == 4 and clip.shape[2:] != (joints, channels)):
        raise RawFormatError(
            f"{where}: {clip.shape[1:]} numbers a frame, expected persons of {joints} joints x {channels} numbers."
        )
    with np.errstate(over="ignore"):
        return clip.reshape(len(clip), -1, joints, channels).astype(np.float32)


def _listed(raw: RawSource, card: Card) -> dict[str, list[str]]:
    """The official names of both parts in the order of the file, where the list is there."""
    by, parts = card.options["by"], card.options["parts"]
    found: dict[str, list[str]] = {}
    for path in names.members(raw, ""):
        if by and names.file_name(path) in (card.options["list"], f"{card.options['list']}.gz"):
            known = [line.strip() for line in lists.lines(raw, path) if line.strip()]
            numbers = [names.numbers(ntu_rgbd.NAME, f"{name}.skeleton") or {} for name in known]
            for part in PARTS:  # for each value in turn, the names in the order of the list
                values: Sequence[int] = parts[part]
                found[part] = [
                    name for value in values for name, one in zip(known, numbers, strict=True) if one.get(by) == value
                ]
    return found


def _fitting(listed: Sequence[str], found: _Part, where: str) -> tuple[str, ...]:
    """The names of a list, if they are those of the clips."""
    if len(listed) != len(found.labels):
        raise RawFormatError(
            f"{where}: {len(found.labels)} clips, but {len(listed)} names of the list belong here; it was made with "
            "another filter. Take the list away, and clips are numbered."
        )
    for row, (name, label) in enumerate(zip(listed, found.labels, strict=True)):
        if int(name.rpartition("A")[2]) - 1 != label:
            raise RawFormatError(f"{where}, row {row}: label {label}, but the list has '{name}' here.")
    return tuple(listed)
