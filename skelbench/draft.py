"""Drafts of cards: what names of columns, keys and files of unknown data let one guess."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import numpy as np
import pandas as pd

from skelbench import guess
from skelbench.errors import RawFormatError
from skelbench.formats import alphapose, coco_keypoints, mmpose, names, numpy_files, openpose, own_tables, strict_json
from skelbench.formats.detections import Detections
from skelbench.formats.own import normal
from skelbench.skeletons import layout_names, load_layout
from skelbench.sources.source import Source

_TABLES = (".csv", ".tsv", ".parquet")
_LOOKED_AT = 50  # files of whose labels the classes are found
_CLASSES = 1000
_USUAL = {13: "penn13", 15: "mixamo15", 17: "coco17", 18: "openpose18", 20: "kinect_v1", 25: "kinect_v2"}


@dataclass
class Draft:
    """A card that is not finished."""

    form: str  # what the data look like, in words
    channels: tuple[str, ...] = ()
    joints: tuple[str, ...] = ()  # as the files name them
    layout: str = ""  # a registered layout that has them; empty where there is none
    unit: str = "metre"
    persons: int = 1
    score: str = ""
    classes: tuple[str, ...] = ()
    columns: dict[str, str] = field(default_factory=dict)
    options: dict[str, object] = field(default_factory=dict)
    raw: str = ""
    guesses: list[str] = field(default_factory=list)  # what a person must look at

    def toml(self) -> str:
        """The card; what was guessed bears a question mark."""
        head = {
            "title": "My recordings",
            **({"layout": self.layout} if self.layout else {}),
            "channels": list(self.channels),
        }
        lines = [f"# Draft: {self.form}. Look at every line with a question mark."]
        lines += [f"# ? {guess}" for guess in self.guesses]
        lines += [f"{key} = {_value(value)}" for key, value in head.items()]
        lines.append(f"units = {_value(dict.fromkeys(self.channels, self.unit))} # ?")
        lines += ["fps = 30.0 # ? frames per second", f"persons = {self.persons} # ? most people in a frame"]
        if self.score:
            lines.append(f"score = {_value(self.score)}")
        lines += ['pose_source = "?" # who or what saw the joints', 'licence = "?" # what others may do with them']
        lines += ['obtain = "?" # where others get them', 'citation = "?"', f"raw = {_value(self.raw)}"]
        if not self.layout:
            parents, pairs = [-1, *[0] * (len(self.joints) - 1)], guess.pairs(self.joints)
            lines += ["", "[layout]", f"joints = {_value(list(self.joints))}"]
            lines += [f"parents = {parents} # ? the place of the joint that each hangs on; one root of -1"]
            lines += [f"pairs = {[list(pair) for pair in pairs]} # ? places of left and right"]
        lines += ["", "[columns]", *(f"{name} = {_value(meaning)}" for name, meaning in self.columns.items())]
        lines += ["", "[targets.label]", 'title = "action"', f"classes = {_value(list(self.classes))}"]
        lines += ["", "[options]", *(f"{name} = {_value(value)}" for name, value in self.options.items())]
        return "\n".join(lines) + "\n"


def draft(source: Source, paths: Sequence[str]) -> Draft | None:
    """Draft a card for files that no registered set knows.

    Args:
        source: The raw data.
        paths: Its members that are not hidden.

    Returns:
        A draft, or None where there is neither a table nor an array nor JSON of poses.
    """
    found: Draft | None = None
    for endings, look in ((_TABLES, _of_table), ((".npz", ".npy"), _of_arrays), ((".json",), _of_json)):
        fit = [path for path in paths if path.lower().endswith(endings)]
        for path in sorted(fit, key=lambda one: -source.size(one))[:3]:
            try:
                found = look(source, path, fit)
            except RawFormatError:
                continue
            if found is not None:
                _labels(found, source, fit, paths)
                _splits(found, source, paths)
                return found
    return None


def _of_table(source: Source, path: str, paths: Sequence[str]) -> Draft | None:
    """Of CSV or Parquet."""
    table = own_tables.frame_of(source.read(path), path, lambda header: {}, path)
    header = [str(name) for name in table.columns]
    wide, lone = guess.wide(header), [name for name in header if guess.AXIS.fullmatch(normal(name))]
    words = guess.words([name for name in header if name not in lone])
    if not guess.of_poses(header):
        return None
    found = Draft("a table with a row a frame (wide)" if wide else "a table with a row a joint (long)")
    if wide:
        found.joints, found.channels, pattern = wide
        if pattern != "{joint}_{channel}":
            found.options["coordinates"] = pattern
        numbers = table[[name for name in header if guess.is_coordinate(name, found.joints)]]
    else:
        found.channels = tuple(normal(name) for name in lone)
        found.joints = tuple(dict.fromkeys(table[words["joint"]].astype(str)))
        found.options |= {"joint": words["joint"], "coordinates": "{channel}"}
        numbers = table[lone]
    found.raw = f"{names.file_name(path)} and {len(paths) - 1} more tables" if len(paths) > 1 else names.file_name(path)
    if "id" in words and table[words["id"]].nunique() > 1:
        found.options["id"] = words["id"]
    for option in ("label", "subject", "frame", "person"):
        if option in words:
            found.options[option] = words[option]
    if "person" in words:
        found.persons = max(1, min(20, int(table[words["person"]].nunique())))
    _count_from(found, table, words)
    _scored(found, header, words)
    found.columns = _columns(words, found)
    found.unit = guess.unit(numbers.apply(pd.to_numeric, errors="coerce").to_numpy(np.float64), found.channels)
    _lay_out(found)
    return found


def _of_arrays(source: Source, path: str, paths: Sequence[str]) -> Draft | None:
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
    if "N" in str(found.options["axes"]) and "id" in words:
        found.options["id"] = words["id"]
    found.columns = _columns(words, found)
    found.raw = f"{len(paths)} files such as {names.file_name(path)}"
    return found


def _of_json(source: Source, path: str, paths: Sequence[str]) -> Draft | None:
    """Of JSON: a detector's, or nested lists."""
    data = source.read(path)
    found = _detector(data, path)
    if found is not None:
        found.raw = f"{len(paths)} files such as {names.file_name(path)}"
        found.columns = _columns({}, found)
        return found
    content = strict_json.parse(data, path)
    entries = content if isinstance(content, list) else next(
        (one for one in content.values() if isinstance(one, list) and one and isinstance(one[0], dict)), None
    ) if isinstance(content, dict) else None  # fmt: skip
    record = entries[0] if entries and isinstance(entries[0], dict) else content
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
    drafted.columns = _columns(words, drafted)
    drafted.raw = f"{len(paths)} files such as {names.file_name(path)}"
    return drafted


