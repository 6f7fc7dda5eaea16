"""Files of a folder: their list and their bytes. Links are the user's own and are followed."""

import mmap
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from skelbench.errors import RawFormatError


@dataclass(frozen=True, slots=True)
class FileMember:
    """A file of a folder."""

    name: str  # relative to the folder, with forward slashes; bytes that are not UTF-8 stand as lone surrogates
    size: int  # bytes


def list_folder(top: Path, hidden: Iterable[str] = ()) -> tuple[list[FileMember], list[tuple[str, str]]]:
    """Find all files under a folder.

    Each folder is entered once, by its real name where it has one below `top`; so no loop of links is endless,
    and nothing is found twice because a link stands beside its folder. A link to a folder that holds `top` is
    refused: it would bring in all that lies around.

    Args:
        top: The folder.
        hidden: Real paths of folders to leave out.

    Returns:
        The files, and the name and reason of what is not read: pipes, devices, broken links, links upwards, closed
        folders.

    Raises:
        OSError: If `top` itself cannot be read.
    """
    members: list[FileMember] = []
    refused: list[tuple[str, str]] = []
    seen: set[tuple[int, int]] = set()
    avoid, real_top = frozenset(hidden), os.path.realpath(top)
    folders, links = [""], list[str]()
    while folders or links:
        prefix = (folders or links).pop()
        path = f"{top}/{prefix}"
        try:
            here = os.stat(path)  # noqa: PTH116 - a Path is slower by half, and there may be many
            real = os.path.realpath(path)
            if (here.st_dev, here.st_ino) in seen or real in avoid:
                continue
            if real_top.startswith(f"{real.rstrip('/')}/"):
                refused.append((prefix.rstrip("/"), "is a link to a folder that holds the raw folder itself"))
                continue
            seen.add((here.st_dev, here.st_ino))
            with os.scandir(path) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name, reverse=True):
                    _sort_in(entry, prefix + entry.name, (members, refused, links if entry.is_symlink() else folders))
        except OSError as error:
            if not prefix:
                raise
            refused.append((prefix.rstrip("/"), f"cannot be read: {error.strerror}"))
    return members, refused


def read_file(path: str, size: int) -> bytes:
    """Read a file that was listed with a size, and never more than one byte beyond.

    Raises:
        RawFormatError: If it has another size now.
        OSError: If it cannot be read.
    """
    file = os.open(path, os.O_RDONLY)  # a file object costs a fourth of the reading
    try:
        data = os.read(file, size + 1)
        while len(data) < size and (more := os.read(file, size + 1 - len(data))):
            data += more
    finally:
        os.close(file)
    if len(data) != size:
        raise RawFormatError(f"has changed since it was listed with {size} bytes. Repeat the command.")
    return data


def map_file(path: str, size: int) -> memoryview:
    """Map a file that was listed with a size, above 0, into memory, of which the system holds what is looked at.

    Raises:
        RawFormatError: If it has another size now.
        OSError: If it cannot be read.
    """
    with open(path, "rb") as file:  # noqa: PTH123 - a Path takes as long to make as the file to open
        if os.fstat(file.fileno()).st_size != size:
            raise RawFormatError(f"has changed since it was listed with {size} bytes. Repeat the command.")
        return memoryview(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ))


def _sort_in(
    entry: "os.DirEntry[str]", name: str, lists: tuple[list[FileMember], list[tuple[str, str]], list[str]]
) -> None:
    """Put one entry of a folder with the files, the refused, or the folders that wait."""
    members, refused, waiting = lists
    try:
        found = entry.stat()
    except OSError as error:
        refused.append((name, f"cannot be read: {error.strerror}"))
        return
    if stat.S_ISDIR(found.st_mode):
        waiting.append(f"{name}/")
    elif stat.S_ISREG(found.st_mode):
        members.append(FileMember(name, found.st_size))
    else:
        refused.append((name, "is not a regular file"))
