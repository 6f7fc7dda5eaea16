"""A body that moves by turning its joints, read out as any layout.

One person of about 1.75 m stands with hanging arms; x points to the person's left, y up, z forward, in
metres, the middle of the hips at the origin. A layout's joints are points of this body, found by their
names. Joints with names that it does not know hang on the nearest known ancestor, one bone further out
each, and turn as the limbs do, so that any tree moves.
"""

import math
import re
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float64

from skelbench.skeletons import Layout

# What turns, each about x (forward and back), y (about its own length) and z (sideways).
TURNS = (
    *("trunk", "head", "left shoulder", "right shoulder", "left elbow", "right elbow"),
    *("left hip", "right hip", "left knee", "right knee", "left wrist", "right wrist"),
)

Point: TypeAlias = tuple[str, str, tuple[float, float, float]]  # what it hangs on, what turns it, offset in metres

# Lengths are those of a generic adult, rounded to a centimetre; they are ours and only need to look human.
_MIDDLE: dict[str, Point] = {
    "spine": ("pelvis", "trunk", (0.0, 0.22, 0.0)),
    "chest": ("spine", "", (0.0, 0.24, 0.0)),
    "neck": ("chest", "", (0.0, 0.08, 0.0)),
    "head": ("neck", "head", (0.0, 0.16, 0.0)),
    "nose": ("head", "", (0.0, -0.02, 0.10)),
    "head tip": ("head", "", (0.0, 0.12, 0.0)),
    "spine1": ("spine", "", (0.0, 0.12, 0.0)),
    "c7": ("chest", "", (0.0, 0.05, -0.06)),
    "t10": ("spine", "", (0.0, 0.08, -0.10)),
    "clavicle": ("chest", "", (0.0, 0.0, 0.05)),
    "sternum": ("spine", "", (0.0, 0.10, 0.10)),
    "right back": ("chest", "", (-0.10, -0.10, -0.10)),
}
_LEFT: dict[str, Point] = {
    "left eye": ("head", "", (0.03, 0.01, 0.09)),
    "left ear": ("head", "", (0.08, 0.0, 0.0)),
    "left shoulder": ("chest", "", (0.18, -0.03, 0.0)),
    "left elbow": ("left shoulder", "left shoulder", (0.03, -0.28, 0.0)),
    "left wrist": ("left elbow", "left elbow", (0.01, -0.25, 0.0)),
    "left hand": ("left wrist", "left wrist", (0.0, -0.08, 0.0)),
    "left hand tip": ("left hand", "", (0.0, -0.09, 0.0)),
    "left thumb": ("left wrist", "left wrist", (-0.02, -0.07, 0.05)),
    "left hip": ("pelvis", "", (0.09, -0.02, 0.0)),
    "left knee": ("left hip", "left hip", (0.01, -0.42, 0.0)),
    "left ankle": ("left knee", "left knee", (0.0, -0.40, 0.0)),
    "left foot": ("left ankle", "", (0.0, -0.07, 0.13)),
    "left toes": ("left foot", "", (0.0, 0.0, 0.06)),
    "left big toe": ("left foot", "", (-0.03, 0.0, 0.06)),
    "left small toe": ("left foot", "", (0.04, 0.0, 0.03)),
    "left heel": ("left ankle", "", (0.0, -0.07, -0.05)),
    "left collar": ("chest", "", (0.05, 0.0, 0.0)),
    "left front head": ("head", "", (0.06, 0.06, 0.08)),
    "left back head": ("head", "", (0.06, 0.06, -0.08)),
    "left humerus": ("left shoulder", "left shoulder", (0.05, -0.14, 0.0)),
    "left lower arm": ("left elbow", "left elbow", (0.03, -0.12, 0.0)),
    "left wrist thumb side": ("left elbow", "left elbow", (0.01, -0.25, 0.03)),
    "left wrist little finger side": ("left elbow", "left elbow", (0.01, -0.25, -0.03)),
    "left front pelvis": ("pelvis", "", (0.12, 0.06, 0.09)),
    "left back pelvis": ("pelvis", "", (0.05, 0.06, -0.09)),
    "left thigh": ("left hip", "left hip", (0.06, -0.20, 0.0)),
    "left shin": ("left knee", "left knee", (0.05, -0.20, 0.0)),
    "left eye inner": ("head", "", (0.015, 0.01, 0.095)),
    "left eye outer": ("head", "", (0.045, 0.01, 0.085)),
    "left mouth": ("head", "", (0.02, -0.06, 0.09)),
    "left index": ("left wrist", "left wrist", (-0.01, -0.10, 0.02)),
    "left pinky": ("left wrist", "left wrist", (0.02, -0.09, -0.03)),
}
_OTHER_NAMES = {
    "base of spine": "pelvis",
    "hip centre": "pelvis",
    "mid hip": "pelvis",
    "hip": "pelvis",
    "middle of spine": "spine",
    "spine at shoulders": "chest",
    "shoulder centre": "chest",
    "thorax": "chest",
    "head top": "head",
    "hips": "pelvis",
    "waist": "pelvis",
    "back": "spine",
    "spine2": "chest",
    "mouth left": "left mouth",
    "mouth right": "right mouth",
    **{
        f"{side} {name}": f"{side} {point}"
        for side in ("left", "right")
        for name, point in {
            **{"upper arm": "shoulder", "arm": "shoulder", "fore arm": "elbow", "forearm": "elbow"},
            **{"palm": "hand", "finger": "hand", "up leg": "hip", "upper leg": "hip", "leg": "knee"},
            **{"lower leg": "knee", "toe": "foot", "toe base": "toes", "foot index": "toes"},
        }.items()
    },
}
_GOLDEN = math.pi * (3 - math.sqrt(5))  # radians between the directions in which unknown bones point
_UNKNOWN_BONE = 0.2  # metres
_TURNED = 20  # degrees about the vertical, so that what lies behind something is seen beside it


