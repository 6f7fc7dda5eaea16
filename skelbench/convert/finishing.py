"""The last steps of whatever makes a store: where it may stand, and that it reads back as it was written."""

import hashlib
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath

from skelbench.convert.report import Progress
from skelbench.convert.staging import part_path, partial_folder, standing
from skelbench.crew import Crew
from skelbench.errors import StoreError, UsageError
from skelbench.sources.source import printable
from skelbench.store.verify import verify_store
from skelbench.store.writer import on_disk
from skelbench.workspace import expanded


def place_of(out: Path) -> Path:
    """Where a store will really stand, links resolved; a name that no store can have is refused before any work.

    Raises:
        UsageError: If no store can stand there.
    """
    place = Path(os.path.realpath(expanded(out)))
    if Path.cwd().is_relative_to(place):  # a store takes its place by a rename, which would leave the user nowhere
        raise UsageError(f"{out} is the folder that you are in, or holds it. Name a new one with --out.")
    try:
        str(place).encode()
        with suppress(FileNotFoundError, NotADirectoryError):
            os.lstat(part_path(partial_folder(place), 0))
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"{printable(str(out))}: no place for a store: {reason}. Name another with --out.") from error
    return place


def is_wanted(place: Path, given: Path, request: str, *, overwrite: str) -> bool:
    """Whether there is anything to do; something else in the store's place must not be lost.

    Args:
        place: Where the store will stand.
        given: The same as the user wrote it.
        request: Digest of what decides its content.
        overwrite: `always` replaces the store of another request.

    Returns:
        False where the very store stands there.

    Raises:
        UsageError: If something else does, which may not be replaced.
    """
    there, info = standing(place)
    again = overwrite == "always"
    if there == "nothing" or (there == "store" and again):
        return True
    if there == "other":
        raise UsageError(
            f"{given} is there and is no skelbench store (or holds other files too), so it is not touched, "
            "not even with --overwrite always. Name another place with --out."
        )
    if info is not None and info.origin.request == request:
        return False
    found = "made from other raw data, card, converter or limit" if info else "damaged, or of another version"
    raise UsageError(
        f"{given} holds a store that is {found}. Replace it with --overwrite always, or name another place with --out."
    )


def verified(whole: Path, rejects: int, helpers: Crew, on_progress: Callable[[Progress], None]) -> None:
    """Read back what was written, every byte, while the disk takes it for good; if it is not sound it goes.

    Args:
        whole: A finished store that is not in its place.
        rejects: How many it has, to tell people.
        helpers: Other processes, which read parts of it.
        on_progress: Called as bytes are read.

    Raises:
        StoreError: If what was written does not verify.
        OSError: If the disk does not take it.
    """
    helpers.start()
    size = sum(path.stat().st_size for path in whole.iterdir())
    checked = 0

    def progress(count: int) -> None:
        """Take the bytes read since the last call."""
        nonlocal checked
        checked += count
        on_progress(Progress("verifying", checked, size, "bytes", rejects))

    with on_disk(whole):
        findings = verify_store(whole, progress, helpers)
    if findings:
        shutil.rmtree(whole)
        listed = "; ".join(f"{finding.file}: {finding.problem}" for finding in findings[:3])
        raise StoreError(f"What was written does not verify, so there is no store: {listed} Repeat the command.")


def raw_digest(digests: dict[str, str]) -> str:
    """Digest over those of raw files, in the order of their names; folders and archives do not count."""
    whole = hashlib.sha256()
    for name, digest in sorted((PurePosixPath(path).name, digest) for path, digest in digests.items()):
        whole.update(f"{name}\0{digest}\n".encode())
    return whole.hexdigest()
