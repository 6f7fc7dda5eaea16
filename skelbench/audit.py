"""Whether the content of a store makes sense: splits, doubles, units, people. Its bytes are `store.verify`'s.

An *error* is what makes numbers measured on the store wrong: parts of a protocol that share what they must not, or a
set whose people cannot have the size that its unit says. A *remark* is what real recordings have and their users
should know: clips without a pose, the same recording under two ids, classes that a part lacks.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from skelbench import registry
from skelbench.crew import Crew
from skelbench.errors import CardError, LeakError, SplitError, UsageError
from skelbench.split import Split, resolve_folds, store_protocols
from skelbench.store.reader import Store, open_store
from skelbench.store.schema import INFO, SAMPLES
from skelbench.store.verify import verify_store
from skelbench.survey import METRES, Survey, survey

PERSON = (0.5, 2.5)  # metres that a person measures along the longest axis
_BEYOND = 4.0  # factor beyond these from which on it is the unit that is wrong: wrong units are off by ten and more
_DOUBLES = 5  # groups of doubles that are named
_NAMED = 3  # samples, classes or joints in a finding
_SMALL = 2.0  # pixels: a person is larger, or the coordinates are shares of the image
_MOSTLY = 0.5  # share of joints outside the image from which on a clip does not fit it
_AT_ZERO = 0.01  # share of joints at zero that is worth a word


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth knowing."""

    level: Literal["error", "remark"]
    file: str  # name within the store
    problem: str  # a sentence


def audit(path: Path, helpers: Crew | None = None, progress: Callable[[int], None] = lambda _: None) -> list[Finding]:
    """Check a store: first its bytes and ranges, then, where these are sound, what they say.

    Args:
        path: The store.
        helpers: Other processes, which then read parts of it.
        progress: Called with the number of bytes read since the last call.

    Returns:
        Errors, then remarks; a sound store may have remarks.

    Raises:
        StoreError: If the folder is no store at all.
        OSError: If a file cannot be read.
    """
    broken = [Finding("error", one.file, one.problem) for one in verify_store(path, progress, helpers)]
    if broken:
        return broken
    store = open_store(path)
    found = survey(path, helpers)
    splits = dict(_splits(store))
    resolved = [split for some in splits.values() if not isinstance(some, Finding) for split in some]
    findings = [
        *_split_findings(store, splits),
        *_label_findings(store),
        *_unit_findings(store, found),
        *_people_findings(store, found),
        *_double_findings(store, found, resolved),
    ]
    return sorted(findings, key=lambda finding: finding.level != "error")


def _splits(store: Store) -> Iterator[tuple[str, tuple[Split, ...] | Finding]]:
    """Every protocol of the store, resolved, or why it is not."""
    if store.info.origin.shard is not None:
        return
    own = "splits" in store.card.options
    try:
        names = list(store_protocols(store)) if own or store.info.name in registry.names("splits") else []
    except (CardError, UsageError) as error:
        yield "", Finding("error", INFO, str(error))
        return
    for name in names:
        try:
            yield name, resolve_folds(store, name)
        except LeakError as error:
            yield name, Finding("error", SAMPLES, str(error))
        except (SplitError, CardError) as error:  # a limited or partial store has no sample for a part
            yield name, Finding("remark", SAMPLES, str(error))


def _split_findings(store: Store, splits: dict[str, tuple[Split, ...] | Finding]) -> Iterator[Finding]:
    """Protocols that do not resolve, counts, sharing, and classes that a part lacks."""
    for name, found in splits.items():
        if isinstance(found, Finding):
            yield found
            continue
        first = found[0]
        for note in (*first.official, *(note for note in first.notes if "share" in note)):
            yield Finding("remark", SAMPLES, f"protocol {name}: {note}")
        for part in ("train", "test"):
            lacking = _lacking(store, found, part)
            if lacking:
                where = f"{part} of protocol {name}" if len(found) == 1 else f"{part} of some fold of protocol {name}"
                yield Finding("remark", SAMPLES, f"{len(lacking)} classes have no sample in {where}: {_some(lacking)}")


def _lacking(store: Store, splits: Sequence[Split], part: str) -> list[str]:
    """Classes of a protocol that no sample of a part has."""
    lacking: set[str] = set()
    for split in splits:
        if not split.classes:
            continue
        there = _labels_at(store, split.target, np.array(getattr(split, part), np.int64))
        lacking |= {split.classes[place] for label, place in split.index.items() if label not in there}
    known = splits[0].classes
    return sorted(lacking, key=known.index)


def _labels_at(store: Store, target: str, places: np.ndarray) -> set[int]:
    """The labels that occur at some places."""
    values = store.table[target].to_numpy()[places]
    if store.card.targets[target].kind == "multi":
        return {int(label) for row in values for label in np.flatnonzero(np.asarray(row) == 1)}
    return {int(label) for label in np.unique(values.astype(np.int64))}


def _label_findings(store: Store) -> Iterator[Finding]:
    """Classes without a sample, and samples without a label."""
    for name, target in store.card.targets.items():
        if target.kind == "score" or not len(store):
            continue
        there = _labels_at(store, name, np.arange(len(store)))
        empty = [one for place, one in enumerate(target.classes) if place not in there]
        if empty:
            yield Finding("remark", SAMPLES, f"target '{name}': no sample of {len(empty)} classes: {_some(empty)}")
        if -1 in there:
            unlabelled = np.flatnonzero(store.table[name].to_numpy() == -1)
            yield Finding("remark", SAMPLES, f"target '{name}': unlabelled: {_samples(store, unlabelled)}")


