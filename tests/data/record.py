"""Record sketches of what the references' feeders make of recordings with our draws, from checkouts of their code.

    python tests/data/record.py CHECKOUTS              # writes tests/data/feeders.json
    python tests/data/record.py CHECKOUTS REAL_DATA    # writes tests/real/feeders.json

CHECKOUTS holds the folders CTR-GCN, 2s-AGCN, UNIK, st-gcn and pyskl at the commits that the JSON names. Their code is
run from where it lies; nothing of it comes here but numbers. The arrays that the feeders read are those of our prepare
lists, which the tests of these lists hold against the authors' scripts.
"""

import importlib.util
import json
import random
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch

from skelbench import registry
from skelbench.card import load_card
from skelbench.data.batches import PartData
from skelbench.data.draw import uniform
from skelbench.prepare import prepare
from skelbench.sample import Sample
from skelbench.sources.source import open_source

TESTS = Path(__file__).parent.parent
CTR, AGCN, UNIK, STGCN = "CTR-GCN @ e13d758", "2s-AGCN @ 953c14f", "UNIK @ bf39968", "st-gcn @ 221c0e1"
SOURCES = {
    "ctr": f"Uason-Chen/{CTR}, feeders",
    "ucla": f"Uason-Chen/{CTR}, feeders",
    "agcn": f"lshiwjx/{AGCN}, feeders and data_gen",
    "unik": f"YangDi666/{UNIK}, feeders and data_gen",
    "stgcn": f"yysijie/{STGCN}, feeder",
}
TOOLS = {"agcn": "2s-AGCN/feeders", "unik": "UNIK/feeders", "stgcn": "st-gcn/feeder"}
MOVE = ("degrees", "scale", "shift")  # what `random-move` draws


