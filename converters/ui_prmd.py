"""UI-PRMD as the Kinect saw it: positions local to the parent joint, and angles, two text files a clip."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from skelbench.card import Card
from skelbench.errors import CardError, RawFormatError
from skelbench.formats import csv_table, one_pose, ui_prmd
from skelbench.raw import RawItem, RawSource
from skelbench.sample import Sample

_KINDS = ("positions", "angles")


def plan(raw: RawSource, card: Card) -> Iterator[RawItem]:
    """Name the clips of a source.

    Args:
        raw: A folder or archive with `mNN_sNN_eNN_positions.txt` and `_angles.txt`, `_inc` where incorrect.
        card: Of the set.

    Yields:
        One item a clip; bad names, and clips that lack a file, are rejects.

    Raises:
        CardError: If `options.chain` is neither `whole` nor `chest`.
    """
    _chain(card)
    yield from ui_prmd.items(raw, card, _KINDS)


def read(raw: RawSource, item: RawItem, card: Card) -> Sample:
    """Read one clip.

    Args:
        raw: The source that was planned.
        item: A clip of it.
        card: Joints and bones; `options.chain` says what the arms turn with.

    Returns:
        One pose a frame, in centimetres in the camera's frame, by forward kinematics.

    Raises:
        RawFormatError: If a file is not what the format says, or the two have different lengths.
    """
    joints = len(card.layout.joints)
    local, angles = (ui_prmd.table(raw, path, joints) for path in item.paths)
    where = raw.where(item.paths[1])
    if not len(local) == len(angles) > 0:
        raise RawFormatError(f"{where}: {len(angles)} rows, but {len(local)} of positions; expected as many.")
    if np.isnan(angles).any():
        raise RawFormatError(f"{where}: an angle is NaN, expected degrees.")
    keypoints = ui_prmd.placed(local, angles, card.layout.parents, _chain(card))
    if np.isinf(keypoints).any():
        raise RawFormatError(f"{raw.where(item.paths[0])}: bones so long that float32 cannot hold where they end.")
    return one_pose.sample(item, keypoints, ui_prmd.targets(item.sample_id))


def settle(sample: Sample, card: Card) -> Sample:
    """The nearest sample that a chain of bones can hold, with the labels of its name."""
    found = ui_prmd.settled(sample)
    return replace(found, keypoints=ui_prmd.chainable(sample.keypoints))


def write(sample: Sample, card: Card) -> Iterator[tuple[str, bytes]]:
    """Write a clip as its two files, the inverse of `read`.

    Args:
        sample: One pose in every frame, as `settle` leaves it.
        card: Joints, bones and `options.chain`.

    Yields:
        The path and content of two files.

    Raises:
        ValueError: If the files cannot say what the sample holds.
    """
    one_pose.check(sample)
    chain, parents = _chain(card), card.layout.parents
    local, angles = ui_prmd.unplaced(sample.keypoints, parents, chain)
    if not np.array_equal(ui_prmd.placed(local, angles, parents, chain), sample.keypoints, equal_nan=True):
        raise ValueError(f"{sample.sample_id}: a chain of bones cannot bring these positions back bit for bit.")
    name, _, inc = sample.sample_id.partition("_inc")
    ending = "_inc" if sample.sample_id.endswith("_inc") else inc
    for kind, table in zip(_KINDS, (local, angles), strict=True):
        folder = card.options["folders"][ending == "_inc"]
        content = csv_table.render_numbers(table.reshape(len(table), -1))
        yield f"{folder}/Kinect/{kind.capitalize()}/{name}_{kind}{ending}.txt", content


def _chain(card: Card) -> ui_prmd.Chain:
    """What the arms turn with, by the card."""
    found = card.options["chain"]
    if found == "whole":
        return "whole"
    if found == "chest":
        return "chest"
    raise CardError(f'{card.name}: \'options.chain\' is {found!r:.40}, expected "whole" or "chest".')
