"""What Gym99 and Gym288 share: the official element lists, and the poses of others that are joined with them.

A list has a line `<id> <label>` for each element. An id is `<video>_E_<from>_<to>_A_<from>_<to>`: the video, the
event's seconds in it, and the element's seconds in the event; one copy of the poses leaves out the letters.

Source: SDOlivia/FineGym, README.md; jhong93/vpd, finegym/util.py.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from skelbench.card import Card
from skelbench.errors import RawFormatError
from skelbench.formats import lists, names, numpy_files, pyskl
from skelbench.raw import RawItem, RawSource
from skelbench.sample import Sample

ELEMENT = re.compile(
    r"(?P<video>[\w-]{11})_E_(?P<event>\d{6})_(?P<event_end>\d{6})_A_(?P<action>\d{4})_(?P<action_end>\d{4})", re.ASCII
)
BARE = re.compile(r"([\w-]{11})_(\d{6}_\d{6})_(\d{4}_\d{4})", re.ASCII)
_POSES = (".pkl", ".npz", ".npy")


@dataclass(frozen=True)
class _Listed:
    """What the lists say of one element."""

    list: str  # the first that names it
    label: int
    path: str


def plan(raw: RawSource, card: Card) -> Iterator[RawItem]:
    """Join the official lists with the poses of a source.

    Args:
        raw: The lists, plain or gzipped, and beside them an annotation pickle, or a folder of files that are named
            as elements are: `.pkl` with one annotation, `.npz` or `.npy`.
        card: Its `options.lists` hold the file of each list, those of the first kind first.

    Yields:
        An item for each element that has poses, and rejects: elements listed without poses, poses of no listed one.

    Raises:
        RawFormatError: If a list or pickle is damaged, or lists contradict each other.
    """
    listed, posed = _listed(raw, card), set[str]()
    for path in sorted(path for suffix in _POSES for path in names.members(raw, suffix)):
        single = canonical(names.stem(path))
        found = [single] if ELEMENT.fullmatch(single) else _names(raw, path)
        for sample_id in found:
            posed.add(sample_id)
            yield _item(sample_id, path, listed.get(sample_id))
    for sample_id in sorted(listed.keys() - posed):
        reject = f"in the list '{listed[sample_id].list}', but without poses"
        yield RawItem(sample_id, (listed[sample_id].path,), reject=reject)


def read(raw: RawSource, item: RawItem, card: Card) -> Sample:
    """Read one element.

    Args:
        raw: The source that was planned.
        item: An element of it.
        card: Joints and channels.

    Returns:
        One pose a frame, in pixels of the video; a joint of which coordinates and score are zero is NaN.

    Raises:
        RawFormatError: If the file is not what the format says, or its label is not that of the list.
    """
    (path,) = item.paths
    where = f"{raw.where(path)}, '{item.sample_id}'"
    clip = _clip(raw, path, item.sample_id, card, where)
    label = int(item.meta["label"])
    if clip.label not in (-1, label):
        raise RawFormatError(f"{where}: 'label' is {clip.label}, {label} in the list '{item.meta['list']}'.")
    if clip.person.any():
        raise RawFormatError(f"{where}: {int(clip.person.max()) + 1} persons, expected the athlete alone.")
    meta = {name: value for name, value in item.meta.items() if name != "label"}
    return Sample(
        sample_id=item.sample_id,
        n_frames=clip.n_frames,
        frame=clip.frame,
        person=np.full(len(clip.frame), -1, np.int64),
        keypoints=clip.keypoints,
        score=clip.score,
        targets={"label": label},
        segments=(),
        meta={**meta, "width": clip.size[0], "height": clip.size[1]},
    )


def write(sample: Sample, card: Card) -> Iterator[tuple[str, bytes]]:
    """Write an element as an annotation pickle of its own, the inverse of `read` with the lists of `write_shared`.

    Args:
        sample: At most one pose in a frame.
        card: Its `options.folder` names the folder of poses.

    Yields:
        The path and content of one file; numbers are float32, where published files have float16.

    Raises:
        ValueError: If a frame has two poses.
    """
    if len(np.unique(sample.frame)) < len(sample.frame):
        raise ValueError(f"{sample.sample_id}: an element of this set has one pose in a frame.")
    size = int(sample.meta["width"]), int(sample.meta["height"])
    entry = pyskl.entry(sample, label=int(str(sample.targets["label"])), size=size, half=False)
    part = "val" if sample.meta["list"] == "val" else "train"
    yield f"{card.options['folder']}/{sample.sample_id}.pkl", pyskl.render([entry], {part: [sample.sample_id]})


def write_shared(samples: Iterable[Sample], card: Card) -> Iterator[tuple[str, bytes]]:
    """Write the official lists of samples; a later list of the training part holds the earlier ones too.

    Args:
        samples: Of the twin.
        card: Its `options.lists` hold the file of each list.

    Yields:
        Path and content of every list.
    """
    lines: dict[str, list[str]] = {name: [] for name in card.options["lists"]}
    for sample in samples:
        own = str(sample.meta["list"])
        for name in [own] if own == "val" else list(lines)[list(lines).index(own) : -1]:
            lines[name].append(f"{sample.sample_id} {sample.targets['label']}\n")
    for name, file in card.options["lists"].items():
        yield file, "".join(lines[name]).encode("ascii")


def canonical(name: str) -> str:
    """An element's official id; any other name is left as it is.

    Args:
        name: As a copy of the poses has it, perhaps with a folder, or without the letters E and A.

    Returns:
        Such as `A0xAXXysHUo_E_002184_002237_A_0035_0036`.
    """
    bare = BARE.fullmatch(names.file_name(name))
    return f"{bare[1]}_E_{bare[2]}_A_{bare[3]}" if bare else names.file_name(name)


def _item(sample_id: str, path: str, listed: _Listed | None) -> RawItem:
    """The item of an element that has poses."""
    parts = ELEMENT.fullmatch(sample_id)
    if listed is None or parts is None:
        return RawItem(sample_id, (path,), reject=f"in '{names.file_name(path)}', but in no element list")
    meta = {
        "video": parts["video"],
        "take": sample_id[: parts.end("event_end")],
        "event": int(parts["event"]),
        "action": int(parts["action"]),
        "list": listed.list,
        "label": listed.label,
    }
    return RawItem(sample_id, (path,), meta)


def _listed(raw: RawSource, card: Card) -> dict[str, _Listed]:
    """What the lists say of every element."""
    found: dict[str, _Listed] = {}
    for name, file in card.options["lists"].items():
        for path in [path for path in names.members(raw, "") if names.file_name(path) in (file, f"{file}.gz")]:
            for sample_id, label in _lines(raw, path, len(card.targets["label"].classes)):
                known = found.setdefault(sample_id, _Listed(name, label, path))
                across = known.list != name and "val" in (known.list, name)
                if known.label != label or across:
                    raise RawFormatError(
                        f"{raw.where(path)}: '{sample_id}' has label {label}, but {known.label} in the list "
                        f"'{known.list}'; no element is in a training list and that of the validation."
                    )
    return found


def _lines(raw: RawSource, path: str, classes: int) -> Iterator[tuple[str, int]]:
    """Ids and labels of one list."""
    where = raw.where(path)
    for number, line in enumerate(lists.lines(raw, path), 1):
        fields = line.split()
        if not fields:
            continue
        good = len(fields) == 2 and ELEMENT.fullmatch(fields[0]) and fields[1].isdecimal() and len(fields[1]) < 5
        if not good or int(fields[1]) >= classes:
            raise RawFormatError(
                f"{where}, line {number}: {line[:80]!r}, expected '<video>_E_<from>_<to>_A_<from>_<to> <label>' with "
                f"a label of 0 to {classes - 1}."
            )
        yield fields[0], int(fields[1])


def _names(raw: RawSource, path: str) -> list[str]:
    """The official ids of a pickle's annotations, or its own name where it is no pickle of several."""
    if not path.lower().endswith(".pkl"):
        return [names.stem(path)]
    return [name for name, _ in _annotations(raw, path).entries]


