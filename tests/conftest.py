"""Fixtures that every folder of tests shares."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real recordings, laid out as `SKELBENCH_REAL_DATA` has them."""
    folder = os.environ.get("SKELBENCH_REAL_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("no real recordings: SKELBENCH_REAL_DATA names no folder")
    return Path(folder)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test stands in an empty folder of its own, so nothing lands in the repository."""
    monkeypatch.chdir(tmp_path)
    for variable in ("SKELBENCH_DATA", "SKELBENCH_RUNS"):
        monkeypatch.delenv(variable, raising=False)