def _detector(data: bytes, path: str) -> Draft | None:
    """A detector's file, tried with the joints of every layout."""
    counts = {len(load_layout(name).joints) for name in layout_names()}
    for joints in sorted(counts, key=lambda count: (count not in _USUAL, count)):
        for form in ("openpose", "coco", "alphapose", "mmpose"):
            try:
                found = _detections(form, data, joints, path)
            except RawFormatError:
                continue
            if len(found.frame):
                people = int(np.bincount(found.frame.astype(np.int64)).max())
                drafted = Draft(f"detections by {form}", ("u", "v"), unit="pixel", persons=max(people, 1))
                drafted.joints = tuple(f"joint {place}" for place in range(joints))
                drafted.layout, drafted.score = _USUAL.get(joints, ""), "the detector's confidence"
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


def _count_from(found: Draft, table: pd.DataFrame, words: dict[str, str]) -> None:
    """The number of the first frame, where it is not 0."""
    if "frame" in words:
        first = pd.to_numeric(table[words["frame"]], errors="coerce").min()
        if first == 1:
            found.options["first_frame"] = 1


def _scored(found: Draft, header: Sequence[str], words: dict[str, str]) -> None:
    """Where a confidence stands."""
    if "joint" in found.options:
        name = words.get("score", "")
    else:
        ends = [column.strip().lower() for column in header]
        word = next((word for word in guess.WORDS["score"] if any(end.endswith(f"_{word}") for end in ends)), "")
        name = f"{{joint}}_{word}" if word else ""
    if name:
        found.score, found.options["score"] = "confidence, as the files say it", name


def _labels(found: Draft, source: Source, fit: Sequence[str], paths: Sequence[str]) -> None:
    """Where labels are, and which classes there are: in the files, a table beside them, or names of folders."""
    label = str(found.options.get("label", ""))
    values: set[str] = set()
    if label:
        for path in fit[:_LOOKED_AT]:
            values |= _values(source, path, label)
    else:
        _labels_elsewhere(found, source, fit, paths, values)
    found.classes = tuple(sorted(values - {""}, key=_by_number)[:_CLASSES])
    if not found.classes:
        found.guesses.append("no labels were found: fill classes, and say in [options] where the label is")
        found.classes = ("?",)
    elif len(fit) > _LOOKED_AT and label:
        found.guesses.append(f"classes are those of {_LOOKED_AT} files: add others")


def _by_number(text: str) -> tuple[bool, int, str]:
    """Numbers in their order, then texts in theirs."""
    return not text.isdigit(), len(text) if text.isdigit() else 0, text


