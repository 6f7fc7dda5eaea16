"""Members of a zip: their list and their bytes, whatever a stranger put into it.

The list is read here rather than by `zipfile`, which gives a whole archive up over one bad name, and unpacks
at 4 kB a step. Here one bad member is refused with a reason, and none grows beyond the size it declares.

Source: PKWARE, APPNOTE.TXT, .ZIP File Format Specification, version 6.3.10.
"""

import importlib
import itertools
import os
import stat
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeAlias

from skelbench.errors import RawFormatError

_MAX_DIRECTORY = 1 << 30  # bytes of the list of members: some ten million of them


@dataclass(frozen=True, slots=True)
class ZipMember:
    """Where the bytes of one file lie."""

    name: str  # as it is written in the zip; bytes that are not UTF-8 stand as lone surrogates
    size: int  # bytes once unpacked, as declared
    at: int  # offset of the member's own header
    packed: int  # bytes in the zip
    method: int  # 0 stored, 8 deflated
    crc: int  # CRC-32 of the unpacked bytes


Refusal: TypeAlias = tuple[str, str]  # a member's name, and why it is not read

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF  # "too large for this field, see the 64-bit record"


def list_zip(path: Path) -> tuple[list[ZipMember], list[Refusal]]:
    """Read the list of members of a zip.

    Args:
        path: The archive.

    Returns:
        The members that can be read, and those that are refused: links, devices, encrypted ones, ones packed
        by a method other than deflate, and ones whose data runs into another's.

    Raises:
        RawFormatError: If it is not a zip, is cut short, or its list is damaged.
    """
    with path.open("rb") as file:
        directory, count, shift = _zip_directory(file)
        room = file.tell() - len(directory)  # the members stand before their list
    members: list[ZipMember] = []
    refused: list[Refusal] = []
    offset = found = 0
    while offset < len(directory):
        member, reason, offset = _zip_entry(directory, offset, shift)
        found += 1
        if not reason and member.at + _LOCAL.size + member.packed > room:
            reason = "lies outside the zip"
        if reason:
            refused.append((member.name, reason))
        elif not member.name.endswith("/"):
            members.append(member)
        elif member.size:
            refused.append((member.name, f"is named as a folder, but holds {member.size} bytes"))
    if (found - count) % (_FULL16 + 1):  # old writers count only so far
        raise RawFormatError(f"a damaged zip: a list of {found} members, its end record says {count}.")
    return _without_overlaps(members, refused)


def read_zip(path: Path, member: ZipMember) -> bytes:
    """Unpack one member of a zip; never more than the size it declares.

    Args:
        path: The archive.
        member: One of `list_zip`.

    Returns:
        Its bytes.

    Raises:
        RawFormatError: If the data is damaged, or is longer or shorter than declared.
        OSError: If the archive cannot be read.
    """
    if member.packed > member.size + member.size // 1000 + 1024:  # deflate never swells data by more
        raise RawFormatError(f"{member.packed} packed bytes for {member.size} bytes of content: damaged.")
    with path.open("rb") as file:
        file.seek(member.at)
        head = file.read(_LOCAL.size)
        if len(head) < _LOCAL.size or head[:4] != b"PK\3\4":
            raise RawFormatError(f"no member begins at byte {member.at} of the zip, where its list says so.")
        *_, name_length, extra_length = _LOCAL.unpack(head)
        if file.read(name_length) != member.name.encode("utf-8", "surrogateescape"):
            raise RawFormatError("the zip's list and the member itself give different names.")
        file.seek(extra_length, os.SEEK_CUR)
        packed = file.read(member.packed)
    if len(packed) < member.packed:
        raise RawFormatError("the zip ends within this member: cut short?")
    data = _inflate(packed, member.size) if member.method else packed
    if len(data) != member.size:
        raise RawFormatError(f"{len(data)} bytes or more unpacked, expected the {member.size} that the zip declares.")
    if _unpacker().crc32(data) != member.crc:
        raise RawFormatError("the checksum (CRC-32) is wrong: damaged. Download the archive again.")
    return data


class _Unpacker(NamedTuple):
    """What unpacks deflated data."""

    decompressobj: Callable[[int], Any]
    crc32: Callable[[bytes], int]
    error: type[Exception]


@cache
def _unpacker() -> _Unpacker:
    """ISA-L, where the extra `fast` is installed, else the standard library."""
    try:
        found: Any = importlib.import_module("isal.isal_zlib")
    except ImportError:
        found = zlib
    return _Unpacker(found.decompressobj, found.crc32, found.error)


def _inflate(packed: bytes, size: int) -> bytes:
    """Unpack a raw deflate stream, and at most one byte more than is expected."""
    unpacker = _unpacker()
    stream = unpacker.decompressobj(-zlib.MAX_WBITS)
    try:
        data: bytes = stream.decompress(packed, size + 1)
    except unpacker.error as error:
        raise RawFormatError(f"damaged data ({error}). Download the archive again.") from error
    if len(data) <= size and not stream.eof:
        raise RawFormatError(f"the packed data ends after {len(data)} of {size} bytes.")
    return data


