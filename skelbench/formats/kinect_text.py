"""The `.skeleton` text of NTU RGB+D: Kinect v2 bodies, one group of values a line.

Line 1 is the number of frames; each frame is a line with its number of bodies; each body is a line of
ten fields (tracking id first), a line with the number of joints, and a line of twelve fields a joint,
of which x, y, z in metres are the first three. Frames, bodies and joints are counted from 0 in
messages, lines from 1.

Source: shahroudy/NTURGB-D, Matlab/read_skeleton_file.m.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NoReturn

import numpy as np
from jaxtyping import Float32, Int64, UInt32

from skelbench.errors import RawFormatError
from skelbench.formats import kinect_arrays

if TYPE_CHECKING:
    from skelbench.formats.kinect_fast import Scanned

JOINTS = 25
BODIES = 6  # the sensor tracks no more at once
FRAMES = 100_000  # an hour at 30 frames a second; the longest clip of NTU RGB+D has 300
FIELDS_BODY = 10
FIELDS_JOINT = 12
LINES_BODY = JOINTS + 2
SHORTEST = 23  # bytes a line of a body, on average, if each field had one digit
TOO_LARGE = (2 - 2.0**-24) * 2.0**127  # from here on float32 rounds to infinity
BOM = b"\xef\xbb\xbf"
BLANKS = b" \t\r\n"
USUAL_COUNTS = (b"25", b"25\r")

# Nine digits name every float32 with room to spare: the nearest double rounds back to it.
_BODY = "\r\n".join(["%.9g %.9g %.9g %.7g %.7g %.7g %.7g 0 0 0 0 2"] * JOINTS)


@dataclass(frozen=True)
class KinectClip:
    """The bodies of one file, in file order."""

    n_frames: int  # as the file says, frames without a body included
    frame: UInt32[np.ndarray, " poses"]
    person: Int64[np.ndarray, " poses"]  # tracking ids, above 2^53
    keypoints: Float32[np.ndarray, "poses 25 3"]  # metres, in the depth camera's frame; NaN = missing


@dataclass(frozen=True)
class _Lines:
    """The text cut at line ends, and where its bodies stand."""

    where: str
    lines: list[bytes]
    frame: list[int]  # of each body
    start: list[int]  # index of the line of each body's first joint

    def joints(self) -> list[bytes]:
        """The joint lines of all bodies, one after the other."""
        return list(itertools.chain.from_iterable(self.lines[at : at + JOINTS] for at in self.start))

    def fail(self, row: int, problem: str) -> NoReturn:
        """Refuse the file for the joint line that stands at a place of `joints()`."""
        pose, joint = divmod(row, JOINTS)
        body = self.frame[:pose].count(self.frame[pose])
        place = f"line {self.start[pose] + joint + 1}, frame {self.frame[pose]}, body {body}, joint {joint}"
        raise RawFormatError(f"{self.where}, {place}: {problem}.")


def parse(data: bytes, where: str) -> KinectClip:
    """Read a `.skeleton` file.

    Args:
        data: The whole file; LF or CRLF, with or without a UTF-8 byte order mark.
        where: Name of the file, for messages.

    Returns:
        The clip. Every coordinate is `np.float32(float(text))`, bit for bit.

    Raises:
        RawFormatError: If the text is cut, has lines left over, counts that are not possible, or a
            coordinate that is no number float32 can hold; the place is named.
    """
    text = data.removeprefix(BOM)
    clip = _by_kernel(text)
    if clip is not None:
        return clip
    text = text.rstrip(BLANKS)
    n_frames = _frames(text, where)
    clip = _by_arrays(text, n_frames)
    if clip is not None:
        return clip
    found, person = _walk(text.split(b"\n"), n_frames, where)
    values = _by_float(found.joints(), found)
    return KinectClip(
        n_frames=n_frames,
        frame=np.array(found.frame, np.uint32),
        person=np.array(person, np.int64),
        keypoints=values.reshape(-1, JOINTS, 3),
    )


def render(clip: KinectClip) -> bytes:
    """Write a clip as `.skeleton` text, the inverse of `parse`.

    Image coordinates are a pinhole projection with the sensor's nominal constants, orientations are 0
    and every joint counts as tracked, since a clip does not hold these columns.

    Args:
        clip: Poses in the order of their frames, at most 6 in one.

    Returns:
        The text with CRLF line ends; NaN is written as `nan`.

    Raises:
        ValueError: If frames are not in order or out of range, a frame has too many bodies, or a
            coordinate is infinite.
    """
    _check(clip)
    bodies = iter(zip(clip.person.tolist(), _with_image(clip.keypoints).tolist(), strict=True))
    lines = [str(clip.n_frames)]
    for count in np.bincount(clip.frame, minlength=clip.n_frames).tolist():
        lines.append(str(count))
        for person, values in itertools.islice(bodies, count):
            lines += [f"{person} 0 1 1 1 1 0 0 0 2", str(JOINTS), _BODY % tuple(values)]
    return "\r\n".join([*lines, ""]).encode("ascii")


def _frames(text: bytes, where: str) -> int:
    """The number of frames in line 1, held against the number of lines there are."""
    if not text:
        raise RawFormatError(f"{where}: is empty, expected the text of a .skeleton file.")
    first = text[:64].split(b"\n")[0]
    n_frames = _whole(first)
    if n_frames is None:
        raise RawFormatError(
            f"{where}, line 1: {_shown(first)}, expected the number of frames; is it a .skeleton file?"
        )
    if not 1 <= n_frames <= FRAMES:
        raise RawFormatError(f"{where}, line 1: {n_frames} frames, expected 1 to {FRAMES}.")
    rest = int(np.count_nonzero(np.frombuffer(text, np.uint8) == ord("\n")))  # `bytes.count` takes thrice as long
    if rest < n_frames:
        raise RawFormatError(f"{where}, line 1: {n_frames} frames, but only {rest} lines follow; is the file cut?")
    if rest > n_frames + len(text) // SHORTEST:  # before they are cut: short lines take far more room than the file
        raise RawFormatError(f"{where}, line 1: {n_frames} frames, but {rest} lines follow: too short to hold bodies.")
    return n_frames


@cache
def _kernel() -> "Callable[[bytes, int, int], Scanned | None] | None":
    """The compiled reader, where the extra `fast` is installed."""
    try:
        from skelbench.formats.kinect_fast import scan
    except ImportError:
        return None
    return scan


def _by_kernel(text: bytes) -> KinectClip | None:
    """The clip by the compiled reader; None where there is none, or where the text or a number is odd."""
    kernel = _kernel()
    begin = text.find(b"\n", 0, 64) + 1
    n_frames = _whole(text[:begin])
    if kernel is None or n_frames is None or not 1 <= n_frames <= FRAMES:
        return None
    scanned = kernel(text, begin, n_frames)
    if scanned is None or not _filled(scanned.keypoints, scanned.left, text):
        return None
    return KinectClip(n_frames, scanned.frame, scanned.person, scanned.keypoints)


def _by_arrays(text: bytes, n_frames: int) -> KinectClip | None:
    """The clip by whole arrays; None where the text or a number is odd."""
    scanned = kinect_arrays.scan(text, n_frames)
    if scanned is None or not _filled(scanned.keypoints, scanned.left, text):
        return None
    fields = [text[begin:end] for begin, end in scanned.person.tolist()]
    number = {field: _tracking_id(field) for field in set(fields)}
    if None in number.values():
        return None
    person = np.array([number[field] for field in fields], np.int64)
    return KinectClip(n_frames, scanned.frame, person, scanned.keypoints)


def _filled(keypoints: Float32[np.ndarray, "poses 25 3"], left: Int64[np.ndarray, "left 3"], text: bytes) -> bool:
    """Fill in the coordinates that were left; whether all of them are numbers."""
    flat = keypoints.reshape(-1)
    for place, begin, end in left.tolist():
        value = _value(text[begin:end])
        if value is None:
            return False
        flat[place] = value
    return True


def _walk(lines: list[bytes], n_frames: int, where: str) -> tuple[_Lines, list[int]]:
    """Find the bodies and their tracking ids, checking every line but the joints' own."""
    found = _Lines(where, lines, [], [])
    person: list[int] = []
    at = 1
    for frame in range(n_frames):
        bodies = _bodies(lines, at, frame, where)
        at += 1
        for body in range(bodies):
            if at + 2 >= len(lines):
                raise _cut(frame, body, n_frames, where)
            fields, joints = lines[at].split(), lines[at + 1]
            number = _tracking_id(fields[0]) if len(fields) == FIELDS_BODY else None
            if number is None:
                raise RawFormatError(f"{where}, line {at + 1}, frame {frame}, body {body}: {_no_body(fields)}.")
            if joints not in USUAL_COUNTS and _whole(joints) != JOINTS:
                raise RawFormatError(
                    f"{where}, line {at + 2}, frame {frame}: {_shown(joints)} joints, expected {JOINTS} (body {body})."
                )
            if at + LINES_BODY > len(lines):
                raise _cut(frame, body, n_frames, where)
            person.append(number)
            found.frame.append(frame)
            found.start.append(at + 2)
            at += LINES_BODY
    if at != len(lines):
        raise RawFormatError(
            f"{where}, line {at + 1}: {len(lines) - at} lines are left over after the {n_frames} frames of line 1."
        )
    return found, person


