import pytest
import torch

from skelbench import registry
from skelbench.data.types import InputSpec
from skelbench.errors import RecipeError
from skelbench.models.encoder import encoder_class
from skelbench.skeletons import adjacency, load_layout

LITE = encoder_class(registry.load(registry.find("models", "lite")))
UCLA = InputSpec(load_layout("kinect_v1"), (3,), 32, 1)


def test_it_has_about_eighty_thousand_parameters_with_the_head_of_nw_ucla() -> None:
    head = 64 * 10 + 10
    assert sum(parameter.numel() for parameter in LITE(UCLA).parameters()) + head == 78_914


def test_two_strides_of_two_leave_a_quarter_of_the_frames() -> None:
    out = LITE(UCLA)(torch.randn(2, 3, 32, 20), torch.zeros(2, dtype=torch.int64))
    assert out.shape == (2, 64, 8, 20)


def test_the_graphs_begin_near_the_skeleton() -> None:
    torch.manual_seed(0)
    graph = LITE(UCLA).blocks[0].spatial.graph
    start = torch.from_numpy(adjacency(UCLA.layout)).sum(0)
    assert graph.shape == (8, 20, 20)
    torch.testing.assert_close(graph.mean(0), start / start.sum(0), atol=0.2, rtol=0)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"widths": (32, 32)}, "2 blocks and model.strides 4"),
        ({"widths": (12, 32, 64, 64)}, "multiples of model.heads, which is 8"),
        ({"kernel": 4}, "model.kernel is 4"),
        ({"strides": (0, 1, 1, 1)}, "at least 1"),
        ({"heads": 0}, "model.heads, which is 0"),
    ],
)
def test_hyper_parameters_that_do_not_fit_are_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        LITE(UCLA, **values)
