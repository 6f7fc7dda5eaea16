"""PKU-MMD: for each video a text of bodies, 150 numbers a frame, and a list of actions in a text of the same name."""

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Float32

from skelbench.card import Card
from skelbench.errors import RawFormatError
from skelbench.formats import names, number_rows
from skelbench.raw import RawItem, RawSource
from skelbench.sample import MetaValue, Sample, Segment

BODIES = 2
CONFIDENCE = 2  # of the annotators, the surest; not kept
_LISTS = re.compile(r"(cross[-_](subject|view)(_v2)?|readme.*)\.txt", re.ASCII | re.IGNORECASE)
_WHOLE = re.compile(rb"-?\d{1,9}", re.ASCII)
_FIELDS = range(3, 5)  # action, start, end, and perhaps a confidence
_BETWEEN = re.compile(rb"[,;]|\s+")  # the owners' lists have commas; copies have been seen with blanks


def plan(raw: RawSource, pattern: re.Pattern[str], expected: str) -> Iterator[tuple[RawItem, re.Match[str] | None]]:
    """Pair the texts of a source by their names; what lies in a folder of labels is a list of actions.

    Args:
        raw: A folder or archive; the owner's lists of videos may lie in it.
        pattern: Of a video's name.
        expected: The same in words.

    Yields:
        An item a video with its bodies first and its meta still empty, and the parts of its name. Names of another
        form and labels without bodies are rejects.
    """
    bodies, labels = dict[str, list[str]](), dict[str, list[str]]()
    for path in names.members(raw, ".txt"):
        if not _LISTS.fullmatch(names.file_name(path)):
            labelled = "label" in path.rpartition("/")[0].lower()
            (labels if labelled else bodies).setdefault(names.stem(path), []).append(path)
    for name in sorted(bodies.keys() | labels.keys()):
        paths = (*bodies.get(name, ()), *labels.get(name, ()))
        parts = pattern.fullmatch(name)
        reject = None if parts else f"the name '{name}' is not {expected}"
        if name not in bodies and parts:
            reject = "a list of actions without a text of bodies"
        elif len(paths) > BODIES or len(bodies.get(name, ())) > 1:
            reject = f"{len(paths)} files of this name: {', '.join(paths[:4])}"
        yield RawItem(name, paths, reject=reject), parts


def read(raw: RawSource, item: RawItem, card: Card) -> Sample:
    """Read one video.

    Args:
        raw: The source that was planned.
        item: A video of it, its meta complete but for `left_out`.
        card: Joints; its `options` hold `codes`, the owner's number of each class, and `first`, the number of the first
            frame.

    Returns:
        Poses in metres without ids, in the order of the bodies; where only the second body is there, the first is a
        pose without a joint. Without a list of actions every class is unknown.

    Raises:
        RawFormatError: If a file is not what the format says.
    """
    where = raw.where(item.paths[0])
    joints = len(card.layout.joints)
    values = number_rows.rows(raw.read(item.paths[0]), BODIES * joints * 3, where).reshape(-1, BODIES, joints, 3)
    frame, keypoints = _poses(values)
    known, left_out, segments = -1, 0, tuple[Segment, ...]()
    if len(item.paths) > 1:
        segments, left_out = _segments(raw.read(item.paths[1]), card, len(values), raw.where(item.paths[1]))
        known = 0
    shown = {label for _, _, label in segments}
    classes = len(card.targets["label"].classes)
    return Sample(
        sample_id=item.sample_id,
        n_frames=len(values),
        frame=frame,
        person=np.full(len(frame), -1, np.int64),
        keypoints=keypoints,
        score=None,
        targets={"label": tuple(1 if label in shown else known for label in range(classes))},
        segments=segments,
        meta={**item.meta, "left_out": left_out},
    )


