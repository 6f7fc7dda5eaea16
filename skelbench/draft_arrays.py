"""Drafts of cards for arrays, JSON and what detectors write."""

from collections.abc import Mapping, Sequence

import numpy as np

from skelbench import guess
from skelbench.card_draft import Draft
from skelbench.errors import RawFormatError
from skelbench.formats import alphapose, coco_keypoints, mmpose, names, numpy_files, openpose, own_json, strict_json
from skelbench.formats.detections import Detections
from skelbench.formats.own import Options, normal
from skelbench.skeletons import layout_names, load_layout
from skelbench.sources.source import Source

USUAL = {13: "penn13", 15: "mixamo15", 17: "coco17", 18: "openpose18", 20: "kinect_v1", 25: "kinect_v2",
          33: "mediapipe33"}  # fmt: skip
_DETECTED = USUAL | {25: "openpose25"}  # of programs that look at images
_SHARES = 2  # above which coordinates are pixels, not shares of an image


def of_arrays(source: Source, path: str, paths: Sequence[str]) -> Draft | None:
    """Of NPY or NPZ."""
    data = source.read(path)
    arrays = {"": numpy_files.npy(data, path)} if path.lower().endswith(".npy") else numpy_files.npz(data, path)
    poses = {key: array for key, array in arrays.items() if array.dtype.kind in "fiu" and 2 <= array.ndim <= 5}
    if not poses:
        return None
    key = max(poses, key=lambda one: poses[one].size)
    array = np.asarray(poses[key], np.float64)
    found = Draft(f"arrays, {key or 'one'} of shape {array.shape}")
    _axes(found, array, many={len(value) for one, value in arrays.items() if one != key and value.ndim})
    if len(poses) > 1:
        found.options["array"] = key
    words = guess.words([one for one in arrays if one != key])
    found.options |= {option: words[option] for option in ("label", "subject") if option in words}
    found.fps = _fps(arrays)
    if "N" in str(found.options["axes"]) and "id" in words:
        found.options["id"] = words["id"]
    found.columns = columns(words, found)
    found.raw = f"{len(paths)} files such as {names.file_name(path)}"
    return found


def of_json(source: Source, path: str, paths: Sequence[str]) -> Draft | None:
    """Of JSON: a detector's, or nested lists."""
    data = source.read(path)
    found = _detector(data, path)
    if found is not None:
        found.raw = f"{len(paths)} files such as {names.file_name(path)}"
        found.columns = columns({}, found)
        return found
    content = strict_json.parse(data, path)
    entries = content if isinstance(content, list) else next(
        (one for one in content.values() if isinstance(one, list) and one and isinstance(one[0], dict)), None
    ) if isinstance(content, dict) else None  # fmt: skip
    record = entries[0] if entries and isinstance(entries[0], dict) else content
    words = guess.words(record) if isinstance(record, dict) and record is not content else {}
    listed = "id" in words and "frame" not in words  # a list of recordings, not of frames
    nested = _of_objects(record if listed else content, path)
    if nested is not None:
        nested.options |= {"id": words["id"]} if listed else {}
        nested.raw = f"{len(paths)} files such as {names.file_name(path)}"
        return nested
    if not isinstance(record, dict):
        record = {"": record}
    shapes = {key: shape for key, value in record.items() if len(shape := guess.shape(value)) >= 2}
    if not shapes:
        return None
    key = max(shapes, key=lambda one: int(np.prod(shapes[one])))
    array = np.array(guess.plain(record[key]), np.float64)
    drafted = Draft(f"JSON, '{key}' of shape {array.shape}")
    _axes(drafted, array, many=set())
    words = guess.words([one for one in record if one != key])
    drafted.options |= {"array": key} if len(shapes) > 1 else {}
    drafted.options |= {option: words[option] for option in ("label", "subject") if option in words}
    if entries and "id" in words:
        drafted.options["id"] = words["id"]
    drafted.columns = columns(words, drafted)
    drafted.raw = f"{len(paths)} files such as {names.file_name(path)}"
    return drafted


def _of_objects(content: object, path: str) -> Draft | None:
    """Of JSON whose frames or joints are objects; None where it has none, or is a list of recordings with lists."""
    found = guess.way(content)
    if found is None:
        return None
    keys, one = found
    if not isinstance(one, dict) and "." not in keys:
        return None
    drafted = Draft(f"JSON, objects under '{keys}'", options={"array": keys})
    table = content if isinstance(content, dict) else {}
    if isinstance(one, dict):
        axes = [key for key in one if guess.AXIS.fullmatch(normal(key))]
        drafted.channels = tuple(map(normal, axes))
        score = guess.words(key for key in one if key not in axes).get("score")
        if score is not None:
            drafted.score, drafted.options["score"] = "confidence, as the files say it", score
    else:
        drafted.channels = ("x", "y", "z")[: len(one)] if isinstance(one, list) else ()
    probe = Options(axes="TVC", array=keys, score=str(drafted.options.get("score", "")))
    array = None
    for axes_ in ("TVC", "TMVC"):
        try:
            array = own_json.array_of(content, drafted.channels, (), probe.model_copy(update={"axes": axes_}), path)
        except RawFormatError:
            continue
        drafted.options["axes"] = axes_
        break
    if array is None:
        return None
    drafted.persons = array.shape[1] if drafted.options["axes"] == "TMVC" else 1
    places = array[..., : len(drafted.channels)]
    if len(drafted.channels) == len("xy") and np.nanmax(np.abs(places)) > _SHARES:
        drafted.channels = ("u", "v")
    drafted.unit, drafted.fps = guess.unit(places, drafted.channels), _fps(table)
    drafted.joints = tuple(f"joint {place}" for place in range(array.shape[-2]))
    drafted.layout = USUAL.get(array.shape[-2], "")
    drafted.guesses = [f"the layout is chosen by its {array.shape[-2]} joints alone"] if drafted.layout else []
    words = guess.words([key for key in table if isinstance(table[key], (str, int))])
    drafted.options |= {option: words[option] for option in ("label", "subject") if option in words}
    drafted.columns = columns(words, drafted)
    return drafted


