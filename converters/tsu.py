"""Toyota Smarthome Untrimmed: long videos with dense, overlapping actions, and LCR-Net's poses of each."""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from io import StringIO

import numpy as np

from skelbench.card import Card
from skelbench.errors import RawFormatError, nearest
from skelbench.formats import intervals, names, pose_files
from skelbench.formats.intervals import Number, Video
from skelbench.raw import RawItem, RawSource
from skelbench.sample import MetaValue, Sample

NAME = re.compile(
    r"(?:results_)?P(?P<subject>\d{2})T(?P<time>\d{2})C(?P<camera>\d{2})"
    r"(?:(?:_pose3d|_lcrnet\+v3d)?\.json|_LCRNet2d\.np[yz])",
    re.ASCII,
)
EXPECTED = "PNNTNNCNN.json (or results_*_lcrnet+v3d.json, _LCRNet2d.npz): person, time, camera"
LISTS = re.compile(r"(?:smarthome|TSU)_C[SV](?:_\d+)?\.json", re.ASCII)  # the owner's merged annotations
TABLE = re.compile(r"P\d{2}T\d{2}C\d{2}\.csv", re.ASCII)  # the owner's annotation of one video, which has the last word
HEADER = ("event", "start_frame", "end_frame")  # in any order, perhaps among others
FRAME = re.compile(r"\d{1,9}(\.0{1,9})?", re.ASCII)
ID = 9  # characters of a video's name

write = pose_files.write  # the actions are in the files of `write_shared`


def plan(raw: RawSource, card: Card) -> Iterator[RawItem]:
    """Name the videos of a source.

    Args:
        raw: A folder or archive with poses, annotations of single videos (`.csv`) or of all (`smarthome_CS_51.json`).
        card: Of the set.

    Yields:
        One item a video: its poses, then its annotations. Files with another name, and videos without poses, are
        rejects.

    Raises:
        RawFormatError: If an annotation of all videos is not what the format says.
    """
    lists = [path for path in names.members(raw, ".json") if LISTS.fullmatch(names.file_name(path))]
    tables = {names.stem(path): path for path in names.members(raw, ".csv") if TABLE.fullmatch(names.file_name(path))}
    listed = {name for path in lists for name in _videos(raw, path, card)} | tables.keys()
    yield from intervals.plan(
        pose_files.videos(raw, card, lists),
        {name: tables.get(name, *lists[:1]) for name in listed},
        describe=partial(_described, card=card),
        said=lambda name: [tables[name]] if name in tables else lists,
        expected=EXPECTED,
    )


def read(raw: RawSource, item: RawItem, card: Card) -> Sample:
    """Read one video.

    Args:
        raw: The source that was planned.
        item: A video of it.
        card: Joints and classes.

    Returns:
        The detections of every frame, in the detector's order and without identity. An action lasts from the frame
        after its start to the one before its end, within the video. Without an annotation every class is unknown.

    Raises:
        RawFormatError: If a file is not what the format says, or two annotations contradict each other.
    """
    said = [path for path in item.paths if path.lower().endswith(".csv") or LISTS.fullmatch(names.file_name(path))]
    video = _annotated(raw, item.sample_id, said, card)
    return intervals.sample(
        item,
        pose_files.parse(raw, [path for path in item.paths if path not in said], card),
        video,
        ends=_between,
        classes=len(card.targets["label"].classes),
        meta={} if video is None or video.duration < 0 else {"duration": int(video.duration)},
    )


def write_shared(samples: Iterable[Sample], card: Card) -> Iterator[tuple[str, bytes]]:
    """Write the annotations of all videos, once for each protocol as the owner does.

    Args:
        samples: Their poses are not needed.
        card: Its options hold the subjects and cameras of the test parts.

    Yields:
        Path and content of both files; videos whose classes are unknown are in neither.
    """
    known = [sample for sample in samples if -1 not in _labels_of(sample)]
    for protocol, column in (("CS", "subject"), ("CV", "camera")):
        held = card.options["test"][column]
        videos = {
            sample.sample_id: Video(
                intervals.SUBSETS[sample.meta[column] in held],
                int(sample.meta["duration"]),
                (
                    *((label, start - 1, end) for start, end, label in sample.segments),
                    *([(0, 0, 0)] * int(sample.meta["left_out"])),
                ),
            )
            for sample in known
        }
        if videos:
            yield f"smarthome_{protocol}_51.json", intervals.render_annotations(videos)


def settle(sample: Sample, card: Card) -> Sample:
    """The nearest sample that the files can hold: one score a detection, annotated over its length.

    Args:
        sample: Any sample of the card's shape.
        card: Of the set.

    Returns:
        The score of the first joint at all joints; the duration is that of the poses.
    """
    return pose_files.settle(replace(sample, meta={**sample.meta, "duration": sample.n_frames}), card)


def _described(path: str, card: Card) -> tuple[str, Mapping[str, MetaValue]] | None:
    """A video and what the name of its file says; None for other names."""
    parts = names.numbers(NAME, path)
    if parts is None:
        return None
    name, (width, height) = names.file_name(path).removeprefix("results_")[:ID], card.options["image"]
    return name, {**parts, "take": name[:6], "width": width, "height": height}


def _labels_of(sample: Sample) -> tuple[int, ...]:
    """What occurs in a sample."""
    label = sample.targets["label"]
    return label if isinstance(label, tuple) else ()


def _between(start: Number, end: Number) -> tuple[int, int]:
    """Frames above a start and below an end: the owner's evaluation compares so."""
    return int(np.floor(start)) + 1, int(np.ceil(end))


def _videos(raw: RawSource, path: str, card: Card) -> Mapping[str, Video]:
    """The annotations of a file of all videos."""
    classes = len(card.targets["label"].classes)
    return raw.once(path, partial(intervals.annotations, classes=classes, where=raw.where(path)))


def _annotated(raw: RawSource, name: str, paths: Sequence[str], card: Card) -> Video | None:
    """What is said of a video; None where nothing is."""
    if paths and paths[0].lower().endswith(".csv"):
        return _table(raw.read(paths[0]), card, raw.where(paths[0]))
    said = {path: found for path in paths if (found := _videos(raw, path, card).get(name)) is not None}
    if len({video.actions for video in said.values()}) > 1:
        raise RawFormatError(f"{', '.join(map(raw.where, said))}: contradict each other on {name}.")
    return next(iter(said.values()), None)


def _table(data: bytes, card: Card, where: str) -> Video:
    """The annotation of one video, whose duration it does not say."""
    classes, actions = card.targets["label"].classes, []
    try:
        rows = list(csv.reader(StringIO(data.decode("utf-8-sig")), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise RawFormatError(f"{where}: no table of text: {error}.") from error
    header = [name.strip() for name in rows[0]] if rows else []
    if not {*HEADER} <= {*header}:
        raise RawFormatError(f"{where}: the first line is {str(rows[:1])[:80]}, expected {','.join(HEADER)}.")
    for number, row in enumerate(rows[1:], 2):
        if not row:
            continue
        here = f"{where}, line {number}"
        event, *frames = (row[header.index(name)].strip() if len(row) == len(header) else "" for name in HEADER)
        if not all(map(FRAME.fullmatch, frames)):
            raise RawFormatError(f"{here}: {str(row)[:80]}, expected {','.join(HEADER)} with whole frames.")
        if event not in classes:
            raise RawFormatError(f"{here}: event {event[:40]!r}. {nearest(event[:40], classes)}")
        actions.append((classes.index(event), float(frames[0]), float(frames[1])))
    return Video(intervals.SUBSETS[0], -1.0, tuple(actions))
