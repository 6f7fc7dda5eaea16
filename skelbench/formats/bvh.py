"""BVH: a skeleton and its motion as text, of any rig; joints placed by forward kinematics, and the way back."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from jaxtyping import Bool, Float32, Float64

from skelbench.errors import RawFormatError

CHANNELS = ("Xposition", "Yposition", "Zposition", "Xrotation", "Yrotation", "Zrotation")
_AXES = {name: "XYZ".index(name[0]) for name in CHANNELS}
_BY_CASE = {name.lower(): name for name in CHANNELS}

_JOINTS, _DEPTH, _TEXT = 2_000, 200, 1 << 20  # most joints, folds of braces, and bytes of hierarchy; a rig has some 70
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,3})?", re.ASCII)
_VALUE = re.compile(rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?|[Nn][Aa][Nn]")
_MOTION = re.compile(rb"^[ \t]*MOTION[ \t\r]*$", re.MULTILINE | re.IGNORECASE)
_HEAD = re.compile(
    rb"\s*Frames\s*:[ \t]*(\d{1,9})\s*\n\s*Frame[ \t]*Time\s*:[ \t]*(\S{1,40})[ \t]*\r?(?:\n|$)",
    re.ASCII | re.IGNORECASE,
)
_APART = re.compile(r"[ .\-]")  # what stands between the words of a name; `upper_arm.L` is `upper_arm_L`
_LONGEST = 40  # characters of a number; Python's own need at most 25
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Joint:
    """One joint of a rig, or the end of a limb."""

    name: str  # as written; the end of a limb is `<joint> end`
    parent: int  # place of the joint it hangs on; -1 for a root
    offset: tuple[float, float, float]  # from its parent at rest, in the rig's unit
    channels: tuple[str, ...]  # of CHANNELS, in the order of the motion's columns; rotations turn in this order
    end: bool = False  # an `End Site`, which has no channels


@dataclass(frozen=True, eq=False)
class Bvh:
    """A parsed file."""

    joints: tuple[Joint, ...]  # each after the one that it hangs on
    frame_time: float  # seconds
    motion: Float64[np.ndarray, "frames channels"]  # positions in the rig's unit, angles in degrees; NaN = missing


def parse(data: bytes, where: str) -> Bvh:
    """Read a file.

    Args:
        data: Text as the many writers of this format make it: any case of words, tabs, CRLF, a byte order mark.
        where: Name of the file, for messages.

    Returns:
        The rig and its motion. `NaN` stands for a position that is missing; angles are finite.

    Raises:
        RawFormatError: If the hierarchy or the motion is not what the format says, values are not finite, or the
            header counts other frames than there are.
    """
    data = data.removeprefix(b"\xef\xbb\xbf")
    found = _MOTION.search(data[: _TEXT + 20])
    if found is None:
        raise RawFormatError(f"{where}: no 'MOTION' in the first {_TEXT >> 20} MiB, expected HIERARCHY and MOTION.")
    try:
        text = data[: found.start()].decode("utf-8")
    except UnicodeDecodeError as error:
        raise RawFormatError(f"{where}: byte {error.start} of the hierarchy is not UTF-8.") from error
    joints = _Hierarchy(text, where).joints()
    columns = sum(len(joint.channels) for joint in joints)
    frame_time, motion = _motion(data[found.end() :], columns, where)
    turned = np.array([name.endswith("rotation") for joint in joints for name in joint.channels], bool)
    for frame, column in np.argwhere(np.isnan(motion) & turned)[:1].tolist():
        raise RawFormatError(f"{where}, frame {frame}, column {column}: an angle is NaN, expected degrees.")
    return Bvh(joints, frame_time, motion)


def positions(found: Bvh) -> Float64[np.ndarray, "frames joints 3"]:
    """Place all joints by forward kinematics.

    A position channel stands in the place of the joint's offset, as Blender and MotionBuilder take it.

    Args:
        found: A parsed file.

    Returns:
        Global positions in the rig's unit, ends of limbs included; NaN where a position, or one on which it hangs,
        is missing.
    """
    frames, column = len(found.motion), 0
    places = np.zeros((frames, len(found.joints), 3))
    turns: list[np.ndarray] = []
    with np.errstate(invalid="ignore", over="ignore"):
        for at, joint in enumerate(found.joints):
            values = found.motion[:, column : column + len(joint.channels)]
            column += len(joint.channels)
            local, turn = _local(joint, values)
            if joint.parent < 0:  # not added to an origin, which would take the sign of -0
                places[:, at] = local
                turns.append(turn)
                continue
            above = turns[joint.parent]
            places[:, at] = places[:, joint.parent] + (above @ local[..., None])[..., 0]
            turns.append(above @ turn)
    return places


def plain_name(name: str) -> str:
    """A joint's name without the prefixes that exporters put before it: `mixamorig:Hips`, `Armature|Hips`."""
    return re.split(r"[:|]", name)[-1].strip()


