"""Samples of a card that were never recorded: people who move, seen by cameras that err a little."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64

from skelbench.card import Card, TargetCard
from skelbench.sample import Sample, Segment, TargetValue
from skelbench.synthetic.body import Body, body_of, move, rotation
from skelbench.synthetic.camera import confidence, record, see, visible
from skelbench.synthetic.cast import Cast, Role, cast, number
from skelbench.synthetic.defects import spoil
from skelbench.synthetic.motion import Style, action_of, angles, style_of
from skelbench.synthetic.untrimmed import motion, script_of

_SHORTEST, _LONGEST = 1.2, 3.2  # seconds
_APART = 1.3  # metres between partners
_LATER = 0.4  # seconds until a partner answers
_FIRST_ID, _IDS = 72057594037900000, 90_000  # tracking ids of the Kinect are of this order
_SIDE = rotation(np.array([0, math.pi / 2, 0]))  # from facing the room to facing its left side


@dataclass(frozen=True)
class Stage:
    """What all samples of a twin share."""

    card: Card
    cast: Cast
    body: Body


def stage_of(card: Card, count: int, seed: int) -> Stage:
    """Prepare to make samples of a card; see `synthesise`."""
    return Stage(card, cast(card, count, seed), body_of(card.layout))


def synthesise(card: Card, count: int, seed: int, *, defects: bool = False) -> Iterator[Sample]:
    """Make samples of a card.

    A sample depends on the seed, its place, and the number of classes that `count` allows. One take is one
    performance, seen by different cameras.

    Args:
        card: With `[synth]`.
        count: How many; see `cast` for how many classes take part.
        seed: Of everything that is drawn.
        defects: Whether some samples have the faults of real recordings; see `spoil`.

    Yields:
        Samples that the card's converter can write, and read back unchanged.

    Raises:
        UsageError: If the card has no `[synth]`, or its names cannot tell so many samples apart.
    """
    stage = stage_of(card, count, seed)
    for index in range(count):
        yield sample_at(stage, index, defects=defects)


def sample_at(stage: Stage, index: int, *, defects: bool = False) -> Sample:
    """Make one sample.

    Args:
        stage: Of the twin.
        index: Place in the enumeration, from 0.
        defects: Whether it may have faults.

    Returns:
        The same for the same arguments; poses stand in the order of their frames.
    """
    role, synth, seed = stage.cast.role(index), stage.cast.synth, stage.cast.seed
    rng = np.random.default_rng(number(seed, "sensor", index))
    performed, segments = _perform(stage, role) if synth.segments is None else _perform_long(stage, role)
    people = [see(person, role, tuple(synth.views), seed) for person in performed]
    seen = np.stack(people, axis=1)  # (frames, persons, joints, 3)
    n_frames, persons, joints, _ = seen.shape
    keypoints = record(seen.reshape(-1, joints, 3), stage.card, synth.image, rng)
    score = None
    if stage.card.score:
        shown = np.stack([visible(n_frames, joints, rng) for _ in people], axis=1).reshape(-1, joints)
        if synth.scored == "visibility":
            keypoints[~shown], score = np.nan, shown.astype(np.float32)
        else:
            score = confidence(shown, rng)
    ids = _FIRST_ID + rng.choice(_IDS, persons, replace=False)
    sample = Sample(
        sample_id=role.sample_id,
        n_frames=n_frames,
        frame=np.repeat(np.arange(n_frames, dtype=np.uint32), persons),
        person=np.tile(ids if synth.tracked else np.full(persons, -1), n_frames).astype(np.int64),
        keypoints=keypoints,
        score=score,
        targets=_targets(stage.card.targets, role, segments),
        segments=segments,
        meta={name: value for name, value in {**role.columns, "take": role.take}.items() if name in stage.card.columns},
    )
    if synth.segments is not None:
        sample = _present(sample, ~np.isnan(seen).all(axis=(2, 3)).ravel())
    most = stage.card.persons if synth.people == "any" else 0
    return spoil(sample, rng, tracked=synth.tracked, most=most) if defects else sample


def _perform(stage: Stage, role: Role) -> tuple[list[Float64[np.ndarray, "frames joints 3"]], tuple[Segment, ...]]:
    """The people of a take in the room: metres, y up, the floor at 0, one facing z or two each other; no segments."""
    rng = np.random.default_rng(number(stage.cast.seed, "take", role.take, role.label))
    seconds = np.arange(round(rng.uniform(_SHORTEST, _LONGEST) * stage.card.fps)) / stage.card.fps
    moves = stage.cast.synth.moves[role.label] if stage.cast.synth.moves else (role.label,)
    action, subject = action_of(moves[0]), role.columns.get("subject", role.sample_id)
    style = style_of(subject)
    turns = angles(action, style, seconds, rng)
    for further in moves[1:]:
        turns = turns + motion(further, style, seconds, number(stage.cast.seed, "move", role.take, further))
    first = _stand(stage.body, turns, style)
    if role.label not in stage.cast.synth.two_person:
        return [first], ()
    partner = style_of(f"partner of {subject}")
    late, share = ((0.0, 1.0), (_LATER, 0.6), (0.0, 0.0))[action.answer]
    answer = share * angles(action, partner, np.maximum(seconds - late, 0), rng) + (1 - share) * partner.posture
    second = _stand(stage.body, answer, partner)
    gap = _APART - action.approach * (seconds / seconds[-1] - 0.5)
    apart = np.stack([gap / 2, 0 * gap, 0 * gap], axis=-1)[:, None]
    return [first @ _SIDE.T - apart, second @ _SIDE + apart], ()


def _perform_long(stage: Stage, role: Role) -> tuple[list[Float64[np.ndarray, "frames joints 3"]], tuple[Segment, ...]]:
    """The same of an untrimmed take, and its segments; a partner who is not there is NaN, and away if never there."""
    rng = np.random.default_rng(number(stage.cast.seed, "take", role.take))
    subject = role.columns.get("subject", role.take)
    styles = style_of(subject), style_of(f"partner of {subject}")
    script = script_of(stage.cast.synth, stage.cast.shown, styles, stage.card.fps, rng)
    first = _stand(stage.body, script.first, styles[0])
    if not script.partner.any():
        return [first], script.segments
    second = _stand(stage.body, script.second, styles[1])
    apart, there = np.array([_APART / 2, 0, 0]), script.partner[:, None, None]
    one = np.where(there, first @ _SIDE.T - apart, first)
    return [one, np.where(there, second @ _SIDE + apart, np.nan)], script.segments


def _present(sample: Sample, there: np.ndarray) -> Sample:
    """The poses of those who are there."""
    return replace(
        sample,
        frame=sample.frame[there],
        person=sample.person[there],
        keypoints=sample.keypoints[there],
        score=None if sample.score is None else sample.score[there],
    )


def _stand(
    body: Body, course: Float64[np.ndarray, "frames turns 3"], style: Style
) -> Float64[np.ndarray, "frames joints 3"]:
    """One person on the floor: in every frame the lowest joint touches it, so bent knees lower the hips."""
    points = style.height * move(body, course)
    points[..., 1] -= points[..., 1].min(axis=1, keepdims=True)
    return points


def _targets(targets: Mapping[str, TargetCard], role: Role, segments: tuple[Segment, ...]) -> dict[str, TargetValue]:
    """The role's label for the first target, or those of the segments; for others what its take happens to have."""
    shown = {label for _, _, label in segments}
    found: dict[str, TargetValue] = {}
    for place, (name, target) in enumerate(targets.items()):
        drawn = number(name, role.take)
        chosen = (role.label if place == 0 else drawn % len(target.classes)) if target.classes else -1
        if place == 0 and segments:
            found[name] = tuple(int(at in shown) for at in range(len(target.classes)))
        elif target.kind == "single":
            found[name] = chosen
        elif target.kind == "multi":
            found[name] = tuple(int(at == chosen) for at in range(len(target.classes)))
        else:
            found[name] = drawn % 1000 / 1000
    return found
