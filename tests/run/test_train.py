"""Training, without a store: batches are made here."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn
from torch.nn import functional

from skelbench.data.types import Batch, Clip, Share
from skelbench.errors import RecipeError, RunError
from skelbench.freeze import freeze
from skelbench.methods.method import Loss
from skelbench.optimise import Group, OptimRecipe, lr_factor, make_optimiser
from skelbench.standing import LOG, RESUME
from skelbench.train import Epoch, Job, Trained, draw_seed, train

OPTIM = OptimRecipe(
    name="sgd", lr=0.1, momentum=0.9, weight_decay=1e-3, epochs=4, warmup=0.25, schedule="cosine", steps=(), clip=0.0,
    groups=(Group(vectors=True, weight_decay=0.0),),
)  # fmt: skip
STEPS = 3


class Net(nn.Module):
    """With dropout and running statistics, so that a resume has something to get wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2))

    def loss(self, batch: Batch) -> Loss:
        return Loss(functional.cross_entropy(self.body(batch.clips[0].x[:, :, 0, 0]), batch.target), {})


class Data:
    """Learnable, counter-based."""

    steps = STEPS

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale

    def train_batches(self, seed: int, stage: int, epoch: int, epochs: int, *, share: Share) -> Iterator[Batch]:
        for step in range(STEPS):
            generator = torch.Generator().manual_seed(draw_seed(seed, stage, epoch, step))
            whole = torch.randn(6, 4, 1, 1, generator=generator) * self.scale
            for index in torch.arange(6).tensor_split(share.pieces)[share.first : share.first + share.count]:
                if not len(index):
                    continue
                x, place = whole[index], torch.arange(len(index))
                clip = Clip(x, torch.zeros_like(place), place, torch.zeros(len(index)))
                yield Batch((clip,), index, (x[:, 0, 0, 0] > 0).long(), 1, {}, (epoch + step / STEPS) / epochs)


def net(seed: int = 0) -> Net:
    torch.manual_seed(seed)
    return Net()


def job(folder: Path, optim: OptimRecipe = OPTIM, data: Data | None = None) -> Job:
    names = [f"s{place}" for place in range(6)]
    return Job(optim=optim, data=data or Data(), ids=names, folder=folder, key="k", seed=1)


def run(method: Net, what: Job, on_epoch: Any = lambda line: None, precision: Any = "32-true") -> Trained:
    return train(method, what, Fabric(accelerator="cpu", devices=1, precision=precision), on_epoch)


def stop_after(epoch: int) -> Any:
    def stop(line: Epoch) -> None:
        if line.epoch == epoch:
            raise KeyboardInterrupt

    return stop


def equal(one: nn.Module, other: nn.Module) -> bool:
    states = one.state_dict(), other.state_dict()
    return all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("name", ["sgd", "adamw"])
@pytest.mark.parametrize("epoch", [0, 2])
def test_an_interrupted_training_ends_with_the_same_weights(tmp_path: Path, name: str, epoch: int) -> None:
    optim = OPTIM.model_copy(update={"name": name})
    whole, parts = net(), net()
    run(whole, job(tmp_path / "a", optim))
    with pytest.raises(KeyboardInterrupt):
        run(parts, job(tmp_path / "b", optim), stop_after(epoch))
    again = net(seed=5)  # the state decides, not how the network was made
    torch.rand(3)
    outcome = run(again, job(tmp_path / "b", optim))
    assert equal(whole, again)
    assert outcome.messages == (f"resumed after epoch {epoch + 1} of 4",)
    logs = [[json.loads(line) for line in (tmp_path / x / LOG).read_text().splitlines()] for x in "ab"]
    assert [line["loss"] for line in logs[0]] == [line["loss"] for line in logs[1]]
    assert [line["epoch"] for line in logs[1]] == [0, 1, 2, 3]


