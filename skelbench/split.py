"""Splits: protocols read from TOML and resolved on a store, with leaks and counts checked."""

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from skelbench.card import explain
from skelbench.errors import CardError, LeakError, SplitError, UsageError, nearest
from skelbench.protocols import ListFiles, OfficialCounts, ProtocolCard, Rule, SplitFile, own_protocol
from skelbench.registry import find
from skelbench.store.reader import Store
from skelbench.toml import read_toml

if TYPE_CHECKING:
    import pandas as pd

_LEAKS = ("subject", "take")  # columns whose sharing is worth a word even where a protocol allows it
_LARGEST_LIST = 256 << 20  # bytes of ids; more is not a list of samples
_NAMED = 5  # values that a message names before it counts


@dataclass(frozen=True)
class Split:
    """A protocol resolved on a store."""

    dataset: str
    name: str  # of the protocol
    protocol: ProtocolCard
    target: str
    classes: tuple[str, ...]  # in the protocol's order; empty for a score
    index: Mapping[int, int]  # label in the store -> label of the protocol
    train: tuple[int, ...]  # places in the store, ascending
    test: tuple[int, ...]
    left_out: int  # samples in neither part
    digest: str  # SHA-256 of protocol, target, classes and the ids of both parts, or of all folds
    official: tuple[str, ...]  # differences from the official counts, in words
    notes: tuple[str, ...]  # who was left out, and what the parts share by design
    fold: int | None = None  # which part of a cross-validation is scored; None for a fixed split
    folds: int | None = None  # how many there are
    carved: str = ""  # how `test` was cut out of the training part instead; empty where it is the test part


def load_protocols(name_or_path: str) -> dict[str, ProtocolCard]:
    """Read the protocols of a data set.

    Args:
        name_or_path: A file of `splits/` by name, or a path.

    Returns:
        Protocols by name, the default first.

    Raises:
        UsageError: If there is no such file, with the nearest name.
        CardError: If the file is not TOML or does not say what it must.
    """
    return _read(find("splits", name_or_path).toml)


def store_protocols(store: Store, splits: str | None = None) -> dict[str, ProtocolCard]:
    """The protocols of a store.

    Args:
        store: The data set.
        splits: Name or path of a split file; None for the file named as the set, or where there is none for what
            `[options.splits]` of the store's own card say.

    Returns:
        Protocols by name, the default first.

    Raises:
        UsageError: If there is neither, with the nearest name.
        CardError: If the file or the card does not say what it must.
    """
    return _protocols(store, splits)[0]


def resolve(store: Store, protocol: str | None = None, *, splits: str | None = None, fold: int | None = None) -> Split:
    """Find the parts of a protocol in a store.

    Args:
        store: The data set.
        protocol: Name of the protocol; None for the file's first.
        splits: Name or path of the split file; None for the file named as the set.
        fold: The fold that is scored, counted from 0; None for the first, or where there is one fixed split.

    Returns:
        The split. Samples of other classes and without a label are in neither part.

    Raises:
        UsageError: If there is no such file, protocol or fold, with the nearest name.
        CardError: If the file does not say what it must.
        SplitError: If the protocol does not hold on this store: it is a part of a conversion, a column,
            target or class is missing, the parts share a sample or what they must not, or one is empty.
    """
    _refuse_part(store)
    protocols, folder = _protocols(store, splits)
    name = protocol or next(iter(protocols))
    if name not in protocols:
        raise UsageError(f"No protocol '{name}' of '{store.info.name}'. {nearest(name, protocols)}")
    card = protocols[name]
    where = f"{store.info.name} {name}"
    target, classes, index = _labels(store, card, where)
    groups = _groups(store, card, where)
    fold = _fold(fold, len(groups), where)
    masks, notes = _parts(store, card, where, folder) if fold is None else _folded(store, card, groups, fold, where)
    parts, more = _labelled(store, card, where, masks)
    train, test = (tuple(np.flatnonzero(parts[part]).tolist()) for part in ("train", "test"))
    content = [[str(value) for value in group] for group in groups] or [_ids(store, part) for part in (train, test)]
    if groups:  # of all folds, so that the digest is the same for each
        content.append(_ids(store, _in_any_fold(store, card, groups, where)))
    return Split(
        dataset=store.info.name,
        name=name,
        protocol=card,
        target=target,
        classes=classes,
        index=index,
        train=train,
        test=test,
        left_out=len(store) - len(train) - len(test),
        digest=_digest(name, target, classes, content),
        official=_differences(None if store.info.origin.synthetic else card.official, len(train), len(test)),
        notes=(*notes, *more),
        fold=fold,
        folds=len(groups) or None,
    )


