"""The operations of which a recipe's clips are ordered lists, by name.

An operation is a pair of functions: `draw_<name>(rows, ...)` returns what is drawn, `apply_<name>(x, drawn)` is pure.
A sampling step only draws: the position of every frame of the clip in the sample. Operations before it see whole
samples, padded with NaN. All persons of a sample share their draws, but for noise. NaN marks what is missing to the
end, unless the step `zero` ends that earlier. To add an operation, write its functions and name them in `OPERATIONS`
here or in `SAMPLING`; `skelbench/data/cut.py` runs the lists.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import Tensor

from skelbench.data.corruption import (
    apply_drop_joints,
    apply_noise,
    apply_reverse,
    apply_zero,
    draw_drop_joints,
    draw_noise,
    draw_reverse,
    draw_zero,
)
from skelbench.data.geometry import (
    apply_flip,
    apply_minmax,
    apply_random_move,
    apply_random_view,
    apply_rotate,
    apply_scale,
    draw_flip,
    draw_minmax,
    draw_random_move,
    draw_random_view,
    draw_rotate,
    draw_scale,
    draw_shear,
)
from skelbench.data.sampling import SAMPLING

__all__ = ["ANYWHERE", "INSIDE", "LATE", "OPERATIONS", "SAMPLING", "ZERO", "Operation"]

ZERO = "zero"  # where a list begins with it, the set is read as one without missing joints


class Operation(NamedTuple):
    """The two functions of a name."""

    draw: Callable[..., Any]
    apply: Callable[[Tensor, Any], Tensor]


OPERATIONS: Mapping[str, Operation] = {
    "rotate": Operation(draw_rotate, apply_rotate),
    "scale": Operation(draw_scale, apply_scale),
    "flip": Operation(draw_flip, apply_flip),
    "shear": Operation(draw_shear, apply_rotate),
    "random-view": Operation(draw_random_view, apply_random_view),
    "minmax": Operation(draw_minmax, apply_minmax),
    "random-move": Operation(draw_random_move, apply_random_move),
    "noise": Operation(draw_noise, apply_noise),
    "reverse": Operation(draw_reverse, apply_reverse),
    "drop-joints": Operation(draw_drop_joints, apply_drop_joints),
    ZERO: Operation(draw_zero, apply_zero),
}
ANYWHERE = frozenset({"scale", "random-move", "reverse", "drop-joints", ZERO})  # also after the streams
# sampling steps that read no frame after a sample's end
INSIDE = frozenset({"resample", "crop-resize", "sorted-draw", "linspace", "uniform-segments"})
LATE = frozenset({"reverse"})  # not before the sampling step, which asks which frames show somebody
