"""Tables of a stranger: CSV and Parquet, with a row a frame (wide) or a row a joint (long)."""

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float32, Int64

from skelbench.card import Card
from skelbench.errors import RawFormatError, nearest
from skelbench.formats.own import Clip, Options, decoded, fields_error, joint_names, near, normal, text_of

_BLANK = ["", "nan", "NaN", "NAN", "NA", "null", "None"]  # cells without a number
# Later versions always read every digit.
_PRECISE: dict[str, Any] = {} if pd.__version__.partition(".")[0] >= "3" else {"float_precision": "round_trip"}
_CELLS = 1 << 28  # most cells of one table: two gigabytes as numbers
_INFLATED = 1 << 31  # bytes that a Parquet file may unpack to
_USUAL = Options()
_COMMA = re.compile(r"'[-+]?\d+,\d+'")  # a number with a decimal comma, in a message of pandas
_ID = re.compile(r"-?\d{1,19}", re.ASCII)  # of a person
_BLANK_IDS = frozenset({"", "-1", *(cell.lower() for cell in ("nan", "na", "null", "none"))})
_SAME = {"u": "x", "v": "y"}  # what files call the channels of an image


@dataclass(frozen=True, eq=False)
class _Numbers:
    """What is counted and measured in the rows of a table."""

    values: Float32[np.ndarray, "rows columns"]  # coordinates, then confidence
    frame: Int64[np.ndarray, " rows"] | None  # counted from 0; None where rows are frames
    person: Int64[np.ndarray, " rows"]  # -1 where nobody says
    joint: Int64[np.ndarray, " rows"] | None  # of long tables


def frame_of(
    data: bytes,
    name: str,
    numeric: Callable[[Sequence[str]], Mapping[str, str]],
    where: str,
    options: Options = _USUAL,
) -> pd.DataFrame:
    """Read a table.

    Args:
        data: CSV (comma, semicolon or tab, with a header) or Parquet.
        name: The file's name; its ending tells which.
        numeric: From the header, the columns that hold numbers, and what they are for messages.
        where: Name of the file, for messages.
        options: Encoding and decimal mark of text.

    Returns:
        The rows: numeric columns as float64, NaN where a cell is empty, all others as text; of Parquet, cells of
        lists as tuples.

    Raises:
        RawFormatError: If the file is no table, a row is of another length, a column comes twice, or a cell of a
            numeric column is no number.
    """
    if name.lower().endswith(".parquet"):
        found = _parquet(data, where)
        wanted = _of_numbers(numeric(list(map(str, found.columns))))
        for column in found.columns:
            values = found[column]
            found[column] = _as_numbers(values, column, where) if column in wanted else values.map(_cell)
        return found
    return _csv(data, numeric, options, where)


def clips(table: pd.DataFrame, card: Card, options: Options, where: str) -> dict[str, Clip]:
    """The clips of a table.

    Args:
        table: From `frame_of`.
        card: Joints and channels.
        options: Names of the columns.
        where: Name of the file, for messages.

    Returns:
        By id; by an empty text where `options.id` names no column. A field is a column that holds one value in all
        rows of a clip.

    Raises:
        RawFormatError: If a column is missing, or frames, people or joints are not numbers or contradict each other.
    """
    if not len(table):
        raise RawFormatError(f"{where}: holds no row below its header.")
    used = set(columns_used(list(table.columns), card, options, where))
    ids = table[options.id].to_numpy(str) if options.id else np.full(len(table), "")
    names, inverse = np.unique(ids, return_inverse=True)
    if options.id and not names[0]:
        raise RawFormatError(f"{where}: a row has no '{options.id}', expected the id of its sample.")
    order = np.argsort(inverse, kind="stable")
    bounds = np.searchsorted(inverse[order], np.arange(len(names) + 1))
    numbers = _numbers(table, card, options, where)
    shared = _shared(table[[column for column in table.columns if column not in used]], order, bounds)
    shown = _labelled(table, options, where)
    found = {}
    for place, name in enumerate(names):
        rows = order[bounds[place] : bounds[place + 1]]
        here = f"{where}, sample '{name}'" if options.id else where
        clip = (_wide if numbers.joint is None else _long)(numbers, rows, card, options, here)
        fields = {column: values[place] for column, values in shared.items() if values[place] is not None}
        labelled = None
        if shown is not None:
            frame = np.arange(len(rows)) if numbers.frame is None else numbers.frame[rows]
            labelled = (frame, tuple(shown[rows].tolist()))
        found[str(name)] = replace(clip, fields=fields, varying=frozenset(shared).difference(fields), labelled=labelled)
    return found


