"""Raw data without unpacking: folders, zips, tars and single files, several of them as one.

Members are named relative to the deepest folder that holds all of them, so a folder, an archive of it, and a
folder that holds nothing but that archive give the same names. Several paths are read as if they lay in one
folder; an archive inside a folder is a folder; an archive inside an archive is a file, which people are told of.

A packed tar (gzip, bzip2, xz) has no list: it is unpacked once to find its members, and again for each member
that is read, unless `unpack` has made a plain copy of it first.
"""

import hashlib
import io
import itertools
import os
import re
import stat
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeAlias, TypeVar, cast

from skelbench.errors import RawFormatError, UsageError
from skelbench.sources.alike import alike
from skelbench.sources.folders import FileMember, list_folder, map_file, read_file
from skelbench.sources.tars import TarMember, is_packed, list_tar, read_tar, unpack_tar
from skelbench.sources.zips import ZipMember, list_zip, read_zip
from skelbench.workspace import expanded

Parsed = TypeVar("Parsed")
Data = TypeVar("Data", bytes, memoryview)
Kind: TypeAlias = Literal["file", "folder", "zip", "tar"]

_FORMS = 4  # functions that parse one member, of which the results are kept
_NOTHING = object()
MARKER = "SYNTHETIC.json"  # `synth` writes it among the raw files that it makes
_TAR = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_NOT_DATA = re.compile(r"(^|/)(__MACOSX/|\._|\.DS_Store$|Thumbs\.db$|desktop\.ini$)")  # what systems leave behind
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")  # and what turns the direction of text
_NOT_UTF8 = re.compile("[\ud800-\udfff]")  # how Python writes bytes that it could not decode
_USUAL = re.compile(r"([\w+-][\w.+-]*/)*[\w+-][\w.+-]*", re.ASCII)  # a name in which nothing can be wrong
_UNPRINTABLE = re.compile(f"{CONTROL.pattern}|{_NOT_UTF8.pattern}")


@dataclass(frozen=True)
class Holder:
    """One folder, archive or single file that members lie in."""

    kind: Kind
    path: Path
    label: str = ""  # folder under which its members stand in the source; empty at the top
    plain: Path | None = None  # an unpacked copy of a packed tar


Member: TypeAlias = FileMember | ZipMember | TarMember
Entry: TypeAlias = tuple[Holder, Member]


