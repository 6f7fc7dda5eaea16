"""What a lab writes that has a training loop of its own."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import skelbench
from skelbench.api import Dataset
from skelbench.card import load_card
from skelbench.data.types import Batch, DataRecipe
from skelbench.errors import RecipeError, SplitError, StoreError, UsageError
from skelbench.registry import find
from skelbench.store.schema import Origin, RawDigest
from skelbench.store.writer import write_store
from skelbench.synthetic.generate import synthesise

COUNT = 64


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with made-up NW-UCLA."""
    folder = tmp_path_factory.mktemp("data")
    card = load_card(find("converters", "nw_ucla").toml)
    samples = sorted(synthesise(card, COUNT, 0), key=lambda sample: sample.sample_id)
    raw = RawDigest(files=1, bytes=1, sha256=hashlib.sha256(b"made up").hexdigest())
    origin = Origin(converter="nw_ucla", skelbench="0", request="r", raw=raw, planned=COUNT, synthetic={"seed": 0})
    lengths = [len(sample.frame) for sample in samples]
    write_store(folder / "nw_ucla", card, origin, samples=samples, lengths=lengths, rejects=[])
    return folder


@pytest.fixture
def data(made: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    monkeypatch.setenv("SKELBENCH_DATA", str(made))
    return skelbench.open("nw_ucla")


def equal(one: list[Batch], other: list[Batch]) -> bool:
    same = [
        len(a.index) == len(b.index) and torch.equal(a.index, b.index) and torch.equal(a.clips[0].x, b.clips[0].x)
        for a, b in zip(one, other, strict=True)
    ]
    return all(same)


def test_a_sample_is_found_by_id_and_by_place(data: Dataset) -> None:
    assert len(data) == len(data.ids) == COUNT
    name = data.ids[5]
    assert data[5].sample_id == data[name].sample_id == name
    np.testing.assert_array_equal(data[5].keypoints, data[name].keypoints)
    assert [sample.sample_id for sample in data] == list(data.ids)
    assert list(data.store.table["sample_id"]) == list(data.ids)
    assert data[0].keypoints.shape[1:] == (len(data.card.layout.joints), len(data.card.channels))


@pytest.mark.parametrize(("key", "error"), [(COUNT, IndexError), ("nobody", KeyError)])
def test_a_sample_that_is_not_there_is_an_error(data: Dataset, key: int | str, error: type[Exception]) -> None:
    with pytest.raises(error):
        data[key]


def test_a_split_gives_the_places_of_both_parts(data: Dataset) -> None:
    split = data.split()
    assert split.name == data.split("xview").name == "xview"
    assert sorted(split.train + split.test) == list(range(COUNT))
    assert {data[place].meta["camera"] for place in split.test} == {3}
    with pytest.raises((SplitError, UsageError), match="Did you mean 'xview'"):
        data.split("xveiw")


def test_training_batches_repeat_by_seed_and_differ_by_epoch(data: Dataset) -> None:
    first = list(data.batches(seed=1, epoch=0))
    assert equal(first, list(data.batches(seed=1, epoch=0)))
    assert not equal(first, list(data.batches(seed=1, epoch=1)))
    assert not equal(first, list(data.batches(seed=2, epoch=0)))
    shown = torch.cat([batch.index for batch in first])
    assert len(shown.unique()) == len(shown)


def test_an_epoch_does_not_depend_on_what_was_drawn_before(data: Dataset) -> None:
    later = list(data.batches(epoch=3))
    torch.manual_seed(9)
    torch.randn(7)
    assert equal(later, list(data.batches(epoch=3)))


@pytest.mark.parametrize(
    "recipe", ["default", "small", DataRecipe(frames=8, batch=7, test_clips=(("resample:1", "stream"),))]
)
def test_test_batches_cover_every_sample_once_in_order(data: Dataset, recipe: str | DataRecipe) -> None:
    split = data.split()
    batches = list(data.batches(recipe, part="test"))
    assert torch.equal(torch.cat([batch.index for batch in batches]), torch.arange(len(split.test)))
    labels = (data[place].targets["label"] for place in split.test)
    expected = [split.index[int(label)] for label in labels]  # type: ignore[arg-type]  # of one class: never a tuple
    assert torch.cat([batch.target for batch in batches]).tolist() == expected
    for batch in batches:
        clip = batch.clips[0]
        assert clip.x.shape[1:] == (3, 8 if isinstance(recipe, DataRecipe) else clip.x.shape[2], 20)
        assert clip.x.isfinite().all()
        assert clip.sample.tolist() == list(range(len(batch.index)))  # one person each


def test_a_loop_of_ones_own_learns(data: Dataset) -> None:
    torch.manual_seed(0)
    split = data.split()
    net = nn.Sequential(nn.Flatten(), nn.LazyLinear(len(split.classes)))
    recipe = DataRecipe(frames=16, batch=16, clips=(("resample:1", "stream"),), test_clips=(("resample:1", "stream"),))
    losses = []
    net(next(data.batches(recipe)).clips[0].x)  # the lazy layer sees its size
    optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
    for epoch in range(8):
        for batch in data.batches(recipe, epoch=epoch):
            loss = functional.cross_entropy(net(batch.clips[0].x), batch.target)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(float(loss.detach()))
    assert np.mean(losses[-3:]) < np.mean(losses[:3])


def test_what_is_wrong_is_said_at_once(data: Dataset) -> None:
    with pytest.raises(RecipeError, match=r"No recipe 'smal' .* Did you mean 'small'"):
        data.batches("smal")
    with pytest.raises(RecipeError, match=r"[Nn]o step"):
        data.batches(DataRecipe(prepare=("by-id", "centre:1")))


def test_what_is_no_store_is_said(data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"No store 'nw_ucl' in .*Did you mean 'nw_ucla'"):
        skelbench.open("nw_ucl")
    with pytest.raises(UsageError, match=r"holds no dataset\.json"):
        skelbench.open(str(tmp_path))
    (tmp_path / "dataset.json").write_text("{}")
    with pytest.raises(StoreError):
        skelbench.open(str(tmp_path))
