"""Record what the authors' networks give for hashed weights and clips, from a checkout of their repository.

    python tests/parity/record.py unik PATH/OF/UNIK        # then stgcn, ctrgcn with theirs

writes tests/parity/unik.json. Their code is run from where it lies; nothing of it comes here but numbers.
"""

import ast
import hashlib
import importlib
import json
import re
import sys
import types
from pathlib import Path
from typing import Any

import torch
from made import clip, labels, outcome, summary, weights
from torch import Tensor, nn

from skelbench import registry
from skelbench.models.encoder import encoder_class
from skelbench.skeletons import Layout, load_layout

FOLDER = Path(__file__).parent
MIDDLE = re.compile(r"^l[2346789]\.|\.[1235678]\.(gcn|tcn)\.|importance\.[1235678]$")  # blocks like their neighbours
FILES = {
    "unik": ["model/backbone_unik.py"],
    "stgcn": ["net/st_gcn.py", "net/utils/graph.py", "net/utils/tgcn.py", "processor/recognition.py"],
    "ctrgcn": ["model/ctrgcn.py", "graph/tools.py", "graph/ntu_rgb_d.py", "graph/ucla.py"],
}


def case(
    layout: str, channels: int, persons: int, classes: int, clips: tuple[int, int], **model: Any
) -> dict[str, Any]:
    """A network and the clips it sees; `clips` are samples and frames, `model` our hyper-parameters."""
    sizes = {"layout": layout, "channels": channels, "persons": persons, "classes": classes}
    return {**sizes, "samples": clips[0], "frames": clips[1], "model": model}


CASES = {
    "unik": [
        case("kinect_v2", 3, 2, 60, (2, 13), input_slots=2),
        case("coco17", 2, 1, 31, (3, 8)),
        case("coco17", 2, 2, 31, (2, 5), input_slots=2),
        case("kinect_v2", 3, 2, 60, (2, 6), heads=[3] + [4] * 9, input_slots=2),
        case("penn13", 2, 1, 15, (2, 9), tau=3),
        case("kinect_v1", 6, 4, 10, (2, 4), input_slots=4),
    ],
    "stgcn": [
        case("kinect_v2", 3, 2, 60, (2, 13)),
        case("coco17", 2, 1, 31, (3, 8)),
        case("coco17", 3, 3, 31, (2, 5)),
        case("kinect_v1", 3, 1, 10, (3, 9), partition="distance"),
        case("penn13", 2, 1, 15, (2, 7), partition="uniform", edge_importance=False),
    ],
    "ctrgcn": [
        case("kinect_v2", 3, 2, 60, (2, 13), input_slots=2),
        case("coco17", 3, 1, 31, (3, 8)),
        case("kinect_v1", 3, 1, 10, (3, 9)),
        case("kinect_v2", 9, 2, 120, (2, 6), input_slots=2),
        case("penn13", 12, 4, 15, (2, 5), input_slots=4),
    ],
}


def unik(layout: Layout, case: dict[str, Any]) -> nn.Module:
    """Their network, in their arguments."""
    cls = importlib.import_module("model.backbone_unik").UNIK
    heads, tau = case["model"].get("heads", [3, 3])[1], case["model"].get("tau", 1)
    return cls(case["classes"], len(layout.joints), case["persons"], tau, heads, case["channels"])


def ctrgcn(layout: Layout, case: dict[str, Any]) -> nn.Module:
    """Their network; their graphs where they have one for the layout, else their tools on our bones."""
    theirs = {"kinect_v2": "graph.ntu_rgb_d.Graph", "kinect_v1": "graph.ucla.Graph"}
    if layout.name not in theirs:
        inward = [(joint, parent) for joint, parent in enumerate(layout.parents) if parent >= 0]
        outward, own = [(parent, joint) for joint, parent in inward], [(i, i) for i in range(len(layout.joints))]
        graph = importlib.import_module("graph.tools").get_spatial_graph(len(layout.joints), own, inward, outward)
        sys.modules["ours"] = types.ModuleType("ours")
        sys.modules["ours"].Graph = lambda: types.SimpleNamespace(A=graph)  # type: ignore[attr-defined]
    cls = importlib.import_module("model.ctrgcn").Model
    where = theirs.get(layout.name, "ours.Graph")
    return cls(case["classes"], len(layout.joints), case["persons"], where, {}, case["channels"])