class Source:
    """The members of one or several raw paths; implements `skelbench.raw.RawSource`.

    Nothing is held open, so a source can be kept, dropped or pickled at any time.
    """

    roots: tuple[Path, ...]  # the folders and archives that were given
    paths: tuple[str, ...]  # members, sorted, with forward slashes, in Unicode's composed form (NFC)
    refused: tuple[tuple[str, str], ...]  # members that are never read, and why
    digests: dict[str, str]  # member -> SHA-256 of those used since the engine last emptied it

    def __init__(
        self, roots: Iterable[Path], entries: Mapping[str, Entry], refused: Iterable[tuple[str, str]], *, max_file: int
    ) -> None:
        """Name the members; `open_source` finds them."""
        self.roots = tuple(roots)
        self.paths = tuple(sorted(entries))
        self.refused = tuple(sorted(refused))
        self.digests = {}
        self._entries = entries
        self._max_file = max_file
        self._known: dict[str, str] = {}  # digests of what `once` has parsed
        self._parsed: dict[str, list[tuple[object, object]]] = {}  # by member, the last few functions and results

    def __getstate__(self) -> dict[str, object]:
        """What another process needs: not what `once` has parsed here, nor the functions that did."""
        return {**vars(self), "_parsed": {}}

    def where(self, path: str) -> str:
        """Name a member for people: the folder's or archive's path and the member's."""
        holder, member = self._entry(path)
        return str(holder.path) if holder.kind == "file" else f"{holder.path}/{member.name}"

    def size(self, path: str) -> int:
        """Bytes of a member, as listed; 0 for one that there is not."""
        return self._entries[path][1].size if path in self._entries else 0

    def open(self, path: str) -> io.BytesIO:
        """Open a member for reading; it is read whole, since none is larger than the source allows.

        Raises:
            RawFormatError: If the member is unknown, damaged, or larger than the source allows.
        """
        return io.BytesIO(self.read(path))

    def read(self, path: str) -> bytes:
        """Read a member whole; raises like `open`."""
        holder, member = self._entry(path)
        if member.size > self._max_file:
            raise RawFormatError(
                f"{self.where(path)}: {member.size} bytes, expected at most {self._max_file} (the card's max_file_mb)."
            )
        with self._named(path):
            data = _read(holder, member)
        self.digests[path] = hashlib.sha256(data).hexdigest()
        return data

    def once(self, path: str, parse: Callable[[bytes], Parsed]) -> Parsed:
        """Parse a shared member, such as a label list, once in each process.

        Args:
            path: A member.
            parse: What makes of its bytes what is wanted. It may be made anew for each call, as a closure or a
                `functools.partial`: it is known by its code and by what it is bound to, see `alike`.

        Returns:
            The result of `parse`, the same object each time. Of a member that many functions parse the results of the
            last few are kept.

        Raises:
            RawFormatError: As `read`, and what `parse` raised, at the second asking too.
        """
        return self._once(path, parse, self.read)

    def once_mapped(self, path: str, parse: Callable[[memoryview], Parsed]) -> Parsed:
        """Parse a large shared member as `once` does, without having its bytes in memory where it is a plain file.

        Args:
            path: A member.
            parse: As of `once`; what it makes may be views of the bytes, which then stay mapped. The file must not be
                cut while they are used: systems end a process that looks behind the end of a file.

        Returns:
            As `once`.

        Raises:
            RawFormatError: As `once`.
        """
        return self._once(path, parse, self._map)

    def _once(self, path: str, parse: Callable[[Data], Parsed], read: Callable[[str], Data]) -> Parsed:
        """See `once`."""
        known = self._parsed.setdefault(path, [])
        found = next((found for function, found in known if alike(function, parse)), _NOTHING)
        if found is _NOTHING:
            del known[: 1 - _FORMS]  # before the next is made, since one may fill much of the memory
            try:
                found = parse(read(path))
            except RawFormatError as error:
                found = error
            known.append((parse, found))
            self._known[path] = self.digests.get(path, "")
        if isinstance(found, RawFormatError):
            raise RawFormatError(str(found))
        self.digests[path] = self._known[path]  # whoever uses it depends on it, not only the first
        return cast(Parsed, found)

    def _map(self, path: str) -> memoryview:
        """A member as a view of its bytes: of a plain file mapped, else in memory; raises like `open`."""
        holder, member = self._entry(path)
        if not isinstance(member, FileMember) or not 0 < member.size <= self._max_file:
            return memoryview(self.read(path))
        with self._named(path):
            data = map_file(_place(holder, member), member.size)
        self.digests[path] = hashlib.sha256(data).hexdigest()
        return data

    @contextmanager
    def _named(self, path: str) -> Iterator[None]:
        """Say with whatever goes wrong which member it is."""
        try:
            yield
        except RawFormatError as error:
            raise RawFormatError(f"{self.where(path)}: {error}") from error
        except OSError as error:
            raise RawFormatError(f"{self.where(path)}: cannot be read: {error.strerror or error}.") from error

    def unpack(self, folder: Path) -> dict[Path, Path]:
        """Make plain copies of all packed tars, so that their members can be reached directly.

        Args:
            folder: Where to write; it must exist. Space needed: what the tars hold, unpacked.

        Returns:
            The copy of each packed tar, as `open_source` takes them; this source reads from them too.

        Raises:
            OSError: If the disk is full.
        """
        copies: dict[Path, Path] = {}
        for holder in dict.fromkeys(holder for holder, _ in self._entries.values()):
            if holder.kind == "tar" and not holder.plain and is_packed(holder.path):
                copies[holder.path] = folder / f"unpacked-{len(copies)}.tar"
                members = [member for mine, member in self._entries.values() if mine == holder]
                holes = [member for member in members if member.size > self._max_file]
                unpack_tar(holder.path, copies[holder.path], cast("list[TarMember]", holes))
        self._entries = {
            name: (replace(holder, plain=copies.get(holder.path, holder.plain)), member)
            for name, (holder, member) in self._entries.items()
        }
        return copies

    def _entry(self, path: str) -> Entry:
        """Where a member lies."""
        try:
            return self._entries[path]
        except KeyError:
            message = f"No member '{printable(path)}' in the raw data, which has {len(self.paths)}."
            raise RawFormatError(message) from None


