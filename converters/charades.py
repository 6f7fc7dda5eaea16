"""Charades: videos of daily activities with overlapping actions; the poses are the user's own detector's."""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from io import StringIO

import numpy as np

from skelbench.card import Card
from skelbench.errors import RawFormatError
from skelbench.formats import intervals, names, pose_files
from skelbench.formats.intervals import Number, Video
from skelbench.raw import RawItem, RawSource
from skelbench.sample import MetaValue, Sample

NAME = re.compile(r"(?P<name>[A-Z0-9]{5})(?:_[A-Za-z0-9]+)?\.(?:json|np[yz])", re.ASCII)
EXPECTED = "a video's five capitals and digits, such as 7UPGT.json"
MERGED = re.compile(r"charades\.json(?:\.gz)?", re.ASCII)  # the annotation of the detection papers
TABLES = re.compile(r"Charades_v1_(?P<part>train|test)\.csv", re.ASCII)  # the owner's
ACTION = re.compile(r"c(\d{3}) (\d{1,6}(?:\.\d{1,6})?) (\d{1,6}(?:\.\d{1,6})?)", re.ASCII)
NEAR = 1e-6  # of a frame: what seconds lose when they are written

write = pose_files.write  # the actions are in the file of `write_shared`


def plan(raw: RawSource, card: Card) -> Iterator[RawItem]:
    """Name the videos of a source.

    Args:
        raw: A folder or archive with a file of poses for each video, and annotations of all: the owner's two tables, or
            `charades.json`.
        card: Of the set.

    Yields:
        One item a video: its poses, then all annotations. Files with another name, and videos without poses, are
        rejects.

    Raises:
        RawFormatError: If an annotation is not what the format says.
    """
    lists = _lists(raw)
    listed = {name: path for path in lists for name in _videos(raw, path, card)}
    yield from intervals.plan(
        pose_files.videos(raw, card, lists), listed, describe=_described, said=lambda name: lists, expected=EXPECTED
    )


def read(raw: RawSource, item: RawItem, card: Card) -> Sample:
    """Read one video.

    Args:
        raw: The source that was planned.
        item: A video of it.
        card: Joints, classes, and frames a second of the poses.

    Returns:
        The detections of every frame. An action lasts from the first frame at or after its start to the last before its
        end, within the video. Without an annotation every class is unknown.

    Raises:
        RawFormatError: If a file is not what the format says, or two annotations contradict each other.
    """
    lists = [path for path in item.paths if _annotates(path)]
    said = [video for path in lists if (video := _videos(raw, path, card).get(item.sample_id)) is not None]
    if len({(video.subset, video.actions) for video in said}) > 1:
        raise RawFormatError(f"{', '.join(map(raw.where, lists))}: contradict each other on {item.sample_id}.")
    video = said[0] if said else None
    return intervals.sample(
        item,
        pose_files.parse(raw, [path for path in item.paths if path not in lists], card),
        video,
        ends=partial(_between, card.fps),
        classes=len(card.targets["label"].classes),
        meta={} if video is None else {"part": video.subset, "seconds": video.duration},
    )


def write_shared(samples: Iterable[Sample], card: Card) -> Iterator[tuple[str, bytes]]:
    """Write the annotations of all videos.

    Args:
        samples: Their poses are not needed.
        card: Its frames a second count.

    Yields:
        Path and content of one file; videos whose classes are unknown are not in it.
    """
    videos = {
        sample.sample_id: Video(
            str(sample.meta["part"]),
            float(sample.meta["seconds"]),
            (
                *((label, start / card.fps, end / card.fps) for start, end, label in sample.segments),
                *([(0, 0.0, 0.0)] * int(sample.meta["left_out"])),
            ),
        )
        for sample in samples
        if sample.targets["label"] != intervals.labels(None, len(card.targets["label"].classes))
    }
    if videos:
        yield "charades.json", intervals.render_annotations(videos)


def settle(sample: Sample, card: Card) -> Sample:
    """The nearest sample that the files can hold: as many seconds as frames."""
    return replace(sample, meta={**sample.meta, "seconds": sample.n_frames / card.fps})


def _between(fps: float, start: Number, end: Number) -> tuple[int, int]:
    """The first frame at or after a start, and at or after an end."""
    return int(np.ceil(start * fps - NEAR)), int(np.ceil(end * fps - NEAR))


def _described(path: str) -> tuple[str, Mapping[str, MetaValue]] | None:
    """A video by the name of its file; None for other names."""
    match = NAME.fullmatch(names.file_name(path))
    return None if match is None else (match["name"], {"take": match["name"]})


def _annotates(path: str) -> bool:
    """Whether a file annotates many videos."""
    return any(form.fullmatch(names.file_name(path)) for form in (MERGED, TABLES))


def _lists(raw: RawSource) -> list[str]:
    """The files that annotate all videos."""
    known = (path for ending in (".json", ".json.gz", ".csv") for path in names.members(raw, ending))
    return sorted(filter(_annotates, known))


def _videos(raw: RawSource, path: str, card: Card) -> Mapping[str, Video]:
    """The annotations of a file of many videos."""
    table = TABLES.fullmatch(names.file_name(path))
    classes, where = len(card.targets["label"].classes), raw.where(path)
    if table is None:
        return raw.once(path, partial(intervals.annotations, classes=classes, where=where))
    subset = intervals.SUBSETS[table["part"] == "test"]
    return raw.once(path, partial(_table, subset=subset, classes=classes, where=where))


def _table(data: bytes, subset: str, classes: int, where: str) -> Mapping[str, Video]:
    """The owner's table of one part: columns id, actions and length among others."""
    found = {}
    try:
        rows = csv.DictReader(StringIO(data.decode("utf-8-sig")), strict=True)
        for number, row in enumerate(rows, 2):
            name, said, length = (row.get(column) or "" for column in ("id", "actions", "length"))
            actions = [ACTION.fullmatch(one.strip()) for one in said.split(";") if one.strip()]
            wrong = [one for one in actions if one is None or int(one[1]) >= classes]
            if wrong or not re.fullmatch(r"\d{1,6}(\.\d{1,6})?", length.strip(), re.ASCII):
                raise RawFormatError(
                    f"{where}, line {number}: video {name[:20]!r}, length {length[:20]!r}, actions {said[:60]!r}; "
                    "expected seconds, and 'cNNN start end;...'."
                )
            told = tuple((int(one[1]), float(one[2]), float(one[3])) for one in actions if one)
            found[name] = Video(subset, float(length), told)
    except (UnicodeDecodeError, csv.Error) as error:
        raise RawFormatError(f"{where}: no table of text: {error}.") from error
    return found
