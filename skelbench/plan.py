"""From a request to its runs: every cell settled, stage by stage, before the first is begun."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Literal

from skelbench import registry
from skelbench.blocks import PREVIOUS, StageTable, is_file
from skelbench.cell import Cell, Planned
from skelbench.data.batches import check_recipe
from skelbench.errors import RecipeError, SplitError, UsageError
from skelbench.freeze import ENCODER
from skelbench.initial import Source, find_source
from skelbench.leaks import check_leaks
from skelbench.mapping import JointMapping, find_mapping, loss
from skelbench.prepare import mappings_of, prepared_layout
from skelbench.processes import check_processes, make_fabric
from skelbench.provenance import code_version
from skelbench.recipe import Ask, Layer, Resolved, Setting, default_choice, recipe_file, resolve, stages
from skelbench.record import Record
from skelbench.request import Chosen, RunRequest, check_request, command_of, tables_of
from skelbench.split import Split, resolve_folds, store_protocols
from skelbench.split import resolve as resolve_split
from skelbench.steps import parse_step
from skelbench.store.reader import Store, open_store
from skelbench.subset import carve, few_labels, limited
from skelbench.trail import RULES
from skelbench.workspace import store_path

EVALUATIONS = ("supervised", "linear", "finetune")
EARLIER = "pretraining"  # what `evaluation` is for stages before the last


@dataclass(frozen=True, kw_only=True)
class _Outline:
    """One stage of a run, the same for all seeds and folds."""

    store: Store
    splits: tuple[Split, ...]  # one for each fold that is scored; one of an earlier stage on other data
    resolved: Resolved
    labels: float | None
    init: str | None  # a path, `previous`, or None
    head: Literal["auto", "new", "keep"]
    freeze: tuple[str, ...]
    given: Mapping[str, str]
    mappings: tuple[JointMapping, ...]


@dataclass(frozen=True)
class _Group:
    """The seeds and folds of one run."""

    request: RunRequest
    chosen: Chosen
    evaluation: str
    outlines: tuple[_Outline, ...]
    code: str


def plan_runs(request: RunRequest) -> list[Cell]:
    """Settle everything about each cell before the first is run.

    Args:
        request: What to run.

    Returns:
        The cells: protocols, then models, methods, streams, seeds, folds.

    Raises:
        UsageError, RecipeError, SplitError: If a name, key or value is wrong, or a scored sample would be trained on.
        StoreError: If the store is damaged.
        RunError: If the record of a run to start from is damaged.
    """
    make_fabric(request.device, request.precision)
    check_request(request)
    check_processes(request.device, request.devices)
    store = open_store(store_path(request.dataset))
    code, cells = code_version(), list[Cell]()
    for protocol in _protocols(request, store):
        splits = _scored_splits(request, store, protocol)
        named = product(request.models or (None,), request.methods or (None,), request.streams or ((),))
        for model, method, streams in named:
            chosen = Chosen(splits[0].name, *default_choice(model, method), streams)
            cells += _cells(_group(request, chosen, store, splits, code))
    return cells


def run_key(cell: Cell) -> str:
    """SHA-256 over all that decides what a run computes; not over seed, fold, device, threads or version of the code.

    Args:
        cell: Its stages, precision, limit and files count; of settings their values, not where they came from. Of a
            file of weights its digest counts; of a folder of seeds the key of their run.

    Returns:
        64 hexadecimal digits; folders bear the first eight.
    """
    content = {
        "rules": RULES,
        "evaluation": cell.evaluation,
        "stages": [_stage_key(stage) for stage in cell.stages],
        "precision": cell.precision,
        "limit": cell.limit,
        "scored": bool(cell.split.carved),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _stage_key(stage: Planned) -> dict[str, Any]:
    """What of a stage decides what is computed."""
    resolved, init = stage.resolved, stage.init
    if isinstance(init, Source):
        origin: object = init.record.key if init.paired and init.record else init.sha256
    else:
        origin = init
    files = {
        kind: registry.digest(one.plugin) if one.plugin.foreign else None
        for kind, one in (("model", resolved.model), ("method", resolved.method))
    }
    mapped = {"mappings": [mapping.digest for mapping in stage.mappings]} if stage.mappings else {}
    return {
        **mapped,
        "dataset": resolved.ask.dataset,
        "fingerprint": stage.store.info.fingerprint,
        "protocol": resolved.ask.protocol,
        "split": stage.split.digest,
        "target": stage.split.target,
        "labels": stage.labels,
        "model": resolved.model.name,
        "method": resolved.method.name,
        "files": files,
        "values": {key: setting.value for key, setting in resolved.settings.items()},
        "init": origin,
        "head": stage.head,
        "freeze": sorted(stage.freeze),
    }


def _protocols(request: RunRequest, store: Store) -> list[str | None]:
    """Names of the protocols to run; None for the set's first."""
    return [*store_protocols(store, request.splits)] if request.protocol == "all" else [request.protocol]


