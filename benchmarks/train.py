"""One training step of the networks on a CPU: dense as in the references, and without what nobody needs.

python -m benchmarks.train [--unik DIR] [--stgcn DIR] [--ctrgcn DIR]

Batches are like NTU RGB+D's: 64 frames, two person slots, in 3 of 16 clips a second person. Each way computes the same
step (loss, gradients, update) from the same clips; DIR is a checkout of the authors' repository, whose own network then
stands first. `all` has the references' numbers but for rounding; `present` norms over those who are there.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.__main__ import table
from benchmarks.measure import Done, Timed, Way, Work, rounds, run_here
from skelbench import registry
from skelbench.data.types import InputSpec
from skelbench.freed import freed_memory_kept
from skelbench.models.encoder import encoder_class
from skelbench.skeletons import load_layout

NETWORKS = ("unik", "stgcn", "ctrgcn")
CLASSES, SAMPLES, PAIRS, FRAMES, SLOTS = 60, 16, 3, 64, 2
SPEC = InputSpec(layout=load_layout("kinect_v2"), streams=(3,), frames=FRAMES, slots=SLOTS)
STEPS = 2  # against the clock, after one to warm up

Step = Callable[[], object]


def clips(everyone: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, their slots and their samples; all slots, or those of persons who are there."""
    drawn = torch.Generator().manual_seed(0)
    x = torch.randn(SAMPLES, SLOTS, 3, FRAMES, 25, generator=drawn)
    x[PAIRS:, 1] = 0
    sample, slot = torch.arange(SAMPLES).repeat_interleave(SLOTS), torch.arange(SLOTS).repeat(SAMPLES)
    rows = x.flatten(0, 1)
    there = torch.ones(len(rows), dtype=torch.bool) if everyone else rows.flatten(1).any(1)
    return rows[there].contiguous(), slot[there], sample[there]


class Ours(nn.Module):
    """An encoder with a linear head, pooled over the persons of each sample."""

    def __init__(self, name: str, arithmetic: str, everyone: bool) -> None:
        super().__init__()
        build: Any = encoder_class(registry.load(registry.find("models", name)))
        slots = {"input_slots": SLOTS} if everyone and name != "stgcn" else {}
        self.encoder = build(SPEC, arithmetic=arithmetic, **slots)
        self.head = nn.Linear(self.encoder.out_channels, CLASSES)

    def forward(self, x: Tensor, slot: Tensor, sample: Tensor) -> Tensor:
        """Logits of each sample."""
        features = self.encoder(x, slot).float().mean((2, 3))
        total = features.new_zeros(SAMPLES, features.shape[1]).index_add(0, sample, features)
        return torch.as_tensor(self.head(total / torch.bincount(sample, minlength=SAMPLES)[:, None]))


def training_step(network: nn.Module, given: tuple[Tensor, ...], *, half: bool) -> Step:
    """Loss, gradients and update, once for each call."""
    labels = torch.arange(SAMPLES) % CLASSES
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9, nesterov=True)

    def step() -> None:
        """Take it."""
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            logits = network(*given)
        torch.autograd.backward(functional.cross_entropy(logits.float(), labels))
        optimiser.step()

    return step


def ours(name: str, *, arithmetic: str, everyone: bool, half: bool = False) -> Step:
    """A step of our network."""
    torch.manual_seed(0)
    return training_step(Ours(name, arithmetic, everyone), clips(everyone), half=half)


def authors(name: str, repository: Path) -> Step:
    """A step of the authors' own network, from a checkout."""
    import importlib

    sys.path.insert(0, str(repository))
    torch.manual_seed(0)
    if name == "unik":
        network = importlib.import_module("model.backbone_unik").UNIK(CLASSES, 25, SLOTS, 1, 3, 3)
    elif name == "ctrgcn":
        network = importlib.import_module("model.ctrgcn").Model(CLASSES, 25, SLOTS, "graph.ntu_rgb_d.Graph", {}, 3)
    else:
        graph = {"layout": "ntu-rgb+d", "strategy": "spatial"}
        network = importlib.import_module("net.st_gcn").Model(3, CLASSES, graph, True)
    rows = clips(everyone=True)[0]
    theirs = rows.view(SAMPLES, SLOTS, *rows.shape[1:]).permute(0, 2, 3, 4, 1).contiguous()
    return training_step(network, (theirs,), half=False)


def timed(make: Callable[[], Step], _: Path, *, kept: bool = True) -> Timed:
    """A step to be timed, warm; freed memory is kept for the next one, as in every run of skelbench."""
    torch.set_num_threads(1)
    step = make()
    step()

    def work() -> Done:
        """Take a few."""
        with freed_memory_kept() if kept else nullcontext():
            for _ in range(STEPS):
                step()
        return Done(STEPS * SAMPLES)

    return work


