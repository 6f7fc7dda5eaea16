import gzip

import numpy as np
import pytest

from skelbench import registry
from skelbench.card import Card, load_card
from skelbench.errors import CardError, RawFormatError
from skelbench.formats import csv_table, ui_prmd
from skelbench.raw import RawItem
from skelbench.synthetic.raw import InMemory

MODULE = registry.load(registry.find("converters", "ui_prmd"))
CARD = load_card(registry.find("converters", "ui_prmd").toml)
VICON = registry.load(registry.find("converters", "ui_prmd_vicon"))
VICON_CARD = load_card(registry.find("converters", "ui_prmd_vicon").toml)
PARENTS = CARD.layout.parents
FILES = {
    f"{folder}/{sensor}/{kind.capitalize()}/m07_s02_e10_{kind}{ending}.txt": b""
    for folder, ending in (("Segmented Movements", ""), ("Incorrect Segmented Movements", "_inc"))
    for sensor in ("Kinect", "Vicon")
    for kind in ("positions", "angles")
}


def planned(files: dict[str, bytes], card: Card = CARD) -> list[RawItem]:
    module = MODULE if card.name == "ui_prmd" else VICON
    return list(module.plan(InMemory(files), card))


def read(positions: np.ndarray, angles: np.ndarray, card: Card = CARD) -> np.ndarray:
    tables = (("positions", positions), ("angles", angles))
    files = {f"m01_s01_e01_{kind}.txt": csv_table.render_numbers(table.reshape(-1, 66)) for kind, table in tables}
    (item,) = MODULE.plan(InMemory(files), card)
    return np.asarray(MODULE.read(InMemory(files), item, card).keypoints)


def at_rest(frames: int = 1) -> np.ndarray:
    """Every bone 10 cm along x."""
    return np.tile([10.0, 0, 0], (frames, 22, 1))


def test_each_sensor_reads_its_own_folder() -> None:
    for card, files in ((CARD, 2), (VICON_CARD, 1)):
        items = planned(FILES, card)
        assert [item.sample_id for item in items] == ["m07_s02_e10_inc", "m07_s02_e10"]
        for item in items:
            assert item.reject is None
            assert len(item.paths) == files
            assert all(card.options["not_folder"] not in path for path in item.paths)
    meta = {"movement_code": 7, "subject": 2, "repetition": 10, "take": "m07_s02_e10"}
    assert planned(FILES)[1].meta == meta


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["m07_s02_e10_positions.txt"], "its file of angles is missing, without which positions are offsets"),
        (["m07_s02_e10_angles.txt"], "its file of positions is missing"),
        (["m7_s02_e10_positions.txt"], "the name 'm7_s02_e10_positions.txt' is not mNN_sNN_eNN_positions.txt"),
        (["m11_s02_e10_positions.txt", "m11_s02_e10_angles.txt"], "movement_code 11, expected 1 to 10"),
        (["m01_s00_e10_positions.txt", "m01_s00_e10_angles.txt"], "subject 0, expected 1 to 10"),
    ],
)
def test_clips_that_are_not_whole_are_rejects(names: list[str], words: str) -> None:
    (item,) = planned(dict.fromkeys(names, b""))
    assert words in str(item.reject)


def test_continuous_recordings_and_other_texts_are_passed_over() -> None:
    assert planned(dict.fromkeys(["Movements/m01_s01_positions.txt", "notes.txt"], b"")) == []
    assert planned({"m01_s01_e01_angles.txt": b""}, VICON_CARD) == []


def test_joints_are_placed_along_the_chain() -> None:
    found = read(at_rest(), np.zeros((1, 22, 3)))
    assert found[0, [0, 5, 13, 21], 0].tolist() == [10, 60, 70, 50]
    assert not found[..., 1:].any()


def test_arms_turn_with_the_trunk_or_with_the_chest_alone() -> None:
    angles = np.zeros((1, 22, 3))
    angles[0, 0, 2] = 90  # the waist about z: all but the waist itself now lies along y
    whole = read(at_rest(), angles)[0]
    chest = read(at_rest(), angles, CARD.model_copy(update={"options": CARD.options | {"chain": "chest"}}))[0]
    assert whole[13] == pytest.approx([10, 60, 0], abs=1e-5)
    assert chest[13] == pytest.approx([50, 20, 0], abs=1e-5)
    others = [joint for joint in range(22) if joint not in range(6, 14)]
    assert np.array_equal(whole[others], chest[others])


def test_turns_are_about_z_then_x_then_y() -> None:
    angles = np.array([[[90.0, 90.0, 90.0]]])
    # y brings x to -z, x brings that to y, z brings that to -x.
    assert ui_prmd.turns(angles)[0, 0] @ [1, 0, 0] == pytest.approx([-1, 0, 0])
    many = np.random.default_rng(1).uniform(-89, 89, (50, 1, 3))
    assert ui_prmd.degrees(ui_prmd.turns(many)[:, 0]) == pytest.approx(many[:, 0])


