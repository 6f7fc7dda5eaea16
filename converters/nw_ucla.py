"""Northwestern-UCLA Multiview Action 3D in the JSON form of the graph-network papers, one file a clip."""

import json
import re
from collections.abc import Iterator, Sequence

from skelbench.card import Card
from skelbench.errors import RawFormatError
from skelbench.formats import names, one_pose, strict_json
from skelbench.raw import RawItem, RawSource
from skelbench.sample import Sample

NAME = re.compile(r"a(?P<action>\d{2})_s(?P<subject>\d{2})_e(?P<environment>\d{2})_v(?P<camera>\d{2})\.json", re.ASCII)
EXPECTED = "aNN_sNN_eNN_vNN.json: action, subject, environment, view"


def plan(raw: RawSource, card: Card) -> Iterator[RawItem]:
    """Name the clips of a source.

    Args:
        raw: A folder or archive of `.json` files.
        card: Its `options.action_codes` hold the action code of each class.

    Yields:
        One item a file; files with another name, code or view are rejects.
    """
    codes: Sequence[int] = card.options["action_codes"]
    for path in names.members(raw, ".json"):
        sample_id = names.stem(path)
        parts = names.numbers(NAME, path)
        if parts is None:
            yield RawItem(sample_id, (path,), reject=f"the name '{sample_id}' is not {EXPECTED}")
            continue
        action = parts.pop("action")
        reject = None
        if action not in codes:
            reject = f"action code {action}, expected one of {', '.join(map(str, codes))}"
        elif parts["camera"] not in card.options["views"]:
            reject = f"view {parts['camera']}, expected one of {', '.join(map(str, card.options['views']))}"
        take = f"a{action:02d}_s{parts['subject']:02d}_e{parts['environment']:02d}"
        yield RawItem(sample_id, (path,), {**parts, "take": take}, reject)


def read(raw: RawSource, item: RawItem, card: Card) -> Sample:
    """Read one clip.

    Args:
        raw: The source that was planned.
        item: A clip of it.
        card: Joints, and the action code of each class.

    Returns:
        One pose a frame, in metres; the label is the file's own, counted from 0.

    Raises:
        RawFormatError: If the file is not what the format says, or contradicts its name.
    """
    (path,) = item.paths
    where = raw.where(path)
    found = strict_json.load(raw.read(path), where)
    name = strict_json.field(found, "file_name", str, where)
    if name != item.sample_id:
        raise RawFormatError(f"{where}: 'file_name' is {name[:40]!r}, expected '{item.sample_id}'; was it renamed?")
    frames = strict_json.field(found, "skeletons", list, where)
    keypoints = strict_json.poses(frames, len(card.layout.joints), len(card.channels), where)
    label = _label(strict_json.field(found, "label", int, where), item.sample_id, card, where)
    return one_pose.sample(item, keypoints, {"label": label})


def write(sample: Sample, card: Card) -> Iterator[tuple[str, bytes]]:
    """Write a clip as one JSON file, the inverse of `read`; a missing coordinate is `null`.

    Args:
        sample: A clip with exactly one pose in every frame.
        card: Of the set.

    Yields:
        The path and content of one file.

    Raises:
        ValueError: If a frame has no pose or several, or a coordinate is infinite.
    """
    one_pose.check(sample)
    # Nine digits name every float32; the shortest double of them is what a reader sees.
    numbers = [None if value != value else float(f"{value:.9g}") for value in sample.keypoints.ravel().tolist()]
    joints = [numbers[at : at + 3] for at in range(0, len(numbers), 3)]
    count = len(card.layout.joints)
    found = {
        "file_name": sample.sample_id,
        "skeletons": [joints[at : at + count] for at in range(0, len(joints), count)],
        "label": int(str(sample.targets["label"])) + 1,
    }
    yield f"{card.options['folder']}/{sample.sample_id}.json", json.dumps(found, allow_nan=False).encode("ascii")


def _label(label: int, sample_id: str, card: Card, where: str) -> int:
    """The label of the file, counted from 0, held against the action code of its name."""
    codes: Sequence[int] = card.options["action_codes"]
    action = int(sample_id[1:3])
    if not 1 <= label <= len(codes):
        raise RawFormatError(f"{where}: 'label' is {label}, expected 1 to {len(codes)}.")
    if codes[label - 1] != action:
        raise RawFormatError(f"{where}: 'label' is {label}, but action code {action} means {codes.index(action) + 1}.")
    return label - 1