def _refuse_part(store: Store) -> None:
    """A part of a conversion is no set: what is missing would be left out of training and test unseen."""
    shard = store.info.origin.shard
    if shard is not None:
        joins = f"`skelbench convert {store.info.origin.converter} --merge` joins all of them into the set."
        raise SplitError(f"{store.path} is part {shard.part} of {shard.of} of {store.info.name}: {joins}")


def resolve_folds(store: Store, protocol: str | None = None, *, splits: str | None = None) -> tuple[Split, ...]:
    """Find the parts of every fold of a protocol; see `resolve`.

    Returns:
        A split for each fold in order; the one split where there are no folds.
    """
    first = resolve(store, protocol, splits=splits)
    others = range(1, first.folds or 1)
    return first, *(resolve(store, protocol, splits=splits, fold=fold) for fold in others)


def _read(path: Path) -> dict[str, ProtocolCard]:
    """The protocols of a file."""
    try:
        return SplitFile.model_validate(read_toml(path)).protocols
    except ValidationError as error:
        raise CardError(f"{path}: {explain(error, SplitFile)}") from error


def _protocols(store: Store, splits: str | None) -> tuple[dict[str, ProtocolCard], Path]:
    """The protocols of a store, and the folder of their lists."""
    own = store.card.options.get("splits")
    if splits is None and isinstance(own, dict) and own:
        return {name: own_protocol(store.card, name, rule) for name, rule in own.items()}, store.path
    path = find("splits", splits or store.info.name).toml
    return _read(path), path.parent


def _labels(store: Store, card: ProtocolCard, where: str) -> tuple[str, tuple[str, ...], dict[int, int]]:
    """The target, its classes in the protocol's order, and which label becomes which."""
    targets = store.card.targets
    target = card.target or next(iter(targets))
    if target not in targets:
        raise SplitError(f"{where}: the set has no target '{target}'. {nearest(target, targets)}")
    known = targets[target].classes
    for name in card.classes:
        if name not in known:
            raise SplitError(f"{where}: the target '{target}' has no class '{name}'. {nearest(name, known)}")
    classes = card.classes or known
    return target, classes, {known.index(name): place for place, name in enumerate(classes)}


