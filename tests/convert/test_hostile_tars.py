"""Tars that mean harm, have come to it, or are unusual."""

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from skelbench.errors import UsageError
from skelbench.sources.source import Source, open_source

MAX = 1 << 20
Pack = Callable[[str, dict[str, bytes]], Path]
BOMB = tarfile.TarInfo("bomb")
BOMB.size = 1 << 40
BOMBS = {"member": BOMB.tobuf(tarfile.GNU_FORMAT), "tail": b""}


def opened(*paths: Path, max_file: int = MAX) -> Source:
    return open_source(paths, max_file=max_file)


def reasons(source: Source) -> str:
    return "; ".join(f"{path}: {reason}" for path, reason in source.refused)


def tar_of(path: Path, entries: list[tarfile.TarInfo], form: int = tarfile.GNU_FORMAT) -> Path:
    with tarfile.open(path, "w", format=form) as archive:
        for info in entries:
            archive.addfile(info, io.BytesIO(bytes(info.size)))
    return path


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
