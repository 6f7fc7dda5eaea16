"""Zips by ISA-L and by the standard library: the same bytes, and the same refusals."""

import zipfile
import zlib
from pathlib import Path

import pytest

from skelbench.errors import RawFormatError
from skelbench.sources import zips
from skelbench.sources.zips import list_zip, read_zip


@pytest.fixture(params=["isal", "zlib"])
def unpacker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "isal":
        pytest.importorskip("isal")
        assert zips._unpacker().error is not zlib.error
        return
    plain = zips._Unpacker(zlib.decompressobj, zlib.crc32, zlib.error)
    monkeypatch.setattr(zips, "_unpacker", lambda: plain)


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """A zip of two members, one of them empty."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", b"".join(f"{number * number % 97} ".encode() for number in range(400)))
        archive.writestr("b", b"")
    return path


@pytest.mark.usefixtures("unpacker")
def test_members_are_unpacked(packed: Path) -> None:
    with zipfile.ZipFile(packed) as archive:
        expected = [archive.read(name) for name in ("a", "b")]
    assert [read_zip(packed, member) for member in list_zip(packed)[0]] == expected


@pytest.mark.usefixtures("unpacker")
def test_a_changed_byte_or_a_wrong_size_is_refused(packed: Path) -> None:
    whole, (member, _) = packed.read_bytes(), list_zip(packed)[0]
    begin = member.at + 30 + len(member.name)
    for at in range(begin, begin + member.packed):
        packed.write_bytes(whole[:at] + bytes([whole[at] ^ 0x11]) + whole[at + 1 :])
        with pytest.raises(RawFormatError, match=r"damaged|checksum|bytes or more unpacked|packed data ends"):
            read_zip(packed, member)
    packed.write_bytes(whole)
    for size in (1, member.size - 1, member.size + 1, 2 * member.size):
        with pytest.raises(RawFormatError, match=r"packed"):
            read_zip(packed, zips.ZipMember(member.name, size, member.at, member.packed, member.method, member.crc))