def load(path: Path, name: str) -> ModuleType:
    """A module from its file."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


feeding = load(TESTS / "data" / "feeding.py", "feeding")
mutations = load(TESTS / "prepare" / "mutations.py", "mutations")


class Drawn:
    """Our clips, and what was drawn for them: by step the rows of each batch and the parameters."""

    def __init__(self, part: PartData) -> None:
        self.steps: dict[str, list[tuple[Any, Any]]] = {}
        for name in ("_clips", "_test_clips"):
            object.__setattr__(part, name, [self._watched(steps) for steps in getattr(part, name)])
        self.slots = int(part.tracks.begin[1])
        self.clips = feeding.outputs(part)

    def of(self, step: str, read: Callable[[Any, Any], torch.Tensor]) -> np.ndarray:
        """A number of each sample, from rows and parameters."""
        found: np.ndarray = torch.cat([read(rows, drawn) for rows, drawn in self.steps[step]])[:: self.slots].numpy()
        return found.astype(np.float64)

    def _watched(self, steps: Any) -> Any:
        """A list of steps that keep what they draw."""
        return tuple(step if step.draw is None else step._replace(draw=self._watch(step)) for step in steps)

    def _watch(self, step: Any) -> Callable[..., Any]:
        def draw(rows: Any, *arguments: Any) -> Any:
            drawn = step.draw(rows, *arguments)
            self.steps.setdefault(step.name, []).append((rows, drawn))
            return drawn

        return draw


@contextmanager
def given(owner: Any, **names: Any) -> Iterator[None]:
    """Some names of a module or class replaced."""
    kept = {name: getattr(owner, name) for name in names}
    for name, value in names.items():
        setattr(owner, name, value)
    try:
        yield
    finally:
        for name, value in kept.items():
            setattr(owner, name, value)


def array(sample: Sample, name: str) -> np.ndarray:
    """A sample as the feeders of a family read it: (channels, 300, joints, 2)."""
    found = np.zeros((2, 300, 25, 3), np.float32)
    for slot, person in enumerate(prepare(sample, [name]).keypoints):
        seen = np.flatnonzero(~np.isnan(person).all((1, 2)))
        if name in ("ctr", "stgcn"):
            found[slot, : len(person)] = np.nan_to_num(person)[:300]
        elif seen.size:
            found[slot] = np.nan_to_num(person[np.arange(300) % (seen[-1] + 1)])
    return np.ascontiguousarray(found.transpose(3, 1, 2, 0))


def ctr(samples: Sequence[Sample], checkouts: Path, case: str) -> tuple[np.ndarray, np.ndarray]:
    """CTR-GCN's feeder of NTU: theirs and ours."""
    from feeders import feeder_ntu

    _, mode, stream = case.split()
    drawn = Drawn(feeding.part_of(feeding.Recordings(samples, "kinect_v2"), feeding.NTU[case]))
    arrays = np.stack([array(sample, "ctr") for sample in samples])
    flat, labels = arrays.transpose(0, 2, 4, 3, 1).reshape(len(samples), 300, 150), np.eye(60)[[0] * len(samples)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.npz"
        np.savez(path, x_train=flat, x_test=flat, y_train=labels, y_test=labels)
        options = {"window_size": 64, "bone": "bone" in stream, "vel": "motion" in stream}
        feeder = feeder_ntu.Feeder(
            str(path),
            split=mode,
            p_interval=[0.5, 1] if mode == "train" else [0.95],
            random_rot=mode == "train",
            **options,
        )
    if mode == "test":
        return np.stack([np.asarray(feeder[place][0]) for place in range(len(samples))]), drawn.clips
    cut = drawn.of("crop-resize", lambda rows, _: rows.uniform(2))
    angles = torch.from_numpy(drawn.of("rotate", lambda rows, _: rows.spread(3) * 0.3)).float()
    theirs = []
    for place, (share, where) in enumerate(cut):
        draws = {"rand": lambda _, share=share: share, "randint": lambda _, high, where=where: int(where * high)}
        turned = {"uniform_": lambda self, *_, place=place: self.copy_(angles[place])}
        with given(np.random, **draws), given(torch.Tensor, **turned):
            theirs.append(np.asarray(feeder[place][0]))
    return np.stack(theirs), drawn.clips


def bones_and_motion(x: np.ndarray, stream: str) -> np.ndarray:
    """What the scripts gen_bone_data.py and gen_motion_data.py compute of a whole array."""
    from feeders.bone_pairs import ntu_pairs

    if stream.startswith("bone"):
        joints, x = x, x.copy()
        for child, parent in ntu_pairs:
            x[:, :, child - 1] = joints[:, :, child - 1] - joints[:, :, parent - 1]
    if stream.endswith("motion"):
        moved = np.zeros_like(x)
        moved[:, :-1] = x[:, 1:] - x[:, :-1]
        x = moved
    return x


def padded(samples: Sequence[Sample], checkouts: Path, case: str) -> tuple[np.ndarray, np.ndarray]:
    """The feeders of ST-GCN, 2s-AGCN and UNIK: theirs and ours."""
    who, *mode, stream = case.split()
    tools = load(checkouts / TOOLS[who] / "tools.py", f"tools_{who}")
    drawn = Drawn(feeding.part_of(feeding.Recordings(samples, "kinect_v2"), feeding.NTU[case]))
    arrays = [bones_and_motion(array(sample, who), stream) for sample in samples]
    if mode == ["whole"]:
        return np.stack(arrays), drawn.clips
    if mode == ["shift"]:
        places = drawn.of("random-shift", lambda _, positions: (positions >= 0).int().argmax(1))
        theirs = []
        for x, place in zip(arrays, places, strict=True):
            with given(tools, random=SimpleNamespace(randint=lambda *_, place=place: int(place))):
                theirs.append(tools.random_shift(x))
        return np.stack(theirs), drawn.clips
    start = drawn.of("contiguous", lambda rows, _: rows.uniform(1)[:, 0])
    moves = [drawn.of("random-move", lambda _, move, name=name: getattr(move, name)) for name in MOVE]
    theirs, size = [], 64 if "own" in mode else 150
    for place, x in enumerate(arrays):
        if "own" in mode:
            x = x[:, : prepare(samples[place], [who]).keypoints.shape[1]]  # noqa: PLW2901 the array without its filling
        begin = int(start[place] * (abs(x.shape[1] - size) + 1))
        degrees, scale, (along, across) = (values[place] for values in moves)
        chosen = iter((degrees, scale, along, across))
        library = SimpleNamespace(randint=lambda *_, begin=begin: begin, choice=lambda candidates: candidates[0])
        with given(tools, random=library):
            window = tools.random_choose(x.copy(), size).copy()
            with given(np.random, choice=lambda *_, chosen=chosen: next(chosen)):
                theirs.append(tools.random_move(window))
    return np.stack(theirs), drawn.clips


def ucla(walks: Sequence[Sample], raw: Sequence[np.ndarray], case: str) -> tuple[np.ndarray, np.ndarray]:
    """CTR-GCN's feeder of NW-UCLA: theirs, in double precision, and ours."""
    from feeders import feeder_ucla

    _, mode, stream = case.split()
    drawn = Drawn(feeding.part_of(feeding.Recordings(walks, "kinect_v1"), feeding.UCLA[case]))
    feeder = feeder_ucla.Feeder.__new__(feeder_ucla.Feeder)  # without its list of files
    feeder.train_val, feeder.data_path, feeder.time_steps = mode, stream.replace("joint-motion", "motion"), 52
    feeder.data, feeder.label, feeder.data_dict = list(raw), [0] * len(raw), [None] * len(raw)
    parents = [1, 2, 2, 2, 2, 4, 5, 6, 2, 8, 9, 10, 0, 12, 13, 14, 0, 16, 17, 18]
    feeder.bone = [(joint + 1, parent + 1) for joint, parent in enumerate(parents)]
    if mode == "test":
        return np.stack([feeder[place][0] for place in range(len(raw))]), drawn.clips
    degrees = drawn.of("random-view", lambda _, view: view.degrees)
    scale = drawn.of("random-view", lambda _, view: view.scale)
    frames = drawn.of("sorted-draw", lambda _, positions: positions).astype(int)
    theirs = []
    for place in range(len(raw)):
        turns = iter(degrees[place].tolist())
        library = SimpleNamespace(
            random=random.random,
            randint=lambda *_, turns=turns: next(turns),
            uniform=lambda *_, place=place: scale[place],
            sample=lambda *_, place=place: frames[place].tolist(),
        )
        with given(feeder_ucla, random=library):
            theirs.append(feeder[place][0])
    return np.stack(theirs), drawn.clips


def segments(checkouts: Path, frames: int) -> str:
    """The digest of the frames that PYSKL draws of samples of 1 to 700 frames."""
    source = (checkouts / "pyskl/pyskl/datasets/pipelines/sampling.py").read_text()
    code = "\n".join(line for line in source.splitlines() if not line.startswith("from "))
    registry_of = SimpleNamespace(register_module=lambda: lambda cls: cls)
    space: dict[str, Any] = {"PIPELINES": registry_of}
    exec(compile(code, "sampling.py", "exec"), space)
    sampler, rows = space["UniformSampleFrames"](frames), []
    length = torch.arange(1, 701)
    for number, drawn in zip(length.tolist(), uniform(length * 7919, 3, frames + 1).double().numpy(), strict=True):

        def randint(low: Any, high: int | None = None, drawn: np.ndarray = drawn) -> Any:
            if high is not None:
                return int(drawn[0] * high)
            return (drawn[1:] * low).astype(int) if np.ndim(low) else 0

        def choice(_: int, size: int, replace: bool, drawn: np.ndarray = drawn) -> np.ndarray:
            return np.argsort(drawn, kind="stable")[:size]

        with given(np.random, randint=randint, choice=choice):
            rows.append(np.mod(sampler._get_train_clips(number, frames), number))
    return str(feeding.digest(np.array(rows)))


def compared(name: str, theirs: np.ndarray, ours: np.ndarray) -> list[float]:
    """The sketch of theirs; says how far ours is from it."""
    far = np.abs(theirs - ours).reshape(len(ours), -1).max(1)
    sys.stdout.write(
        f"{name}: {len(far)} samples, greatest difference {far.max():.1e}, above 1e-6 {(far > 1e-6).sum()}\n"
    )
    return [round(value, 7) for value in feeding.sketch(theirs)]


def sketches(
    checkouts: Path, people: Sequence[Sample], walks: Sequence[Sample], raw: Sequence[np.ndarray]
) -> dict[str, list[float]]:
    """Of all cases."""
    found = {}
    for case in feeding.NTU:
        theirs, ours = (ctr if case.startswith("ctr") else padded)(people, checkouts, case)
        found[case] = compared(case, theirs, ours)
    for case in feeding.UCLA:
        found[case] = compared(case, *ucla(walks, raw, case))
    return found


def read(name: str, where: Path) -> list[Sample]:
    """All samples of real recordings, by id."""
    plugin = registry.find("converters", name)
    module, card = registry.load(plugin), load_card(plugin.toml)
    source = open_source([where], max_file=int(card.max_file_mb * 1e6))
    samples = [module.read(source, item, card) for item in module.plan(source, card)]
    return sorted(samples, key=lambda sample: sample.sample_id.encode())


def real_walks(where: Path) -> tuple[list[Sample], list[np.ndarray]]:
    """NW-UCLA as we read it, and as its files have it, in double precision."""
    walks = read("nw_ucla", where)
    plugin = registry.find("converters", "nw_ucla")
    source = open_source([where], max_file=10**8)
    items = {item.sample_id: item for item in registry.load(plugin).plan(source, load_card(plugin.toml))}
    raw = []
    for walk in walks:
        with source.open(items[walk.sample_id].paths[0]) as file:
            raw.append(np.array(json.load(file)["skeletons"]))
    return walks, raw


def main(checkouts: Path, real: Path | None) -> None:
    """Write one of the two files."""
    for name, kind in {"int": int, "float": float}.items():
        setattr(np, name, kind)  # names that the feeders still use
    plot = ModuleType("matplotlib")
    sys.modules |= {"matplotlib": plot, "matplotlib.pyplot": plot}
    sys.path.insert(0, str(checkouts / "CTR-GCN"))
    found: dict[str, Any] = {"sources": SOURCES}
    if real is None:
        people = [sample for sample in map(mutations.made, range(60)) if len(sample.frame)]
        walks = [feeding.made_walk(number) for number in range(60) if number % 7 != 3]
        found["sources"] = SOURCES | {
            "segments": "kennymckormick/pyskl @ 3f6795f, pyskl/datasets/pipelines/sampling.py"
        }
        found |= sketches(checkouts, people, walks, [walk.keypoints.astype(float) for walk in walks])
        found |= {f"segments {frames}": segments(checkouts, frames) for frames in (48, 100)}
    else:
        people = read("ntu60", real / "ntu/nturgb+d_skeletons")
        changed = (mutations.mutated(people[n % 5], people[(n * 7 + n // 5) % 5], n) for n in range(120))
        people = [sample for sample in (*people, *changed) if len(sample.frame)]
        walks, raw = real_walks(real / "nw_ucla/all_sqe.zip")
        found |= sketches(checkouts, people, walks, raw)
        even = [np.linspace(0, walk.n_frames - 1, 52).astype(int) for walk in walks]
        found["ucla frames"] = feeding.digest(np.concatenate(even))
    lines = [f'  "{name}": {json.dumps(value)}' for name, value in found.items()]
    path = TESTS / ("data" if real is None else "real") / "feeders.json"
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