def named(found: Bvh, wanted: Sequence[str]) -> list[int] | None:
    """Find joints by name.

    Args:
        found: A parsed file.
        wanted: Names without prefixes; neither case nor what stands between words matters.

    Returns:
        The place of each, or None where one is missing. All may bear one more prefix, such as `mixamorig_`.
    """
    places: dict[str, int] = {}
    for place, joint in enumerate(found.joints):
        places.setdefault(_key(joint.name), place)
    keys = [_key(name) for name in wanted]
    for prefix in sorted((key.removesuffix(keys[0]) for key in places if key.endswith(keys[0])), key=len):
        found_at = [places.get(prefix + key) for key in keys]
        if prefix[-1:] in ("", "_") and None not in found_at:
            return [place for place in found_at if place is not None]
    return None


def lacking(found: Bvh, wanted: Sequence[str]) -> list[str]:
    """The names of `wanted` that no joint bears, whatever stands before it."""
    keys = [_key(joint.name) for joint in found.joints]
    return [name for name in wanted if not any(f"_{key}".endswith(f"_{_key(name)}") for key in keys)]


def render(
    names: Sequence[str], parents: Sequence[int], keypoints: Float32[np.ndarray, "frames joints 3"], frame_time: float
) -> bytes:
    """Write positions as a file, the inverse of `positions`.

    A person whose joints are all there becomes a rig of bones that turn; else, or where the arithmetic of a chain
    would change the last bit of a number, every joint is a root of its own.

    Args:
        names: Of the joints.
        parents: The place of each joint's parent; -1 for the root.
        keypoints: One pose in each frame; NaN = missing, nothing infinite.
        frame_time: Seconds.

    Returns:
        A file of which `positions`, found by name and as float32, are the keypoints bit for bit.
    """
    order = _outward(parents)
    if len(keypoints) and np.abs(keypoints).max() < _LARGEST / 4:  # which NaN is not
        chained = _chained(names, parents, keypoints.astype(np.float64), order)
        text = _text(Bvh(chained.joints, frame_time, chained.motion))
        parsed = parse(text, "rendered")
        back = positions(parsed)[:, [not joint.end for joint in parsed.joints]].astype(np.float32)
        if back.tobytes() == keypoints[:, order].tobytes():
            return text
    roots = tuple(Joint(name, -1, (0.0, 0.0, 0.0), CHANNELS[:3]) for name in names)
    return _text(Bvh(roots, frame_time, keypoints.reshape(len(keypoints), -1).astype(np.float64)))


