"""Numbers read many at once are those that `float` reads one at a time."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from skelbench.formats.decimals import LONGEST, decimals

PLAIN = st.from_regex(r"-?[0-9]{1,9}(\.[0-9]{0,6})?|-?\.[0-9]{1,15}|-?[0-9]{1,16}", fullmatch=True)
SHORTEST = st.floats(allow_nan=False, allow_infinity=False, width=32).map(lambda value: f"{value:.7g}")
ANY = st.text("0123456789.-+eEnaif_x", min_size=1, max_size=24)


def read(tokens: list[str]) -> tuple[list[float], list[bool]]:
    text = (" " * LONGEST + " ".join(tokens) + " ").encode()
    end = LONGEST - 1 + np.cumsum([len(token) + 1 for token in tokens])
    begin = end - [len(token) for token in tokens]
    values, odd = decimals(np.frombuffer(text, np.uint8), begin, end)
    return values.tolist(), odd.tolist()


def is_plain(token: str) -> bool:
    """Digits, at most one point and a minus before them, few enough that they count exactly."""
    digits = token.removeprefix("-").replace(".", "", 1)
    return digits.isdigit() and len(token.removeprefix("-")) <= LONGEST and int(digits) < 1 << 53


@given(st.lists(PLAIN | SHORTEST | ANY, min_size=1, max_size=40))
@example(["0", "-0", "-0.0", "5.", ".5", ".", "-", "-.", "1.2.3", "9007199254740991", "9007199254740992", "--1"])
@example(["0.000000000000001", "123456789012345.", "12345678.1234567", "1234567.12345678", "99999999.9999999"])
def test_every_number_is_that_of_float_to_the_bit_or_left(tokens: list[str]) -> None:
    values, odd = read(tokens)
    assert odd == [not is_plain(token) for token in tokens]
    for token, value, left in zip(tokens, values, odd, strict=True):
        assert left or np.float64(value).tobytes() == np.float64(float(token)).tobytes(), token


def test_no_numbers_are_none() -> None:
    nothing = np.zeros(0, np.int64)
    values, odd = decimals(np.frombuffer(b"", np.uint8), nothing, nothing)
    assert values.shape == odd.shape == (0,)
