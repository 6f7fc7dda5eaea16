"""Posetics: LCR-Net's poses of Kinetics videos, one JSON file a clip, and one label file for each part."""

import re
from collections.abc import Iterable, Iterator, Mapping

from skelbench.card import Card
from skelbench.formats import label_json, lcrnet_set, names, pose_files
from skelbench.formats.label_json import Entry, Labels
from skelbench.raw import RawItem, RawSource
from skelbench.sample import MetaValue, Sample

NAME = re.compile(r"(?:[\w.-]*_)?(?P<video>[\w-]{11})_\d{6}_\d{6}\.json", re.ASCII)
SLICE = slice(-30, -19)  # of a file name of another form: where the authors' script looks for the video
VIDEO = re.compile(r"[\w-]{11}", re.ASCII)

refine = lcrnet_set.with_classes
read, write, settle = pose_files.read, pose_files.write, pose_files.settle


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
    listed = label_json.read(raw, card.options["prefix"])
    yield from lcrnet_set.plan(raw, listed, lambda path: _item(path, listed, card))


def write_shared(samples: Iterable[Sample], card: Card) -> Iterator[tuple[str, bytes]]:
    """Write the label files of all parts.

    Args:
        samples: Of the set, without their poses.
        card: Of the set.

    Yields:
        Paths and contents.
    """
    for path, _, content in lcrnet_set.write_labels(samples, card, lambda sample: _video(f"{sample.sample_id}.json")):
        yield f"{path}_label.json", content


def _item(path: str, listed: Mapping[str, Labels], card: Card) -> tuple[str, RawItem]:
    """One clip, with what its name and the label files say, and its video."""
    sample_id, video = names.stem(path), _video(names.file_name(path))
    if not video:
        expected = "a video's 11 characters and two times of six digits"
        return video, RawItem(sample_id, (path,), reject=f"the name '{sample_id}' does not end in {expected}")
    part = label_json.part_of(path, video, listed)
    width, height = card.options["image"]
    meta: dict[str, MetaValue] = {"part": part, "take": video, "width": width, "height": height}
    entry: Entry | None = listed[part].entries.get(video) if part in listed else None
    if entry is None:
        return video, RawItem(sample_id, (path,), meta, f"no label file lists the video '{video}'")
    return video, RawItem(sample_id, (path,), {**meta, "label": entry.index}, lcrnet_set.problem(entry, card))


def _video(name: str) -> str:
    """The video of a file name; empty where it has none."""
    match = NAME.fullmatch(name)
    if match:
        return match["video"]
    return name[SLICE] if len(name) >= -SLICE.start and VIDEO.fullmatch(name[SLICE]) and " " not in name else ""
