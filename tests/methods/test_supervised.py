import pytest
import torch
from torch.nn import functional

from skelbench import registry
from skelbench.data.types import Batch, Clip, InputSpec, Task
from skelbench.errors import RecipeError
from skelbench.methods.method import method_class
from skelbench.methods.mixup import beta_table, mix
from skelbench.methods.pooling import place_by_slot, pool_mean
from skelbench.models.encoder import encoder_class
from skelbench.skeletons import load_layout

SUPERVISED = method_class(registry.load(registry.find("methods", "supervised")))
IDENTITY = encoder_class(registry.load(registry.find("models", "identity")))
SPEC = InputSpec(load_layout("kinect_v1"), (3,), 4, 2)
CLIP = Clip(
    torch.randn(3, 3, 4, 20, generator=torch.Generator().manual_seed(0)),
    torch.tensor([0, 1, 0]),
    torch.tensor([0, 0, 1]),
    torch.zeros(3),
)


def method(kind: str = "single", **values: float) -> torch.nn.Module:
    return SUPERVISED(IDENTITY(SPEC), Task(kind, ("a", "b"), (1, 1)), SPEC, **values)  # type: ignore[arg-type]


def batch(target: torch.Tensor) -> Batch:
    return Batch((CLIP,), torch.arange(len(target)), target, 1, {}, 0.0)


def test_persons_present_are_averaged_and_a_sample_without_one_is_zero() -> None:
    pooled = pool_mean(CLIP.x, CLIP)
    torch.testing.assert_close(pooled[0], CLIP.x[:2].mean((0, 2, 3)))
    torch.testing.assert_close(pooled[1], CLIP.x[2].mean((1, 2)))
    assert not pooled[2].any()


def test_rows_stand_in_the_place_of_their_slot() -> None:
    placed = place_by_slot(torch.tensor([[1.0], [2.0], [3.0]]), CLIP, 2)
    assert placed.tolist() == [[1, 2], [3, 0], [0, 0]]


@pytest.mark.parametrize(
    ("draw", "spread", "bias"), [("torch", 1 / 30, True), ("2/classes", 0.1, True), ("0.02", 0.02, False)]
)
def test_the_head_is_drawn_as_the_recipe_says(draw: str, spread: float, bias: bool) -> None:
    spec = InputSpec(load_layout("kinect_v1"), (300,), 4, 1)
    head = SUPERVISED(
        IDENTITY(spec), Task("single", tuple(map(str, range(200))), (1,) * 200), spec, head_init=draw
    ).head
    assert float(head.weight.detach().std()) == pytest.approx(spread, rel=0.02)
    assert bool(head.bias.detach().any()) == bias


def test_one_class_is_learnt_by_cross_entropy_with_smoothing() -> None:
    net = method(label_smoothing=0.2)
    target = torch.tensor([0, 1, 1])
    expected = functional.cross_entropy(net.predict(batch(target)), target, label_smoothing=0.2)
    torch.testing.assert_close(net.loss(batch(target)).total, expected)


def test_unknown_labels_of_several_classes_do_not_count() -> None:
    net = method("multi")
    target = torch.tensor([[1.0, torch.nan], [0.0, 1.0], [torch.nan, torch.nan]])
    logits = net.predict(batch(target))
    known = logits[[0, 1, 1], [0, 0, 1]]
    expected = functional.binary_cross_entropy_with_logits(known, torch.tensor([1.0, 0.0, 1.0]))
    torch.testing.assert_close(net.loss(batch(target)).total, expected)


def test_a_score_is_learnt_by_squared_error() -> None:
    net = method("score")
    target = torch.tensor([1.0, 2.0, torch.nan])
    out = net.predict(batch(target))
    assert out.shape == (3, 1)
    torch.testing.assert_close(net.loss(batch(target)).total, (out[:2, 0] - target[:2]).square().mean())


