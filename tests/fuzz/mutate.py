"""Damage for raw files, at the points where their structure lies; the same seed gives the same damage."""

import random
import re
from collections.abc import Callable

NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
POINT = re.compile(rb"[\n,\[\]{}:; \t]|PK\x03\x04|\x93NUMPY")
NUMBERS = (
    *(b"NaN", b"nan", b"inf", b"-Infinity", b"1e999", b"-1e38", b"3.5e38", b"1000000000", b"-1", b"0"),
    *(b"9" * 400, b"", b"null", b"true", b'"7"', b"0x10", b"1_000", b"\xd9\xa3", b"1e-400", b"4294967296"),
)
WHOLE = (
    *(b"", b" ", b"\n", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"{}", b"[]", b"null", b"0", b"NaN", b'""'),
    *(b"[" * 100_000, b'{"a":' * 100_000, b"9" * 100_000, b"\n" * 10_000, b"," * 10_000, b"\x80\x04\x95"),
    *(b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"\x89HDF\r\n\x1a\n", b"\x1f\x8b\x08", b"1000000000\n1\n"),
)

Mutation = Callable[[bytes, random.Random], bytes]


def points(content: bytes, rng: random.Random) -> int:
    """A place where the structure may break: after a separator, or anywhere."""
    start = rng.randrange(len(content) + 1)
    found = POINT.search(content, start)
    return found.end() if found and rng.random() < 0.8 else start


def cut(content: bytes, rng: random.Random) -> bytes:
    """What comes after a point is lost."""
    return content[: points(content, rng)]


def lose(content: bytes, rng: random.Random) -> bytes:
    """What lies between two points is lost."""
    start, stop = sorted((points(content, rng), points(content, rng)))
    return content[:start] + content[min(stop, start + rng.choice((1, 20, 1000, len(content)))) :]


def double(content: bytes, rng: random.Random) -> bytes:
    """What lies between two points is there twice."""
    start, stop = sorted((points(content, rng), points(content, rng)))
    return content[:stop] + content[start : min(stop, start + 100_000)] + content[stop:]


def lines(content: bytes, rng: random.Random) -> bytes:
    """A line is lost, doubled or put elsewhere."""
    listed = content.split(b"\n")
    place, other = rng.randrange(len(listed)), rng.randrange(len(listed))
    kind = rng.randrange(3)
    if kind == 0:
        del listed[place]
    elif kind == 1:
        listed.insert(place, listed[place])
    else:
        listed[place], listed[other] = listed[other], listed[place]
    return b"\n".join(listed)


def number(content: bytes, rng: random.Random) -> bytes:
    """A number is another, or none."""
    found = NUMBER.search(content, rng.randrange(len(content) + 1)) or NUMBER.search(content)
    if not found:
        return flip(content, rng)
    return content[: found.start()] + rng.choice(NUMBERS) + content[found.end() :]


def flip(content: bytes, rng: random.Random) -> bytes:
    """Some bytes are others; in binary forms, sizes and offsets."""
    if not content:
        return b"\x00"
    damaged = bytearray(content)
    place = rng.randrange(min(len(content), rng.choice((64, 1024, len(content)))))
    other = rng.choice((b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x00", bytes([rng.randrange(256)])))
    damaged[place : place + len(other)] = other
    return bytes(damaged)


def encode(content: bytes, rng: random.Random) -> bytes:
    """The same text in another encoding, with a mark before it or other ends of lines."""
    kind = rng.randrange(6)
    if kind == 0:
        return b"\xef\xbb\xbf" + content
    if kind == 1:
        return content.replace(b"\n", b"\r\n")
    if kind == 2:
        return content.replace(b"\n", b"\r")
    if kind == 3:
        return content.decode("latin-1").encode("utf-16")
    place = points(content, rng)
    return content[:place] + rng.choice((b"\xe9", b"\xed\xa0\x80", b"\x00", "\u202e".encode())) + content[place:]


def whole(content: bytes, rng: random.Random) -> bytes:
    """Something else altogether."""
    return rng.choice(WHOLE)


MUTATIONS: tuple[Mutation, ...] = (cut, lose, double, lines, number, number, number, flip, flip, encode, whole)


def mutate(content: bytes, rng: random.Random) -> bytes:
    """One damage, or seldom several."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        content = rng.choice(MUTATIONS)(content, rng)
    return content
