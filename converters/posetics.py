"""Posetics: LCR-Net's poses of Kinetics videos, one JSON file a clip, and one label file for each part."""

import re
from collections.abc import Iterable, Iterator, Mapping

from skelbench.card import Card
from skelbench.formats import label_json, lcrnet_set, names
from skelbench.formats.label_json import Entry, Labels
from skelbench.raw import RawItem, RawSource
from skelbench.sample import MetaValue, Sample

NAME = re.compile(r"(?:[\w.-]*_)?(?P<video>[\w-]{11})_\d{6}_\d{6}\.json", re.ASCII)
SLICE = slice(-30, -19)  # of a file name of another form: where the authors' script looks for the video
VIDEO = re.compile(r"[\w-]{11}", re.ASCII)
PREFIX = "posetics"  # of the names of label files and folders


def refine(raw: RawSource, card: Card) -> Card:
    """Name the classes after the list among the raw data, where there is one.

    Args:
        raw: The source, perhaps with `classes.txt`, one name a line.
        card: Of the set, whose classes are numbers.

    Returns:
        The card with these names.

    Raises:
        RawFormatError: If the list does not name each class once.
    """
    return lcrnet_set.with_classes(raw, card)


def plan(raw: RawSource, card: Card) -> Iterator[RawItem]:
    """Name the clips of a source, and the videos that its label files list without one.

    Args:
        raw: A folder or archive of `posetics_train/*.json`, `posetics_val/*.json` and `posetics_*_label.json`.
        card: Of the set.

    Yields:
        One item a clip. Rejects are clips with another name, those whose video no label file lists, or lists as one
        without a skeleton, and videos without a clip.

    Raises:
        RawFormatError: If a label file is damaged.
    """
    listed = label_json.read(raw, PREFIX)
    lists = {labels.path for labels in listed.values()}
    found: set[str] = set()
    for path in names.members(raw, ".json"):
        if path not in lists:
            video = _video(names.file_name(path))
            found.add(video)
            yield _item(path, video, listed, card)
    for labels in listed.values():
        yield from lcrnet_set.without_file(labels, found)


def read(raw: RawSource, item: RawItem, card: Card) -> Sample:
    """Read one clip.

    Args:
        raw: The source that was planned.
        item: A clip of it, its label among the meta.
        card: Joints.

    Returns:
        The detections of every frame, in the detector's order and without identity; u, v in pixels. The score is
        that of the whole detection.

    Raises:
        RawFormatError: If the file is not what the format says.
    """
    return lcrnet_set.read(raw, item, card)


def write(sample: Sample, card: Card) -> Iterator[tuple[str, bytes]]:
    """Write a clip as one JSON file, the inverse of `read`; a missing number is `null`.

    Args:
        sample: Detections without identity in the order of their frames, each with one score.
        card: Of the set.

    Yields:
        The path and content of one file.

    Raises:
        ValueError: If the file cannot say what the sample holds.
    """
    folder = f"{card.options['folder']}/{PREFIX}_{sample.meta['part']}"
    yield f"{folder}/{sample.sample_id}.json", lcrnet_set.render(sample)


def write_shared(samples: Iterable[Sample], card: Card) -> Iterator[tuple[str, bytes]]:
    """Write the label files of all parts.

    Args:
        samples: Of the set, without their poses.
        card: Of the set.

    Yields:
        Paths and contents.
    """
    for part, entries in lcrnet_set.entries(samples, card, lambda sample: _video(f"{sample.sample_id}.json")).items():
        yield f"{card.options['folder']}/{PREFIX}_{part}_label.json", label_json.render(entries)


def settle(sample: Sample, card: Card) -> Sample:
    """The nearest sample that the files can hold: one score a detection."""
    return lcrnet_set.settle(sample)


def _item(path: str, video: str, listed: Mapping[str, Labels], card: Card) -> RawItem:
    """One clip, with what its name and the label files say."""
    sample_id = names.stem(path)
    if not video:
        expected = "a video's 11 characters and two times of six digits"
        return RawItem(sample_id, (path,), reject=f"the name '{sample_id}' does not end in {expected}")
    part = label_json.part_of(path, video, listed)
    width, height = card.options["image"]
    meta: dict[str, MetaValue] = {"part": part, "take": video, "width": width, "height": height}
    entry: Entry | None = listed[part].entries.get(video) if part in listed else None
    if entry is None:
        return RawItem(sample_id, (path,), meta, f"no label file lists the video '{video}'")
    return RawItem(sample_id, (path,), {**meta, "label": entry.index}, lcrnet_set.problem(entry, card))


def _video(name: str) -> str:
    """The video of a file name; empty where it has none."""
    match = NAME.fullmatch(name)
    if match:
        return match["video"]
    return name[SLICE] if len(name) >= -SLICE.start and VIDEO.fullmatch(name[SLICE]) and " " not in name else ""
