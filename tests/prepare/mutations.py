"""Recordings that are hard to clean: made from nothing, or real ones changed. The same on every machine.

All choices come from an integer hash and all made coordinates are whole multiples of 1/1024 metre, so that what the
authors' scripts give for them can be recorded.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from skelbench.sample import Sample

Scene: TypeAlias = list[list[tuple[int, np.ndarray]]]  # of every frame the bodies: id and pose
JOINTS = np.arange(25)
FIRST_ID = 72057594037900000


class Dice:
    """SplitMix64."""

    def __init__(self, *seed: int) -> None:
        self.state = 0
        for number in seed:
            self.state = (self.state * 31 + number + self._next()) % 2**64

    def below(self, count: int) -> int:
        return self._next() % count

    def of(self, choices: Sequence[int]) -> int:
        return choices[self.below(len(choices))]

    def chance(self, percent: int) -> bool:
        return self.below(100) < percent

    def _next(self) -> int:
        self.state = (self.state + 0x9E3779B97F4A7C15) % 2**64
        mixed = (self.state ^ self.state >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB % 2**64
        return mixed ^ mixed >> 31


def made(number: int) -> Sample:
    """A recording of one to three bodies who come and go, changed up to three times."""
    dice = Dice(1, number)
    length = dice.of((1, 11, 13, 20, 30, 30, 47, 47, 60, 60, 81, 99))
    scene: Scene = [[] for _ in range(length)]
    for body in range(dice.of((1, 1, 2, 2, 3))):
        swing, drift, place = dice.of((8, 32, 64)), dice.below(9) - 4, dice.below(1024) - 512
        late = dice.below(length) if dice.chance(30) else 0
        for frame in range(late, length - (dice.below(length) if dice.chance(30) else 0)):
            x, y, z = (JOINTS * 7 % 11 - 5) * 64, (JOINTS - 12) * 64, 3072 + JOINTS * 5 % 7 * 32
            pose = np.stack([x + place + drift * frame, y, z], -1)
            moved = [[dice.below(2 * swing) - swing for _ in range(3)] for _ in JOINTS]
            scene[frame].append((FIRST_ID + 10 * body, ((pose + moved) / 1024).astype(np.float32)))
    for _ in range(dice.below(4)):
        scene = CHANGES[dice.below(len(CHANGES))](scene, scene, dice)
    return _sample(f"made{number}", scene)


def mutated(sample: Sample, other: Sample, number: int) -> Sample:
    """A recording changed one to three times; bodies of another one may come in."""
    dice = Dice(2, number)
    scene, others = _scene(sample), _scene(other)
    for turn in range(1 + dice.below(3)):
        place = number if turn == 0 else dice.below(len(CHANGES))  # so that each change has its turn
        scene = CHANGES[place % len(CHANGES)](scene, others, dice)
    return replace(_sample(f"{sample.sample_id}-{number}", scene), targets=sample.targets, meta=sample.meta)


def digest(array: np.ndarray) -> str:
    """Of shape and float32 values, -0 as 0."""
    values = np.ascontiguousarray(array + np.float32(0), "<f4")
    return hashlib.sha256(repr(values.shape).encode() + values.tobytes()).hexdigest()[:20]


def probes(array: np.ndarray, number: int) -> list[float]:
    """Eight values of the first person from drawn places, and the mean size of all of both."""
    dice, flat = Dice(3, number), array[..., 0].ravel()
    found = [float(flat[dice.below(len(flat))]) for _ in range(8)]
    return [*found, float(np.abs(array, dtype=np.float64).mean())]


def _change_id(scene: Scene, others: Scene, dice: Dice) -> Scene:
    cut, who = dice.below(len(scene)), dice.below(2)
    return [
        [(one + 1 if at == who and t >= cut else one, pose) for at, (one, pose) in enumerate(bodies)]
        for t, bodies in enumerate(scene)
    ]


def _alternate(scene: Scene, others: Scene, dice: Dice) -> Scene:
    every = dice.of((1, 1, 2, 5))
    return [[(one + 100 * (t // every % 2), pose) for one, pose in bodies] for t, bodies in enumerate(scene)]


def _visit(scene: Scene, others: Scene, dice: Dice) -> Scene:
    start, length = dice.below(len(scene)), dice.of((1, 5, 10, 11, 12, 13, 30, 300))
    name, front, flat = FIRST_ID + 1000 + dice.below(900), dice.chance(50), dice.of((0, 50, 70, 100))
    scene = [list(bodies) for bodies in scene]
    for t in range(start, min(len(scene), start + length)):
        source = others[t % len(others)]
        if source and len(scene[t]) < 6:
            wide = dice.chance(flat)
            pose = source[0][1] * np.array([3, 0.25, 1] if wide else [1, 1, 1], np.float32) + np.float32(0.5)
            scene[t].insert(0 if front else len(scene[t]), (name, pose))
    return scene


def _crowd(scene: Scene, others: Scene, dice: Dice) -> Scene:
    for _ in range(2 + dice.below(4)):
        scene = _visit(scene, others, dice)
    return scene


def _lose_one(scene: Scene, others: Scene, dice: Dice) -> Scene:
    start, length, who = dice.below(len(scene)), 1 + dice.below(30), dice.below(2)
    return [
        [body for at, body in enumerate(bodies) if at != who or not start <= t < start + length]
        for t, bodies in enumerate(scene)
    ]


def _lose_some(scene: Scene, others: Scene, dice: Dice) -> Scene:
    share = dice.of((3, 20, 50))
    return [[body for body in bodies if not dice.chance(share)] for bodies in scene]


def _empty_some(scene: Scene, others: Scene, dice: Dice) -> Scene:
    share = dice.of((3, 20, 50))
    return [[] if dice.chance(share) else bodies for bodies in scene]


def _empty_start(scene: Scene, others: Scene, dice: Dice) -> Scene:
    count = 1 + dice.below(max(len(scene) // 2, 1))
    return [[] if t < count else bodies for t, bodies in enumerate(scene)]


def _empty_end(scene: Scene, others: Scene, dice: Dice) -> Scene:
    return _empty_start(scene[::-1], others, dice)[::-1]


def _late_one(scene: Scene, others: Scene, dice: Dice) -> Scene:
    count, who = 1 + dice.below(max(len(scene) // 2, 1)), dice.below(2)
    return [[b for at, b in enumerate(bodies) if at != who] if t < count else bodies for t, bodies in enumerate(scene)]


def _early_one(scene: Scene, others: Scene, dice: Dice) -> Scene:
    return _late_one(scene[::-1], others, dice)[::-1]


def _shorten(scene: Scene, others: Scene, dice: Dice) -> Scene:
    start = dice.below(len(scene))
    return scene[start : start + dice.of((1, 2, 11, 12, 25))]


def _lengthen(scene: Scene, others: Scene, dice: Dice) -> Scene:
    return (scene * 300)[: dice.of((250, 299, 300))]


def _turn_round(scene: Scene, others: Scene, dice: Dice) -> Scene:
    share = dice.of((10, 50, 100))
    return [bodies[::-1] if dice.chance(share) else bodies for bodies in scene]


def _flatten(scene: Scene, others: Scene, dice: Dice) -> Scene:
    share, by = dice.of((30, 69, 70, 100)), np.array([3, 0.25, 1], np.float32)
    return [[(one, pose * by if dice.chance(share) else pose) for one, pose in bodies] for bodies in scene]


def _twice(scene: Scene, others: Scene, dice: Dice) -> Scene:
    share = dice.of((5, 50))
    return [[*bodies, bodies[0]] if bodies and len(bodies) < 6 and dice.chance(share) else bodies for bodies in scene]


CHANGES: tuple[Callable[[Scene, Scene, Dice], Scene], ...] = (
    _change_id, _alternate, _visit, _crowd, _lose_one, _lose_some, _empty_some, _empty_start, _empty_end, _late_one,
    _early_one, _shorten, _lengthen, _turn_round, _flatten, _twice,
)  # fmt: skip


def _scene(sample: Sample) -> Scene:
    scene: Scene = [[] for _ in range(sample.n_frames)]
    for frame, person, pose in zip(sample.frame, sample.person, sample.keypoints, strict=True):
        scene[frame].append((int(person), pose))
    return scene


def _sample(name: str, scene: Scene) -> Sample:
    bodies = [(t, one, pose) for t, found in enumerate(scene) for one, pose in found]
    return Sample(
        sample_id=name,
        n_frames=len(scene),
        frame=np.array([t for t, _, _ in bodies], np.uint32),
        person=np.array([one for _, one, _ in bodies], np.int64),
        keypoints=np.array([pose for _, _, pose in bodies], np.float32).reshape(-1, 25, 3),
        score=None,
        targets={"label": 0},
        segments=(),
        meta={},
    )
