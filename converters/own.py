"""A stranger's own data: tables, arrays, JSON or a detector's output; the card says what is where."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import partial
from typing import TypeVar

import numpy as np

from skelbench.card import Card
from skelbench.errors import CardError, RawFormatError
from skelbench.formats import names, openpose, own, own_arrays, own_segments, own_tables
from skelbench.protocols import own_protocol
from skelbench.raw import RawItem, RawSource
from skelbench.sample import MetaValue, Sample

_TABLES = (".csv", ".tsv", ".parquet")
Value = TypeVar("Value")
Named = Mapping[str, tuple[str, Value]]  # by all spellings of an id: the id as it stands, and what is said of it
Rows = Named[Mapping[str, object]]  # of a table of samples
Actions = Named[tuple[own_segments.Action, ...]]  # of a table of segments
Lists = Mapping[str, Mapping[str, Mapping[str, str]]]  # column of a split -> part -> id -> name of its list
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
    for name, rule in options.splits.items():
        own_protocol(card, name, rule)
    lists = _lists(raw, options)
    rows = _labels(raw, options)
    actions = _segments(raw, card, options)
    found: list[RawItem] = []
    for sample_id, paths, reject in _named(raw, card, options):
        fields, problem = _fields(sample_id, paths, raw, options, rows)
        meta = _parts(sample_id, lists)
        for column in card.columns:
            name = options.columns.get(column, options.subject if column == "subject" else column)
            if name in fields and column not in meta:
                meta |= own.meta_of(fields, _only(card, column), options, sample_id, raw.where(paths[0]))
        found.append(RawItem(sample_id, paths, meta, reject or problem))
    if not found:
        _check_glob(raw, options)
    known = {item.sample_id for item in found}
    _check_lists(lists, known)
    yield from found
    yield from _absent(raw, options, lists, {} if options.labels_by else rows, actions, known)


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
    segments = None
    if options.frame_label:
        segments = own_segments.of_frames(clip, card, options, here)
    elif options.segments:
        rows = _row(_segments(raw, card, options), item.sample_id)
        table = raw.where(_member(raw, options.segments, "segments"))
        segments = None if rows is None else own_segments.of_actions(rows, clip.n_frames, card, options, table)
    return own.sample_of(clip, item.sample_id, fields, card, here, segments=segments)


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
    lists = (name for rule in options.splits.values() for name in _list_files(rule).values())
    others = {options.labels, options.segments, *lists}
    found = []
    endings = _ENDINGS[options.form]
    if options.form == "auto" and {"axes", "array"} & options.model_fields_set:  # of which tables have neither
        endings = tuple(ending for ending in endings if ending not in _TABLES)
    for ending in endings:
        found += [path for path in names.members(raw, ending) if path not in others]
    if options.files:
        found = [path for path in found if fnmatchcase(path, options.files)]
    return [path for path in found if names.file_name(path) not in others]


def _check_glob(raw: RawSource, options: own.Options) -> None:
    """Refuse a glob that fits no file of a kind that is read."""
    endings = _ENDINGS[options.form]
    some = [path for path in raw.paths if path.lower().endswith(endings)]
    if options.files and some:
        raise CardError(
            f"[options]: 'files' is '{options.files}', which fits none of the {len(some):,} files of "
            f"{', '.join(endings)}, such as '{some[0]}'."
        )


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
            return own_tables.clips(own_tables.frame_of(data, name, used, where, options), card, options, where)
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
    rows: Rows,
) -> tuple[dict[str, object], str | None]:
    """What path and table of samples say of a sample; and why that does not do, or None."""
    groups = _groups(paths[0], options)
    if options.path and groups is None:
        return {}, f"the name '{paths[0]}' does not fit options.path"
    name = (groups or {}).get(options.labels_by, "") if options.labels_by else sample_id
    row = _row(rows, name)
    if options.labels and row is None:
        return {}, f"'{name}' has no row in {options.labels}. {own.near(name, {one for one, _ in rows.values()})}"
    try:
        return own.merged(sample_id, groups or {}, row or {}), None
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
        table = own_tables.frame_of(data, path, lambda header: {}, where, options)
        likely = (options.labels_by, options.id, "id", "sample_id")
        column = next((name for name in likely if name in table), str(table.columns[0]))
        if not len(table):
            raise RawFormatError(f"{where}: holds no row, expected one a sample.")
        ids = list(map(own.text_of, table[column]))
        if len(set(ids)) < len(ids):
            twice = next(name for name, count in Counter(ids).items() if count > 1)
            raise RawFormatError(f"{where}: '{twice}' has two rows, expected one a sample.")
        records = table.drop(columns=[column]).to_dict("records")
        return _spelt(
            {
                name: {str(key): value for key, value in record.items()}
                for name, record in zip(ids, records, strict=True)
            }
        )

    return raw.once(path, rows_of_own_labels)


def _segments(raw: RawSource, card: Card, options: own.Options) -> Actions:
    """The rows of the table of segments by id."""
    if not options.segments:
        return {}
    path = _member(raw, options.segments, "segments")

    def rows_of_own_segments(data: bytes) -> Actions:
        """The rows by id."""
        return _spelt(own_segments.table(data, path, options, raw.where(path)))

    return raw.once(path, rows_of_own_segments)


def _absent(
    raw: RawSource, options: own.Options, lists: Lists, rows: Rows, actions: Actions, known: set[str]
) -> Iterator[RawItem]:
    """Ids that a list or table names and no file has, each a reject."""
    named = {name: options.segments for name, _ in actions.values()} | {
        name: options.labels for name, _ in rows.values()
    }
    for column, parts in lists.items():
        split = next(name for name in options.splits if own.split_column(name) == column)
        files = _list_files(options.splits[split])
        named |= {name: files[part] for part, ids in parts.items() for name in ids.values()}
    for name, table in sorted(named.items()):
        if known.isdisjoint(own.spellings(name)):
            reason = f"'{name}' stands in {table}, and no file of poses has it"
            yield RawItem(name, (_member(raw, table, "labels"),), {}, reason)


def _spelt(rows: Mapping[str, Value]) -> Named[Value]:
    """What is said of ids, under all their spellings; an id as it stands comes before another's spelling."""
    found = {name: (name, row) for name, row in rows.items()}
    for name, row in rows.items():
        for spelling in own.spellings(name):
            found.setdefault(spelling, (name, row))
    return found


