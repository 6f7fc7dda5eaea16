"""Kinetics-Skeleton: OpenPose on the videos of Kinetics-400, one JSON file a clip, as ST-GCN's authors hand it out."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from skelbench.card import Card
from skelbench.errors import RawFormatError
from skelbench.formats import label_json, names, openpose
from skelbench.formats.label_json import Entry, Labels
from skelbench.raw import RawItem, RawSource
from skelbench.sample import MetaValue, Sample

NAME = re.compile(r"[\w-]{11}\.json", re.ASCII)
PREFIX = "kinetics"  # of the names of label files and folders


def plan(raw: RawSource, card: Card) -> Iterator[RawItem]:
    """Name the clips of a source, and those that its label files list without one.

    Args:
        raw: A folder or archive of `kinetics_train/*.json` and `kinetics_val/*.json`, with or without the label files.
        card: Of the set.

    Yields:
        One item a clip. Rejects are clips with another name or of no known part, those that the label file of their
        part says have no skeleton or does not know, and entries of a label file whose clip is missing.

    Raises:
        RawFormatError: If a label file is damaged.
    """
    listed = label_json.read(raw, PREFIX)
    lists = {labels.path for labels in listed.values()}
    found: set[str] = set()
    for path in names.members(raw, ".json"):
        if path in lists:
            continue
        sample_id = names.stem(path)
        part = label_json.part_of(path, sample_id, listed)
        found.add(sample_id)
        meta: dict[str, MetaValue] = {"part": part, "take": sample_id} if part else {}
        entry = listed[part].entries.get(sample_id) if part in listed else None
        if entry is not None:
            meta["label"] = entry.index  # for `read`, and to spread a limit over
        yield RawItem(sample_id, (path,), meta, _reject(path, part, listed))
    for labels in listed.values():
        for sample_id, entry in labels.entries.items():
            if sample_id not in found:
                said = "with a skeleton, but there is no file of it" if entry.has_skeleton else "without a skeleton"
                yield RawItem(sample_id, (labels.path,), reject=f"listed {said}")


def read(raw: RawSource, item: RawItem, card: Card) -> Sample:
    """Read one clip.

    Args:
        raw: The source that was planned.
        item: A clip of it.
        card: Joints and classes; its `options.most_frames` bounds a clip.

    Returns:
        The people of every frame, in OpenPose's order and without identity; frames are counted from 0. A joint that
        was not found is NaN with a score of 0.

    Raises:
        RawFormatError: If the file is not what the format says, or contradicts the class list or its label file.
    """
    (path,) = item.paths
    where, classes = raw.where(path), card.targets["label"].classes
    found = openpose.parse_kinetics(raw.read(path), len(card.layout.joints), where, most=card.options["most_frames"])
    if not 0 <= found.index < len(classes) or classes[found.index] != found.label:
        raise RawFormatError(
            f"{where}: 'label_index' {str(found.index)[:20]} is not '{found.label[:40]}' in the list of "
            f"{len(classes)} classes."
        )
    listed = item.meta.get("label", found.index)
    if listed != found.index:
        raise RawFormatError(f"{where}: 'label_index' is {found.index}, but {listed} in the label file of its part.")
    people = found.detections
    return Sample(
        sample_id=item.sample_id,
        n_frames=people.n_frames,
        frame=people.frame,
        person=people.person,
        keypoints=people.keypoints,
        score=people.score,
        targets={"label": found.index},
        segments=(),
        meta={name: value for name, value in item.meta.items() if name != "label"},
    )


def write(sample: Sample, card: Card) -> Iterator[tuple[str, bytes]]:
    """Write a clip as one JSON file, the inverse of `read`.

    Args:
        sample: People without identity in the order of their frames; a joint of score 0 is NaN.
        card: Names of the classes.

    Yields:
        The path and content of one file.

    Raises:
        ValueError: If the file cannot say what the sample holds.
    """
    if sample.score is None or (sample.person != -1).any():
        raise ValueError(f"{sample.sample_id}: people of this set have a score and no identity.")
    index = int(str(sample.targets["label"]))
    label = card.targets["label"].classes[index], index
    content = openpose.render_kinetics(sample.n_frames, sample.frame, sample.keypoints, sample.score, label)
    yield f"{card.options['folder']}/{PREFIX}_{sample.meta['part']}/{sample.sample_id}.json", content


def write_shared(samples: Iterable[Sample], card: Card) -> Iterator[tuple[str, bytes]]:
    """Write the label files of all parts.

    Args:
        samples: Of the set, without their poses.
        card: Names of the classes.

    Yields:
        Paths and contents.
    """
    classes = card.targets["label"].classes
    parts: dict[str, list[tuple[str, Entry]]] = {}
    for sample in samples:
        index = int(str(sample.targets["label"]))
        entry = Entry(index, classes[index], card.synth is None or sample.sample_id not in card.synth.refused)
        parts.setdefault(str(sample.meta["part"]), []).append((sample.sample_id, entry))
    for part, entries in parts.items():
        yield f"{card.options['folder']}/{PREFIX}_{part}_label.json", label_json.render(entries)


def settle(sample: Sample, card: Card) -> Sample:
    """The nearest sample that the files can hold: OpenPose finds a joint, or gives it no confidence at all.

    Args:
        sample: Any sample of the card's shape.
        card: Its `options.found` is the confidence below which a made-up joint counts as not found.

    Returns:
        NaN and a score of 0 where the confidence is below that.
    """
    if sample.score is None:
        return sample
    lost = sample.score < card.options["found"]
    keypoints, score = sample.keypoints.copy(), sample.score.copy()
    keypoints[lost], score[lost] = np.nan, 0
    return replace(sample, keypoints=keypoints, score=score)


def _reject(path: str, part: str, listed: Mapping[str, Labels]) -> str | None:
    """Why a clip is not read."""
    sample_id = names.stem(path)
    if not NAME.fullmatch(names.file_name(path)):
        return f"the name '{sample_id}' is not the 11 characters of a video"
    if not part:
        return "neither in a folder *_train or *_val, nor in a label file"
    if part not in listed:
        return None
    entry = listed[part].entries.get(sample_id)
    if entry is None:
        return f"not in the list {names.file_name(listed[part].path)}"
    return None if entry.has_skeleton else "listed without a skeleton"
