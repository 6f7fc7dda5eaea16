"""Annotation pickles of PYSKL and MMAction2, of whatever data set their card describes."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from skelbench.card import Card
from skelbench.errors import RawFormatError
from skelbench.formats import names, pyskl
from skelbench.raw import RawItem, RawSource
from skelbench.sample import Sample


def plan(raw: RawSource, card: Card) -> Iterator[RawItem]:
    """Name the clips of a source.

    Args:
        raw: One or several `.pkl` files.
        card: Its `options.parts` hold, for each column, the splits of which one may list a clip.

    Yields:
        One item an annotation. Of several files a damaged one is a reject.

    Raises:
        RawFormatError: If the only file is damaged, or two splits of one column list the same clip.
    """
    paths = list(names.members(raw, ".pkl"))
    for path in paths:
        try:
            found = _annotations(raw, path)
            parts = list(pyskl.memberships(found, card.options["parts"], raw.where(path)))
        except RawFormatError as error:
            if len(paths) == 1:
                raise
            yield RawItem(names.stem(path), (path,), reject=str(error).replace(raw.where(path), path))
            continue
        for (name, _), columns in zip(found.entries, parts, strict=True):
            yield RawItem(names.file_name(name), (path,), columns)


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


def _annotations(raw: RawSource, path: str) -> pyskl.Annotations:
    """A pickle of annotations under their file names, parsed once a process."""

    def parse(data: bytes) -> pyskl.Annotations:
        """Parse it."""
        found = pyskl.parse(data, raw.where(path))
        by_name = {names.file_name(name): entry for name, entry in reversed(found.entries)}
        return replace(found, by_name=by_name)

    return raw.once(path, parse)
