"""One contract for every method, on the model it names as its default."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from skelbench import registry
from skelbench.blocks import conflicts, plugin_card
from skelbench.data.types import Batch, Clip, InputSpec, Task
from skelbench.methods.method import learns_by_gradient, method_class
from skelbench.models.encoder import check_hyper_parameters, encoder_class
from skelbench.recipe import default_choice
from skelbench.skeletons import load_layout

CLASSES = 3
SPEC = InputSpec(load_layout("kinect_v1"), (3,), 8, 2)
TASK = Task("single", ("a", "b", "c"), (4, 4, 4))


@pytest.fixture(params=registry.names("methods"))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def build(name: str, task: Task = TASK, seed: int = 0) -> Any:
    model, method = default_choice(None, name)
    encoder, cls = (
        encoder_class(registry.load(registry.find("models", model))),
        method_class(registry.load(registry.find("methods", method))),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = encoder(SPEC, **check_hyper_parameters(encoder, {}, "model"))
        return cls(network, task, SPEC, **check_hyper_parameters(cls, {}, "method"))


def batch(seed: int = 0, clips: int = 1) -> Batch:
    """Six samples of one or two persons; the class moves the poses."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.arange(6) % CLASSES
    sample = torch.tensor([0, 0, 1, 2, 3, 3, 4, 5])
    slot = torch.tensor([0, 1, 0, 0, 0, 1, 0, 1])
    made = []
    for _ in range(clips):
        x = torch.randn(8, 3, 8, 20, generator=generator) * 0.1 + target[sample].view(-1, 1, 1, 1)
        made.append(Clip(x, slot, sample, torch.zeros(6)))
    return Batch(tuple(made), torch.arange(6), target, 1, {}, 0.0)


def batches() -> Iterator[Batch]:
    yield batch(1)
    yield batch(2)


def fitted(name: str, seed: int = 0) -> Any:
    method = build(name, seed=seed)
    if hasattr(method, "fit"):
        with torch.no_grad():
            method.fit(batches())
    return method


def test_it_predicts_one_finite_row_a_sample(name: str) -> None:
    logits = fitted(name).eval().predict(batch(clips=2))
    assert logits.shape == (6, CLASSES)
    assert logits.isfinite().all()


def test_its_loss_is_a_number_whose_gradient_reaches_every_parameter(name: str) -> None:
    method = build(name)
    if not learns_by_gradient(type(method)):
        assert not list(method.parameters())
        return
    for clips in (1, 2):
        loss = method.loss(batch(clips=clips))
        assert loss.total.shape == ()
        assert loss.total.isfinite()
        loss.total.backward()
    assert [key for key, parameter in method.named_parameters() if parameter.grad is None] == []


def test_its_state_makes_an_equal_method(name: str) -> None:
    one, other = fitted(name), build(name, seed=1)
    other.load_state_dict(one.state_dict())
    assert torch.equal(one.eval().predict(batch()), other.eval().predict(batch()))


def test_a_seed_gives_one_method(name: str) -> None:
    one, other = fitted(name, 3).state_dict(), fitted(name, 3).state_dict()
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_no_two_recipes_of_equal_rank_disagree(name: str) -> None:
    card = plugin_card(registry.find("methods", name))
    assert conflicts(card.recipe) == []
    assert card.title
    assert card.default_model in registry.names("models")
