"""UNIK: attention and a free matrix over all joints in every block, no skeleton graph (Yang et al., BMVC 2021)."""

import math
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

# their names to ours, rule after rule; what becomes empty has no place here: a bias that their network never uses
CHECKPOINT = {
    "YangDi666/UNIK@bf39968b46bdeb3f6027dda69838f94fef018c55": {
        r"^model_action\.": "",  # their wrapper for fine-tuning
        r"^fc\.": "head.",
        r"^data_bn\.": "encoder.input.norm.",
        **{rf"^l{place + 1}\.": f"encoder.blocks.{place}." for place in range(BLOCKS)},
        r"^.*\.s_unit\.bias$": "",
        r"\.s_unit\.DepM$": ".spatial.dependency",
        r"\.s_unit\.conv_a\.": ".spatial.theta.",
        r"\.s_unit\.conv_b\.": ".spatial.phi.",
        r"\.s_unit\.conv_d\.": ".spatial.value.",
        r"\.s_unit\.bn\.": ".spatial.norm.",
        r"\.s_unit\.down\.0\.": ".spatial.skip.conv.",
        r"\.s_unit\.down\.1\.": ".spatial.skip.norm.",
        r"\.s_unit\.out_conv\.": ".spatial.window.conv.",
        r"\.s_unit\.out_bn\.": ".spatial.window.norm.",
        r"\.t_unit\.conv\.": ".temporal.conv.",
        r"\.t_unit\.bn\.": ".temporal.norm.",
        r"\.residual\.conv\.": ".skip.conv.",
        r"\.residual\.bn\.": ".skip.norm.",
    }
}


class Unik(nn.Module):
    """Ten blocks, each with heads of a dependency matrix plus attention between joints, then a temporal convolution.

    The authors' network, for the same weights, without the bias of each spatial unit that they declare and never use
    (as many numbers a block as joints in a window).

    Source: Yang et al., BMVC 2021; code YangDi666/UNIK@bf39968 model/backbone_unik.py.
    """

    CHECKPOINT = CHECKPOINT

    def __init__(  # noqa: PLR0913 - hyper-parameters, all of them keywords
        self,
        spec: InputSpec,
        *,
        width: int = 64,
        heads: tuple[int, ...] = (3,) * BLOCKS,
        tau: int = 1,
        kernel: int = 9,
        dilations: tuple[int, ...] = (1,) * BLOCKS,
        bound: Literal["1/V", "1/sqrt(V)"] = "1/V",
        arithmetic: Literal["authors", "fused"] = "authors",
        input_slots: int = 1,
    ) -> None:
        """Build the network.

        Args:
            spec: What the clips look like; any layout, number of channels and length.
            width: Channels of the first blocks; a multiple of 4; the authors' 64.
            heads: Heads of each block. The authors' code has 3 in the first, whatever it is told for the others.
            tau: Frames of the window whose joints are seen together; odd.
            kernel: Frames of the temporal convolutions; odd.
            dilations: Of each block's temporal convolution; the paper's best has 3 in blocks 2 to 5, the code 1.
            bound: Of the uniform draw of the dependency matrices, V the joints of a window: `1/V` as the code has it,
                `1/sqrt(V)` as the paper prints it (equation 3.10 of the thesis: Kaiming's, matrix by matrix).
            arithmetic: `authors` sums in their order, so that every bit is theirs; `fused` sums in fewer and larger
                steps, and absent persons once, which is faster and equal but for rounding.
            input_slots: 1, or the person slots of the data; see `InputNorm`.

        Raises:
            RecipeError: If the hyper-parameters do not fit together.
        """
        super().__init__()
        _check(width, heads, tau, kernel, dilations)
        joints = tau * len(spec.layout.joints)
        spread = 1 / joints if bound == "1/V" else 1 / math.sqrt(joints)
        self.input = InputNorm(spec, input_slots)
        blocks: list[_Block] = []
        for rung, count, dilation in zip(ladder(spec.channels, width), heads, dilations, strict=True):
            matrices = torch.empty(count, joints, joints).uniform_(-spread, spread)
            spatial = _Spatial(rung, matrices, tau, fused=arithmetic == "fused")
            temporal = ConvNorm(rung.outputs, rung.outputs, kernel, rung.stride, dilation)
            blocks.append(_Block(spatial, temporal, detour(rung) if blocks else None))
        self.blocks = nn.Sequential(*blocks)
        self.fused = arithmetic == "fused"
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
        if self.fused:
            return encode_once(self.blocks, self.input, x, slot)
        features: Tensor = self.blocks(self.input(x, slot))
        return features


