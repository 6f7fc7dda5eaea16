"""Many decimal numbers of a text at once, exact, by whole arrays.

A number is exact by construction: its digits make a whole number below 2^53, its power of ten is one of the first 23,
both of which 64-bit floats hold exactly, so their one quotient is the nearest to what is written (Clinger, How to read
floating point numbers accurately, 1990). Eight characters are looked at together in a word of 64 bits, the first in
its lowest byte.
"""

from typing import Final

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8, UInt64

LONGEST: Final = 16  # characters of a number without its sign; longer ones are left
_WORD: Final = 8
_EXACT: Final = np.uint64(1 << 53)
_WHOLE: Final = np.uint64(10) ** np.arange(LONGEST, dtype=np.uint64)
_TENFOLD: Final = _WHOLE * np.uint64(10)
_TENS: Final = _WHOLE.astype(np.float64)
_MINUS, _POINT, _ZERO = b"-.0"
_ZEROS, _LOWER, _HIGHEST, _TO_HIGHEST = (np.uint64(byte * 0x0101010101010101) for byte in (_ZERO, 127, 128, 118))
_POINT_CODE: Final = np.uint64(_POINT ^ _ZERO)
_POINTS: Final = _POINT_CODE * np.uint64(0x0101010101010101)
_LAST: Final = np.array([(1 << 64) - (1 << 8 * (8 - many)) for many in range(9)], np.uint64)  # the last so many bytes
_PAIRS, _HUNDREDS, _MILLIONS, _TEN_TO_8 = (
    np.uint64(number) for number in (0x000000FF000000FF, 0x0000271000000001, 0x000F424000000064, 10**8)
)

_COUNT: Final = np.uint64(0x0706050403020100)  # its bytes in turn, the highest first

Words = UInt64[np.ndarray, " numbers"]


def decimals(
    code: UInt8[np.ndarray, " bytes"], begin: Int64[np.ndarray, " numbers"], end: Int64[np.ndarray, " numbers"]
) -> tuple[Float64[np.ndarray, " numbers"], Bool[np.ndarray, " numbers"]]:
    """Read numbers, each of digits with at most a minus before and a point among them.

    Args:
        code: The text, contiguous.
        begin: Where each number begins; its end is 16 bytes from the start of the text or more.
        end: Where it ends.

    Returns:
        The values, equal to `float` of the text bit for bit; and which ones are written otherwise (an exponent, NaN,
        no number at all, too many digits), whose values mean nothing.
    """
    if not len(begin):
        return np.zeros(0), np.zeros(0, np.bool_)
    negative = code[begin] == _MINUS
    length = end - begin - negative
    kept = np.minimum(length, LONGEST)
    last = _kept(_words(code, end - _WORD), np.minimum(kept, _WORD))
    first = _kept(_words(code, end - LONGEST), np.maximum(kept - _WORD, 0))
    points = _marks(first), _marks(last)
    either = points[0] | points[1]
    odd = (length > LONGEST) | (length <= (either != 0))
    odd |= ((either & (either - np.uint64(1))) | (points[0] & points[1])) != 0  # two points, in one word or in both
    first, last = _cleared(first, points[0]), _cleared(last, points[1])
    odd |= (_no_digits(first) | _no_digits(last)) != 0
    behind = np.minimum(_above(points[1]) + _above(points[0]) + (points[0] != 0) * np.uint64(_WORD), LONGEST - 1)
    whole = _number(first) * _TEN_TO_8 + _number(last)  # with a zero where the point was, so tenfold before it
    before = whole // _TENFOLD[behind]
    whole -= np.where(either != 0, before * (_TENFOLD[behind] - _WHOLE[behind]), 0)
    odd |= whole >= _EXACT
    values = whole.astype(np.float64) / _TENS[behind]
    return np.where(negative, -values, values), odd


def _words(code: UInt8[np.ndarray, " bytes"], places: Int64[np.ndarray, " numbers"]) -> Words:
    """The eight bytes from each place on; they need not lie at a multiple of eight."""
    every = np.ndarray((len(code) - _WORD + 1,), "V8", code, strides=(1,))
    words: Words = every[places].view("<u8")
    return words


def _kept(words: Words, many: Int64[np.ndarray, " numbers"]) -> Words:
    """Characters as the digits that they are, all but the last so many as 0."""
    digits: Words = (words ^ _ZEROS) & _LAST[many]
    return digits


def _marks(digits: Words) -> Words:
    """The highest bit of each byte that is a point."""
    other = digits ^ _POINTS
    marks: Words = (((other & _LOWER) + _LOWER) | other) & _HIGHEST ^ _HIGHEST
    return marks


def _cleared(digits: Words, points: Words) -> Words:
    """The same with 0 where a point is."""
    cleared: Words = digits ^ ((points >> np.uint64(7)) * _POINT_CODE)
    return cleared


def _above(point: Words) -> Words:
    """How many bytes lie above that of a point; 0 where there is none."""
    above: Words = ((point >> np.uint64(7)) * _COUNT) >> np.uint64(56)
    return above


def _no_digits(digits: Words) -> Words:
    """The highest bit of each byte above 9."""
    marks: Words = ((digits & _LOWER) + _TO_HIGHEST | digits) & _HIGHEST
    return marks


def _number(digits: Words) -> Words:
    """The number that eight digits make: pairs of neighbours, then of pairs, then of these."""
    pairs = digits * np.uint64(10) + (digits >> np.uint64(8))
    number: Words = ((pairs & _PAIRS) * _MILLIONS + ((pairs >> np.uint64(16)) & _PAIRS) * _HUNDREDS) >> np.uint64(32)
    return number
