"""What an operation on clips may know of the rows of a batch."""

from dataclasses import dataclass, replace
from typing import NamedTuple

from jaxtyping import Float32, Int64
from torch import Tensor

from skelbench.data.draw import bits, normal, salt, uniform

_PERSON = 0x9E450  # sets the draws of one person apart from those that the persons of a sample share


class Seen(NamedTuple):
    """Which frames of the prepared sample show a joint of anybody in the slots; of a sample without, all count."""

    frames: Int64[Tensor, " rows"]  # how many do, 1 or more
    begin: Int64[Tensor, " rows"]  # the first
    end: Int64[Tensor, " rows"]  # after the last
    own: Int64[Tensor, " rows"]  # after the last one that shows the row's own person


@dataclass(frozen=True, eq=False)
class Rows:
    """What an operation may know of the rows it works on: each is one person of one sample."""

    key: Int64[Tensor, " rows"]  # number of the sample, the same for all its persons
    length: Int64[Tensor, " rows"]  # frames of the sample, 1 or more; after the sampling step those of the clip
    sample: Int64[Tensor, " rows"]  # place of the sample in the batch, ascending
    slot: Int64[Tensor, " rows"]  # of the person
    seen: Seen
    channels: int  # of a joint
    frames: int | None  # the recipe's clip length
    extent: int  # frames of the rows as they are: of the longest sample, after the sampling step of the clip
    mirror: Int64[Tensor, " joints"]  # the joint that each one changes places with in a mirror
    by: int = 0  # salt of the draws: the pass over the data, the clip, the step

    def uniform(self, count: int) -> Float32[Tensor, "rows count"]:
        """Draws from [0, 1), equal for rows of one sample."""
        return uniform(self.key, self.by, count)

    def spread(self, count: int) -> Float32[Tensor, "rows count"]:
        """Draws from [-1, 1), equal for rows of one sample."""
        return self.uniform(count) * 2 - 1

    def normal(self, count: int) -> Float32[Tensor, "rows count"]:
        """Draws from the standard normal distribution, of each row its own."""
        return normal(bits(self.key, salt(_PERSON)) + self.slot, self.by, count)

    def salted(self, *numbers: int) -> "Rows":
        """The same rows with other draws."""
        return replace(self, by=salt(self.by, *numbers))