@pytest.mark.parametrize("kind", ["single", "multi"])
def test_several_clips_are_averaged_by_their_probabilities_of_one_class_else_by_their_logits(kind: str) -> None:
    net = method(kind)
    other = CLIP._replace(x=CLIP.x + 1)
    both = Batch((CLIP, other), torch.arange(3), torch.zeros(3, dtype=torch.int64), 1, {}, 0.0)
    alone = [net.predict(Batch((clip,), both.index, both.target, 1, {}, 0.0)) for clip in both.clips]
    if kind == "single":
        mean = (alone[0].softmax(1) + alone[1].softmax(1)) / 2
        torch.testing.assert_close(net.predict(both), mean.log())
    else:
        torch.testing.assert_close(net.predict(both), (alone[0] + alone[1]) / 2)


@pytest.mark.parametrize("kind", ["single", "multi", "score"])
def test_losses_of_pieces_and_what_their_samples_count_give_the_loss_of_all(kind: str) -> None:
    single, nan = kind == "single", torch.nan
    net = SUPERVISED(
        IDENTITY(SPEC), Task(kind, ("a", "b"), (3, 1)), SPEC, class_weights="balanced" if single else "none"
    )
    target = torch.tensor([[1, nan], [nan, nan], [0, 1]]) if kind == "multi" else torch.tensor([1.0, nan, 3.0])
    target = torch.tensor([0, 1, 1]) if single else target
    clips = [
        CLIP._replace(x=CLIP.x[[k]], slot=CLIP.slot[[k]], sample=torch.tensor([0]), start=CLIP.start[:1])
        for k in range(3)
    ]
    pieces = [net.loss(Batch((clip,), torch.tensor([k]), target[[k]], 1, {}, 0.0)) for k, clip in enumerate(clips)]
    alone = CLIP._replace(slot=torch.zeros(3).long(), sample=torch.arange(3))
    whole = net.loss(Batch((alone,), torch.arange(3), target, 1, {}, 0.0))
    summed = torch.stack([piece.total * piece.counts for piece in pieces]).sum()
    torch.testing.assert_close(summed / sum(piece.counts for piece in pieces), whole.total)


def test_what_it_cannot_learn_is_refused() -> None:
    with pytest.raises(RecipeError, match="single, multi, frame, score; found 'none'"):
        method("none")
    with pytest.raises(RecipeError, match=r"label_smoothing is 1\.0"):
        method(label_smoothing=1.0)


def test_balanced_classes_count_equally() -> None:
    counts = (3, 1, 0)
    net = SUPERVISED(IDENTITY(SPEC), Task("single", ("a", "b", "c"), counts), SPEC, class_weights="balanced")
    target = torch.tensor([0, 0, 1])
    weights = torch.tensor([4 / 6, 4 / 2, 0.0])
    expected = functional.cross_entropy(net.predict(batch(target)), target, weights)
    torch.testing.assert_close(net.loss(batch(target)).total, expected)
    with pytest.raises(RecipeError, match="class_weights balances one class a sample"):
        method("score", class_weights="balanced")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["single", "multi", "score"])
def test_mixup_mixes_inputs_and_losses_by_one_share(kind: str) -> None:
    net, plain = method(kind, mixup=0.4), method(kind)
    plain.load_state_dict(net.state_dict())
    target = torch.tensor([0, 1, 1]) if kind == "single" else torch.tensor([[0.0, 1], [1, 1], [1, 0]])
    target = target[:, 0] if kind == "score" else target
    whole = Batch((CLIP,), torch.arange(3), target, 1, {}, 0.0, torch.tensor([5, -7, 11]), 3)
    mixed = mix(whole, net.shares)
    assert mixed.partner.tolist() == [1, 0, 2]  # the last of an odd number remains as it is
    first = mixed.share[0] * CLIP.x[0] + (1 - mixed.share[0]) * CLIP.x[2]
    torch.testing.assert_close(mixed.batch.clips[0].x[0], first)
    torch.testing.assert_close(mixed.batch.clips[0].x[2], mixed.share[1] * CLIP.x[2] + (1 - mixed.share[1]) * CLIP.x[0])
    torch.testing.assert_close(mixed.batch.clips[0].x[1], mixed.share[0] * CLIP.x[1] + (1 - mixed.share[0]) * CLIP.x[2])
    own, other = (
        torch.stack([plain.loss(one(mixed.batch, place, of)).total for place in range(3)])
        for of in (target, target[mixed.partner])
    )
    torch.testing.assert_close(net.loss(whole).total, (mixed.share * own + (1 - mixed.share) * other).mean())