class _Hierarchy:
    """Reads the first part of a file, line by line."""

    def __init__(self, text: str, where: str) -> None:
        """Put every brace on a line of its own."""
        lines = text.replace("{", "\n{\n").replace("}", "\n}\n").splitlines()
        self._lines = [stripped for line in lines if (stripped := line.strip())]
        self._at, self._where = 0, where

    def joints(self) -> tuple[Joint, ...]:
        """All joints, each after its parent."""
        if self._next().upper() != "HIERARCHY":
            self._wrong(self._lines[0] if self._lines else "nothing", "the first line HIERARCHY")
        found: list[Joint] = []
        above: list[int] = []  # the open joints
        while self._at < len(self._lines):
            line = self._next()
            if line == "}" and above:
                above.pop()
                continue
            if len(found) >= _JOINTS or len(above) >= _DEPTH:
                self._wrong(f"more than {_JOINTS} joints, or {_DEPTH} within each other", "a skeleton")
            found.append(self._joint(line, found, above))
            above.append(len(found) - 1)
        if above or not found:
            self._wrong("the end of the hierarchy", "a closing brace" if above else "ROOT and a name")
        return tuple(found)

    def _joint(self, line: str, found: Sequence[Joint], above: Sequence[int]) -> Joint:
        """One joint up to its channels."""
        word, name = (*line.split(None, 1), "", "")[:2]
        parent = above[-1] if above else -1
        end = line.lower().replace(" ", "").startswith("endsite")  # some writers name it, or leave out the blank
        if parent >= 0 and found[parent].end:
            self._wrong(f"'{line[:40]}' within an End Site", "a closing brace")
        if not (end and parent >= 0) and (word.upper() != ("JOINT" if above else "ROOT") or not name):
            self._wrong(f"'{line[:40]}'", f"{'JOINT' if above else 'ROOT'} and a name")
        if self._next() != "{":
            self._wrong(f"no brace after '{line[:40]}'", "{")
        offset = self._next().split()
        if [word.upper() for word in offset[:1]] != ["OFFSET"] or len(offset) != 4:
            self._wrong(f"'{' '.join(offset)[:40]}' in '{line[:40]}'", "OFFSET and three numbers")
        x, y, z = map(self._number, offset[1:])
        return Joint(f"{found[parent].name} end" if end else name, parent, (x, y, z), self._channels(line, end), end)

    def _channels(self, line: str, end: bool) -> tuple[str, ...]:
        """The channels of a joint, in our spelling; an end of a limb has none, other joints may lack them too."""
        if end or self._at >= len(self._lines) or not self._lines[self._at].upper().startswith("CHANNELS"):
            return ()
        count, *names = self._next().split()[1:] or [""]
        channels = tuple(_BY_CASE.get(name.lower(), "") for name in names)
        if "" in channels or len(set(channels)) < len(channels) or count != str(len(channels)):
            self._wrong(f"'CHANNELS {count} {' '.join(names)[:60]}' in '{line[:40]}'", f"each of {', '.join(CHANNELS)}")
        return channels

    def _number(self, text: str) -> float:
        """A finite number."""
        if len(text) > _LONGEST or not _NUMBER.fullmatch(text) or abs(float(text)) > _LARGEST:
            self._wrong(f"'{text[:40]}'", "a number")
        return float(text)

    def _next(self) -> str:
        """The next line; an empty one at the end."""
        self._at += 1
        return self._lines[self._at - 1] if self._at <= len(self._lines) else ""

    def _wrong(self, found: str, wanted: str) -> NoReturn:
        """Refuse the hierarchy."""
        raise RawFormatError(f"{self._where}: the hierarchy holds {found}, expected {wanted}.")


def _motion(tail: bytes, columns: int, where: str) -> tuple[float, Float64[np.ndarray, "frames channels"]]:
    """The frame time and the values of a file."""
    head = _HEAD.match(tail)
    time = head[2].decode("ascii", "replace") if head else ""
    if head is None or not _NUMBER.fullmatch(time) or not 1e-6 <= float(time) <= 1e3:
        raise RawFormatError(f"{where}: after MOTION {tail[:60]!r}, expected 'Frames: N' and 'Frame Time: seconds'.")
    frames = int(head[1])
    lines = [line for line in tail[head.end() :].splitlines() if line.strip()]
    if len(lines) != frames or not frames or not columns:
        raise RawFormatError(
            f"{where}: {len(lines)} frames of {columns} channels, but 'Frames:' says {frames}; expected as many, and "
            "one at least. Was the file cut?"
        )
    fields = [line.split() for line in lines]
    for frame, values in enumerate(fields):
        if len(values) != columns:
            raise RawFormatError(f"{where}, frame {frame}: {len(values)} values, expected {columns} channels.")
    return float(time), _numbers(fields, where)


