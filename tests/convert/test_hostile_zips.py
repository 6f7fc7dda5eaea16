"""Zips that mean harm, have come to it, or are unusual."""

import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from skelbench.errors import RawFormatError, UsageError
from skelbench.sources.source import Source, open_source

MAX = 1 << 20
FILES = {"b/two.txt": b"two" * 1000, "a/one.txt": b"one", "empty": b"", "ähm.txt": "ä".encode()}
Pack = Callable[[str, dict[str, bytes]], Path]


def opened(*paths: Path, max_file: int = MAX) -> Source:
    return open_source(paths, max_file=max_file)


def contents(source: Source) -> dict[str, bytes]:
    return {path: source.read(path) for path in source.paths}


def reasons(source: Source) -> str:
    return "; ".join(f"{path}: {reason}" for path, reason in source.refused)


def zip_of(path: Path, entries: list[tuple[zipfile.ZipInfo, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for info, content in entries:
            archive.writestr(info, content)
    return path


def patched(archive: Path, entry: int, fmt: str, value: int) -> Path:
    """Change one field of the first entry in a zip's list."""
    data = bytearray(archive.read_bytes())
    struct.pack_into(fmt, data, data.find(b"PK\1\2") + entry, value)
    archive.write_bytes(data)
    return archive


def zip_of_many(path: Path, count: int) -> Path:
    """A zip of tiny stored members without 64-bit records, as old writers make them."""
    members, directory, crc = bytearray(), bytearray(), zlib.crc32(b"x")
    for place in range(count):
        name = f"{place % 100}/{place}".encode()
        fields = (0, 0, 0, 0, crc, 1, 1, len(name), 0)
        directory += b"PK\1\2" + struct.pack("<6H3L5H2L", 20, 20, *fields, 0, 0, 0, 0, len(members)) + name
        members += b"PK\3\4" + struct.pack("<5H3L2H", 20, *fields) + name + b"x"
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count % 65536, count % 65536, len(directory), len(members), 0)
    path.write_bytes(members + directory + end)
    return path


def test_a_nul_in_the_name_of_a_zip_member_is_refused(pack: Pack) -> None:
    archive = pack("zip", {"goodXname": b"1", "x": b"2"})
    archive.write_bytes(archive.read_bytes().replace(b"goodXname", b"good\0name"))
    assert opened(archive).paths == ("x",)


def test_a_name_in_a_zip_that_is_not_utf8_is_refused(pack: Pack) -> None:
    archive = pack("zip", {"naïve": b"1", "x": b"2"})
    archive.write_bytes(archive.read_bytes().replace("naïve".encode(), b"na\xff\xfeve"))
    source = opened(archive)
    assert source.paths == ("x",)
    assert "not UTF-8" in reasons(source)


@pytest.mark.parametrize(("mode", "reason"), [(stat.S_IFLNK, "symbolic link"), (stat.S_IFCHR, "not a regular file")])
def test_links_and_devices_in_a_zip_are_refused(mode: int, reason: str, tmp_path: Path) -> None:
    info = zipfile.ZipInfo("link")
    info.create_system, info.external_attr = 3, (mode | 0o644) << 16
    source = opened(zip_of(tmp_path / "x.zip", [(info, b"/etc/passwd"), (zipfile.ZipInfo("x"), b"1")]))
    assert source.paths == ("x",)
    assert reason in reasons(source)


def test_an_encrypted_member_is_refused_with_what_to_do(pack: Pack) -> None:
    archive = pack("zip", {"secret": b"1"})
    data = bytearray(archive.read_bytes())
    data[data.find(b"PK\1\2") + 8] |= 1
    archive.write_bytes(data)
    assert "encrypted; unpack it with its password" in reasons(opened(archive))


def test_an_unusual_packing_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("x", b"1")
    assert "packed by method 12" in reasons(opened(tmp_path / "x.zip"))


def test_the_second_member_of_a_name_is_refused(tmp_path: Path) -> None:
    entries = [(zipfile.ZipInfo(name), content) for name, content in (("x", b"1"), ("./x", b"2"))]
    source = opened(zip_of(tmp_path / "x.zip", entries))
    assert contents(source) == {"x": b"1"}
    assert "second member of that name" in reasons(source)


def test_a_bomb_that_declares_less_than_it_holds_stops_at_what_it_declares(pack: Pack) -> None:
    archive = pack("zip", {"bomb": bytes(64 << 20)})
    data = archive.read_bytes()
    archive.write_bytes(data.replace(struct.pack("<L", 64 << 20), struct.pack("<L", 1000)))
    source = opened(archive)
    with pytest.raises(RawFormatError, match=r"1001 bytes or more unpacked|packed bytes for 1000"):
        source.read("bomb")


def test_a_bomb_that_says_so_is_not_unpacked(pack: Pack) -> None:
    with pytest.raises(RawFormatError, match="67108864 bytes, expected at most 1048576"):
        opened(pack("zip", {"bomb": bytes(64 << 20)})).read("bomb")


def test_members_that_share_their_data_are_refused(pack: Pack) -> None:
    archive = pack("zip", {"one": b"1" * 100, "two": b"2" * 100})
    data = bytearray(archive.read_bytes())
    second = data.rfind(b"PK\1\2")
    data[second + 42 : second + 46] = bytes(4)  # its offset is now that of the first
    archive.write_bytes(data)
    source = opened(archive)
    assert "overlaps another member" in reasons(source)
    for path in source.paths:
        with pytest.raises(RawFormatError, match="different names"):
            source.read(path)


def test_a_wrong_checksum_is_found(pack: Pack, tmp_path: Path) -> None:
    archive = zip_of(tmp_path / "x.zip", [(zipfile.ZipInfo("x"), b"some stored text")])
    archive.write_bytes(archive.read_bytes().replace(b"stored", b"STORED"))
    with pytest.raises(RawFormatError, match=r"x\.zip/x: the checksum \(CRC-32\) is wrong"):
        opened(archive).read("x")


def test_something_before_a_zip_and_a_comment_after_it_do_no_harm(pack: Pack) -> None:
    archive = pack("zip", FILES)
    with zipfile.ZipFile(archive, "a") as file:
        file.comment = b"a comment " * 50
    archive.write_bytes(b"#!/bin/sh\n" * 20 + archive.read_bytes())
    assert contents(opened(archive)) == FILES


@pytest.mark.parametrize("before", [b"", b"something before"])
def test_a_zip_with_64_bit_records_is_read(before: bytes, pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 10)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    archive = pack("zip", FILES)
    archive.write_bytes(before + archive.read_bytes())
    assert contents(opened(archive)) == FILES


def test_a_64_bit_end_record_that_is_not_there_is_an_error(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 10)
    archive = pack("zip", FILES)
    archive.write_bytes(archive.read_bytes().replace(b"PK\6\6", b"PK\6\0"))
    with pytest.raises(UsageError, match="its 64-bit end record is missing"):
        opened(archive)


def test_a_member_that_a_zip_places_outside_itself_is_refused(pack: Pack) -> None:
    assert "lies outside the zip" in reasons(opened(patched(pack("zip", {"x": b"1"}), 42, "<L", 1 << 30)))


def test_a_zip_whose_list_does_not_fit_its_end_record_is_an_error(pack: Pack) -> None:
    with pytest.raises(UsageError, match="its list of members breaks off"):
        opened(patched(pack("zip", {"x": b"1"}), 28, "<H", 5000))
    archive = pack("zip", {"x": b"1"})
    data = bytearray(archive.read_bytes())
    struct.pack_into("<2H", data, data.find(b"PK\5\6") + 8, 7, 7)
    archive.write_bytes(data)
    with pytest.raises(UsageError, match="a damaged zip: a list of 7 members"):
        opened(archive)


def test_packed_data_that_is_damaged_or_ends_early_is_an_error(pack: Pack) -> None:
    archive = pack("zip", {"x": bytes(range(256))})
    data = archive.read_bytes()
    archive.write_bytes(data[:31] + b"\xff" * 9 + data[40:])
    with pytest.raises(RawFormatError, match="damaged data"):
        opened(archive).read("x")
    archive.write_bytes(data)
    with pytest.raises(RawFormatError, match=r"the packed data ends after \d+ of 256 bytes"):
        opened(patched(archive, 20, "<L", 100)).read("x")


def test_more_members_than_16_bits_count_are_read(tmp_path: Path) -> None:
    assert len(opened(zip_of_many(tmp_path / "x.zip", 66_000)).paths) == 66_000


@pytest.mark.slow
def test_a_million_members_are_read(tmp_path: Path) -> None:
    source = opened(zip_of_many(tmp_path / "x.zip", 1_000_000))
    assert len(source.paths) == 1_000_000
    assert source.read("99/999999") == b"x"
