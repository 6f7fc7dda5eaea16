"""The way that the field's own scripts take, written anew from what they do: one file, one line, one sample at a time.

These are no copies. Each does the same work as its original with the same kind of calls, so that its cost is of the
same kind; `benchmarks.peers` runs the originals.
"""

import hashlib
import json
import pickle
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

FRAMES, SLOTS, JOINTS = 300, 2, 25


def read_bodies(path: Path) -> tuple[int, dict[str, dict[str, Any]]]:
    """Read a Kinect text line by line, as CTR-GCN's `get_raw_skes_data.py`: a dict of bodies with lists that grow."""
    lines = path.read_text().splitlines()
    count, at = int(lines[0]), 1
    bodies: dict[str, dict[str, Any]] = {}
    for frame in range(count):
        here = int(lines[at])
        at += 1
        for _ in range(here):
            name = lines[at].split()[0]
            joints = int(lines[at + 1])
            at += 2
            points = np.zeros((joints, 3), np.float32)
            colours = np.zeros((joints, 2), np.float32)
            for joint in range(joints):
                fields = lines[at].strip("\r\n").split()
                points[joint] = np.array(fields[:3], np.float32)
                colours[joint] = np.array(fields[5:7], np.float32)
                at += 1
            body = bodies.setdefault(name, {"points": [], "colours": [], "frames": []})
            body["points"].append(points)
            body["colours"].append(colours)
            body["frames"].append(frame)
    return count, bodies


def trainable(folder: Path, out: Path) -> int:
    """Kinect texts to one padded, compressed-to-nothing file, with a pickle on the way."""
    out.mkdir()
    clips = {path.stem: read_bodies(path) for path in sorted(folder.rglob("*.skeleton"))}
    (out / "raw.pkl").write_bytes(pickle.dumps(clips))
    clips = pickle.loads((out / "raw.pkl").read_bytes())
    padded = np.zeros((len(clips), FRAMES, SLOTS * JOINTS * 3), np.float32)
    labels = np.zeros((len(clips), 60), np.float32)
    for place, (name, (_, bodies)) in enumerate(clips.items()):
        pad(bodies, padded[place])
        labels[place, int(name[17:20]) - 1] = 1
    np.savez(out / "trainable.npz", x=padded, y=labels)
    return len(clips)


def pad(bodies: dict[str, dict[str, Any]], out: np.ndarray) -> None:
    """The two bodies that move most, centred on the first one's spine, one frame at a time."""
    moving = {name: np.var(np.vstack(body["points"]), axis=0).sum() for name, body in bodies.items()}
    for slot, name in enumerate(sorted(moving, key=lambda name: -float(moving[name]))[:SLOTS]):
        body = bodies[name]
        for frame, points in zip(body["frames"], body["points"], strict=True):
            if frame < FRAMES:
                out[frame, slot * JOINTS * 3 : (slot + 1) * JOINTS * 3] = points.reshape(-1)
    seen = [frame for frame in range(FRAMES) if np.any(out[frame, : JOINTS * 3] != 0)]
    if not seen:
        return
    origin = np.copy(out[seen[0], 3:6])
    for frame in range(FRAMES):
        for slot in range(SLOTS):
            one = out[frame, slot * JOINTS * 3 : (slot + 1) * JOINTS * 3]
            if np.any(one != 0):
                one -= np.tile(origin, JOINTS)


def json_clips(archive: Path) -> tuple[int, str]:
    """JSON files of a zip to arrays, as a loader of NW-UCLA does: `json.loads`, then one array a frame."""
    digest = hashlib.sha256()
    with zipfile.ZipFile(archive) as files:
        names = sorted(name for name in files.namelist() if name.endswith(".json") and "SYNTHETIC" not in name)
        for name in names:
            frames = json.loads(files.read(name))["skeletons"]
            clip = np.zeros((len(frames), len(frames[0]), 3))
            for number, frame in enumerate(frames):
                clip[number] = np.array(frame)
            digest.update(clip.astype(np.float32).tobytes())
    return len(names), digest.hexdigest()


def feed(clips: np.ndarray, order: Sequence[int], *, frames: int, bone: bool, rng: np.random.Generator) -> int:
    """Batches of 64, as CTR-GCN's feeder makes them: each clip cropped, resized and turned by itself.

    Args:
        clips: (N, C, T, V, M), padded with zeros.
        order: Places of the clips.
        frames: Of a clip that is fed.
        bone: Whether differences along bones are fed.
        rng: For crops and turns.

    Returns:
        How many were fed.
    """
    bones = [(joint, max(joint - 1, 0)) for joint in range(clips.shape[3])]
    batch: list[np.ndarray] = []
    for place in order:
        clip = np.array(clips[place])
        valid = int(np.sum(clip.sum(0).sum(-1).sum(-1) != 0))
        clip = _turned(_crop_resize(clip, valid, frames, rng), rng)
        if bone:
            differences = np.zeros_like(clip)
            for joint, parent in bones:
                differences[:, :, joint] = clip[:, :, joint] - clip[:, :, parent]
            clip = differences
        batch.append(clip)
        if len(batch) == 64:
            torch.as_tensor(np.stack(batch))
            batch = []
    return len(order)


def _crop_resize(clip: np.ndarray, valid: int, frames: int, rng: np.random.Generator) -> np.ndarray:
    """A random piece of half to all of a clip, resized linearly."""
    channels, _, joints, persons = clip.shape
    length = int(np.minimum(np.maximum(int(np.floor(valid * (rng.random() * 0.5 + 0.5))), 64), valid))
    start = int(rng.integers(0, valid - length + 1))
    piece = torch.tensor(clip[:, start : start + length], dtype=torch.float)
    piece = piece.permute(0, 2, 3, 1).contiguous().view(channels * joints * persons, length)[None, None]
    sized = functional.interpolate(piece, size=(channels * joints * persons, frames), mode="bilinear")
    return sized.view(channels, joints, persons, frames).permute(0, 3, 1, 2).contiguous().numpy()


def _turned(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A turn about three axes, the same for all frames, by a matrix a frame."""
    tensor = torch.from_numpy(clip)
    channels, frames, joints, persons = tensor.shape
    angles = torch.zeros(3).uniform_(-0.3, 0.3)[None].repeat(frames, 1) + 0 * float(rng.random())
    cos, sin, zero, one = angles.cos(), angles.sin(), torch.zeros(frames), torch.ones(frames)
    about_x = torch.stack([one, zero, zero, zero, cos[:, 0], sin[:, 0], zero, -sin[:, 0], cos[:, 0]], 1)
    about_y = torch.stack([cos[:, 1], zero, -sin[:, 1], zero, one, zero, sin[:, 1], zero, cos[:, 1]], 1)
    about_z = torch.stack([cos[:, 2], sin[:, 2], zero, -sin[:, 2], cos[:, 2], zero, zero, zero, one], 1)
    turns = about_z.view(-1, 3, 3) @ about_y.view(-1, 3, 3) @ about_x.view(-1, 3, 3)
    flat = tensor.permute(1, 0, 2, 3).contiguous().view(frames, channels, joints * persons)
    turned = torch.matmul(turns, flat).view(frames, channels, joints, persons)
    return turned.permute(1, 0, 2, 3).contiguous().numpy()