def work_of(name: str, repository: Path | None) -> Work:
    """The ways to take a step of a network."""
    kinds: dict[str, dict[str, Any]] = {
        "reference, dense": {"arithmetic": "authors", "everyone": True},
        "all": {"arithmetic": "fused", "everyone": True},
        "present": {"arithmetic": "fused", "everyone": False},
        "reference, dense, bf16": {"arithmetic": "authors", "everyone": True, "half": True},
        "all, bf16": {"arithmetic": "fused", "everyone": True, "half": True},
        "present, bf16": {"arithmetic": "fused", "everyone": False, "half": True},
    }
    ways = [Way(kind, partial(timed, partial(ours, name, **options))) for kind, options in kinds.items()]
    if repository is not None:
        ways.insert(1, Way("authors", partial(timed, partial(authors, name, repository), kept=False)))
    named = [] if repository is None else [f"--{name}", str(repository)]
    return Work(
        name=name,
        what=f"a training step, {SAMPLES} clips of {FRAMES} frames",
        items="clips",
        make=lambda folder: folder.mkdir(parents=True),
        ways=tuple(ways),
        limit="see below",
        child=("benchmarks.train", *named, "--one"),
    )


class _Bytes(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's is untyped
    """Adds up what operations read and write, views left out."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's is untyped
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run it and count its tensors."""
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            leaves = torch.utils._pytree.tree_leaves((args, kwargs, out))
            self.total += sum(one.numel() * one.element_size() for one in leaves if isinstance(one, Tensor))
        return out


def cost(step: Step) -> tuple[float, float]:
    """GFLOP and GB that a step takes, a clip."""
    with FlopCounterMode(display=False) as flops, _Bytes() as moved:
        step()
    return flops.get_total_flops() / SAMPLES / 1e9, moved.total / SAMPLES / 1e9


def machine() -> tuple[float, float, float]:
    """What one core can do: GFLOP/s of products in 32 and in 16 bits, and GB/s of copies."""
    torch.set_num_threads(1)
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        one, other = torch.randn(1024, 1024).to(dtype), torch.randn(1024, 1024).to(dtype)
        found.append(2 * 1024**3 / _best(partial(torch.matmul, one, other)) / 1e9)
    big = torch.randn(1 << 25)
    into = torch.empty_like(big)
    return found[0], found[1], 2 * big.nbytes / _best(lambda: into.copy_(big)) / 1e9


def _best(function: Callable[[], object]) -> float:
    """Seconds of the fastest of ten calls."""
    seconds = []
    for _ in range(10):
        begin = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


def costs() -> str:
    """Markdown: what a clip costs, and what the machine can do."""
    single, half, copies = machine()
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    kinds = [kind for kind in ("avx512_bf16", "amx_bf16") if kind in flags]
    lines = ["", "| network | way | GFLOP a clip | GB a clip |", "| --- | --- | --: | --: |"]
    for name in NETWORKS:
        for kind, options in {
            "reference, dense": {"arithmetic": "authors", "everyone": True},
            "all": {"arithmetic": "fused", "everyone": True},
            "present": {"arithmetic": "fused", "everyone": False},
        }.items():
            flop, moved = cost(ours(name, **options))  # type: ignore[arg-type]  # the values of each key have one type
            lines.append(f"| {name} | {kind} | {flop:.1f} | {moved:.2f} |")
    told = f"{single:.0f} GFLOP/s in float32, {half:.0f} in bfloat16 ({', '.join(kinds) or 'no instructions for it'})"
    return "\n".join([*lines, "", f"One core here: {told}, copies at {copies:.1f} GB/s (read and written).", ""])


def main() -> None:
    """Measure, or run one way."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.train", description=__doc__)
    for name in NETWORKS:
        parser.add_argument(f"--{name}", type=Path, metavar="DIR", help="a checkout of the authors' repository")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=3, metavar=("WORK", "WAY", "RAW"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    given = {name: path.resolve() if (path := getattr(asked, name)) else None for name in NETWORKS}
    works = {name: work_of(name, given[name]) for name in NETWORKS}
    if asked.one:
        name, wanted, raw = asked.one
        way = next(way for way in works[name].ways if way.name == wanted)
        sys.stdout.write(json.dumps(run_here(way, Path(raw))) + "\n")
        return
    measured = []
    with tempfile.TemporaryDirectory(prefix="skelbench-train-") as folder:
        for name, work in works.items():
            measured += rounds(work, Path(folder) / name, asked.rounds, lambda line: sys.stderr.write(line + "\n"))
    sys.stdout.write(table(measured, works) + costs())


if __name__ == "__main__":
    main()
