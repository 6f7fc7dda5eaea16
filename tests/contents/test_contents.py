"""What a store holds, in numbers and pictures."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from skelbench.card import load_card
from skelbench.cli import cli
from skelbench.contents import contents
from skelbench.registry import find
from skelbench.sample import Sample
from skelbench.store.reader import Store, open_store
from skelbench.store.schema import Origin, RawDigest
from skelbench.store.writer import write_store
from skelbench.survey import survey


def sample(name: str, frames: list[int], n_frames: int, label: int, gone: int = 0) -> Sample:
    rng = np.random.default_rng(len(name))
    keypoints = rng.normal(size=(len(frames), 20, 3)).astype(np.float32)
    keypoints[:, :gone] = np.nan
    return Sample(
        sample_id=name,
        n_frames=n_frames,
        frame=np.array(frames, np.uint32),
        person=np.full(len(frames), -1),
        keypoints=keypoints,
        score=None,
        targets={"label": label},
        segments=(),
        meta={"subject": 1},
    )


def written(folder: Path, samples: list[Sample]) -> Store:
    card = load_card(find("converters", "nw_ucla").toml)
    origin = Origin(
        converter="nw_ucla", skelbench="0", request="", raw=RawDigest(files=0, bytes=0, sha256=""), planned=len(samples)
    )
    lengths = [len(one.frame) for one in samples]
    write_store(folder / "few", card, origin, samples=samples, lengths=lengths, rejects=[])
    return open_store(folder / "few")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Three clips: one person in four frames, two persons in the second of two frames, and nobody for long."""
    return written(
        tmp_path, [sample("a", [0, 1, 2, 3], 4, 0, 5), sample("b", [1, 1], 2, 1), sample("c", [], 3_000_000_000, -1)]
    )


def test_people_in_a_frame_are_counted_whatever_is_claimed(store: Store) -> None:
    found = contents(store, survey(store.path))
    rows = [(row["persons"], row["frames"]) for row in found["persons_per_frame"]]
    assert rows == [(0, 3_000_000_001), (1, 4), (2, 1)]


def test_missing_joints_are_counted_by_joint_time_and_class(store: Store) -> None:
    found = contents(store, survey(store.path))
    assert [row["missing"] for row in found["missing_by_joint"]] == [round(4 / 6, 4)] * 5 + [0.0] * 15
    assert found["missing"] == round(20 / 120, 4)
    shares = [row["missing"] for row in found["missing_by_time"]]
    assert shares == [0.25, None, 0.25, None, None, round(5 / 60, 4), None, 0.25, None, None]
    assert [(row["samples"], row["missing"]) for row in found["class_balance"][:3]] == [(1, 0.25), (1, 0.0), (0, None)]


def test_frames_are_counted_by_how_much_of_their_people_is_missing(store: Store) -> None:
    found = contents(store, survey(store.path))
    rows = {row["joints missing"]: row["frames"] for row in found["missing_by_frame"]}
    assert rows == {"none": 1, "up to 10 %": 0, "10 % to 25 %": 4, "25 % to 50 %": 0, "over 50 %": 0, "all": 0}


@pytest.mark.parametrize(
    ("gone", "row"), [(1, "up to 10 %"), (2, "up to 10 %"), (3, "10 % to 25 %"), (11, "over 50 %"), (20, "all")]
)
def test_a_frame_stands_in_the_first_row_that_it_does_not_exceed(tmp_path: Path, gone: int, row: str) -> None:
    found = written(tmp_path, [sample("a", [0], 1, 0, gone)])
    counted = {one["joints missing"]: one["frames"] for one in contents(found, survey(found.path))["missing_by_frame"]}
    assert {name: count for name, count in counted.items() if count} == {row: 1}


def test_a_joint_with_some_coordinates_is_there_and_what_it_lacks_is_said(tmp_path: Path) -> None:
    one = sample("a", [0, 1], 2, 0)
    one.keypoints[..., 2] = np.nan
    found = written(tmp_path, [one])
    said = contents(found, survey(found.path))
    assert said["missing"] == 0.0
    assert said["without"] == {"z": 1.0}


def test_lengths_and_sizes_are_spreads(store: Store) -> None:
    found = contents(store, survey(store.path))
    assert found["lengths"] == {"least": 2, "median": 4.0, "mean": 1_000_000_002.0, "most": 3_000_000_000}
    assert found["person"].endswith(" m, median " + found["person"].split()[-1])


def test_several_classes_a_sample_count_for_each(tmp_path: Path) -> None:
    card = load_card(find("converters", "charades").toml)
    name, target = next(iter(card.targets.items()))
    label = tuple(int(place < 2) for place in range(len(target.classes)))
    one = sample("a", [0], 1, 0)
    keypoints = np.zeros((1, len(card.layout.joints), len(card.channels)), np.float32)
    one = replace(one, targets={name: label}, keypoints=keypoints)
    origin = Origin(
        converter="charades", skelbench="0", request="", raw=RawDigest(files=0, bytes=0, sha256=""), planned=1
    )
    write_store(tmp_path / "multi", card, origin, samples=[one], lengths=[1], rejects=[])
    opened = open_store(tmp_path / "multi")
    rows = contents(opened, survey(opened.path))["class_balance"]
    assert [row["samples"] for row in rows[:3]] == [1, 1, 0]
    assert f"| samples of a class | 1 to 1; 2 of {len(target.classes)} classes have any |" in (
        opened.path / "README.md"
    ).read_text(encoding="utf-8")


def test_the_readme_says_lengths_and_balance(store: Store) -> None:
    text = (store.path / "README.md").read_text(encoding="utf-8")
    assert "| frames of a sample | 2 to 3,000,000,000, median 4 |" in text
    assert "| samples of a class | 1 to 1; 2 of 10 classes have any |" in text


def test_info_says_and_draws_what_a_store_holds(store: Store, tmp_path: Path) -> None:
    run = CliRunner()
    said = run.invoke(cli, ["info", str(store.path)])
    assert said.exit_code == 0, said.output
    assert "missing_by_joint" in said.output
    assert "least 2, median 4.0" in said.output
    assert "0 to 10 %    25.00 %" in said.output
    assert "None" not in said.output.partition("missing_by_time")[2]
    found = json.loads(run.invoke(cli, ["info", str(store.path), "--json"]).output)
    assert set(found) >= {"lengths", "persons_per_frame", "missing_by_joint", "missing_by_time", "class_balance"}
    out = tmp_path / "drawn"
    drawn = run.invoke(cli, ["info", str(store.path), "--figures", "--out", str(out)])
    assert drawn.exit_code == 0, drawn.output
    stems = {"few-contents", "few-missing", "few-classes-label", "few-missing-label"}
    assert {path.name for path in out.iterdir()} == {f"{stem}.{form}" for stem in stems for form in ("png", "svg")}
    first = (out / "few-contents.png").read_bytes()
    run.invoke(cli, ["info", str(store.path), "--figures", "--out", str(out)])
    assert (out / "few-contents.png").read_bytes() == first