def _fps(fields: Mapping[str, object]) -> float:
    """Frames per second, where a file says it."""
    for name, value in fields.items():
        if normal(name) in ("fps", "framerate", "framespersecond", "samplingrate"):
            try:
                return max(0.0, float(np.asarray(value).reshape(-1)[0]))
            except (TypeError, ValueError, IndexError):
                return 0.0
    return 0.0


def _detector(data: bytes, path: str) -> Draft | None:
    """A detector's file, tried with the joints of every layout."""
    counts = {len(load_layout(name).joints) for name in layout_names()}
    for joints in sorted(counts, key=lambda count: (count not in USUAL, count)):
        for form in ("openpose", "coco", "alphapose", "mmpose"):
            try:
                found = _detections(form, data, joints, path)
            except RawFormatError:
                continue
            if len(found.frame):
                people = int(np.bincount(found.frame.astype(np.int64)).max())
                drafted = Draft(f"detections by {form}", ("u", "v"), unit="pixel", persons=max(people, 1))
                drafted.joints = tuple(f"joint {place}" for place in range(joints))
                drafted.layout, drafted.score = _DETECTED.get(joints, ""), "the detector's confidence"
                drafted.options = {"form": form}
                drafted.guesses = [f"the layout is chosen by its {joints} joints alone"] if drafted.layout else []
                return drafted
    return None


def _detections(form: str, data: bytes, joints: int, path: str) -> Detections:
    """The poses of a file, if it is of one form."""
    if form == "openpose":
        number = openpose.FILE.fullmatch(names.file_name(path))
        return openpose.parse({int(number["frame"]): (data, path)} if number else {}, joints)
    if form == "mmpose":
        return mmpose.parse(data, joints, 2, path)
    return coco_keypoints.parse(data, joints, path) if form == "coco" else alphapose.parse(data, joints, path)


def columns(words: dict[str, str], found: Draft) -> dict[str, str]:
    """Columns of the store."""
    columns = {"subject": "who moves"} if "subject" in words else {}
    for word, meaning in (("camera", "from where"), ("split", "the part in which it stands")):
        if word in words:
            columns[word] = meaning
            if words[word] != word:
                renamed = found.options.setdefault("columns", {})
                if isinstance(renamed, dict):
                    renamed[word] = words[word]
    return columns | {"take": "the recording"}


def _axes(found: Draft, array: np.ndarray, many: set[int]) -> None:
    """What the axes of an array are: channels are 2 or 3, joints those of a layout, samples as many as labels."""
    shape = array.shape
    counts = {len(load_layout(name).joints) for name in layout_names()}
    letters: dict[int, str] = {}
    channel = next((at for at in reversed(range(len(shape))) if shape[at] in (2, 3)), None)
    if channel is None:  # joints x channels in one
        letters[len(shape) - 1] = "D"
        channels = 3 if shape[-1] % 3 == 0 and (shape[-1] // 3 in counts or shape[-1] % 2) else 2
        joints = max(shape[-1] // channels, 1)
    else:
        letters[channel] = "C"
        rest = [at for at in range(len(shape)) if at != channel]
        place = next((at for at in reversed(rest) if shape[at] in counts), rest[-1])
        letters[place], joints, channels = "V", shape[place], shape[channel]
    left = [at for at in range(len(shape)) if at not in letters]
    if len(left) > 1 and (shape[left[0]] in many or len(left) > 2):
        letters[left.pop(0)] = "N"
    if left:
        longest = max(left, key=lambda at: shape[at])
        letters |= {at: "T" if at == longest else "M" for at in left}
    found.options["axes"] = "".join(letters[at] for at in range(len(shape)))
    found.channels = ("x", "y", "z")[:channels] if channels > 2 else ("u", "v")
    found.persons = next((shape[at] for at, letter in letters.items() if letter == "M"), 1)
    found.joints = tuple(f"joint {place}" for place in range(joints))
    found.layout = USUAL.get(joints, "")
    if letters.get(len(shape) - 1) == "C" and guess.is_confidence(array):
        found.channels, found.score = ("u", "v"), "the detector's confidence"
        found.guesses.append("the last channel is taken for a confidence")
    found.unit = guess.unit(array, found.channels)
    found.guesses.append(f"axes are {found.options['axes']} of {shape} (N samples, M persons, T frames, V joints, "
                         "C channels, D joints x channels)")  # fmt: skip
    if found.layout:
        found.guesses.append(f"the layout is chosen by its {joints} joints alone")
    if (array == 0).any():
        zeros(found)


def zeros(found: Draft) -> None:
    """Joints at the origin."""
    found.options["missing"] = "zero"
    found.guesses.append('joints at 0 are taken for missing (missing = "zero")')
