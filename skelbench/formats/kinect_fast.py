"""The text of `kinect_text` by a compiled kernel, for the extra `fast`.

It reads what nearly every file is: single blanks between fields, decimal numbers of a few digits. Whatever else a
field holds is left to `float`, and a text that is odd in any other way to `kinect_text`, which says what is wrong.

A number is exact by construction: its digits make a whole number below 2^53, its power of ten one below 10^22, both
of which 64-bit floats hold exactly, so their one quotient or product is the nearest to what is written (Clinger, How
to read floating point numbers accurately, 1990).

Places are turned into unsigned numbers where a byte is taken, since a signed one might count from the end: that
would have to be looked at for every byte.
"""

import inspect
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar, cast

import numba
import numpy as np
from jaxtyping import Float32, Int64, UInt8, UInt32
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numba.np import arrayobj

JOINTS: Final = 25
COORDINATES: Final = 3
FIELDS_BODY: Final = 10
FIELDS_JOINT: Final = 12
BODIES: Final = 6
SHORTEST_BODY: Final = 2 * FIELDS_BODY + 3 + JOINTS * 2 * FIELDS_JOINT  # bytes, if each field had one digit
MOST_LEFT: Final = 1 << 12  # numbers of a text that are left to `float`; where there are more it gains nothing
EXACT: Final = 1 << 53  # 64-bit floats hold every whole number up to here
DIGITS: Final = 18  # as many fit into 64 bits
TENS: Final = 10.0 ** np.arange(23)  # all powers of ten that 64-bit floats hold exactly
WORD: Final = 8  # bytes that are looked at together
BLANKS, LOWER, HIGHEST = (np.uint64(byte * 0x0101010101010101) for byte in (32, 127, 128))  # one byte, eight times
BLANK, RETURN, NEWLINE, POINT, MINUS, PLUS, ZERO, SMALL_E, TO_SMALL = 32, 13, 10, 46, 45, 43, 48, 101, 32

Function = TypeVar("Function", bound=Callable[..., object])


class Scanned(NamedTuple):
    """The bodies of a text."""

    frame: UInt32[np.ndarray, " poses"]
    person: Int64[np.ndarray, " poses"]
    keypoints: Float32[np.ndarray, "poses 25 3"]
    left: Int64[np.ndarray, "left 3"]  # place among the coordinates, and from where to where its text goes


def _compiled(function: Function) -> Function:
    """The function as machine code, kept on the disk; what a checker of types has put around it goes."""
    plain = inspect.unwrap(function)
    try:
        compiled = numba.njit(cache=True, nogil=True)(plain)
    except RuntimeError:  # no folder may be written: it is compiled in each process
        compiled = numba.njit(nogil=True)(plain)
    return cast(Function, compiled)


def _inlined(function: Function) -> Function:
    """A part of a compiled function: called as one of its own, it would count who refers to its arrays each time."""
    return cast(Function, numba.njit(nogil=True, inline="always")(inspect.unwrap(function)))


def scan(text: bytes, begin: int, n_frames: int) -> Scanned | None:
    """Read the frames of a text.

    Args:
        text: The whole file.
        begin: Where its second line begins.
        n_frames: As its first line says.

    Returns:
        Its bodies, but for the coordinates that are `left`; None where the text is odd.
    """
    text = text if text.endswith(b"\n") else text + b"\n"
    room = len(text) // SHORTEST_BODY
    found = Scanned(
        np.empty(room, np.uint32),
        np.empty(room, np.int64),
        np.empty((room, JOINTS, COORDINATES), np.float32),
        np.empty((MOST_LEFT, 3), np.int64),
    )
    flat = found.keypoints.reshape(-1)
    code = np.frombuffer(text, np.uint8)
    end, poses, left = _frames(code, begin, n_frames, found.frame, found.person, flat, found.left)
    if end < 0 or text[end:].strip(b" \t\r\n"):
        return None
    return Scanned(
        found.frame[:poses].copy(), found.person[:poses].copy(), found.keypoints[:poses].copy(), found.left[:left]
    )


