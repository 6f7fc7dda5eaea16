"""The text of `kinect_text` by a compiled kernel, for the extra `fast`.

It reads what nearly every file is: single blanks between fields, decimal numbers of a few digits. Whatever else a
field holds is left to `float`, and a text that is odd in any other way to `kinect_text`, which says what is wrong.

A number is exact by construction: its digits make a whole number below 2^53, its power of ten one below 10^22, both
of which 64-bit floats hold exactly, so their one quotient or product is the nearest to what is written (Clinger, How
to read floating point numbers accurately, 1990).

The kernel reads through bare pointers: numba would count who refers to an array at each call that is given one, and
would look whether a place counts from the end for each byte. So every place is checked against the size by hand.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeAlias, cast

import numpy as np
from jaxtyping import Float32, Int64, UInt8, UInt32
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numba.np import arrayobj

from skelbench.machine_code import compiled, inlined

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
BLANK, RETURN, NEWLINE, POINT, MINUS, PLUS, ZERO, SMALL_E, TO_SMALL = 32, 13, 10, 46, 45, 43, 48, 101, 32

WORD: Final = 8  # bytes of a number that are looked at together
LONG: Final = 2 * WORD  # digits that are counted together
WIDE: Final = 32  # bytes that are passed together
LOWER_HALF: Final = np.uint64((1 << WIDE) - 1)
ZEROS: Final = np.uint64(ZERO * 0x0101010101010101)
WHOLE_TENS: Final = np.array([10**power for power in range(LONG)], np.uint64)
# Of two words that end with so many digits, the first and the last: the bytes that are digits, all bits of each set.
FIRST_WORD, LAST_WORD = (
    np.array([(1 << 64) - (1 << 8 * min(max(full - count, 0), WORD)) for count in range(LONG)], np.uint64)
    for full in (LONG, WORD)
)

Bytes: TypeAlias = UInt8[np.ndarray, " bytes"]


class Scanned(NamedTuple):
    """The bodies of a text."""

    frame: UInt32[np.ndarray, " poses"]
    person: Int64[np.ndarray, " poses"]
    keypoints: Float32[np.ndarray, "poses 25 3"]
    left: Int64[np.ndarray, "left 3"]  # place among the coordinates, and from where to where its text goes


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
    end, poses, left = _frames(np.frombuffer(text, np.uint8), begin, n_frames, *found)
    if end < 0 or text[end:].strip(b" \t\r\n"):
        return None
    return Scanned(
        found.frame[:poses].copy(), found.person[:poses].copy(), found.keypoints[:poses].copy(), found.left[:left]
    )


def _how_bare(context: Any, array: Any) -> Any:
    """Where the values of an array lie, without the array; the caller keeps it alive."""

    def data(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        """The array's pointer."""
        make: Any = arrayobj.make_array(signature.args[0])  # type: ignore[no-untyped-call]  # numba's
        return make(context, builder, arguments[0]).data

    pointer: Any = types.CPointer(array.dtype)  # type: ignore[no-untyped-call]  # numba's
    return pointer(array), data


def _how_word(context: Any, u: Any, place: Any) -> Any:
    """Eight bytes from a place on, the first the lowest; they need not lie at a multiple of eight."""
    return types.uint64(u, place), lambda _, builder, __, given: _load(builder, given, ir.IntType(8 * WORD))


