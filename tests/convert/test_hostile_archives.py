"""Zips and tars that mean harm, or have come to it."""

import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelbench.errors import RawFormatError, UsageError
from skelbench.sources.source import Source, open_source

MAX = 1 << 20
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


def reasons(source: Source) -> str:
    return "; ".join(f"{path}: {reason}" for path, reason in source.refused)


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


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_an_archive_that_changed_after_it_was_listed_is_an_error(kind: str, pack: Pack) -> None:
    archive = pack(kind, {"x": bytes(3000), "y": os.urandom(3000)})
    source = opened(archive)
    archive.write_bytes(archive.read_bytes()[: 3000 if kind != "zip" else 100])
    with pytest.raises(RawFormatError, match=r"cut short|damaged|no member begins|not a whole tar"):
        source.read("y")


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
