"""The text of `kinect_text` by whole arrays, where there is no compiled reader.

It reads what nearly every file is: single blanks between fields, one kind of line end. What parts fields is found in
one pass; of a line of twelve fields only the first three are read. Numbers with an exponent are left to `float`, and a
text that is odd in any other way to `kinect_text`, which says what is wrong.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8, UInt32

from skelbench.formats.decimals import decimals

JOINTS: Final = 25
COORDINATES: Final = 3
FIELDS_BODY: Final = 10
FIELDS_JOINT: Final = 12
LINES_BODY: Final = JOINTS + 2
BODIES: Final = 6
BLANK, NEWLINE, RETURN, ZERO = b" \n\r0"


@dataclass(frozen=True)
class Scanned:
    """The bodies of a text; of their tracking ids only where they stand."""

    frame: UInt32[np.ndarray, " poses"]
    person: Int64[np.ndarray, "poses 2"]  # from where to where the text of a tracking id goes
    keypoints: Float32[np.ndarray, "poses 25 3"]
    left: Int64[np.ndarray, "left 3"]  # place among the coordinates, and from where to where its text goes


@dataclass(frozen=True)
class _Text:
    """A text cut into lines and fields."""

    code: UInt8[np.ndarray, " bytes"]
    gaps: Int64[np.ndarray, " gaps"]  # where what parts fields or ends lines stands
    ends: Int64[np.ndarray, " lines"]  # which of the gaps end a line
    fields: Int64[np.ndarray, " lines"]

    def begin(self, lines: Int64[np.ndarray, " some"]) -> Int64[np.ndarray, " some"]:
        """Where lines begin; the first of a text is none of them."""
        begin: Int64[np.ndarray, " some"] = self.gaps[self.ends[lines - 1]] + 1
        return begin

    def field_end(self, lines: Int64[np.ndarray, " some"], fields: int) -> Int64[np.ndarray, " some"]:
        """Where the first few fields of lines end."""
        end: Int64[np.ndarray, " some"] = self.gaps[self.ends[lines - 1] + fields]
        return end


def scan(text: bytes, n_frames: int) -> Scanned | None:
    """Read the frames of a text.

    Args:
        text: The whole file, no white space at its end.
        n_frames: As its first line says.

    Returns:
        Its bodies, but for the coordinates that are `left`; None where the text is odd.
    """
    cut = _cut(text)
    if cut is None:
        return None
    bodies = np.flatnonzero(cut.fields == FIELDS_BODY)
    joints = np.flatnonzero(cut.fields == FIELDS_JOINT)
    frame = _frame_of_each(cut, bodies, joints, n_frames)
    if frame is None:
        return None
    person = np.stack([cut.begin(bodies), cut.field_end(bodies, 1)], axis=1)
    keypoints, left = _numbers(cut, joints)
    return Scanned(frame, person, keypoints, left)


def _cut(text: bytes) -> _Text | None:
    """The text's lines and fields; None where not single blanks alone part the fields, or line ends differ."""
    wide = text.find(b"\r", 0, 64) >= 0
    whole = text + (b"\r\n" if wide else b"\n")
    code = np.frombuffer(whole, np.uint8)
    gap = code <= BLANK
    if 3 * np.count_nonzero(gap) > 2 * len(code):  # a frame without a body has most: "0", and the end of its line
        return None
    gaps = np.flatnonzero(gap)
    kind = code[gaps]
    ends = np.flatnonzero(kind == NEWLINE)
    lines = len(ends)
    if wide and not (kind[ends - 1] == RETURN).all():
        return None
    # Only the two bytes of a line's end may be neighbours, and all but these are blanks.
    alone = gaps[0] > 0 and np.count_nonzero(np.diff(gaps) == 1) == wide * lines
    if not alone or np.count_nonzero(kind == BLANK) != len(gaps) - lines * (1 + wide):
        return None
    return _Text(code, gaps, ends, np.diff(ends, prepend=-1) - wide)


def _frame_of_each(
    cut: _Text, bodies: Int64[np.ndarray, " poses"], joints: Int64[np.ndarray, " joints"], n_frames: int
) -> UInt32[np.ndarray, " poses"] | None:
    """The frame of each body; None where lines do not follow each other as they should."""
    lines = len(cut.fields)
    if lines != 1 + n_frames + LINES_BODY * len(bodies) or len(joints) != JOINTS * len(bodies):
        return None
    rows = bodies[:, None] + np.arange(LINES_BODY)
    if not (np.array_equal(rows[:, 2:].reshape(-1), joints) and _is_number(cut, bodies + 1, JOINTS).all()):
        return None
    frames = np.ones(lines, np.bool_)
    frames[0] = False
    frames[rows] = False
    begin = np.flatnonzero(frames)
    found = np.diff(begin, append=lines) // LINES_BODY  # the bodies between, each of 27 lines in a row
    if len(begin) != n_frames or begin[0] != 1 or found.max() > BODIES or not _is_number(cut, begin, found).all():
        return None
    return np.repeat(np.arange(n_frames, dtype=np.uint32), found)


def _is_number(
    cut: _Text, lines: Int64[np.ndarray, " some"], wanted: Int64[np.ndarray, " some"] | int
) -> Bool[np.ndarray, " some"]:
    """Whether lines are just the numbers wanted, below 100, without a zero before them."""
    begin = cut.begin(lines)
    length = cut.field_end(lines, 1) - begin
    first, second = cut.code[begin].astype(np.int64) - ZERO, cut.code[begin + 1].astype(np.int64) - ZERO
    number = np.where(length == 1, first, first * 10 + second)
    alone = (cut.fields[lines] == 1) & (length == 1 + (np.asarray(wanted) >= 10))
    right: Bool[np.ndarray, " some"] = alone & (number == wanted)
    return right


def _numbers(
    cut: _Text, lines: Int64[np.ndarray, " joints"]
) -> tuple[Float32[np.ndarray, "poses 25 3"], Int64[np.ndarray, "left 3"]]:
    """The first three numbers of lines, and those that are left."""
    gap = cut.ends[lines - 1][:, None] + np.arange(COORDINATES + 1)
    gaps = cut.gaps[gap]
    begin, end = (gaps[:, :-1] + 1).reshape(-1), gaps[:, 1:].reshape(-1)
    values, odd = decimals(cut.code, begin, end)
    left = np.flatnonzero(odd)
    places = np.stack([left, begin[left], end[left]], axis=1)
    return values.astype(np.float32).reshape(-1, JOINTS, COORDINATES), places
