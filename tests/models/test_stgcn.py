import numpy as np
import pytest
import torch

from skelbench import registry
from skelbench.data.types import InputSpec
from skelbench.errors import RecipeError
from skelbench.models.encoder import encoder_class
from skelbench.skeletons import joined, load_layout

MODULE = registry.load(registry.find("models", "stgcn"))
STGCN = encoder_class(MODULE)
NTU = InputSpec(load_layout("kinect_v2"), (3,), None, 2)
HEAD = 257 * 60


@pytest.mark.parametrize(
    ("values", "count"),
    [
        ({}, 3_098_832),
        ({"partition": "distance"}, 2_873_894),
        ({"partition": "uniform"}, 2_648_956),
        ({"edge_importance": False}, 3_080_082),
    ],
)
def test_it_has_the_parameters_of_its_authors(values: dict[str, object], count: int) -> None:
    assert sum(parameter.numel() for parameter in STGCN(NTU, **values).parameters()) + HEAD == count


@pytest.mark.parametrize(("channels", "count"), [(2, 3_081_025), (3, 3_081_251)])
def test_fewer_joints_and_channels_take_fewer(channels: int, count: int) -> None:
    spec = InputSpec(load_layout("coco17"), (channels,), None, 1)
    assert sum(parameter.numel() for parameter in STGCN(spec).parameters()) + 257 * 31 == count


@pytest.mark.parametrize("layout", ["kinect_v1", "kinect_v2", "coco17", "penn13"])
def test_the_partitions_are_one_graph_in_parts(layout: str) -> None:
    skeleton = load_layout(layout)
    whole = MODULE.partitioned(skeleton, "uniform")
    assert whole.shape == (1, len(skeleton.joints), len(skeleton.joints))
    np.testing.assert_allclose(whole[0].sum(0), 1, rtol=1e-6)
    for partition, graphs in (("distance", 2), ("spatial", 3)):
        parts = MODULE.partitioned(skeleton, partition)
        assert len(parts) == graphs
        np.testing.assert_array_equal(parts.sum(0), whole[0])


def test_bones_lead_away_from_the_centre_and_from_its_neighbours_only() -> None:
    skeleton = load_layout("kinect_v1")
    leaving = MODULE.partitioned(skeleton, "spatial")[2] > 0
    neighbours = [joint for joint, parent in enumerate(skeleton.parents) if parent == skeleton.centre]
    near = {skeleton.centre, *neighbours}
    assert {int(joint) for joint in np.flatnonzero(leaving.any(1))} <= near
    assert leaving[skeleton.centre].sum() == len(neighbours)


@pytest.mark.parametrize("partition", ["uniform", "distance", "spatial"])
def test_bodies_side_by_side_have_the_graphs_of_each(partition: str) -> None:
    skeleton = load_layout("kinect_v2")
    one, two = (MODULE.partitioned(layout, partition) for layout in (skeleton, joined(skeleton, 2)))
    np.testing.assert_array_equal(two[:, :25, :25], one)
    np.testing.assert_array_equal(two[:, 25:, 25:], one)
    assert not two[:, :25, 25:].any()
    assert not two[:, 25:, :25].any()


@pytest.mark.parametrize("partition", ["spatial", "distance", "uniform"])
def test_skeletons_side_by_side_have_a_centre_each(partition: str) -> None:
    one, two = (MODULE.partitioned(joined(load_layout("kinect_v1"), bodies), partition) for bodies in (1, 2))
    np.testing.assert_array_equal(two[:, :20, :20], one)
    np.testing.assert_array_equal(two[:, 20:, 20:], one)
    assert not two[:, :20, 20:].any()


def test_nothing_is_dropped_in_the_first_block() -> None:
    network = STGCN(NTU, width=8, dropout=0.5)
    assert [block.dropout.p for block in network.blocks] == [0.0, *[0.5] * 9]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"kernel": 2}, "model.kernel is 2"),
        ({"dropout": 1.0}, "model.dropout is 1.0"),
        ({"width": 0}, "model.width is 0"),
    ],
)
def test_hyper_parameters_that_do_not_fit_are_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        STGCN(NTU, **values)


def test_edges_begin_with_their_full_weight() -> None:
    network = STGCN(NTU, width=8)
    assert all(torch.equal(weight, torch.ones(3, 25, 25)) for weight in network.importance)
