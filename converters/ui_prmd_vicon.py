"""UI-PRMD as the Vicon system saw it: 39 markers, one text file a clip."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from jaxtyping import Float32

from skelbench.card import Card
from skelbench.errors import RawFormatError
from skelbench.formats import csv_table, one_pose, ui_prmd
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
        if item.reject is None or not item.paths[0].removesuffix(".gz").endswith(("_angles.txt", "_angles_inc.txt")):
            yield item


def read(raw: RawSource, item: RawItem, card: Card) -> Sample:
    """Read one clip.

    Args:
        raw: The source that was planned.
        item: A clip of it.
        card: The markers.

    Returns:
        One pose a frame, in millimetres; a marker that is written as three zeros was not seen.

    Raises:
        RawFormatError: If the file is not what the format says.
    """
    (path,) = item.paths
    markers = len(card.layout.joints)
    found = ui_prmd.table(raw, path, markers)
    if not len(found):
        raise RawFormatError(f"{raw.where(path)}: holds no row, expected one a frame.")
    keypoints = _seen(found.astype(np.float32))
    return one_pose.sample(item, keypoints, ui_prmd.targets(item.sample_id))


def settle(sample: Sample, card: Card) -> Sample:
    """The sample with the labels of its name; a marker at the origin is one that was not seen."""
    return replace(ui_prmd.settled(sample), keypoints=_seen(sample.keypoints))


def write(sample: Sample, card: Card) -> Iterator[tuple[str, bytes]]:
    """Write a clip as one text file, the inverse of `read`.

    Args:
        sample: One pose in every frame, as `settle` leaves it.
        card: Names of the folders.

    Yields:
        The path and content of one file.

    Raises:
        ValueError: If a frame has no pose or several, or a marker lies at the origin.
    """
    one_pose.check(sample)
    if (sample.keypoints == 0).all(axis=-1).any():
        raise ValueError(f"{sample.sample_id}: a marker at the origin is one that was not seen, which is NaN.")
    incorrect = sample.sample_id.endswith("_inc")
    name = sample.sample_id.removesuffix("_inc")
    unseen = np.isnan(sample.keypoints).all(axis=-1, keepdims=True)
    rows = np.where(unseen, 0.0, sample.keypoints.astype(np.float64)).reshape(sample.n_frames, -1)
    content = csv_table.render_numbers(rows)
    folder = card.options["folders"][incorrect]
    yield f"{folder}/Vicon/Positions/{name}_positions{'_inc' if incorrect else ''}.txt", content


def _seen(keypoints: Float32[np.ndarray, "frames markers 3"]) -> Float32[np.ndarray, "frames markers 3"]:
    """Positions with NaN for markers that were not seen, which the owners' files put at the origin."""
    return np.where((keypoints == 0).all(axis=-1, keepdims=True), np.float32(np.nan), keypoints)
