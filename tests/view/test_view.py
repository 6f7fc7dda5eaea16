"""A sample as pictures: who is there, what is missing, before and after preparation."""

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from skelbench.cli import cli
from skelbench.convert import Request, convert
from skelbench.figures.view import animation, scene, strip
from skelbench.prepare.prepared import Prepared
from skelbench.skeletons import load_layout
from skelbench.synthetic.body import stance
from skelbench.synthetic.raw import write_raw

LAYOUT = load_layout("kinect_v2")


def prepared(persons: int = 2, frames: int = 5, axes: tuple[int, int] = (0, 1)) -> Prepared:
    """People who stand, seen along one of three axes."""
    flat = stance(LAYOUT)
    keypoints = np.zeros((persons, frames, len(LAYOUT.joints), 3), np.float32)
    for axis, values in zip(axes, flat.T, strict=True):
        keypoints[..., axis] = values
    keypoints[1:, ..., axes[0]] += 2
    return Prepared(keypoints, None, np.arange(frames) * 2, {})


@pytest.mark.parametrize("axes", [(0, 1), (0, 2), (1, 2), (2, 0)])
def test_heads_are_above_feet_whatever_axis_is_up(axes: tuple[int, int]) -> None:
    for sign in (1, -1):
        found = prepared(axes=axes)
        made = scene(
            Prepared(found.keypoints * np.float32(sign), None, found.frame, {}), LAYOUT, ("x", "y", "z"), "one"
        )
        head, foot = LAYOUT.joints.index("head"), LAYOUT.joints.index("left foot")
        assert (made.spots[:, :, head, 1] < made.spots[:, :, foot, 1]).all()
        assert made.spots.min() >= 0
        assert made.spots.max() <= 1


def test_a_missing_joint_stands_where_it_was_seen_last_and_is_known_to_be_missing() -> None:
    found = prepared()
    found.keypoints[0, 2:, 3] = np.nan
    found.keypoints[0, :2, 4] = np.nan
    made = scene(found, LAYOUT, ("x", "y", "z"), "one")
    assert made.gone[0, :, 3].tolist() == [False, False, True, True, True]
    np.testing.assert_array_equal(made.spots[0, 4, 3], made.spots[0, 1, 3])
    np.testing.assert_array_equal(made.spots[0, 0, 4], made.spots[0, 2, 4])


def test_a_joint_that_is_never_seen_has_no_spot() -> None:
    found = prepared()
    found.keypoints[:, :, 3] = np.nan
    assert np.isnan(scene(found, LAYOUT, ("x", "y", "z"), "one").spots[:, :, 3]).all()


def test_persons_have_their_own_colours_and_a_missing_joint_is_grey() -> None:
    found = prepared()
    found.keypoints[0, 1, 3] = np.nan
    picture = Image.open(io.BytesIO(animation([scene(found, LAYOUT, ("x", "y", "z"), "one")], 30.0)))
    colours = []
    for frame in range(2):
        picture.seek(frame)
        colours.append({colour for _, colour in picture.convert("RGB").getcolors(1 << 20) or []})
    assert {(0, 114, 178), (213, 94, 0)} <= colours[0]
    assert (204, 204, 204) in colours[1] - colours[0]


def test_nobody_and_no_frames_are_drawn_too() -> None:
    nobody = prepared()
    nobody.keypoints[:] = np.nan
    empty = Prepared(np.zeros((0, 0, 25, 3), np.float32), None, np.zeros(0, np.int64), {})
    for one in (nobody, empty, prepared(0, 3)):
        made = scene(one, LAYOUT, ("x", "y", "z"), "one")
        assert strip([made]).get_size_inches().min() > 0
        assert animation([made], 30.0).startswith(b"GIF")


def test_a_long_clip_has_a_bounded_number_of_pictures() -> None:
    made = scene(prepared(1, 1000), LAYOUT, ("x", "y", "z"), "one")
    assert Image.open(io.BytesIO(animation([made], 30.0))).n_frames == 200


@pytest.fixture
def store(tmp_path: Path) -> Path:
    write_raw("penn_action", tmp_path / "raw", samples=4, seed=0, archive=False, defects=False)
    return convert(Request("penn_action", (tmp_path / "raw",), tmp_path / "penn_action")).store


def view(*arguments: object) -> tuple[int, str, Exception | None]:
    found = CliRunner().invoke(cli, ["view", *map(str, arguments)])
    return found.exit_code, found.output, found.exception  # type: ignore[return-value]


def test_the_command_writes_a_strip_and_an_animation(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "views"
    code, said, _ = view(store, 1, "--prepare", "by-id clip", "--out", out, "--json")
    assert code == 0, said
    files = [Path(name) for name in json.loads(said)["files"]]
    assert [path.suffix for path in files] == [".png", ".gif"]
    with Image.open(files[1]) as picture:
        assert picture.size == (640, 320)
    first = [path.read_bytes() for path in files]
    view(store, 1, "--prepare", "by-id clip", "--out", out)
    assert [path.read_bytes() for path in files] == first


def test_an_unknown_sample_is_said_with_the_nearest(store: Path) -> None:
    assert "No sample '0a' among the 4 of" in str(view(store, "0a")[2])


def test_without_rerun_one_is_told_what_to_install(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    assert "pip install 'skelbench[view]'" in str(view(store, 0, "--rerun", "--out", tmp_path / "v")[2])


def test_rerun_is_given_joints_and_bones_by_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from skelbench.figures.rerun import write_rerun

    logged: list[str] = []
    made = {name: lambda *_, **__: None for name in ("init", "save", "set_time", "disconnect")}
    made |= {name: lambda values, **_: len(values) for name in ("Points2D", "Points3D", "LineStrips2D", "LineStrips3D")}
    fake = SimpleNamespace(**made, log=lambda where, count: logged.append(f"{where}: {count}"))
    monkeypatch.setitem(sys.modules, "rerun", fake)
    found = prepared(1, 1)
    found.keypoints[0, 0, LAYOUT.joints.index("head")] = np.nan
    write_rerun([("one", found, LAYOUT)], ("x", "y", "z"), tmp_path / "one.rrd")
    assert logged == ["one/person 0/joints: 24", "one/person 0/bones: 23"]
