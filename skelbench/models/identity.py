"""No network: the poses themselves, for methods that look at poses directly."""

from jaxtyping import Float, Int64
from torch import Tensor, nn

from skelbench.data.types import InputSpec


class Identity(nn.Module):
    """An encoder whose features are its input."""

    def __init__(self, spec: InputSpec) -> None:
        super().__init__()
        self.out_channels = spec.channels

    def forward(
        self, x: Float[Tensor, "rows channels frames joints"], slot: Int64[Tensor, " rows"]
    ) -> Float[Tensor, "rows channels frames joints"]:
        """Return the clips as they are; `slot` is not used."""
        return x
