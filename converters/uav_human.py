"""UAV-Human: 2-D joints seen from the air, one text file a clip, everything but the coordinates in its name."""

import re
from collections.abc import Iterator

import numpy as np

from skelbench.card import Card
from skelbench.formats import names, uav_text
from skelbench.raw import RawItem, RawSource
from skelbench.sample import Sample

NAME = re.compile(
    r"P(?P<subject>\d{3})S(?P<setup>\d{2})G(?P<gender>\d{2})B(?P<bag>\d{2})H(?P<hat>\d{2})UC(?P<upper>\d{6})"
    r"LC(?P<lower>\d{6})A(?P<action>\d{3})R(?P<replication>\d)_(?P<time>\d{8})\.txt",
    re.ASCII,
)
ANONYMOUS = re.compile(r"\d{4,5}\.txt", re.ASCII)
EXPECTED = "PpppSssGggBbbHhhUCuuuuuuLCllllllAaaaRr_MMDDhhmm.txt"
OTHERS = re.compile(r"(read_?me|licen[cs]e).*", re.IGNORECASE)


def plan(raw: RawSource, card: Card) -> Iterator[RawItem]:
    """Name the clips of a source.

    Args:
        raw: A folder or archive of `.txt` files.
        card: Its `options.subjects` is one more than the greatest number of a subject.

    Yields:
        One item a file; files with another name, subject or action are rejects.
    """
    classes = len(card.targets["label"].classes)
    for path in names.members(raw, ".txt"):
        sample_id = names.stem(path)
        if OTHERS.fullmatch(sample_id):
            continue
        parts = names.numbers(NAME, path)
        if parts is None:
            reject = f"the name '{sample_id}' is not {EXPECTED}"
            if ANONYMOUS.fullmatch(names.file_name(path)):
                reject += "; the competition's test files have numbers for names, and no label"
            yield RawItem(sample_id, (path,), reject=reject)
            continue
        reject = ""
        if parts["action"] >= classes:
            reject = f"action {parts['action']}, expected 0 to {classes - 1}"
        elif parts["subject"] >= card.options["subjects"]:
            reject = f"subject {parts['subject']}, expected 0 to {card.options['subjects'] - 1}"
        yield RawItem(sample_id, (path,), {**parts, "take": sample_id}, reject or None)


def read(raw: RawSource, item: RawItem, card: Card) -> Sample:
    """Read one clip.

    Args:
        raw: The source that was planned.
        item: A clip of it.
        card: Joints.

    Returns:
        Bodies in file order, in pixels and without identity; the label is the action of the name.

    Raises:
        RawFormatError: If the file is not what the format says.
    """
    (path,) = item.paths
    clip = uav_text.parse(raw.read(path), len(card.layout.joints), raw.where(path))
    width, height = card.options["image"]
    meta = {**item.meta, "width": width, "height": height}
    return Sample(
        sample_id=item.sample_id,
        n_frames=clip.n_frames,
        frame=clip.frame,
        person=np.full(len(clip.frame), -1, np.int64),
        keypoints=clip.keypoints,
        score=None,
        targets={"label": int(meta.pop("action"))},
        segments=(),
        meta=meta,
    )


def write(sample: Sample, card: Card) -> Iterator[tuple[str, bytes]]:
    """Write a clip as its owner would, the inverse of `read`.

    Args:
        sample: A clip.
        card: Its `options.folder` names the folder in the archive.

    Yields:
        The path and content of one file.

    Raises:
        ValueError: If the text cannot say what the sample holds.
    """
    clip = uav_text.PlaneClip(sample.n_frames, sample.frame, sample.keypoints)
    yield f"{card.options['folder']}/{sample.sample_id}.txt", uav_text.render(clip)
