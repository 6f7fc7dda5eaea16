"""What sets have in common whose poses are LCR-Net's JSON and whose labels stand in files of their own."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np

from skelbench.card import Card, TargetCard
from skelbench.errors import RawFormatError
from skelbench.formats import lcrnet
from skelbench.formats.label_json import Entry, Labels
from skelbench.formats.names import file_name
from skelbench.raw import RawItem, RawSource
from skelbench.sample import Sample

CLASSES = "classes.txt"  # names of the classes, one a line
_LONGEST = 200  # characters of a name


def with_classes(raw: RawSource, card: Card) -> Card:
    """Name the classes of the first target after `classes.txt`, where the source has one.

    Args:
        raw: The source.
        card: Its first target has numbers for names.

    Returns:
        The card with these names, as many as there are.

    Raises:
        RawFormatError: If the list is empty, names more classes than the card has, or one of them twice.
    """
    found = [path for path in raw.paths if file_name(path) == CLASSES]
    if not found:
        return card
    where, (name, target) = raw.where(found[0]), next(iter(card.targets.items()))
    try:
        lines = [line.strip() for line in raw.read(found[0]).decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise RawFormatError(f"{where}: byte {error.start} is not UTF-8.") from error
    while lines and not lines[-1]:
        lines.pop()
    if not 0 < len(lines) <= len(target.classes) or len(set(lines)) < len(lines):
        raise RawFormatError(
            f"{where}: {len(lines)} lines, {len(set(lines))} of them different; expected the names of at most "
            f"{len(target.classes)} classes, one a line, none twice."
        )
    if not all(0 < len(line) <= _LONGEST and line.isprintable() for line in lines):
        raise RawFormatError(f"{where}: a line is empty, longer than {_LONGEST} characters, or cannot be printed.")
    # classes that the list leaves out keep their numbers
    names = (*lines, *target.classes[len(lines) :])
    named = TargetCard.model_validate({**target.model_dump(), "classes": names, "source": f"{CLASSES} of the raw data"})
    return card.model_copy(update={"targets": {**card.targets, name: named}})


def problem(entry: Entry, card: Card) -> str | None:
    """Why a clip is not read, by its entry in the label file."""
    count = len(next(iter(card.targets.values())).classes)
    if not entry.has_skeleton:
        return "listed without a skeleton"
    return None if entry.index < count else f"label {str(entry.index)[:20]}, expected 0 to {count - 1}"


def without_file(labels: Labels, found: set[str]) -> Iterator[RawItem]:
    """The videos of a label file of which there is no clip, as rejects."""
    for video, entry in labels.entries.items():
        if video not in found:
            said = "with a skeleton, but there is no file of it" if entry.has_skeleton else "without a skeleton"
            yield RawItem(video, (labels.path,), reject=f"listed {said}")


def read(raw: RawSource, item: RawItem, card: Card) -> Sample:
    """Read one clip whose label the plan has put among its meta.

    Raises:
        RawFormatError: If the file is not what the format says.
    """
    path = item.paths[0]
    found = lcrnet.parse(raw.read(path), len(card.layout.joints), raw.where(path))
    return Sample(
        sample_id=item.sample_id,
        n_frames=found.n_frames,
        frame=found.frame,
        person=found.person,
        keypoints=found.keypoints,
        score=found.score,
        targets={"label": int(item.meta["label"])},
        segments=(),
        meta={name: value for name, value in item.meta.items() if name != "label"},
    )


def render(sample: Sample) -> bytes:
    """The file of one clip.

    Raises:
        ValueError: If the file cannot say what the sample holds.
    """
    if sample.score is None or (sample.person != -1).any():
        raise ValueError(f"{sample.sample_id}: detections of this set have a score and no identity.")
    return lcrnet.render(sample.n_frames, sample.frame, sample.keypoints, sample.score)


def entries(
    samples: Iterable[Sample], card: Card, video: Callable[[Sample], str]
) -> dict[str, list[tuple[str, Entry]]]:
    """What the label files say of samples, by part; those that a twin's card refuses are listed without a skeleton."""
    refused = card.synth.refused if card.synth else ()
    parts: dict[str, list[tuple[str, Entry]]] = {}
    for sample in samples:
        entry = Entry(int(str(sample.targets["label"])), "", sample.sample_id not in refused)
        parts.setdefault(str(sample.meta["part"]), []).append((video(sample), entry))
    return parts


def settle(sample: Sample) -> Sample:
    """The nearest sample that the files can hold: the score of the first joint at all joints."""
    if sample.score is None:
        return sample
    return replace(sample, score=np.repeat(sample.score[:, :1], sample.score.shape[1], axis=1))
