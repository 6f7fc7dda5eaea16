"""`skelbench info`: what is known of a data set, a store, a model, a method, a layout or a run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skelbench.cli import output
from skelbench.cli.options import PATH, json_option
from skelbench.errors import UsageError, nearest

if TYPE_CHECKING:
    from skelbench.card import Card
    from skelbench.store.reader import Store

KEY = re.compile(r"[0-9a-f]{8,64}")  # of a run
EXAMPLES = """\b
Examples:
  skelbench info nw_ucla
  skelbench info lite --dataset nw_ucla
  skelbench info data/nw_ucla --figures
  skelbench info kinect_v2 --figures
  skelbench info my_recordings --draft my.toml
  skelbench info runs/nw_ucla/xview/lite-supervised-joint --figures
"""


@click.command("info", short_help="What is known of a data set, store, model, method, layout or run.", epilog=EXAMPLES)
@click.argument("name")
@click.option("--dataset", help="A store: parameters and cost of a model or method on it.")
@click.option("--recipe", default="default", show_default=True, help="With --dataset: the recipe to build it by.")
@click.option(
    "--figures",
    is_flag=True,
    help="Draw it, as PNG and SVG: a run into `figures/` beside its record, stores and layouts into `figures/` here.",
)
@click.option("--out", type=PATH, help="With --figures: another folder for them.")
@click.option("--draft", type=PATH, help="Of data that no set knows: write the draft of a card there.")
@json_option
def command(*, name: str, dataset: str | None, figures: bool, as_json: bool, **given: Any) -> None:
    """Say what is known of NAME: a data set, a store, a model, a method, a layout or a run, or files of recordings.

    Stores are named by name or path, runs by folder, record.json or the first digits of their key. The figures are
    learning curves, confusion, the most frequent confusions, classes and calibration; of a layout, its skeleton; of a
    store, lengths, people, missing joints and classes, which are counted for it in any case. Of
    files, folders and archives it says which data set they are; of unknown ones it drafts a card for `convert own`.
    """
    from skelbench.registry import names
    from skelbench.skeletons import layout_names
    from skelbench.workspace import store_names

    out: Path | None = given["out"]
    if out is not None and not figures:
        raise click.UsageError("--out is the folder of the figures: give --figures too.")
    kinds = {"models": names("models"), "methods": names("methods")}
    for kind in ("models", "methods"):
        if name in kinds[kind] or (dataset and name.endswith(".py")):
            _refuse(figures, name)
            _print(_network(kind, name, dataset, given["recipe"]), as_json)
            return
    if name in layout_names():
        _layout(name, figures=figures, out=out, as_json=as_json)
        return
    known = {*names("converters"), *store_names(), *kinds["models"], *kinds["methods"], *layout_names()}
    if name in known or (Path(name) / "dataset.json").is_file():
        _dataset(name, figures=figures, out=out, as_json=as_json)
    elif _is_run(Path(name)) or (KEY.fullmatch(name) and not Path(name).exists()):
        _run(name, figures=figures, out=out, as_json=as_json)
    elif Path(name).exists():
        _refuse(figures, name)
        _look(Path(name), given["draft"], as_json)
    else:
        told = "A store, a run, and data of any kind may be named by their path."
        raise UsageError(f"Nothing is called '{name}'. {nearest(name, known)} {told}")


def _is_run(path: Path) -> bool:
    """Whether a path is a record, or a folder with records."""
    from skelbench.workspace import runs_folder

    named = path == runs_folder() or path.name == "record.json"
    return named or (path.is_dir() and next(path.rglob("record.json"), None) is not None)


def _look(path: Path, draft: Path | None, as_json: bool) -> None:
    """What is in files of any kind, and a draft of a card where no data set is known."""
    from skelbench.look import look

    found = look(path)
    card = found.draft.toml() if found.draft else ""
    if draft is not None:
        if draft.exists() or not card:
            reasons = "; ".join(found.undrafted[:3])
            raise UsageError(f"{draft} {'is there already' if draft.exists() else f'is not written: {reasons}'}.")
        draft.write_text(card, encoding="utf-8")
    facts: dict[str, Any] = {
        "path": str(path),
        "files": found.members,
        "size": output.size(found.size),
        "endings": ", ".join(f"{count:,} {ending}" for ending, count in found.endings.items()),
        "refused": "; ".join(f"{name} {reason}" for name, reason in found.refused[:5]),
        "sets": [
            {"set": one.name, "items": one.items, "rejects": one.rejects, "problem": one.problem[:160]}
            for one in found.sets[:5]
        ],
        "formats": [{"file": name, "what": what} for name, what in found.formats.items()],
    }
    if as_json:
        output.emit({**facts, "card": card or None})
        return
    _print(facts, as_json)
    if draft is not None:
        click.echo(f"\n{draft}: a draft of a card. Look at its lines with a question mark, then:")
        click.echo(f"  skelbench convert own --raw {path} --card {draft}")
    elif card:
        click.echo(f"\na draft of a card for `convert own` (--draft FILE writes it)\n\n{card}", nl=False)


def _refuse(figures: bool, name: str) -> None:
    """Only runs, stores and layouts are drawn."""
    if figures:
        raise click.UsageError(f"--figures draws a run, a store or a layout, and {name} is none.")


def _run(name: str, *, figures: bool, out: Path | None, as_json: bool) -> None:
    """A run, or its seeds and folds; and its figures."""
    from skelbench.cli import facts
    from skelbench.scored import find_records

    records = find_records(name)
    drawn: list[str] = []
    if figures:
        from skelbench.figures import draw

        for path in records:
            place = out / path.parent.name if out is not None and len(records) > 1 else out
            found = draw(path, place)
            drawn += map(str, found.written)
            for reason in found.left:
                click.echo(f"not drawn: {path}: {reason}", err=True)
    if as_json:
        output.emit({**facts.document(records), **({"figures": drawn} if figures else {})})
        return
    facts.show(records)
    if figures:
        click.echo("\nfigures")
        click.echo("\n".join(drawn))


def _print(facts: dict[str, Any], as_json: bool) -> None:
    """Facts as JSON; or the plain ones, one a line, then the tables."""
    if as_json:
        output.emit(facts)
        return
    tables = {name: value for name, value in facts.items() if value and isinstance(value, list)}
    tables = {name: rows for name, rows in tables.items() if isinstance(rows[0], dict)}
    plain = {name: value for name, value in facts.items() if name not in tables}
    output.pairs({
        name: _text(value) for name, value in plain.items()
    })  # fmt: skip
    for name, rows in tables.items():
        click.echo(f"\n{name}")
        output.table([{key: _cell(value) for key, value in row.items()} for row in rows], rows[0])


def _cell(value: Any) -> Any:
    """A value in a table: shares as parts of a hundred, nothing where nothing is known."""
    if isinstance(value, float):
        return f"{100 * value:.2f} %"
    return "" if value is None else value


def _text(value: Any) -> Any:
    """A plain value on one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {one}" for name, one in value.items())
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value


