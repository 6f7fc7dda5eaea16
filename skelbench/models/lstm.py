"""Recurrent baseline: each person's poses read frame by frame, no skeleton graph."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from skelbench.data.types import InputSpec
from skelbench.errors import RecipeError
from skelbench.models.blocks import InputNorm


class Lstm(nn.Module):
    """Input norm, a layer that takes in all joints of a frame, and a long short-term memory over the frames.

    Source: ours; the recurrent unit is that of Hochreiter and Schmidhuber, Neural Computation 1997.
    """

    def __init__(
        self, spec: InputSpec, *, width: int = 128, layers: int = 2, bidirectional: bool = True, dropout: float = 0.2
    ) -> None:
        """Build the network.

        Args:
            spec: What the clips look like; any layout, number of channels and length.
            width: State of a layer and direction.
            layers: Of the recurrent unit, one on the other.
            bidirectional: Whether frames are also read from the last to the first.
            dropout: Share of what passes from layer to layer that is put to 0 in training.

        Raises:
            RecipeError: If a hyper-parameter is out of range.
        """
        super().__init__()
        if width < 1 or layers < 1:
            raise RecipeError(f"model.width is {width} and model.layers {layers}, expected at least 1 each.")
        if not 0 <= dropout < 1:
            raise RecipeError(f"model.dropout is {dropout}, expected at least 0 and below 1.")
        self.input = InputNorm(spec)
        self.embed = nn.Linear(spec.channels * len(spec.layout.joints), width)
        between = dropout if layers > 1 else 0.0
        self.recurrent = nn.LSTM(width, width, layers, batch_first=True, dropout=between, bidirectional=bidirectional)
        self.out_channels = width * (1 + bidirectional)

    def forward(
        self, x: Float[Tensor, "rows channels frames joints"], slot: Int64[Tensor, " rows"]
    ) -> Float[Tensor, "rows features frames 1"]:
        """Encode each row by itself; `slot` is not used.

        Args:
            x: Clips, finite.
            slot: Person slot of each row.

        Returns:
            The state after every frame, on a single joint.
        """
        poses = self.input(x, slot).transpose(1, 2).flatten(2)  # (rows, frames, channels * joints)
        states, _ = self.recurrent(torch.relu(self.embed(poses)))
        features: Tensor = states.transpose(1, 2).unsqueeze(3)
        return features
