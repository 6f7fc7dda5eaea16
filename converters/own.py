"""A stranger's own data: tables, arrays, JSON or a detector's output; the card says what is where."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import partial

import numpy as np

from skelbench.card import Card
from skelbench.errors import CardError, RawFormatError, nearest
from skelbench.formats import names, openpose, own, own_arrays, own_tables
from skelbench.raw import RawItem, RawSource
from skelbench.sample import MetaValue, Sample

_TABLES = (".csv", ".tsv", ".parquet")
Rows = Mapping[str, Mapping[str, object]]  # of a table of samples, by id
_DETECTORS = ("openpose", "alphapose", "mmpose", "coco")
_ENDINGS = {
    "auto": (*_TABLES, ".npy", ".npz", ".json"),
    **{"wide": _TABLES, "long": _TABLES, "array": (".npy", ".npz"), "json": (".json",)},
    **dict.fromkeys(_DETECTORS, (".json",)),
}
_COPY = re.compile(r"copy of .*|.*[ _-]copy( ?\(?\d+\)?)?", re.IGNORECASE)


def plan(raw: RawSource, card: Card) -> Iterator[RawItem]:
    """Name the samples of a source.

    Args:
        raw: A folder, archive or file.
        card: Its `[options]` say what is where.

    Yields:
        One item a sample. Where `options.id` names a field of the files, these are read for it.

    Raises:
        CardError: If the options contradict each other or the card, or name a file that there is not.
        RawFormatError: If a list or table of samples is not what it must be.
    """
    options = own.options_of(card)
    lists = _lists(raw, options)
    rows = _labels(raw, options)
    found: list[RawItem] = []
    for sample_id, paths, reject in _named(raw, card, options):
        fields, problem = _fields(sample_id, paths, raw, options, rows)
        meta = _parts(sample_id, lists)
        for column in card.columns:
            name = options.columns.get(column, options.subject if column == "subject" else column)
            if name in fields and column not in meta:
                meta |= own.meta_of(fields, _only(card, column), options, sample_id, raw.where(paths[0]))
        found.append(RawItem(sample_id, paths, meta, reject or problem))
    _check_lists(lists, {item.sample_id for item in found}, raw)
    yield from found


def read(raw: RawSource, item: RawItem, card: Card) -> Sample:
    """Read one sample.

    Args:
        raw: The source that was planned.
        item: A sample of it.
        card: Joints, targets, columns, and where they are.

    Returns:
        The sample, in the units that the card says the files have.

    Raises:
        RawFormatError: If a file is not what the card says, naming what is missing or contradictory.
    """
    options = own.options_of(card)
    where = raw.where(item.paths[0])
    clip = _clip(raw, item, card, options)
    known, problem = _fields(item.sample_id, item.paths, raw, options, _labels(raw, options))
    if problem:
        raise RawFormatError(f"{where}: {problem}")
    parts: dict[str, object] = {name: value for name, value in item.meta.items() if name.startswith(own.SPLIT)}
    fields = own.merged(where, options.constants, known, clip.fields) | parts
    here = where if _one_each(options) else f"{where}, sample '{item.sample_id}'"
    return own.sample_of(clip, item.sample_id, fields, card, here)


def write(sample: Sample, card: Card) -> Iterator[tuple[str, bytes]]:
    """Write a sample as a wide table, the form of the card beside this module.

    Args:
        sample: One pose in every frame.
        card: Joints, channels, classes and columns.

    Yields:
        The path and content of one CSV file.

    Raises:
        ValueError: If a frame has no pose or several, or a coordinate is infinite.
    """
    if not np.array_equal(sample.frame, np.arange(sample.n_frames)) or np.isinf(sample.keypoints).any():
        raise ValueError(f"{sample.sample_id}: this table has one finite pose in every frame.")
    target, known = next(iter(card.targets.items()))
    fields = {"label": known.classes[int(str(sample.targets[target]))], **sample.meta}
    columns = [f"{joint}_{channel}" for joint in card.layout.joints for channel in card.channels]
    head = ["frame", *columns, *fields]
    tail = [str(value) for value in fields.values()]
    lines = [",".join(head)]
    for frame, values in enumerate(sample.keypoints.reshape(sample.n_frames, -1).tolist()):
        cells = ["" if value != value else f"{value:.9g}" for value in values]
        lines.append(",".join([str(frame), *cells, *tail]))
    yield f"own/{sample.sample_id}.csv", "".join(f"{line}\n" for line in lines).encode()


def _named(raw: RawSource, card: Card, options: own.Options) -> Iterator[tuple[str, tuple[str, ...], str | None]]:
    """Ids, files and early rejects."""
    paths = _files(raw, options)
    if options.form == "openpose":
        yield from _frames(paths)
        return
    stems = Counter(map(names.stem, paths))
    alike = any(count > 1 for count in stems.values())
    for path in paths:
        whole = path.rpartition(".")[0].replace("/", "__") if alike else names.stem(path)
        if _COPY.fullmatch(names.stem(path)):
            yield whole, (path,), f"the name '{names.file_name(path)}' is that of a copy"
        elif _one_each(options):
            groups = _groups(path, options)
            yield groups.get("id", whole) if groups else whole, (path,), None
        else:
            try:
                ids = raw.once(path, _parser(raw, path, card, options))
            except RawFormatError as error:
                yield whole, (path,), str(error)
                continue
            for name in ids:
                yield name or whole, (path,), None


def _files(raw: RawSource, options: own.Options) -> list[str]:
    """The files that hold poses."""
    others = {options.labels, *(str(name) for rule in options.splits.values() for name in _list_files(rule).values())}
    found = []
    for ending in _ENDINGS[options.form]:
        found += [path for path in names.members(raw, ending) if path not in others]
    if options.files:
        found = [path for path in found if fnmatchcase(path, options.files)]
    return [path for path in found if names.file_name(path) not in others]


def _frames(paths: list[str]) -> Iterator[tuple[str, tuple[str, ...], str | None]]:
    """OpenPose's files, one a frame, by clip."""
    clips: dict[str, list[str]] = {}
    for path in paths:
        match = openpose.FILE.fullmatch(names.file_name(path))
        folder = path.rpartition("/")[0]
        if match is None:
            yield names.stem(path), (path,), f"the name '{names.file_name(path)}' is not <clip>_NNN_keypoints.json"
            continue
        clip = match["clip"] or names.file_name(folder)
        clips.setdefault(clip, []).append(path)
    for clip, files in clips.items():
        yield clip, tuple(files), None


