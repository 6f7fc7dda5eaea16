import time
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelbench.errors import RawFormatError
from skelbench.formats import kinect_text
from skelbench.formats.kinect_text import KinectClip, parse, render

REST = " 4 5 6 7 0 0 0 0 2"
ID = 72057594037931101


@pytest.fixture(autouse=True, params=["compiled", "plain"], scope="module")
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every test runs with the compiled reader and without it."""
    if request.param == "compiled":
        pytest.importorskip("numba")
        assert kinect_text._kernel() is not None
        yield request.param
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kinect_text, "_kernel", lambda: None)
        yield request.param


def body(joint: str = "0.1 0.2 0.3", *, person: str = str(ID), joints: int = 25) -> list[str]:
    return [f"{person} 0 1 1 1 1 0 0.1 0.2 2", str(joints), *[joint + REST] * joints]


def text(*frames: Sequence[list[str]], count: int | None = None, end: str = "\n") -> bytes:
    lines = [str(len(frames) if count is None else count)]
    for frame in frames:
        lines += [str(len(frame)), *(line for one in frame for line in one)]
    return end.join([*lines, ""]).encode()


def values(first: str) -> np.ndarray:
    """What `parse` makes of the first coordinate of a file."""
    return parse(text([body(f"{first} 0.2 0.3")]), "f").keypoints[0, 0, 0]


def test_a_file_gives_frames_ids_and_metres() -> None:
    clip = parse(text([body()], [], [body("1 2 3"), body("-1 -2 -3", person="7")]), "f")
    assert clip.n_frames == 3
    assert clip.frame.tolist() == [0, 2, 2]
    assert clip.person.tolist() == [ID, ID, 7]  # above 2^53, where a float would be off
    assert clip.keypoints.shape == (3, 25, 3)
    assert clip.keypoints[2, 24].tolist() == [-1, -2, -3]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_ends_and_a_byte_order_mark_change_nothing(end: str, mark: bytes) -> None:
    plain, other = parse(text([body()], [body()]), "f"), parse(mark + text([body()], [body()], end=end), "f")
    assert np.array_equal(plain.keypoints, other.keypoints)
    assert other.n_frames == 2


def test_the_last_line_may_lack_its_end() -> None:
    assert parse(text([body()]).rstrip(), "f").n_frames == 1


def test_frames_without_bodies_count() -> None:
    clip = parse(b"3\n0\n0\n0\n", "f")
    assert (clip.n_frames, len(clip.frame), clip.keypoints.shape) == (3, 0, (0, 25, 3))


@pytest.mark.parametrize(
    "odd", ["0.1\t0.2\t0.3", "0.1  0.2 0.3", " 0.1 0.2 0.3", "0.1 0.2 0.3 ", "\t0.1 0.2 0.3", "0.1 \t 0.2 0.3"]
)
def test_tabs_and_superfluous_blanks_change_nothing(odd: str) -> None:
    assert np.array_equal(parse(text([body(odd)]), "f").keypoints, parse(text([body()]), "f").keypoints)


@pytest.mark.parametrize(
    "line", ["0.1 0.2 0.3 4 5  6 7 0 0 0 2", "0.1 0.2 0.3 4 5 6 7 0 0 0 2 ", " 0.1 0.2 0.3 4 5 6 7 0 0 0 2"]
)
def test_a_blank_too_many_does_not_stand_for_a_lost_field(line: str) -> None:
    with pytest.raises(RawFormatError, match="line 10, frame 0, body 0, joint 5: 11 fields, expected 12"):
        parse(text([[*body()[:7], line, *body()[8:]]]), "f")


@pytest.mark.parametrize("token", ["nan", "NaN", "NAN", "-nan"])
def test_nan_text_is_missing(token: str) -> None:
    assert np.isnan(values(token))


TOKENS = [
    *("0", "-0", "2", "-1", "1.", ".5", "-.5", "+1", "-0.0", "10", "99999", "0.00001", "12345678", "00001.5", "1e5"),
    *("5.99E-05", "-1.2E-07", "1E+10", "0.1234567890123456789", "9" * 30, "0." + "0" * 40 + "1", "1e-400"),
    *("3.4028235e38", "-3.4028235e+38", "3.4028235677973362e38"),  # just below what rounds to infinity
    *("1e-45", "1e-46", "7.0064923216240853e-46", "7.0064923216240854e-46"),  # about half the smallest float32
    *("16777217", "16777217.0000000000001", "1.0000000596046447753"),  # on and beside halves
    *("1.00000005960464477539062500", "1.00000005960464477539062501"),
]


@pytest.mark.parametrize("token", TOKENS)
def test_hostile_but_legal_numbers_are_exact(token: str) -> None:
    assert values(token).tobytes() == np.float32(float(token)).tobytes()


number = st.one_of(
    st.floats(width=32, allow_nan=False, allow_infinity=False).map(repr),
    st.floats(-3e38, 3e38).map(repr),
    st.floats(-9, 9).map("{:.7g}".format),
    st.floats(-999, 999).map("{:.12f}".format),
    st.floats(-3e38, 3e38).map("{:.17E}".format),
    # halfway between two float32, written to more or fewer digits than it takes
    st.tuples(st.floats(0.125, 8, width=32), st.integers(6, 24)).map(
        lambda pair: f"{(pair[0] + float(np.nextafter(np.float32(pair[0]), np.float32(9)))) / 2:.{pair[1]}f}"
    ),
    st.integers(-(10**20), 10**20).map(str),
    st.sampled_from([*TOKENS, "nan"]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(number, min_size=75, max_size=75), st.sampled_from(["\n", "\r\n"]))
def test_every_value_equals_that_of_float(tokens: list[str], end: str) -> None:
    lines = [" ".join(tokens[at : at + 3]) + REST for at in range(0, 75, 3)]
    found = parse(text([[*body()[:2], *lines]], end=end), "f").keypoints.ravel()
    expected = np.array([np.float32(float(token)) for token in tokens])
    assert np.array_equal(np.isnan(found), np.isnan(expected))
    known = ~np.isnan(found)
    assert found[known].tobytes() == expected[known].tobytes()


NO_NUMBERS = [
    *("inf", "-inf", "Infinity", "1e400", "-1e39", "3.4028235677973366e38", "1_0", "0x10", "1,5", "abc", "--1"),
    *("1e", "e5", "null", "NA", "nan(7)", "²", "1d5", "", "1\x0b", "\x001"),
]


@pytest.mark.parametrize("token", NO_NUMBERS)
def test_what_is_no_finite_number_is_refused_with_its_place(token: str) -> None:
    broken = text([body()], [], [body(), body(f"0.1 {token} 0.3")])
    with pytest.raises(
        RawFormatError, match=r"^f, line 61, frame 2, body 1, joint 0: (y is .*, expected a finite|11 fields)"
    ):
        parse(broken, "f")


@pytest.mark.parametrize("person", ["9223372036854775807", "-9223372036854775808", "0", "-1"])
def test_ids_may_use_all_64_bits(person: str) -> None:
    assert parse(text([body(person=person)]), "f").person.tolist() == [int(person)]


@pytest.mark.parametrize("person", ["9223372036854775808", "7.2e16", "1_0", "x", "9" * 5000, "0x1"])
def test_an_id_of_another_kind_is_refused(person: str) -> None:
    with pytest.raises(
        RawFormatError, match=r"line 3, frame 0, body 0: tracking id .*, expected an integer of 64 bits"
    ):
        parse(text([body(person=person)]), "f")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"-1\n0\n", "line 1: -1 frames, expected 1 to"),
        (b"0\n", "line 1: 0 frames"),
        (b"1000000000\n0\n0\n", "line 1: 1000000000 frames, expected 1 to"),
        (b"100\n0\n0\n", "100 frames, but only 2 lines follow; is the file cut"),
        (b"1" * 5000 + b"\n0\n", "line 1: 1+, expected the number of frames"),
        (b"1.5\n0\n", "line 1: 1.5, expected the number of frames"),
        (b"1_0\n" + b"0\n" * 10, "line 1: 1_0"),
        ("٣\n0\n0\n0\n".encode(), "expected the number of frames"),
        ("1\n0\n".encode("utf-16"), "expected the number of frames"),
        (b"\x89PNG\r\n\x1a\n" + bytes(1000), "expected the number of frames"),
        (b"1\n-1\n", "line 2, frame 0: -1 bodies, expected 0 to 6"),
        (text([body()] * 7), "line 2, frame 0: 7 bodies, expected 0 to 6"),
        (b"1\nx\n", "frame 0: x bodies"),
        (text([body()], []) + b"0\n", "line 31: 1 lines are left over after the 2 frames"),
        (text([body()]) + b"\n\nx", "lines are left over|lines follow"),
        (b"1\n" + b"0\n" * 2000, "too short to hold bodies"),
        (b"100000\n" + b"00\n" * 1_000_000, "too short to hold bodies"),
        (text([[body()[0], "24", *body()[2:-1]]]), "line 4, frame 0: 24 joints, expected 25"),
        (text([[*body()[:2], *body()[3:]]], [body()]), "line 3[01]"),
        (text([[body()[0] + " 9", *body()[1:]]]), "line 3, frame 0, body 0: 11 fields, expected 10"),
    ],
    ids=lambda value: None if isinstance(value, str) else "",
)
def test_a_wrong_shape_is_named(data: bytes, words: str) -> None:
    with pytest.raises(RawFormatError, match=f"^f.*{words}"):
        parse(data, "f")


def test_a_wrong_number_of_joints_names_its_frame() -> None:
    frames = [[body()] for _ in range(17)]
    with pytest.raises(RawFormatError, match="frame 17: 24 joints, expected 25"):
        parse(text(*frames, [body(joints=24)], [body()]), "f")


def test_a_file_cut_anywhere_is_refused_or_lost_only_its_end_of_line() -> None:
    whole = text([body()], [body(), body()], end="\r\n")
    for end in range(0, len(whole) - 2):
        cut = whole[:end]
        try:
            clip = parse(cut, "f")
        except RawFormatError:
            continue
        assert (len(cut), clip.n_frames) == (len(whole.rstrip()), 2), "a shorter file passed"


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_noise_never_passes(data: bytes) -> None:
    try:
        clip = parse(data, "f")
    except RawFormatError:
        return
    assert clip.n_frames == len(data.split()) - 1  # no more than a count and empty frames


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=3), st.integers(0, 3))
def test_a_file_with_other_bytes_in_it_is_parsed_or_refused(at: int, other: bytes, lost: int) -> None:
    whole = text([body()], [body(), body()])
    at %= len(whole)
    try:
        clip = parse(whole[:at] + other + whole[at + lost :], "f")
    except RawFormatError:
        return
    assert not np.isinf(clip.keypoints).any()


@pytest.mark.parametrize(
    "data", [b"\n" * 5_000_000, b"1\n" * 5_000_000, b"100000\n" + b"0 " * 5_000_000, bytes(5_000_000)]
)
def test_large_nonsense_ends_quickly(data: bytes) -> None:
    start = time.process_time()
    with pytest.raises(RawFormatError):
        parse(data, "f")
    assert time.process_time() - start < 2


@st.composite
def clips(draw: st.DrawFn) -> KinectClip:
    bodies = draw(st.lists(st.integers(0, 6), min_size=1, max_size=5))
    poses = sum(bodies)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    bits = rng.integers(0, 2**32, (poses, 25, 3), dtype=np.uint32)
    bits[bits & 0x7F800000 == 0x7F800000] = 0x7FC00000  # NaN instead of infinities and signalling NaN
    person = draw(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=poses, max_size=poses))
    frame = np.repeat(np.arange(len(bodies)), bodies).astype(np.uint32)
    return KinectClip(len(bodies), frame, np.array(person, np.int64), bits.view(np.float32))


@settings(max_examples=50, deadline=None)
@given(clips())
def test_what_is_written_reads_back_bit_for_bit(clip: KinectClip) -> None:
    found = parse(render(clip), "f")
    missing = np.isnan(clip.keypoints)
    assert found.n_frames == clip.n_frames
    assert np.array_equal(found.frame, clip.frame)
    assert np.array_equal(found.person, clip.person)
    assert np.array_equal(np.isnan(found.keypoints), missing)
    assert found.keypoints[~missing].tobytes() == clip.keypoints[~missing].tobytes()


@pytest.mark.parametrize(
    ("frame", "count", "value", "words"),
    [
        ([1, 0], 2, 0.0, "must rise"),
        ([0, 2], 2, 0.0, "below n_frames"),
        ([0] * 7, 1, 0.0, "at most 6"),
        ([0], 1, np.inf, "infinite"),
    ],
)
def test_what_the_text_cannot_say_is_not_written(frame: list[int], count: int, value: float, words: str) -> None:
    poses = len(frame)
    keypoints = np.full((poses, 25, 3), value, np.float32)
    with pytest.raises(ValueError, match=words):
        render(KinectClip(count, np.array(frame, np.uint32), np.zeros(poses, np.int64), keypoints))


def test_the_fast_way_is_taken_for_regular_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinect_text, "_by_float", None)  # would fail if it were called
    for end in ("\n", "\r\n"):
        assert parse(text([body()], end=end), "f").n_frames == 1