def _zip_directory(file: BinaryIO) -> tuple[bytes, int, int]:
    """The bytes of a zip's list, its number of entries, and what all offsets are short by."""
    length = file.seek(0, os.SEEK_END)
    tail_at = max(0, length - _END.size - _FULL16)
    file.seek(tail_at)
    tail = file.read()
    place = tail.rfind(b"PK\5\6", 0, max(0, len(tail) - _END.size + 4))
    if place < 0:
        raise RawFormatError("not a zip, or cut short: the list of members at its end is missing.")
    *_, count, size, start, _ = _END.unpack_from(tail, place)
    end = tail_at + place
    end, count, size, start = _zip64_end(file, end, (count, size, start))
    shift = end - size - start  # bytes that somebody put before the archive, such as a self-extractor
    if shift < 0 or size > _MAX_DIRECTORY or count * _CENTRAL.size > size:
        raise RawFormatError(f"a damaged zip: a list of {count} members in {size} bytes at byte {start} cannot be.")
    file.seek(start + shift)
    return file.read(size), count, shift


def _zip64_end(file: BinaryIO, end: int, narrow: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Where the list ends, its number of entries, size and offset, from the 64-bit record if there is one."""
    if end < _LOCATOR.size + _END64.size:
        return end, *narrow
    file.seek(end - _LOCATOR.size)
    mark, _, record_at, _ = _LOCATOR.unpack(file.read(_LOCATOR.size))
    if mark != b"PK\6\7":
        return end, *narrow
    for at in (record_at, end - _LOCATOR.size - _END64.size):  # the second where something stands before the zip
        if at > end - _LOCATOR.size - _END64.size:
            continue
        file.seek(at)
        mark, *_, count, size, start = _END64.unpack(file.read(_END64.size))
        if mark == b"PK\6\6":
            return at, count, size, start
    raise RawFormatError("a damaged zip: its 64-bit end record is missing.")


def _zip_entry(directory: bytes, offset: int, shift: int) -> tuple[ZipMember, str, int]:
    """One entry of the list, why it is refused (empty when not), and where the next one begins."""
    if len(directory) < offset + _CENTRAL.size or directory[offset : offset + 4] != b"PK\1\2":
        raise _broken_off(offset)
    fields = _CENTRAL.unpack_from(directory, offset)
    _, made_by, _, flags, method, _, _, crc, packed, size, name_length, extra_length, comment, _, _, mode, at = fields
    name_at = offset + _CENTRAL.size
    extra_at = name_at + name_length
    following = extra_at + extra_length + comment
    if following > len(directory):
        raise _broken_off(offset)
    name = directory[name_at:extra_at].decode("utf-8", "surrogateescape")
    if _FULL32 in (packed, size, at):
        extra = directory[extra_at : extra_at + extra_length]
        size, packed, at = _zip64_fields(extra, size, packed, at)
    member = ZipMember(name, size, at + shift, packed, method, crc)
    return member, _zip_refusal(member, flags=flags, mode=mode >> 16 if made_by >> 8 == 3 else 0), following


def _broken_off(offset: int) -> RawFormatError:
    """The error for a list that ends within an entry."""
    return RawFormatError(f"a damaged zip: its list of members breaks off at its byte {offset}.")


def _zip64_fields(extra: bytes, size: int, packed: int, at: int) -> tuple[int, int, int]:
    """Replace what is too large for 32 bits by the values of the 64-bit extra field."""
    place = 0
    while place + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, place)
        if kind == 1:
            body = extra[place + 4 : place + 4 + length]
            values = iter(struct.unpack(f"<{len(body) // 8}Q", body[: len(body) // 8 * 8]))
            size, packed, at = (next(values, value) if value == _FULL32 else value for value in (size, packed, at))
            break
        place += 4 + length
    return size, packed, at


def _zip_refusal(member: ZipMember, *, flags: int, mode: int) -> str:
    """Why a member of a zip is not read; empty when it is. `mode` holds Unix permissions, 0 elsewhere."""
    if stat.S_ISLNK(mode):
        return "is a symbolic link"
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is not a regular file"
    if flags & 1:
        return "is encrypted; unpack it with its password and give the folder"
    if member.method not in (0, 8):
        return f"is packed by method {member.method}, expected 0 (stored) or 8 (deflated); pack it again"
    if member.method == 0 and member.packed != member.size:
        return f"is stored as {member.packed} bytes but declares {member.size}"
    return ""


def _without_overlaps(members: list[ZipMember], refused: list[Refusal]) -> tuple[list[ZipMember], list[Refusal]]:
    """Refuse members whose data runs into that of the next: the way of the densest zip bombs."""
    places = sorted((member.at, member.packed, place) for place, member in enumerate(members))
    overlapping = set()
    for (at, packed, place), (following, _, _) in itertools.pairwise(places):
        if at + _LOCAL.size + packed > following:
            overlapping.add(place)
    refused += [(members[place].name, "overlaps another member of the zip") for place in sorted(overlapping)]
    return [member for place, member in enumerate(members) if place not in overlapping], refused
