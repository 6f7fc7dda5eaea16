"""Parts of a training part: what `--limit` leaves, few labels, and the validation part that `--tune` cuts out."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from skelbench.errors import SplitError
from skelbench.limit import spread
from skelbench.split import Split
from skelbench.store.reader import Store

VALIDATION = 0.2  # least share of the training part that is cut out
CARVED_BY = ("subject", "take")  # whose values a validation part never shares with what is left; the first that can


def limited(store: Store, split: Split, limit: int | None) -> Split:
    """Thin both parts.

    Args:
        store: The data set.
        split: Its parts.
        limit: Samples a part, spread over target, subject and camera; None for all.

    Returns:
        The split with fewer samples; its digest is that of the whole.
    """
    if limit is None:
        return split
    columns = [name for name in (split.target, "subject", "camera") if name in store.table.columns]
    rows: list[dict[Any, Any]] = store.table[columns].astype(str).to_dict("records")
    parts = []
    for part in (split.train, split.test):
        places = {store.ids[place]: place for place in part}
        picked = spread({name: rows[place] for name, place in places.items()}, columns)[:limit]
        parts.append(tuple(sorted(places[name] for name in picked)))
    return replace(split, train=parts[0], test=parts[1])


def few_labels(store: Store, split: Split, share: float | None, seed: int) -> Split:
    """Keep a share of the training part, the same share of every class.

    For one seed a smaller share is contained in every larger one: each sample has a place in its class, by a digest
    of seed and id, and the first ones are kept.

    Args:
        store: The data set.
        split: Its parts.
        share: From above 0 to 1; None for all.
        seed: Of the run.

    Returns:
        The split with a smaller training part: of every class the share, rounded half up, and at least one sample.
        Of several classes a sample counts to its rarest; a score makes no classes.
    """
    if share is None or share == 1:
        return split
    ids, kept = store.ids, []
    for places in _strata(store, split):
        order = sorted(places, key=lambda place: _mixed(f"labels/{seed}", ids[place]))
        kept += order[: max(1, int(share * len(order) + 0.5))]
    return replace(split, train=tuple(sorted(kept)))


def carve(store: Store, split: Split) -> Split:
    """Cut a validation part out of the training part and put it in the place of the test part.

    It is the same for all seeds and settings, so that these are compared on the same samples: whole subjects, taken
    in the order of a digest until they make up a fifth; whole takes where there are not two subjects; else a fifth of
    each class. No class loses all its training samples. The test part is in neither.

    Args:
        store: The data set.
        split: Its parts.

    Returns:
        The split, `carved` saying how.

    Raises:
        SplitError: If the training part is too small to give anything away.
    """
    strata = list(_strata(store, split))
    for column in CARVED_BY:
        if column not in store.table.columns:
            continue
        values = store.table[column].iloc[list(split.train)].astype(str).to_numpy()
        groups = {value: [*np.array(split.train)[values == value].tolist()] for value in np.unique(values).tolist()}
        chosen = _whole_groups(groups, strata, f"validation/{column}", VALIDATION * len(split.train))
        if chosen:
            held = [place for value in chosen for place in groups[value]]
            return _with(split, held, f"{column} {', '.join(sorted(chosen, key=_natural))}")
    held = [place for places in strata for place in _fifth(store, places)]
    if not held:
        raise SplitError(
            f"{split.dataset} {split.name}: {len(split.train)} training samples, too few to cut a validation part out."
        )
    return _with(split, held, f"{VALIDATION:.0%} of each class")


def _whole_groups(groups: dict[str, list[int]], strata: Sequence[Sequence[int]], key: str, wanted: float) -> list[str]:
    """Groups that make up what is wanted, so that something of every class is left; empty where that cannot be."""
    stratum = {place: number for number, places in enumerate(strata) for place in places}
    left = np.array([len(places) for places in strata])
    chosen: list[str] = []
    for value in sorted(groups, key=lambda value: _mixed(key, value)):
        taken = np.bincount([stratum[place] for place in groups[value]], minlength=len(left))
        if len(chosen) + 1 < len(groups) and not ((taken > 0) & (taken >= left)).any():
            left = left - taken
            chosen.append(value)
            wanted -= len(groups[value])
        if wanted <= 0:
            return chosen
    return []


def _fifth(store: Store, places: Sequence[int]) -> list[int]:
    """A fifth of the samples of a class, at least one where two are there."""
    order = sorted(places, key=lambda place: _mixed("validation", store.ids[place]))
    return order[: min(len(order) - 1, max(1, int(VALIDATION * len(order) + 0.5)))]


def _with(split: Split, held: Sequence[int], how: str) -> Split:
    """The split with a validation part in the place of the test part."""
    chosen = set(held)
    train = tuple(place for place in split.train if place not in chosen)
    told = f"validation: {how} of the training part, {len(held)} of {len(split.train)} samples"
    return replace(split, train=train, test=tuple(sorted(held)), carved=told, official=(), notes=(*split.notes, told))


def _strata(store: Store, split: Split) -> Iterator[list[int]]:
    """The training part, class by class."""
    column, kind = store.table[split.target], store.card.targets[split.target].kind
    places = np.array(split.train, np.int64)
    if kind == "single":
        labels = column.iloc[places].to_numpy(np.int64)
    elif kind == "multi":
        known = np.array([*column.iloc[places]], np.int64).reshape(len(places), -1)[:, list(split.index)] == 1
        rarity = np.argsort(np.argsort(known.sum(0), kind="stable"), kind="stable")
        labels = np.where(known, rarity, known.shape[1]).min(1)
    else:
        labels = np.zeros(len(places), np.int64)
    for label in np.unique(labels).tolist():
        yield places[labels == label].tolist()


def _mixed(key: str, value: str) -> bytes:
    """A number that stands in no relation to what it is made from."""
    return hashlib.sha256(f"{key}\0{value}".encode("utf-8", "surrogatepass")).digest()


def _natural(value: str) -> tuple[int, str]:
    """An order in which 9 comes before 10."""
    return len(value), value
