"""Raw sources: one set of names for all containers, and nothing read that should not be."""

import hashlib
import os
import pickle
import unicodedata
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skelbench.errors import RawFormatError, UsageError
from skelbench.sources.source import Source, clean_name, open_source, printable

MAX = 1 << 20
KINDS = ["folder", "zip", "tar", "tar.gz", "tar.bz2", "tar.xz"]
FILES = {"b/two.txt": b"two" * 1000, "a/one.txt": b"one", "empty": b"", "ähm.txt": "ä".encode()}
Pack = Callable[[str, dict[str, bytes]], Path]


def opened(*paths: Path, max_file: int = MAX) -> Source:
    return open_source(paths, max_file=max_file)


def contents(source: Source) -> dict[str, bytes]:
    return {path: source.read(path) for path in source.paths}


def reasons(source: Source) -> str:
    return "; ".join(f"{path}: {reason}" for path, reason in source.refused)


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