def _cut(frame: int, body: int, n_frames: int, where: str) -> RawFormatError:
    """The error for a file that ends within a body."""
    return RawFormatError(f"{where}: ends in frame {frame} of {n_frames}, body {body}; is the file cut?")


def _bodies(lines: list[bytes], at: int, frame: int, where: str) -> int:
    """The number of bodies of a frame."""
    if at >= len(lines):
        raise RawFormatError(f"{where}: ends before frame {frame}; is the file cut?")
    bodies = _whole(lines[at])
    if bodies is None or not 0 <= bodies <= BODIES:
        raise RawFormatError(
            f"{where}, line {at + 1}, frame {frame}: {_shown(lines[at])} bodies, expected 0 to {BODIES}."
        )
    return bodies


def _no_body(fields: list[bytes]) -> str:
    """What keeps a line from describing a body; its tracking id is no float, which would lose the last digits."""
    if len(fields) != FIELDS_BODY:
        return f"{len(fields)} fields, expected {FIELDS_BODY} that describe a body"
    return f"tracking id {_shown(fields[0])}, expected an integer of 64 bits"


def _tracking_id(field: bytes) -> int | None:
    """The number that a field is; None where it is no whole one of 64 bits."""
    number = _whole(field)
    return number if number is not None and -(1 << 63) <= number < 1 << 63 else None