def _labels_elsewhere(found: Draft, source: Source, fit: Sequence[str], paths: Sequence[str], values: set[str]) -> None:
    """Labels that are not in the files of poses."""
    for path in paths:
        if path not in fit or _small_table(source, path, fit):
            try:
                table = own_tables.frame_of(source.read(path), path, lambda header: {}, path)
            except RawFormatError:
                continue
            words = guess.words([str(name) for name in table.columns])
            if "label" in words and path.lower().endswith(_TABLES):
                found.options |= {"labels": names.file_name(path), "label": words["label"]}
                if "subject" in words:
                    found.options["subject"], found.columns["subject"] = words["subject"], "who moves"
                values |= {str(value) for value in table[words["label"]]}
                return
    folders = {PurePosixPath(path).parent.name for path in fit} - {""}
    if 1 < len(folders) < len(fit):
        found.options |= {"path": "(?P<folder>[^/]+)/[^/]+$", "label": "folder"}
        found.guesses.append("labels are taken from names of folders")
        values |= folders


def _small_table(source: Source, path: str, fit: Sequence[str]) -> bool:
    """Whether a table is no table of poses."""
    if not path.lower().endswith(_TABLES) or len(fit) < 2:
        return False
    try:
        table = own_tables.frame_of(source.read(path), path, lambda header: {}, path)
    except RawFormatError:
        return False
    return not guess.of_poses([str(name) for name in table.columns])


def _values(source: Source, path: str, label: str) -> set[str]:
    """The labels that a file holds."""
    try:
        data = source.read(path)
        if path.lower().endswith(_TABLES):
            table = own_tables.frame_of(data, path, lambda header: {}, path)
            return set(table[label].astype(str)) if label in table else set()
        if path.lower().endswith(".npz"):
            return {str(value) for value in numpy_files.npz(data, path).get(label, np.array([])).reshape(-1).tolist()}
        content = strict_json.parse(data, path) if path.lower().endswith(".json") else {}
    except RawFormatError:
        return set()
    lists = [content] if isinstance(content, dict) else content
    inner = [one for entry in lists if isinstance(entry, dict) for one in entry.values() if isinstance(one, list)]
    records = [*lists, *(record for one in inner for record in one if isinstance(record, dict))]
    return {str(record[label]) for record in records if isinstance(record, dict) and label in record}


def _splits(found: Draft, source: Source, paths: Sequence[str]) -> None:
    """How the data may be split: a column, list files, or by subject."""
    lists = {part: [path for path in paths if re.fullmatch(rf"{part}(ing)?(_list)?\.txt", names.file_name(path), re.I)]
             for part in ("train", "test")}  # fmt: skip
    if all(len(fit) == 1 for fit in lists.values()):
        rule: dict[str, object] = {"lists": {part: names.file_name(fit[0]) for part, fit in lists.items()}}
        found.options["splits"] = {"lists": rule}
    elif "split" in found.columns:
        found.options["splits"] = {"given": {"column": "split"}}
    elif "subject" in found.columns:
        found.options["splits"] = {"subjects": {"leave_out": "subject"}}
    else:
        found.options["splits"] = {"recordings": {"by": "take", "folds": 5}}
        found.guesses.append("nobody says who moves: recordings are split, and people may stand in both parts")


def _columns(words: dict[str, str], found: Draft) -> dict[str, str]:
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


def _lay_out(found: Draft) -> None:
    """A registered layout that has the joints by name, or by count where they have none."""
    mine = {normal(joint) for joint in found.joints}
    for name in layout_names():
        if {normal(joint) for joint in load_layout(name).joints} == mine:
            found.layout = name
            return
    if all(joint.isdigit() for joint in found.joints):
        found.layout = _USUAL.get(len(found.joints), "")
        found.joints = tuple(f"joint {joint}" for joint in found.joints)
        if found.layout:
            found.guesses.append(f"the layout is chosen by its {len(found.joints)} joints alone")


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
    found.layout = _USUAL.get(joints, "")
    found.unit = guess.unit(array, found.channels)
    found.guesses.append(f"axes are {found.options['axes']} of {shape} (N samples, M persons, T frames, V joints, "
                         "C channels, D joints x channels)")  # fmt: skip
    if found.layout:
        found.guesses.append(f"the layout is chosen by its {joints} joints alone")
    if (array == 0).any():
        found.options["missing"] = "zero"
        found.guesses.append('joints at 0 are taken for missing (missing = "zero")')


def _value(value: object) -> str:
    """A value as TOML has it."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(one)}" for key, one in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
