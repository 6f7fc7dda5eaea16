"""Weights and clips made by a fixed function of (name, place), so that a network can be rebuilt without its weights.

Loaded by the tests and by `record.py`; both sides make everything under the authors' names of parameters.
"""

import hashlib

import numpy as np
import torch
from torch import Tensor, nn

STEP = {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-4}  # of the one training step


def hashed(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers from [-1, 1), exact in float32: SplitMix64 of the place, begun at the SHA-256 of the name."""
    seed = np.frombuffer(hashlib.sha256(name.encode()).digest()[:8], "<u8")
    z = seed + np.arange(1, int(np.prod(shape)) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return ((z >> np.uint64(40)).astype(np.float64) / 2**23 - 1).reshape(shape)


def weights(salt: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Values for a state by the authors' names, of a size at which ten blocks stay tame; graphs that are fixed stay."""
    made = {}
    for name, tensor in state.items():
        u = hashed(f"{salt} {name}", tuple(tensor.shape))
        if name == "A" or name.endswith("num_batches_tracked"):
            continue
        if name.endswith("running_mean") or (name.endswith("bias") and tensor.ndim == 1):
            value = 0.1 * u
        elif (
            name.endswith("running_var") or "edge_importance" in name or (name.endswith("weight") and tensor.ndim == 1)
        ):
            value = 1 + 0.25 * u
        elif name.endswith(("PA", "DepM", "alpha")):
            value = 0.3 * u
        else:
            value = u * np.sqrt(1 / np.prod(tensor.shape[1:]))
        made[name] = torch.from_numpy(np.asarray(value)).to(tensor.dtype)
    return {**state, **made}


def clip(salt: str, shape: tuple[int, ...]) -> Tensor:
    """A batch of (samples, channels, frames, joints, persons); in the first sample only the first person is there."""
    x = hashed(f"{salt} clip", shape)
    x[0, ..., 1:] = 0
    return torch.from_numpy(x)


def labels(samples: int, classes: int) -> Tensor:
    """A class for each sample."""
    return (torch.arange(samples) * 7 + 3) % classes


def summary(name: str, tensor: Tensor) -> list[float]:
    """Norm of a tensor, and its part along a hashed direction: two numbers that no other tensor has by accident."""
    value = tensor.detach().double().numpy()
    direction = hashed(f"direction of {name}", value.shape)
    return [float(np.linalg.norm(value)), float((value * direction).sum() / np.linalg.norm(direction))]


def outcome(network: nn.Module, x: Tensor, y: Tensor) -> dict[str, object]:
    """What a network gives, learns and keeps: logits, loss, gradients, running statistics, and logits a step later."""
    with torch.no_grad():
        before = network.eval()(x)
    logits = network.train()(x)
    loss = nn.functional.cross_entropy(logits, y)
    loss.backward()
    gradients = {name: value.grad for name, value in network.named_parameters() if value.grad is not None}
    running = {name: value.clone() for name, value in network.named_buffers() if "running" in name}
    torch.optim.SGD(network.parameters(), **STEP).step()
    with torch.no_grad():
        after = network.eval()(x)
    return {
        "logits": before.tolist(),
        "training_logits": logits.tolist(),
        "loss": loss.item(),
        "gradients": gradients,
        "running": running,
        "logits_after_a_step": after.tolist(),
    }
