"""What NTU RGB+D 60 and 120 share: names of files, the owner's list of unusable ones, the `.skeleton` text."""

import gzip
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from skelbench.card import Card
from skelbench.formats import kinect_text, names
from skelbench.raw import RawItem, RawSource
from skelbench.sample import Sample

NAME = re.compile(
    r"S(?P<setup>\d{3})C(?P<camera>\d{3})P(?P<subject>\d{3})R(?P<replication>\d{3})A(?P<action>\d{3})\.skeleton",
    re.ASCII,
)
EXPECTED = "SsssCcccPpppRrrrAaaa.skeleton with three digits after each letter"


def listed_names(path: Path) -> frozenset[str]:
    """Read a gzipped list of sample ids, one a line."""
    return frozenset(gzip.decompress(path.read_bytes()).decode("ascii").split())


def plan(raw: RawSource, card: Card, incomplete: frozenset[str]) -> Iterator[RawItem]:
    """Name the clips of a source; those that names alone show to be unusable carry the reason.

    Args:
        raw: A folder or archive of `.skeleton` files.
        card: Its `options.ranges` hold the least and greatest value of each number in a name, its
            `options.hint` what to do about numbers beyond them.
        incomplete: Sample ids whose skeletons the owner lists as missing or incomplete.

    Yields:
        One item a file.

    Source: shahroudy/NTURGB-D, README.md.
    """
    ranges: Mapping[str, Sequence[int]] = card.options["ranges"]
    for path in names.members(raw, ".skeleton"):
        sample_id = names.stem(path)
        parts = names.numbers(NAME, path)
        if parts is None:
            yield RawItem(sample_id, (path,), reject=f"the name '{sample_id}' is not {EXPECTED}")
            continue
        reject = _beyond(parts, ranges, card.options["hint"])
        if reject is None and sample_id in incomplete:
            reject = "on the owner's list of missing or incomplete skeletons"
        take = "S{setup:03d}P{subject:03d}R{replication:03d}A{action:03d}".format(**parts)
        yield RawItem(sample_id, (path,), {**parts, "take": take}, reject)


def read(raw: RawSource, item: RawItem) -> Sample:
    """Read one clip.

    Args:
        raw: The source that was planned.
        item: A clip of it.

    Returns:
        Bodies in file order, metres; the label is the action of the name, counted from 0.

    Raises:
        RawFormatError: If the file is not what the format says.
    """
    (path,) = item.paths
    clip = kinect_text.parse(raw.read(path), raw.where(path))
    return Sample(
        sample_id=item.sample_id,
        n_frames=clip.n_frames,
        frame=clip.frame,
        person=clip.person,
        keypoints=clip.keypoints,
        score=None,
        targets={"label": int(item.meta["action"]) - 1},
        segments=(),
        meta=item.meta,
    )


def write(sample: Sample, card: Card) -> Iterator[tuple[str, bytes]]:
    """Write a clip as its owner would, the inverse of `read`.

    Args:
        sample: A clip; at most six bodies in a frame.
        card: Its `options.folder` names the folder in the archive.

    Yields:
        The path and content of one file.

    Raises:
        ValueError: If the text cannot say what the sample holds.
    """
    clip = kinect_text.KinectClip(sample.n_frames, sample.frame, sample.person, sample.keypoints)
    yield f"{card.options['folder']}/{sample.sample_id}.skeleton", kinect_text.render(clip)


def _beyond(parts: Mapping[str, int], ranges: Mapping[str, Sequence[int]], hint: str) -> str | None:
    """The first number of a name that the data set does not have."""
    for part, number in parts.items():
        low, high = ranges[part]
        if not low <= number <= high:
            return f"{part} {number}, expected {low} to {high}; {hint}"
    return None
