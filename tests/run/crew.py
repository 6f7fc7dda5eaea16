"""A training by one or several processes on the CPU, mostly in 64 bits: what `test_processes.py` starts.

Arguments: a JSON of the settings, and the folder for what comes out.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from skelbench import registry
from skelbench.data.batches import PartData, part_data, recipe_spec
from skelbench.data.types import Batch, DataRecipe, Items, Share, Task
from skelbench.methods.method import method_class
from skelbench.models.encoder import encoder_class
from skelbench.optimise import OptimRecipe
from skelbench.prepare.prepared import Prepared
from skelbench.prepare.sets import pack
from skelbench.processes import launched, make_fabric, part, seat
from skelbench.skeletons import Layout
from skelbench.train import Job, train
from skelbench.world import all_sum, gather, together

LAYOUT = Layout(
    name="small",
    joints=("root", "left", "right", "tip"),
    parents=(-1, 0, 0, 2),
    pairs=((1, 2),),
    source="made for tests",
)
SAMPLES, SLOTS, FRAMES = 21, 2, 12


@dataclass(frozen=True)
class Doubled:
    """A part whose clips and targets are in 64 bits."""

    part: PartData

    @property
    def steps(self) -> int:
        return self.part.steps

    def train_batches(self, seed: int, stage: int, epoch: int, epochs: int, *, share: Share) -> Iterator[Batch]:
        for batch in self.part.train_batches(seed, stage, epoch, epochs, share=share):
            clips = tuple(clip._replace(x=clip.x.double(), start=clip.start.double()) for clip in batch.clips)
            target = batch.target.double() if batch.target.is_floating_point() else batch.target
            yield replace(batch, clips=clips, target=target)


def samples(kind: str) -> tuple[list[Prepared], Items]:
    """Recordings of one person, of two, and of nobody; targets of which some are missing where they may be."""
    rng = np.random.default_rng(3)
    made = []
    for number in range(SAMPLES):
        persons = [1, 2, 1, 0, 2][number % 5]
        made.append(rng.normal(size=(persons, 8 + number, len(LAYOUT.joints), 3)).astype(np.float32))
    ids = tuple(f"s{number:02d}" for number in range(SAMPLES))
    target: np.ndarray = np.arange(SAMPLES) % 7 % 3
    if kind == "score":
        target = rng.normal(size=SAMPLES).astype(np.float32)
        target[::4] = np.nan
    if kind == "multi":
        target = rng.integers(0, 2, (SAMPLES, 3)).astype(np.float32)
        target[rng.random(target.shape) < 0.3] = np.nan
    prepared = [Prepared(keypoints, None, np.arange(keypoints.shape[1]), {}) for keypoints in made]
    return prepared, Items(ids, target, kind)  # type: ignore[arg-type]


def gathered(place: int, folder: Path) -> None:
    """Stand rows below each other, and weight what every process makes of them."""
    own = (torch.arange(6.0 * place).view(-1, 3) + place).requires_grad_()
    with together():
        rows, total = gather(own), all_sum(torch.tensor(place + 1.0))
    (rows.square().sum() * (place + 1)).backward()
    grad = own.grad if own.grad is not None else torch.zeros_like(own)
    found = {"own": own.detach(), "rows": rows.detach(), "sum": total, "grad": grad}
    save_file(found, folder / f"{place}.st")
    (folder / f"told{place}.json").write_text(json.dumps({"losses": []}))


def work(settings: dict[str, Any], folder: Path) -> None:
    """Train, and leave losses and weights."""
    torch.set_num_threads(1)
    sat = seat()
    fabric = make_fabric("cpu", "32-true") if sat is None else launched("cpu", "32-true", sat.processes)
    if settings.get("what") == "gather":
        gathered(fabric.global_rank, folder)
        part(fabric)  # or gloo's threads may outlive the interpreter, which aborts then
        return
    wide = settings.get("bits", 64) == 64
    prepared, items = samples(settings.get("kind", "single"))
    recipe = DataRecipe(frames=FRAMES, batch=settings.get("batch", SAMPLES), persons=settings.get("persons", "present"))
    spec = recipe_spec(recipe, LAYOUT, channels=3, slots=SLOTS)
    data = part_data(pack(prepared, 3, len(LAYOUT.joints)), items, recipe, spec)
    torch.manual_seed(0)
    encoder = encoder_class(registry.load(registry.find("models", settings["model"])))(
        spec, **settings.get("values", {})
    )
    counts = tuple(np.bincount(items.target, minlength=3).tolist()) if items.kind == "single" else ()
    task = Task(items.kind, ("a", "b", "c") if items.kind != "score" else (), counts)
    supervised = method_class(registry.load(registry.find("methods", "supervised")))
    method = supervised(encoder, task, spec, **settings.get("method", {}))
    method = method.double() if wide else method
    if method.shares is not None:
        method.shares = method.shares.float()  # their draws have 32 bits
    optim = OptimRecipe.model_validate({
        **{"name": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 1e-3, "epochs": 3, "warmup": 0.0},
        **{"schedule": "constant", "steps": (), "clip": 0.0, "groups": (), **settings.get("optim", {})},
    })  # fmt: skip
    losses: list[float] = []
    job = Job(optim=optim, data=Doubled(data) if wide else data, ids=items.ids, folder=folder, key="k", seed=4)
    outcome = train(method, job, fabric, lambda line: losses.append(line.loss))
    place = fabric.global_rank
    told = {"losses": losses, "state": outcome.state, "messages": outcome.messages}
    (folder / f"told{place}.json").write_text(json.dumps(told))
    save_file({name: tensor.contiguous() for name, tensor in method.state_dict().items()}, folder / f"{place}.st")
    part(fabric)


if __name__ == "__main__":
    work(json.loads(sys.argv[1]), Path(sys.argv[2]))