def _unit_findings(store: Store, found: Survey) -> Iterator[Finding]:
    """Whether people have the size that the unit says, all together and each."""
    card = store.card
    unit = METRES.get(card.units.get("x", ""))
    if unit is not None:
        sizes = found.size * unit
        typical = float(np.nanmedian(sizes)) if np.isfinite(sizes).any() else 1.0
        low, high = PERSON
        if not low <= typical <= high:
            reason = f"a person measures {typical:.3g} m, expected {low} to {high} m: is the unit {card.units['x']}?"
            wrong = not low / _BEYOND <= typical <= high * _BEYOND
            yield Finding("error" if wrong else "remark", INFO, f"units: {reason}")
        else:
            strange = np.flatnonzero((sizes < low) | (sizes > high))
            if len(strange):
                where = _samples(store, strange)
                yield Finding("remark", SAMPLES, f"people of less than {low} m or more than {high} m: {where}")
    if card.units.get("u") == "pixel":
        typical = float(np.nanmedian(found.image_size)) if np.isfinite(found.image_size).any() else _SMALL
        if typical < _SMALL:
            yield Finding(
                "error", INFO, f"units: a person measures {typical:.3g} pixels: are these shares of the image?"
            )
    strange = np.flatnonzero(found.outside > _MOSTLY)
    if len(strange):
        most = 2 * len(strange) > np.isfinite(found.outside).sum()
        level: Literal["error", "remark"] = "error" if most else "remark"
        yield Finding(level, SAMPLES, f"most joints lie outside the image: {_samples(store, strange)}")


def _people_findings(store: Store, found: Survey) -> Iterator[Finding]:
    """Clips without poses, joints that are never there, zeros in place of missing ones, too many people."""
    joints = store.card.layout.joints
    poses = store.table["n_poses"].to_numpy()
    for mask, what in (
        (poses == 0, "without a pose"),
        ((poses > 0) & (found.missing.sum(1) == poses * len(joints)), "whose joints are all missing"),
        (found.crowd > store.card.persons, f"with more than {store.card.persons} persons in a frame"),
        (found.twice, "in which one person stands twice in a frame"),
    ):
        if mask.any():
            yield Finding("remark", SAMPLES, f"{what}: {_samples(store, np.flatnonzero(mask))}")
    total = int(poses.sum())
    never = [
        joint for joint, gone in zip(joints, found.missing.sum(0).tolist(), strict=True) if total and gone == total
    ]
    if never and len(never) < len(joints):
        yield Finding("remark", SAMPLES, f"joints that are missing in every pose: {_some(never)}")
    yield from _channel_findings(store, found)
    share = int(found.zeros.sum()) / max(total * len(joints), 1)
    if share > _AT_ZERO:
        yield Finding("remark", SAMPLES, f"{share:.1%} of the joints lie at exactly zero; a missing one is NaN")


def _channel_findings(store: Store, found: Survey) -> Iterator[Finding]:
    """Joints of which some channels are known and others are not: runs count them as missing."""
    joints = store.table["n_poses"].to_numpy() * found.missing.shape[1] - found.missing.sum(1)
    never: dict[bytes, list[str]] = defaultdict(list)  # channels that the same samples lack
    for channel, lost in zip(store.card.channels, found.silent.T, strict=True):
        mask = (lost == joints) & (joints > 0)
        if mask.any():
            never[mask.tobytes()].append(channel)
        rest = int(lost[~mask].sum())
        if rest:
            share = rest / int(joints.sum())
            yield Finding("remark", SAMPLES, f"{share:.1%} of the joints that are there lack {channel}")
    for key, channels in never.items():
        where = _samples(store, np.flatnonzero(np.frombuffer(key, bool)))
        others = ",".join(name for name in store.card.channels if name not in channels)
        advice = f"; runs on it need a store of `convert --channels {others}`"
        yield Finding("remark", SAMPLES, f"no joint has {', '.join(channels)}: {where}{advice}")


def _double_findings(store: Store, found: Survey, splits: Sequence[Split]) -> Iterator[Finding]:
    """The same poses under two ids; and whether a protocol trains on the one and scores the other."""
    groups: dict[bytes, list[int]] = defaultdict(list)
    for place, content in enumerate(found.content):
        if content:
            groups[content].append(place)
    doubles = [places for places in groups.values() if len(places) > 1]
    torn: Counter[str] = Counter()
    for split in splits if doubles else ():
        train, test = set(split.train), set(split.test)
        torn[split.name] += sum(bool(train.intersection(one)) and bool(test.intersection(one)) for one in doubles)
    for name, count in torn.items():
        if count:
            times = "once" if count == 1 else f"{count} times"
            problem = f"protocol {name} trains on and scores the same poses under two ids: {times}"
            yield Finding("remark", SAMPLES, problem)
    for places in doubles[:_DOUBLES]:
        ids = ", ".join(f"'{store.ids[place]}'" for place in places[: _NAMED + 1])
        yield Finding("remark", SAMPLES, f"the same poses under {len(places)} ids: {ids}")
    if len(doubles) > _DOUBLES:
        yield Finding("remark", SAMPLES, f"the same poses under several ids: {len(doubles) - _DOUBLES} more groups")


def _samples(store: Store, places: np.ndarray) -> str:
    """How many samples, and the first of them."""
    ids = [f"'{store.ids[place]}'" for place in places[:_NAMED].tolist()]
    return f"{len(places):,} of {len(store):,} samples, such as {', '.join(ids)}"


def _some(names: Sequence[str]) -> str:
    """The first names."""
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
