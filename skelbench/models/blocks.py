"""What at least two networks share: the input norm of the references, their ladder of ten blocks, their small units."""

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from skelbench.data.types import InputSpec
from skelbench.errors import RecipeError
from skelbench.norms import CountedNorms
from skelbench.world import world_size

BLOCKS = 10


class Rung(NamedTuple):
    """One block of the ladder."""

    inputs: int  # channels
    outputs: int  # channels
    stride: int  # of the frames


def ladder(channels: int, width: int) -> tuple[Rung, ...]:
    """The ten blocks of ST-GCN and the networks after it: four, three and three of 1, 2 and 4 times the width.

    Args:
        channels: Of the input.
        width: Channels of the first blocks.

    Returns:
        Channels and stride of each block; the first of the second and third group halve the frames, rounding up.

    Raises:
        RecipeError: If the width is below 1.

    Source: Yan et al., AAAI 2018, section 3.5.
    """
    if width < 1:
        raise RecipeError(f"model.width is {width}, expected at least 1.")
    sizes = [channels, *[width] * 4, *[2 * width] * 3, *[4 * width] * 3]
    return tuple(Rung(one, other, 2 if width <= one < other else 1) for one, other in pairwise(sizes))


class InputNorm(nn.Module):
    """Batch norm of every (person,) joint and channel over samples and frames, before the first block."""

    def __init__(self, spec: InputSpec, slots: int = 1) -> None:
        """Build the norm.

        Args:
            spec: What the clips look like.
            slots: 1 shares the norm over all persons. Else the person slots of a sample, each with a norm of its own,
                as the references have it: the rows of a batch must then be all slots of each sample, in order.

        Raises:
            RecipeError: If the slots are neither 1 nor those of the data.
        """
        super().__init__()
        if slots not in (1, spec.slots):
            raise RecipeError(
                f"model.input_slots is {slots}, expected 1, or the person slots of the data: {spec.slots}."
            )
        self.slots = slots
        self.looked = False  # whether the slots of a batch on a device were looked at
        self.norm = nn.BatchNorm1d(slots * len(spec.layout.joints) * spec.channels)

    def forward(
        self, x: Float[Tensor, "rows channels frames joints"], slot: Int64[Tensor, " rows"]
    ) -> Float[Tensor, "rows channels frames joints"]:
        """Norm the clips.

        Args:
            x: Clips, finite.
            slot: Person slot of each row.

        Returns:
            The clips, contiguous.

        Raises:
            RecipeError: If the rows are not all slots of each sample in order, but the norm needs them so.
        """
        rows, channels, frames, joints = x.shape
        if self.slots > 1 and not torch.compiler.is_compiling():
            self._look(slot)
        wide = x.permute(0, 3, 1, 2).reshape(rows // self.slots, self.norm.num_features, frames)  # person by person
        normed: Tensor = self.norm(wide)
        return normed.view(rows, joints, channels, frames).permute(0, 2, 3, 1).contiguous()

    def _look(self, slot: Tensor) -> None:
        """Refuse rows that are not all slots of each sample; on an accelerator the first batch has to stand for all."""
        fits = len(slot) % self.slots == 0
        if fits and not (slot.is_cuda and self.looked):
            wanted = torch.arange(self.slots, device=slot.device).repeat(len(slot) // self.slots)
            fits, self.looked = torch.equal(slot, wanted), True
        if not fits:
            raise RecipeError(
                f"model.input_slots is {self.slots}, so the rows of a batch must be the slots 0 to {self.slots - 1} of "
                f"each sample; found {len(slot)} other rows. Set data.persons = 'all', or model.input_slots = 1."
            )


def encode_once(
    blocks: Callable[[Tensor], Tensor], norm: InputNorm, x: Tensor, slot: Tensor
) -> Float[Tensor, "rows features frames joints"]:
    """Take clips through input norm and blocks, absent persons only once.

    Rows of zeros, which stand for persons who are not there, are equal in each slot after the input norm: one of them
    goes through the blocks for all, and counts as often as they are many in every norm. The numbers are those of all
    rows, but for rounding. On an accelerator all rows go through, since to count them would halt it; so they do where
    several processes share a batch, or the network is compiled.

    Args:
        blocks: What follows the norm; treats every row alike, but for its batch norms.
        norm: The input norm.
        x: Clips (rows, channels, frames, joints), finite.
        slot: Person slot of each row.

    Returns:
        The features of all rows.
    """
    normed = norm(x, slot)
    if x.device.type != "cpu" or torch.compiler.is_compiling() or world_size() > 1:
        return blocks(normed)
    there = x.flatten(1).any(1)
    if there.all():
        with CountedNorms(None):
            return blocks(normed)
    absent = (~there).nonzero()[:, 0]
    often = torch.bincount(slot[absent])
    slots = often.nonzero()[:, 0]
    which = torch.searchsorted(slots, slot[absent])
    first = torch.stack([absent[which == place][0] for place in range(len(slots))])
    rows = torch.cat([there.nonzero()[:, 0], first])
    present = len(rows) - len(first)
    counts = torch.cat([x.new_ones(present), often[slots].to(x.dtype)])
    place = torch.empty_like(slot)
    place[there] = torch.arange(present)
    place[absent] = present + which
    with CountedNorms(counts):
        return blocks(normed[rows])[place]


class ConvNorm(nn.Module):
    """Convolution over frames, joint by joint, and batch norm: the temporal unit and the residual path of a block."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, dilation: int = 1) -> None:
        """Build it, padded so that stride 1 keeps the frames; Kaiming's normal weights by fan-out, bias 0."""
        super().__init__()
        padding = (kernel - 1) * dilation // 2
        self.conv = nn.Conv2d(inputs, outputs, (kernel, 1), (stride, 1), (padding, 0), (dilation, 1))
        self.norm = nn.BatchNorm2d(outputs)
        kaiming(self.conv)

    def forward(self, x: Float[Tensor, "rows inputs frames joints"]) -> Float[Tensor, "rows outputs less joints"]:
        """Give ceil(frames / stride) frames."""
        out: Tensor = self.norm(self.conv(x))
        return out


def detour(rung: Rung) -> nn.Module:
    """The residual path of a block: nothing where shapes agree, else a pointwise convolution and a norm."""
    same = rung.inputs == rung.outputs and rung.stride == 1
    return nn.Identity() if same else ConvNorm(rung.inputs, rung.outputs, stride=rung.stride)


def kaiming(conv: nn.Conv2d) -> nn.Conv2d:
    """Draw the weights of a convolution from Kaiming's normal distribution by fan-out; bias 0. Returns its argument."""
    nn.init.kaiming_normal_(conv.weight, mode="fan_out")
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


def stacked(convs: Iterable[nn.Module]) -> tuple[Tensor, Tensor]:
    """Weights and biases of convolutions of one input, stacked: one call then gives all their outputs, in order."""
    listed = list(convs)
    return torch.cat([conv.get_parameter("weight") for conv in listed]), torch.cat(
        [conv.get_parameter("bias") for conv in listed]
    )


def check_odd(name: str, kernel: int) -> None:
    """Refuse a kernel that cannot be centred on a frame.

    Raises:
        RecipeError: If it is even or below 1.
    """
    if kernel < 1 or kernel % 2 == 0:
        raise RecipeError(f"model.{name} is {kernel}, expected an odd number of frames.")
