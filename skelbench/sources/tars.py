"""Members of a tar, packed or not: their list and their bytes, whatever a stranger put into it.

The headers are walked here rather than by `tarfile`, which takes a tar that was damaged or cut between two
headers for a short one. Here an archive that ends early is an error, and one bad member is refused with a reason.

Source: IEEE Std 1003.1-2017, pax, "ustar Interchange Format" and "pax Extended Header"; GNU tar manual, "Basic Tar".
"""

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from skelbench.errors import RawFormatError

_BLOCK = 512
_CHUNK = 1 << 20
_MAX_HEADER = 1 << 20  # bytes of one extended header: a name, not a hiding place
_GROWTH = 100  # times its size that a packed tar may unpack to: poses shrink to a tenth or so, bombs to a thousandth
_FREE = 64 << 20  # bytes that it may unpack to whatever its size: many headers of small files pack very well
_NO_FOLLOW = {
    tarfile.LNKTYPE: "is a hard link",
    tarfile.SYMTYPE: "is a symbolic link",
    tarfile.CHRTYPE: "is a device",
    tarfile.BLKTYPE: "is a device",
    tarfile.FIFOTYPE: "is a pipe",
}
_PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError)  # what the standard unpackers raise on damaged data


@dataclass(frozen=True, slots=True)
class TarMember:
    """Where the bytes of one file lie."""

    name: str  # as it is written in the tar; bytes that are not UTF-8 stand as lone surrogates
    size: int  # bytes
    at: int  # offset of the data in the unpacked tar


Refusal: TypeAlias = tuple[str, str]  # a member's name, and why it is not read


def list_tar(path: Path) -> tuple[list[TarMember], list[Refusal]]:
    """Read the list of members of a tar, packed or not.

    A plain tar is walked from header to header. A packed one is unpacked once from end to end, nothing kept.

    Args:
        path: The archive.

    Returns:
        The members that can be read, and those that are refused: links, devices, pipes, sparse files.

    Raises:
        RawFormatError: If it is not a tar, is cut short, a header or the packing is damaged, or it unpacks to far
            more than files of poses do.
    """
    room = _GROWTH * path.stat().st_size + _FREE if is_packed(path) else None
    try:
        with open_tar(path) as file:
            listing = _walk_tar(file, room)
            _to_the_end(file, room)
            return listing
    except MemoryError as error:  # the packing asks for a window larger than this machine has
        raise RawFormatError("takes more memory to unpack than there is. Pack it again, with gzip.") from error
    except _BROKEN as error:
        raise RawFormatError(f"damaged or cut short ({error}). Download the archive again.") from error


def read_tar(path: Path, member: TarMember) -> bytes:
    """Read one member of a tar; of a packed one everything before it is unpacked and dropped.

    Args:
        path: The archive, or its copy by `unpack_tar`.
        member: One of `list_tar`.

    Returns:
        Its bytes.

    Raises:
        RawFormatError: If the archive ends before it, or is damaged.
        OSError: If the archive cannot be read.
    """
    try:
        with open_tar(path) as file:
            _skip(file, member.at)
            data = file.read(member.size)
    except (EOFError, zlib.error, lzma.LZMAError) as error:
        raise RawFormatError(f"damaged data ({error}). Download the archive again.") from error
    if len(data) < member.size:
        raise RawFormatError("the tar ends within this member: cut short?")
    return data


def is_packed(path: Path) -> bool:
    """Whether a tar is packed, so that members cannot be reached without unpacking what stands before them."""
    with path.open("rb") as file:
        return _unpacker(file.read(6)) is not None


def unpack_tar(path: Path, out: Path, holes: Sequence[TarMember]) -> None:
    """Copy a packed tar to a plain one, in which members can be reached directly.

    Args:
        path: The packed archive.
        out: The plain tar to write; offsets are those of the unpacked stream.
        holes: Members to leave out; in their place the file has holes, which take no space.

    Raises:
        OSError: If the archive cannot be read, or the disk is full.
    """
    with open_tar(path) as file, out.open("wb") as plain:
        for member in sorted(holes, key=lambda member: member.at):
            _copy(file, plain, member.at - plain.tell())
            _skip(file, member.size)
            plain.seek(member.at + member.size)
        _copy(file, plain, None)
        plain.truncate()


def open_tar(path: Path) -> io.BufferedIOBase:
    """Open a tar, unpacking gzip, bzip2 and xz on the way."""
    file = path.open("rb")
    opener = _unpacker(file.read(6))
    if opener is None:
        file.seek(0)
        return file
    file.close()
    return opener(path, "rb")


def _unpacker(head: bytes) -> type[gzip.GzipFile] | type[bz2.BZ2File] | type[lzma.LZMAFile] | None:
    """Who unpacks a file that begins so; None for a plain one."""
    if head.startswith(b"\x1f\x8b"):
        return gzip.GzipFile
    if head.startswith(b"BZh"):
        return bz2.BZ2File
    return lzma.LZMAFile if head.startswith(b"\xfd7zXZ\0") else None


def _walk_tar(file: io.BufferedIOBase, room: int | None) -> tuple[list[TarMember], list[Refusal]]:
    """Go from header to header until the end mark, and never further than there is room."""
    members: list[TarMember] = []
    refused: list[Refusal] = []
    extended: dict[str, str] = {}  # what headers before a member say about it
    for at, header in _headers(file):
        info = _tar_header(header, at)
        size = _declared(extended) or info.size
        _within(at + _BLOCK + size, room)
        if info.type in (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE):
            extended |= _extension(info.type, _tar_text(file, size, at))
            continue
        name = extended.get("path", info.name)
        reason = _tar_refusal(info, extended)
        extended = {}
        if info.type == tarfile.GNUTYPE_SPARSE:
            _skip_sparse_map(file, header)
        data_at = file.tell()
        if info.type not in (*_NO_FOLLOW, tarfile.DIRTYPE):
            _skip(file, size)
            _skip(file, -size % _BLOCK)
        if reason:
            refused.append((name, reason))
        elif info.type != tarfile.DIRTYPE and not name.endswith("/"):
            members.append(TarMember(name, size, data_at))
        elif info.type != tarfile.DIRTYPE and size:
            refused.append((name, f"is named as a folder, but holds {size} bytes"))
    return members, refused


