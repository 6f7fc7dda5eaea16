"""Untrimmed videos: who does what from when to when, and one file of poses a video by some detector.

The annotation is the JSON of the detection papers: `{video: {"subset", "duration", "actions": [[class, start, end]]}}`.
"""

import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeGuard

from skelbench.errors import RawFormatError
from skelbench.formats import detections, names, openpose, strict_json
from skelbench.formats.detections import Detections
from skelbench.raw import RawItem
from skelbench.sample import MetaValue, Sample, Segment

Number: TypeAlias = int | float
Action: TypeAlias = tuple[int, Number, Number]  # class, start, end, as they stand in the file
SUBSETS = ("training", "testing")
_LARGEST = 256 << 20  # bytes of an annotation; packed ones are not read beyond
_MOST = 1e9  # a start or end, frames or seconds


@dataclass(frozen=True)
class Video:
    """What is said of one video."""

    subset: str
    duration: Number
    actions: tuple[Action, ...]


def annotations(data: bytes, classes: int, where: str) -> Mapping[str, Video]:
    """Read the actions of all videos.

    Args:
        data: The file, packed by gzip or not.
        classes: How many there are.
        where: Name of the file, for messages.

    Returns:
        What is said of each video.

    Raises:
        RawFormatError: If the file is not what the format says, naming the video.
    """
    found = {}
    for name, entry in strict_json.load(unpacked(data, where), where).items():
        here = f"{where}, video {name[:40]!r}"
        if not isinstance(entry, dict):
            raise RawFormatError(f"{here}: {strict_json.kind(entry)}, expected an object.")
        subset, duration = strict_json.field(entry, "subset", str, here), entry.get("duration")
        if subset not in SUBSETS or not _is_number(duration):
            raise RawFormatError(
                f"{here}: 'subset' is {subset[:40]!r}, 'duration' {str(duration)[:40]}, expected one of "
                f"{', '.join(SUBSETS)}, and a number."
            )
        actions = []
        for action in strict_json.field(entry, "actions", list, here):
            right = type(action) is list and len(action) == 3 and all(map(_is_number, action))
            if not right or type(action[0]) is not int or not 0 <= action[0] < classes:
                raise RawFormatError(
                    f"{here}: the action {str(action)[:60]}, expected [class, start, end] with a class below {classes}."
                )
            actions.append((action[0], action[1], action[2]))
        found[name] = Video(subset, duration, tuple(actions))
    return found


def render_annotations(videos: Mapping[str, Video]) -> bytes:
    """Write what `annotations` reads."""
    said = {
        name: {"subset": one.subset, "duration": one.duration, "actions": [list(action) for action in one.actions]}
        for name, one in videos.items()
    }
    return json.dumps(said, allow_nan=False).encode("ascii")


def unpacked(data: bytes, where: str) -> bytes:
    """The content of a file that may be packed by gzip.

    Raises:
        RawFormatError: If it is damaged, or larger than any annotation.
    """
    if not data.startswith(b"\x1f\x8b"):
        return data
    reader = zlib.decompressobj(wbits=31)
    try:
        found = reader.decompress(data, _LARGEST)
    except zlib.error as error:
        raise RawFormatError(f"{where}: damaged gzip: {error}.") from error
    if not reader.eof:
        raise RawFormatError(f"{where}: a cut gzip, or one of more than {_LARGEST >> 20} MB.")
    return found


def segments(
    actions: Iterable[Action], ends: Callable[[Number, Number], tuple[int, int]], n_frames: int
) -> tuple[tuple[Segment, ...], int]:
    """The actions of a video in frames, within the video.

    Args:
        actions: Class, start, end.
        ends: Gives the first frame of an action and the one after its last.
        n_frames: Frames of the video.

    Returns:
        Segments in the order of the file, and how many actions last no frame of the video.
    """
    found, left_out = list[Segment](), 0
    for label, *said in actions:
        start, end = (min(max(one, 0), n_frames) for one in ends(said[0], said[1]))
        if start < end:
            found.append((start, end, label))
        else:
            left_out += 1
    return tuple(found), left_out


def labels(found: Sequence[Segment] | None, classes: int) -> tuple[int, ...]:
    """Which classes occur; all unknown where nothing was annotated."""
    if found is None:
        return (-1,) * classes
    shown = {label for _, _, label in found}
    return tuple(int(label in shown) for label in range(classes))


def plan(
    files: Iterable[tuple[str, tuple[str, ...]]],
    listed: Mapping[str, str],
    *,
    describe: Callable[[str], tuple[str, Mapping[str, MetaValue]] | None],
    said: Callable[[str], Sequence[str]],
    expected: str,
) -> Iterator[RawItem]:
    """Name the videos of a source.

    Args:
        files: What the file of each video's poses is called, and its members; see `pose_files.videos`.
        listed: Videos that are annotated, and one member that says so.
        describe: Gives a video and its columns by the name of its file; None where that is no name of the set.
        said: The annotations to read with a video.
        expected: Names of the set, for people.

    Yields:
        One item a video: its poses, then its annotations. Files with another name, second files of a video, and
        annotated videos without poses are rejects.
    """
    found = set[str]()
    for path, members in files:
        described = describe(path)
        if described is None:
            frame = "; OpenPose's files, one a frame, need a card whose options.poses is 'openpose'"
            hint = frame if openpose.FILE.fullmatch(names.file_name(path)) else ""
            yield RawItem(names.stem(path), members, reject=f"the name '{names.stem(path)}' is not {expected}{hint}")
            continue
        name, meta = described
        twice = f"a second file of poses of {name}" if name in found else None
        found.add(name)
        yield RawItem(name, (*members, *said(name)), meta, twice)
    for name in sorted(listed.keys() - found):
        yield RawItem(name, (listed[name],), reject="annotated, but there is no file of its poses")


def sample(
    item: RawItem,
    found: Detections,
    video: Video | None,
    *,
    ends: Callable[[Number, Number], tuple[int, int]],
    classes: int,
    meta: Mapping[str, MetaValue],
) -> Sample:
    """Make a sample of a video's poses and of what is said of it.

    Args:
        item: Its name and columns.
        found: Its poses.
        video: Its actions; None where nobody annotated it, and every class is unknown.
        ends: Gives the first frame of an action and the one after its last.
        classes: How many there are.
        meta: Further columns.

    Returns:
        The sample; the column `left_out` counts actions that last no frame of the video.
    """
    shown, left_out = segments(video.actions if video else (), ends, found.n_frames)
    label = labels(shown if video else None, classes)
    columns = {**item.meta, "left_out": left_out, **meta}
    return detections.sample(item, found, {"label": label}, segments=shown, meta=columns)


def _is_number(value: object) -> TypeGuard[Number]:
    """Whether a value of JSON is a number of sensible size."""
    return (type(value) is int or isinstance(value, float)) and abs(value) < _MOST
