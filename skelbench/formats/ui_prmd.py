"""UI-PRMD, rehabilitation movements: names of files, shared by its two sensors, and the chain of the Kinect's joints.

Source: Vakanski et al., Data 2018; the order of the turns is measured, see `turns`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from jaxtyping import Float32, Float64

from skelbench.card import Card
from skelbench.formats import csv_table, label_json, names
from skelbench.formats.bvh import about, aligned
from skelbench.raw import RawItem, RawSource
from skelbench.sample import Sample

Chain = Literal["whole", "chest"]

_FILE = re.compile(
    r"(?P<id>m(\d\d)_s(\d\d)_e(\d\d))_(?P<kind>positions|angles)(?P<inc>_inc)?\.txt(?P<packed>\.gz)?", re.ASCII
)
_LIKE = re.compile(r"_(positions|angles)(_inc)?\.txt", re.IGNORECASE)
_UNCUT = re.compile(
    r"m\d\d_s\d\d_(positions|angles)(_inc)?\.txt(\.gz)?", re.ASCII
)  # of `Movements/`: continuous recordings
_ID = re.compile(r"m(?P<movement>\d\d)_s(?P<subject>\d\d)_e(?P<repetition>\d\d)(?P<inc>_inc)?", re.ASCII)
_EXPECTED = "mNN_sNN_eNN_positions.txt or mNN_sNN_eNN_positions_inc.txt: movement, subject, repetition"
_CHEST, _COLLARS = 2, (6, 10)
_FAR, _NEAR = 1e3, 1e-3  # bounds within which float64 brings a chain of joints back to the last bit of float32


def items(raw: RawSource, card: Card, kinds: Sequence[str]) -> Iterator[RawItem]:
    """Name the clips of one sensor.

    Args:
        raw: A folder or archive of the owners' files, each perhaps packed by gzip as in a copy of others; folders of
            `options.not_folder` are another sensor's.
        card: `options.movements` and `options.subjects` say how many there are.
        kinds: Files that each clip has: `"positions"`, or that and `"angles"`.

    Yields:
        One item a clip, its paths in the order of `kinds`; bad names and clips with a file missing are rejects.
    """
    clips: dict[tuple[str, str], dict[str, str]] = {}
    for path in (*names.members(raw, ".txt"), *names.members(raw, ".txt.gz")):
        folder, name = path.rpartition("/")[0], names.file_name(path)
        match = _FILE.fullmatch(name)
        if card.options["not_folder"].lower() in folder.lower().split("/") or _UNCUT.fullmatch(name):
            continue
        if match is None:
            if _LIKE.search(name):
                yield RawItem(names.stem(path), (path,), reject=f"the name '{name}' is not {_EXPECTED}")
            continue
        place = re.sub(r"(^|/)(positions|angles)(?=/|$)", "", folder, flags=re.IGNORECASE) + (match["packed"] or "")
        clips.setdefault((match["id"] + (match["inc"] or ""), place), {})[match["kind"]] = path
    for (sample_id, _), paths in clips.items():
        yield _item(sample_id, paths, card, kinds)


def table(raw: RawSource, path: str, joints: int) -> Float64[np.ndarray, "frames joints 3"]:
    """Read one file of a clip.

    Args:
        raw: The source that was planned.
        path: Of positions or angles.
        joints: Of every row.

    Returns:
        Three numbers a joint, one row a frame.

    Raises:
        RawFormatError: If the file is not what the format says.
    """
    where = raw.where(path)
    return csv_table.numbers(label_json.plain(raw.read(path), where), 3 * joints, where).reshape(-1, joints, 3)


def meta(sample_id: str) -> dict[str, str | int]:
    """The columns that an id tells."""
    parts = _ID.fullmatch(sample_id)
    if parts is None:
        raise ValueError(f"'{sample_id}' is no id of UI-PRMD.")
    return {
        "movement_code": int(parts["movement"]),
        "subject": int(parts["subject"]),
        "repetition": int(parts["repetition"]),
        "take": sample_id,
    }


def targets(sample_id: str) -> dict[str, int]:
    """The labels that an id tells: the movement, and whether it is performed correctly."""
    return {"movement": int(str(meta(sample_id)["movement_code"])) - 1, "correct": int(not sample_id.endswith("_inc"))}


def settled(sample: Sample) -> Sample:
    """A sample with the labels of its name."""
    return replace(sample, targets=targets(sample.sample_id))


def chainable(keypoints: Float32[np.ndarray, "frames joints 3"]) -> Float32[np.ndarray, "frames joints 3"]:
    """The nearest poses that `chained` gives back to the last bit.

    Args:
        keypoints: Any; NaN = missing.

    Returns:
        Joints with a coordinate that is missing or beyond 10 m are missing altogether; other coordinates are at
        least 10 micrometres from 0.
    """
    gone = ~(np.abs(keypoints) < _FAR).all(axis=-1, keepdims=True)
    apart = np.where(np.abs(keypoints) < _NEAR, np.copysign(np.float32(_NEAR), keypoints), keypoints)
    return np.where(gone, np.float32(np.nan), apart).astype(np.float32)


def placed(
    local: Float64[np.ndarray, "frames joints 3"],
    angles: Float64[np.ndarray, "frames joints 3"],
    parents: Sequence[int],
    chain: Chain,
) -> Float32[np.ndarray, "frames joints 3"]:
    """Place the joints of the Kinect by forward kinematics.

    Args:
        local: The first joint in the camera's frame, all others in the frame of their parent; NaN = missing.
        angles: Degrees about x, y and z.
        parents: Of the layout.
        chain: Whether the arms turn with the whole trunk, or with the chest's own turn alone.

    Returns:
        Positions in the camera's frame, NaN where a joint is missing; what hangs on it begins at the next one above.
    """
    missing = np.isnan(local).any(axis=-1)
    offsets = np.where(missing[..., None], 0.0, local)
    own = turns(angles)
    whole = [own[:, 0]]
    base = offsets.copy()
    for joint, parent in enumerate(parents):
        if parent >= 0:
            above = own[:, _CHEST] if chain == "chest" and joint in _COLLARS else whole[parent]
            base[:, joint] = base[:, parent] + (above @ offsets[:, joint, :, None])[..., 0]
            whole.append(above @ own[:, joint])
    with np.errstate(over="ignore"):
        return np.where(missing[..., None], np.nan, base).astype(np.float32)


def unplaced(
    keypoints: Float32[np.ndarray, "frames joints 3"], parents: Sequence[int], chain: Chain
) -> tuple[Float64[np.ndarray, "frames joints 3"], Float64[np.ndarray, "frames joints 3"]]:
    """Find offsets and angles from which `placed` makes given positions.

    Args:
        keypoints: As `chainable` leaves them.
        parents: Of the layout; each joint stands after its parent.
        chain: As for `placed`.

    Returns:
        Offsets and angles; bones point where they do in the first frame when no joint turns.
    """
    missing = np.isnan(keypoints).any(axis=-1)
    base = keypoints.astype(np.float64)
    for joint, parent in enumerate(parents):
        above = base[:, parent] if parent >= 0 else np.zeros((len(base), 3))
        base[:, joint] = np.where(missing[:, joint, None], above, base[:, joint])
    first_child = {parent: joint for joint, parent in reversed(list(enumerate(parents)))}
    local, angles = base.copy(), np.zeros_like(base)
    whole: list[np.ndarray] = []
    for joint, parent in enumerate(parents):
        above = whole[parent] if parent >= 0 else np.broadcast_to(np.eye(3), (len(base), 3, 3))
        if chain == "chest" and joint in _COLLARS:
            above = turns(angles[:, [_CHEST]])[:, 0]
        inverse = np.swapaxes(above, 1, 2)
        if parent >= 0:
            local[:, joint] = (inverse @ (base[:, joint] - base[:, parent])[..., None])[..., 0]
        if joint in first_child:
            bones = base[:, first_child[joint]] - base[:, joint]
            angles[:, joint] = degrees(inverse @ aligned(bones[0], bones))
        whole.append(above @ turns(angles[:, [joint]])[:, 0])
    local[missing] = np.nan
    return local, angles


def turns(angles: Float64[np.ndarray, "frames joints 3"]) -> Float64[np.ndarray, "frames joints 3 3"]:
    """Rotations Rz Rx Ry from degrees about x, y and z.

    The order is measured: of the six it alone leaves the feet on the floor in a deep squat, which they leave by 6 cm
    on average and by 33 cm or more in the others. It is also the nearest to the Vicon markers of the same clips, in
    all ten movements.
    """
    x, y, z = np.radians(angles.reshape(-1, 3)).T
    turn = about(2, z) @ about(0, x) @ about(1, y)
    return np.asarray(turn).reshape(*angles.shape, 3)


def degrees(turn: Float64[np.ndarray, "frames 3 3"]) -> Float64[np.ndarray, "frames 3"]:
    """Degrees about x, y and z of rotations Rz Rx Ry."""
    x = np.arcsin(np.clip(turn[:, 2, 1], -1, 1))
    y, z = np.arctan2(-turn[:, 2, 0], turn[:, 2, 2]), np.arctan2(-turn[:, 0, 1], turn[:, 1, 1])
    return np.asarray(np.degrees(np.stack([x, y, z], axis=-1)))


def _item(sample_id: str, paths: Mapping[str, str], card: Card, kinds: Sequence[str]) -> RawItem:
    """One clip, or why it cannot be read."""
    found = meta(sample_id)
    reject = None
    lacking = [kind for kind in kinds if kind not in paths]
    for column, option in (("movement_code", "movements"), ("subject", "subjects")):
        if not 1 <= int(str(found[column])) <= card.options[option]:
            reject = f"{column} {found[column]}, expected 1 to {card.options[option]}"
    if lacking:
        why = ", without which positions are offsets within the parent's frame" if lacking == ["angles"] else ""
        reject = f"its file of {lacking[0]} is missing{why}"
    wanted = tuple(paths[kind] for kind in kinds if kind in paths)
    return RawItem(sample_id, wanted or tuple(paths.values()), found, reject)