def open_source(
    paths: Sequence[Path],
    *,
    max_file: int,
    skip: Sequence[Path] = (),
    copies: Mapping[Path, Path] = MappingProxyType({}),
) -> Source:
    """Find the members of raw data.

    Args:
        paths: Folders, archives (`.zip`, `.tar`, `.tar.gz` and the like) or single files; several are one source.
        max_file: Bytes; larger members are listed and not read.
        skip: Folders to leave out, such as the store that is being made.
        copies: Plain copies of packed tars, from `Source.unpack`.

    Returns:
        The source; members that must not be read stand in `refused` with the reason.

    Raises:
        UsageError: If a path is missing, cannot be read, or is no archive although its name says so.
    """
    if not paths:
        raise UsageError("No raw data given. Name a folder, zip or tar with --raw PATH.")
    entries: dict[str, Entry] = {}
    refused: list[tuple[str, str]] = []
    hidden = {os.path.realpath(folder) for folder in skip}
    for holder in _holders(paths):
        try:
            for inner, members, reasons in _list(holder, hidden, copies):
                refused += [(_joined(inner.label, printable(name)), reason) for name, reason in reasons]
                refused += _take(inner, members, entries)
        except (RawFormatError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise UsageError(f"{holder.path}: {reason}") from error
    top = len(_common_folder(entries))
    return Source(paths, {name[top:]: entry for name, entry in entries.items()}, refused, max_file=max_file)


def clean_name(name: str) -> tuple[str, str]:
    """Bring a member's name into one form, or say why it is refused.

    Args:
        name: As the file system or archive has it; lone surrogates stand for bytes that are not UTF-8.

    Returns:
        The name in composed Unicode (NFC) without `./` and doubled slashes, and a reason, empty when it is fine.
    """
    if _USUAL.fullmatch(name):
        return name, ""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    problem = ""
    if _NOT_UTF8.search(name):
        problem = "has a name that is not UTF-8"
    elif CONTROL.search(name):
        problem = "has a control character in its name"
    elif "\\" in name:
        problem = "has a backslash in its name"
    elif name.startswith("/") or name[1:2] == ":":
        problem = "has an absolute path as its name"
    elif ".." in parts:
        problem = "has a name that leads out of its folder"
    elif not parts:
        problem = "has no name"
    return unicodedata.normalize("NFC", "/".join(parts)), problem


def printable(text: str, longest: int = 200) -> str:
    """Text that any file or terminal can hold: control characters and lone surrogates escaped, long text cut."""
    safe = _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text[: longest + 1])
    return safe if len(text) <= longest else f"{safe[:longest]}…"


def _holders(paths: Sequence[Path]) -> list[Holder]:
    """The given paths, each once; several stand under their own names, numbered where these are equal."""
    distinct = {os.path.realpath(path): path for path in map(expanded, reversed(paths))}
    given = list(reversed(distinct.values()))
    holders: list[Holder] = []
    labels: set[str] = set()
    for path in given:
        kind = _kind(path)
        name = unicodedata.normalize("NFC", printable(path.resolve().name))
        label = "" if len(given) == 1 or kind == "file" else name
        numbers = itertools.count(2)
        while label and label in labels:
            label = f"{name}-{next(numbers)}"
        labels.add(label)
        holders.append(Holder(kind, path, label))
    return holders


