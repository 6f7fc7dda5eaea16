"""The targets of a part, as batches carry them, and the task they make."""

from typing import Literal

import numpy as np

from skelbench.data.types import Items, Task
from skelbench.split import Split
from skelbench.store.reader import Store


def part_items(store: Store, split: Split, part: Literal["train", "test"]) -> Items:
    """Read the ids and targets of one part.

    Args:
        store: The store on which the split was resolved.
        split: The split.
        part: Which part.

    Returns:
        Ids and targets in the order of the part: labels re-indexed as the protocol says; several labels as one
        column a class with NaN where unknown; scores as they are; of frames a bit for each class.
    """
    places = np.array(getattr(split, part), np.int64)
    if split.protocol.frames:
        ids = tuple(store.ids[place] for place in places.tolist())
        return Items(ids, _of_frames(store, split, places), "frame", len(split.classes))
    kind = store.card.targets[split.target].kind
    column = store.table[split.target].iloc[places]
    if kind == "single":
        new = np.full(max(split.index, default=-1) + 1, -1)
        new[list(split.index)] = list(split.index.values())
        target = new[column.to_numpy(np.int64)]
    elif kind == "multi":
        known = np.array([*column], np.float32).reshape(len(places), -1)[:, list(split.index)]
        target = np.where(known < 0, np.float32(np.nan), known)
    else:
        target = column.to_numpy(np.float32)
    ids = store.ids
    return Items(tuple(ids[place] for place in places), target, kind)


def task_of(split: Split, train: Items) -> Task:
    """Say what is to be predicted.

    Args:
        split: The split.
        train: Targets of the training part.

    Returns:
        The task, with the training samples of each class.
    """
    counts = np.zeros(0)
    if train.kind == "single":
        counts = np.bincount(train.target, minlength=len(split.classes)).astype(float)
    elif train.kind == "multi":
        counts = np.nansum(train.target, axis=0)
    elif train.kind == "frame":
        occurs = [np.unpackbits(np.bitwise_or.reduce(bits, axis=0, dtype=np.uint8)) for bits in train.target]
        counts = np.sum(occurs, axis=0, dtype=float)[: len(split.classes)]
    return Task(train.kind, split.classes, tuple(int(count) for count in counts))


def _of_frames(store: Store, split: Split, places: np.ndarray) -> np.ndarray:
    """The classes of every frame of some samples, from their segments."""
    found = np.empty(len(places), object)
    for number, place in enumerate(places.tolist()):
        sample = store[place]
        on = np.zeros((sample.n_frames, len(split.classes)), bool)
        for start, end, label in sample.segments:
            if label in split.index:
                on[start:end, split.index[label]] = True
        found[number] = np.packbits(on, axis=1)
    return found
