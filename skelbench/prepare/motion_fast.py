"""The functions of `motion` as machine code, for the extra `fast`: the same bits, at a tenth of the time."""

from typing import Final

import numpy as np
from jaxtyping import Bool, Float32

from skelbench.machine_code import compiled
from skelbench.prepare.motion import WIDE

SHARE: Final = np.float32(WIDE)


@compiled
def motion(values: Float32[np.ndarray, "poses joints 3"]) -> np.float32:
    """See `motion.motion`; three sums side by side, since each has to wait for its last addition."""
    poses, joints, _ = values.shape
    count = np.float32(poses * joints)
    x = y = z = np.float32(0)
    for pose in range(poses):
        for joint in range(joints):
            x += values[pose, joint, 0]
            y += values[pose, joint, 1]
            z += values[pose, joint, 2]
    x, y, z = x / count, y / count, z / count
    of_x = of_y = of_z = np.float32(0)
    for pose in range(poses):
        for joint in range(joints):
            to_x, to_y, to_z = values[pose, joint, 0] - x, values[pose, joint, 1] - y, values[pose, joint, 2] - z
            of_x += to_x * to_x
            of_y += to_y * to_y
            of_z += to_z * to_z
    return of_x / count + of_y / count + of_z / count


@compiled
def narrow(keypoints: Float32[np.ndarray, "poses joints channels"]) -> Bool[np.ndarray, " poses"]:
    """See `motion.narrow`."""
    poses, joints, _ = keypoints.shape
    fits = np.empty(poses, np.bool_)
    for pose in range(poses):
        left = right = keypoints[pose, 0, 0]
        low = high = keypoints[pose, 0, 1]
        missing = False
        for joint in range(joints):
            x, y = keypoints[pose, joint, 0], keypoints[pose, joint, 1]
            missing |= np.isnan(x) or np.isnan(y)
            left, right = min(left, x), max(right, x)
            low, high = min(low, y), max(high, y)
        fits[pose] = right - left <= SHARE * (high - low) and not missing
    return fits