def _kind(path: Path) -> Kind:
    """What a given path is."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{printable(str(path))}: {reason}. --raw names a folder, zip, tar or file.") from error
    if stat.S_ISDIR(mode):
        return "folder"
    if not stat.S_ISREG(mode):
        raise UsageError(f"{path}: neither a folder nor a regular file. --raw names a folder, zip, tar or file.")
    return _archive_kind(path.name) or "file"


def is_archive(name: str) -> bool:
    """Whether a file name says that it is an archive."""
    return _archive_kind(name) is not None


def _archive_kind(name: str) -> Literal["zip", "tar"] | None:
    """Which archive a file name says it is."""
    lower = name.lower()
    return "zip" if lower.endswith(".zip") else "tar" if lower.endswith(_TAR) else None


Listed: TypeAlias = tuple[Holder, Sequence[Member], Sequence[tuple[str, str]]]


def _list(holder: Holder, hidden: set[str], copies: Mapping[Path, Path]) -> list[Listed]:
    """Members and refusals of one holder, and of the archives in it when it is a folder."""
    if holder.kind == "zip":
        return [(holder, *list_zip(holder.path))]
    if holder.kind == "tar":
        known = replace(holder, plain=copies.get(holder.path))
        return [(known, *list_tar(known.plain or known.path))]
    if holder.kind == "file":
        return [(holder, [FileMember(holder.path.name, holder.path.stat().st_size)], [])]
    members, refused = list_folder(holder.path, hidden)
    files: list[FileMember] = []
    listed: list[Listed] = []
    for member in members:
        kind = _archive_kind(member.name)
        name, problem = clean_name(member.name)
        if kind is None or problem:
            files.append(member)
            continue
        try:
            listed += _list(Holder(kind, holder.path / member.name, _joined(holder.label, name)), hidden, copies)
        except (RawFormatError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            refused.append((member.name, f"cannot be opened: {reason.rstrip('.')}"))
    return [(holder, files, refused), *listed]


def _read(holder: Holder, member: Member) -> bytes:
    """The bytes of a member, at most one more than its size."""
    if isinstance(member, ZipMember):
        return read_zip(holder.path, member)
    if isinstance(member, TarMember):
        return read_tar(holder.plain or holder.path, member)
    return read_file(_place(holder, member), member.size)


def _place(holder: Holder, member: FileMember) -> str:
    """Where a plain file lies on the disk."""
    return str(holder.path) if holder.kind == "file" else f"{holder.path}/{member.name}"


def _joined(label: str, name: str) -> str:
    """A member's name under its holder's label."""
    return f"{label}/{name}" if label else name


def _take(holder: Holder, members: Iterable[Member], entries: dict[str, Entry]) -> list[tuple[str, str]]:
    """Add the members of one holder to the entries; return those that are refused for their names."""
    refused = []
    for member in members:
        clean, problem = clean_name(member.name)
        name = _joined(holder.label, clean)
        if _NOT_DATA.search(clean):
            continue
        if problem or name in entries:
            shown = _joined(holder.label, printable(member.name))
            refused.append((shown, problem or "is the second member of that name"))
        else:
            entries[name] = (holder, member)
    return refused


def _common_folder(names: Iterable[str]) -> str:
    """The deepest folder that holds all names, with its slash; empty when there is none."""
    first, last = (min(names, default=""), max(names, default=""))  # all others agree where these two do
    alike = 0
    while alike < min(len(first), len(last)) and first[alike] == last[alike]:
        alike += 1
    return first[: first.rfind("/", 0, alike) + 1]
