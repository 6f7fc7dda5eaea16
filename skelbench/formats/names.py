"""Which members of a raw source belong to a data set, by their names alone."""

import re
from collections.abc import Iterator

from skelbench.raw import RawSource

MARKER = "SYNTHETIC.json"  # says that a raw folder was made by `skelbench synth`


def members(raw: RawSource, suffix: str) -> Iterator[str]:
    """Members with a file name ending, in the source's order.

    Left out are hidden files and what macOS adds to archives (`._name`, `__MACOSX/`), since no owner
    of a data set hands them out, and the marker of synthetic data.

    Args:
        raw: The source.
        suffix: The ending in lower case, such as `".skeleton"`; case does not matter in the names.

    Yields:
        Paths as the source names them.
    """
    for path in raw.paths:
        if path.lower().endswith(suffix):
            parts = path.split("/")
            hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
            if not hidden and parts[-1] != MARKER:
                yield path


def file_name(path: str) -> str:
    """File name without its folder."""
    return path.rpartition("/")[2]


def stem(path: str) -> str:
    """File name without its folder and its last extension."""
    return file_name(path).rpartition(".")[0]


def numbers(pattern: re.Pattern[str], path: str) -> dict[str, int] | None:
    """Read the numbers in a file name.

    Args:
        pattern: Named groups of digits; it must match the whole file name, the extension in lower case.
        path: A member of the source.

    Returns:
        Number by group name, or None where the name does not fit.
    """
    name, dot, extension = file_name(path).rpartition(".")
    match = pattern.fullmatch(f"{name}{dot}{extension.lower()}")
    return None if match is None else {name: int(digits) for name, digits in match.groupdict().items()}
