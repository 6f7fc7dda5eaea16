"""UI-PRMD as the Vicon system saw it: 39 markers, one text file a clip."""

from collections.abc import Iterator

import numpy as np

from skelbench.card import Card
from skelbench.errors import RawFormatError
from skelbench.formats import csv_table, ui_prmd
from skelbench.raw import RawItem, RawSource
from skelbench.sample import Sample


def plan(raw: RawSource, card: Card) -> Iterator[RawItem]:
    """Name the clips of a source.

    Args:
        raw: A folder or archive with `mNN_sNN_eNN_positions.txt`, `_inc` where incorrect; angles are not needed.
        card: Of the set.

    Yields:
        One item a clip; files with a bad name are rejects.
    """
    for item in ui_prmd.items(raw, card, ("positions",)):
        if item.reject is None or not item.paths[0].endswith(("_angles.txt", "_angles_inc.txt")):
            yield item


def read(raw: RawSource, item: RawItem, card: Card) -> Sample:
    """Read one clip.

    Args:
        raw: The source that was planned.
        item: A clip of it.
        card: The markers.

    Returns:
        One pose a frame, in millimetres; a marker that is NaN was not seen.

    Raises:
        RawFormatError: If the file is not what the format says.
    """
    (path,) = item.paths
    markers = len(card.layout.joints)
    found = csv_table.numbers(raw.read(path), 3 * markers, raw.where(path))
    if not len(found):
        raise RawFormatError(f"{raw.where(path)}: holds no row, expected one a frame.")
    return Sample(
        sample_id=item.sample_id,
        n_frames=len(found),
        frame=np.arange(len(found), dtype=np.uint32),
        person=np.full(len(found), -1, np.int64),
        keypoints=found.reshape(-1, markers, 3).astype(np.float32),
        score=None,
        targets=ui_prmd.targets(item.sample_id),
        segments=(),
        meta=item.meta,
    )


def settle(sample: Sample, card: Card) -> Sample:
    """The sample with the labels of its name."""
    return ui_prmd.settled(sample)


def write(sample: Sample, card: Card) -> Iterator[tuple[str, bytes]]:
    """Write a clip as one text file, the inverse of `read`.

    Args:
        sample: One pose in every frame.
        card: Names of the folders.

    Yields:
        The path and content of one file.

    Raises:
        ValueError: If a frame has no pose or several.
    """
    if not np.array_equal(sample.frame, np.arange(sample.n_frames)):
        raise ValueError(f"{sample.sample_id}: a clip of this set has one pose in every frame.")
    incorrect = sample.sample_id.endswith("_inc")
    name = sample.sample_id.removesuffix("_inc")
    content = csv_table.render_numbers(sample.keypoints.reshape(sample.n_frames, -1).astype(np.float64))
    folder = card.options["folders"][incorrect]
    yield f"{folder}/Vicon/Positions/{name}_positions{'_inc' if incorrect else ''}.txt", content