def test_a_log_with_half_a_line_is_mended(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(net(), job(tmp_path), stop_after(1))
    with (tmp_path / LOG).open("a") as file:
        file.write('{"epoch": 2, "lo')
    run(net(), job(tmp_path))
    assert [json.loads(line)["epoch"] for line in (tmp_path / LOG).read_text().splitlines()] == [0, 1, 2, 3]


def test_a_state_of_another_run_is_not_resumed(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(net(), job(tmp_path), stop_after(1))
    outcome = run(net(), replace(job(tmp_path), seed=2))
    assert outcome.messages == ()


@pytest.mark.parametrize("damage", [b"", b"\x00" * 20, None])
def test_a_damaged_state_is_named(tmp_path: Path, damage: bytes | None) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(net(), job(tmp_path), stop_after(1))
    path = tmp_path / RESUME
    path.write_bytes(path.read_bytes()[:-9] if damage is None else damage)
    with pytest.raises(RunError, match=r"resume\.safetensors: cannot be resumed .* Delete it"):
        run(net(), job(tmp_path))


def test_training_learns_and_leaves_the_global_generator_alone(tmp_path: Path) -> None:
    lines: list[Epoch] = []
    torch.manual_seed(0)
    expected = torch.rand(2)
    method = net()
    torch.manual_seed(0)
    run(method, job(tmp_path, OPTIM.model_copy(update={"epochs": 30})), lines.append)
    assert torch.equal(torch.rand(2), expected)
    assert lines[-1].loss < 0.8 * lines[0].loss
    assert all(one.seconds <= other.seconds for one, other in pairwise(lines))


def test_a_divergence_names_the_samples_and_leaves_nothing_to_resume(tmp_path: Path) -> None:
    outcome = run(net(), job(tmp_path, OPTIM.model_copy(update={"lr": 1e30, "warmup": 0.0}), Data(1e5)))
    assert outcome.state == "diverged"
    assert "s0, s1, s2, s3, s4, s5" in outcome.messages[0]
    assert "Lower optim.lr" in outcome.messages[0]
    assert not (tmp_path / RESUME).exists()


def test_no_epochs_train_nothing(tmp_path: Path) -> None:
    method = net()
    assert run(method, job(tmp_path, OPTIM.model_copy(update={"epochs": 0}))) == Trained("done", 0, 0.0)
    assert equal(method, net())


def test_bf16_trains_too(tmp_path: Path) -> None:
    method = net()
    assert run(method, job(tmp_path), precision="bf16-mixed").state == "done"
    assert method.body[0].weight.dtype == torch.float32


def test_clipping_bounds_the_step(tmp_path: Path) -> None:
    method = net()
    optim = OPTIM.model_copy(
        update={"clip": 1e-6, "momentum": 0.0, "weight_decay": 0.0, "epochs": 1, "schedule": "constant", "warmup": 0.0}
    )
    run(method, job(tmp_path, optim))
    start = dict(net().named_parameters())
    moved = torch.cat([(value - start[name]).detach().flatten() for name, value in method.named_parameters()])
    assert 0 < moved.norm() <= STEPS * 0.1 * 1.01e-6 + 1e-7


def test_vectors_are_not_decayed_and_the_first_matching_group_counts() -> None:
    optim = OPTIM.model_copy(
        update={"groups": (Group(match=("body.3.*",), lr=0.01), Group(vectors=True, weight_decay=0.0))}
    )
    groups = make_optimiser(net(), optim).param_groups
    assert [(group["lr"], group["weight_decay"], len(group["params"])) for group in groups] == [
        (0.01, 1e-3, 2), (0.1, 0.0, 3), (0.1, 1e-3, 1),
    ]  # fmt: skip


def test_a_group_that_matches_nothing_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"\['head\.\*'\] match no trained parameter of Net"):
        make_optimiser(net(), OPTIM.model_copy(update={"groups": (Group(match=("head.*",)),)}))


def test_the_schedules() -> None:
    plain = OPTIM.model_copy(update={"warmup": 0.0})
    assert lr_factor(plain, 0.0) == 1
    assert lr_factor(plain, 0.5) == pytest.approx(0.5)
    assert lr_factor(OPTIM, 0.125) == pytest.approx(0.5 * lr_factor(plain, 0.125))
    warm = [
        lr_factor(plain.model_copy(update={"warmup": 0.5, "schedule": "constant"}), at / 8, 1 / 8) for at in range(8)
    ]
    assert warm == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 1, 1])  # no step is wasted on a rate of 0
    step = plain.model_copy(update={"schedule": "step", "steps": (2, 3)})
    assert [lr_factor(step, epoch / 4) for epoch in range(4)] == pytest.approx([1, 1, 0.1, 0.01])
    thirds = step.model_copy(update={"epochs": 3, "steps": (1, 2)})
    assert [lr_factor(thirds, epoch / 3) for epoch in range(3)] == pytest.approx([1, 0.1, 0.01])
    epochs = plain.model_copy(update={"schedule": "constant", "warmup": 2.0})
    assert [lr_factor(epochs, epoch / 4, 1 / 4) for epoch in range(4)] == [0.5, 1, 1, 1]
    ramp = epochs.model_copy(update={"warmup_by": "epoch"})
    assert [lr_factor(ramp, at / 12, 1 / 12) for at in range(8)] == pytest.approx([0.5] * 3 + [1.0] * 5)


