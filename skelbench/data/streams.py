"""Streams: what an encoder sees of the joints. To add one, write a function and name it in `STREAMS`."""

from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from skelbench.errors import RecipeError, nearest


def joint(x: Float[Tensor, "rows c frames joints"], parents: Int64[Tensor, " joints"]) -> Tensor:
    """The coordinates as they are."""
    return x


def bone(x: Float[Tensor, "rows c frames joints"], parents: Int64[Tensor, " joints"]) -> Tensor:
    """Each joint minus its parent, 0 at the root; missing where either is."""
    return x - x.gather(3, parents.expand(x.shape))  # several times faster than index_select on the last axis


def joint_motion(x: Float[Tensor, "rows c frames joints"], parents: Int64[Tensor, " joints"]) -> Tensor:
    """The next frame minus this one, 0 in the last; missing where either is."""
    moved = torch.zeros_like(x)
    torch.sub(x[:, :, 1:], x[:, :, :-1], out=moved[:, :, :-1])
    return moved


def bone_motion(x: Float[Tensor, "rows c frames joints"], parents: Int64[Tensor, " joints"]) -> Tensor:
    """The motion of the bones."""
    return joint_motion(bone(x, parents), parents)


STREAMS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "joint": joint,
    "bone": bone,
    "joint-motion": joint_motion,
    "bone-motion": bone_motion,
}


def check_streams(names: Sequence[str]) -> tuple[str, ...]:
    """Check the names of streams.

    Raises:
        RecipeError: If there is none, one is unknown (naming the nearest) or stands twice.
    """
    if not names:
        raise RecipeError(f"streams: none given. {nearest('', STREAMS)}")
    for name in names:
        if name not in STREAMS:
            raise RecipeError(f"streams: no '{name}'. {nearest(name, STREAMS)}")
    if len(set(names)) < len(names):
        raise RecipeError(f"streams: {', '.join(names)} names one twice.")
    return tuple(names)


def compute_streams(
    x: Float[Tensor, "rows c frames joints"], names: Sequence[str], parents: Int64[Tensor, " joints"]
) -> Float[Tensor, "rows channels frames joints"]:
    """Compute streams and put them side by side on the channel axis.

    Args:
        x: Coordinates; NaN = missing.
        names: Keys of `STREAMS`, in the order of the result.
        parents: Parent of each joint, the root its own.

    Returns:
        As many channels as `x` for each stream; NaN = missing.

    Source: 2s-AGCN (Shi et al., CVPR 2019) for bones, MS-AAGCN (Shi et al., TIP 2020) for motions.
    """
    if len(names) == 1:
        return STREAMS[names[0]](x, parents)
    return torch.cat([STREAMS[name](x, parents) for name in names], 1)
