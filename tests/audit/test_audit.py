"""What is said of stores whose bytes are as they were written, but whose content makes no sense."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from skelbench.audit import audit
from skelbench.cli import cli
from skelbench.sample import Sample
from skelbench.store.reader import open_store

Make = Callable[..., Path]


def said(store: Path, level: str) -> list[str]:
    return [finding.problem for finding in audit(store) if finding.level == level]


def first(change: Callable[[Sample], Sample]) -> Callable[[int, Sample], Sample]:
    """Changes the first sample alone."""
    return lambda place, sample: sample if place else change(sample)


def scaled(by: float) -> Callable[[int, Sample], Sample]:
    return lambda _, sample: replace(sample, keypoints=sample.keypoints * np.float32(by))


@pytest.mark.parametrize("name", ["nw_ucla", "penn_action", "ui_prmd", "pku_mmd1", "smarthome"])
def test_made_up_people_have_no_errors(make: Make, name: str) -> None:
    assert said(make(name=name), "error") == []


@pytest.mark.parametrize("by", [100.0, 0.001])
def test_people_of_another_size_than_the_unit_says_are_an_error(make: Make, by: float) -> None:
    (problem,) = said(make(scaled(by)), "error")
    assert problem.startswith("units: a person measures ")
    assert "expected 0.5 to 2.5 m: is the unit metre?" in problem


def test_one_giant_is_a_remark(make: Make) -> None:
    store = make(lambda place, sample: sample if place else scaled(5.0)(place, sample))
    assert said(store, "error") == []
    assert any(one.startswith("people of less than 0.5 m or more than 2.5 m: 1 of 48") for one in said(store, "remark"))


def test_shares_of_an_image_are_no_pixels(make: Make) -> None:
    assert "are these shares of the image?" in said(make(scaled(0.001), "penn_action"), "error")[0]


def test_people_beside_the_image_are_an_error_when_most_are(make: Make) -> None:
    def beside(_: int, sample: Sample) -> Sample:
        return replace(sample, keypoints=sample.keypoints + np.float32(5000))

    assert said(make(beside, "penn_action"), "error")[0].startswith("most joints lie outside the image: 48 of 48")
    assert said(make(first(lambda one: beside(0, one)), "smarthome"), "error") == []


def test_the_same_poses_under_two_ids_are_found_with_the_protocol_that_they_spoil(make: Make) -> None:
    kept: dict[int, Sample] = {}

    def double(place: int, sample: Sample) -> Sample:
        kept[place] = sample
        one = kept[0]
        arrays = {"n_frames": one.n_frames, "frame": one.frame, "person": one.person, "keypoints": one.keypoints}
        return replace(sample, **arrays) if place in (5, 6) else sample  # type: ignore[arg-type]

    store = make(double)
    ids = ", ".join(f"'{open_store(store).ids[place]}'" for place in (0, 5, 6))
    remarks = said(store, "remark")
    assert f"the same poses under 3 ids: {ids}" in remarks
    assert "protocol xview trains on and scores the same poses under two ids: once" in remarks


def test_parts_that_share_what_they_must_not_are_an_error(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from skelbench import split

    rule = split.load_protocols("nw_ucla")["xview"]
    torn = rule.model_copy(update={"disjoint": ("camera", "subject")})
    monkeypatch.setattr(split, "_read", lambda path: {"xview": torn})
    (problem,) = said(make(), "error")
    assert problem.startswith("nw_ucla xview: the parts share subject ")


def test_sharing_that_a_protocol_allows_is_a_remark(make: Make) -> None:
    assert any("protocol xview: the parts share" in one for one in said(make(), "remark"))


def test_a_protocol_without_a_part_is_a_remark(make: Make) -> None:
    store = make(lambda _, sample: replace(sample, meta={**sample.meta, "camera": 1}))
    assert any("no sample for test" in one for one in said(store, "remark"))


def test_classes_that_a_part_lacks_are_named(make: Make) -> None:
    store = make(lambda _, sample: replace(sample, targets={"label": 0}))
    remarks = said(store, "remark")
    assert any(one.startswith("target 'label': no sample of 9 classes: ") for one in remarks)
    assert any(one.startswith("9 classes have no sample in train of protocol xview: ") for one in remarks)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda one: replace(one, frame=one.frame[:0], person=one.person[:0], keypoints=one.keypoints[:0]),
            "without a pose",
        ),
        (lambda one: replace(one, keypoints=np.full_like(one.keypoints, np.nan)), "whose joints are all missing"),
        (lambda one: replace(one, frame=np.zeros_like(one.frame)), "with more than 1 persons in a frame"),
        (
            lambda one: replace(one, frame=np.zeros_like(one.frame), person=np.ones_like(one.person)),
            "in which one person stands twice in a frame",
        ),
    ],
)
def test_what_real_recordings_have_is_a_remark(make: Make, change: Callable[[Sample], Sample], words: str) -> None:
    store = make(first(change))
    assert said(store, "error") == []
    assert any(one.startswith(f"{words}: 1 of 48 samples, such as '") for one in said(store, "remark"))


def test_joints_that_are_never_there_and_zeros_for_missing_ones_are_remarks(make: Make) -> None:
    def spoil(_: int, sample: Sample) -> Sample:
        keypoints = sample.keypoints.copy()
        keypoints[:, 3], keypoints[:, 4] = np.nan, 0
        return replace(sample, keypoints=keypoints)

    remarks = said(make(spoil), "remark")
    assert "joints that are missing in every pose: head" in remarks
    assert any("of the joints lie at exactly zero" in one for one in remarks)


def test_a_detector_that_gave_only_the_image_lacks_the_other_channels_and_no_joint(make: Make) -> None:
    def flat(_: int, sample: Sample) -> Sample:
        keypoints = sample.keypoints.copy()
        keypoints[..., 2:] = np.nan
        return replace(sample, keypoints=keypoints)

    remarks = said(make(flat, "smarthome"), "remark")
    advice = "runs on it need a store of `convert --channels u,v`"
    assert any(one.startswith("no joint has x, y, z: 48 of 48 samples") and one.endswith(advice) for one in remarks)
    assert not any("missing" in one for one in remarks)


def test_joints_of_which_some_coordinates_are_missing_are_counted(make: Make) -> None:
    def shallow(_: int, sample: Sample) -> Sample:
        keypoints = sample.keypoints.copy()
        keypoints[:, :2, 2] = np.nan
        return replace(sample, keypoints=keypoints)

    assert "10.0% of the joints that are there lack z" in said(make(shallow), "remark")


def test_shares_of_the_sides_of_an_image_lie_outside_it_above_one(make: Make) -> None:
    errors = said(make(scaled(50.0), "kinetics_skeleton"), "error")
    assert errors
    assert errors[0].startswith("most joints lie outside the image: 4")


def test_a_damaged_store_is_told_of_its_damage_alone(make: Make) -> None:
    store = make()
    (store / "README.md").write_text("other")
    assert [(one.level, one.file) for one in audit(store)] == [("error", "README.md")]


def test_the_command_fails_for_errors_and_not_for_remarks(make: Make) -> None:
    store = make()
    run = CliRunner()
    found = run.invoke(cli, ["verify", str(store)])
    assert found.exit_code == 0
    assert found.output.startswith(f"{store}: whole; ")
    assert f"remark: {store / 'samples.parquet'}: protocol xview: " in found.output
    assert run.invoke(cli, ["verify", str(store), "--strict"]).exit_code == 1
    table = json.loads(run.invoke(cli, ["verify", str(store), "--json"]).output)
    assert {"level", "file", "problem"} == set(table[0])


def test_several_processes_find_the_same(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from skelbench.crew import crew

    store = make()
    alone = audit(store)
    monkeypatch.setattr("skelbench.survey._AT_ONCE", 5)
    with crew(1) as helpers:
        assert audit(store, helpers) == alone
