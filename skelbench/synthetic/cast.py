"""Who performs what, seen from where: the ids, labels and columns of synthetic samples, without any motion.

A label for every `SAMPLES_A_CLASS` samples takes part, a few at least (the card's `few`), spread over all labels:
enough samples of each to learn from. Sample `index` has the label at `index` modulo their number. The samples of
one label run through all combinations of the card's axes with a step near the golden section, so that few
samples already reach the values of every axis evenly, every part of a protocol has every label from 64
samples up, and no combination comes twice.
Where samples share raw files (`together`), all that share follow one another and count as one.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass

from skelbench.card import Card, Synth
from skelbench.errors import UsageError
from skelbench.sample import MetaValue

SAMPLES_A_CLASS = 32
GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class Role:
    """One sample before it is performed."""

    index: int  # in the enumeration, from 0
    sample_id: str
    label: int  # of the card's first target
    take: str
    columns: Mapping[str, MetaValue]  # axes, constants and the label's own, in the card's words
    degrees: float  # about the vertical, from which people are seen; 0 from the front


@dataclass(frozen=True)
class Cast:
    """The enumeration of one raw twin."""

    synth: Synth
    labels: tuple[int, ...]  # that take part
    seed: int
    shown: tuple[int, ...] = ()  # of untrimmed sets: labels of the segments; all samples then have the same role label

    def role(self, index: int) -> Role:
        """The sample at a place of the enumeration.

        Args:
            index: From 0; below `len(labels)` times the combinations of the axes where ids hang on them.

        Returns:
            The same for the same cast and index, whatever came before.
        """
        turn, member = divmod(index, sharing(self.synth))
        label = self.labels[turn % len(self.labels)]
        columns: dict[str, MetaValue] = dict(self.synth.constants)
        columns |= {name: values[label] for name, values in self.synth.by_label.items()}
        place = self._place(label, turn // len(self.labels))
        degrees = 0.0
        for name, values in self.synth.axes.items():
            place, at = (place, member) if name == self.synth.together else divmod(place, len(values))
            columns[name] = values[at]
            degrees += self.synth.views[name][at] if name in self.synth.views else 0.0
        words = {**columns, "index": index + 1, "label": label}
        take = self.synth.take.format(**words)
        return Role(index, self.synth.sample_id.format(**words), label, take, columns, degrees)

    def _place(self, label: int, turn: int) -> int:
        """Which combination of the axes a label has at its `turn`-th sample."""
        total = combinations(self.synth)
        step = max(1, round(total * GOLDEN))
        while math.gcd(step, total) > 1:
            step += 1
        return (number(self.seed, label) + turn * step) % total


def cast(card: Card, count: int, seed: int) -> Cast:
    """Choose who takes part.

    Args:
        card: Its `[synth]` says which axes there are.
        count: How many samples are wanted, those that share raw files counted once; few have few labels.
        seed: Of the raw twin.

    Returns:
        The enumeration.

    Raises:
        UsageError: If the card has no `[synth]`, or its axes give fewer ids than are wanted.
    """
    if card.synth is None:
        raise UsageError(f"The card '{card.name}' has no [synth], which says how ids of a raw twin are made.")
    classes = next(iter(card.targets.values())).classes
    known = max(1, len(next(iter(card.synth.by_label.values()), classes)))
    counted = "{index" in card.synth.sample_id or card.synth.segments is not None  # names do not hang on the label
    needed = 1 if counted else -(-count // combinations(card.synth))  # so many that their names suffice
    wanted = min(known, max(card.synth.few, count // SAMPLES_A_CLASS, needed))
    spread = [math.floor((at + 0.5) * known / wanted) for at in range(wanted)]
    labels = tuple(dict.fromkeys((*spread, *card.synth.always)))
    shown: tuple[int, ...] = ()
    if card.synth.segments is not None:  # names do not tell labels
        pairs = () if {*labels} & {*card.synth.two_person} else card.synth.two_person[:1]
        labels, shown = labels[:1], (*labels[len(pairs) :], *pairs)
    most = len(labels) * combinations(card.synth)
    if count > most and "{index" not in card.synth.sample_id:
        raise UsageError(f"{count} samples of '{card.name}': its names tell {most} apart. Ask for at most as many.")
    return Cast(card.synth, labels, seed, shown)


def combinations(synth: Synth) -> int:
    """How many combinations the axes have, those of samples that share raw files counted once."""
    return math.prod(len(values) for values in synth.axes.values()) // sharing(synth)


def sharing(synth: Synth) -> int:
    """How many samples share raw files; 1 where each has its own."""
    return len(synth.axes.get(synth.together, (0,)))


def number(*parts: object) -> int:
    """A number of 63 bits that depends on nothing but its arguments' text."""
    text = "\0".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
