import pytest
import torch

from skelbench import registry
from skelbench.data.types import InputSpec
from skelbench.errors import RecipeError
from skelbench.models.encoder import encoder_class
from skelbench.skeletons import load_layout

LSTM = encoder_class(registry.load(registry.find("models", "lstm")))
UCLA = InputSpec(load_layout("kinect_v1"), (3,), None, 1)


@pytest.mark.parametrize(("both", "features"), [(True, 24), (False, 12)])
def test_every_frame_has_a_state(both: bool, features: int) -> None:
    network = LSTM(UCLA, width=12, bidirectional=both)
    assert network.out_channels == features
    assert network(torch.randn(3, 3, 7, 20), torch.zeros(3).long()).shape == (3, features, 7, 1)


def test_read_one_way_a_frame_knows_nothing_of_later_ones() -> None:
    network = LSTM(UCLA, width=8, bidirectional=False).eval()
    x = torch.randn(2, 3, 9, 20)
    later = x.clone()
    later[:, :, 5:] += 1
    one, other = network(x, torch.zeros(2).long()), network(later, torch.zeros(2).long())
    assert torch.equal(one[:, :, :5], other[:, :, :5])
    assert not torch.equal(one[:, :, 5:], other[:, :, 5:])


@pytest.mark.parametrize(
    ("values", "words"),
    [({"width": 0}, "model.width is 0"), ({"layers": 0}, "model.layers 0"), ({"dropout": 1.5}, "model.dropout is 1.5")],
)
def test_hyper_parameters_that_do_not_fit_are_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        LSTM(UCLA, **values)
