"""CTR-GCN: learnt joint graphs that every channel refines by what the clip shows (Chen et al., ICCV 2021)."""

from collections.abc import Iterator
from functools import reduce
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from skelbench.data.types import InputSpec
from skelbench.errors import RecipeError
from skelbench.models.blocks import (
    BLOCKS,
    ConvNorm,
    InputNorm,
    Rung,
    check_odd,
    detour,
    encode_once,
    kaiming,
    ladder,
    stacked,
)
from skelbench.skeletons import adjacency

# their names to ours, rule after rule
CHECKPOINT = {
    "Uason-Chen/CTR-GCN@e13d7582e281d06711eeecb380a472b278ae1663": {
        r"^fc\.": "head.",
        r"^data_bn\.": "encoder.input.norm.",
        **{rf"^l{place + 1}\.": f"encoder.blocks.{place}." for place in range(BLOCKS)},
        r"\.gcn1\.PA$": ".spatial.graph",
        r"\.gcn1\.alpha$": ".spatial.alpha",
        r"\.gcn1\.convs\.(\d+)\.conv1\.": r".spatial.query.\1.",
        r"\.gcn1\.convs\.(\d+)\.conv2\.": r".spatial.key.\1.",
        r"\.gcn1\.convs\.(\d+)\.conv3\.": r".spatial.value.\1.",
        r"\.gcn1\.convs\.(\d+)\.conv4\.": r".spatial.refine.\1.",
        r"\.gcn1\.bn\.": ".spatial.norm.",
        r"\.gcn1\.down\.0\.": ".spatial.skip.conv.",
        r"\.gcn1\.down\.1\.": ".spatial.skip.norm.",
        r"\.tcn1\.branches\.(\d+)\.0\.": r".temporal.reduce.\1.",
        r"\.tcn1\.branches\.(\d+)\.1\.": r".temporal.norms.\1.",
        r"\.tcn1\.branches\.(\d+)\.3\.": r".temporal.convs.\1.",
        r"\.tcn1\.branches\.(\d+)\.4\.": ".temporal.pool_norm.",
        r"\.residual\.": ".skip.",
        r"\.bn\.(\w+)$": r".norm.\1",
    }
}


