"""The networks of other people, held against what their own code gave for the same weights and clips."""

import hashlib
import json
import runpy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from skelbench import registry
from skelbench.data.types import Batch, Clip, InputSpec, Task
from skelbench.methods.method import method_class
from skelbench.models.checkpoint import read_authors, rename
from skelbench.models.encoder import check_hyper_parameters, encoder_class
from skelbench.skeletons import load_layout

FOLDER = Path(__file__).parent
MADE = SimpleNamespace(**runpy.run_path(str(FOLDER / "made.py")))
RECORDED = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))}
CASES = [(model, place) for model, content in RECORDED.items() for place in range(len(content["cases"]))]
FUSED = [(model, place) for model, place in CASES if model != "stgcn"]


class Ours(nn.Module):
    """An encoder and the supervised head on every slot of dense clips, as `persons = "all"` has it."""

    def __init__(self, model: str, case: dict[str, Any], **more: Any) -> None:
        super().__init__()
        self.cls = encoder_class(registry.load(registry.find("models", model)))
        spec = InputSpec(load_layout(case["layout"]), (case["channels"],), None, case["persons"])
        task = Task("single", tuple(map(str, range(case["classes"]))), (1,) * case["classes"])
        encoder = self.cls(spec, **check_hyper_parameters(self.cls, {**case["model"], **more}, "model"))
        supervised = method_class(registry.load(registry.find("methods", "supervised")))
        self.method = supervised(encoder, task, spec)

    def forward(self, x: Tensor) -> Tensor:
        samples, persons = len(x), x.shape[4]
        rows = x.permute(0, 4, 1, 2, 3).flatten(0, 1)
        slot, sample = torch.arange(persons).repeat(samples), torch.arange(samples).repeat_interleave(persons)
        index = torch.arange(samples)
        batch = Batch((Clip(rows, slot, sample, torch.zeros(samples)),), index, index, 1, {}, 0.0)
        return self.method.predict(batch)


def theirs(model: str, case: dict[str, Any], ours: Ours) -> dict[str, Tensor]:
    """The hashed weights by their names."""
    shapes = {**RECORDED[model]["cases"][0]["shapes"], **case["shapes"]}
    empty = {name: torch.zeros(shape, dtype=torch.float64) for name, shape in shapes.items() if shape is not None}
    if "A" in empty:  # the graph is not hashed
        empty["A"] = ours.method.encoder.graph.double()
    return MADE.weights(case["salt"], empty)


@pytest.fixture
def outcome(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Load the hashed weights through a file of the authors' names, and run our network on the hashed clips."""

    def run(model: str, place: int, dtype: torch.dtype, **more: Any) -> dict[str, Any]:
        case = RECORDED[model]["cases"][place]
        ours = Ours(model, case, **more).to(dtype)
        torch.save({f"module.{name}": value for name, value in theirs(model, case, ours).items()}, tmp_path / "w.pt")
        found = read_authors(tmp_path / "w.pt", ours.cls.CHECKPOINT, ours.method.encoder.state_dict())
        assert found.repository == f"{RECORDED[model]['repository']}@{RECORDED[model]['commit']}"
        ours.method.load_state_dict(found.tensors)
        joints = len(load_layout(case["layout"]).joints)
        shape = (case["samples"], case["channels"], case["frames"], joints, case["persons"])
        return MADE.outcome(
            ours, MADE.clip(case["salt"], shape).to(dtype), MADE.labels(case["samples"], case["classes"])
        )

    return run


def check(model: str, place: int, got: dict[str, Any], *, seen: float, learnt: float) -> None:
    """Compare what a network gives and keeps, and what it learns, each relative to the largest of its kind."""
    case = RECORDED[model]["cases"][place]
    rules = next(iter(encoder_class(registry.load(registry.find("models", model))).CHECKPOINT.values()))
    parts = {"logits": seen, "training_logits": seen, "loss": seen, "logits_after_a_step": 10 * learnt}
    for part, tolerance in parts.items():
        wanted = torch.tensor(case[part], dtype=torch.float64)
        found = torch.tensor(got[part], dtype=torch.float64)
        assert float((found - wanted).abs().max()) <= tolerance * float(wanted.abs().max()), part
    largest = max(norm for norm, _ in case["gradients"].values())
    for part, tolerance in (("running", seen), ("gradients", learnt)):
        for name, wanted in case[part].items():
            value = got[part][f"method.{rename(name, rules)}"]
            scale = largest if part == "gradients" else wanted[0]
            assert MADE.summary(name, value) == pytest.approx(wanted, rel=0, abs=tolerance * scale), (part, name)


@pytest.mark.parametrize(("model", "place"), CASES)
def test_a_network_gives_learns_and_keeps_what_its_authors_does(model: str, place: int, outcome) -> None:
    check(model, place, outcome(model, place, torch.float64), seen=1e-8, learnt=1e-8)


# A gradient jumps where a ReLU or a maximum is a rounding away from its kink, and of a million some are. In single
# precision the authors' own networks are as far from themselves in double precision, and other processors from theirs.
@pytest.mark.parametrize(("model", "place"), CASES)
def test_the_same_in_single_precision(model: str, place: int, outcome) -> None:
    check(model, place, outcome(model, place, torch.float32), seen=1e-5, learnt=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(("model", "place"), FUSED)
def test_sums_in_fewer_steps_are_the_same_sums(model: str, place: int, outcome) -> None:
    check(model, place, outcome(model, place, torch.float64, arithmetic="fused"), seen=1e-8, learnt=1e-8)


@pytest.mark.parametrize(("model", "place"), CASES)
def test_a_network_has_its_authors_parameters_but_those_they_never_use(model: str, place: int) -> None:
    case = RECORDED[model]["cases"][place]
    count = sum(parameter.numel() for parameter in Ours(model, case).parameters())
    assert count == case["parameters"] - case["unused"]


@pytest.mark.parametrize(("model", "place"), [(model, place) for model, place in CASES if model != "unik"])
def test_a_network_begins_with_its_authors_graph(model: str, place: int) -> None:
    case = RECORDED[model]["cases"][place]
    state = Ours(model, case).method.encoder.state_dict()
    graph = state["graph"] if model == "stgcn" else state["blocks.0.spatial.graph"]
    assert hashlib.sha256(graph.numpy().tobytes()).hexdigest() == case["graph"]


@pytest.mark.parametrize("model", list(RECORDED))
def test_a_network_draws_its_first_weights_as_its_authors_does(model: str) -> None:
    torch.manual_seed(1)
    case = RECORDED[model]["cases"][0]
    ours = Ours(model, case)
    rules = next(iter(ours.cls.CHECKPOINT.values()))
    parameters = dict(ours.method.named_parameters())
    for name, (mean, spread) in case["drawn"].items():
        place = rename(name, rules)
        if place.startswith("head."):
            continue  # the head is the method's
        drawn = parameters[place].detach()
        assert float(drawn.mean()) == pytest.approx(mean, abs=8 * spread / drawn.numel() ** 0.5), name
        assert float(drawn.std()) == pytest.approx(spread, rel=0.1), name
