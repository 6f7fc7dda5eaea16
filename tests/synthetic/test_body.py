import numpy as np
import pytest

from skelbench.skeletons import Layout, layout_names, load_layout
from skelbench.synthetic.body import TURNS, Body, body_of, move, rotation

REST = np.zeros((1, len(TURNS), 3))


BONES = (  # in the words of layouts: those of joints before those of rigs and markers; a rig's hand turns in its wrist
    (("shoulder", "arm", "upper arm"), ("elbow", "fore arm", "forearm")),
    (("elbow", "fore arm", "forearm"), ("wrist", "wrist thumb side", "elbow", "fore arm", "forearm")),
    (("hip", "up leg", "upper leg", "thigh"), ("knee", "leg", "lower leg")),
    (("knee", "leg", "lower leg"), ("ankle", "foot")),
)


def place(layout: Layout, *names: str) -> int:
    """Where the first of some names stands on the joint axis."""
    return next(layout.joints.index(name) for name in names if name in layout.joints)


def joint(layout: Layout, points: np.ndarray, *names: str) -> np.ndarray:
    return np.asarray(points[0, place(layout, *names)])


def unknown(names: tuple[str, ...]) -> Layout:
    return Layout(name="x", joints=names, parents=(-1, *range(len(names) - 1)), pairs=(), source="")


@pytest.mark.parametrize("name", layout_names())
def test_the_joints_of_our_layouts_stand_where_a_human_has_them(name: str) -> None:
    layout = load_layout(name)
    points = move(body_of(layout), REST)
    assert 1.2 < np.ptp(points[0, :, 1]) < 2.0
    for left, right in layout.pairs:
        assert points[0, left, 0] > 0 > points[0, right, 0]
        assert np.allclose(points[0, left] * [-1, 1, 1], points[0, right])
    assert joint(layout, points, "head", "nose", "left front head")[1] > 0.6
    assert joint(layout, points, "left ankle", "left foot")[1] < -0.6


@pytest.mark.parametrize("name", layout_names())
def test_limbs_keep_their_length_however_joints_turn(name: str) -> None:
    layout = load_layout(name)
    angles = np.random.default_rng(0).normal(0, 1, (20, len(TURNS), 3))
    moved, rest = move(body_of(layout), angles), move(body_of(layout), REST)
    for ends in BONES:
        one, other = (place(layout, *(f"left {word}" for word in words)) for words in ends)
        length = np.linalg.norm(rest[0, one] - rest[0, other])
        assert np.allclose(np.linalg.norm(moved[:, one] - moved[:, other], axis=-1), length)


def test_an_elbow_moves_its_own_hand_and_nothing_else() -> None:
    layout = load_layout("penn13")  # here the graph hangs hips on shoulders; a body does not
    body, angles = body_of(layout), REST.copy()
    angles[0, TURNS.index("left elbow")] = [-1.0, 0, 0]
    moved = np.linalg.norm(move(body, angles) - move(body, REST), axis=-1)[0]
    assert [layout.joints[place] for place in np.flatnonzero(moved > 1e-9)] == ["left wrist"]
    assert move(body, angles)[0, layout.joints.index("left wrist"), 2] > 0.1  # forward


def test_arms_of_both_sides_rise_forward_and_outward() -> None:
    layout = load_layout("coco17")
    body, angles = body_of(layout), REST.copy()
    for side, outward in (("left", 1), ("right", -1)):
        angles[0, TURNS.index(f"{side} shoulder")] = [0, 0, outward * np.pi / 2]
        wrist = joint(layout, move(body, angles), f"{side} wrist")
        assert outward * wrist[0] > 0.6


@pytest.mark.parametrize(
    "names", [("a", "b", "c", "d"), ("tail", "Left Elbow", "x"), ("LShoulder", "l_elbow", "wrist-left")]
)
def test_any_tree_of_joints_moves(names: tuple[str, ...]) -> None:
    body = body_of(unknown(names))
    still = move(body, REST)
    moved = move(body, np.random.default_rng(0).normal(0, 1, REST.shape))
    assert np.linalg.norm(still - moved, axis=-1)[0, -1] > 0.01
    assert (np.linalg.norm(np.diff(still[0], axis=0), axis=-1) > 0.05).all()


@pytest.mark.parametrize(
    "name",
    ["left elbow", "Left Elbow", "left_elbow", "LElbow", "l_elbow", "L Elbow", "elbow left", "leftElbow", "LeftElbow"],
)
def test_one_joint_has_many_names(name: str) -> None:
    known = body_of(unknown(("left elbow",)))
    found: Body = body_of(unknown((name,)))
    assert found.joints == known.joints


def test_rotations_keep_lengths_and_hands() -> None:
    found = rotation(np.random.default_rng(0).normal(0, 2, (50, 3)))
    assert np.allclose(found @ found.transpose(0, 2, 1), np.eye(3))
    assert np.allclose(np.linalg.det(found), 1)
