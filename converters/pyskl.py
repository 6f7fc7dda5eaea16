"""Annotation pickles of PYSKL and MMAction2, of whatever data set their card describes."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from skelbench.card import Card
from skelbench.errors import RawFormatError
from skelbench.formats import exchange, names, pyskl
from skelbench.raw import RawItem, RawSource
from skelbench.sample import Sample


@dataclass(frozen=True)
class _Listed:
    """The clips of one file."""

    columns: tuple[tuple[str, dict[str, str]], ...]  # ids, and the split of each column that lists it
    rejects: tuple[tuple[str, str], ...]  # what cannot be read, and why


def plan(raw: RawSource, card: Card) -> Iterator[RawItem]:
    """Name the clips of a source.

    Args:
        raw: One or several `.pkl` files.
        card: Its `options.parts` hold, for each column, the splits of which one may list a clip.

    Yields:
        One item an annotation. Rejects are annotations without an id, ids of a split that have no annotation, and of
        several files a damaged one.

    Raises:
        RawFormatError: If the only file is damaged, two splits of one column list the same clip, or the card knows
            none of the file's splits.
    """
    paths = list(names.members(raw, ".pkl"))
    for path, found in exchange.opened(raw, paths, partial(_file, raw, card=card)):
        if isinstance(found, RawItem):
            yield found
            continue
        for name, columns in found.columns:
            yield RawItem(name, (path,), columns)
        for name, reason in found.rejects:
            yield RawItem(name, (path,), reject=reason)


def read(raw: RawSource, item: RawItem, card: Card) -> Sample:
    """Read one clip.

    Args:
        raw: The source that was planned.
        item: A clip of it.
        card: Joints and channels.

    Returns:
        Persons by their place on the file's axis. Those who are zeros throughout are not in the frame; a joint of
        which coordinates and score are zero is NaN. float16 becomes float32.

    Raises:
        RawFormatError: If the annotation is not what the format says.
    """
    (path,) = item.paths
    where = f"{raw.where(path)}, '{item.sample_id}'"
    entry = _annotations(raw, path).by_name.get(item.sample_id)
    if entry is None:
        raise RawFormatError(f"{where}: no annotation of that id.")
    clip = pyskl.clip(entry, len(card.layout.joints), len(card.channels), where)
    return Sample(
        sample_id=item.sample_id,
        n_frames=clip.n_frames,
        frame=clip.frame,
        person=clip.person,
        keypoints=clip.keypoints,
        score=clip.score,
        targets={next(iter(card.targets)): clip.label},
        segments=(),
        meta={**item.meta, "width": clip.size[0], "height": clip.size[1]},
    )


def write(sample: Sample, card: Card) -> Iterator[tuple[str, bytes]]:
    """Write a clip as a pickle of its own, the inverse of `read`.

    Args:
        sample: Persons are places on the file's axis.
        card: Its `options.parts` hold the columns that name splits.

    Yields:
        The path and content of one file; numbers are float32, where published files have float16.

    Raises:
        ValueError: If two poses of a frame have one place.
    """
    size = int(sample.meta["width"]), int(sample.meta["height"])
    label = int(str(sample.targets[next(iter(card.targets))]))
    parts = {str(sample.meta[column]): [sample.sample_id] for column in card.options["parts"] if sample.meta[column]}
    yield (
        f"{card.options['folder']}/{sample.sample_id}.pkl",
        pyskl.render([pyskl.entry(sample, label=label, size=size, half=False)], parts),
    )


def settle(sample: Sample, card: Card) -> Sample:
    """Number the people of each frame as they come; see `pyskl.places`."""
    return replace(sample, person=pyskl.places(sample).astype(np.int64))


def _file(raw: RawSource, path: str, *, card: Card) -> _Listed:
    """The clips of a file by its splits."""
    where, columns = raw.where(path), card.options["parts"]
    found = _annotations(raw, path)
    known = {split for splits in columns.values() for split in splits}
    if found.parts and not known & found.parts.keys():
        raise RawFormatError(
            f"{where}: its splits are {', '.join(found.parts)[:200]}, the card's options.parts name "
            f"{', '.join(sorted(known)) or 'none'}. Write a card for this file, and name it with --card."
        )
    parts = pyskl.memberships(found, columns, where)
    listed = [(names.file_name(name), one) for (name, _), one in zip(found.entries, parts, strict=True)]
    rejects = [(f"annotation {place}", reason) for place, reason in found.strange]
    for split, ids in found.parts.items():
        for name in dict.fromkeys(ids) if split in known else ():
            if names.file_name(name) not in found.by_name:
                rejects.append((names.file_name(name), f"in the split '{split[:80]}', but it has no annotation"))
    return _Listed(tuple(listed), tuple(rejects))


def _annotations(raw: RawSource, path: str) -> pyskl.Annotations:
    """A pickle of annotations under their file names, parsed once a process."""
    return raw.once(path, partial(_parsed, where=raw.where(path)))


def _parsed(data: bytes, where: str) -> pyskl.Annotations:
    """Parse a pickle."""
    found = pyskl.parse(data, where)
    by_name = {names.file_name(name): entry for name, entry in reversed(found.entries)}
    return replace(found, by_name=by_name)
