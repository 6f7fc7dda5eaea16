"""Our light graph network: learnt joint graphs, one for each group of channels; about 80 k parameters."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from skelbench.data.types import InputSpec
from skelbench.errors import RecipeError
from skelbench.skeletons import Layout, adjacency


class Lite(nn.Module):
    """Four blocks of a learnt spatial graph and a temporal convolution, for a machine without a GPU.

    Source: ours. The channel groups with a free graph each are the decoupling of DC-GCN (Cheng et al., ECCV 2020).
    """

    def __init__(
        self,
        spec: InputSpec,
        *,
        widths: tuple[int, ...] = (32, 32, 64, 64),
        strides: tuple[int, ...] = (2, 1, 2, 1),
        kernel: int = 5,
        heads: int = 8,
    ) -> None:
        """Build the network.

        Args:
            spec: What the clips look like; any layout, number of channels and length.
            widths: Channels of each block; multiples of `heads`.
            strides: Temporal stride of each block.
            kernel: Frames of the temporal convolutions; odd.
            heads: Groups of channels with a graph of their own.

        Raises:
            RecipeError: If the hyper-parameters do not fit together.
        """
        super().__init__()
        _check(widths, strides, kernel, heads)
        channels = spec.channels
        self.norm = nn.BatchNorm1d(channels * len(spec.layout.joints))
        blocks = []
        for place, (width, stride) in enumerate(zip(widths, strides, strict=True)):
            graph = _Graph(channels, width, heads, spec.layout)
            blocks.append(_Block(graph, _Temporal(width, kernel, stride), skip=place > 0))
            channels = width
        self.blocks = nn.Sequential(*blocks)
        self.out_channels = channels

    def forward(
        self, x: Float[Tensor, "rows channels frames joints"], slot: Int64[Tensor, " rows"]
    ) -> Float[Tensor, "rows features out_frames joints"]:
        """Encode each row by itself; `slot` is not used.

        Args:
            x: Clips, finite.
            slot: Person slot of each row.

        Returns:
            Features; each block of stride 2 halves the frames, rounding up.
        """
        per_joint = self.norm(x.transpose(2, 3).flatten(1, 2))  # (rows, channels * joints, frames)
        x = per_joint.unflatten(1, (x.shape[1], x.shape[3])).transpose(2, 3).contiguous()
        features: Tensor = self.blocks(x)
        return features


class _Graph(nn.Module):
    """Mix joints by one learnt V x V matrix for each group of channels, then mix channels."""

    def __init__(self, inputs: int, outputs: int, heads: int, layout: Layout) -> None:
        super().__init__()
        self.inputs, self.outputs, self.heads = inputs, outputs, heads
        # too few channels to split (the input): widen them before the graph instead of after
        self.widen = nn.Conv2d(inputs, outputs, 1) if inputs % heads else nn.Identity()
        graph = torch.from_numpy(adjacency(layout)).sum(0)
        graph = graph / graph.sum(0)
        # the same graph everywhere would stay the same graph: the noise tells the groups apart
        self.graph = nn.Parameter(graph + 0.1 * torch.randn(heads, *graph.shape))
        self.mix = nn.Conv2d(outputs if inputs % heads else inputs, outputs, 1)
        self.norm = nn.BatchNorm2d(outputs)
        self.skip = nn.Identity() if inputs == outputs else _pointwise(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(rows, inputs, frames, joints) to (rows, outputs, frames, joints)."""
        wide = self.widen(x)
        rows, channels, frames, joints = wide.shape
        grouped = wide.reshape(rows, self.heads, channels // self.heads * frames, joints) @ self.graph
        return torch.relu(self.norm(self.mix(grouped.view(wide.shape))) + self.skip(x))


class _Temporal(nn.Module):
    """Convolution over frames, joint by joint."""

    def __init__(self, width: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv2d(width, width, (kernel, 1), (stride, 1), (kernel // 2, 0))
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """(rows, width, frames, joints) to (rows, width, ceil(frames / stride), joints)."""
        out: Tensor = self.norm(self.conv(x))
        return out


class _Block(nn.Module):
    """Spatial unit, temporal unit, and a way around both in all but the first block."""

    def __init__(self, spatial: _Graph, temporal: _Temporal, *, skip: bool) -> None:
        super().__init__()
        self.spatial, self.temporal = spatial, temporal
        self.skip: nn.Module | None = None
        if skip:
            plain = spatial.inputs == spatial.outputs and temporal.stride == 1
            self.skip = nn.Identity() if plain else _pointwise(spatial.inputs, spatial.outputs, temporal.stride)

    def forward(self, x: Tensor) -> Tensor:
        """(rows, inputs, frames, joints) to (rows, outputs, ceil(frames / stride), joints)."""
        out = self.temporal(self.spatial(x))
        return torch.relu(out if self.skip is None else out + self.skip(x))


def _pointwise(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """A residual path that changes the number of channels or frames."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, (stride, 1)), nn.BatchNorm2d(outputs))


def _check(widths: tuple[int, ...], strides: tuple[int, ...], kernel: int, heads: int) -> None:
    """Refuse hyper-parameters that cannot be built."""
    if not widths or len(widths) != len(strides):
        raise RecipeError(f"model.widths has {len(widths)} blocks and model.strides {len(strides)}: expected as many.")
    if heads < 1 or any(width < 1 or width % heads for width in widths):
        raise RecipeError(f"model.widths is {list(widths)}: expected multiples of model.heads, which is {heads}.")
    if kernel < 1 or kernel % 2 == 0 or any(stride < 1 for stride in strides):
        raise RecipeError(f"model.kernel is {kernel} and model.strides {list(strides)}: expected odd, and at least 1.")