def _within(size: int, room: int | None) -> None:
    """Stop at a bomb, before it is unpacked."""
    if room is not None and size > room:
        raise RawFormatError(
            f"unpacks to {size} bytes or more, expected {room} at most: {_GROWTH} times its size. If the archive is "
            "what it should be, unpack it and give the folder."
        )


def _to_the_end(file: io.BufferedIOBase, room: int | None) -> None:
    """Read on to the end of the packing, where its checksum is compared; nothing but zeros may stand there."""
    start = file.tell()
    while (chunk := file.read(_CHUNK)) and (room is not None or file.tell() - start < _FREE):
        if chunk.count(0) != len(chunk):
            raise RawFormatError(
                "more data after the end mark: several tars joined in one? Unpack it with `tar --ignore-zeros` and "
                "give the folder."
            )
        _within(file.tell(), room)


def _declared(extended: Mapping[str, str]) -> int:
    """The size that an extended header gives; 0 where it gives none."""
    size = extended.get("size", "")
    return int(size) if size.isdecimal() and len(size) < 20 else 0


def _headers(file: io.BufferedIOBase) -> Iterator[tuple[int, bytes]]:
    """Offset and bytes of each header up to the end mark; the caller moves on over the data between."""
    while True:
        at = file.tell()
        header = file.read(_BLOCK)
        if len(header) < _BLOCK:
            found = (
                "it is empty" if not at and not header else f"it ends at byte {at + len(header)} without an end mark"
            )
            raise RawFormatError(f"not a whole tar: {found}. Download the archive again.")
        if not any(header):
            return
        yield at, header


def _tar_header(header: bytes, at: int) -> tarfile.TarInfo:
    """Parse one header block; its checksum is compared."""
    try:
        info = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError) as error:
        raise RawFormatError(f"not a tar, or damaged at byte {at} ({error}). Download the archive again.") from error
    if info.size < 0:
        raise RawFormatError(f"damaged at byte {at}: a member of {info.size} bytes.")
    return info


def _tar_refusal(info: tarfile.TarInfo, extended: Mapping[str, str]) -> str:
    """Why a member of a tar is not read; empty when it is."""
    if info.type in _NO_FOLLOW:
        return _NO_FOLLOW[info.type]
    if info.type == tarfile.GNUTYPE_SPARSE or any(key.startswith("GNU.sparse.") for key in extended):
        return "is a sparse file; pack it again without --sparse"
    if info.type not in (*_PLAIN, tarfile.DIRTYPE):
        return f"is of the unknown type {info.type!r}"
    return ""


def _tar_text(file: io.BufferedIOBase, size: int, at: int) -> bytes:
    """The content of an extended header, which must be small."""
    if size > _MAX_HEADER:
        raise RawFormatError(f"damaged at byte {at}: a header of {size} bytes, expected at most {_MAX_HEADER}.")
    text = file.read(size)
    _skip(file, -size % _BLOCK)
    return text


def _extension(kind: bytes, text: bytes) -> dict[str, str]:
    """What an extended header says of the next member: `path`, `size`, and whether it is sparse."""
    if kind == tarfile.GNUTYPE_LONGNAME:
        return {"path": text.rstrip(b"\0").decode("utf-8", "surrogateescape")}
    found: dict[str, str] = {}
    while kind == tarfile.XHDTYPE and text:  # records "length key=value\n"; the length counts itself
        length, _, rest = text.partition(b" ")
        end = int(length) if length.isdigit() and len(length) < 8 else 0
        key, equals, value = text[len(length) + 1 : end - 1].partition(b"=")
        if not rest or not equals or not len(length) < end <= len(text) or text[end - 1 : end] != b"\n":
            raise RawFormatError("a damaged tar: an extended header cannot be read. Download the archive again.")
        found[key.decode("utf-8", "surrogateescape")] = value.decode("utf-8", "surrogateescape")
        text = text[end:]
    return found


def _skip_sparse_map(file: io.BufferedIOBase, header: bytes) -> None:
    """Move over the blocks with which GNU tar continues the header of a sparse file."""
    more = header[482]
    while more:
        block = file.read(_BLOCK)
        more = block[504] if len(block) == _BLOCK else 0


def _skip(file: io.BufferedIOBase, count: int) -> None:
    """Move on by a number of bytes, all of which must be there."""
    if isinstance(file, io.BufferedReader):
        here = file.tell()
        length = os.fstat(file.fileno()).st_size
        if here + count > length:
            raise RawFormatError(f"not a whole tar: it ends at byte {length} within a member. Download it again.")
        file.seek(count, os.SEEK_CUR)
        return
    while count:
        chunk = file.read(min(count, _CHUNK))
        if not chunk:
            raise RawFormatError("not a whole tar: it ends within a member. Download the archive again.")
        count -= len(chunk)


def _copy(file: io.BufferedIOBase, out: io.BufferedIOBase, count: int | None) -> None:
    """Copy a number of bytes; None is all there are."""
    while count is None or count > 0:
        chunk = file.read(_CHUNK if count is None else min(count, _CHUNK))
        if not chunk:
            return
        out.write(chunk)
        count = None if count is None else count - len(chunk)
