"""How verbs speak: results on stdout, progress and logs on stderr, JSON on request."""

import json
import logging
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

log = logging.getLogger("skelbench")
STDOUT = "skelbench.stdout"  # where a context keeps the stream of its JSON document


def configure(*, verbose: bool, quiet: bool) -> None:
    """Set what reaches stderr, and whether colours do (`NO_COLOR`)."""
    level = logging.ERROR if quiet else logging.DEBUG if verbose else logging.INFO
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr, force=True)
    logging.getLogger().setLevel(max(level, logging.INFO) if not verbose else logging.DEBUG)
    for noisy in ("lightning", "lightning.fabric", "matplotlib", "torch", "fsspec"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    log.setLevel(level)
    if os.environ.get("NO_COLOR") is not None:
        click.get_current_context().color = False


def progress_wanted() -> bool:
    """Whether a progress bar may be drawn: a terminal on stderr, and not --quiet."""
    return sys.stderr.isatty() and log.isEnabledFor(logging.INFO)


def emit(document: Any) -> None:
    """Print one JSON document on stdout."""
    stdout = click.get_current_context().meta.get(STDOUT)
    encoding = getattr(stdout or sys.stdout, "encoding", None) or "utf-8"
    plain = encoding.replace("-", "").lower() != "utf8"  # which cannot write all that a name may hold
    click.echo(json.dumps(document, indent=2, ensure_ascii=plain, default=_plain), file=stdout)


def table(rows: Sequence[Mapping[str, Any]], columns: Iterable[str]) -> None:
    """Print rows as aligned columns on stdout; empty columns are left out."""
    wanted = [column for column in columns if any(str(row.get(column, "")) for row in rows)]
    cells = [[str(row.get(column, "")) for column in wanted] for row in rows]
    widths = [max([len(column), *(len(line[place]) for line in cells)]) for place, column in enumerate(wanted)]
    for line in [wanted, *cells]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def pairs(values: Mapping[str, Any]) -> None:
    """Print names and values, one a line, aligned; empty values are left out."""
    shown = {name: value for name, value in values.items() if value not in (None, "", (), [])}
    width = max((len(name) for name in shown), default=0)
    for name, value in shown.items():
        click.echo(f"{name.ljust(width)}  {value}")


def size(count: int) -> str:
    """Bytes for people, such as `1.7 GB`."""
    place = min(max(len(str(count)) - 1, 0) // 3, 4)
    number = f"{count / 1000**place:.1f}" if place else str(count)
    return f"{number} {('B', 'kB', 'MB', 'GB', 'TB')[place]}"


def _plain(value: Any) -> Any:
    """What JSON has no form for, as text or list."""
    return str(value) if isinstance(value, Path) else list(value)
