"""Random draws without a generator: an integer hash of what the draw is for, equal on every device.

A draw depends on (seed, stage, epoch, sample, clip, place of the step) and on nothing that happened before, so a
resumed run, a subset of the samples or another number of devices sees the same data. All arithmetic is on int64 that
wraps around; shifts to the right are made logical by a mask.
"""

import hashlib
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

_GOLDEN = 0x9E3779B97F4A7C15  # 2**64 over the golden ratio: the increment of SplitMix64
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB  # its multipliers
_WORD = 1 << 64


class Round(NamedTuple):
    """Which pass over the data is being made."""

    seed: int
    stage: int = 0
    epoch: int = 0


def sample_keys(ids: Sequence[str]) -> Int64[np.ndarray, " samples"]:
    """A 64-bit number for each sample, from its id alone."""
    digests = b"".join(hashlib.blake2b(name.encode(), digest_size=8).digest() for name in ids)
    return np.frombuffer(digests, "<i8").astype(np.int64)


def salt(*numbers: int) -> int:
    """One signed 64-bit number from several integers of any size, their order included."""
    state = 0
    for number in numbers:
        for word in (number % _WORD, (number // _WORD) % _WORD):
            state = _mix_int((state + _GOLDEN) % _WORD ^ word)
    return _signed(state)


def bits(keys: Int64[Tensor, " rows"], by: int) -> Int64[Tensor, " rows"]:
    """64 random bits for each key.

    Args:
        keys: Numbers of samples; equal keys have equal draws.
        by: A `salt` of everything else that the draw depends on.

    Returns:
        Numbers of the whole range of int64.
    """
    return _mix(_mix(keys ^ by) + _signed(_GOLDEN))


def uniform(keys: Int64[Tensor, " rows"], by: int, count: int) -> Float32[Tensor, "rows count"]:
    """Draw numbers from [0, 1).

    Args:
        keys: Numbers of samples; equal keys have equal draws.
        by: A `salt` of everything else that the draws depend on.
        count: Draws for each key; a larger count only adds draws.

    Returns:
        Multiples of 2**-24, each equally likely.

    Source: Steele, Lea, Flood, Fast Splittable Pseudorandom Number Generators, OOPSLA 2014 (SplitMix64).
    """
    if keys.device.type == "cpu":
        return _uniform_on_host(keys, by, count)
    return _uniform_on_device(keys, by, count)


def normal(keys: Int64[Tensor, " rows"], by: int, count: int) -> Float32[Tensor, "rows count"]:
    """Draw numbers from the standard normal distribution.

    Args:
        keys: Numbers of samples; equal keys have equal draws.
        by: A `salt` of everything else that the draws depend on.
        count: Draws for each key; a larger count only adds draws.

    Returns:
        Numbers within ±5.8, for two 24-bit uniform draws give two normal ones.

    Source: Box, Muller, A Note on the Generation of Random Normal Deviates, Ann. Math. Stat. 1958.
    """
    drawn = uniform(keys, by, count + count % 2)
    away = (-2 * (1 - drawn[:, 0::2]).log()).sqrt()
    angle = 2 * math.pi * drawn[:, 1::2]
    return torch.stack([away * angle.cos(), away * angle.sin()], 2).flatten(1)[:, :count]


def _uniform_on_device(keys: Tensor, by: int, count: int) -> Tensor:
    """The draws in tensor code, which any device runs."""
    counters = torch.arange(1, count + 1, device=keys.device) * _signed(_GOLDEN)
    words = _mix(_mix(keys ^ by)[:, None] + counters)
    return ((words >> 40) & 0xFFFFFF).to(torch.float32) * 2.0**-24


def _uniform_on_host(keys: Tensor, by: int, count: int) -> Tensor:
    """The same draws in NumPy, three times as fast for the few that a batch needs."""
    counters = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_GOLDEN)
    words = _mix_words(_mix_words(keys.numpy().view(np.uint64) ^ np.uint64(by % _WORD))[:, None] + counters)
    return torch.from_numpy((words >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24))


def _mix_words(words: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 on unsigned numbers."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(_FIRST)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(_SECOND)
    mixed: np.ndarray = words ^ (words >> np.uint64(31))
    return mixed


def _mix(words: Tensor) -> Tensor:
    """The finaliser of SplitMix64."""
    words = (words ^ ((words >> 30) & 0x3FFFFFFFF)) * _signed(_FIRST)
    words = (words ^ ((words >> 27) & 0x1FFFFFFFFF)) * _signed(_SECOND)
    return words ^ ((words >> 31) & 0x1FFFFFFFF)


def _mix_int(word: int) -> int:
    """The same on one unsigned number."""
    word = (word ^ (word >> 30)) * _FIRST % _WORD
    word = (word ^ (word >> 27)) * _SECOND % _WORD
    return word ^ (word >> 31)


def _signed(word: int) -> int:
    """The int64 with the bits of an unsigned number."""
    return word - _WORD if word >> 63 else word
