"""How people in a room become the numbers of a data set: the camera's place, its noise, what it misses."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float32, Float64

from skelbench.card import Card
from skelbench.synthetic.body import rotation
from skelbench.synthetic.cast import Role, number

_FLOOR = -1.0  # metres below the camera
_NEAREST = 0.5  # metres; what is nearer has no sensible image
_NOISE = 0.004  # metres by which a depth camera errs
_NOISE_PIXELS = 0.8
_FOCAL = 0.9  # against the shorter side of the image: people fit into it
_SCALE = {"metre": 1.0, "centimetre": 100.0, "millimetre": 1000.0}


def see(
    points: Float64[np.ndarray, "frames joints 3"], role: Role, views: Sequence[str], seed: int
) -> Float64[np.ndarray, "frames joints 3"]:
    """Place a person before the camera.

    Args:
        points: In the room: metres, y up, the floor at 0, facing z.
        role: From where it is seen; its take says where in the room it takes place.
        views: Columns that, with `setup`, name the camera; each camera has its own height and distance.
        seed: Of the raw twin.

    Returns:
        Metres in the camera's frame: y up, z away from it; x to its right where somebody faces it, which mirrors
        the image as the Kinect does.
    """
    scene = np.random.default_rng(number(seed, "scene", role.take))
    camera = np.random.default_rng(number("camera", *(role.columns.get(name) for name in ("setup", *views))))
    yaw = math.pi + math.radians(role.degrees + scene.uniform(-12, 12))
    pitch, distance = camera.uniform(-0.1, 0.2), camera.uniform(2.4, 3.6)
    aside, deeper = scene.uniform(-0.3, 0.3), scene.uniform(-0.2, 0.2)
    placed = points @ rotation(np.array([0, yaw, 0])).T + [aside, _FLOOR, 0]
    return np.asarray(placed @ rotation(np.array([pitch, 0, 0])).T + [0, 0, distance + deeper])


def record(
    points: Float64[np.ndarray, "poses joints 3"], card: Card, image: tuple[int, int], rng: np.random.Generator
) -> Float32[np.ndarray, "poses joints channels"]:
    """The channels of a card, with the sensor's noise.

    Args:
        points: Metres in the camera's frame.
        card: Channels and units.
        image: Width and height in pixels; the first pixel is 1.
        rng: Draws the noise.

    Returns:
        Coordinates in the card's units.
    """
    (width, height), (x, y, z) = image, np.moveaxis(points, -1, 0)
    enlarged = _FOCAL * min(image) / np.maximum(z, _NEAREST)
    seen = {"u": width / 2 + 1 + enlarged * x, "v": height / 2 + 1 - enlarged * y, "x": x, "y": y, "z": z}
    scales = {**_SCALE, "image width": 1 / max(width, 1), "image height": 1 / max(height, 1)}
    columns = []
    for channel in card.channels:
        noise = _NOISE_PIXELS if channel in "uv" else _NOISE
        scale = scales.get(card.units[channel], 1.0)
        columns.append(scale * (seen[channel] + rng.normal(0, noise, x.shape)))
    return np.stack(columns, axis=-1).astype(np.float32)


def visible(frames: int, joints: int, rng: np.random.Generator) -> Bool[np.ndarray, "frames joints"]:
    """Which joints of one person are seen: some are hidden for a while, a few all the time."""
    start = rng.integers(-frames, frames, joints)
    length = rng.integers(1, frames + 1, joints) * (rng.random(joints) < 0.3)
    frame = np.arange(frames)[:, None]
    return (frame < start) | (frame >= start + length)


def confidence(
    shown: Bool[np.ndarray, "poses joints"], rng: np.random.Generator
) -> Float32[np.ndarray, "poses joints"]:
    """What a detector says of joints that are seen, and of those that it guesses."""
    drawn = rng.random(shown.shape)
    return np.where(shown, 0.6 + 0.4 * drawn, 0.05 + 0.3 * drawn).astype(np.float32)