def stgcn(layout: Layout, case: dict[str, Any]) -> nn.Module:
    """Their network with the weights their training draws; their graph, on our bones where they have no such layout."""
    module, graphs = importlib.import_module("net.st_gcn"), importlib.import_module("net.utils.graph")

    class Graph(graphs.Graph):
        def get_edge(self, name: str) -> None:
            if name == "ntu-rgb+d":
                super().get_edge(name)
                return
            bones = [(joint, parent) for joint, parent in enumerate(layout.parents) if parent >= 0]
            self.num_node, self.center = len(layout.joints), layout.centre
            self.edge = [(joint, joint) for joint in range(self.num_node)] + bones

    module.Graph = Graph
    graph = {
        "layout": "ntu-rgb+d" if layout.name == "kinect_v2" else "ours",
        "strategy": case["model"].get("partition", "spatial"),
    }
    network = module.Model(case["channels"], case["classes"], graph, case["model"].get("edge_importance", True))
    source = (Path(module.__file__).parents[1] / "processor" / "recognition.py").read_text(encoding="utf-8")
    draw = next(node for node in ast.parse(source).body if getattr(node, "name", "") == "weights_init")
    names: dict[str, Any] = {}
    exec(compile(ast.Module([draw], []), "recognition.py", "exec"), names)
    network.apply(names["weights_init"])
    return network


def graph_of(network: nn.Module) -> str | None:
    """SHA-256 of the graph that a network begins with, as float32."""
    for name, tensor in network.state_dict().items():
        if name in ("A", "l1.gcn1.PA"):
            return hashlib.sha256(tensor.numpy().astype("<f4").tobytes()).hexdigest()
    return None


def drawn(tensor: Tensor) -> list[float]:
    """Mean and standard deviation of a tensor as it is first drawn."""
    return [round_to(tensor.mean().item(), 4), round_to(tensor.std(correction=0).item(), 4)]


def round_to(value: Any, digits: int = 10) -> Any:
    """Numbers with so many significant digits, in whatever lists they stand."""
    return [round_to(one, digits) for one in value] if isinstance(value, list) else float(f"{value:.{digits}g}")


def record(model: str, case: dict[str, Any], salt: str) -> dict[str, Any]:
    """Run their network in float64 on one case."""
    layout = load_layout(case["layout"])
    torch.manual_seed(0)
    network = globals()[model](layout, case)
    first = {name: drawn(value) for name, value in network.named_parameters() if value.numel() >= 2000}
    graph = graph_of(network)
    network.double()
    network.load_state_dict(weights(salt, network.state_dict()))
    x = clip(salt, (case["samples"], case["channels"], case["frames"], len(layout.joints), case["persons"]))
    found: dict[str, Any] = outcome(network, x, labels(case["samples"], case["classes"]))
    for part in ("gradients", "running"):
        found[part] = {name: round_to(summary(name, value)) for name, value in found[part].items()}
    for part in ("logits", "training_logits", "loss", "logits_after_a_step"):
        found[part] = round_to(found[part])
    count = sum(value.numel() for value in network.parameters())
    unused = sum(value.numel() for value in network.parameters() if value.grad is None)
    shapes = {name: list(value.shape) for name, value in network.state_dict().items()}
    size = {"parameters": count, "unused": unused, "graph": graph}
    return {**case, "salt": salt, **size, "drawn": first, "shapes": shapes, **found}


def main(model: str, checkout: str) -> None:
    """Write the file of one model."""
    root = Path(checkout).resolve()
    sys.path.insert(0, str(root))
    repository, commit = next(iter(encoder_class(registry.load(registry.find("models", model))).CHECKPOINT)).split("@")
    files = {name: hashlib.sha256((root / name).read_bytes()).hexdigest() for name in FILES[model]}
    cases = [record(model, case, f"{model} {place}") for place, case in enumerate(CASES[model])]
    whole = cases[0]["shapes"]
    for entry in cases[1:]:  # one case says how weights are drawn, all shapes and gradients; the others what differs
        del entry["drawn"]
        shapes = entry["shapes"]
        entry["shapes"] = {name: shapes.get(name) for name in whole | shapes if whole.get(name) != shapes.get(name)}
        entry["gradients"] = {name: value for name, value in entry["gradients"].items() if not MIDDLE.search(name)}
    content = {"repository": repository, "commit": commit, "files": files, "torch": torch.__version__, "cases": cases}
    (FOLDER / f"{model}.json").write_text(f"{pretty(content)}\n", encoding="utf-8")


def pretty(value: Any, depth: int = 0) -> str:
    """JSON with a line for each entry that is no list of numbers."""
    inner = "\n" + " " * (depth + 1)
    if isinstance(value, dict) and value:
        lines = [f"{json.dumps(name)}: {pretty(entry, depth + 1)}" for name, entry in value.items()]
        return f"{{{inner}{f',{inner}'.join(lines)}{inner[:-1]}}}"
    if isinstance(value, list) and value and isinstance(value[0], (dict, list)):
        return f"[{inner}{f',{inner}'.join(pretty(entry, depth + 1) for entry in value)}{inner[:-1]}]"
    return json.dumps(value)


if __name__ == "__main__":
    main(*sys.argv[1:])
