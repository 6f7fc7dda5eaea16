"""Drafts of cards: what names of columns, keys and files of unknown data let one guess."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
import pandas as pd

from skelbench import draft_arrays, guess
from skelbench.card_draft import Draft
from skelbench.errors import RawFormatError
from skelbench.formats import names, numpy_files, own_tables, strict_json
from skelbench.formats.own import Options, decoded, normal, several, spellings, text_of
from skelbench.skeletons import layout_names, load_layout
from skelbench.sources.source import Source

_TABLES = (".csv", ".tsv", ".parquet")
_LOOKED_AT = 50  # files of whose labels the classes are found
_CLASSES = 1000
_PARTS = {"train": "train(ing)?", "test": "test(ing)?|val(id(ation)?)?|eval(uation)?|dev"}  # names of lists and parts
_MANY = 200  # tables of a folder, from which on all are taken for poses
_FEW = 50  # different values that a column of labels may have where its name does not say that it is one
_COMMA = re.compile(r"[-+]?\d+,\d+")


def draft(source: Source, paths: Sequence[str], why: list[str] | None = None) -> Draft | None:
    """Draft a card for files that no registered set knows.

    Args:
        source: The raw data.
        paths: Its members that are not hidden.
        why: Gets a sentence for each file that was looked at in vain.

    Returns:
        A draft, or None where there is neither a table nor an array nor JSON of poses.
    """
    found: Draft | None = None
    reasons = [] if why is None else why
    for endings, look in (
        (_TABLES, _of_table),
        ((".npz", ".npy"), draft_arrays.of_arrays),
        ((".json",), draft_arrays.of_json),
    ):
        fit = [path for path in paths if path.lower().endswith(endings)]
        for path in sorted(fit, key=lambda one: -source.size(one))[:3]:
            try:
                found = look(source, path, fit)
            except RawFormatError as error:
                reasons.append(str(error))
                continue
            if found is not None:
                others = [one for one in fit if one != path and _other_table(source, one, path, fit)]
                fit = [one for one in fit if one not in others]
                _named(found, fit)
                _labels(found, source, fit, paths)
                _splits(found, source, paths)
                _beside(found, fit, others)
                return found
            reasons.append(f"{path}: {_LACKS[endings[0]]}")
    if not reasons:
        reasons.append(f"there is no file of {', '.join((*_TABLES, '.npy', '.npz', '.json'))}")
    return None


_LACKS = {
    ".csv": "no columns named by a joint and an axis, such as head_x, nor one of joints beside x and y",
    ".npz": "no array of numbers with two to five axes",
    ".json": "no lists of numbers, or of objects with x and y",
}


def _of_table(source: Source, path: str, paths: Sequence[str]) -> Draft | None:
    """Of CSV or Parquet."""
    table, read = _read_table(source, path)
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
    if any(_COMMA.fullmatch(str(value)) for value in numbers.iloc[:200].to_numpy().reshape(-1)):
        found.options["decimal"] = ","
        numbers = numbers.apply(lambda column: column.astype(str).str.replace(",", "."))
    found.options |= read
    found.raw = f"{names.file_name(path)} and {len(paths) - 1} more tables" if len(paths) > 1 else names.file_name(path)
    if "id" in words and table[words["id"]].nunique() > 1:
        found.options["id"] = words["id"]
    _worded(found, table, words)
    _count_from(found, table, words)
    _scored(found, header, words)
    _untrimmed(found, table, words)
    found.columns = draft_arrays.columns(words, found)
    values = numbers.apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    found.unit = guess.unit(values, found.channels)
    if not wide and (values == 0).all(axis=1).any():
        draft_arrays.zeros(found)
    _lay_out(found)
    return found


def _worded(found: Draft, table: pd.DataFrame, words: dict[str, str]) -> None:
    """Take over the columns whose names say what they are."""
    for option in ("label", "subject", "frame", "person"):
        if option in words:
            found.options[option] = words[option]
    if "person" in words:
        found.persons = max(1, min(20, _most(table, words)))
    if "split" in words:
        found.parts = tuple(sorted(set(table[words["split"]].astype(str)))[:_FEW])


def _other_table(source: Source, path: str, poses: str, fit: Sequence[str]) -> bool:
    """Whether a table beside tables of poses is none of them; of many in one folder none is looked at."""
    beside = PurePosixPath(path).parent == PurePosixPath(poses).parent and len(fit) > _MANY
    return not beside and _small_table(source, path, fit)


def _read_table(source: Source, path: str) -> tuple[pd.DataFrame, dict[str, object]]:
    """A table of texts, and the options without which it could not be read."""
    data = source.read(path)
    options = Options()
    if not path.lower().endswith(".parquet"):
        try:
            decoded(data, options, path)
        except RawFormatError:
            options = Options(encoding="cp1252")
    table = own_tables.frame_of(data, path, lambda header: {}, path, options)
    return table, {"encoding": options.encoding} if options.encoding != "utf-8" else {}


def _most(table: pd.DataFrame, words: dict[str, str]) -> int:
    """Most people in a frame of a recording."""
    keys = [words[word] for word in ("id", "frame") if word in words]
    people = table.groupby(keys)[words["person"]].nunique().max() if keys else table[words["person"]].nunique()
    return int(people)


def _untrimmed(found: Draft, table: pd.DataFrame, words: dict[str, str]) -> None:
    """Labels that change within a recording."""
    if "label" not in words:
        return
    column, key = words["label"], found.options.get("id")
    known = table[table[column].map(text_of) != ""]
    counts = known.groupby(str(key))[column].nunique() if key else pd.Series([known[column].nunique()])
    if (counts > 1).any():
        found.options |= {"frame_label": found.options.pop("label")}
        found.kind = "multi"
        found.guesses.append(f"'{column}' changes within a recording: what every frame shows is predicted")


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
    if label in _groups(found):
        values = {match[label] for path in fit if (match := re.search(str(found.options["path"]), path))}
    elif label or "frame_label" in found.options:
        for path in fit[:_LOOKED_AT]:
            values |= _values(source, path, label or str(found.options["frame_label"]))
    else:
        _labels_elsewhere(found, source, fit, paths, values)
    if found.kind == "multi" or any(";" in value or "|" in value for value in values):
        found.kind = "multi"
        values = {one for value in values for one in several(value, Options())}
    found.classes = tuple(sorted(values - {"", "None", "nan"}, key=_by_number)[:_CLASSES])
    if not found.classes:
        found.guesses.append("no labels were found: fill classes, and say in [options] where the label is")
        found.classes = ("?",)
    elif len(fit) > _LOOKED_AT and label not in {"", *_groups(found)}:
        found.guesses.append(f"classes are those of {_LOOKED_AT} files: add others")


def _by_number(text: str) -> tuple[bool, int, str]:
    """Numbers in their order, then texts in theirs."""
    return not text.isdigit(), len(text) if text.isdigit() else 0, text


def _labels_elsewhere(found: Draft, source: Source, fit: Sequence[str], paths: Sequence[str], values: set[str]) -> None:
    """Labels that are not in the files of poses."""
    for path in paths:
        if path.lower().endswith(_TABLES) and path not in fit:
            try:
                table, read = _read_table(source, path)
            except RawFormatError:
                continue
            if _label_table(found, table, path, fit, values):
                found.options |= read
                return
    folders = {PurePosixPath(path).parent.name for path in fit} - {""}
    if 1 < len(folders) < len(fit):
        rest = str(found.options.get("path", "[^/]+$"))
        found.options |= {"path": f"(?P<folder>[^/]+)/{rest}", "label": "folder"}
        found.guesses.append("labels are taken from names of folders")
        values |= folders


def _label_table(found: Draft, table: pd.DataFrame, path: str, fit: Sequence[str], values: set[str]) -> bool:
    """Take a table for that of the labels, where a column says so, or its ids are those of the files."""
    header = [str(name) for name in table.columns]
    words = guess.words(header)
    key = words.get("id", header[0])
    ids = {name for value in table[key] for name in spellings(text_of(value))}
    stems = [names.stem(one) for one in fit]
    led = guess.path(stems, ids) if ids.isdisjoint(stems) else None
    fits = not ids.isdisjoint(stems) or (led is not None and bool(led[2]))
    told = {column for word, column in words.items() if word != "label"}
    counts = {name: table[name].map(text_of).nunique() for name in header if name not in {key, *told}}
    likely = [name for name, count in counts.items() if 1 < count <= min(_FEW, max(2, len(table) // 2))]
    label = words.get("label") or (min(likely, key=counts.__getitem__) if fits and likely else "")
    if not label:
        return False
    if led is not None and led[2]:
        found.options |= {"path": led[0], "labels_by": led[2]}
    if "label" not in words:
        found.guesses.append(f"'{label}' of {names.file_name(path)} is taken for the label")
    found.options |= {"labels": names.file_name(path), "label": label}
    if "subject" in words:
        found.options["subject"], found.columns["subject"] = words["subject"], "who moves"
    values |= {text_of(value) for value in table[label]}
    return True


def _beside(found: Draft, fit: Sequence[str], others: Sequence[str]) -> None:
    """Tables that lie beside those of poses, and that nothing names yet."""
    left = [one for one in others if names.file_name(one) != found.options.get("labels")]
    if left:
        folders, suffix = {str(PurePosixPath(one).parent) for one in fit}, PurePosixPath(fit[0]).suffix
        if len(folders) == 1:
            found.options["files"] = f"{folders.pop()}/*{suffix}".removeprefix("./")
        found.guesses.append(f"{names.file_name(left[0])} may say more of the samples: options.labels and labels_by")


def _named(found: Draft, fit: Sequence[str]) -> None:
    """What the names of the files say, where each is a recording."""
    led = guess.path([names.stem(path) for path in fit]) if len(fit) > 1 and "id" not in found.options else None
    if led is None or "openpose" in found.options.values():
        return
    found.options["path"] = led[0]
    found.guesses.append(f"the names of the files say {', '.join(led[1])}")
    said = (("subject", "who moves"), ("camera", "from where"), ("repetition", "which time"))
    for name, meaning in reversed(said):
        if name in led[1]:
            found.columns = {name: meaning, **found.columns}
    if "label" in led[1] and not {"label", "frame_label"} & found.options.keys():
        found.options["label"] = "label"


def _groups(found: Draft) -> set[str]:
    """The named groups of the path that was drafted."""
    return set(re.compile(str(found.options.get("path", ""))).groupindex)


def _small_table(source: Source, path: str, fit: Sequence[str]) -> bool:
    """Whether a table is no table of poses."""
    if not path.lower().endswith(_TABLES) or len(fit) < 2:
        return False
    try:
        table, _ = _read_table(source, path)
    except RawFormatError:
        return False
    return not guess.of_poses([str(name) for name in table.columns])


def _values(source: Source, path: str, label: str) -> set[str]:
    """The labels that a file holds."""
    try:
        data = source.read(path)
        if path.lower().endswith(_TABLES):
            table, _ = _read_table(source, path)
            return set(map(text_of, table[label])) if label in table else set()
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
    lists = {part: [path for path in paths if re.fullmatch(rf"({word})(_list)?\.txt", names.file_name(path), re.I)]
             for part, word in _PARTS.items()}  # fmt: skip
    if all(len(fit) == 1 for fit in lists.values()):
        rule: dict[str, object] = {"lists": {part: names.file_name(fit[0]) for part, fit in lists.items()}}
        found.options["splits"] = {"lists": rule}
    elif "split" in found.columns:
        found.options["splits"] = _by_column(found)
    elif "subject" in found.columns:
        found.options["splits"] = {"subjects": {"leave_out": "subject"}}
    else:
        found.options["splits"] = {"recordings": {"by": "take", "folds": 5}}
        found.guesses.append("nobody says who moves: recordings are split, and people may stand in both parts")
    found.options["splits"] = _of_frames(found, found.options["splits"])


def _of_frames(found: Draft, rules: object) -> object:
    """The splits of untrimmed data: the classes of every frame are scored."""
    if "frame_label" not in found.options or not isinstance(rules, dict):
        return rules
    return {name: {**rule, "frames": True} for name, rule in rules.items()}


def _by_column(found: Draft) -> dict[str, object]:
    """The split by a column: of its own parts where they are named so, else each value is left out once."""
    parts: dict[str, list[str]] = {
        part: [value for value in found.parts if re.fullmatch(word, value, re.I)] for part, word in _PARTS.items()
    }
    if not found.parts:
        return {"given": {"column": "split"}}
    return {"given": {"column": "split", **parts}} if all(parts.values()) else {"folds": {"leave_out": "split"}}


def _lay_out(found: Draft) -> None:
    """A registered layout that has the joints by name, or by count where they have none."""
    mine = {normal(joint) for joint in found.joints}
    for name in layout_names():
        if {normal(joint) for joint in load_layout(name).joints} == mine:
            found.layout = name
            return
    elsewhere = guess.called(found.joints)
    if elsewhere is not None:
        found.layout, listed = elsewhere
        found.options["joints"] = list(listed)
        return
    if all(joint.isdigit() for joint in found.joints):
        found.layout = draft_arrays.USUAL.get(len(found.joints), "")
        found.joints = tuple(f"joint {joint}" for joint in found.joints)
        if found.layout:
            found.guesses.append(f"the layout is chosen by its {len(found.joints)} joints alone")
