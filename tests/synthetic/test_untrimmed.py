"""Long takes: what moves in a segment is what its class moves, and pauses are still."""

import numpy as np
import pytest

from skelbench import registry
from skelbench.card import Card, load_card
from skelbench.store.check import sample_problem
from skelbench.synthetic.body import TURNS
from skelbench.synthetic.generate import synthesise
from skelbench.synthetic.motion import _LIMBS, action_of, style_of
from skelbench.synthetic.untrimmed import Script, script_of


def card_of(name: str) -> Card:
    return load_card(registry.find("converters", name).toml)


def scripts(name: str, count: int) -> list[Script]:
    card = card_of(name)
    assert card.synth
    styles = style_of("a"), style_of("b")
    return [script_of(card.synth, [3, 11, 20], styles, 30.0, np.random.default_rng(at)) for at in range(count)]


def test_a_segment_moves_as_its_class_does_and_a_pause_hardly() -> None:
    loud, still = [], []
    for script in scripts("pku_mmd1", 30):
        speed = np.abs(np.diff(script.first, axis=0)).max((1, 2))
        busy = np.zeros(len(speed), bool)
        for start, end, label in script.segments:
            busy[max(start - 1, 0) : end] = True
            if action_of(label).rhythm in ("slow", "fast"):
                loud.append(np.median(speed[start : end - 1]))
        still += speed[~busy].tolist()
    assert np.median(loud) > 5 * np.median(still)


def test_the_limbs_of_a_class_move_in_its_segments() -> None:
    card = card_of("pku_mmd1")
    assert card.synth
    styles = style_of("a"), style_of("b")
    for label in range(0, 51, 5):
        script = script_of(card.synth, [label], styles, 30.0, np.random.default_rng(label))
        moved = np.mean([np.ptp(script.first[start:end], axis=0).max(1) for start, end, _ in script.segments], axis=0)
        limbs = {name.split()[-1] for name in _LIMBS[action_of(label).limbs]}
        assert TURNS[int(moved.argmax())].split()[-1] in limbs


@pytest.mark.parametrize(("name", "overlap"), [("pku_mmd1", False), ("tsu", True), ("charades", True)])
def test_samples_hold_what_their_card_asks_for(name: str, overlap: bool) -> None:
    card, overlapping, partners = card_of(name), 0, 0
    assert card.synth
    assert card.synth.segments
    for sample in synthesise(card, 24, 1):
        assert not sample_problem(sample, card)
        assert card.synth.segments[0] <= len(sample.segments) <= card.synth.segments[1]
        assert {k for k, on in enumerate(sample.targets["label"]) if on} == {k for _, _, k in sample.segments}  # type: ignore[arg-type]
        starts = [start for start, _, _ in sample.segments]
        assert starts == sorted(starts)
        overlapping += any(a[1] > b[0] for a, b in zip(sample.segments, sample.segments[1:], strict=False))
        counts = np.bincount(sample.frame, minlength=sample.n_frames)
        paired = np.zeros(sample.n_frames, bool)
        for start, end, label in sample.segments:
            paired[start:end] |= label in card.synth.two_person
        assert np.array_equal(counts, 1 + paired)
        partners += int(paired.any())
    assert bool(overlapping) == overlap
    assert bool(partners) == bool(card.synth.two_person)


def test_the_views_of_a_take_show_the_same_actions() -> None:
    takes: dict[object, set[object]] = {}
    for sample in synthesise(card_of("pku_mmd1"), 396, 0):
        takes.setdefault(sample.meta["take"], set()).add(sample.segments)
    assert len(takes) == 132
    assert all(len(found) == 1 for found in takes.values())