def _labelled(
    store: Store, card: ProtocolCard, where: str, parts: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Of the parts, the samples that have a label among the classes; what was left out and what the parts share."""
    target, _, index = _labels(store, card, where)
    labelled, of_class = _usable(store.table[target], store.card.targets[target].kind, index)
    clash = parts["train"] & parts["test"]
    if clash.any():
        raise LeakError(f"{where}: {_some(store, clash)} in both parts.")
    notes = _left_out(parts["train"] | parts["test"], labelled, of_class)
    kept = {part: mask & labelled & of_class for part, mask in parts.items()}
    _check_filled(store, card, where, kept)
    return kept, notes + _check_shared(store.table, card, where, kept)


def _usable(labels: "pd.Series[Any]", kind: str, index: Mapping[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Which samples have a label, and which of these one that the protocol counts."""
    if kind == "score":
        return labels.notna().to_numpy(), np.ones(len(labels), bool)
    if kind == "multi":
        known = np.array([*labels], np.int8).reshape(len(labels), -1 if len(labels) else max(index) + 1) >= 0
        return np.asarray(known.any(1)), np.asarray(known[:, list(index)].any(1))
    values = labels.fillna(-1).to_numpy(np.int64)
    return values >= 0, np.isin(values, list(index))


def _parts(store: Store, card: ProtocolCard, where: str, folder: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    """Who stands in each part by rule or list, whatever the labels."""
    if card.list is not None:
        return _listed(store, card.list, where, folder)
    rules = {"train": card.train, "test": card.test}
    parts = {part: _matches(store, rule, f"{where}, {part}") for part, rule in rules.items() if isinstance(rule, dict)}
    for part, other in (("train", "test"), ("test", "train")):
        if part not in parts:
            parts[part] = ~parts[other]
    return parts, []


def _groups(store: Store, card: ProtocolCard, where: str) -> list[tuple[int | str, ...]]:
    """The values of each fold: those named, else all there are, in their order, dealt out one after the other."""
    if card.folds is None:
        return []
    folds, table = card.folds, store.table
    _check_column(table, folds.by, where)
    narrowed = _narrowed(store, card, where)
    values = table.loc[narrowed["train"] | narrowed["test"], folds.by]
    there: list[int | str] = sorted(values.dropna().unique().tolist())
    if folds.groups:
        strange = sorted({value for group in folds.groups for value in group} - set(there), key=str)
        if strange:
            raise SplitError(f"{where}: no sample has the {folds.by} {_values(strange)} that a fold names.")
        return [*folds.groups]
    count = len(there) if folds.count is None else folds.count
    if len(there) < max(count, 2):
        raise SplitError(f"{where}: {_count(len(there), folds.by)} for {max(count, 2)} folds. Convert the rest.")
    return [tuple(there[place::count]) for place in range(count)]


def _narrowed(store: Store, card: ProtocolCard, where: str) -> dict[str, np.ndarray]:
    """The samples that a protocol of folds may train and score: all, or those of its rules."""
    rules = {"train": card.train, "test": card.test}
    return {
        part: _matches(store, rule, f"{where}, {part}") if isinstance(rule, dict) else np.ones(len(store), bool)
        for part, rule in rules.items()
    }


def _fold(wanted: int | None, count: int, where: str) -> int | None:
    """The fold that is scored: the first where none is named, None where there are none."""
    if wanted is not None and not 0 <= wanted < count:
        there = f"are the folds 0 to {count - 1}" if count else "is one fixed split"
        raise UsageError(f"{where}: no fold {wanted}; there {there}.")
    return (wanted or 0) if count else None


def _folded(
    store: Store, card: ProtocolCard, groups: Sequence[Sequence[int | str]], fold: int, where: str
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Who stands in each part of one fold."""
    by = card.folds.by if card.folds else ""
    column, narrowed = store.table[by], _narrowed(store, card, where)
    others = [value for place, group in enumerate(groups) if place != fold for value in group]
    parts = {
        "test": column.isin(list(groups[fold])).to_numpy(bool) & narrowed["test"],
        "train": column.isin(others).to_numpy(bool) & narrowed["train"],
    }
    return parts, [f"fold {fold} of {len(groups)}, by {by}: {_values(groups[fold])}"]


def _in_any_fold(
    store: Store, card: ProtocolCard, groups: Sequence[Sequence[int | str]], where: str
) -> tuple[int, ...]:
    """Places of the labelled samples that some fold trains or scores."""
    parts = [_folded(store, card, groups, fold, where)[0] for fold in range(len(groups))]
    target, _, index = _labels(store, card, where)
    labelled, of_class = _usable(store.table[target], store.card.targets[target].kind, index)
    either = np.any([mask for part in parts for mask in part.values()], axis=0)
    return tuple(np.flatnonzero(either & labelled & of_class).tolist())


def _matches(store: Store, rule: Rule, where: str) -> np.ndarray:
    """Which samples have one of the values in every column of a rule; a target goes by the names of its classes."""
    table = store.table
    mask = np.ones(len(table), bool)
    for column, named in rule.items():
        values = _codes(store, column, named, where) if column in store.card.targets else named
        _check_column(table, column, where)
        text = {isinstance(value, str) for value in values}
        holds_text = table[column].dtype.kind not in "iufb"
        if text and text != {holds_text}:
            kinds = {True: "text", False: "numbers"}
            raise SplitError(
                f"{where}: the column '{column}' holds {kinds[holds_text]}, the rule names "
                f"{' and '.join(kinds[kind] for kind in sorted(text))}: {_values(values)}."
            )
        mask &= table[column].isin(list(values)).to_numpy(bool)
    return mask


def _codes(store: Store, target: str, values: Iterable[int | str], where: str) -> tuple[int | str, ...]:
    """The labels of the classes that a rule names."""
    known = store.card.targets[target].classes
    if store.card.targets[target].kind != "single":
        raise SplitError(f"{where}: a rule names the target '{target}', of which a sample has no single class.")
    for name in values:
        if name not in known:
            raise SplitError(f"{where}: the target '{target}' has no class '{name}'. {nearest(str(name), known)}")
    return tuple(known.index(str(name)) for name in values)


def _listed(store: Store, lists: ListFiles, where: str, folder: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    """Who stands in the list of each part."""
    places = {name: place for place, name in enumerate(store.ids)}
    parts, notes = {}, []
    for part, name in (("train", lists.train), ("test", lists.test)):
        wanted = _read_list(folder, name, where)
        found = [places[sample_id] for sample_id in wanted if sample_id in places]
        parts[part] = np.zeros(len(store), bool)
        parts[part][found] = True
        if len(found) < len(wanted):
            notes.append(f"{part}: {len(found):,} of the {len(wanted):,} samples of {name} are in the store")
    return parts, notes


def _read_list(folder: Path, name: str, where: str) -> list[str]:
    """The ids of a list file."""
    if name != Path(name).name or not name.endswith(".txt.gz"):
        raise CardError(f"{where}: the list '{name}' must be the name of a .txt.gz file beside the split's TOML.")
    path = folder / name
    try:
        with gzip.open(path) as file:
            text = file.read(_LARGEST_LIST + 1)
        if len(text) > _LARGEST_LIST:
            raise CardError(f"{path}: more than {_LARGEST_LIST >> 20} MB of ids.")
        ids = [line for line in text.decode().splitlines() if line]
    except FileNotFoundError as error:
        raise CardError(f"{where}: no list {path}.") from error
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise CardError(f"{path}: not a gzipped list of ids: {error}") from error
    if len(set(ids)) < len(ids):
        twice = next(one for one, other in zip(sorted(ids), sorted(ids)[1:], strict=False) if one == other)
        raise CardError(f"{path}: '{twice}' stands in it twice.")
    return ids


def _check_filled(store: Store, card: ProtocolCard, where: str, parts: Mapping[str, np.ndarray]) -> None:
    """Neither part may be empty; say what the store has instead."""
    for part, mask in parts.items():
        if mask.any():
            continue
        rules = [rule for rule in (card.train, card.test) if isinstance(rule, dict)]
        held = [
            f"{column} {_values(sorted(store.table[column].dropna().unique().tolist()))}"
            for column in sorted({column for rule in rules for column in rule})
        ]
        found = f"The store has {', '.join(held)}." if held and len(store) else f"The store has {len(store)} samples."
        raise SplitError(f"{where}: no sample for {part}. {found} Convert the rest of the set, or choose another.")


def _check_shared(table: "pd.DataFrame", card: ProtocolCard, where: str, parts: Mapping[str, np.ndarray]) -> list[str]:
    """Refuse what the parts must not share; note what else they do."""
    notes = []
    for column in card.disjoint:
        _check_column(table, column, where)
    for column in dict.fromkeys((*card.disjoint, *(name for name in _LEAKS if name in table))):
        train, test = (set(table.loc[parts[part], column].dropna().unique().tolist()) for part in ("train", "test"))
        shared = train & test
        if shared and column in card.disjoint:
            raise LeakError(f"{where}: the parts share {column} {_values(sorted(shared))}, which they must not.")
        if shared:
            notes.append(f"the parts share {_count(len(shared), column)}")
    return notes


def _check_column(table: "pd.DataFrame", column: str, where: str) -> None:
    """Refuse a column that the store lacks."""
    if column not in table:
        raise SplitError(f"{where}: the store has no column '{column}'. {nearest(column, map(str, table.columns))}")


def _left_out(either: np.ndarray, labelled: np.ndarray, of_class: np.ndarray) -> list[str]:
    """Why samples are in neither part."""
    counts = {
        "that no part names": ~either,
        "without a label": either & ~labelled,
        "of classes that the protocol leaves out": either & labelled & ~of_class,
    }
    return [f"left out: {_count(int(mask.sum()), 'sample')} {why}" for why, mask in counts.items() if mask.any()]


def _differences(official: OfficialCounts | None, train: int, test: int) -> tuple[str, ...]:
    """Where the counts differ from the official ones, in words."""
    if official is None:
        return ()
    pairs = (("train", train, official.train), ("test", test, official.test))
    return tuple(
        f"{part} {found:,} of {wanted:,}: the store {'is partial' if found < wanted else 'holds more'}"
        for part, found, wanted in pairs
        if found != wanted
    )


def _ids(store: Store, places: Iterable[int]) -> list[str]:
    """The ids at some places."""
    ids = store.ids
    return [ids[place] for place in places]


def _digest(name: str, target: str, classes: Sequence[str], parts: Sequence[Sequence[str]]) -> str:
    """SHA-256 over what decides the parts and their labels."""
    content = json.dumps([name, target, list(classes), *(sorted(part) for part in parts)])
    return hashlib.sha256(content.encode()).hexdigest()


def _some(store: Store, mask: np.ndarray) -> str:
    """The ids of some samples, for a message."""
    places = np.flatnonzero(mask)
    return f"{_count(len(places), 'sample')} ({_values(_ids(store, places[: _NAMED + 1].tolist()))})"


def _values(values: Sequence[object]) -> str:
    """Some values, for a message."""
    return ", ".join(map(str, values[:_NAMED])) + (", ..." if len(values) > _NAMED else "")


def _count(number: int, noun: str) -> str:
    """A number of things, in words."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