class CtrGcn(nn.Module):
    """Ten blocks, each mixing joints by channel-wise graphs, then frames in four ways.

    The authors' network, for the same weights. Theirs fails where the input has fewer than 8 channels other than 3;
    ours takes 8 relation channels there, as theirs does with 3.

    Source: Chen et al., ICCV 2021; code Uason-Chen/CTR-GCN@e13d758 model/ctrgcn.py.
    """

    CHECKPOINT = CHECKPOINT

    def __init__(  # noqa: PLR0913 - hyper-parameters, all of them keywords
        self,
        spec: InputSpec,
        *,
        width: int = 64,
        kernel: int = 5,
        dilations: tuple[int, ...] = (1, 2),
        dropout: float = 0.0,
        arithmetic: Literal["authors", "fused"] = "authors",
        input_slots: int = 1,
    ) -> None:
        """Build the network.

        Args:
            spec: What the clips look like; any layout, number of channels and length.
            width: Channels of the first blocks; at least 8, a multiple of the temporal branches; the authors' 64.
            kernel: Frames of the temporal convolutions; odd.
            dilations: Of the temporal convolutions, one branch each; two more branches pool and pass on.
            dropout: Share of the features put to 0 in training, in front of the head.
            arithmetic: `authors` sums in their order, so that every bit is theirs; `fused` sums in fewer and larger
                steps, and absent persons once, which is faster and equal but for rounding.
            input_slots: 1, or the person slots of the data; see `InputNorm`.

        Raises:
            RecipeError: If the hyper-parameters do not fit together.
        """
        super().__init__()
        _check(width, kernel, dilations, dropout)
        # the rows of `adjacency` are where an edge begins, theirs where it ends: so 1 and 2 change places
        graph = torch.from_numpy(adjacency(spec.layout))[[0, 2, 1]]
        self.input = InputNorm(spec, input_slots)
        blocks: list[_Block] = []
        fused = arithmetic == "fused"
        for rung in ladder(spec.channels, width):
            spatial = _Spatial(rung, graph, fused=fused)
            temporal = _Temporal(rung, kernel, dilations, fused=fused)
            blocks.append(_Block(spatial, temporal, detour(rung) if blocks else None))
        self.blocks = nn.Sequential(*blocks)
        self.dropout, self.fused = dropout, fused
        self.out_channels = 4 * width

    def forward(
        self, x: Float[Tensor, "rows channels frames joints"], slot: Int64[Tensor, " rows"]
    ) -> Float[Tensor, "rows features out_frames joints"]:
        """Encode each row.

        Args:
            x: Clips, finite.
            slot: Person slot of each row; read where the input norm has more than one.

        Returns:
            Features; a quarter of the frames, rounded up.

        Raises:
            RecipeError: If the rows do not fit `input_slots`.
        """
        features = encode_once(self.blocks, self.input, x, slot) if self.fused else self.blocks(self.input(x, slot))
        if not self.training or self.dropout == 0:
            return features
        # the authors drop features of a sample after its pooling: the same as dropping them in all its rows before
        kept = functional.dropout(features.new_ones(len(x) // self.input.slots, self.out_channels), self.dropout)
        return features * kept.repeat_interleave(self.input.slots, 0)[:, :, None, None]


class _Spatial(nn.Module):
    """CTR-GC: three learnt graphs, each refined for every channel by relations between the joints of the clip."""

    def __init__(self, rung: Rung, graph: Tensor, *, fused: bool) -> None:
        super().__init__()
        inputs, outputs, self.fused = rung.inputs, rung.outputs, fused
        relations = 8 if inputs in (3, 9) or inputs < 8 else inputs // 8
        self.graph = nn.Parameter(graph.clone())
        self.alpha = nn.Parameter(torch.zeros(1))  # how much of the refinement is added
        self.query = nn.ModuleList(kaiming(nn.Conv2d(inputs, relations, 1)) for _ in graph)
        self.key = nn.ModuleList(kaiming(nn.Conv2d(inputs, relations, 1)) for _ in graph)
        self.value = nn.ModuleList(kaiming(nn.Conv2d(inputs, outputs, 1)) for _ in graph)
        self.refine = nn.ModuleList(kaiming(nn.Conv2d(relations, outputs, 1)) for _ in graph)
        self.norm = nn.BatchNorm2d(outputs)
        nn.init.constant_(self.norm.weight, 1e-6)  # so that a block begins as its residual path
        self.skip = detour(Rung(inputs, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(rows, inputs, frames, joints) to (rows, outputs, frames, joints)."""
        out: Tensor = self.norm(self.mixed_at_once(x) if self.fused else self.mixed(x))
        out = (out + self.skip(x)).relu_()
        return out

    def mixed(self, x: Tensor) -> Tensor:
        """(rows, inputs, frames, joints) to (rows, outputs, frames, joints), graph by graph."""
        return reduce(torch.add, (self.along(x, place) for place in range(len(self.graph))))

    def along(self, x: Tensor, place: int) -> Tensor:
        """What one graph adds to the sum."""
        query, key = self.query[place](x).mean(2), self.key[place](x).mean(2)
        features = self.value[place](x)
        relations = torch.tanh(query.unsqueeze(3) - key.unsqueeze(2))
        maps = self.refine[place](relations) * self.alpha + self.graph[place]  # last axis: the joint that is looked at
        out: Tensor = torch.einsum("ncuv,nctv->nctu", maps, features)
        return out

    def mixed_at_once(self, x: Tensor) -> Tensor:
        """The same in fewer and larger steps."""
        rows, _, frames, joints = x.shape
        outputs = self.norm.num_features
        pairs = (
            (value(x).view(rows * outputs, frames, joints), maps.view(rows * outputs, joints, joints))
            for value, maps in zip(self.value, self.transposed_maps(x), strict=True)
        )
        out = torch.bmm(*next(pairs))
        for features, maps in pairs:
            out = torch.baddbmm(out, features, maps)
        return out.view(rows, outputs, frames, joints)

    def transposed_maps(self, x: Tensor) -> Iterator[Tensor]:
        """(rows, outputs, joints * joints) for each graph: the joint that is looked at first, each by one product."""
        rows, _, _, joints = x.shape
        graphs = len(self.graph)
        # the mean over frames passes through the pointwise convolutions
        means = functional.conv2d(x.mean(2, keepdim=True), *stacked([*self.query, *self.key]))
        query, key = means.view(rows, 2, graphs, means.shape[1] // (2 * graphs), joints).unbind(1)
        relations = torch.tanh(query.unsqueeze(3) - key.unsqueeze(4)).flatten(3)
        for place, refine in enumerate(self.refine):
            weight = refine.get_parameter("weight").flatten(1) * self.alpha
            fixed = self.graph[place].t().flatten() + (refine.get_parameter("bias") * self.alpha)[:, None]
            yield torch.baddbmm(fixed, weight.expand(rows, *weight.shape), relations[:, place])


class _Temporal(nn.Module):
    """Branches with a share of the channels each: dilated convolutions, a maximum, and nothing."""

    def __init__(self, rung: Rung, kernel: int, dilations: tuple[int, ...], *, fused: bool) -> None:
        super().__init__()
        width, branches = rung.outputs, len(dilations) + 2
        share = width // branches
        self.stride = rung.stride
        self.fused = fused and rung.stride == 1
        strides = [1] * (branches - 1) + [rung.stride]
        self.reduce = nn.ModuleList(kaiming(nn.Conv2d(width, share, 1, (stride, 1))) for stride in strides)
        self.norms = nn.ModuleList(nn.BatchNorm2d(share) for _ in strides)
        self.convs = nn.ModuleList(ConvNorm(share, share, kernel, rung.stride, dilation) for dilation in dilations)
        self.pool_norm = nn.BatchNorm2d(share)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight, 1.0, 0.02)

    def forward(self, x: Tensor) -> Tensor:
        """(rows, width, frames, joints) to (rows, width, ceil(frames / stride), joints)."""
        *narrow, plain = self.reduced(x)
        active = [norm(part).relu_() for norm, part in zip(self.norms, narrow, strict=False)]
        done = [conv(part) for conv, part in zip(self.convs, active, strict=False)]
        pooled = functional.max_pool2d(active[-1], (3, 1), (self.stride, 1), (1, 0))
        return torch.cat([*done, self.pool_norm(pooled), self.norms[-1](plain)], 1)

    def reduced(self, x: Tensor) -> list[Tensor]:
        """The input of each branch, of a share of the channels."""
        if not self.fused:
            return [conv(x) for conv in self.reduce]
        return list(functional.conv2d(x, *stacked(self.reduce)).chunk(len(self.reduce), 1))


class _Block(nn.Module):
    """Spatial unit, temporal unit, and a way around both in all but the first block."""

    def __init__(self, spatial: _Spatial, temporal: _Temporal, skip: nn.Module | None) -> None:
        super().__init__()
        self.spatial, self.temporal, self.skip = spatial, temporal, skip

    def forward(self, x: Tensor) -> Tensor:
        """(rows, inputs, frames, joints) to (rows, outputs, ceil(frames / stride), joints)."""
        out: Tensor = self.temporal(self.spatial(x))
        return (out if self.skip is None else out + self.skip(x)).relu_()


def _check(width: int, kernel: int, dilations: tuple[int, ...], dropout: float) -> None:
    """Refuse hyper-parameters that cannot be built."""
    branches = len(dilations) + 2
    if width < 8 or width % branches:
        raise RecipeError(f"model.width is {width}, expected at least 8 and a multiple of the {branches} branches.")
    if any(dilation < 1 for dilation in dilations):
        raise RecipeError(f"model.dilations is {list(dilations)}, expected numbers of at least 1.")
    check_odd("kernel", kernel)
    if not 0 <= dropout < 1:
        raise RecipeError(f"model.dropout is {dropout}, expected at least 0 and below 1.")