def _how_word(context: Any, u: Any, place: Any) -> Any:
    """Eight bytes from a place on, the first the lowest; they need not lie at a multiple of eight."""

    def load(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        """One load."""
        array: Any = arrayobj.make_array(signature.args[0])  # type: ignore[no-untyped-call]  # numba's
        data = array(context, builder, arguments[0]).data
        word = builder.load(builder.bitcast(builder.gep(data, [arguments[1]]), ir.PointerType(ir.IntType(64))))
        word.align = 1
        return word

    return types.uint64(u, place), load


def _how_lowest(context: Any, word: Any) -> Any:
    """The place of the lowest bit that is set; there must be one."""
    return types.uint64(word), lambda _, builder, __, given: builder.cttz(given[0], ir.Constant(ir.IntType(1), 1))


def _how_ones(context: Any, word: Any) -> Any:
    """How many bits are set."""
    return types.uint64(word), lambda _, builder, __, given: builder.ctpop(given[0])


# Single instructions, which Python has no word for.
_word = cast("Callable[[UInt8[np.ndarray, ' bytes'], np.uintp], np.uint64]", intrinsic(_how_word))
_lowest = cast("Callable[[np.uint64], np.uint64]", intrinsic(_how_lowest))
_ones = cast("Callable[[np.uint64], np.uint64]", intrinsic(_how_ones))


@_compiled
def _frames(  # noqa: PLR0913  (an array inside of something else would be counted whenever it is touched)
    u: UInt8[np.ndarray, " bytes"],
    p: int,
    n_frames: int,
    frames: UInt32[np.ndarray, " room"],
    person: Int64[np.ndarray, " room"],
    flat: Float32[np.ndarray, " coordinates"],
    over: Int64[np.ndarray, "most_left 3"],
) -> tuple[int, int, int]:
    """Fill the arrays; where the frames end, -1 where the text is odd, how many poses there are, and numbers left."""
    pose = left = 0
    for frame in range(n_frames):
        if p + 1 >= u.size:
            return -1, 0, 0
        bodies = np.int64(u[p]) - ZERO
        p = _end(u, p + 1)
        if not 0 <= bodies <= BODIES or p < 0 or pose + bodies > len(frames):
            return -1, 0, 0
        for _ in range(bodies):
            if p >= u.size:
                return -1, 0, 0
            frames[pose] = frame
            p, person[pose] = _person(u, p)
            for joint in range(JOINTS):
                if p < 0 or p >= u.size:
                    return -1, 0, 0
                p, left = _joint(u, p, (pose * JOINTS + joint) * COORDINATES, flat, left, over)
            pose += 1
        if p < 0:
            return -1, 0, 0
    return p, pose, left


@_inlined
def _joint(
    u: UInt8[np.ndarray, " bytes"],
    p: int,
    place: int,
    flat: Float32[np.ndarray, " coordinates"],
    left: int,
    over: Int64[np.ndarray, "most_left 3"],
) -> tuple[int, int]:
    """Read the line of a joint; where the next one begins, -1 where this one is odd, and how many numbers are left."""
    for axis in range(COORDINATES):
        begin = p
        p, value = _number(u, p)
        if p < 0:
            p = _field(u, begin)
            if p == begin or left == MOST_LEFT:
                return -1, left
            over[left, 0], over[left, 1], over[left, 2] = place + axis, begin, p
            left += 1
        if u[np.uintp(p)] != BLANK:
            return -1, left
        flat[place + axis] = value
        p += 1
    return _rest(u, p, FIELDS_JOINT - COORDINATES), left


@_inlined
def _person(u: UInt8[np.ndarray, " bytes"], p: int) -> tuple[int, np.int64]:
    """Read the two lines before the joints of a body; where these begin, -1 where they are odd, and the tracking id."""
    negative = u[np.uintp(p)] == MINUS
    p += negative
    begin = p
    p, number = _digits(u, p, np.int64(0))
    if not 0 < p - begin <= DIGITS or u[np.uintp(p)] != BLANK:
        return -1, number
    p = _rest(u, p + 1, FIELDS_BODY - 1)
    if p < 0 or p + 2 >= u.size or u[p] != ZERO + JOINTS // 10 or u[p + 1] != ZERO + JOINTS % 10:
        return -1, number
    return _end(u, p + 2), -number if negative else number


@_inlined
def _number(u: UInt8[np.ndarray, " bytes"], p: int) -> tuple[int, float]:
    """Read a decimal number; where it ends, -1 where that is no exact one, and its value."""
    negative = u[np.uintp(p)] == MINUS
    p += negative
    begin = p
    p, whole = _digits(u, p, np.int64(0))
    power = 0
    digits = p - begin
    if u[np.uintp(p)] == POINT:
        begin = p + 1
        p, whole = _digits(u, begin, whole)
        power = begin - p
        digits -= power
    if (u[np.uintp(p)] | TO_SMALL) == SMALL_E:
        p, exponent = _exponent(u, p + 1)
        power += int(exponent)
    if p < 0 or not 0 < digits <= DIGITS or whole >= EXACT or not -len(TENS) < power < len(TENS):
        return -1, 0.0
    value = whole / TENS[np.uintp(-power)] if power < 0 else whole * TENS[np.uintp(power)]
    return p, -value if negative else value


@_inlined
def _exponent(u: UInt8[np.ndarray, " bytes"], p: int) -> tuple[int, np.int64]:
    """Read what follows an E; where it ends, -1 where it is odd, and its value."""
    negative = u[np.uintp(p)] == MINUS
    p += negative or u[np.uintp(p)] == PLUS
    begin = p
    p, number = _digits(u, p, np.int64(0))
    return (p if 0 < p - begin < DIGITS else -1), -number if negative else number


@_inlined
def _digits(u: UInt8[np.ndarray, " bytes"], p: int, whole: np.int64) -> tuple[int, np.int64]:
    """Read digits after those of a number; where they end, and the number, which is right up to 18 digits."""
    while True:
        digit = np.uint8(u[np.uintp(p)] - np.uint8(ZERO))
        if digit > 9:
            return p, whole
        whole = whole * 10 + digit
        p += 1


@_inlined
def _rest(u: UInt8[np.ndarray, " bytes"], p: int, fields: int) -> int:
    """Pass as many fields to the end of a line; where the next one begins, -1 where they are odd."""
    blanks = doubles = np.uint64(0)
    before = np.uint64(HIGHEST if u[np.uintp(p - 1)] == BLANK else 0) >> np.uint64(56)
    while p + WORD <= u.size:
        word = _word(u, np.uintp(p))
        ends = ((word | HIGHEST) - BLANKS) & HIGHEST ^ HIGHEST  # the highest bit of each byte below a blank
        other = word ^ BLANKS
        here = (((other & LOWER) + LOWER) | other) & HIGHEST ^ HIGHEST  # and of each blank
        if ends:
            here &= (ends & (~ends + np.uint64(1))) - np.uint64(1)
        blanks += _ones(here)
        doubles |= here & (here << np.uint64(8) | before)
        if ends:
            p += int(_lowest(ends) >> np.uint64(3))
            break
        before = here >> np.uint64(56)
        p += WORD
    else:
        while u[np.uintp(p)] >= BLANK:
            blank = np.uint64(u[np.uintp(p)] == BLANK)
            blanks += blank
            doubles |= blank & np.uint64(u[np.uintp(p - 1)] == BLANK)
            p += 1
    return _end(u, p) if blanks == fields - 1 and not doubles and u[np.uintp(p - 1)] != BLANK else -1


@_inlined
def _field(u: UInt8[np.ndarray, " bytes"], p: int) -> int:
    """Where a field ends; the text's last byte ends a line."""
    while u[np.uintp(p)] > BLANK:
        p += 1
    return p


@_inlined
def _end(u: UInt8[np.ndarray, " bytes"], p: int) -> int:
    """Pass the end of a line; where the next one begins, -1 where something else stands here."""
    if p < u.size and u[np.uintp(p)] == RETURN:
        p += 1
    return p + 1 if p < u.size and u[np.uintp(p)] == NEWLINE else -1
