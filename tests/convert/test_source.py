"""Raw sources: one set of names for all containers, and nothing read that should not be."""

import gzip
import hashlib
import io
import os
import pickle
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelbench.errors import RawFormatError, UsageError
from skelbench.sources.source import Source, clean_name, open_source, printable

MAX = 1 << 20
KINDS = ["folder", "zip", "tar", "tar.gz", "tar.bz2", "tar.xz"]
FILES = {"b/two.txt": b"two" * 1000, "a/one.txt": b"one", "empty": b"", "ähm.txt": "ä".encode()}
HOSTILE = {
    "/etc/passwd": "absolute path",
    "C:/windows.txt": "absolute path",
    "../outside.txt": "leads out",
    "a/../../outside.txt": "leads out",
    "a\\b.txt": "backslash",
    "a\tb.txt": "control character",
    "a\u202eb.txt": "control character",
}

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


def tar_of(path: Path, entries: list[tarfile.TarInfo], form: int = tarfile.GNU_FORMAT) -> Path:
    with tarfile.open(path, "w", format=form) as archive:
        for info in entries:
            archive.addfile(info, io.BytesIO(bytes(info.size)))
    return path


# --- one set of names ---


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("top", ["", "top/", "one/two/"])
def test_every_container_gives_the_same_names_and_bytes(kind: str, top: str, pack: Pack) -> None:
    source = opened(pack(kind, {top + name: content for name, content in FILES.items()}))
    assert source.paths == tuple(sorted(FILES))
    assert contents(source) == FILES
    assert source.refused == ()
    assert {path: source.size(path) for path in FILES} == {path: len(content) for path, content in FILES.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_inside_a_folder_is_a_folder(kind: str, pack: Pack) -> None:
    assert contents(opened(pack(kind, FILES).parent)) == FILES


def test_several_paths_are_one_source_with_each_under_its_name(pack: Pack, tmp_path: Path) -> None:
    folder, archive = pack("folder", {"x": b"1"}), pack("zip", {"x": b"2"})
    single = tmp_path / "labels.csv"
    single.write_bytes(b"3")
    source = opened(folder, archive, single, folder)
    assert contents(source) == {"packed/x": b"1", "packed.zip/x": b"2", "labels.csv": b"3"}


def test_several_paths_of_one_name_are_numbered(tmp_path: Path) -> None:
    for place in ("p/data", "q/data", "r/data"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "x").write_text(place)
    source = opened(*(tmp_path / place for place in ("p/data", "q/data", "r/data")))
    assert source.paths == ("data-2/x", "data-3/x", "data/x")


def test_a_member_is_named_for_people_by_its_full_place(pack: Pack) -> None:
    archive = pack("zip", {"top/x.txt": b""})
    assert opened(archive).where("x.txt") == f"{archive}/top/x.txt"


def test_what_systems_leave_behind_is_no_data(pack: Pack) -> None:
    junk = {"__MACOSX/._x": b"", "d/.DS_Store": b"", "d/._x": b"", "d/Thumbs.db": b""}
    assert opened(pack("zip", {"d/x": b"1", **junk})).paths == ("x",)


def test_names_come_in_composed_unicode(pack: Pack) -> None:
    assert opened(pack("zip", {unicodedata.normalize("NFD", "몸.json"): b"1"})).paths == ("몸.json",)


def test_a_folder_that_is_being_written_is_left_out(pack: Pack) -> None:
    folder = pack("folder", {"x": b"1", "data/out/y": b"2"})
    assert open_source([folder], max_file=MAX, skip=[folder / "data/out"]).paths == ("x",)


def test_a_source_survives_pickling(pack: Pack) -> None:
    assert contents(pickle.loads(pickle.dumps(opened(pack("tar.gz", FILES))))) == FILES


def test_an_empty_folder_is_an_empty_source(tmp_path: Path) -> None:
    (tmp_path / "void").mkdir()
    assert opened(tmp_path / "void").paths == ()


# --- reading ---


def test_open_gives_a_seekable_stream_and_reading_leaves_a_digest(pack: Pack) -> None:
    source = opened(pack("zip", FILES))
    with source.open("a/one.txt") as stream:
        stream.seek(1)
        assert stream.read() == b"ne"
    assert source.digests == {"a/one.txt": hashlib.sha256(b"one").hexdigest()}


def test_a_shared_member_is_parsed_once_and_counts_for_everyone_who_uses_it(pack: Pack) -> None:
    source, seen = opened(pack("zip", FILES)), []

    def parse(data: bytes) -> list[bytes]:
        seen.append(data)
        return [data]

    first = source.once("a/one.txt", parse)
    source.digests.clear()
    assert source.once("a/one.txt", parse) is first
    assert seen == [b"one"]
    assert list(source.digests) == ["a/one.txt"]


def test_functions_of_one_name_that_are_bound_to_other_values_are_not_taken_for_one(pack: Pack) -> None:
    source = opened(pack("zip", FILES))

    def cutter(end: int) -> Callable[[bytes], bytes]:
        return lambda data: data[:end]

    assert [source.once("a/one.txt", cutter(end)) for end in (1, 2, 1)] == [b"o", b"on", b"o"]
    assert source.once("a/one.txt", lambda data: data[:-1]) == b"on"


def test_a_function_that_is_made_anew_is_known_by_its_code_and_what_it_is_bound_to(pack: Pack) -> None:
    source, calls = opened(pack("zip", FILES)), []

    def count(data: bytes, given: object) -> bytes:
        calls.append(given)
        return data

    for _ in range(3):
        options = {"frames": [1, 2]}
        source.once("a/one.txt", partial(count, given="x"))
        source.once("a/one.txt", lambda data, options=options: count(data, options))
    assert calls == ["x", {"frames": [1, 2]}]


def test_of_one_member_only_the_last_few_results_are_kept(pack: Pack) -> None:
    source, calls = opened(pack("zip", FILES)), []

    def count(data: bytes, number: int) -> int:
        calls.append(number)
        return number

    for number in [*range(6), 5, 2, 0]:
        assert source.once("a/one.txt", partial(count, number=number)) == number
    assert calls == [0, 1, 2, 3, 4, 5, 0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_large_member_is_parsed_from_a_view_of_its_bytes(kind: str, pack: Pack) -> None:
    source, calls = opened(pack(kind, FILES)), []

    def parse(data: memoryview) -> memoryview:
        calls.append(1)
        return data[1:3]

    for name in ("b/two.txt", "empty"):
        found = source.once_mapped(name, parse)
        assert source.once_mapped(name, parse) is found
        assert bytes(found) == FILES[name][1:3]
        assert source.digests[name] == hashlib.sha256(FILES[name]).hexdigest()
    assert len(calls) == 2


def test_a_view_of_a_file_that_has_changed_or_is_gone_is_refused_by_name(pack: Pack) -> None:
    folder = pack("folder", FILES)
    source = opened(folder)
    (folder / "b" / "two.txt").write_bytes(b"cut")
    (folder / "a" / "one.txt").unlink()
    with pytest.raises(RawFormatError, match=r"b/two.txt: has changed since it was listed with 3000 bytes"):
        source.once_mapped("b/two.txt", bytes)
    with pytest.raises(RawFormatError, match=r"a/one.txt: cannot be read"):
        source.once_mapped("a/one.txt", bytes)
    with pytest.raises(RawFormatError, match="3000 bytes, expected at most 100"):
        opened(pack("folder", FILES), max_file=100).once_mapped("b/two.txt", bytes)


def test_what_was_parsed_does_not_travel_with_a_source(pack: Pack) -> None:
    source = opened(pack("zip", FILES))
    source.once("a/one.txt", lambda data: lambda: data)
    assert contents(pickle.loads(pickle.dumps(source))) == FILES


def test_a_shared_member_that_does_not_parse_fails_each_time_without_being_read_again(pack: Pack) -> None:
    source, calls = opened(pack("zip", FILES)), []

    def parse(data: bytes) -> None:
        calls.append(1)
        raise RawFormatError("labels.csv: no labels")

    for _ in range(3):
        with pytest.raises(RawFormatError, match="no labels"):
            source.once("a/one.txt", parse)
    assert len(calls) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_member_over_the_limit_is_listed_but_not_read(kind: str, pack: Pack) -> None:
    source = opened(pack(kind, FILES), max_file=100)
    assert "b/two.txt" in source.paths
    with pytest.raises(RawFormatError, match="3000 bytes, expected at most 100"):
        source.read("b/two.txt")


def test_an_unknown_member_is_an_error_that_names_it(pack: Pack) -> None:
    with pytest.raises(RawFormatError, match="No member 'nothing' in the raw data, which has 4"):
        opened(pack("zip", FILES)).read("nothing")


def test_a_file_that_changed_or_went_away_since_it_was_listed_is_an_error(pack: Pack) -> None:
    folder = pack("folder", FILES)
    source = opened(folder)
    (folder / "a/one.txt").write_bytes(b"longer than before")
    (folder / "b/two.txt").unlink()
    with pytest.raises(RawFormatError, match=r"one\.txt: has changed since it was listed with 3 bytes"):
        source.read("a/one.txt")
    with pytest.raises(RawFormatError, match=r"two\.txt: cannot be read: No such file"):
        source.read("b/two.txt")


@pytest.mark.parametrize("kind", ["tar.gz", "tar.bz2", "tar.xz"])
def test_a_plain_copy_of_a_packed_tar_reads_the_same_and_leaves_out_what_is_too_large(
    kind: str, pack: Pack, tmp_path: Path
) -> None:
    files = {**FILES, "huge": bytes(3 << 20), "last": b"end"}
    archive = pack(kind, files)
    source = opened(archive)
    copies = source.unpack(tmp_path)
    again = open_source([archive], max_file=MAX, copies=copies)
    for one in (source, again):
        assert one.paths == tuple(sorted(files))
        assert {path: one.read(path) for path in files if path != "huge"} == {**FILES, "last": b"end"}
    (copy,) = copies.values()
    assert copy.stat().st_blocks * 512 < 1 << 20 < copy.stat().st_size
    assert source.unpack(tmp_path) == {}


# --- what a user may type ---


def test_a_path_that_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere: No such file or directory\. --raw names"):
        opened(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="No raw data given"):
        open_source([], max_file=MAX)


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz", "x.tgz", "x.tar.xz"])
@pytest.mark.parametrize("content", [b"", b"hello", bytes(range(256)) * 9])
def test_a_file_that_is_no_archive_although_its_name_says_so_is_an_error(
    name: str, content: bytes, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=r"x\.[a-z.]+: not a"):
        opened(tmp_path / name)


def test_a_broken_archive_inside_a_folder_is_refused_and_the_rest_is_read(pack: Pack) -> None:
    source = opened(pack("folder", {"x": b"1", "broken.zip": b"PK"}))
    assert source.paths == ("x",)
    assert "broken.zip: cannot be opened: not a zip" in reasons(source)


def test_a_device_is_no_raw_data() -> None:
    with pytest.raises(UsageError, match="neither a folder nor a regular file"):
        opened(Path(os.devnull))


# --- hostile folders ---


def test_links_in_a_folder_are_followed_once(pack: Pack, tmp_path: Path) -> None:
    folder = pack("folder", {"real/x": b"1"})
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "y").write_bytes(b"2")
    (folder / "link").symlink_to(elsewhere)
    (folder / "again").symlink_to(folder / "real")
    (folder / "real/loop").symlink_to(folder)
    (folder / "z").symlink_to(elsewhere / "y")
    assert contents(opened(folder)) == {"real/x": b"1", "link/y": b"2", "z": b"2"}


def test_a_link_to_what_holds_the_folder_is_refused(pack: Pack) -> None:
    folder = pack("folder", {"x": b"1", "deep/y": b"2"})
    (folder / "up").symlink_to("..")
    (folder / "deep/root").symlink_to("/")
    (folder / "deep/self").symlink_to("..")
    source = opened(folder)
    assert source.paths == ("deep/y", "x")
    assert reasons(source) == "; ".join(
        f"{name}: is a link to a folder that holds the raw folder itself" for name in ("deep/root", "up")
    )


def test_pipes_and_broken_links_are_refused_without_being_opened(pack: Pack) -> None:
    folder = pack("folder", {"x": b"1"})
    os.mkfifo(folder / "pipe")
    (folder / "broken").symlink_to("nowhere")
    source = opened(folder)
    assert source.paths == ("x",)
    assert reasons(source) == "broken: cannot be read: No such file or directory; pipe: is not a regular file"


def test_file_names_that_are_not_utf8_are_refused(pack: Pack) -> None:
    folder = pack("folder", {"x": b"1"})
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.json")).write_bytes(b"")
    source = opened(folder)
    assert source.paths == ("x",)
    assert reasons(source) == "\\udcff.json: has a name that is not UTF-8"


# --- hostile zips ---


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_names_that_lead_anywhere_else_are_refused(kind: str, name: str, pack: Pack) -> None:
    source = opened(pack(kind, {"good.txt": b"1", name: b"2"}))
    assert source.paths == ("good.txt",)
    assert HOSTILE[name] in reasons(source)


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_that_lead_anywhere_else_are_refused_in_an_archive_inside_a_folder_too(kind: str, pack: Pack) -> None:
    source = opened(pack(kind, {"good.txt": b"1", "/etc/passwd": b"2"}).parent)
    assert source.paths == ("good.txt",)
    assert "absolute path" in reasons(source)


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


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_folder_that_holds_bytes_is_refused(kind: str, pack: Pack) -> None:
    archive = pack(kind, {"x": b"1", "name": b"2"})
    data = archive.read_bytes()
    if kind == "tar":
        info = tarfile.TarInfo("name/")
        info.size = 1
        data = data[:1024] + info.tobuf(tarfile.USTAR_FORMAT) + data[1536:]
    archive.write_bytes(data.replace(b"name", b"nam/") if kind == "zip" else data)
    source = opened(archive)
    assert source.paths == ("x",)
    assert "is named as a folder, but holds 1 bytes" in reasons(source)


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


def patched(archive: Path, entry: int, fmt: str, value: int) -> Path:
    """Change one field of the first entry in a zip's list."""
    data = bytearray(archive.read_bytes())
    struct.pack_into(fmt, data, data.find(b"PK\1\2") + entry, value)
    archive.write_bytes(data)
    return archive


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


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_an_archive_that_changed_after_it_was_listed_is_an_error(kind: str, pack: Pack) -> None:
    archive = pack(kind, {"x": bytes(3000), "y": os.urandom(3000)})
    source = opened(archive)
    archive.write_bytes(archive.read_bytes()[: 3000 if kind != "zip" else 100])
    with pytest.raises(RawFormatError, match=r"cut short|damaged|no member begins|not a whole tar"):
        source.read("y")


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


def test_more_members_than_16_bits_count_are_read(tmp_path: Path) -> None:
    assert len(opened(zip_of_many(tmp_path / "x.zip", 66_000)).paths) == 66_000


@pytest.mark.slow
def test_a_million_members_are_read(tmp_path: Path) -> None:
    source = opened(zip_of_many(tmp_path / "x.zip", 1_000_000))
    assert len(source.paths) == 1_000_000
    assert source.read("99/999999") == b"x"


# --- hostile tars ---


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (tarfile.SYMTYPE, "is a symbolic link"),
        (tarfile.LNKTYPE, "is a hard link"),
        (tarfile.CHRTYPE, "is a device"),
        (tarfile.BLKTYPE, "is a device"),
        (tarfile.FIFOTYPE, "is a pipe"),
        (b"Z", "unknown type"),
    ],
)
def test_links_and_devices_in_a_tar_are_refused(kind: bytes, reason: str, tmp_path: Path) -> None:
    bad, good = tarfile.TarInfo("bad"), tarfile.TarInfo("good")
    bad.type, bad.linkname = kind, "/etc/passwd"
    source = opened(tar_of(tmp_path / "x.tar", [bad, good]))
    assert source.paths == ("good",)
    assert reason in reasons(source)


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_and_foreign_names_in_a_tar_are_read(form: int, tmp_path: Path) -> None:
    names = ["d" * 90 + "/" + "n" * 120, "몸/é.txt", "short"]
    source = opened(tar_of(tmp_path / "x.tar", [tarfile.TarInfo(name) for name in names], form))
    assert source.paths == tuple(sorted(names))


