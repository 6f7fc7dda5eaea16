"""A store takes its place when the disk has it, not before."""

import os
from pathlib import Path

import pytest

from skelbench.convert.engine import Request, convert
from skelbench.errors import StoreError


@pytest.fixture
def request_for_toy(toy: Path, raw: Path, tmp_path: Path) -> Request:
    return Request(str(toy), (raw,), tmp_path / "data/toy")


def test_all_files_are_on_the_disk_before_the_store_takes_its_place(
    request_for_toy: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[tuple[str, str]] = []
    fsync, rename = os.fsync, os.rename

    def noting_fsync(descriptor: int) -> None:
        fsync(descriptor)
        events.append(("on the disk", Path(f"/proc/self/fd/{descriptor}").readlink().name))

    def noting_rename(source: Path, target: Path) -> None:
        rename(source, target)
        events.append(("renamed", Path(target).name))

    monkeypatch.setattr("os.fsync", noting_fsync)
    monkeypatch.setattr("os.rename", noting_rename)
    convert(request_for_toy)
    moved = events.index(("renamed", "toy"))
    files = {path.name for path in request_for_toy.out.iterdir()}
    assert {name for event, name in events[:moved] if event == "on the disk"} == files | {"store"}
    assert events[moved + 1 :] == [("on the disk", "data")]


def test_a_disk_that_does_not_take_a_file_is_an_error_and_no_store(
    request_for_toy: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(5, "Input/output error")))
        with pytest.raises(StoreError, match=r"toy\.partial: cannot be written: Input/output error"):
            convert(request_for_toy)
    assert not request_for_toy.out.exists()
    assert convert(request_for_toy).state == "written"
