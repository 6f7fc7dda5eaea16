"""Publishing: records of finished runs, copied to where a repository keeps them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from skelbench.errors import UsageError
from skelbench.leaderboard.collect import Entry, gather, limits
from skelbench.record import Record, read_record, write_record

RESULTS = ("done", "diverged")  # that training diverged is a result; failed and partial runs are to be run again


@dataclass(frozen=True)
class Copied:
    """What publishing did."""

    written: tuple[Path, ...]  # copies, new or already there
    left: tuple[tuple[Path, str], ...]  # records not published, and why


def publish(
    runs: Path,
    records: Path,
    *,
    overwrite: Literal["never", "always"] = "never",
    which: Literal["whole", "all"] = "whole",
) -> Copied:
    """Copy the records of runs that came to a result, without predictions, to where a repository keeps them.

    Args:
        runs: Folder of runs.
        records: Folder of published records.
        overwrite: What to do with another record of the same key, seed and fold that stands there.
        which: `whole` leaves made-up recordings, parts of the data, as by `--limit`, and what was scored on
            validation; `all` takes them too.

    Returns:
        The copies, and the records that were left, with the reason.

    Raises:
        UsageError: If there is no record in `runs`, or another stands where a copy would go and `overwrite` is never.
        RunError: If a file is no record.
    """
    entries = gather([(runs, "record.json")])
    if not entries:
        raise UsageError(f"No record.json under {runs}/. `skelbench run` leaves one for each run.")
    ready, left = [], []
    for entry in entries:
        reasons = "; ".join(_reasons(entry.record, which))
        if reasons:
            left.append((entry.path, reasons))
        else:
            ready.append((entry, records / record_path(entry.record)))
    if overwrite == "never":
        for entry, target in ready:
            _refuse_other(entry, target)
    for entry, target in ready:
        write_record(target, entry.record)
    return Copied(tuple(target for _, target in ready), tuple(left))


def record_path(record: Record) -> Path:
    """Where a published record stands: `<set>/<protocol>/<model>-<method>-<streams>-<key8>-seed<n>[-fold<n>].json`."""
    fold = "" if record.fold is None else f"-fold{record.fold}"
    name = "-".join(map(file_name, [record.model, record.method, "+".join(record.streams)]))
    file = f"{name}-{record.key[:8]}-seed{record.seed}{fold}.json"
    return Path(file_name(record.dataset), file_name(record.protocol), file)


def file_name(text: str) -> str:
    """A name that is safe in any file system and stays below its folder."""
    return re.sub(r"^\.|[^\w.+=-]", "_", text, flags=re.ASCII)[:80]


def _reasons(record: Record, which: str) -> Iterator[str]:
    """Why a record is not published."""
    if record.state not in RESULTS:
        yield f"state {record.state}"
    elif which == "whole":
        found = [*(["made-up recordings"] if record.synthetic else []), *limits(record)]
        found += [] if record.scored == "test" else ["scored on validation"]
        yield from [*found, *(["--all takes it too"] if found else [])]


def _refuse_other(entry: Entry, target: Path) -> None:
    """Stop when another record stands where this one would go."""
    if target.is_file() and read_record(target) != entry.record:
        raise UsageError(
            f"{target} is another record than {entry.path}. To replace it, publish with --overwrite always."
        )