def _labelled(table: pd.DataFrame, options: Options, where: str) -> np.ndarray | None:
    """The labels of the rows' frames; None where `options.frame_label` names no column."""
    name = options.frame_label
    if not name:
        return None
    if name not in table:
        raise RawFormatError(f"{where}: no column '{name}' (options.frame_label). {nearest(name, table.columns)}")
    return table[name].to_numpy(object)


def columns_used(header: Sequence[str], card: Card, options: Options, where: str) -> dict[str, str]:
    """The columns of a header that hold numbers: what each is, for messages.

    Raises:
        RawFormatError: If one is missing.
    """
    for option in ("id", "joint"):
        name = getattr(options, option)
        if name and name not in header:
            raise RawFormatError(f"{where}: no column '{name}' (options.{option}). {nearest(name, header)}")
    found = dict.fromkeys(coordinates(header, card, options, where), "coordinates")
    for option in ("frame", "person"):
        name = getattr(options, option)
        if name in header:
            found[name] = option
        elif option in options.model_fields_set and name:
            raise RawFormatError(f"{where}: no column '{name}' (options.{option}). {nearest(name, header)}")
    return found


def coordinates(header: Sequence[str], card: Card, options: Options, where: str) -> list[str]:
    """The columns of coordinates and confidence, joint by joint, channel by channel, then those of confidence.

    Raises:
        RawFormatError: If one is missing.
    """
    known = {normal(column): column for column in reversed(header)}
    pattern = options.coordinates if not options.joint or "{joint}" not in options.coordinates else "{channel}"
    joints = [""] if options.joint else list(joint_names(card, options))
    places = [(pattern, joint, index, channel) for index, joint in enumerate(joints) for channel in card.channels]
    wanted = [_column(*place) for place in places]
    if all(normal(name) not in known for name in wanted):
        wanted = [_column(*place[:3], _SAME.get(place[3], place[3])) for place in places]
    if options.score:
        wanted += [_column(options.score, joint, index, "score") for index, joint in enumerate(joints)]
    lacking = [name for name in wanted if normal(name) not in known]
    if lacking:
        mine = "" if card.name != "own" else " This is the example's card: say by --card what your own files hold."
        raise RawFormatError(
            f"{where}: no column '{lacking[0]}', nor {len(lacking) - 1} more of {len(wanted)} for coordinates: "
            "options.coordinates and the layout's joints, or options.joints, name them. Found: "
            f"{fields_error(header)}.{mine}"
        )
    return [known[normal(name)] for name in wanted]


def _column(pattern: str, joint: str, index: int, channel: str) -> str:
    """The name of one column."""
    words = {"joint": joint, "index": str(index), "number": str(index + 1), "channel": channel}
    return re.sub(r"\{(joint|index|number|channel)\}", lambda found: words[found[1]], pattern)


def _of_numbers(used: Mapping[str, str]) -> list[str]:
    """The columns of numbers among those used: ids of people may be too long for one, or names."""
    return [name for name, what in used.items() if what != "person"]


def _cell(value: object) -> object:
    """A cell of Parquet that holds no number: a text, or a tuple of them."""
    return tuple(map(text_of, value)) if isinstance(value, (list, tuple, np.ndarray)) else text_of(value)


def _csv(
    data: bytes, numeric: Callable[[Sequence[str]], Mapping[str, str]], options: Options, where: str
) -> pd.DataFrame:
    """A table of text."""
    text = decoded(data, options, where)
    if "\0" in text:
        raise RawFormatError(f"{where}: holds zero bytes, expected a table of text.")
    first = text.partition("\n")[0]
    mark = max(",;\t", key=first.count)
    header = _rows(first, mark, where)[0] if first.strip() else []
    if not header or len({name.strip() for name in header}) < len(header) or "" in (name.strip() for name in header):
        raise RawFormatError(f"{where}: the first line names the columns, each once; found '{first[:80]}'.")
    header = [name.strip() for name in header]
    _check_rows(text, mark, len(header), where)
    wanted = _of_numbers(numeric(header))
    types = {name: "float64" if name in wanted else "str" for name in header}
    try:
        found: pd.DataFrame = pd.read_csv(
            io.StringIO(text), sep=mark, header=0, names=header, dtype=types, keep_default_na=False,
            na_values=dict.fromkeys(wanted, _BLANK), **_PRECISE, skipinitialspace=True,
            index_col=False, decimal=options.decimal,
        )  # fmt: skip
        return found
    except (ValueError, OverflowError, pd.errors.ParserError) as error:
        comma = ' Say options.decimal = ",".' if options.decimal == "." and _COMMA.search(str(error)) else ""
        raise RawFormatError(
            f"{where}: {str(error)[:120]}, expected numbers in {', '.join(list(wanted)[:3])}.{comma}"
        ) from error


