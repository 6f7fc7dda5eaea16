"""What the classes of synthetic data do: which limbs, in which direction, in which rhythm, how far.

A class is a combination of four habits of movement. Before and after, and in the mean, everybody stands in
much the same way, so that a class shows in how its joints move and hardly in where they are. Subjects
differ in height, tempo, reach, posture and handedness.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from skelbench.synthetic.body import TURNS
from skelbench.synthetic.cast import number

# What moves: for each turn its gain, and whether it goes against the others. "right" is the hand that a person prefers.
_LIMBS: tuple[dict[str, float], ...] = (
    {"right shoulder": 1.0, "right elbow": 0.4},
    {"right shoulder": 1.0, "left shoulder": 1.0},
    {"right shoulder": 1.0, "left shoulder": -1.0},
    {"right elbow": 1.4},
    {"right elbow": 1.4, "left elbow": 1.4},
    {"right elbow": 1.4, "left elbow": -1.4},
    {"right hip": 0.8, "right knee": 0.6},
    {"right hip": 0.6, "left hip": -0.6},
    {"trunk": 0.7},
    {"trunk": 0.5, "right shoulder": 1.0, "left shoulder": 1.0},
    {"head": 0.7, "right elbow": 1.2},
    {"right shoulder": 1.0, "left hip": 0.6},
)
_DIRECTIONS = ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.7, 0.3, 0.7))  # forward, sideways, between the two
_RHYTHMS = ("slow", "fast", "once", "held")
_SIZES = (0.65, 1.2)  # radians
_STEP = 89  # without a common factor with the number of combinations: neighbouring labels differ in all habits

_SLOW, _FAST = 0.6, 1.5  # repetitions a second
_IDLE = 0.04  # radians by which everybody sways
_POSTURE = 0.10  # radians by which postures differ


@dataclass(frozen=True)
class Action:
    """What a class does, the same for everybody."""

    limbs: int  # place in _LIMBS
    direction: int  # place in _DIRECTIONS
    rhythm: str
    size: float  # radians
    answer: int  # what a partner does: 0 the same, 1 the same later and smaller, 2 nothing
    approach: float  # metres by which partners come nearer; negative when they part


@dataclass(frozen=True)
class Style:
    """How one subject does everything."""

    height: float  # against the generic body
    tempo: float  # against the nominal rhythm
    reach: float  # against the nominal size
    left_handed: bool
    posture: Float64[np.ndarray, "turns 3"]  # radians at rest


def action_of(label: int) -> Action:
    """What a class does; of 288 labels in a row no two do the same."""
    total = len(_LIMBS) * len(_DIRECTIONS) * len(_RHYTHMS) * len(_SIZES)
    rest, limbs = divmod(label * _STEP % total, len(_LIMBS))
    rest, direction = divmod(rest, len(_DIRECTIONS))
    size, rhythm = divmod(rest, len(_RHYTHMS))
    return Action(limbs, direction, _RHYTHMS[rhythm], _SIZES[size], label % 3, (0.0, 0.6, -0.6)[label // 3 % 3])


def style_of(subject: object) -> Style:
    """How a subject moves; the same subject always in the same way."""
    rng = np.random.default_rng(number("subject", subject))
    return Style(
        height=rng.uniform(0.88, 1.12),
        tempo=rng.uniform(0.85, 1.18),
        reach=rng.uniform(0.8, 1.2),
        left_handed=bool(rng.random() < 0.15),
        posture=rng.normal(0, _POSTURE, (len(TURNS), 3)),
    )


def angles(
    action: Action, style: Style, seconds: Float64[np.ndarray, " frames"], rng: np.random.Generator
) -> Float64[np.ndarray, "frames turns 3"]:
    """The turns of one person who performs an action.

    Args:
        action: What is done.
        style: By whom.
        seconds: Time of each frame, from 0 up.
        rng: Draws what differs from one performance to the next: onset, size, posture, sway.

    Returns:
        Radians about x, y and z for each of the body's turns.
    """
    size = action.size * style.reach * rng.uniform(0.9, 1.1)
    course = size * _course(action.rhythm, style.tempo * rng.uniform(0.95, 1.05), seconds, rng.uniform(0, 1))
    sway = rng.uniform(0.2, 0.6, (len(TURNS), 3)) * seconds[:, None, None] + rng.uniform(0, 1, (len(TURNS), 3))
    found: np.ndarray = style.posture + rng.normal(0, _POSTURE, (len(TURNS), 3)) + _IDLE * np.sin(2 * math.pi * sway)
    for name, gain in _LIMBS[action.limbs].items():
        side = _other_side(name) if style.left_handed else name
        found[:, TURNS.index(side)] += course[:, None] * gain * _axes(side, action.direction)
    return found


def _course(rhythm: str, tempo: float, seconds: Float64[np.ndarray, " frames"], onset: float) -> np.ndarray:
    """How far the action has gone at each time: repeated about 0, or risen and fallen once."""
    share, middle = seconds / max(seconds[-1], 1e-9), 0.4 + 0.2 * onset
    if rhythm == "slow":
        course = np.sin(2 * math.pi * (_SLOW * tempo * seconds + onset))
    elif rhythm == "fast":
        course = np.sin(2 * math.pi * (_FAST * tempo * seconds + onset))
    elif rhythm == "once":
        course = np.exp(-(((share - middle) * tempo / 0.12) ** 2))
    else:
        course = 1 / (1 + np.exp(-(share - middle + 0.25) / 0.05)) - 1 / (1 + np.exp(-(share - middle - 0.25) / 0.05))
    return np.asarray(course)


def _axes(turn: str, direction: int) -> Float64[np.ndarray, " axes"]:
    """About which axes a turn goes: limbs forward (negative about x), knees back, both sides away from the body."""
    about_x, about_y, about_z = _DIRECTIONS[direction]
    forward = 1.0 if turn in ("trunk", "head", "left knee", "right knee") else -1.0
    outward = -1.0 if turn.startswith("right") else 1.0
    return np.array([forward * about_x, about_y, outward * about_z])


def _other_side(name: str) -> str:
    """The same limb on the other side."""
    return name.replace("right", "LEFT").replace("left", "right").replace("LEFT", "left")