def write(sample: Sample, card: Card) -> Iterator[tuple[str, bytes]]:
    """Write a video's bodies and its actions, the inverse of `read`; a missing coordinate is `nan`.

    Args:
        sample: At most two poses a frame, of which the first may lack all joints if there is a second.
        card: Its `options` as in `read`, and the folders of both files.

    Yields:
        The path and content of each file; the list of actions only where classes are known.

    Raises:
        ValueError: If the files cannot say what the sample holds.
    """
    joints = len(card.layout.joints)
    nth = np.arange(len(sample.frame)) - np.searchsorted(sample.frame, sample.frame)
    empty = np.isnan(sample.keypoints).all(axis=(1, 2))
    alone = np.append(np.diff(sample.frame) != 0, True)[: len(nth)]
    zero = (sample.keypoints == 0).all(axis=(1, 2))
    if (nth >= BODIES).any() or (empty & (alone | (nth > 0))).any() or zero.any():
        raise ValueError(f"{sample.sample_id}: a frame of this set has at most two bodies, and a body has a joint.")
    values = np.zeros((sample.n_frames, BODIES, joints, 3), np.float32)
    values[sample.frame[~empty], nth[~empty]] = sample.keypoints[~empty]
    content = number_rows.text(values.reshape(sample.n_frames, -1))
    yield f"{card.options['folder']}/{sample.sample_id}.txt", content
    label = sample.targets["label"]
    if isinstance(label, tuple) and -1 not in label:
        codes, first = card.options["codes"], card.options["first"]
        lines = [(codes[label], start + first, end + first) for start, end, label in sample.segments]
        if sample.meta[
            "left_out"
        ]:  # the owner's lists have both: rows that name the end first, and rows without a frame
            lines = [(code, end, start) for code, start, end in lines[:1]] + lines[1:]
            lines += [(codes[0], first, first)] * int(sample.meta["left_out"])
        said = "".join(f"{code},{start},{end},{CONFIDENCE}\n" for code, start, end in lines)
        yield f"{card.options['labels']}/{sample.sample_id}.txt", (said or "\n").encode()


def meta_of(parts: re.Match[str], whole: Sequence[str], take: str) -> Mapping[str, MetaValue]:
    """The numbers of a name, its camera, and its take."""
    return {**{name: int(parts[name]) for name in whole}, "camera": parts["camera"], "take": take}


def _poses(
    values: Float32[np.ndarray, "frames bodies joints 3"],
) -> tuple[np.ndarray, Float32[np.ndarray, "poses joints 3"]]:
    """The bodies that are there; a first one that is not, before a second one that is, without a joint."""
    there = ~(values == 0).all(axis=(2, 3))
    held = there.copy()
    held[:, 0] |= there[:, 1]
    frame = np.repeat(np.arange(len(values), dtype=np.uint32), held.sum(axis=1))
    keypoints = values[held]
    keypoints[~there[held]] = np.nan
    return frame, keypoints


def _segments(data: bytes, card: Card, frames: int, where: str) -> tuple[tuple[Segment, ...], int]:
    """The actions of a list, within the video, and how many lie outside it or last no frame."""
    if not data:
        raise RawFormatError(f"{where}: an empty file; a video without an action has an empty line.")
    codes, first = card.options["codes"], card.options["first"]
    found, left_out = list[Segment](), 0
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").splitlines()):
        fields = _BETWEEN.split(re.sub(rb"\s*([,;])\s*", rb"\1", line.strip()))
        if fields == [b""]:
            continue
        if len(fields) not in _FIELDS or not all(_WHOLE.fullmatch(field) for field in fields):
            raise RawFormatError(
                f"{where}, line {number + 1}: {line[:60]!r}, expected action,start,end,confidence in whole numbers."
            )
        code, *ends = (int(field) for field in fields[:3])
        if code not in codes:
            raise RawFormatError(f"{where}, line {number + 1}: action {code}, which this set does not have.")
        start, end = (min(max(one - first, 0), frames) for one in sorted(ends))  # some rows name the end first
        if start < end:
            found.append((start, end, codes.index(code)))
        else:
            left_out += 1
    return tuple(found), left_out