def _how_blanks(context: Any, u: Any, place: Any) -> Any:
    """Which of 32 bytes from a place on are below a blank, in the lower half of the bits, and which are one."""

    def bits(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        """A load and two comparisons."""
        found = _load(builder, arguments, ir.VectorType(ir.IntType(8), WIDE))
        below, equal = (_bits(builder, builder.icmp_unsigned(how, found, _all(found, BLANK))) for how in ("<", "=="))
        return builder.or_(below, builder.shl(equal, ir.Constant(equal.type, WIDE)))

    return types.uint64(u, place), bits


def _how_others(context: Any, u: Any, place: Any) -> Any:
    """Which of 16 bytes from a place on are no digits, a bit each."""

    def bits(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        """A load and a comparison."""
        found = _load(builder, arguments, ir.VectorType(ir.IntType(8), LONG))
        digits = builder.sub(found, _all(found, ZERO))
        return _bits(builder, builder.icmp_unsigned(">", digits, _all(found, 9)))

    return types.uint64(u, place), bits


def _how_lowest(context: Any, word: Any) -> Any:
    """The place of the lowest bit that is set; there must be one."""
    return types.uint64(word), lambda _, builder, __, given: builder.cttz(given[0], ir.Constant(ir.IntType(1), 1))


def _how_ones(context: Any, word: Any) -> Any:
    """How many bits are set."""
    return types.uint64(word), lambda _, builder, __, given: builder.ctpop(given[0])


def _load(builder: Any, arguments: Any, kind: Any) -> Any:
    """What lies at a place behind a pointer, wherever that is."""
    found = builder.load(builder.bitcast(builder.gep(arguments[0], [arguments[1]]), ir.PointerType(kind)))
    found.align = 1
    return found


def _all(vector: Any, byte: int) -> Any:
    """A vector of one byte."""
    return ir.Constant(vector.type, [ir.Constant(ir.IntType(8), byte)] * vector.type.count)


def _bits(builder: Any, flags: Any) -> Any:
    """Truths side by side as the bits of a number, the first the lowest."""
    return builder.zext(builder.bitcast(flags, ir.IntType(flags.type.count)), ir.IntType(64))


# Single instructions, which Python has no word for.
_bare = cast("Callable[[np.ndarray], Any]", intrinsic(_how_bare))
_word = cast("Callable[[Bytes, int], np.uint64]", intrinsic(_how_word))
_blanks = cast("Callable[[Bytes, int], np.uint64]", intrinsic(_how_blanks))
_others = cast("Callable[[Bytes, int], np.uint64]", intrinsic(_how_others))
_lowest = cast("Callable[[np.uint64], np.uint64]", intrinsic(_how_lowest))
_ones = cast("Callable[[np.uint64], np.uint64]", intrinsic(_how_ones))


@compiled
def _frames(  # noqa: PLR0913  (an array inside of something else could not be taken out of it)
    text: Bytes,
    p: int,
    n_frames: int,
    frame: UInt32[np.ndarray, " room"],
    person: Int64[np.ndarray, " room"],
    keypoints: Float32[np.ndarray, "room 25 3"],
    over: Int64[np.ndarray, "most_left 3"],
) -> tuple[int, int, int]:
    """Fill the arrays; where the frames end, -1 where the text is odd, how many poses there are, and numbers left."""
    u, size, room = _bare(text), text.size, frame.size
    frame_of, person_of, flat, rest = _bare(frame), _bare(person), _bare(keypoints), _bare(over)
    pose = left = 0
    for number in range(n_frames):
        if p + 1 >= size:
            return -1, 0, 0
        bodies = np.int64(u[p]) - ZERO
        p = _end(u, size, p + 1)
        if not 0 <= bodies <= BODIES or p < 0 or pose + bodies > room:
            return -1, 0, 0
        for _ in range(bodies):
            frame_of[pose] = number
            p, person_of[pose] = _person(u, size, p)
            for joint in range(JOINTS):
                p, left = _joint(u, size, p, flat, (pose * JOINTS + joint) * COORDINATES, rest, left)
            pose += 1
        if p < 0:
            return -1, 0, 0
    return p, pose, left


@inlined
def _joint(  # noqa: PLR0913  (see above)
    u: Bytes,
    size: int,
    p: int,
    flat: Float32[np.ndarray, " coordinates"],
    place: int,
    over: Int64[np.ndarray, " numbers"],
    left: int,
) -> tuple[int, int]:
    """Read the line of a joint; where the next one begins, -1 where this one is odd, and how many numbers are left."""
    if p < 0 or p >= size:
        return -1, left
    for axis in range(COORDINATES):
        begin = p
        p, value = _number(u, size, p)
        if p < 0:
            p = _field(u, begin)
            if p == begin or left == MOST_LEFT:
                return -1, left
            over[3 * left], over[3 * left + 1], over[3 * left + 2] = place + axis, begin, p
            left += 1
        if u[p] != BLANK:
            return -1, left
        flat[place + axis] = value
        p += 1
    return _rest(u, size, p, FIELDS_JOINT - COORDINATES), left


@inlined
def _person(u: Bytes, size: int, p: int) -> tuple[int, np.int64]:
    """Read the two lines before the joints of a body; where these begin, -1 where they are odd, and the tracking id."""
    if p < 0 or p >= size:
        return -1, np.int64(0)
    negative = u[p] == MINUS
    p += negative
    begin = p
    p, number = _digits(u, p, np.int64(0))
    if not 0 < p - begin <= DIGITS or u[p] != BLANK:
        return -1, number
    p = _rest(u, size, p + 1, FIELDS_BODY - 1)
    if p < 0 or p + 2 >= size or u[p] != ZERO + JOINTS // 10 or u[p + 1] != ZERO + JOINTS % 10:
        return -1, number
    return _end(u, size, p + 2), -number if negative else number


@inlined
def _number(u: Bytes, size: int, p: int) -> tuple[int, float]:
    """Read a decimal number; where it ends, -1 where that is no exact one, and its value."""
    negative = u[p] == MINUS
    end, value = _usual(u, size, p + negative)
    if end < 0:
        end, value = _unusual(u, p + negative)
    return end, value * (1.0 - 2.0 * negative)


@inlined
def _usual(u: Bytes, size: int, p: int) -> tuple[int, float]:
    """Read a digit, a point, up to 15 digits and a blank; where that stands, -1 where anything is otherwise.

    Nothing here asks how many digits there are: a processor guesses what comes after a question, and of numbers with
    six to nine digits it would guess every other one wrong.
    """
    begin = p + 2
    whole = np.uint64(np.uint8(u[p] - np.uint8(ZERO)))
    if begin < LONG or begin + LONG > size or whole > np.uint64(9) or u[p + 1] != POINT:
        return -1, 0.0
    count = _lowest(_others(u, begin) | np.uint64(1 << (LONG - 1)))
    end = begin + int(count)
    first = (_word(u, end - LONG) ^ ZEROS) & FIRST_WORD[count]
    last = (_word(u, end - WORD) ^ ZEROS) & LAST_WORD[count]
    whole = whole * WHOLE_TENS[count] + _eight(first) * WHOLE_TENS[WORD] + _eight(last)
    return end if u[end] == BLANK and whole < np.uint64(EXACT) else -1, np.int64(whole) / TENS[count]


@inlined
def _eight(digits: np.uint64) -> np.uint64:
    """The number of eight digits, a byte each, the first the lowest."""
    pairs = digits * np.uint64(10) + (digits >> np.uint64(8))
    fours = np.uint64(0x000000FF000000FF)
    first = (pairs & fours) * np.uint64(0x000F424000000064)
    last = ((pairs >> np.uint64(16)) & fours) * np.uint64(0x0000271000000001)
    return (first + last) >> np.uint64(32)


@inlined
def _unusual(u: Bytes, p: int) -> tuple[int, float]:
    """Read any number without a sign, digit by digit; where it ends, -1 where that is no exact one, and its value."""
    begin = p
    p, whole = _digits(u, p, np.int64(0))
    power = 0
    digits = p - begin
    if u[p] == POINT:
        begin = p + 1
        p, whole = _digits(u, begin, whole)
        power = begin - p
        digits -= power
    if (u[p] | TO_SMALL) == SMALL_E:
        p, exponent = _exponent(u, p + 1)
        power += int(exponent)
    if p < 0 or not 0 < digits <= DIGITS or whole >= EXACT or not -len(TENS) < power < len(TENS):
        return -1, 0.0
    return p, whole / TENS[np.uintp(-power)] if power < 0 else whole * TENS[np.uintp(power)]


@inlined
def _exponent(u: Bytes, p: int) -> tuple[int, np.int64]:
    """Read what follows an E; where it ends, -1 where it is odd, and its value."""
    negative = u[p] == MINUS
    p += negative or u[p] == PLUS
    begin = p
    p, number = _digits(u, p, np.int64(0))
    return (p if 0 < p - begin < DIGITS else -1), -number if negative else number


@inlined
def _digits(u: Bytes, p: int, whole: np.int64) -> tuple[int, np.int64]:
    """Read digits after those of a number; where they end, and the number, which is right up to 18 digits."""
    while True:
        digit = np.uint8(u[p] - np.uint8(ZERO))
        if digit > 9:
            return p, whole
        whole = whole * 10 + digit
        p += 1


@inlined
def _rest(u: Bytes, size: int, p: int, fields: int) -> int:
    """Pass as many fields to the end of a line; where the next one begins, -1 where they are odd."""
    blanks = doubles = np.uint64(0)
    before = np.uint64(u[p - 1] == BLANK)
    while p + WIDE <= size:
        found = _blanks(u, p)
        ends, here = found & LOWER_HALF, found >> np.uint64(WIDE)
        if ends:
            here &= (ends & (~ends + np.uint64(1))) - np.uint64(1)
        blanks += _ones(here)
        doubles |= here & (here << np.uint64(1) | before)
        if ends:
            p += int(_lowest(ends))
            break
        before = here >> np.uint64(WIDE - 1)
        p += WIDE
    else:
        while u[p] >= BLANK:
            blank = np.uint64(u[p] == BLANK)
            blanks += blank
            doubles |= blank & np.uint64(u[p - 1] == BLANK)
            p += 1
    return _end(u, size, p) if blanks == fields - 1 and not doubles and u[p - 1] != BLANK else -1


@inlined
def _field(u: Bytes, p: int) -> int:
    """Where a field ends; the text's last byte ends a line."""
    while u[p] > BLANK:
        p += 1
    return p


@inlined
def _end(u: Bytes, size: int, p: int) -> int:
    """Pass the end of a line; where the next one begins, -1 where something else stands here."""
    if p < size and u[p] == RETURN:
        p += 1
    return p + 1 if p < size and u[p] == NEWLINE else -1