@dataclass(frozen=True)
class Body:
    """Points in an order in which each follows the one that it hangs on."""

    parent: tuple[int, ...]  # point that each hangs on; -1 for the pelvis
    turn: tuple[int, ...]  # place in TURNS of what turns the bone to the point; -1 for none
    offset: Float64[np.ndarray, "points 3"]  # from the parent, metres, at rest
    joints: tuple[int, ...]  # point of each joint of the layout


def body_of(layout: Layout) -> Body:
    """Make the body that a layout's joints belong to.

    Args:
        layout: Any; joints with known names stand where a human has them.

    Returns:
        The body, at rest.
    """
    points = _human()
    index = {name: place for place, name in enumerate(points)}
    parent = [index.get(on, -1) for on, _, _ in points.values()]
    turn = [TURNS.index(turns) if turns else -1 for _, turns, _ in points.values()]
    offset = [offset for _, _, offset in points.values()]
    joints: dict[int, int] = {}
    for joint in _outward(layout):
        known = index.get(_plain(layout.joints[joint]))
        if known is None:
            above = layout.parents[joint]
            parent.append(joints[above] if above >= 0 else 0)
            turn.append(joint % len(TURNS))
            angle = _GOLDEN * joint
            offset.append((_UNKNOWN_BONE * math.sin(angle), _UNKNOWN_BONE * math.cos(angle), 0.0))
            known = len(parent) - 1
        joints[joint] = known
    return Body(tuple(parent), tuple(turn), np.array(offset), tuple(joints[joint] for joint in range(len(joints))))


def move(body: Body, angles: Float64[np.ndarray, "frames turns 3"]) -> Float64[np.ndarray, "frames joints 3"]:
    """Turn a body's joints and say where the layout's joints come to lie.

    Args:
        body: The body.
        angles: Radians about x, y and z of each of TURNS; applied in the order z, y, x.

    Returns:
        Metres, relative to the middle of the hips.
    """
    rotations = rotation(angles)
    turned = [np.broadcast_to(np.eye(3), (len(angles), 3, 3))]
    places = [np.zeros((len(angles), 3))]
    for point in range(1, len(body.parent)):
        above = body.parent[point]
        here = turned[above] if body.turn[point] < 0 else turned[above] @ rotations[:, body.turn[point]]
        turned.append(here)
        places.append(places[above] + here @ body.offset[point])
    return np.stack([places[point] for point in body.joints], axis=1)


def stance(layout: Layout) -> Float64[np.ndarray, "joints 2"]:
    """Say where a layout's joints are seen on somebody who stands with arms and legs apart, turned a little.

    Args:
        layout: Any.

    Returns:
        Metres to the right and up in the picture; the person's left is on the right.
    """
    angles = np.zeros((1, len(TURNS), 3))
    for name, degrees in (("shoulder", 50), ("hip", 10)):
        for side, sign in (("left", 1), ("right", -1)):
            angles[0, TURNS.index(f"{side} {name}"), 2] = sign * math.radians(degrees)
    seen = move(body_of(layout), angles)[0] @ rotation(np.array([0.0, math.radians(_TURNED), 0.0])).T
    return np.asarray(seen[:, :2])


def rotation(angles: Float64[np.ndarray, "*axes 3"]) -> Float64[np.ndarray, "*axes 3 3"]:
    """Rotation matrices Rx Ry Rz from radians about x, y and z."""
    (a, b, c), (d, e, f) = np.moveaxis(np.cos(angles), -1, 0), np.moveaxis(np.sin(angles), -1, 0)
    return np.stack(
        [
            np.stack([b * c, -b * f, e], axis=-1),
            np.stack([a * f + d * e * c, a * c - d * e * f, -d * b], axis=-1),
            np.stack([d * f - a * e * c, d * c + a * e * f, a * b], axis=-1),
        ],
        axis=-2,
    )


def _human() -> dict[str, Point]:
    """All points of the body, the right side mirrored from the left."""
    points: dict[str, Point] = {"pelvis": ("", "", (0.0, 0.0, 0.0)), **_MIDDLE, **_LEFT}
    for name, (on, turns, (x, y, z)) in _LEFT.items():
        points[_swap(name)] = (_swap(on), _swap(turns), (-x, y, z))
    return points


def _swap(name: str) -> str:
    """A name of the left side as it is called on the right."""
    return name.replace("left", "right")


def _plain(name: str) -> str:
    """A joint's name in the words used here: `l_shoulder`, `LShoulder` and `shoulder left` are `left shoulder`."""
    spaced = re.sub(r"([a-z])([A-Z])|^([LR])([A-Z])", r"\1\3 \2\4", name)
    words = re.sub(r"[_-]", " ", spaced).lower().split()
    words = [{"l": "left", "r": "right", "center": "centre"}.get(word, word) for word in words]
    words.sort(key=lambda word: word not in ("left", "right"))
    plain = " ".join(words)
    return _OTHER_NAMES.get(plain, plain)


def _outward(layout: Layout) -> list[int]:
    """Joints in an order in which each follows its parent."""
    order = [layout.centre]
    for joint in order:
        order += [child for child, above in enumerate(layout.parents) if above == joint]
    return order