def _dataset(name: str, *, figures: bool, out: Path | None, as_json: bool) -> None:
    """A registered set's card; and what its store holds, where there is one, perhaps as pictures."""
    from skelbench.store.reader import open_store
    from skelbench.workspace import store_names, store_path

    if name not in store_names() and not (Path(name) / "dataset.json").is_file():
        _refuse(figures, name)
        _print(_set(name), as_json)
        return
    store = open_store(store_path(name))
    found = _contents(store)
    facts: dict[str, Any] = {**_card(store.card), **_store(store), **found}
    if figures:
        from skelbench.figures.contents import draw_contents

        lengths = store.table["n_frames"].to_numpy()
        facts["figures"] = [*map(str, draw_contents(store.path.name, lengths, found, out or Path("figures")).written)]
    _print(facts, as_json)


def _contents(store: Store) -> dict[str, Any]:
    """What the recordings of a store are like."""
    from skelbench.contents import contents
    from skelbench.convert.workers import worker_count
    from skelbench.crew import crew
    from skelbench.survey import survey

    with crew(worker_count(None, len(store)) - 1) as helpers:
        return contents(store, survey(store.path, helpers))


def _set(name: str) -> dict[str, Any]:
    """A registered set's card."""
    from skelbench.card import load_card
    from skelbench.registry import find, names

    card = load_card(find("converters", name).toml)
    protocols = [{"name": f"{name}/{one}"} for one in _protocol_names(name)] if name in names("splits") else []
    return {**_card(card), "store": "none here yet", "obtain": card.obtain, "protocols": protocols}


