"""ST-GCN: fixed skeleton graphs with learnt edge weights and temporal convolutions (Yan et al., AAAI 2018)."""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor, nn

from skelbench.data.types import InputSpec
from skelbench.errors import RecipeError
from skelbench.models.blocks import ConvNorm, InputNorm, Rung, check_odd, detour, encode_once, ladder
from skelbench.skeletons import Layout

# their names to ours, rule after rule
CHECKPOINT = {
    "yysijie/st-gcn@221c0e152054b8da593774c0d483e59befdb9061": {
        r"^A$": "encoder.graph",
        r"^data_bn\.": "encoder.input.norm.",
        r"^fcn\.": "head.",
        r"^edge_importance\.(\d+)$": r"encoder.importance.\1",
        r"^st_gcn_networks\.(\d+)\.": r"encoder.blocks.\1.",
        r"\.gcn\.conv\.": ".spatial.",
        r"\.tcn\.0\.": ".norm.",
        r"\.tcn\.2\.": ".temporal.conv.",
        r"\.tcn\.3\.": ".temporal.norm.",
        r"\.residual\.0\.": ".skip.conv.",
        r"\.residual\.1\.": ".skip.norm.",
    }
}


class StGcn(nn.Module):
    """Ten blocks, each mixing joints along the bones and then frames.

    The authors' network, for the same weights. Its input norm is always shared over persons.

    Source: Yan et al., AAAI 2018; code yysijie/st-gcn@221c0e1 net/st_gcn.py.
    """

    CHECKPOINT = CHECKPOINT

    def __init__(  # noqa: PLR0913 - hyper-parameters, all of them keywords
        self,
        spec: InputSpec,
        *,
        width: int = 64,
        kernel: int = 9,
        partition: Literal["spatial", "distance", "uniform"] = "spatial",
        edge_importance: bool = True,
        dropout: float = 0.0,
        arithmetic: Literal["authors", "fused"] = "authors",
    ) -> None:
        """Build the network.

        Args:
            spec: What the clips look like; any layout, number of channels and length.
            width: Channels of the first blocks; the authors' 64.
            kernel: Frames of the temporal convolutions; odd.
            partition: Into which graphs the bones are sorted; see `partitioned`.
            edge_importance: Whether every block weighs every edge by a number that it learns.
            dropout: Share of the temporal units' outputs put to 0 in training, in all blocks but the first.
            arithmetic: `authors` sums in their order, so that every bit is theirs; `fused` computes absent persons once
                (unless there is dropout) and norms in fewer steps, which is faster and equal but for rounding.

        Raises:
            RecipeError: If a hyper-parameter is out of range.
        """
        super().__init__()
        check_odd("kernel", kernel)
        if not 0 <= dropout < 1:
            raise RecipeError(f"model.dropout is {dropout}, expected at least 0 and below 1.")
        graph = torch.from_numpy(partitioned(spec.layout, partition))
        self.graph: Tensor
        self.register_buffer("graph", graph)
        self.input = InputNorm(spec)
        rungs = ladder(spec.channels, width)
        self.blocks = nn.ModuleList(
            _Block(rung, len(graph), kernel, detour(rung) if place else None, dropout if place else 0.0)
            for place, rung in enumerate(rungs)
        )
        self.importance = nn.ParameterList(torch.ones_like(graph) for _ in rungs) if edge_importance else None
        self.dropout, self.fused = dropout, arithmetic == "fused"
        self.out_channels = 4 * width
        _draw(self)

    def forward(
        self, x: Float[Tensor, "rows channels frames joints"], slot: Int64[Tensor, " rows"]
    ) -> Float[Tensor, "rows features out_frames joints"]:
        """Encode each row by itself; `slot` is not used.

        Args:
            x: Clips, finite.
            slot: Person slot of each row.

        Returns:
            Features; a quarter of the frames, rounded up.
        """
        if self.fused and not (self.training and self.dropout > 0):
            return encode_once(self.convolved, self.input, x, slot)
        return self.convolved(self.input(x, slot))

    def convolved(self, x: Tensor) -> Tensor:
        """What the blocks make of normed rows."""
        for place, block in enumerate(self.blocks):
            x = block(x, self.graph if self.importance is None else self.graph * self.importance[place])
        return x


class _Block(nn.Module):
    """Graph convolution, temporal convolution, and a way around both in all but the first block."""

    def __init__(self, rung: Rung, graphs: int, kernel: int, skip: nn.Module | None, dropout: float) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(rung.inputs, graphs * rung.outputs, 1)
        self.norm = nn.BatchNorm2d(rung.outputs)
        self.temporal = ConvNorm(rung.outputs, rung.outputs, kernel, rung.stride)
        self.dropout = nn.Dropout(dropout)
        self.skip = skip

    def forward(self, x: Tensor, graph: Tensor) -> Tensor:
        """(rows, inputs, frames, joints) to (rows, outputs, ceil(frames / stride), joints)."""
        out: Tensor = self.dropout(self.temporal(self.norm(self.convolved(x, graph)).relu_()))
        return (out if self.skip is None else out + self.skip(x)).relu_()

    def convolved(self, x: Tensor, graph: Tensor) -> Tensor:
        """Give every graph channels of its own, mix their joints along it, and sum over the graphs."""
        wide = self.spatial(x).unflatten(1, (len(graph), self.norm.num_features))
        return torch.einsum("nkctv,kvw->nctw", wide, graph).contiguous()


def partitioned(layout: Layout, partition: str) -> Float32[np.ndarray, "graphs joints joints"]:
    """Sort a skeleton's edges into graphs, each column of their sum divided by its number of edges.

    Edge [i, j] carries what joint i shows to joint j. `uniform`: all in one. `distance`: joints to themselves, bones.
    `spatial`: joints to themselves, bones that do not lead away from the centre, bones that do. As in the authors'
    code, distances from the centre beyond one bone count as equal, so that farther out both directions of a bone are
    in the second graph; what leads away are the bones of the centre and those of its neighbours.

    Args:
        layout: Joints, bones and the centre of each body.
        partition: `spatial`, `distance` or `uniform`.

    Returns:
        3, 2 or 1 graphs.

    Source: Yan et al., AAAI 2018, section 3.3; code yysijie/st-gcn@221c0e1 net/utils/graph.py.
    """
    count = len(layout.joints)
    own = np.eye(count, dtype=bool)
    bones = np.zeros((count, count), bool)
    for joint, parent in enumerate(layout.parents):
        if parent >= 0:
            bones[joint, parent] = bones[parent, joint] = True
    centres = np.array(layout.parents) < 0  # one, or one in each of several bodies side by side
    away = np.where(centres, 0, np.where(bones[centres].any(0), 1, 2))  # 2: anywhere beyond
    leaving = bones & (away[:, None] < away[None, :])
    graphs = {"uniform": [own | bones], "distance": [own, bones], "spatial": [own, bones & ~leaving, leaving]}
    share = 1 / (own | bones).sum(0)
    normed: np.ndarray = np.stack(graphs[partition]).astype(np.float64) * share
    return normed.astype(np.float32)


def _draw(network: nn.Module) -> None:
    """Draw all weights anew as the authors' training does: normal of 0.02 about 0, those of norms about 1."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.normal_(module.weight, 0.0 if isinstance(module, nn.Conv2d) else 1.0, 0.02)
            nn.init.zeros_(module.get_parameter("bias"))