def _one_each(options: own.Options) -> bool:
    """Whether each file is one sample."""
    return options.form in _DETECTORS or (not options.id and "N" not in options.axes)


def _parser(raw: RawSource, path: str, card: Card, options: own.Options) -> Callable[[bytes], Mapping[str, own.Clip]]:
    """What makes the clips of a file of its bytes."""

    def clips_of_own_file(data: bytes) -> Mapping[str, own.Clip]:
        """The clips by id; its name is that of what is kept."""
        where, name = raw.where(path), names.file_name(path)
        if name.lower().endswith(_TABLES):
            used = partial(own_tables.columns_used, card=card, options=options, where=where)
            return own_tables.clips(own_tables.frame_of(data, name, used, where), card, options, where)
        return own_arrays.clips(data, name, card, options, where)

    return clips_of_own_file


def _clip(raw: RawSource, item: RawItem, card: Card, options: own.Options) -> own.Clip:
    """The poses of a sample."""
    path = item.paths[0]
    if options.form == "openpose":
        files: dict[int, tuple[bytes, str]] = {}
        for one in item.paths:
            match = openpose.FILE.fullmatch(names.file_name(one))
            number = int(match["frame"]) if match else 0
            if number in files:
                raise RawFormatError(f"{raw.where(one)}: frame {number} has two files.")
            files[number] = (raw.read(one), raw.where(one))
        return own_arrays.frames_of_openpose(files, card, options)
    if options.form in _DETECTORS:
        return own_arrays.detected(options.form, raw.read(path), card, options, raw.where(path))
    parse = _parser(raw, path, card, options)
    if not _one_each(options):
        return raw.once(path, parse)[item.sample_id]
    clips = parse(raw.read(path))
    if set(clips) != {""}:
        raise RawFormatError(f"{raw.where(path)}: holds {len(clips)} samples; options.id must tell them apart.")
    return clips[""]


def _groups(path: str, options: own.Options) -> dict[str, str] | None:
    """What the path of a file says."""
    match = re.search(options.path, path) if options.path else None
    return None if match is None else {name: text for name, text in match.groupdict().items() if text is not None}