def _check_rows(text: str, mark: str, count: int, where: str) -> None:
    """Every row must have as many cells as the header."""
    if '"' in text:
        for line, row in enumerate(_rows(text, mark, where), 1):
            if row and len(row) != count:
                raise RawFormatError(f"{where}, row {line}: {len(row)} cells, expected {count} as in the header.")
        return
    for line, row_text in enumerate(text.splitlines(), 1):
        if row_text.strip() and row_text.count(mark) != count - 1:
            found = row_text.count(mark) + 1
            raise RawFormatError(f"{where}, line {line}: {found} cells, expected {count} as in the header. Is it cut?")
    if text.count("\n") * count > _CELLS:
        raise RawFormatError(f"{where}: more than {_CELLS} cells. Cut the table into several files.")


def _rows(text: str, mark: str, where: str) -> list[list[str]]:
    """Rows with quoted cells."""
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True))
    except csv.Error as error:
        raise RawFormatError(f"{where}: not a table: {error}.") from error


def _parquet(data: bytes, where: str) -> pd.DataFrame:
    """A table of columns."""
    try:
        file = pq.ParquetFile(io.BytesIO(data))
        meta = file.metadata
        size = sum(meta.row_group(group).total_byte_size for group in range(meta.num_row_groups))
        if size > _INFLATED or meta.num_rows * meta.num_columns > _CELLS:
            raise RawFormatError(f"{where}: unpacks to {size} bytes of {meta.num_rows} rows, more than expected.")
        names, types = file.schema_arrow.names, file.schema_arrow.types
        if len(set(names)) < len(names):
            raise RawFormatError(f"{where}: a column comes twice among {fields_error(names)}.")
        nested = [name for name, kind in zip(names, types, strict=True) if _deep(kind)]
        if nested:
            raise RawFormatError(f"{where}: the column '{nested[0]}' holds objects or lists of lists, expected values.")
        table = file.read()
        table.validate(full=True)  # texts that are no UTF-8 would fail later, where they are used
        found: pd.DataFrame = table.to_pandas(ignore_metadata=True)
        return found
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, RawFormatError):
            raise
        raise RawFormatError(f"{where}: not a Parquet file: {str(error)[:120]}.") from error