class _Spatial(nn.Module):
    """S-LSU: mix the joints (of a window of frames) by learnt matrices plus attention, one of each a head."""

    def __init__(self, rung: Rung, dependency: Tensor, tau: int, *, fused: bool) -> None:
        super().__init__()
        inputs, outputs, heads = rung.inputs, rung.outputs, len(dependency)
        self.embedded, self.fused = outputs // 4, fused
        self.dependency = nn.Parameter(dependency)
        self.theta = nn.ModuleList(kaiming(nn.Conv2d(inputs, self.embedded, 1)) for _ in range(heads))
        self.phi = nn.ModuleList(kaiming(nn.Conv2d(inputs, self.embedded, 1)) for _ in range(heads))
        self.value = nn.ModuleList(kaiming(nn.Conv2d(inputs, outputs, 1)) for _ in range(heads))
        for conv in self.value:
            nn.init.normal_(conv.get_parameter("weight"), 0, math.sqrt(2 / (outputs * inputs * heads)))
        self.norm = nn.BatchNorm2d(outputs)
        nn.init.constant_(self.norm.weight, 1e-6)  # so that a block begins as its residual path
        self.skip = detour(Rung(inputs, outputs, 1))
        self.window = _Window(outputs, tau) if tau > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        """(rows, inputs, frames, joints) to (rows, outputs, frames, joints)."""
        if self.window is not None:
            x = self.window.unfold(x)
        out = self.norm(self.mixed_at_once(x) if self.fused else self.mixed(x))
        out = (out + self.skip(x)).relu_()
        return out if self.window is None else self.window.fold(out)

    def mixed(self, x: Tensor) -> Tensor:
        """(rows, inputs, frames, joints) to (rows, outputs, frames, joints), head by head."""
        return reduce(torch.add, (self.head(x, place) for place in range(len(self.value))))

    def head(self, x: Tensor, place: int) -> Tensor:
        """What one head adds to the sum."""
        rows, inputs, frames, joints = x.shape
        steps = self.embedded * frames  # every frame of every channel votes
        theta = self.theta[place](x).permute(0, 3, 1, 2).reshape(rows, joints, steps)
        phi = self.phi[place](x).view(rows, steps, joints)
        maps = self.dependency[place] + torch.softmax(theta @ phi / steps, 1)  # each column of attention sums to 1
        out: Tensor = self.value[place]((x.reshape(rows, inputs * frames, joints) @ maps).view(x.shape))
        return out

    def mixed_at_once(self, x: Tensor) -> Tensor:
        """The same, all heads in one attention and one convolution of their inputs side by side."""
        rows, inputs, frames, joints = x.shape
        steps, heads = self.embedded * frames, len(self.value)
        embedded = functional.conv2d(x, *stacked([*self.theta, *self.phi]))
        theta, phi = embedded.view(rows, 2, heads, steps, joints).unbind(1)
        maps = torch.softmax(theta.transpose(2, 3) @ phi / steps, 2) + self.dependency
        flat = x.reshape(rows, inputs * frames, joints)
        seen = torch.cat([torch.bmm(flat, maps[:, head]).view(x.shape) for head in range(heads)], 1)
        weight = torch.cat([value.get_parameter("weight") for value in self.value], 1)
        bias = torch.stack([value.get_parameter("bias") for value in self.value]).sum(0)
        return functional.conv2d(seen, weight, bias)


class _Window(nn.Module):
    """Stand the joints of tau frames side by side, and bring them together again by a learnt sum over the frames."""

    def __init__(self, width: int, tau: int) -> None:
        super().__init__()
        self.tau = tau
        self.conv = nn.Conv3d(width, width, (1, tau, 1))
        self.norm = nn.BatchNorm2d(width)

    def unfold(self, x: Tensor) -> Tensor:
        """(rows, width, frames, joints) to (rows, width, frames, tau * joints); zeros beyond the clip's ends."""
        windows = functional.unfold(x, (self.tau, 1), padding=(self.tau // 2, 0))
        rows, width, frames, joints = x.shape
        apart = windows.view(rows, width, self.tau, frames, joints)
        return apart.transpose(2, 3).reshape(rows, width, frames, self.tau * joints)

    def fold(self, x: Tensor) -> Tensor:
        """(rows, width, frames, tau * joints) to (rows, width, frames, joints)."""
        apart = x.view(*x.shape[:3], self.tau, x.shape[3] // self.tau)
        out: Tensor = self.norm(self.conv(apart).squeeze(3))
        return out


class _Block(nn.Module):
    """Spatial unit, temporal unit, and a way around both in all but the first block."""

    def __init__(self, spatial: _Spatial, temporal: ConvNorm, skip: nn.Module | None) -> None:
        super().__init__()
        self.spatial, self.temporal, self.skip = spatial, temporal, skip

    def forward(self, x: Tensor) -> Tensor:
        """(rows, inputs, frames, joints) to (rows, outputs, ceil(frames / stride), joints)."""
        out: Tensor = self.temporal(self.spatial(x))
        return (out if self.skip is None else out + self.skip(x)).relu_()


def _check(width: int, heads: tuple[int, ...], tau: int, kernel: int, dilations: tuple[int, ...]) -> None:
    """Refuse hyper-parameters that cannot be built."""
    if width < 4 or width % 4:
        raise RecipeError(f"model.width is {width}, expected a multiple of 4: attention has a quarter of the channels.")
    for name, values in (("heads", heads), ("dilations", dilations)):
        if len(values) != BLOCKS or min(values) < 1:
            raise RecipeError(f"model.{name} is {list(values)}, expected {BLOCKS} numbers of at least 1, one a block.")
    check_odd("tau", tau)
    check_odd("kernel", kernel)