def _row(rows: Named[Value], name: str) -> Value | None:
    """What is said of an id; None where nothing is."""
    return rows[name][1] if name in rows else None


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


def _lists(raw: RawSource, options: own.Options) -> Lists:
    """For each split by list files: column -> part -> ids by all their spellings."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for split, rule in options.splits.items():
        parts: dict[str, dict[str, str]] = {}
        for part, name in _list_files(rule).items():
            path = _member(raw, name, f"splits.{split}")
            lines = [line.strip() for line in own.decoded(raw.read(path), options, raw.where(path)).split("\n")]
            ids = {line: line for line in lines if line}
            parts[part] = ids | {one: line for line in ids for one in own.spellings(line) if one not in ids}
        if parts:
            both = set.intersection(*(set(ids.values()) for ids in parts.values())) if len(parts) > 1 else set()
            if both:
                raise CardError(f"[options]: splits.{split}: '{min(both)}' stands in both lists.")
            found[own.split_column(split)] = parts
    return found


def _parts(sample_id: str, lists: Lists) -> dict[str, MetaValue]:
    """In which lists a sample stands."""
    return {column: part for column, parts in lists.items() for part, ids in parts.items() if sample_id in ids}


def _check_lists(lists: Lists, known: set[str]) -> None:
    """Refuse a list of other ids than the samples have."""
    for column, parts in lists.items():
        for part, ids in parts.items():
            if ids and known.isdisjoint(ids):
                strange = min(ids.values())
                raise CardError(
                    f"[options]: {column.removeprefix(own.SPLIT)}: none of the {len(set(ids.values()))} ids listed for "
                    f"{part} is a sample, such as '{strange[:60]}'. {own.near(strange[:60], known)}"
                )


def _only(card: Card, column: str) -> Card:
    """A card with one column."""
    return card.model_copy(update={"columns": {column: card.columns[column]}})
