import pytest
import torch

from skelbench import registry
from skelbench.data.types import InputSpec
from skelbench.errors import RecipeError
from skelbench.models.encoder import encoder_class
from skelbench.skeletons import load_layout

UNIK = encoder_class(registry.load(registry.find("models", "unik")))
NTU = InputSpec(load_layout("kinect_v2"), (3,), None, 2)
COCO = InputSpec(load_layout("coco17"), (2,), None, 2)
FOUR, TWELVE = (3, *[4] * 9), (3, *[12] * 9)


# Their counts, less the bias of each spatial unit that they declare and never use: 10 times the joints.
@pytest.mark.parametrize(
    ("spec", "classes", "values", "theirs"),
    [
        (NTU, 60, {"input_slots": 2}, 3_469_760),
        (NTU, 60, {"input_slots": 2, "heads": FOUR}, 3_803_033),
        (NTU, 60, {"input_slots": 2, "heads": TWELVE}, 6_469_217),
        (COCO, 31, {"input_slots": 2}, 3_451_631),
        (COCO, 31, {"input_slots": 1}, 3_451_563),
    ],
)
def test_it_has_the_parameters_of_its_authors_but_the_unused(
    spec: InputSpec, classes: int, values: dict[str, object], theirs: int
) -> None:
    count = sum(parameter.numel() for parameter in UNIK(spec, **values).parameters())
    assert count + 257 * classes == theirs - 10 * len(spec.layout.joints)


@pytest.mark.parametrize(("bound", "most"), [("1/V", 1 / 25), ("1/sqrt(V)", 1 / 5)])
def test_the_matrices_begin_within_the_bound(bound: str, most: float) -> None:
    drawn = UNIK(NTU, width=8, bound=bound).blocks[3].spatial.dependency.detach().abs().max()
    assert 0.9 * most < float(drawn) <= most


def test_every_column_of_attention_sums_to_one() -> None:
    torch.manual_seed(0)
    unit = UNIK(COCO, width=8, heads=(1,) * 10).blocks[0].spatial
    torch.nn.init.zeros_(unit.dependency)
    torch.nn.init.ones_(unit.value[0].weight)
    x = torch.randn(2, 2, 6, 17)
    x[:] = x[:, :, :, :1]  # all joints alike: whatever the attention, columns that sum to 1 leave them so
    torch.testing.assert_close(unit.mixed(x)[:, 0], x.sum(1))


@pytest.mark.parametrize("tau", [1, 3])
@pytest.mark.parametrize("heads", [(1,) * 10, (2,) * 10])
def test_both_arithmetics_are_the_same_network(tau: int, heads: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    one = UNIK(COCO, width=8, tau=tau, heads=heads, arithmetic="authors").double()
    other = UNIK(COCO, width=8, tau=tau, heads=heads, arithmetic="fused").double()
    for block in one.blocks:
        torch.nn.init.uniform_(block.spatial.norm.weight, 0.5, 1.0)
    other.load_state_dict(one.state_dict())
    x = torch.randn(4, 2, 7, 17, dtype=torch.float64)
    torch.testing.assert_close(other(x, torch.zeros(4).long()), one(x, torch.zeros(4).long()), rtol=1e-9, atol=1e-9)


def test_dilation_reaches_further_without_a_parameter_more() -> None:
    plain, wide = UNIK(COCO, width=8), UNIK(COCO, width=8, dilations=(1, 3, 3, 3, 3, 1, 1, 1, 1, 1))
    assert wide.blocks[2].temporal.conv.dilation == (3, 1)
    assert sum(p.numel() for p in plain.parameters()) == sum(p.numel() for p in wide.parameters())
    assert wide(torch.randn(2, 2, 9, 17), torch.zeros(2).long()).shape == (2, 32, 3, 17)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"width": 6}, "model.width is 6, expected a multiple of 4"),
        ({"heads": (3, 3)}, r"model.heads is \[3, 3\], expected 10 numbers"),
        ({"heads": (0,) * 10}, "of at least 1"),
        ({"dilations": (1,) * 9}, "model.dilations"),
        ({"tau": 2}, "model.tau is 2, expected an odd number"),
        ({"kernel": 4}, "model.kernel is 4"),
    ],
)
def test_hyper_parameters_that_do_not_fit_are_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        UNIK(NTU, **values)