def _numbers(fields: list[list[bytes]], where: str) -> Float64[np.ndarray, "frames channels"]:
    """The values of all frames: finite, or NaN."""
    for frame, values in enumerate(fields):
        wrong = next((value for value in values if len(value) > _LONGEST or not _VALUE.fullmatch(value)), None)
        if wrong is not None:
            shown = wrong[:40].decode("ascii", "replace")
            raise RawFormatError(f"{where}, frame {frame}: {shown!r}, expected a number.")
    motion = np.array(fields).astype(np.float64)
    for frame, column in np.argwhere(np.abs(motion) > _LARGEST)[:1].tolist():
        raise RawFormatError(f"{where}, frame {frame}: {motion[frame, column]:g}, expected at most {_LARGEST:g}.")
    return motion


def _local(
    joint: Joint, values: Float64[np.ndarray, "frames channels"]
) -> tuple[Float64[np.ndarray, "frames 3"], np.ndarray]:
    """A joint's place and turn in the frame of its parent; the turn of one that never turns is one matrix."""
    local = np.tile(np.array(joint.offset), (len(values), 1))
    turn = np.eye(3)
    for channel, name in enumerate(joint.channels):
        if name.endswith("position"):
            local[:, _AXES[name]] = values[:, channel]
        else:
            turn = turn @ about(_AXES[name], np.radians(values[:, channel]))
    return local, turn


def about(axis: int, angle: Float64[np.ndarray, " frames"]) -> Float64[np.ndarray, "frames 3 3"]:
    """Rotation matrices about one axis (0 x, 1 y, 2 z), angles in radians."""
    one, two = (axis + 1) % 3, (axis + 2) % 3
    turn = np.zeros((len(angle), 3, 3))
    turn[:, axis, axis] = 1
    turn[:, one, one] = turn[:, two, two] = np.cos(angle)
    turn[:, two, one] = np.sin(angle)
    turn[:, one, two] = -turn[:, two, one]
    return turn


def aligned(
    rest: Float64[np.ndarray, " 3"], bones: Float64[np.ndarray, "frames 3"]
) -> Float64[np.ndarray, "frames 3 3"]:
    """The smallest rotations that turn one direction into others; none where a direction is missing or opposite.

    Source: Rodrigues' formula with the cross product as axis.
    """
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        one, other = rest / np.linalg.norm(rest), bones / np.linalg.norm(bones, axis=-1, keepdims=True)
        cross, cosine = np.cross(one, other), other @ one
        skew = np.zeros((len(bones), 3, 3))
        for row, column, axis, sign in ((0, 1, 2, -1), (0, 2, 1, 1), (1, 2, 0, -1)):
            skew[:, row, column], skew[:, column, row] = sign * cross[:, axis], -sign * cross[:, axis]
        turn = np.eye(3) + skew + skew @ skew / (1 + cosine)[:, None, None]
    usable: Bool[np.ndarray, " frames"] = np.isfinite(turn).all((1, 2)) & (cosine > -0.999)
    return np.where(usable[:, None, None], turn, np.eye(3))


def zyx_degrees(turn: Float64[np.ndarray, "frames 3 3"]) -> Float64[np.ndarray, "frames 3"]:
    """Angles about z, y and x of rotations Rz Ry Rx, in degrees."""
    y = -np.arcsin(np.clip(turn[:, 2, 0], -1, 1))
    z, x = np.arctan2(turn[:, 1, 0], turn[:, 0, 0]), np.arctan2(turn[:, 2, 1], turn[:, 2, 2])
    degrees: np.ndarray = np.degrees(np.stack([z, y, x], axis=-1))
    return degrees


