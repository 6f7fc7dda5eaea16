"""A sample as pictures: who is there, what is missing, before and after preparation."""

import base64
import io
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from skelbench.card import load_card
from skelbench.cli import cli
from skelbench.convert import Request, convert
from skelbench.figures.album import label_of
from skelbench.figures.player import page
from skelbench.figures.scene import scene
from skelbench.figures.view import animation, strip
from skelbench.prepare.prepared import Prepared
from skelbench.registry import find
from skelbench.sample import Sample
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
    assert [path.suffix for path in files] == [".png", ".gif", ".html"]
    with Image.open(files[1]) as picture:
        assert picture.size == (640, 320)
    first = [path.read_bytes() for path in files]
    view(store, 1, "--prepare", "by-id clip", "--out", out)
    assert [path.read_bytes() for path in files] == first


def data_of(text: str) -> dict[str, Any]:
    """What a page holds."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    return dict(json.loads(found[1]))


def decoded(sight: dict[str, Any], shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates and missing joints of a page."""
    number = np.frombuffer(base64.b64decode(sight["spots"]), "<i2").astype(float)
    number[number == -32768] = np.nan
    bits = np.unpackbits(np.frombuffer(base64.b64decode(sight["gone"]), np.uint8), bitorder="little")
    return number.reshape(*shape, sight["axes"]) / 20_000, bits[: int(np.prod(shape))].reshape(shape).astype(bool)


def test_a_page_holds_every_joint_and_which_are_missing() -> None:
    found = prepared(2, 5)
    found.keypoints[0, 2:, 3] = np.nan
    found.keypoints[1, :, 4] = np.nan
    made = scene(found, LAYOUT, ("x", "y", "z"), "one")
    data = data_of(page([made], 30.0, {}, []))
    (sight,) = data["scenes"][0]["sights"]
    spots, gone = decoded(sight, (2, 5, 25))
    assert sight["axes"] == 3
    np.testing.assert_array_equal(gone, made.gone)
    np.testing.assert_allclose(spots, made.sights[0].spots, atol=1e-4)
    assert (data["length"], data["scenes"][0]["frame"]) == (9, [0, 2, 4, 6, 8])


def test_a_page_fetches_nothing_and_lets_no_name_be_code() -> None:
    evil = "</script><script>alert(1)</script>"
    made = scene(prepared(), LAYOUT, ("x", "y", "z"), evil)
    text = page([made], 30.0, {evil: evil}, [(0, 2, evil)])
    assert text.count("<script") == 2
    assert "alert(1)</script>" not in text
    assert not re.search(r"https?://|src=|@import|url\(", text)
    assert "default-src 'none'" in text
    assert data_of(text)["segments"][0]["name"] == evil


def test_segments_that_overlap_stand_below_each_other() -> None:
    marked = [(0, 4, "walk"), (2, 6, "talk"), (4, 9, "sit")]
    data = data_of(page([scene(prepared(), LAYOUT, ("x", "y", "z"), "one")], 30.0, {}, marked))
    assert [(one["name"], one["lane"]) for one in data["segments"]] == [("walk", 0), ("talk", 1), ("sit", 0)]


def test_a_page_of_a_long_sample_keeps_every_nth_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skelbench.figures.player._MOST", 100 * 25 * 3)
    data = data_of(page([scene(prepared(1, 1000), LAYOUT, ("x", "y", "z"), "one")], 30.0, {}, []))
    assert data["step"] == 10
    assert len(data["scenes"][0]["frame"]) == 100


def test_a_sample_that_has_only_the_image_is_seen_there_and_one_with_both_in_both() -> None:
    flat = prepared(1, 3).keypoints[..., :2]
    for space, axes in ((np.nan, [2]), (1.0, [2, 3])):
        keypoints = np.concatenate([flat, np.full((1, 3, 25, 3), space, np.float32)], -1)
        made = scene(Prepared(keypoints, None, np.arange(3), {}), LAYOUT, ("u", "v", "x", "y", "z"), "one")
        assert [sight.spots.shape[-1] for sight in made.sights] == axes
        assert not made.gone.any()


def test_before_and_after_show_the_same_frame_of_the_recording() -> None:
    before = scene(prepared(1, 10), LAYOUT, ("x", "y", "z"), "before")  # frames 0, 2, ... 18
    kept = prepared(1, 4)
    after = scene(Prepared(kept.keypoints, None, np.array([4, 6, 12, 14]), {}), LAYOUT, ("x", "y", "z"), "after")
    assert [after.frame[after.place(frame)] for frame in (0, 5, 6, 13, 18)] == [4, 4, 6, 12, 14]
    texts = [text.get_text() for axes in strip([before, after], 3).axes for text in axes.texts]
    assert texts == ["frame 0", "frame 8", "frame 18", "frame 4", "frame 6", "frame 14"]


def test_the_page_of_the_command_says_labels_and_that_the_sample_is_made_up(store: Path, tmp_path: Path) -> None:
    code, said, _ = view(store, 0, "--prepare", "by-id clip", "--out", tmp_path)
    text = Path(said.split()[-1]).read_text(encoding="utf-8")
    assert code == 0
    assert "<dt>recording</dt><dd>made up, of nobody</dd>" in text
    assert "<dt>label</dt><dd>" in text
    assert [one["name"] for one in data_of(text)["scenes"]][1] == "after by-id, clip"


def test_labels_are_said_in_words_whatever_their_kind() -> None:
    kinds = {"label": "single", "score": "score", "defects": "multi", "none": "multi"}
    values = {"label": -1, "score": 3.5, "defects": (1, 0, 1), "none": (0, 0, 0)}
    known = load_card(find("converters", "nw_ucla").toml)
    target = known.targets["label"].model_copy(update={"classes": ("a", "b", "c")})
    card = known.model_copy(update={"targets": {n: target.model_copy(update={"kind": k}) for n, k in kinds.items()}})
    none = np.zeros(0, np.uint32), np.zeros(0, np.int64), np.zeros((0, 20, 3), np.float32)
    sample = Sample("one", 1, *none, None, values, (), {})
    said = [label_of(sample, card, name) for name in kinds]
    assert said == ["unlabelled", "score 3.5", "a, c", "none of the classes"]


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