def _card(card: Card) -> dict[str, Any]:
    """What the card says."""
    return {
        "name": card.name,
        "title": card.title,
        "layout": f"{card.layout.name} ({len(card.layout.joints)} joints)",
        "channels": " ".join(f"{channel} ({card.units[channel]})" for channel in card.channels),
        "fps": card.fps,
        "pose_source": card.pose_source,
        "score": card.score,
        "prepare": list(card.prepare),
        "licence": card.licence,
        "citation": card.citation,
        "not_kept": card.not_kept,
        "notes": card.notes,
        "targets": [
            {"name": name, "kind": target.kind, "classes": len(target.classes), "source": target.source}
            for name, target in card.targets.items()
        ],
        "classes": list(next(target.classes for target in card.targets.values())),
        "columns": [{"name": name, "meaning": meaning} for name, meaning in card.columns.items()],
    }


def _store(store: Store) -> dict[str, Any]:
    """What a store holds."""
    info = store.info
    return {
        "store": str(store.path),
        "samples": info.samples,
        "rejects": info.rejects,
        "poses": info.poses,
        "frames": info.frames,
        "fingerprint": info.fingerprint,
        "limit": info.origin.limit,
        "synthetic": info.origin.synthetic,
        "protocols": [_protocol(store, name) for name in _own_protocol_names(store)],
    }


def _protocol(store: Store, name: str) -> dict[str, Any]:
    """A protocol resolved on a store: counts, differences from the official ones, what the parts share."""
    from skelbench.errors import SplitError
    from skelbench.split import resolve

    try:
        split = resolve(store, name)
    except SplitError as error:
        return {"name": name, "train": "", "test": "", "left_out": "", "notes": str(error)}
    notes = "; ".join([*split.official, *split.notes])
    return {
        "name": name,
        "train": len(split.train),
        "test": len(split.test),
        "left_out": split.left_out,
        "notes": notes,
    }


def _own_protocol_names(store: Store) -> list[str]:
    """Names of a store's protocols; none where nobody wrote them."""
    from skelbench.split import store_protocols

    return list(store_protocols(store)) if "splits" in store.card.options else _protocol_names(store.info.name)


def _protocol_names(dataset: str) -> list[str]:
    """Names of a set's protocols; none where nobody wrote them."""
    from skelbench.registry import names
    from skelbench.split import load_protocols

    return list(load_protocols(dataset)) if dataset in names("splits") else []


def _network(kind: Any, name: str, dataset: str | None, recipe: str) -> dict[str, Any]:
    """A model's or method's title, source and recipes; its size on a data set."""
    from skelbench import registry
    from skelbench.blocks import plugin_card

    card = plugin_card(registry.find(kind, name))
    facts: dict[str, Any] = {
        "name": name,
        "title": card.title,
        "source": card.source,
        "recipes": [{"when": _conditions(block.when), "source": block.source} for block in card.recipe],
    }
    if dataset is not None:
        from skelbench.request import RunRequest
        from skelbench.run import preview_runs

        chosen: dict[str, Any] = {"models": (name,)} if kind == "models" else {"methods": (name,)}
        preview = preview_runs(RunRequest(dataset=dataset, recipe=recipe, **chosen))[0]
        facts |= {"dataset": dataset, "parameters": preview.sizes.parameters, "gflops": preview.sizes.gflops}
    return facts


def _conditions(when: Mapping[Any, str | tuple[str, ...]]) -> str:
    """When a recipe applies, for people."""
    listed = (f"{key} = {wanted if isinstance(wanted, str) else ' or '.join(wanted)}" for key, wanted in when.items())
    return ", ".join(listed) or "always"


def _layout(name: str, *, figures: bool, out: Path | None, as_json: bool) -> None:
    """A layout as text, and perhaps as a picture."""
    from skelbench.cli import layouts

    drawn: list[str] = []
    if figures:
        from skelbench.figures.skeleton import draw_skeleton
        from skelbench.skeletons import load_layout
        from skelbench.synthetic.body import stance

        layout = load_layout(name)
        drawn = [str(path) for path in draw_skeleton(layout, stance(layout), out or Path("figures")).written]
    if as_json:
        output.emit({**layouts.document(name), **({"figures": drawn} if figures else {})})
        return
    layouts.show(name)
    if figures:
        click.echo("\nfigures")
        click.echo("\n".join(drawn))