def _scored_splits(request: RunRequest, store: Store, protocol: str | None) -> tuple[Split, ...]:
    """The splits that are scored, one for each fold wanted: thinned by a limit, or with a validation part."""
    found = resolve_folds(store, protocol, splits=request.splits)
    if request.folds:
        there = found[0].folds or 0
        wrong = [fold for fold in request.folds if fold >= there]
        if wrong:
            which = f"the folds 0 to {there - 1}" if there else "no folds"
            raise UsageError(f"--fold {wrong[0]}: the protocol '{found[0].name}' has {which}.")
        found = tuple(found[fold] for fold in request.folds)
    if request.tune:
        found = tuple(carve(store, split) for split in found)
    return tuple(limited(store, split, request.limit) for split in found)


def _group(request: RunRequest, chosen: Chosen, store: Store, splits: tuple[Split, ...], code: str) -> _Group:
    """Settle the stages of one run."""
    ask = Ask(
        dataset=store.info.name,
        protocol=chosen.protocol,
        model=chosen.model,
        method=chosen.method,
        recipe=request.recipe,
        prepare=store.card.prepare,
        streams=chosen.streams,
    )
    file = None if request.repeats is not None else recipe_file(ask)
    ask = replace(ask, evaluation=request.evaluation or (file.evaluation if file else None) or "supervised")
    if ask.evaluation not in EVALUATIONS:
        raise UsageError(f"No evaluation '{ask.evaluation}'. Known: {', '.join(EVALUATIONS)}.")
    tables, layer = stages(ask) if request.repeats is None else (tables_of(request.repeats), Layer({}, "", ""))
    _check_prefixes(request.overrides, len(tables))
    outlines = []
    for place, table in enumerate(tables):
        scored = place == len(tables) - 1
        here, found = (store, splits) if scored else _earlier(request, table, store, splits, place)
        outlines.append(_outline(request, ask, (place, table, layer), here, found, scored=scored))
    return _Group(request, chosen, ask.evaluation, tuple(outlines), code)


def _earlier(
    request: RunRequest, table: StageTable, store: Store, splits: tuple[Split, ...], place: int
) -> tuple[Store, tuple[Split, ...]]:
    """The data of a stage before the last: by default what is scored, trained on the same part."""
    if table.dataset is None and table.protocol in (None, splits[0].name) and table.splits in (None, request.splits):
        return store, splits
    here = store if table.dataset is None else open_store(store_path(table.dataset))
    same = here.info.fingerprint == store.info.fingerprint
    splits_file = table.splits or (request.splits if same else None)
    protocol = table.protocol or (splits[0].name if same and splits_file == request.splits else None)
    if same and protocol == splits[0].name and splits_file == request.splits:
        return store, splits
    split = resolve_split(here, protocol, splits=splits_file)
    if split.folds:
        raise SplitError(
            f"Stage {place + 1}: the protocol '{split.name}' has folds; expected one with one training part."
        )
    return here, (limited(here, split, request.limit),)


def _outline(
    request: RunRequest,
    ask: Ask,
    table: tuple[int, StageTable, Layer],
    store: Store,
    splits: tuple[Split, ...],
    *,
    scored: bool,
) -> _Outline:
    """Settle one stage for all seeds and folds."""
    place, asked, origin = table
    if scored and (asked.dataset or asked.protocol or asked.splits):
        raise RecipeError(
            f"{origin.name}: the last stage is the one that is scored, on --dataset and --protocol: leave its "
            "dataset, protocol and splits out."
        )
    model, method = asked.named("model") or ask.model, asked.named("method") or ask.method
    name = f"{origin.name}, stage {place + 1}"
    settled = None if request.repeats is None else _settled(request.repeats, place)
    whole = replace(
        ask,
        dataset=store.info.name,
        protocol=splits[0].name,
        model=model,
        method=method,
        evaluation=ask.evaluation if scored else EARLIER,
        prepare=store.card.prepare,
        stage=(Layer(asked.values, name, origin.source),),
        overrides=_overrides(request.overrides, place),
        settled=settled,
    )
    resolved = _on_layout(resolve(whole), store, request.layout)
    init = _init(request, asked, place)
    given = {"dataset": asked.dataset or request.dataset, "model": model, "method": method}
    optional = {"splits": asked.splits if asked.splits or asked.dataset else request.splits, "init": init}
    probing = scored and ask.evaluation != "supervised"
    return _Outline(
        store=store,
        splits=splits,
        resolved=resolved,
        labels=_labels(request, asked, scored=scored),
        init=init,
        head="new" if probing and asked.head == "auto" else asked.head,
        freeze=tuple(dict.fromkeys((*asked.freeze, *(ENCODER if scored and ask.evaluation == "linear" else ())))),
        given={**given, **{key: value for key, value in optional.items() if value is not None}},
        mappings=mappings_of(resolved.data.prepare, store.card.layout),
    )


