"""Long recordings: people who do one thing after another, with pauses, or several at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64

from skelbench.card import Synth
from skelbench.sample import Segment
from skelbench.synthetic.motion import Style, action_of, angles

_SHORTEST, _LONGEST = 1.2, 3.2  # seconds of an action
_PAUSE = 1.2  # seconds between two, at most
_TOGETHER = 0.7  # share of an action that the next one may cover, at most
_LATER = 0.4  # seconds until a partner answers
_IDLE = replace(action_of(0), size=0.0)  # stands and sways


@dataclass(frozen=True)
class Script:
    """What people do in one take."""

    first: Float64[np.ndarray, "frames turns 3"]  # turns of the one whom the take follows
    second: Float64[np.ndarray, "frames turns 3"]  # turns of a partner
    partner: Bool[np.ndarray, " frames"]  # when the partner is there
    segments: tuple[Segment, ...]  # in the order in which they begin


def script_of(
    synth: Synth, labels: Sequence[int], styles: tuple[Style, Style], fps: float, rng: np.random.Generator
) -> Script:
    """Make up a take.

    Args:
        synth: How many actions it shows, how many of them overlap, and which need a partner.
        labels: Classes to choose from.
        styles: Of the person and of a partner.
        fps: Frames a second.
        rng: Draws everything.

    Returns:
        The turns of both; an action's own motion fills the frames of its segment and no others.
    """
    segments = _segments(synth, labels, fps, rng)
    frames = max(end for _, end, _ in segments) + round(rng.uniform(0, _PAUSE) * fps)
    seconds = np.arange(frames) / fps
    first, second = (angles(_IDLE, style, seconds, rng) for style in styles)
    partner = np.zeros(frames, bool)
    for start, end, label in segments:
        own = int(rng.integers(1 << 32))
        first[start:end] += motion(label, styles[0], seconds[: end - start], own)
        if label in synth.two_person:
            partner[start:end] = True
            late, share = ((0.0, 1.0), (_LATER, 0.6), (0.0, 0.0))[action_of(label).answer]
            second[start:end] += share * motion(label, styles[1], np.maximum(seconds[: end - start] - late, 0), own)
    return Script(first, second, partner, tuple(segments))


def _segments(synth: Synth, labels: Sequence[int], fps: float, rng: np.random.Generator) -> list[Segment]:
    """When what is done: in the order in which it begins, half open."""
    low, high = synth.segments or (1, 1)
    end = round(rng.uniform(0, _PAUSE) * fps)
    begin, found = 0, list[Segment]()
    for label in rng.choice(labels, rng.integers(low, high + 1)).tolist():
        length = round(rng.uniform(_SHORTEST, _LONGEST) * fps)
        together = found and rng.random() < synth.overlap
        pause = -rng.uniform(0, _TOGETHER) * (end - begin) if together else rng.uniform(0, _PAUSE) * fps
        begin = max(begin, end + round(pause))
        found.append((begin, begin + length, label))
        end = max(end, begin + length)
    return found


def motion(label: int, style: Style, seconds: np.ndarray, seed: int) -> Float64[np.ndarray, "frames turns 3"]:
    """What an action adds to standing still.

    Args:
        label: Of the action.
        style: Of who performs it.
        seconds: Time of each frame, from 0 up.
        seed: Of what differs from one performance to the next.

    Returns:
        Radians about x, y and z for each of the body's turns.
    """
    action = action_of(label)
    moved, still = (
        angles(one, style, seconds, np.random.default_rng(seed)) for one in (action, replace(action, size=0.0))
    )
    return np.asarray(moved - still)
