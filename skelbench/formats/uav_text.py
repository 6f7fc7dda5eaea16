"""The skeleton text of UAV-Human: NTU's arrangement of lines with 2-D joints.

Line 1 is the number of frames; each frame is a line with its number of bodies; each body is a line of information,
a line with the number of joints, and a line a joint, of which the first two fields are x and y in pixels. Frames,
bodies and joints are counted from 0 in messages, lines from 1.

Source: liujf69/ICMEW2024-Track10, Process_data/extract_2dpose.py; as08gIQ31/Skeleton-MixFormer0, data/uav.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
from jaxtyping import Float32, UInt32

from skelbench.errors import RawFormatError

BODIES = 16  # more than any frame shows; readers of others know of two
FRAMES = 100_000  # an hour at 30 frames a second; the longest clip has 305
FIELDS = 7  # of a joint, at least
MOST_FIELDS = 64
_BLANKS = b" \t\r\n"
_INFORMATION = b"000 0 0 0 0 0 0 0 0 0"


@dataclass(frozen=True)
class PlaneClip:
    """The bodies of one file, in file order."""

    n_frames: int  # as the file says, frames without a body included
    frame: UInt32[np.ndarray, " poses"]
    keypoints: Float32[np.ndarray, "poses joints 2"]  # pixels; NaN where the file says nan


def parse(data: bytes, joints: int, where: str) -> PlaneClip:
    """Read a file.

    Args:
        data: The whole file; LF or CRLF, with or without a UTF-8 byte order mark.
        joints: Joints that every body must have.
        where: Name of the file, for messages.

    Returns:
        The clip. Every coordinate is `np.float32(float(text))`.

    Raises:
        RawFormatError: If the text is cut, has lines left over, counts that are not possible, joint lines of
            different lengths, or a coordinate that is no number float32 can hold; the place is named.
    """
    lines = data.removeprefix(b"\xef\xbb\xbf").rstrip(_BLANKS).split(b"\n")
    n_frames = _count(lines, 0, FRAMES, "frames", where)
    frame: list[int] = []
    start: list[int] = []
    at = 1
    for number in range(n_frames):
        bodies = _count(lines, at, BODIES, "bodies", where)
        at += 1
        for _ in range(bodies):
            found = _count(lines, at + 1, FRAMES, "joints", where)
            if found != joints:
                raise RawFormatError(f"{where}, line {at + 2}, frame {number}: {found} joints, expected {joints}.")
            frame.append(number)
            start.append(at + 2)
            at += 2 + joints
    if at != len(lines):
        left = f"{len(lines) - at} lines are left over" if at < len(lines) else f"{at - len(lines)} lines lack"
        raise RawFormatError(f"{where}: {left} after the {n_frames} frames; is the file cut or joined?")
    rows = [line for begin in start for line in lines[begin : begin + joints]]
    values = _by_arrow(rows)
    if values is None:
        values = _by_float(rows, [begin + joint + 1 for begin in start for joint in range(joints)], where)
    return PlaneClip(n_frames, np.array(frame, np.uint32), values.reshape(len(frame), joints, 2))


def render(clip: PlaneClip) -> bytes:
    """Write a clip, the inverse of `parse`.

    Args:
        clip: Its poses in the order of their frames.

    Returns:
        The file, twelve fields a joint as in NTU's text; those that are not x and y are nominal.

    Raises:
        ValueError: If frames are out of order, or a frame holds more bodies than the text can say.
    """
    bodies = np.bincount(clip.frame, minlength=clip.n_frames)
    if (np.diff(clip.frame.astype(np.int64)) < 0).any() or bodies.max(initial=0) > BODIES:
        raise ValueError(f"poses must stand in the order of their frames, at most {BODIES} in each.")
    joints = clip.keypoints.shape[1]
    # Nine digits name every float32: the nearest double rounds back to it.
    row = "%.9g %.9g 0 0 0 %.9g %.9g 0 0 0 0 2"
    body = "\n".join([_INFORMATION.decode(), str(joints), *[row] * joints])
    twice = np.concatenate([clip.keypoints, clip.keypoints], axis=2).reshape(len(clip.keypoints), 4 * joints).tolist()
    poses = iter([body % tuple(values) for values in twice])
    lines = [str(clip.n_frames)]
    for count in bodies.tolist():
        lines += [str(count), *(next(poses) for _ in range(count))]
    return ("\n".join(lines) + "\n").encode("ascii")


def _count(lines: list[bytes], at: int, most: int, what: str, where: str) -> int:
    """A line that holds one whole number."""
    text = lines[at].strip(_BLANKS) if at < len(lines) else b""
    if text.isdigit() and len(text) <= 9 and int(text) <= most:
        return int(text)
    shown = text[:40].decode("ascii", "backslashreplace")
    found = f"'{shown}'" if at < len(lines) else "nothing"
    raise RawFormatError(f"{where}, line {at + 1}: {found}, expected a number of {what}, at most {most}.")


def _by_arrow(rows: list[bytes]) -> Float32[np.ndarray, "rows 2"] | None:
    """The first two fields of lines with equally many fields and single blanks; None where Arrow finds them odd."""
    fields = rows[0].strip(_BLANKS).count(b" ") + 1 if rows else 0
    text = b"\n".join(rows)
    if not FIELDS <= fields <= MOST_FIELDS or text.count(b" ") != (fields - 1) * len(rows) or b'"' in text:
        return None
    names = [str(number) for number in range(fields)]
    try:
        table = pacsv.read_csv(
            pa.BufferReader(text),
            pacsv.ReadOptions(use_threads=False, block_size=max(1 << 16, len(text) + 1), column_names=names),
            pacsv.ParseOptions(delimiter=" ", quote_char=False, ignore_empty_lines=False),
            pacsv.ConvertOptions(
                column_types=dict.fromkeys(names[:2], pa.float64()), include_columns=names[:2], null_values=[]
            ),
        )
    except pa.ArrowInvalid:
        return None
    if table.num_rows != len(rows):
        return None
    values = np.stack([table.column(name).to_numpy() for name in names[:2]], axis=1)
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float32)
    return None if np.isinf(rounded).any() else rounded


def _by_float(rows: list[bytes], numbers: list[int], where: str) -> Float32[np.ndarray, "rows 2"]:
    """The same by Python's own rules, saying what is wrong and in which line."""
    values = np.empty((len(rows), 2))
    fields = len(rows[0].split()) if rows else 0
    for place, (row, number) in enumerate(zip(rows, numbers, strict=True)):
        parts = row.split()
        if len(parts) != fields or not FIELDS <= fields <= MOST_FIELDS:
            raise RawFormatError(
                f"{where}, line {number}: {len(parts)} fields, expected as many as in other lines of joints, "
                f"{FIELDS} at least."
            )
        try:
            values[place] = float(parts[0]), float(parts[1])
        except ValueError as error:
            raise RawFormatError(f"{where}, line {number}: no number: {error}.") from error
        if b"_" in parts[0] + parts[1]:  # which Python takes for a number
            raise RawFormatError(f"{where}, line {number}: no number: {b' '.join(parts[:2])[:60]!r}.")
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float32)
    for place in np.flatnonzero(np.isinf(rounded).any(axis=1))[:1].tolist():
        raise RawFormatError(f"{where}, line {numbers[place]}: a coordinate that float32 cannot hold.")
    return rounded
