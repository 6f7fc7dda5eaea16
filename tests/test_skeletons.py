import numpy as np
import pytest

from skelbench.errors import CardError
from skelbench.skeletons import Layout, adjacency, layout_from, layout_names, load_layout, mirror, parents_or_self

COUNTS = {
    **{"aihub24": 24, "coco17": 17, "h36m17": 17, "kinect_v1": 20, "kinect_v2": 25, "lcrnet13": 13, "mixamo": 22},
    **{"mixamo15": 15, "openpose18": 18, "openpose25": 25, "penn13": 13, "smarthome17": 17, "squat19": 19},
    **{"ui_prmd22": 22, "vicon39": 39},
}


@pytest.fixture(params=layout_names())
def layout(request: pytest.FixtureRequest) -> Layout:
    return load_layout(request.param)


def table(**changes: object) -> dict[str, object]:
    return {"joints": ["hip", "left", "right"], "parents": [-1, 0, 0], "pairs": [[1, 2]], "source": "", **changes}


def test_layouts_have_the_joints_of_their_sensor() -> None:
    assert {name: len(load_layout(name).joints) for name in COUNTS} == COUNTS


def test_mirroring_twice_changes_nothing(layout: Layout) -> None:
    order = mirror(layout)
    assert (order[order] == np.arange(len(layout.joints))).all()


def test_a_mirrored_layout_has_the_same_bones(layout: Layout) -> None:
    order, parents = mirror(layout), parents_or_self(layout)
    assert (order[parents] == parents[order]).all()


def test_names_of_a_pair_differ_in_the_side_alone(layout: Layout) -> None:
    for left, right in layout.pairs:
        assert layout.joints[left].replace("left", "right") == layout.joints[right]


def test_the_root_is_its_own_parent_in_the_bone_stream(layout: Layout) -> None:
    assert parents_or_self(layout)[layout.centre] == layout.centre
    assert layout.parents[layout.centre] == -1


def test_every_column_of_the_adjacency_sums_to_one_or_is_empty(layout: Layout) -> None:
    sums = adjacency(layout).sum(1)
    assert np.allclose(sums[sums > 0], 1)
    assert adjacency(layout)[0].trace() == len(layout.joints)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"parents": [-1, 0]}, "2 parents for 3 joints"),
        ({"parents": [-1, -1, 0]}, "one root of -1"),
        ({"parents": [-1, 2, 1]}, "its own ancestor"),
        ({"parents": [-1, 0, 7]}, "joint indices"),
        ({"pairs": [[1, 1]]}, "each at most once"),
        ({"pairs": [[1, 9]]}, "each at most once"),
        ({"joints": ["hip", "hip", "left"]}, "differ from each other"),
        ({"parents": "none"}, "needs the lists joints, parents and pairs"),
        ({"parents": ["root", 0, 0]}, "joint indices, found 'root'"),
        ({"parents": [-1, 0.5, 0]}, r"joint indices, found 0\.5"),
        ({"parents": [-1, float("inf"), 0]}, "joint indices, found inf"),
        ({"pairs": [[1]]}, r"two joint indices each, found \[1\]"),
        ({"joints": [f"j{joint}" for joint in range(1001)]}, "1,001 joints, expected at most 1,000"),
        ({"jonts": []}, "unknown key 'jonts'. Did you mean 'joints'"),
    ],
)
def test_a_contradictory_layout_is_refused_with_the_reason(changes: dict[str, object], words: str) -> None:
    with pytest.raises(CardError, match=words):
        layout_from(table(**changes), "mine", "mine.toml")


def test_an_unknown_layout_names_the_nearest() -> None:
    with pytest.raises(CardError, match="Did you mean 'kinect_v2'"):
        load_layout("kinect2")