def one(whole: Batch, place: int, target: torch.Tensor) -> Batch:
    """One sample of a batch, with another target."""
    clip = whole.clips[0]
    rows = clip.sample == place
    alone = Clip(clip.x[rows], clip.slot[rows], clip.sample[rows] * 0, clip.start[:1])
    return Batch((alone,), torch.tensor([0]), target[place : place + 1], 1, {}, 0.0)


def test_mixup_draws_by_sample_and_pass_alone() -> None:
    table, keys = beta_table(0.2), torch.arange(3) * 97
    alike = [Batch((CLIP,), torch.arange(3), torch.zeros(3), 1, {}, 0.0, keys, salt) for salt in (1, 1, 2)]
    shares = [mix(batch, table).share for batch in alike]
    assert torch.equal(shares[0], shares[1])
    assert not torch.equal(shares[0], shares[2])
    many = Batch((CLIP,), torch.arange(20_000), torch.zeros(20_000), 1, {}, 0.0, torch.arange(20_000), 1)
    clip = CLIP._replace(x=CLIP.x[:1].expand(20_000, -1, -1, -1), sample=torch.arange(20_000), slot=torch.zeros(20_000))
    drawn = mix(Batch((clip,), *list(vars(many).values())[1:]), table).share
    assert drawn.mean().item() == pytest.approx(0.5, abs=0.01)
    assert drawn.var().item() == pytest.approx(1 / (4 * (2 * 0.2 + 1)), abs=0.005)  # of Beta(a, a)


def test_values_that_make_no_sense_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"method.mixup is -1\.0"):
        method(mixup=-1.0)


def test_frames_are_learnt_by_binary_cross_entropy_where_they_are_known() -> None:
    net, nan = method("frame"), float("nan")
    target = torch.tensor([[[1, 0]] * 3 + [[nan, nan]], [[0, 1]] * 4, [[1, 1]] * 4]).float()
    frames = Batch((CLIP,), torch.arange(3), target, 1, {}, 0.0, frames=torch.arange(4).double().expand(3, -1))
    logits = net.predict(frames)
    assert logits.shape == (3, 4, 2)
    known = ~target.isnan()
    expected = functional.binary_cross_entropy_with_logits(logits[known], target[known])
    torch.testing.assert_close(net.loss(frames).total, expected)
    torch.testing.assert_close(logits[1], net.head(CLIP.x[2].mean(2).T))


def test_logits_of_fewer_frames_are_spread_over_those_of_the_clip() -> None:
    class Half(torch.nn.Module):
        out_channels = 3

        def forward(self, x: torch.Tensor, slot: torch.Tensor) -> torch.Tensor:
            return x[:, :, ::2]

    net = SUPERVISED(Half(), Task("frame", ("a", "b"), (1, 1)), SPEC)
    found = net.predict(Batch((CLIP,), torch.arange(2), torch.zeros(2, 4, 2), 1, {}, 0.0))
    own = net.head(CLIP.x[2, :, ::2].mean(2).T)
    expected = torch.stack([own[0], 0.75 * own[0] + 0.25 * own[1], 0.25 * own[0] + 0.75 * own[1], own[1]])
    torch.testing.assert_close(found[1], expected)
