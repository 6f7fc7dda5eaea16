"""What the names of columns and keys, and the sizes of numbers, let one guess of unknown data."""

import re
from collections.abc import Iterable, Sequence

import numpy as np

from skelbench.errors import RawFormatError
from skelbench.formats.own import normal

# Names of columns and keys that people use, in our spelling (see `normal`), the likeliest first.
WORDS = {
    "id": ("sampleid", "clipid", "videoid", "clip", "video", "sample", "sequence", "sequenceid", "recording",
           "recordingid", "trial", "trialid", "file", "filename", "session", "id", "name"),
    "label": ("label", "action", "actionlabel", "activity", "class", "classname", "category", "gesture", "exercise",
              "movement", "target", "y"),
    "subject": ("subject", "subjectid", "participant", "participantid", "performer", "actor", "patient", "user",
                "userid", "personname", "player", "pid"),
    "frame": ("frame", "frameid", "frameindex", "framenumber", "frameno", "framenum", "imageid"),
    "person": ("person", "personid", "personindex", "trackid", "track", "bodyid", "skeletonid", "instanceid"),
    "joint": ("joint", "jointname", "jointid", "jointindex", "keypoint", "keypointname", "landmark", "landmarkname",
              "marker", "bodypart", "part"),
    "camera": ("camera", "cameraid", "view", "viewid", "cam"),
    "split": ("split", "part", "subset", "set", "fold", "partition"),
    "score": ("score", "confidence", "conf", "visibility", "likelihood", "c", "s"),
}  # fmt: skip
AXIS = re.compile(r"[xyzuv]", re.IGNORECASE)
_LAST = re.compile(r"(?P<joint>.*?)(?P<mark>[ _.:-]?)(?P<channel>[xyzuv])", re.IGNORECASE)
_FIRST = re.compile(r"(?P<channel>[xyzuv])(?P<mark>[ _.:-]?)(?P<joint>.+)", re.IGNORECASE)
_SIDES = (("left", "right"), (r"\bl(?=[ _.-])", "r"), (r"(?<=[ _.-])l\b", "r"), (r"^l(?=[a-z]{3})", "r"))
_METRE, _CENTIMETRE = 20.0, 1000.0  # extents below which numbers are taken for metres, for centimetres


def words(header: Iterable[str]) -> dict[str, str]:
    """Columns or keys whose names say what they are."""
    known = {normal(name): name for name in header}
    found: dict[str, str] = {}
    for word, likely in WORDS.items():
        name = next((known[one] for one in likely if one in known and known[one] not in found.values()), None)
        if name is not None:
            found[word] = name
    return found


def wide(header: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...], str] | None:
    """Joints, channels and pattern of columns that name both; None where fewer than two joints have all channels."""
    for pattern in (_LAST, _FIRST):
        joints: dict[str, dict[str, str]] = {}
        for name in header:
            match = pattern.fullmatch(name.strip())
            if match and match["joint"]:
                joints.setdefault(match["joint"], {})[match["channel"].lower()] = match["mark"]
        most = max((len(channels) for channels in joints.values()), default=0)
        whole = {joint: channels for joint, channels in joints.items() if len(channels) == most}
        if most < 2 or len(whole) < 2:
            continue
        channels = tuple(next(iter(whole.values())))
        whole = {joint: marks for joint, marks in whole.items() if set(marks) == set(channels)}
        mark = next(iter(next(iter(whole.values())).values()))
        numbers = [joint.isdigit() for joint in whole]
        base = "{joint}"
        if all(numbers):
            base = "{index}" if "0" in whole else "{number}"
        named = f"{base}{mark}{{channel}}" if pattern is _LAST else f"{{channel}}{mark}{base}"
        return tuple(whole), channels, named
    return None


def of_poses(header: Sequence[str]) -> bool:
    """Whether a table holds poses, wide or long."""
    lone = [name for name in header if AXIS.fullmatch(normal(name))]
    return wide(header) is not None or (len(lone) > 1 and "joint" in words(header))


def is_coordinate(name: str, joints: Sequence[str]) -> bool:
    """Whether a column is one of the coordinates."""
    return any(
        (match := pattern.fullmatch(name.strip())) is not None and match["joint"] in joints
        for pattern in (_LAST, _FIRST)
    )


def unit(values: np.ndarray, channels: Sequence[str]) -> str:
    """The unit by the size of the numbers."""
    finite = np.abs(values[np.isfinite(values)])
    if set(channels) <= {"u", "v"}:
        return "pixel"
    high = float(np.percentile(finite, 95)) if finite.size else 0.0
    if len(channels) == 2:
        return "pixel" if high > _METRE else "metre"
    return "metre" if high < _METRE else "centimetre" if high < _CENTIMETRE else "millimetre"


def pairs(joints: Sequence[str]) -> list[tuple[int, int]]:
    """Joints whose names differ in left and right alone."""
    known = {joint.lower(): place for place, joint in enumerate(joints)}
    found = []
    for joint, place in known.items():
        for left, right in _SIDES:
            other = known.get(re.sub(left, right, joint, count=1))
            if other is not None and other != place:
                found.append((place, other))
                break
    return found


def shape(value: object) -> tuple[int, ...]:
    """The shape of nested lists of numbers; empty where they are ragged or hold something else."""
    shape: list[int] = []
    while isinstance(value, list) and value:
        shape.append(len(value))
        value = value[0]
    return tuple(shape) if isinstance(value, (int, float)) or value is None else ()


def plain(value: object) -> object:
    """Nested lists with NaN for null; an empty list where they are ragged."""
    try:
        return np.array(value, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise RawFormatError("lists are ragged, or hold something else than numbers") from None
