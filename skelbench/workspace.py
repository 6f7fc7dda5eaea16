"""Where things stand: stores in `data/`, runs in `runs/`, boards in `leaderboards/`, under the current folder."""

import os
from pathlib import Path

from skelbench.errors import UsageError, nearest


def expanded(path: str | Path) -> Path:
    """A path with `~` resolved; that of a user whom there is not stays as it is, where Path would raise."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path raises for a user whom there is not


def data_folder() -> Path:
    """Folder of the stores: `SKELBENCH_DATA`, else `data`."""
    return Path(os.environ.get("SKELBENCH_DATA") or "data")


def runs_folder() -> Path:
    """Folder of the runs: `SKELBENCH_RUNS`, else `runs`."""
    return Path(os.environ.get("SKELBENCH_RUNS") or "runs")


def store_names() -> list[str]:
    """Names of the stores in the data folder, sorted."""
    folder = data_folder()
    return sorted(path.parent.name for path in folder.glob("*/dataset.json")) if folder.is_dir() else []


def store_path(name: str) -> Path:
    """Find a store by name or by path.

    Args:
        name: The name of a folder in the data folder, or the path of a store.

    Returns:
        The folder that holds its `dataset.json`.

    Raises:
        UsageError: If there is no such store, saying how to make one.
    """
    for folder in (data_folder() / name, expanded(name)):
        if os.path.isfile(folder / "dataset.json"):  # noqa: PTH113 - a Path raises when the name is too long
            return folder
    if "/" in name or os.path.isdir(name):  # noqa: PTH112 - as above
        raise UsageError(f"{name} is no store: it holds no dataset.json. Stores are made by `skelbench convert`.")
    raise UsageError(
        f"No store '{name}' in {data_folder()}/. {nearest(name, store_names())} "
        f"Make it with `skelbench convert {name} --raw PATH`, or name a store by its path."
    )