def _whole(line: bytes) -> int | None:
    """A line that is one decimal integer, or None; `int` alone would also take underscores."""
    digits = line.strip(BLANKS)
    if digits.isdigit() and len(digits) <= 20:
        return int(digits)
    if digits[:1] in (b"-", b"+") and digits[1:].isdigit() and len(digits) <= 20:
        return int(digits)
    return None


def _by_float(joints: list[bytes], found: _Lines) -> Float32[np.ndarray, "rows 3"]:
    """Coordinates by `float`, one at a time: exact, and able to say what is wrong and where."""
    values = np.empty((len(joints), 3), np.float64)
    for row, line in enumerate(joints):
        # `split` alone would also part at control characters, which no number may hold
        fields = [field for field in line.rstrip(b"\r").replace(b"\t", b" ").split(b" ") if field]
        if len(fields) != FIELDS_JOINT:
            found.fail(row, f"{len(fields)} fields, expected {FIELDS_JOINT}")
        for axis in range(3):
            values[row, axis] = _coordinate(fields[axis], row, "xyz"[axis], found)
    return values.astype(np.float32)


def _coordinate(field: bytes, row: int, axis: str, found: _Lines) -> float:
    """One number; NaN text is a missing value."""
    value = _value(field)
    if value is None:
        found.fail(row, f"{axis} is {_shown(field)}, expected a finite number that float32 can hold, or NaN")
    return value


def _value(field: bytes) -> float | None:
    """The number that a field is; None where it is none that float32 can hold."""
    try:
        value = float(field)
    except ValueError:
        return None
    # `float` alone also takes underscores, infinities, and control characters at either end
    return None if b"_" in field or field != field.strip() or abs(value) >= TOO_LARGE else value


def _shown(line: bytes) -> str:
    """A short, printable form of a line."""
    text = line.strip(BLANKS)[:24]
    plain = text.isascii() and text.decode("ascii").isprintable() and text
    return text.decode("ascii") if plain else repr(text)[1:]


def _check(clip: KinectClip) -> None:
    """Refuse what the text cannot say."""
    frame = clip.frame.astype(np.int64)
    if frame.size and (frame[-1] >= clip.n_frames or (np.diff(frame) < 0).any()):
        raise ValueError(f"Frames of a .skeleton file must rise and lie below n_frames = {clip.n_frames}.")
    if frame.size and np.bincount(frame).max() > BODIES:
        raise ValueError(f"A frame of a .skeleton file holds at most {BODIES} bodies.")
    if np.isinf(clip.keypoints).any():
        raise ValueError("A .skeleton file holds no infinite coordinate.")


def _with_image(keypoints: Float32[np.ndarray, "poses 25 3"]) -> Float32[np.ndarray, "poses numbers"]:
    """Seven numbers a joint: x, y, z, then its place in the 512x424 depth and the 1920x1080 colour image."""
    x, y, z = np.moveaxis(keypoints, -1, 0)
    with np.errstate(all="ignore"):
        over, up = x / z, y / z  # a joint in the plane of the lens has no image
        image = [256 + 365 * over, 207 - 365 * up, 960 + 1060 * over, 540 - 1060 * up]
    image = [np.where(np.isfinite(axis), axis, np.float32(np.nan)) for axis in image]
    return np.stack([x, y, z, *image], axis=-1).reshape(len(keypoints), JOINTS * 7)
