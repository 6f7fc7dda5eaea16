"""One contract for every encoder: a new file in models/ is tested the moment it exists."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from skelbench import registry
from skelbench.blocks import conflicts, plugin_card
from skelbench.data.types import InputSpec
from skelbench.models.encoder import check_hyper_parameters, encoder_class, hyper_parameters
from skelbench.skeletons import layout_names, load_layout

LAYOUTS = layout_names()
MODELS_PAGE = Path(__file__).parents[2] / "docs" / "models.md"


@pytest.fixture(params=registry.names("models"))
def model(request: pytest.FixtureRequest) -> type[nn.Module]:
    return encoder_class(registry.load(registry.find("models", request.param)))


def spec(layout: str = "kinect_v2", *, streams: tuple[int, ...] = (3,), slots: int = 2) -> InputSpec:
    return InputSpec(load_layout(layout), streams, None, slots)


def build(model: type[nn.Module], spec: InputSpec, seed: int = 0, **values: object) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return model(spec, **check_hyper_parameters(model, values, "model"))


def clip(spec: InputSpec, frames: int, persons: int = 2, samples: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(frames)
    slot = torch.arange(persons).repeat(samples)
    return torch.randn(len(slot), spec.channels, frames, len(spec.layout.joints), generator=generator), slot


@pytest.mark.parametrize(
    ("layout", "streams"),
    [*((layout, (3,)) for layout in LAYOUTS), ("kinect_v2", (3, 3)), ("coco17", (2,)), ("penn13", (2, 2))],
)
def test_it_takes_every_layout_and_number_of_channels(
    model: type[nn.Module], layout: str, streams: tuple[int, ...]
) -> None:
    shape = spec(layout, streams=streams)
    x, slot = clip(shape, 8)
    encoder = build(model, shape)
    out = encoder(x, slot)
    assert out.shape[:2] == (len(x), encoder.out_channels)
    assert out.ndim == 4
    assert out.isfinite().all()


@pytest.mark.parametrize("frames", [1, 2, 3, 5, 13, 32])
def test_it_takes_odd_and_short_clips_in_training_and_after(model: type[nn.Module], frames: int) -> None:
    shape = spec()
    x, slot = clip(shape, frames)
    encoder = build(model, shape)
    for training in (True, False):
        assert encoder.train(training)(x, slot).isfinite().all()


@pytest.mark.parametrize("persons", [1, 2, 3, 4])
def test_it_takes_one_to_four_persons(model: type[nn.Module], persons: int) -> None:
    shape = spec(slots=persons)
    x, slot = clip(shape, 6, persons)
    assert len(build(model, shape)(x, slot)) == len(x)


def test_gradients_reach_every_parameter(model: type[nn.Module]) -> None:
    shape = spec()
    encoder = build(model, shape)
    x, slot = clip(shape, 16)
    encoder(x.requires_grad_(), slot).square().sum().backward()
    assert [name for name, parameter in encoder.named_parameters() if parameter.grad is None] == []


def test_every_parameter_has_a_part_in_the_features(model: type[nn.Module]) -> None:
    shape = spec()
    encoder = build(model, shape)
    generator = torch.Generator().manual_seed(0)
    for parameter in encoder.parameters():  # away from where a network begins: some parts are switched off there
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    x, slot = clip(shape, 16)
    features = encoder(x, slot)
    if features.requires_grad:
        (features * torch.randn(features.shape, generator=generator)).sum().backward()
    assert [name for name, parameter in encoder.named_parameters() if not parameter.grad.any()] == []


@pytest.mark.parametrize("persons", [2, 3, 4])
def test_a_norm_of_every_slot_takes_the_rows_of_all_slots(model: type[nn.Module], persons: int) -> None:
    if "input_slots" not in hyper_parameters(model):
        pytest.skip("has no norm of every slot")
    shape = spec(slots=persons)
    x, slot = clip(shape, 6, persons)
    assert build(model, shape, input_slots=persons)(x, slot).isfinite().all()


def test_its_state_makes_an_equal_network(model: type[nn.Module]) -> None:
    shape = spec()
    one, other = build(model, shape, 0), build(model, shape, 1)
    x, slot = clip(shape, 9)
    one(x, slot)  # running statistics move
    other.load_state_dict(one.state_dict())
    assert torch.equal(one.eval()(x, slot), other.eval()(x, slot))


def test_a_seed_gives_one_network(model: type[nn.Module]) -> None:
    one, other = build(model, spec(), 3).state_dict(), build(model, spec(), 3).state_dict()
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_row_does_not_change_another_after_training(model: type[nn.Module]) -> None:
    shape = spec()
    encoder = build(model, shape).eval()
    x, slot = clip(shape, 12)
    torch.testing.assert_close(encoder(x[:2], slot[:2]), encoder(x, slot)[:2])


def test_predictions_are_the_same_every_time_and_leave_the_clips_as_they_are(model: type[nn.Module]) -> None:
    shape = spec()
    encoder = build(model, shape).eval()
    x, slot = clip(shape, 12)
    before = x.clone()
    assert torch.equal(encoder(x, slot), encoder(x, slot))
    assert torch.equal(x, before)


def test_clips_of_nobody_give_no_features(model: type[nn.Module]) -> None:
    shape = spec()
    x, slot = clip(shape, 8)
    with torch.inference_mode():
        out = build(model, shape).eval()(x[:0], slot[:0])
    assert out.shape[0] == 0


def test_it_computes_where_its_weights_are_and_in_their_type(model: type[nn.Module]) -> None:
    shape = spec()
    x, slot = clip(shape, 9)
    assert build(model, shape).double()(x.double(), slot).dtype == torch.float64
    assert build(model, shape).to("meta")(x.to("meta"), slot.to("meta")).device.type == "meta"


def test_it_learns_in_mixed_precision(model: type[nn.Module]) -> None:
    shape = spec()
    x, slot = clip(shape, 8)
    encoder = build(model, shape)
    with torch.autocast("cpu", torch.bfloat16):
        features = encoder(x.requires_grad_(), slot)
    features.float().square().mean().backward()
    assert all(parameter.grad.isfinite().all() for parameter in encoder.parameters())


@pytest.mark.gpu
def test_a_gpu_gives_the_same(model: type[nn.Module]) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    shape = spec()
    x, slot = clip(shape, 16)
    encoder = build(model, shape).eval()
    here = encoder(x, slot)
    there = encoder.cuda()(x.cuda(), slot.cuda()).cpu()
    torch.testing.assert_close(there, here, rtol=1e-2, atol=1e-2)  # TF32 may be on


@pytest.mark.parametrize("name", registry.names("models"))
def test_the_documents_know_its_size(name: str) -> None:
    model = encoder_class(registry.load(registry.find("models", name)))
    slots = {"input_slots": 2} if "input_slots" in hyper_parameters(model) else {}
    encoder = build(model, spec(), **slots)
    count = sum(parameter.numel() for parameter in encoder.parameters())
    head = 60 * (encoder.out_channels + 1) if count else 0
    rows = [line for line in MODELS_PAGE.read_text(encoding="utf-8").splitlines() if line.startswith(f"| `{name}` |")]
    assert [row.rsplit("|", 2)[1].strip() for row in rows] == [f"{count + head:,}"]


@pytest.mark.parametrize("name", registry.names("models"))
def test_no_two_recipes_of_equal_rank_disagree(name: str) -> None:
    card = plugin_card(registry.find("models", name))
    assert conflicts(card.recipe) == []
    assert card.title
    assert all(block.source for block in card.recipe)
