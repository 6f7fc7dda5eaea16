"""Label files of sets in Kinetics-Skeleton's manner: one JSON for each part, an entry for each video."""

import json
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from skelbench.errors import RawFormatError
from skelbench.formats import strict_json
from skelbench.formats.names import file_name
from skelbench.raw import RawSource

_FOLDER = re.compile(r"(?:.*_)?(train|val)", re.ASCII | re.DOTALL)
_GZIP = b"\x1f\x8b"
_GZIP_WINDOW = 31  # zlib's word for gzip
_LARGEST = 1 << 29  # bytes unpacked: five million entries


@dataclass(frozen=True)
class Entry:
    """What a label file says of one video."""

    index: int  # label, from 0
    label: str  # its name; empty where the file has none
    has_skeleton: bool  # false: the owner's detector found nobody


@dataclass(frozen=True)
class Labels:
    """One part of a set."""

    path: str  # member of the source
    entries: Mapping[str, Entry]  # by video


def find(raw: RawSource, prefix: str, name: str = "label") -> dict[str, str]:
    """The files of all parts, by part.

    Args:
        raw: The source.
        prefix: How their names begin, such as `kinetics`.
        name: And end: `<prefix>_<part>_<name>.json`, perhaps with `.gz`.

    Returns:
        Member by part: `train`, `val`.
    """
    pattern = re.compile(rf"{re.escape(prefix)}_(?P<part>train|val)_{re.escape(name)}\.json(?:\.gz)?", re.ASCII)
    found: dict[str, str] = {}
    for path in raw.paths:
        match = pattern.fullmatch(file_name(path))
        if match and "__MACOSX" not in path.split("/"):
            found.setdefault(match["part"], path)
    return found


def read(raw: RawSource, prefix: str) -> dict[str, Labels]:
    """The label files of all parts; each is parsed once in a process.

    Raises:
        RawFormatError: If one is damaged.
    """
    found = find(raw, prefix)
    return {part: Labels(path, raw.once(path, partial(parse, where=raw.where(path)))) for part, path in found.items()}


def part_of(path: str, video: str, listed: Mapping[str, Labels]) -> str:
    """Training or validation: by the folder of a clip, else by the label file that lists its video; else empty."""
    match = _FOLDER.fullmatch(path.rpartition("/")[0].rpartition("/")[2])
    if match:
        return match[1]
    return next((part for part, labels in listed.items() if video in labels.entries), "")


def parse(data: bytes, where: str) -> dict[str, Entry]:
    """Read a label file.

    Args:
        data: JSON, perhaps packed by gzip.
        where: Name of the file, for messages.

    Returns:
        Entry by video; `has_skeleton` is true where it is not given.

    Raises:
        RawFormatError: If the file is not what the format says, naming the video.
    """
    return {
        name: _entry(found, f"{where}, '{name[:40]}'")
        for name, found in strict_json.load(plain(data, where), where).items()
    }


def render(entries: Iterable[tuple[str, Entry]]) -> bytes:
    """Write a label file, the inverse of `parse`."""
    table = {}
    for name, entry in entries:
        label = {"label": entry.label} if entry.label else {}
        table[name] = {"has_skeleton": entry.has_skeleton, **label, "label_index": entry.index}
    return json.dumps(table, indent=0).encode("ascii")


def plain(data: bytes, where: str) -> bytes:
    """Unpack a file that is packed by gzip, up to a bound; others as they are.

    Raises:
        RawFormatError: If it is damaged, or holds more than any label file.
    """
    if not data.startswith(_GZIP):
        return data
    unpacker = zlib.decompressobj(_GZIP_WINDOW)
    try:
        found = unpacker.decompress(data, _LARGEST)
    except zlib.error as error:
        raise RawFormatError(f"{where}: not gzip: {error}.") from error
    if unpacker.unconsumed_tail or unpacker.unused_data:
        raise RawFormatError(f"{where}: holds more than {_LARGEST >> 20} MB, or something after its end.")
    if not unpacker.eof:
        raise RawFormatError(f"{where}: the packed file is cut.")
    return found


def _entry(found: object, where: str) -> Entry:
    """One entry, checked."""
    if not isinstance(found, dict):
        raise RawFormatError(f"{where}: {strict_json.kind(found)}, expected an object.")
    index = strict_json.field(found, "label_index", int, where)
    label, shown = found.get("label", ""), found.get("has_skeleton", True)
    if not isinstance(label, str) or not isinstance(shown, bool) or index < 0:
        raise RawFormatError(
            f"{where}: label {str(label)[:40]!r}, index {str(index)[:20]}, has_skeleton {str(shown)[:20]}; expected "
            "a text, a number of 0 or more, and true or false."
        )
    return Entry(index, label, shown)
