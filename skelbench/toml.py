"""TOML files from anyone: cards, layouts and splits, of bounded size and with one clear error."""

import re
import stat
import tomllib
from pathlib import Path
from typing import Any

from skelbench.errors import CardError

_MAX_BYTES = 1 << 20  # ten times any list of classes
_DEEP = re.compile(rb"(?:\.\s*[\w\"'-]+\s*){100}")  # a key of so many parts takes the parser gigabytes


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Args:
        path: A regular file of at most 1 MiB.

    Returns:
        Its table.

    Raises:
        CardError: If it is missing, no regular file, too large, nested too deeply, or not TOML.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise CardError(f"{path}: not a regular file, expected a TOML file.")
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise CardError(f"{str(path)[:200]}: {error.strerror or error}, expected a TOML file.") from error
    if len(content) > _MAX_BYTES:
        raise CardError(f"{path}: more than {_MAX_BYTES >> 20} MiB, expected a TOML file of a few pages.")
    try:
        if _DEEP.search(content):
            raise RecursionError
        return tomllib.loads(content.decode("utf-8"))
    except RecursionError as error:
        raise CardError(f"{path}: not TOML: nested too deeply.") from error
    except ValueError as error:  # TOML, UTF-8, or an integer of thousands of digits
        raise CardError(f"{path}: not TOML: {error}") from error