def _deep(kind: pa.DataType) -> bool:
    """Whether a cell holds more than a value or a list of values."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        kind = kind.value_type
    return bool(pa.types.is_nested(kind))


def _as_numbers(column: "pd.Series[Any]", name: str, where: str) -> "pd.Series[Any]":
    """A column of a Parquet file as numbers."""
    try:
        return pd.to_numeric(column, errors="raise").astype("float64")
    except (TypeError, ValueError) as error:
        raise RawFormatError(f"{where}: the column '{name}' holds no numbers: {str(error)[:80]}.") from error


def _numbers(table: pd.DataFrame, card: Card, options: Options, where: str) -> _Numbers:
    """The numbers of a whole table."""
    names = coordinates(list(table.columns), card, options, where)
    frame = None
    if options.frame in table:
        frame = _whole(table[options.frame].to_numpy(np.float64), options.frame, where) - options.first_frame
    elif options.joint:
        raise RawFormatError(f"{where}: no column '{options.frame}' (options.frame), which a table of joints needs.")
    return _Numbers(
        values=_rounded(table[names].to_numpy(np.float64), where),
        frame=frame,
        person=_people(table, options, where),
        joint=_joints(table[options.joint].to_numpy(str), card, options, where) if options.joint else None,
    )


def _shared(table: pd.DataFrame, order: np.ndarray, bounds: np.ndarray) -> dict[str, list[object]]:
    """For each column its one value in every clip; None where it has several."""
    found: dict[str, list[object]] = {}
    for column in table.columns:
        codes, different = pd.factorize(table[column], use_na_sentinel=False)
        low, high = (part.reduceat(codes[order], bounds[:-1]) for part in (np.minimum, np.maximum))
        pairs = zip(low.tolist(), high.tolist(), strict=True)
        found[str(column)] = [different[one] if one == other else None for one, other in pairs]
    return found


def _wide(numbers: _Numbers, rows: np.ndarray, card: Card, options: Options, where: str) -> Clip:
    """A clip whose rows are poses."""
    joints, channels = len(card.layout.joints), len(card.channels)
    values = numbers.values[rows]
    keypoints = values[:, : joints * channels].reshape(len(rows), joints, channels)
    score = values[:, joints * channels :] if options.score else None
    frame = np.arange(len(rows)) if numbers.frame is None else numbers.frame[rows]
    return _clip(keypoints, frame, numbers.person[rows], score, options)


def _long(numbers: _Numbers, rows: np.ndarray, card: Card, options: Options, where: str) -> Clip:
    """A clip whose rows are joints."""
    if numbers.joint is None or numbers.frame is None:
        raise RawFormatError(f"{where}: a table of joints needs columns of joints and frames.")
    joint, values = numbers.joint[rows], numbers.values[rows]
    pairs, pose = np.unique(np.stack([numbers.frame[rows], numbers.person[rows]]), axis=1, return_inverse=True)
    pose = pose.reshape(-1)
    if len(np.unique(pose * len(card.layout.joints) + joint)) < len(rows):
        raise RawFormatError(
            f"{where}: a joint comes twice in one frame of one person. Is options.id or options.person another column?"
        )
    keypoints = np.full((pairs.shape[1], len(card.layout.joints), len(card.channels)), np.nan, np.float32)
    keypoints[pose, joint] = values[:, : len(card.channels)]
    score = None
    if options.score:
        score = np.full(keypoints.shape[:2], np.nan, np.float32)
        score[pose, joint] = values[:, -1]
    return _clip(keypoints, pairs[0], pairs[1], score, options)


def _clip(
    keypoints: Float32[np.ndarray, "poses joints channels"],
    frame: Int64[np.ndarray, " poses"],
    person: Int64[np.ndarray, " poses"],
    score: Float32[np.ndarray, "poses joints"] | None,
    options: Options,
) -> Clip:
    """Poses as a clip that ends with the last frame that has one."""
    if options.missing == "zero":
        keypoints = np.where((keypoints == 0).all(axis=-1, keepdims=True), np.float32(np.nan), keypoints)
    return Clip(keypoints, frame, person, score, int(frame.max()) + 1)


def _people(rows: pd.DataFrame, options: Options, where: str) -> Int64[np.ndarray, " rows"]:
    """Who each row is of: the file's number, or that of a name in their order; -1 where nobody says."""
    if options.person not in rows:
        return np.full(len(rows), -1, np.int64)
    different, inverse = np.unique(rows[options.person].to_numpy(str), return_inverse=True)
    names = [name.strip().removesuffix(".0") for name in different.tolist()]
    known = [name for name in names if name.lower() not in _BLANK_IDS]
    if all(_ID.fullmatch(name) for name in known):
        ids = {name: int(name) for name in known}
        wrong = next((name for name, number in ids.items() if not 0 <= number < 1 << 63), None)
        if wrong is not None:
            raise RawFormatError(f"{where}: '{options.person}' is {wrong}, expected a number from 0 on, or a name.")
    else:
        ids = {name: number for number, name in enumerate(dict.fromkeys(known))}
    return np.array([ids.get(name, -1) for name in names], np.int64)[inverse.reshape(-1)]


def _joints(names: np.ndarray, card: Card, options: Options, where: str) -> Int64[np.ndarray, " rows"]:
    """Which joint each row is of, by its name or its number."""
    mine = joint_names(card, options)
    known = {normal(name): place for place, name in enumerate(mine)}
    known = {str(place): place for place in known.values()} | known
    different, inverse = np.unique(names, return_inverse=True)
    strange = [name for name in different.tolist() if normal(name) not in known]
    if strange:
        hint = near(strange[0][:40], mine)
        raise RawFormatError(
            f"{where}: the layout '{card.layout.name}' has no joint '{strange[0][:40]}'. {hint} options.joints says "
            f"what the files call its {len(mine)} joints."
        )
    return np.array([known[normal(name)] for name in different.tolist()], np.int64)[inverse]


def _whole(values: np.ndarray, name: str, where: str) -> Int64[np.ndarray, " rows"]:
    """Numbers of frames or people."""
    wrong = ~(np.abs(values) < 2**53) | (values != np.floor(values))
    if wrong.any():
        row = int(wrong.argmax())
        raise RawFormatError(f"{where}, row {row + 1}: '{name}' is {values[row]:g}, expected a whole number.")
    return values.astype(np.int64)


def _rounded(values: np.ndarray, where: str) -> Float32[np.ndarray, "rows columns"]:
    """Coordinates as float32."""
    with np.errstate(over="ignore"):
        found: np.ndarray = values.astype(np.float32)
    if np.isinf(found).any():
        row, column = np.argwhere(np.isinf(found))[0].tolist()
        raise RawFormatError(f"{where}, row {row + 1}: {values[row, column]:g}, expected a finite number.")
    return found
