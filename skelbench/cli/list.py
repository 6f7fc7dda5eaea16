"""`skelbench list`: what there is, by name."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from skelbench.cli import output
from skelbench.cli.options import PATH, json_option
from skelbench.errors import UsageError, nearest
from skelbench.registry import Kind, names, plugins


@click.command(
    "list",
    short_help="What there is, by name.",
    epilog="Examples:  skelbench list   skelbench list datasets --raw ~/Downloads   skelbench list runs --json",
)
@click.argument("kind", required=False)
@click.option("--raw", type=PATH, help="Of datasets: look there for raw files too.")
@json_option
def command(kind: str | None, raw: Path | None, as_json: bool) -> None:
    """List datasets, protocols, models, methods, layouts, published, stores or runs; all kinds without KIND.

    Of datasets it says which are here as stores, how many raw items are expected and found, and how to get the others.
    """
    if raw is not None and kind != "datasets":
        raise UsageError("--raw is where raw files of data sets may lie: `skelbench list datasets --raw PATH`.")
    if kind is not None and kind not in LISTS:
        raise UsageError(f"No kind '{kind}'. {nearest(kind, LISTS)}")
    if kind is None:
        _overview(as_json)
        return
    if kind == "datasets" and not as_json:
        _show_desk(_datasets(raw))
        return
    rows = _datasets(raw) if kind == "datasets" else LISTS[kind]()
    if as_json:
        output.emit(rows)
    elif rows:
        output.table(rows, rows[0])
    else:
        click.echo(f"No {kind} here.", err=True)


def _overview(as_json: bool) -> None:
    """Every kind with its names."""
    found = {kind: NAMES[kind]() if kind in NAMES else [row["name"] for row in LISTS[kind]()] for kind in LISTS}
    if as_json:
        output.emit([{"name": kind, "entries": names} for kind, names in found.items()])
        return
    output.pairs({kind: ", ".join(names) for kind, names in found.items()})


def _datasets(raw: Path | None = None) -> list[dict[str, Any]]:
    """Registered data sets: what is here, what is expected, how to get it."""
    from skelbench.desk import desk

    return [entry.as_json() for entry in desk(raw)]


def _show_desk(rows: list[dict[str, Any]]) -> None:
    """Data sets for people: what is here in a table, how to get the others below it."""
    numbers = ("expected", "found", "samples", "rejects")
    shown = [
        {
            **{key: row[key] for key in ("name", "title", "here")},
            **{key: "" if row[key] is None else f"{row[key]:,}" for key in numbers},
            "size": "" if row["bytes"] is None else output.size(row["bytes"]),
            "protocols": ", ".join(row["protocols"][:4]) + (", ..." if len(row["protocols"]) > 4 else ""),
        }
        for row in rows
    ]
    output.table(shown, shown[0])
    for row in rows:
        click.echo(f"\n{row['name']}: {row['licence']}")
        if row["stores"] and list(row["stores"]) != [row["name"]]:
            click.echo(f"  stores here: {', '.join(row['stores'])}")
        if row["here"] not in ("yes", "part"):
            click.echo(f"  get it: {row['obtain']}\n  convert: {row['raw']}")


def _protocols() -> list[dict[str, Any]]:
    """Every protocol of every data set, the data set's default first."""
    return [
        {"name": f"{dataset}/{name}", "title": protocol.get("title", ""), "source": protocol.get("source", "")}
        for dataset, table in _tables("splits")
        for name, protocol in table.get("protocols", {}).items()
    ]


def _titled(kind: Kind) -> Callable[[], list[dict[str, Any]]]:
    """Lists models or methods."""
    return lambda: [{"name": name, "title": table.get("title", "")} for name, table in _tables(kind)]


def _layouts() -> list[dict[str, Any]]:
    """Layouts with their joints, mirror pairs, and the layouts that map onto them."""
    from skelbench.cli.layouts import rows

    return rows()


def _published() -> list[dict[str, Any]]:
    """Papers whose numbers stand beside ours, with how many each gives."""
    from collections import Counter

    from skelbench.leaderboard.published import load_published

    counts = Counter((row.paper, row.document) for row in load_published())
    return [{"name": paper, "values": count, "document": document} for (paper, document), count in counts.items()]


def _stores() -> list[dict[str, Any]]:
    """Stores in the data folder."""
    from skelbench.store.reader import open_store
    from skelbench.workspace import store_names, store_path

    infos = [(name, open_store(store_path(name)).info) for name in store_names()]
    return [{"name": name, "samples": info.samples, "fingerprint": info.fingerprint} for name, info in infos]


def _runs() -> list[dict[str, Any]]:
    """Runs in the runs folder with their states."""
    from skelbench.standing import list_runs
    from skelbench.workspace import runs_folder

    return list_runs(runs_folder())


def _tables(kind: Kind) -> list[tuple[str, dict[str, Any]]]:
    """Names and TOML of all plug-ins of a kind; nothing is imported."""
    return [(name, tomllib.loads(plugin.toml.read_text(encoding="utf-8"))) for name, plugin in plugins(kind).items()]


LISTS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "datasets": _datasets,
    "protocols": _protocols,
    "models": _titled("models"),
    "methods": _titled("methods"),
    "layouts": _layouts,
    "published": _published,
    "stores": _stores,
    "runs": _runs,
}


def _papers() -> list[str]:
    """Files of published numbers."""
    from importlib.resources import files

    return sorted(
        file.name.removesuffix(".csv") for file in files("skelbench.published").iterdir() if ".csv" in file.name
    )


def _store_names() -> list[str]:
    """Stores by their folders."""
    from skelbench.workspace import store_names

    return sorted(store_names())


def _layout_names() -> list[str]:
    """Layouts by their files."""
    from skelbench.skeletons import layout_names

    return layout_names()


def _run_names() -> list[str]:
    """Runs by their folders."""
    from skelbench.workspace import runs_folder

    return [str(row["name"]) for row in _runs()] if runs_folder().is_dir() else []


NAMES: dict[str, Callable[[], list[str]]] = {  # where names alone come sooner than the rows
    "datasets": lambda: names("converters"),
    "models": lambda: names("models"),
    "methods": lambda: names("methods"),
    "layouts": _layout_names,
    "published": _papers,
    "stores": _store_names,
    "runs": _run_names,
}
