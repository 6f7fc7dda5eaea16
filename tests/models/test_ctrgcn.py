import numpy as np
import pytest
import torch

from skelbench import registry
from skelbench.data.types import InputSpec
from skelbench.errors import RecipeError
from skelbench.models.encoder import encoder_class
from skelbench.skeletons import load_layout

CTRGCN = encoder_class(registry.load(registry.find("models", "ctrgcn")))


def spec(layout: str = "kinect_v2", channels: int = 3, slots: int = 2) -> InputSpec:
    return InputSpec(load_layout(layout), (channels,), None, slots)


@pytest.mark.parametrize(
    ("shape", "classes", "slots", "count"),
    [(spec(), 60, 2, 1_446_672), (spec(), 120, 2, 1_462_092), (spec("coco17", slots=1), 31, 1, 1_428_941)],
)
def test_it_has_the_parameters_of_its_authors(shape: InputSpec, classes: int, slots: int, count: int) -> None:
    network = CTRGCN(shape, input_slots=slots)
    assert sum(parameter.numel() for parameter in network.parameters()) + 257 * classes == count


@pytest.mark.parametrize(("channels", "relations"), [(2, 8), (3, 8), (6, 8), (8, 1), (9, 8), (12, 1), (16, 2)])
def test_the_first_block_has_relations_whatever_the_channels(channels: int, relations: int) -> None:
    assert CTRGCN(spec(channels=channels), width=8).blocks[0].spatial.query[0].out_channels == relations


def test_the_graphs_are_each_joint_its_children_and_its_parent() -> None:
    own, inward, outward = CTRGCN(spec(), width=8).blocks[0].spatial.graph.detach().numpy()
    parents = load_layout("kinect_v2").parents
    assert np.array_equal(own, np.eye(25))
    for joint, parent in enumerate(parents):
        if parent >= 0:
            assert inward[parent, joint] == 1  # a parent looks at all its children
            assert outward[joint, parent] == pytest.approx(1 / parents.count(parent))
    assert (inward > 0).sum() == (outward > 0).sum() == 24


def test_it_begins_without_refinement() -> None:
    network = CTRGCN(spec(), width=8)
    assert all(float(block.spatial.alpha.detach()) == 0 for block in network.blocks)


@pytest.mark.parametrize("shape", [spec(), spec("coco17", 2, 1)])
def test_both_arithmetics_are_the_same_network(shape: InputSpec) -> None:
    torch.manual_seed(0)
    one = CTRGCN(shape, width=8, arithmetic="authors").double()
    other = CTRGCN(shape, width=8, arithmetic="fused").double()
    for block in one.blocks:
        torch.nn.init.uniform_(block.spatial.norm.weight, 0.5, 1.0)
        torch.nn.init.constant_(block.spatial.alpha, 0.7)
    other.load_state_dict(one.state_dict())
    x = torch.randn(4, shape.channels, 7, len(shape.layout.joints), dtype=torch.float64)
    torch.testing.assert_close(other(x, torch.zeros(4).long()), one(x, torch.zeros(4).long()), rtol=1e-9, atol=1e-9)


def test_dropout_takes_a_feature_from_all_persons_of_a_sample() -> None:
    torch.manual_seed(0)
    network = CTRGCN(spec(), width=8, dropout=0.5, input_slots=2)
    out = network(torch.randn(6, 3, 8, 25), torch.tensor([0, 1] * 3)).detach().abs().sum((2, 3)).view(3, 2, 32)
    dropped = out == 0
    assert torch.equal(dropped[:, 0], dropped[:, 1])
    assert 0.2 < float(dropped.float().mean()) < 0.8
    assert not torch.equal(dropped[0, 0], dropped[1, 0])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"width": 4}, "model.width is 4, expected at least 8"),
        ({"width": 10}, "a multiple of the 4 branches"),
        ({"dilations": (1, 0)}, r"model.dilations is \[1, 0\]"),
        ({"kernel": 2}, "model.kernel is 2"),
        ({"dropout": -0.1}, "model.dropout is -0.1"),
    ],
)
def test_hyper_parameters_that_do_not_fit_are_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        CTRGCN(spec(), **values)