@pytest.mark.parametrize("chain", ["whole", "chest"])
def test_positions_come_back_bit_for_bit(chain: ui_prmd.Chain) -> None:
    rng = np.random.default_rng(5)
    keypoints = (rng.normal(50, 100, (30, 22, 3))).astype(np.float32)
    keypoints[rng.random(keypoints.shape) < 0.05] = np.nan
    keypoints = ui_prmd.chainable(keypoints)
    local, angles = ui_prmd.unplaced(keypoints, PARENTS, chain)
    assert ui_prmd.placed(local, angles, PARENTS, chain).tobytes() == keypoints.tobytes()
    assert np.abs(angles).max() > 90


def test_a_missing_joint_does_not_break_the_chain() -> None:
    local = at_rest()
    local[0, 7] = np.nan
    found = read(local, np.zeros((1, 22, 3)))[0]
    assert np.isnan(found[7]).all()
    assert found[8, 0] == 50


@pytest.mark.parametrize(
    ("positions", "angles", "words"),
    [
        (at_rest(2), np.zeros((3, 22, 3)), "angles.txt: 3 rows, but 2 of positions"),
        (at_rest(), np.full((1, 22, 3), np.nan), "angles.txt: an angle is NaN"),
        (at_rest() * 3e37, np.zeros((1, 22, 3)), "positions.txt: bones so long"),
    ],
)
def test_files_that_do_not_fit_each_other_are_refused(positions: np.ndarray, angles: np.ndarray, words: str) -> None:
    with pytest.raises(RawFormatError, match=words):
        read(positions, angles)


def test_another_chain_is_an_error_of_the_card() -> None:
    card = CARD.model_copy(update={"options": CARD.options | {"chain": "legs"}})
    with pytest.raises(CardError, match=r"'options\.chain' is 'legs', expected \"whole\" or \"chest\""):
        planned(FILES, card)


def test_what_the_files_cannot_say_is_not_written() -> None:
    files = {"m01_s01_e01_positions.txt": csv_table.render_numbers(at_rest().reshape(1, 66))}
    files["m01_s01_e01_angles.txt"] = csv_table.render_numbers(np.zeros((1, 66)))
    (item,) = planned(files)
    sample = MODULE.read(InMemory(files), item, CARD)
    far = MODULE.replace(sample, keypoints=np.where(np.arange(3) > 0, sample.keypoints, np.float32(1e-30)))
    far.keypoints[0, 0] = 1e30
    for wrong, words in ((far, "bit for bit"), (MODULE.replace(sample, n_frames=2), "one pose in every frame")):
        with pytest.raises(ValueError, match=words):
            list(MODULE.write(wrong, CARD))
        if words == "one pose in every frame":
            with pytest.raises(ValueError, match=words):
                list(VICON.write(wrong, VICON_CARD))


def test_files_may_be_packed_each_for_itself() -> None:
    content = csv_table.render_numbers(at_rest().reshape(1, 66))
    files = {f"m01_s01_e01_{kind}.txt.gz": gzip.compress(content) for kind in ("positions", "angles")}
    (item,) = planned(files)
    assert MODULE.read(InMemory(files), item, CARD).keypoints.shape == (1, 22, 3)
    assert planned(files, VICON_CARD)[0].paths == ("m01_s01_e01_positions.txt.gz",)
    assert (
        planned(dict.fromkeys(["m01_s01_e01_angles.txt.gz", "Movements/m01_s01_positions.txt.gz"], b""), VICON_CARD)
        == []
    )
    cut = {path: content[:-9] for path, content in files.items()}
    with pytest.raises(RawFormatError, match=r"positions\.txt\.gz: the packed file is cut"):
        MODULE.read(InMemory(cut), item, CARD)


def test_a_vicon_marker_at_the_origin_was_not_seen() -> None:
    rows = np.arange(2 * 39 * 3, dtype=np.float64).reshape(2, 39, 3) + 1
    rows[0, 4] = 0
    rows[1, 5, 0] = 0
    files = {"m01_s01_e01_positions.txt": csv_table.render_numbers(rows.reshape(2, -1))}
    (item,) = planned(files, VICON_CARD)
    sample = VICON.read(InMemory(files), item, VICON_CARD)
    assert np.argwhere(np.isnan(sample.keypoints).any(-1)).tolist() == [[0, 4]]
    assert np.isnan(sample.keypoints[0, 4]).all()
    ((_, content),) = VICON.write(sample, VICON_CARD)
    assert content == files["m01_s01_e01_positions.txt"]
    there = MODULE.replace(sample, keypoints=np.nan_to_num(sample.keypoints))
    with pytest.raises(ValueError, match="a marker at the origin is one that was not seen"):
        list(VICON.write(there, VICON_CARD))
    assert np.array_equal(VICON.settle(there, VICON_CARD).keypoints, sample.keypoints, equal_nan=True)


def test_an_empty_vicon_file_is_refused() -> None:
    files = {"m01_s01_e01_positions.txt": b"\n" * 0}
    (item,) = planned(files, VICON_CARD)
    with pytest.raises(RawFormatError, match="is it cut"):
        VICON.read(InMemory(files), item, VICON_CARD)