def _fields(
    sample_id: str,
    paths: tuple[str, ...],
    raw: RawSource,
    options: own.Options,
    rows: Mapping[str, Mapping[str, object]],
) -> tuple[dict[str, object], str | None]:
    """What path and table of samples say of a sample; and why that does not do, or None."""
    groups = _groups(paths[0], options)
    if options.path and groups is None:
        return {}, f"the name '{paths[0]}' does not fit options.path"
    if options.labels and sample_id not in rows:
        return {}, f"'{sample_id}' has no row in {options.labels}. {nearest(sample_id, list(rows)[:200])}"
    try:
        return own.merged(sample_id, groups or {}, rows.get(sample_id, {})), None
    except RawFormatError as error:
        return {}, str(error)


def _labels(raw: RawSource, options: own.Options) -> Rows:
    """The table of samples by id."""
    if not options.labels:
        return {}
    path = _member(raw, options.labels, "labels")

    def rows_of_own_labels(data: bytes) -> Rows:
        """The rows by id."""
        where = raw.where(path)
        table = own_tables.frame_of(data, path, lambda header: {}, where)
        column = next((name for name in (options.id, "id", "sample_id") if name in table), str(table.columns[0]))
        if not len(table):
            raise RawFormatError(f"{where}: holds no row, expected one a sample.")
        ids = table[column].tolist()
        if len(set(ids)) < len(ids):
            twice = next(name for name, count in Counter(ids).items() if count > 1)
            raise RawFormatError(f"{where}: '{twice}' has two rows, expected one a sample.")
        records = table.drop(columns=[column]).to_dict("records")
        return {
            name: {str(key): value for key, value in record.items()} for name, record in zip(ids, records, strict=True)
        }

    return raw.once(path, rows_of_own_labels)


def _member(raw: RawSource, name: str, option: str) -> str:
    """A file of the raw data by its path or its name."""
    found = [path for path in raw.paths if path == name or names.file_name(path) == name or path.endswith(f"/{name}")]
    if len(found) != 1:
        raise CardError(f"[options]: '{option}' is '{name}': {len(found)} such files in the raw data, expected one.")
    return found[0]


def _list_files(rule: Mapping[str, object]) -> dict[str, str]:
    """The list files of one rule of `options.splits`."""
    found = rule.get("lists")
    return {str(part): str(name) for part, name in found.items()} if isinstance(found, Mapping) else {}


def _lists(raw: RawSource, options: own.Options) -> dict[str, dict[str, set[str]]]:
    """For each split by list files: column -> part -> ids."""
    found: dict[str, dict[str, set[str]]] = {}
    for split, rule in options.splits.items():
        parts: dict[str, set[str]] = {}
        for part, name in _list_files(rule).items():
            path = _member(raw, name, f"splits.{split}")
            try:
                lines = raw.read(path).decode("utf-8-sig").split("\n")
            except UnicodeDecodeError as error:
                raise RawFormatError(f"{raw.where(path)}: byte {error.start} is not UTF-8, expected ids.") from error
            parts[part] = {line.strip() for line in lines if line.strip()}
        if parts:
            both = set.intersection(*parts.values()) if len(parts) > 1 else set()
            if both:
                raise CardError(f"[options]: splits.{split}: '{min(both)}' stands in both lists.")
            found[own.SPLIT + split.replace("-", "_")] = parts
    return found


def _parts(sample_id: str, lists: Mapping[str, Mapping[str, set[str]]]) -> dict[str, MetaValue]:
    """In which lists a sample stands."""
    return {column: part for column, parts in lists.items() for part, ids in parts.items() if sample_id in ids}


def _check_lists(lists: Mapping[str, Mapping[str, set[str]]], known: set[str], raw: RawSource) -> None:
    """Refuse a list of other ids than the samples have."""
    for column, parts in lists.items():
        for part, ids in parts.items():
            strange = sorted(ids - known)
            if ids and len(strange) == len(ids):
                raise CardError(
                    f"[options]: {column.removeprefix(own.SPLIT)}: none of the {len(ids)} ids listed for {part} is a "
                    f"sample, such as '{strange[0][:60]}'. {nearest(strange[0][:60], sorted(known)[:200])}"
                )


def _only(card: Card, column: str) -> Card:
    """A card with one column."""
    return card.model_copy(update={"columns": {column: card.columns[column]}})