class Plain(nn.Module):
    """Without statistics over a batch: what is summed in pieces is what is summed at once."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))

    def loss(self, batch: Batch) -> Loss:
        logits = self.encoder(batch.clips[0].x[:, :, 0, 0])
        right = (logits.detach().argmax(1) == batch.target).float().mean()
        return Loss(functional.cross_entropy(logits, batch.target), {"accuracy": right})


def plain(seed: int = 0) -> Plain:
    torch.manual_seed(seed)
    return Plain()


def logged(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / LOG).read_text().splitlines()]


@pytest.mark.parametrize("pieces", [2, 4, 6, 50])
def test_accumulated_pieces_train_as_the_whole_step(tmp_path: Path, pieces: int) -> None:
    whole, parts = plain(), plain()
    optim = OPTIM.model_copy(update={"clip": 0.1})
    run(whole, job(tmp_path / "a", optim))
    run(parts, job(tmp_path / "b", optim.model_copy(update={"accumulate": pieces})))
    for name, tensor in whole.state_dict().items():
        torch.testing.assert_close(parts.state_dict()[name], tensor, rtol=0, atol=1e-6)
    for one, other in zip(logged(tmp_path / "a"), logged(tmp_path / "b"), strict=True):
        assert one["loss"] == pytest.approx(other["loss"], abs=1e-6)
        assert one["parts"]["accuracy"] == pytest.approx(other["parts"]["accuracy"], abs=1e-6)


class Weighted(Plain):
    """Its samples count differently, and some not at all."""

    def loss(self, batch: Batch) -> Loss:
        x = batch.clips[0].x[:, :, 0, 0]
        weight = (x[:, 1] > -0.5) * (1 + 3 * batch.target)
        each = functional.cross_entropy(self.encoder(x), batch.target, reduction="none")
        return Loss((each * weight).sum() / weight.sum().clamp(min=1e-12), {}, weight.float().mean())


@pytest.mark.parametrize("pieces", [2, 3, 6])
def test_pieces_whose_samples_count_differently_train_as_the_whole_step(tmp_path: Path, pieces: int) -> None:
    whole, parts = Weighted(), Weighted()
    parts.load_state_dict(whole.state_dict())
    run(whole, job(tmp_path / "a"))
    run(parts, job(tmp_path / "b", OPTIM.model_copy(update={"accumulate": pieces})))
    for name, tensor in whole.state_dict().items():
        torch.testing.assert_close(parts.state_dict()[name], tensor, rtol=0, atol=1e-6)
    for one, other in zip(logged(tmp_path / "a"), logged(tmp_path / "b"), strict=True):
        assert one["loss"] == pytest.approx(other["loss"], abs=1e-6)


def test_the_average_of_weights_is_what_is_left(tmp_path: Path) -> None:
    seen: list[dict[str, torch.Tensor]] = []

    class Watched(Plain):
        def loss(self, batch: Batch) -> Loss:
            seen.append({name: tensor.detach().clone() for name, tensor in self.state_dict().items()})
            return super().loss(batch)

    def watched(seed: int = 0) -> Watched:
        torch.manual_seed(seed)
        return Watched()

    optim = OPTIM.model_copy(update={"epochs": 1})
    last, averaged = watched(), watched()
    run(last, job(tmp_path / "a", optim))
    states = [*seen, {name: tensor.clone() for name, tensor in last.state_dict().items()}]
    run(averaged, job(tmp_path / "b", optim.model_copy(update={"ema": 0.25})))
    decays = [min(0.25, (1 + n) / (10 + n)) for n in (1, 2, 3)]
    assert decays == pytest.approx([2 / 11, 0.25, 0.25])
    for name, tensor in averaged.state_dict().items():
        expected = states[0][name]
        for decay, state in zip(decays, states[1:], strict=True):
            expected = decay * expected + (1 - decay) * state[name]
        torch.testing.assert_close(tensor, expected)


@pytest.mark.parametrize("epoch", [0, 2, 3])
def test_an_interrupted_average_ends_with_the_same_weights(tmp_path: Path, epoch: int) -> None:
    optim = OPTIM.model_copy(update={"ema": 0.9, "accumulate": 2})
    whole, parts = net(), net()
    run(whole, job(tmp_path / "a", optim))
    with pytest.raises(KeyboardInterrupt):
        run(parts, job(tmp_path / "b", optim), stop_after(epoch))
    again = net(seed=5)
    run(again, job(tmp_path / "b", optim))
    assert equal(whole, again)
    raw = net()
    run(raw, job(tmp_path / "c", OPTIM.model_copy(update={"accumulate": 2})))
    assert not equal(raw, whole)
    assert torch.equal(raw.body[1].num_batches_tracked, whole.body[1].num_batches_tracked)


def test_what_is_frozen_keeps_every_bit(tmp_path: Path) -> None:
    method = net()
    method.body[0].weight.data[0] = -0.0  # torch.equal takes it for 0.0
    before = {name: tensor.numpy().tobytes() for name, tensor in method.state_dict().items()}
    patterns = ("body.0.*", "body.1.*")
    freeze(method, patterns)
    run(method, replace(job(tmp_path, OPTIM.model_copy(update={"ema": 0.9})), freeze=patterns))
    held = [before[name] == tensor.numpy().tobytes() for name, tensor in method.state_dict().items()]
    assert held == [name.startswith(("body.0.", "body.1.")) for name in before]
    assert method.body[2].training


def test_watching_changes_no_weight_and_finds_the_best_epoch(tmp_path: Path) -> None:
    plain_method, watched = net(), net()
    run(plain_method, job(tmp_path / "a"))
    told = iter([0.1, 0.7, 0.7, 0.2])

    def watch() -> dict[str, float]:
        torch.rand(5)
        watched.eval()
        return {"top1": next(told), "map": 0.5}

    outcome = run(watched, replace(job(tmp_path / "b"), watch=watch))
    assert equal(plain_method, watched)
    assert outcome.best is not None
    assert (outcome.best.epoch, outcome.best.values["top1"], outcome.best.looked) == (1, 0.7, 4)
    assert [line["watched"]["top1"] for line in logged(tmp_path / "b")] == [0.1, 0.7, 0.7, 0.2]


@pytest.mark.parametrize(("lower", "best"), [(False, 1), (True, 0)])
def test_an_interrupted_watch_remembers_the_best_epoch(tmp_path: Path, *, lower: bool, best: int) -> None:
    values = {0: 0.1, 1: 0.7, 2: 0.3, 3: 0.2}
    watched: list[int] = []

    def watch() -> dict[str, float]:
        watched.append(len(watched))
        return {"top1": values[watched[-1]]}

    what = replace(job(tmp_path), watch=watch, lower=lower)
    with pytest.raises(KeyboardInterrupt):
        run(net(), what, stop_after(1))
    outcome = run(net(), what)
    assert outcome.best is not None
    assert (outcome.best.epoch, outcome.best.looked) == (best, 4)


def test_a_loss_that_is_not_finite_is_found_in_its_own_step(tmp_path: Path) -> None:
    class Once(Data):
        """The samples of the second step are broken."""

        def train_batches(self, seed: int, stage: int, epoch: int, epochs: int, *, share: Share) -> Iterator[Batch]:
            for step, batch in enumerate(super().train_batches(seed, stage, epoch, epochs, share=share)):
                clip = batch.clips[0]
                broken = clip._replace(x=clip.x * torch.nan if step == 1 else clip.x)
                yield replace(batch, clips=(broken,), index=batch.index + 6 * step)

    names = [f"s{place}" for place in range(18)]
    outcome = run(net(), replace(job(tmp_path, data=Once()), ids=names))
    assert outcome.state == "diverged"
    assert "the loss is nan of the samples s6, s7, s8, s9, s10, s11." in outcome.messages[0]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler
def test_a_compiled_encoder_trains_alike_and_is_left_as_it_was(tmp_path: Path) -> None:
    if shutil.which("c++") is None:
        pytest.skip("no compiler")
    eager, compiled = plain(), plain()
    run(eager, job(tmp_path / "a"))
    run(compiled, job(tmp_path / "b", OPTIM.model_copy(update={"compile": True})))
    assert list(eager.state_dict()) == list(compiled.state_dict())
    for name, tensor in eager.state_dict().items():
        torch.testing.assert_close(compiled.state_dict()[name], tensor, rtol=1e-4, atol=1e-5)
    assert compiled.encoder._compiled_call_impl is None