def _on_layout(resolved: Resolved, store: Store, wanted: str | None) -> Resolved:
    """A recipe whose prepare list ends with the step that --layout asks for, where the joints are not those already."""
    check_recipe(resolved.data)
    if wanted is None:
        return resolved
    name, *variant = (part.strip() for part in wanted.split(","))
    if len(variant) > 1:
        raise UsageError(
            f"--layout {wanted}: expected the name or path of a layout, and perhaps a variant after a comma."
        )
    source = prepared_layout(resolved.data.prepare, store.card.layout)
    if find_mapping(source, name, *variant).target == source:  # one run, one key, however it was said
        return resolved
    return resolve(replace(resolved.ask, layout=":".join(("layout", ",".join((name, *variant))))))


def _labels(request: RunRequest, table: StageTable, *, scored: bool) -> float | None:
    """The share of the labels, from --labels or the stage; None for all, however it was said: one run, one key."""
    share = request.labels if scored and request.labels is not None else table.labels
    return None if share == 1 else share


def _init(request: RunRequest, table: StageTable, place: int) -> str | None:
    """What a stage starts from: the first from --init, each other one from the stage before it."""
    init = request.init if place == 0 and request.init is not None else table.init
    if place == 0 and init == PREVIOUS:
        raise RecipeError("The first stage has init = 'previous', and there is no stage before it.")
    return (init or PREVIOUS) if place else init


def _cells(group: _Group) -> Iterator[Cell]:
    """The seeds and folds of one run."""
    request, outlines = group.request, group.outlines
    for seed, (place, split) in product(request.seeds, enumerate(outlines[-1].splits)):
        planned = tuple(_planned(outline, place, seed, split.fold) for outline in outlines)
        learns = any(stage.resolved.optim.epochs for stage in planned)
        cell = Cell(
            stages=planned,
            evaluation=group.evaluation,
            key="",
            tunes=None,
            seed=seed,
            folder=Path(),
            device=request.device,
            precision=request.precision,
            devices=request.devices if learns else 1,
            limit=request.limit,
            oracle=request.oracle,
            command=command_of(request, group.chosen, seed=seed, fold=split.fold),
            files=_files(request, planned),
            notes=(
                *_mapped(planned),
                *_random(group, planned),
                *check_leaks(planned),
                *_idle(request, learns=learns),
            ),
            code=group.code,
        )
        key = run_key(cell)
        _check_repeated(request.repeats, cell, key)
        folder = request.runs / _folder(cell) / key[:8] / f"seed{seed}"
        folder = folder if split.fold is None else folder.with_name(f"{folder.name}-fold{split.fold}")
        yield replace(cell, key=key, folder=folder, tunes=_untuned(cell) if request.tune else None)


def _mapped(stages: tuple[Planned, ...]) -> tuple[str, ...]:
    """A note on the joints that a model sees instead of those of the data, and on what that loses."""
    told = (f"joints {loss(mapping)}" for stage in stages for mapping in stage.mappings)
    return tuple(dict.fromkeys(told))


def _random(group: _Group, stages: tuple[Planned, ...]) -> tuple[str, ...]:
    """A note where an encoder is evaluated that never learnt anything."""
    if group.evaluation == "supervised" or any(stage.init is not None for stage in stages):
        return ()
    return (f"{group.evaluation} without --init: the encoder starts from random weights",)


def _idle(request: RunRequest, *, learns: bool) -> tuple[str, ...]:
    """A note where there are processes that have nothing to do."""
    idle = request.devices > 1 and not learns
    return ("nothing is learnt by gradient: one process does all of it",) if idle else ()


