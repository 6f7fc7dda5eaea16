"""What a conversion says: how far it is, what a dry run found, what was made; against the official numbers."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from skelbench.card import Card
from skelbench.convert.planning import Plan
from skelbench.sources.source import printable
from skelbench.store.schema import DatasetInfo, Reject

_VARYING = re.compile(r"'[^']*'|\d+")  # what differs between two reasons of one kind


@dataclass(frozen=True)
class Progress:
    """How far a conversion is."""

    stage: Literal["reading", "writing", "verifying"]
    done: int  # of the unit; items staged by an earlier command included
    total: int
    unit: Literal["items", "samples", "bytes"]
    rejects: int = 0  # so far


@dataclass(frozen=True)
class Reasons:
    """Rejects of one kind."""

    reason: str  # that of the first
    example: str  # the first: its id, or the member where it has none
    count: int


@dataclass(frozen=True)
class PlanReport:
    """What a conversion would do."""

    store: Path
    state: str  # what stands at `store`, and what the command would do about it
    planned: int  # items in the raw data
    items: int  # of these, to be read: after rejects known from names, and the limit
    rejects: tuple[Reasons, ...]  # known from names
    ignored: int  # members that belong to no item
    such_as: str  # the first of these, empty where there is none
    bytes: int  # raw bytes to be read
    space: int | None  # bytes the store will take; None where no sample could be read
    basis: str  # how `space` was found
    official: dict[str, Any]
    limit: dict[str, Any] | None
    synthetic: dict[str, Any] | None

    def as_json(self) -> dict[str, Any]:
        """The report with plain values."""
        rejects = [vars(group) for group in self.rejects]
        return {**vars(self), "store": str(self.store), "rejects": rejects}


@dataclass(frozen=True)
class Report:
    """What a conversion did."""

    store: Path
    state: Literal["written", "done"]  # done: it stood there already
    samples: int
    rejects: int
    reasons: tuple[Reasons, ...]  # of the rejects, most frequent first
    ignored: int  # members of the raw data that belong to no item
    such_as: str  # the first of these, empty where there is none
    fingerprint: str
    official: dict[str, Any]
    seconds: float
    licence: str
    citation: str
    synthetic: dict[str, Any] | None

    def as_json(self) -> dict[str, Any]:
        """Stable keys: store, samples, rejects, fingerprint, official, seconds, state, reasons, ignored."""
        return {
            "store": str(self.store),
            "samples": self.samples,
            "rejects": self.rejects,
            "fingerprint": self.fingerprint,
            "official": self.official,
            "seconds": round(self.seconds, 3),
            "state": self.state,
            "reasons": [vars(group) for group in self.reasons],
            "ignored": self.ignored,
        }


def grouped(rejects: Iterable[Reject]) -> tuple[Reasons, ...]:
    """Count rejects by kind of reason: names and numbers in it do not count.

    Args:
        rejects: In any order.

    Returns:
        The kinds, most frequent first.
    """
    kinds: dict[str, list[Reject]] = {}
    for reject in sorted(rejects, key=lambda reject: (reject.sample_id, reject.path)):
        text = reject.reason.replace(reject.path or "\0", "").replace(reject.sample_id or "\0", "")
        kinds.setdefault(_VARYING.sub("", text), []).append(reject)
    groups = [Reasons(kind[0].reason, kind[0].sample_id or kind[0].path, len(kind)) for kind in kinds.values()]
    return tuple(sorted(groups, key=lambda group: (-group.count, group.example)))


def official(card: Card, planned: int, rejects: int | None) -> dict[str, Any]:
    """Hold what was found against what the owner of the data says there is.

    Args:
        card: The set's card.
        planned: Raw items found.
        rejects: How many of them became no sample; None where a limit leaves that open.

    Returns:
        `planned` and `rejects`, each with `found` and `official`, `differences` in words and the `source` of the
        official numbers; empty where the card has none.
    """
    known = card.official
    pairs = {"planned": (planned, known.planned), "rejects": (rejects, known.rejects)}
    if all(number is None for _, number in pairs.values()):
        return {}
    differences = [
        f"{name}: {found:,} found, {number:,} official: {abs(found - number):,} {'more' if found > number else 'fewer'}"
        for name, (found, number) in pairs.items()
        if found is not None and number is not None and found != number
    ]
    counts = {name: {"found": found, "official": number} for name, (found, number) in pairs.items()}
    return {**counts, "differences": differences, "source": known.source}


def report_of(
    store: Path,
    ignored: Sequence[str],
    *,
    info: DatasetInfo,
    rejects: Sequence[Reject],
    state: Literal["written", "done"],
    seconds: float,
) -> Report:
    """Say what a store holds.

    Args:
        store: Its path as the user gave it.
        ignored: Members of the raw data that belong to no item.
        info: Its dataset.json.
        rejects: Its rejects.
        state: Whether it was written now.
        seconds: How long that took.

    Returns:
        The report.
    """
    origin = info.origin
    found = None if origin.limit or origin.shard else sum(bool(reject.sample_id) for reject in rejects)
    return Report(
        store=store,
        state=state,
        samples=info.samples,
        rejects=info.rejects,
        reasons=grouped(rejects),
        ignored=len(ignored),
        such_as=printable(ignored[0]) if ignored else "",
        fingerprint=info.fingerprint,
        official={} if origin.synthetic else official(info.card, origin.planned, found),
        seconds=seconds,
        licence=info.card.licence,
        citation=info.card.citation,
        synthetic=origin.synthetic,
    )


def plan_report_of(
    store: Path, plan: Plan, card: Card, *, state: str, size: int, estimate: tuple[int | None, str]
) -> PlanReport:
    """Say what a plan would do.

    Args:
        store: Where the store would stand.
        plan: The plan.
        card: The set's card.
        state: What stands there now, in words.
        size: Raw bytes to be read.
        estimate: Bytes of the store, and how they were found.

    Returns:
        The report.
    """
    found = None if plan.limit or plan.shard else plan.named
    return PlanReport(
        store=store,
        state=state,
        planned=plan.planned,
        items=len(plan.items),
        rejects=grouped(plan.rejects),
        ignored=len(plan.ignored),
        such_as=printable(plan.ignored[0]) if plan.ignored else "",
        bytes=size,
        space=estimate[0],
        basis=estimate[1],
        official={} if plan.synthetic else official(card, plan.planned, found),
        limit=plan.limit,
        synthetic=plan.synthetic,
    )
