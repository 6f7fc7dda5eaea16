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
    "label": ("label", "labels", "action", "actions", "activity", "activities", "class", "classes", "classname",
              "actionlabel", "category", "gesture", "exercise",
              "movement", "target", "y"),
    "subject": ("subject", "subjectid", "participant", "participantid", "performer", "actor", "patient", "user",
                "userid", "personname", "player", "pid"),
    "frame": ("frame", "frameid", "frameindex", "framenumber", "frameno", "framenum", "imageid"),
    "person": ("person", "personid", "personindex", "trackid", "track", "bodyid", "skeletonid", "instanceid"),
    "joint": ("joint", "jointname", "jointtype", "jointid", "jointindex", "keypoint", "keypointname", "landmark",
              "landmarkname", "marker", "bodypart", "part"),
    "camera": ("camera", "cameraid", "view", "viewid", "cam"),
    "split": ("split", "part", "subset", "set", "fold", "partition"),
    "score": ("score", "confidence", "conf", "visibility", "likelihood", "c", "s"),
}  # fmt: skip
# What else people call the joints of a layout, in its order: those of Microsoft's JointType, for one.
CALLED = {
    "kinect_v2": (
        "SpineBase", "SpineMid", "Neck", "Head", "ShoulderLeft", "ElbowLeft", "WristLeft", "HandLeft", "ShoulderRight",
        "ElbowRight", "WristRight", "HandRight", "HipLeft", "KneeLeft", "AnkleLeft", "FootLeft", "HipRight",
        "KneeRight", "AnkleRight", "FootRight", "SpineShoulder", "HandTipLeft", "ThumbLeft", "HandTipRight",
        "ThumbRight",
    ),
    "kinect_v1": (
        "HipCenter", "Spine", "ShoulderCenter", "Head", "ShoulderLeft", "ElbowLeft", "WristLeft", "HandLeft",
        "ShoulderRight", "ElbowRight", "WristRight", "HandRight", "HipLeft", "KneeLeft", "AnkleLeft", "FootLeft",
        "HipRight", "KneeRight", "AnkleRight", "FootRight",
    ),
}  # fmt: skip
# The letters before a number in a file's name, and what is counted there.
_PREFIXES = {
    "subject": ("p", "s", "sub", "subj", "subject", "participant", "person", "patient", "vp", "id", "u", "user"),
    "camera": ("c", "cam", "camera", "view", "v", "k"),
    "label": ("a", "act", "action", "e", "ex", "exercise", "g", "gesture", "activity", "m", "move", "task"),
    "repetition": ("r", "rep", "t", "take", "trial", "try", "run", "repetition", "seq"),
}
_MADE = {"counted": "[0-9]+", "number": "[0-9]+", "word": "[A-Za-z]+"}
_TRIED = 30  # entries of a list that are looked into
_DEEPEST = 16  # lists and objects within each other that are looked into
_TOKEN = re.compile(r"([A-Za-z]{1,12})(\d{1,6})", re.ASCII)
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


def path(stems: Sequence[str], ids: Iterable[str] = ()) -> tuple[str, tuple[str, ...], str] | None:
    """What names of files say where all are made alike of letters and numbers, such as `P03_E2_R1_cam1`.

    Args:
        stems: Names of files without their ending.
        ids: Of a table of samples; where these are how all names begin, that part becomes a group of its own.

    Returns:
        A regular expression, its groups, and the group that the ids are, or an empty text; None where names differ.
    """
    parts = [tuple(map(_token, re.split(r"[_-]", stem))) for stem in stems]
    kinds = {tuple((kind, word if kind == "counted" else "") for kind, word in row) for row in parts}
    if len(kinds) != 1 or len(made := next(iter(kinds))) < len(("who", "what")) or ("", "") in made:
        return None
    groups: list[str] = []
    tokens: list[str] = []
    for place, (kind, prefix) in enumerate(made):
        group = prefix.lower() if kind == "counted" else "repetition" if kind == "number" else "subject"
        words = {row[place][1] for row in parts}
        if kind == "word" and (len(words) == 1 or len(words) * 2 > len(parts)):
            return None  # a word that never changes says nothing, one that always does is the recording's own name
        if kind == "counted":
            group = next((name for name, likely in _PREFIXES.items() if group in likely and name not in groups), group)
        groups.append(group)
        tokens.append(f"(?P<{group}>{prefix}{_MADE[kind]})")
    if len(set(groups)) < len(groups) or {"id", "recording"} & set(groups):
        return None
    known, by = set(ids), ""
    for count in range(1, len(tokens)):
        if known and all("_".join(re.split(r"[_-]", stem)[:count]) in known for stem in stems):
            tokens[:count] = ["(?P<recording>" + "[_-]".join(tokens[:count]) + ")"]
            by = "recording"
            break
    return "[_-]".join(tokens) + "[.][a-z]+$", (*groups, *([by] if by else [])), by


def _token(text: str) -> tuple[str, str]:
    """What a part of a file's name is: counted things, a number, a word, or an empty text; and its letters."""
    match = _TOKEN.fullmatch(text)
    if match:
        return "counted", match[1]
    return "number" if text.isdecimal() else "word" if text.isalpha() and text.isascii() else "", text


def way(value: object) -> tuple[str, object] | None:
    """The keys that lead through objects to the deepest lists of numbers or of joints, and one joint or pose there.

    Returns:
        Keys with points between, and what stands there: a list of numbers, or an object of them; None where there is
        neither.
    """
    found: list[tuple[int, list[str], object]] = []
    _ways(value, [], 0, found)
    if not found:
        return None
    deepest = max(found, key=lambda one: one[0])
    return ".".join(deepest[1]), deepest[2]


def _ways(value: object, keys: list[str], depth: int, found: list[tuple[int, list[str], object]]) -> None:
    """Collect the ways to numbers; of a list the first entry that leads to some stands for all."""
    if depth + len(keys) > _DEEPEST:
        return
    if isinstance(value, list):
        entries = [entry for entry in value if entry not in (None, [], {})][:_TRIED]
        if _is_number(*entries[:1]):
            found += [(depth, keys, value)] if len(value) >= len("xy") else []
            return
        before = len(found)
        for entry in entries:  # in the first frames there may be nobody
            if len(found) == before:
                _ways(entry, keys, depth + 1, found)
    elif isinstance(value, dict):
        axes = [key for key, one in value.items() if _is_number(one) and AXIS.fullmatch(normal(key))]
        if len(axes) >= len("xy"):
            found.append((depth, keys, value))
            return
        for key, one in value.items():
            if isinstance(one, (list, dict)):
                _ways(one, [*keys, str(key)], depth, found)


def _is_number(value: object = None) -> bool:
    """Whether a value of JSON is a number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def called(joints: Sequence[str]) -> tuple[str, tuple[str, ...]] | None:
    """A registered layout whose joints have these names elsewhere, and the names in its order."""
    mine = {normal(joint) for joint in joints}
    for name, listed in CALLED.items():
        if {normal(joint) for joint in listed} == mine:
            return name, listed
    return None


def is_confidence(array: np.ndarray) -> bool:
    """Whether the last of three channels is a share, the first two are not, so that they lie in an image."""
    if array.shape[-1] != len("uvc"):
        return False
    last, places = array[..., -1][np.isfinite(array[..., -1])], array[..., :-1]
    return bool(last.size and last.min() >= 0 and last.max() <= 1 and np.nanmax(np.abs(places)) > _METRE)