def zyx_turn(degrees: Float64[np.ndarray, "frames 3"]) -> Float64[np.ndarray, "frames 3 3"]:
    """Rotations Rz Ry Rx from angles about z, y and x, in degrees."""
    z, y, x = np.radians(degrees).T
    turn: np.ndarray = about(2, z) @ about(1, y) @ about(0, x)
    return turn


def _key(name: str) -> str:
    """What joints are compared by."""
    return _APART.sub("_", plain_name(name)).lower()


def _outward(parents: Sequence[int]) -> list[int]:
    """Joints from the root outward, each subtree in one piece, as the nested text needs them."""
    children: dict[int, list[int]] = {}
    for joint, parent in enumerate(parents):
        children.setdefault(parent, []).append(joint)
    order, waiting = list[int](), children.get(-1, [])[::-1]
    while waiting:
        order.append(waiting.pop())
        waiting += children.get(order[-1], [])[::-1]
    return order


def _chained(
    names: Sequence[str], parents: Sequence[int], keypoints: Float64[np.ndarray, "frames joints 3"], order: list[int]
) -> Bvh:
    """A rig whose bones turn with the person: at rest it stands as in the first frame."""
    place = {joint: at for at, joint in enumerate(order)}
    first_child = {parents[joint]: joint for joint in reversed(order)}
    turns: dict[int, np.ndarray] = {}
    joints, columns = list[Joint](), list[np.ndarray]()
    bases = np.zeros_like(keypoints)
    for joint in order:
        parent, child = parents[joint], first_child.get(joint)
        bones = keypoints[:, child] - keypoints[:, joint] if child is not None else np.zeros((len(keypoints), 3))
        above = turns[parent] if parent >= 0 else np.broadcast_to(np.eye(3), (len(keypoints), 3, 3))
        angles = zyx_degrees(np.swapaxes(above, 1, 2) @ aligned(bones[0], bones))
        local, base = keypoints[:, joint], np.zeros((len(keypoints), 3))
        if parent >= 0:
            base = bases[:, parent]
            local = (np.swapaxes(above, 1, 2) @ (local - base)[..., None])[..., 0]
        turns[joint] = above @ zyx_turn(angles)
        bases[:, joint] = base + (above @ local[..., None])[..., 0] if parent >= 0 else local
        x, y, z = local[0].tolist()
        channels = (*CHANNELS[:3], "Zrotation", "Yrotation", "Xrotation")
        joints.append(Joint(names[joint], place[parent] if parent >= 0 else -1, (x, y, z), channels))
        columns += [local, angles]
    return Bvh(tuple(joints), 1.0, np.concatenate(columns, axis=1))


def _text(found: Bvh) -> bytes:
    """A file with every digit that a number needs; a joint without children ends in a limb of no length."""
    parts, lines, open_joints = ["HIERARCHY"], list[str](), list[int]()
    parents = {joint.parent for joint in found.joints}
    for at, joint in enumerate(found.joints):
        while open_joints and open_joints[-1] != joint.parent:
            open_joints.pop()
            parts.append("}")
        parts += [f"{'JOINT' if joint.parent >= 0 else 'ROOT'} {joint.name}", "{"]
        parts.append("OFFSET " + " ".join(map(repr, joint.offset)))
        parts.append(" ".join(["CHANNELS", str(len(joint.channels)), *joint.channels]))
        if at not in parents:
            parts += ["End Site", "{", "OFFSET 0.0 0.0 0.0", "}"]
        open_joints.append(at)
    parts += ["}"] * len(open_joints)
    for values in found.motion.tolist():
        lines.append(" ".join("NaN" if value != value else repr(value) for value in values))
    head = [*parts, "MOTION", f"Frames: {len(lines)}", f"Frame Time: {found.frame_time!r}"]
    return ("\n".join([*head, *lines]) + "\n").encode()
