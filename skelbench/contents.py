"""What a store holds, in numbers for people: lengths, balance of classes, people, missing joints."""

from itertools import pairwise
from typing import Any

import numpy as np

from skelbench.store.reader import Store
from skelbench.survey import GONE, METRES, Survey


def contents(store: Store, found: Survey) -> dict[str, Any]:
    """Sum a survey up.

    Args:
        store: The store.
        found: Its survey.

    Returns:
        Plain values, ready for JSON: `lengths` (frames of a sample), `hours`, `person` (how long people are, in metres
        or the unit of the image), `without` (joints that are there without a channel) and tables: `persons_per_frame`,
        `missing_by_frame` (frames by how much of their people is missing), `missing_by_time` (tenths of a clip),
        `missing_by_joint` and `class_balance` (samples and missing joints of each class). Missing is a share of the
        joints of poses; a joint is missing where no channel says where it is.
    """
    table = store.table
    poses = table["n_poses"].to_numpy()
    frames = table["n_frames"].to_numpy()
    return {
        "lengths": _spread(frames),
        "hours": round(float(frames.sum()) / store.card.fps / 3600, 3),
        "person": _person(store, found),
        "missing": _share(int(found.missing.sum()), int(poses.sum()) * found.missing.shape[1]),
        "without": _without(store, found),
        "persons_per_frame": _persons(found),
        "missing_by_frame": _frames(found),
        "missing_by_time": [
            {"clip": f"{10 * tenth} to {10 * tenth + 10} %", "missing": _share(int(gone), int(of))}
            for tenth, (gone, of) in enumerate(found.tenths.tolist())
        ],
        "missing_by_joint": [
            {"joint": joint, "missing": _share(int(gone), int(poses.sum()))}
            for joint, gone in zip(store.card.layout.joints, found.missing.sum(0), strict=True)
        ],
        "class_balance": [row for name in store.card.targets for row in _classes(store, found, name, poses)],
    }


def class_places(store: Store, target: str) -> list[np.ndarray]:
    """The places of each class's samples, in label order; of several classes a sample counts for each."""
    values, card = store.table[target].to_numpy(), store.card.targets[target]
    if card.kind == "multi":
        known = np.array([*values], np.int8).reshape(len(values), -1 if len(values) else len(card.classes))
        return [np.flatnonzero(known[:, place] == 1) for place in range(len(card.classes))]
    order = np.argsort(values, kind="stable")
    bounds = np.searchsorted(values[order], np.arange(len(card.classes) + 1))
    return [order[start:stop] for start, stop in pairwise(bounds.tolist())]


def _classes(store: Store, found: Survey, target: str, poses: np.ndarray) -> list[dict[str, Any]]:
    """Samples and missing joints of each class of a target; none for scores."""
    if store.card.targets[target].kind == "score":
        return []
    gone, of = found.missing.sum(1), poses * found.missing.shape[1]
    return [
        {
            "target": target,
            "class": name,
            "samples": len(places),
            "missing": _share(int(gone[places].sum()), int(of[places].sum())),
        }
        for name, places in zip(store.card.targets[target].classes, class_places(store, target), strict=True)
    ]


def _persons(found: Survey) -> list[dict[str, Any]]:
    """Frames by how many people are in them."""
    total = sum(found.persons.values())
    return [
        {"persons": count, "frames": frames, "share": _share(frames, total)}
        for count, frames in sorted(found.persons.items())
    ]


def _frames(found: Survey) -> list[dict[str, Any]]:
    """Frames with people by how many of their joints are missing."""
    limits = [f"{100 * limit:.0f} %" for limit in GONE]
    between = [f"{low} to {high}" for low, high in pairwise(limits)]
    names = ["none", f"up to {limits[1]}", *between[1:-1], f"over {limits[-2]}", "all"]
    total = int(found.frames.sum())
    return [
        {"joints missing": name, "frames": frames, "share": _share(frames, total)}
        for name, frames in zip(names, found.frames.tolist(), strict=True)
    ]


def _without(store: Store, found: Survey) -> dict[str, float]:
    """By channel, the share of the joints that are there of which it says nothing; channels that always do left out."""
    poses = int(store.table["n_poses"].sum())
    there = poses * found.missing.shape[1] - int(found.missing.sum())
    shares = {
        name: _share(int(lost), there) for name, lost in zip(store.card.channels, found.silent.sum(0), strict=True)
    }
    return {name: share for name, share in shares.items() if share}


def _person(store: Store, found: Survey) -> str:
    """How long people are."""
    unit = store.card.units.get("x", "")
    if np.isfinite(found.size).any():
        known = found.size[np.isfinite(found.size)] * METRES.get(unit, 1.0)
        low, middle, high = np.percentile(known, (5, 50, 95))
        return f"{low:.2f} to {high:.2f} {'m' if unit in METRES else unit}, median {middle:.2f}"
    if np.isfinite(found.image_size).any():
        low, middle, high = np.percentile(found.image_size[np.isfinite(found.image_size)], (5, 50, 95))
        return f"{low:.4g} to {high:.4g} {store.card.units['u']}, median {middle:.4g}"
    return ""


def _spread(values: np.ndarray) -> dict[str, int | float]:
    """Least, median, mean and most."""
    if not len(values):
        return {}
    return {
        "least": int(values.min()),
        "median": float(np.median(values)),
        "mean": round(float(values.mean()), 1),
        "most": int(values.max()),
    }


def _share(part: int, of: int) -> float | None:
    """A share to four decimals; None of nothing."""
    return round(part / of, 4) if of else None
