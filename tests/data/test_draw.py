import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from skelbench.data.draw import _uniform_on_device, bits, normal, salt, sample_keys, uniform


def keys(count: int) -> torch.Tensor:
    return torch.from_numpy(sample_keys([f"S{number:06d}" for number in range(count)]))


def test_the_draws_are_those_that_were_recorded() -> None:
    ids = sample_keys(["S001C001P001R001A001", "a01_s01_e00_v01", "ünï"])
    assert ids.tolist() == [-4211604881039624509, -3560019387556543089, -7508194671148965544]
    assert salt(0) == -6411193824288604561
    assert salt(1, 2, 3) == 3322539481669918477
    drawn = uniform(torch.from_numpy(ids), salt(7, 0, 3, 0, 1), 2)
    assert (drawn * 2**24).int().tolist() == [[14453043, 16646360], [12055126, 7257838], [1075556, 15374598]]
    expected = [-4579266343483597357, -1295623747597950848, 3577205539389865479]
    assert bits(torch.from_numpy(ids), salt(7)).tolist() == expected


def reference(key: int, by: int, count: int) -> list[float]:
    """The same hash in Python's unbounded integers."""
    word = 2**64

    def mix(value: int) -> int:
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % word
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB % word
        return value ^ (value >> 31)

    first = mix((key ^ by) % word)
    return [(mix((first + number * 0x9E3779B97F4A7C15) % word) >> 40) / 2**24 for number in range(1, count + 1)]


@settings(deadline=None, max_examples=60)
@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1))
def test_wrapped_arithmetic_equals_unbounded_integers(key: int, by: int) -> None:
    assert uniform(torch.tensor([key]), by, 3).tolist() == [reference(key, by, 3)]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5), st.integers(-(2**63), 2**63 - 1))
def test_the_host_draws_what_tensor_code_draws_on_any_device(numbers: list[int], by: int) -> None:
    numbered = torch.tensor(numbers, dtype=torch.int64)
    assert torch.equal(uniform(numbered, by, 4), _uniform_on_device(numbered, by, 4))


def test_normal_draws_are_normal_and_have_nothing_in_common() -> None:
    drawn = normal(keys(20_000), salt(0), 3)
    assert drawn.shape == (20_000, 3)
    assert drawn.abs().max() < 6
    for column in drawn.T.numpy():
        assert stats.kstest(column, "norm").pvalue > 1e-3
    assert np.abs(np.corrcoef(drawn.T.numpy()) - np.eye(3)).max() < 0.03
    assert np.abs(np.corrcoef(drawn.T.numpy() ** 2) - np.eye(3)).max() < 0.03
    assert torch.equal(normal(keys(9), salt(0), 7)[:, :3], drawn[:9])


def test_draws_fill_the_unit_interval_evenly() -> None:
    drawn = uniform(keys(20_000), salt(0), 3).numpy()
    assert drawn.min() >= 0
    assert drawn.max() < 1
    assert drawn.dtype == np.float32
    for column in drawn.T:
        assert stats.kstest(column, "uniform").pvalue > 1e-3


@pytest.mark.parametrize(("one", "other"), [((0, 0, 0), (1, 0, 0)), ((0, 0, 0), (0, 1, 0)), ((0, 0, 1), (0, 0, 2))])
def test_draws_of_different_rounds_have_nothing_in_common(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    first, second = (uniform(keys(20_000), salt(*numbers), 1)[:, 0].numpy() for numbers in (one, other))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03
    assert (first == second).mean() < 1e-3


def test_draws_of_one_key_have_nothing_in_common() -> None:
    drawn = uniform(keys(20_000), salt(0), 4).numpy()
    assert np.abs(np.corrcoef(drawn.T) - np.eye(4)).max() < 0.03


def test_every_bit_is_set_half_of_the_time() -> None:
    words = bits(keys(20_000), salt(3)).numpy().view(np.uint64)
    share = [(words >> np.uint64(bit) & np.uint64(1)).mean() for bit in range(64)]
    assert max(abs(value - 0.5) for value in share) < 0.02


def test_a_draw_depends_on_its_own_key_only() -> None:
    whole = uniform(keys(100), salt(1), 2)
    assert torch.equal(uniform(keys(100)[30:40], salt(1), 2), whole[30:40])
    assert torch.equal(uniform(keys(100), salt(1), 5)[:, :2], whole)


def test_the_order_of_numbers_in_a_salt_counts() -> None:
    salts = {salt(*numbers) for numbers in [(), (0,), (0, 0), (0, 1), (1, 0), (1,), (2**64,), (-1,), (2**64 - 1,)]}
    assert len(salts) == 9


def test_a_million_names_have_different_numbers() -> None:
    assert len(set(sample_keys([str(number) for number in range(100_000)]).tolist())) == 100_000
    assert sample_keys([]).shape == (0,)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_draws_are_the_same_on_the_gpu() -> None:
    assert torch.equal(uniform(keys(1000).cuda(), salt(5), 7).cpu(), uniform(keys(1000), salt(5), 7))