def test_a_sparse_file_in_a_tar_is_refused(tmp_path: Path) -> None:
    sparse, after = tarfile.TarInfo("sparse"), tarfile.TarInfo("after")
    sparse.type = tarfile.GNUTYPE_SPARSE
    after.size = 700
    source = opened(tar_of(tmp_path / "x.tar", [sparse, after]))
    assert source.paths == ("after",)
    assert "sparse file" in reasons(source)


BOMB = tarfile.TarInfo("bomb")
BOMB.size = 1 << 40
BOMBS = {"member": BOMB.tobuf(tarfile.GNU_FORMAT), "tail": b""}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_packed_tar_that_unpacks_to_far_more_than_poses_do_is_refused(kind: str, tmp_path: Path) -> None:
    (tmp_path / "x.tar.gz").write_bytes(gzip.compress(BOMBS[kind] + bytes(200 << 20), 9))
    with pytest.raises(UsageError, match=r"unpacks to \d+ bytes or more, expected \d+ at most"):
        opened(tmp_path / "x.tar.gz")


@pytest.mark.parametrize("kind", ["tar", "tar.gz"])
def test_two_tars_in_one_are_not_taken_for_the_first(kind: str, pack: Pack, tmp_path: Path) -> None:
    data = pack("tar", {"x": b"1"}).read_bytes()
    joined = data + data.replace(b"x", b"y", 1)
    (tmp_path / f"two.{kind}").write_bytes(joined if kind == "tar" else gzip.compress(joined))
    with pytest.raises(UsageError, match="more data after the end mark"):
        opened(tmp_path / f"two.{kind}")


