"""Small stores of people who stand about, and what may be wrong with them."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from skelbench.card import Card, load_card
from skelbench.registry import find, load
from skelbench.sample import Sample
from skelbench.store.schema import Origin, RawDigest
from skelbench.store.writer import write_store
from skelbench.synthetic.generate import sample_at, stage_of
from skelbench.synthetic.raw import settled

Make = Callable[..., Path]
SAMPLES = 48


@cache
def people(name: str) -> tuple[Card, tuple[Sample, ...]]:
    plugin = find("converters", name)
    module, card = load(plugin), load_card(plugin.toml)
    stage = stage_of(card, SAMPLES, 0)
    samples = [settled(module, card, sample_at(stage, place, defects=False)) for place in range(SAMPLES)]
    made = {sample.sample_id: sample for sample in samples}
    return card, tuple(made[name] for name in sorted(made))


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A store of a set's made-up people, after `change(place, sample)`."""

    def make(
        change: Callable[[int, Sample], Sample] = lambda _, sample: sample, name: str = "nw_ucla", **card: Any
    ) -> Path:
        known, samples = people(name)
        changed = [change(place, sample) for place, sample in enumerate(samples)]
        raw = RawDigest(files=1, bytes=1, sha256="0" * 64)
        origin = Origin(converter=name, skelbench="0.1.0", request="1" * 64, raw=raw, planned=SAMPLES)
        lengths = [len(sample.frame) for sample in changed]
        where = tmp_path / name
        write_store(where, known.model_copy(update=card), origin, samples=changed, lengths=lengths, rejects=[])
        return where

    return make