def _annotations(raw: RawSource, path: str) -> pyskl.Annotations:
    """A pickle of annotations, their ids the official ones."""

    def parse(data: bytes) -> pyskl.Annotations:
        """Parse, once a process."""
        found = pyskl.parse(data, raw.where(path))
        entries = tuple((canonical(name), entry) for name, entry in found.entries)
        return pyskl.Annotations(found.parts, entries, dict(reversed(entries)))

    return raw.once(path, parse)


def _clip(raw: RawSource, path: str, sample_id: str, card: Card, where: str) -> pyskl.Clip:
    """The poses of one element."""
    joints, channels = len(card.layout.joints), len(card.channels)
    entry: Mapping[str, Any] | None
    if path.lower().endswith(".pkl"):
        single = canonical(names.stem(path)) == sample_id
        found = pyskl.parse(raw.read(path), raw.where(path)) if single else _annotations(raw, path)
        by_name = {canonical(name): entry for name, entry in found.by_name.items()} if single else found.by_name
        entry = by_name.get(sample_id)
    else:
        entry = _entry_of(raw.read(path), path.lower().endswith(".npz"), channels, where)
    if entry is None:
        raise RawFormatError(f"{where}: no annotation of that id.")
    return pyskl.clip(entry, joints, channels, where)


def _entry_of(data: bytes, archive: bool, channels: int, where: str) -> dict[str, Any]:
    """One's own pose file as an entry: (frames, joints, 2 or 3) or with an axis of one person; the third is a score."""
    arrays = numpy_files.npz(data, where) if archive else {"keypoint": numpy_files.npy(data, where)}
    keypoint = arrays.get("keypoint", next(iter(arrays.values()))) if arrays else np.zeros(0)
    score = arrays.get("keypoint_score")
    keypoint = keypoint[None] if keypoint.ndim == 3 else keypoint
    score = score[None] if score is not None and score.ndim == 2 else score
    if score is None and keypoint.ndim == 4 and keypoint.shape[3] == channels + 1:
        keypoint, score = keypoint[..., :channels], keypoint[..., channels]
    return {"keypoint": keypoint, "keypoint_score": score}