def test_a_tar_of_zeros_is_not_read_to_its_end(tmp_path: Path) -> None:
    with (tmp_path / "x.tar").open("wb") as file:
        file.truncate(1 << 40)
    assert opened(tmp_path / "x.tar").paths == ()


def test_a_header_that_hides_gigabytes_is_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1 << 40
    (tmp_path / "x.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(UsageError, match="a header of 1099511627776 bytes, expected at most 1048576"):
        opened(tmp_path / "x.tar")


@pytest.mark.parametrize("record", [b"x", b"0 path=a\n", b"99 path=a\n", b"5 a=b", b"12345678901 path=a\n"])
def test_an_extended_header_that_makes_no_sense_is_an_error(record: bytes, tmp_path: Path) -> None:
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, len(record)
    data = info.tobuf(tarfile.USTAR_FORMAT) + record.ljust(512, b"\0") + tarfile.TarInfo("x").tobuf() + bytes(1024)
    (tmp_path / "x.tar").write_bytes(data)
    with pytest.raises(UsageError, match="an extended header cannot be read"):
        opened(tmp_path / "x.tar")


def test_a_name_in_a_tar_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "x.tar"
    with tarfile.open(archive, "w", format=tarfile.GNU_FORMAT) as file:
        file.addfile(tarfile.TarInfo("na\udcffve"))
        file.addfile(tarfile.TarInfo("x"))
    source = opened(archive)
    assert source.paths == ("x",)
    assert "not UTF-8" in reasons(source)


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_a_tar_cut_short_anywhere_is_an_error_and_never_a_shorter_set(kind: str, pack: Pack) -> None:
    archive = pack(kind, {f"{place}.txt": bytes(100 * place) for place in range(5)})
    data = archive.read_bytes()
    ends = [end for end in range(0, len(data), max(1, len(data) // 60)) if any(data[end:])]
    for end in ends:
        archive.write_bytes(data[:end])
        with pytest.raises(UsageError, match=r"not a|damaged|cut short"):
            opened(archive)


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, 10**6), value=st.integers(0, 255), kind=st.sampled_from(["zip", "tar", "tar.gz", "tar.xz"]))
def test_a_changed_byte_anywhere_leads_to_an_error_a_reason_or_no_harm(
    at: int, value: int, kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    archive = tmp_path_factory.mktemp("x") / f"x.{kind}"
    archive.write_bytes(changed(packed(kind), at, value))
    read_all(archive)


@settings(max_examples=60, deadline=None)
@given(keep=st.floats(0, 1))
def test_a_zip_cut_short_anywhere_is_an_error(keep: float, tmp_path_factory: pytest.TempPathFactory) -> None:
    archive = tmp_path_factory.mktemp("x") / "x.zip"
    data = packed("zip")
    archive.write_bytes(data[: int(keep * (len(data) - 1))])
    with pytest.raises(UsageError):
        opened(archive)


def packed(kind: str) -> bytes:
    """An archive of a few files, in memory."""
    stream = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in FILES.items():
                archive.writestr(name, content)
        return stream.getvalue()
    with tarfile.open(fileobj=stream, mode=f"w:{kind[4:]}") as tar:  # type: ignore[call-overload]
        for name, content in FILES.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def changed(data: bytes, at: int, value: int) -> bytes:
    place = at % len(data)
    return data[:place] + bytes([value]) + data[place + 1 :]


def read_all(archive: Path) -> None:
    try:
        source = opened(archive)
    except UsageError:
        return
    for path in source.paths:
        try:
            source.read(path)
        except RawFormatError:
            continue


# --- names ---


@given(st.text())
def test_a_clean_name_is_clean_and_stays_so(name: str) -> None:
    clean, problem = clean_name(name)
    if not problem:
        assert clean_name(clean) == (clean, "")
        assert not clean.startswith("/")
        assert ".." not in clean.split("/")


@given(st.text(st.characters(), max_size=50) | st.text(st.characters(categories=["Cc", "Cs"]), max_size=300))
def test_printable_text_holds_on_any_file(text: str) -> None:
    safe = printable(text)
    assert safe.encode().decode() == safe
    assert "\n" not in safe