def _planned(outline: _Outline, place: int, seed: int, fold: int | None) -> Planned:
    """A stage for one seed and fold."""
    split = outline.splits[place if len(outline.splits) > 1 else 0]
    init = outline.init
    return Planned(
        store=outline.store,
        split=few_labels(outline.store, split, outline.labels, seed),
        resolved=outline.resolved,
        labels=outline.labels,
        init="previous" if init == PREVIOUS else None if init is None else find_source(init, seed, fold),
        head=outline.head,
        freeze=outline.freeze,
        given=outline.given,
        mappings=outline.mappings,
    )


def _untuned(cell: Cell) -> str:
    """Key of the same run on all training data, scored on test."""
    whole = [replace(stage, split=replace(stage.split, carved="")) for stage in cell.stages]
    return run_key(replace(cell, stages=tuple(whole)))


def _settled(record: Record, place: int) -> dict[str, Setting]:
    """The values of a stage of a record, each with the layer and source it has there."""
    return {key: Setting(one.value, one.layer, one.source) for key, one in record.stages[place].values.items()}


def _overrides(given: tuple[str, ...], place: int) -> tuple[str, ...]:
    """The `-o` that hold for a stage: those for all, and those that name it."""
    found = []
    for text in given:
        named = re.match(r"\s*stage\.(\d+)\.(.*)", text, re.DOTALL)
        if named is None or int(named[1]) == place + 1:
            found.append(text if named is None else named[2])
    return tuple(found)


def _check_prefixes(given: tuple[str, ...], count: int) -> None:
    """Refuse an `-o` for a stage that there is not."""
    for text in given:
        named = re.match(r"\s*stage\.(\d{1,6})\.", text)
        if named is not None and not 1 <= int(named[1]) <= count:
            raise RecipeError(f"-o {text}: there are {count} stages, counted from 1.")


def _check_repeated(record: Record | None, cell: Cell, key: str) -> None:
    """Refuse to call another run a repetition; say what differs."""
    if record is None or record.key == key:
        return
    store, split, differs = cell.last.store, cell.split, []
    if record.data[0].fingerprint != store.info.fingerprint:
        differs.append(
            f"the data (fingerprint {store.info.fingerprint[:8]}, recorded {record.data[0].fingerprint[:8]})"
        )
    if record.split.digest != split.digest:
        differs.append(f"the split (digest {split.digest[:8]}, recorded {record.split.digest[:8]})")
    for path, digest in record.files.items():
        if cell.files.get(path) not in (None, digest):
            differs.append(f"the file {path} (digest {cell.files[path][:8]}, recorded {digest[:8]})")
    what = " and ".join(differs) or "a setting"
    raise UsageError(f"This is not the run of the record: {what} differs. To run it nevertheless: {record.command}")


def _files(request: RunRequest, stages: tuple[Planned, ...]) -> dict[str, str]:
    """Digests of the files that the command and its recipe name, by path or name as given."""
    found = {}
    for stage in stages:
        for kind, one in (("model", stage.resolved.model), ("method", stage.resolved.method)):
            if one.plugin.foreign:
                found[stage.given[kind]] = registry.digest(one.plugin)
        if isinstance(stage.init, Source):
            found[stage.init.given] = stage.init.sha256
        for named in (stage.given.get("splits", ""), *_layouts(stage)):
            if named.endswith(".toml"):
                found[named] = _sha256(named)
    if request.repeats is None and is_file(request.recipe):
        found[request.recipe] = _sha256(request.recipe)
    return found if request.repeats is None else {**request.repeats.files, **found}


def _layouts(stage: Planned) -> list[str]:
    """Names or paths of the layouts in a stage's prepare list."""
    steps = [parse_step(step) for step in stage.resolved.data.prepare]
    return [step.arguments[0] for step in steps if step.name == "layout"]


def _sha256(path: str) -> str:
    """SHA-256 of a file that was read before."""
    return hashlib.sha256(Path(path).expanduser().read_bytes()).hexdigest()


def _folder(cell: Cell) -> Path:
    """Where the runs of a pair of model and method on a protocol stand, below the runs folder."""
    resolved = cell.resolved
    streams = "+".join(resolved.data.streams)
    names = (resolved.ask.dataset, resolved.ask.protocol, f"{resolved.model.name}-{resolved.method.name}-{streams}")
    return Path(*(re.sub(r"[^\w.+-]", "_", name).lstrip(".") or "_" for name in names))
