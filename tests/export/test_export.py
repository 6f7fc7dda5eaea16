"""Exports hold what the store holds, and come back as they went out."""

import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from skelbench import registry
from skelbench.card import load_card
from skelbench.convert import Request as Conversion
from skelbench.convert import convert
from skelbench.errors import UsageError
from skelbench.export import FORMS, Request, export
from skelbench.export.forms import Form
from skelbench.export.job import Job
from skelbench.export.tables import sample_of
from skelbench.sample import Sample, same
from skelbench.split import resolve
from skelbench.store.reader import Store, open_store
from skelbench.synthetic.raw import write_raw

SETS = ("pyskl", "ctrgcn_npz", "stgcn_npy", "penn_action")


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {}
    for name in SETS:
        folder = tmp_path_factory.mktemp(name)
        write_raw(name, folder / "raw", samples=16, seed=0, archive=False, defects=False)
        convert(Conversion(converter=name, raw=(folder / "raw",), out=folder / name, workers=1))
        made[name] = folder / name
    return made


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of several classes a sample."""
    folder = tmp_path_factory.mktemp("squat")
    write_raw("squat", folder / "raw", samples=8, seed=0, archive=False, defects=False)
    convert(Conversion(converter="squat", raw=(folder / "raw",), out=folder / "squat", workers=1))
    return folder / "squat"


@pytest.fixture(scope="module")
def parted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Sets whose protocols ask for several labels, or count the classes in an order of their own."""
    made = {}
    for name in ("ui_prmd", "smarthome", "kinetics_skeleton"):
        folder = tmp_path_factory.mktemp(name)
        write_raw(name, folder / "raw", samples=64, seed=0, archive=False, defects=False)
        convert(Conversion(converter=name, raw=(folder / "raw",), out=folder / name, workers=1))
        made[name] = folder / name
    return made


def pickled(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return dict(pickle.load(file))


def test_annotations_of_a_protocol_have_the_label_that_it_asks_for(parted: dict[str, Path], tmp_path: Path) -> None:
    store = open_store(parted["ui_prmd"])
    done = export(Request(parted["ui_prmd"], "pyskl", out=tmp_path / "a.pkl", protocol="correct"))
    for entry in pickled(done.out)["annotations"]:
        assert entry["label"] == store[entry["frame_dir"]].targets["correct"]
    whole = export(Request(parted["ui_prmd"], "pyskl", out=tmp_path / "b.pkl"))
    assert "The protocol 'correct' asks for 'correct', not 'movement', and is left out." in whole.said
    assert not any(name.startswith("correct") for name in pickled(whole.out)["split"])


def test_annotations_of_a_protocol_count_classes_as_it_does(parted: dict[str, Path], tmp_path: Path) -> None:
    store = open_store(parted["smarthome"])
    split = resolve(store, "cv2")
    done = export(Request(parted["smarthome"], "pyskl", out=tmp_path / "a.pkl", protocol="cv2"))
    found = pickled(done.out)
    assert sorted(found["split"]["train"] + found["split"]["val"]) == [one["frame_dir"] for one in found["annotations"]]
    for entry in found["annotations"]:
        label = store[entry["frame_dir"]].targets["label"]
        assert split.classes[entry["label"]] == store.card.targets["label"].classes[label]
    said = export(Request(parted["smarthome"], "pyskl", out=tmp_path / "b.pkl")).said
    assert any(line.endswith("--protocol cv2 writes those.") for line in said)


def test_shares_of_an_image_lie_in_an_image_of_one_by_one(parted: dict[str, Path], tmp_path: Path) -> None:
    done = export(Request(parted["kinetics_skeleton"], "pyskl", out=tmp_path / "a.pkl"))
    entries = pickled(done.out)["annotations"]
    assert {entry["img_shape"] for entry in entries} == {(1, 1)}
    assert all("keypoint_score" in entry for entry in entries)
    blocks = export(Request(parted["kinetics_skeleton"], "stgcn", out=tmp_path / "b", persons=5))
    assert "The score is not written; channels: u, v." in blocks.said
    assert np.load(blocks.out / "val_data_joint.npy", mmap_mode="r").shape[1:] == (2, 300, 18, 5)


@pytest.mark.parametrize("form", ["pyskl", "ctrgcn", "stgcn"])
def test_several_classes_a_sample_are_refused_with_the_forms_that_hold_them(
    several: Path, tmp_path: Path, form: str
) -> None:
    words = r"'defects' is not one class a sample, .* `--to parquet` and `--to hf` hold every set"
    with pytest.raises(UsageError, match=words):
        export(Request(several, form, out=tmp_path / "x"))
    assert not list(tmp_path.iterdir())


def test_several_classes_come_back_from_rows(several: Path, tmp_path: Path) -> None:
    store = open_store(several)
    done = export(Request(several, "parquet", out=tmp_path / "a.parquet"))
    rows = pd.read_parquet(done.out).to_dict("records")
    assert all(same(sample_of(row, store.card), one) for row, one in zip(rows, store, strict=True))
    assert (export(Request(several, "hf", out=tmp_path / "hub")).out / "croissant.json").is_file()


def test_a_store_on_which_no_protocol_holds_is_refused_with_the_reason(
    several: Path, parted: dict[str, Path], tmp_path: Path
) -> None:
    raw = parted["ui_prmd"].parent / "raw"
    convert(Conversion(converter="ui_prmd", raw=(raw,), out=tmp_path / "one", limit=1, workers=1))
    with pytest.raises(UsageError, match=r"No protocol of 'ui_prmd' can be written, .* does not hold on this store"):
        export(Request(tmp_path / "one", "ctrgcn", out=tmp_path / "x"))


@pytest.mark.parametrize("option", [{"prepare": ("by-id",)}, {"frames": 10}, {"persons": 3}])
def test_what_a_form_would_not_heed_is_refused(stores: dict[str, Path], tmp_path: Path, option: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"--{next(iter(option))}: only ctrgcn and stgcn hold prepared blocks"):
        export(Request(stores["pyskl"], "hf", out=tmp_path / "x", **option))


def test_an_export_that_is_stopped_leaves_nothing(
    stores: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for form in FORMS:
        before = FORMS[form]

        def write(job: Job, before: Form = before) -> None:
            before.write(job)  # all is written, and under its temporary name
            raise KeyboardInterrupt

        monkeypatch.setitem(FORMS, form, replace(before, write=write))  # type: ignore[arg-type]
        with pytest.raises(KeyboardInterrupt):
            export(Request(stores["pyskl"], form, out=tmp_path / "a"))
        assert not list(tmp_path.iterdir())


def test_a_folder_of_other_things_is_never_replaced(stores: dict[str, Path], tmp_path: Path) -> None:
    for form in FORMS:
        with pytest.raises(UsageError, match=r"holds other things, such as dataset\.json, .* not even with"):
            export(Request(stores["pyskl"], form, out=stores["pyskl"], overwrite=True))
    assert len(open_store(stores["pyskl"])) == 16
    (tmp_path / "mine/data").mkdir(parents=True)
    with pytest.raises(UsageError, match="holds other things, such as data,"):
        export(Request(stores["pyskl"], "hf", out=tmp_path / "mine", overwrite=True))


def test_what_a_killed_export_left_is_cleared_away_and_that_of_a_living_one_is_not(
    stores: dict[str, Path], tmp_path: Path
) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / f".a.parquet.partial-{dead.pid}").touch()
    living = tmp_path / f".a.parquet.partial-{os.getppid()}"
    living.touch()
    export(Request(stores["pyskl"], "parquet", out=tmp_path / "a.parquet"))
    assert {path.name for path in tmp_path.iterdir()} == {"a.parquet", living.name}


def again(converter: str, raw: Path, folder: Path, *, card: Path | None = None) -> Store:
    convert(Conversion(converter=converter, raw=(raw,), out=folder / "again", card=card, workers=1))
    return open_store(folder / "again")


def assert_same(found: Store, store: Store, *columns: str) -> None:
    assert found.ids == store.ids
    for one, other in zip(found, store, strict=True):
        kept = {name: other.meta[name] for name in columns}
        assert same(replace(one, meta={name: one.meta[name] for name in columns}), replace(other, meta=kept))


def test_an_annotation_pickle_comes_back_bit_for_bit(stores: dict[str, Path], tmp_path: Path) -> None:
    done = export(Request(stores["pyskl"], "pyskl", out=tmp_path / "all.pkl"))
    found, store = again("pyskl", done.out, tmp_path), open_store(stores["pyskl"])
    assert_same(found, store, "xsub", "xview", "width", "height")
    assert found.info.fingerprint == store.info.fingerprint


def test_an_annotation_pickle_is_what_the_loaders_of_others_expect(stores: dict[str, Path], tmp_path: Path) -> None:
    done = export(Request(stores["penn_action"], "pyskl", out=tmp_path / "penn.pkl"))
    with done.out.open("rb") as file:
        found = pickle.load(file)
    assert {name: len(ids) for name, ids in found["split"].items()} == {"train": 8, "val": 8}
    store = open_store(stores["penn_action"])
    for entry in found["annotations"]:
        sample = store[entry["frame_dir"]]
        assert entry["keypoint"].shape == (1, sample.n_frames, 13, 2)
        assert entry["img_shape"] == (sample.meta["height"], sample.meta["width"])
        missing = np.isnan(sample.keypoints).any(axis=2)
        assert not entry["keypoint"][0][missing].any()
        assert not entry["keypoint_score"][0][missing].any()
        assert entry["label"] == sample.targets["label"]


@pytest.mark.parametrize(("name", "form"), [("ctrgcn_npz", "ctrgcn"), ("stgcn_npy", "stgcn")])
def test_blocks_come_back_bit_for_bit_with_their_names(
    stores: dict[str, Path], tmp_path: Path, name: str, form: str
) -> None:
    done = export(Request(stores[name], form, out=tmp_path / ("a.npz" if form == "ctrgcn" else "a")))
    assert_same(again(name, done.out, tmp_path), open_store(stores[name]), "part")


def test_an_npz_has_the_shapes_that_the_feeder_reshapes(stores: dict[str, Path], tmp_path: Path) -> None:
    done = export(Request(stores["ctrgcn_npz"], "ctrgcn", out=tmp_path / "a.npz", frames=40))
    with np.load(done.out) as found:
        assert found["x_train"].shape == (8, 40, 150)
        assert found["y_train"].shape == (8, 60)
        assert found["x_train"].dtype == np.float32
        assert np.where(found["y_test"] > 0)[0].tolist() == list(range(8))
    assert any("are cut off" in line for line in done.said)


def test_a_preparation_is_written_into_the_file(stores: dict[str, Path], tmp_path: Path) -> None:
    asked = Request(stores["ctrgcn_npz"], "stgcn", out=tmp_path / "a", prepare=("by-id", "centre-each:1"))
    said = json.loads((export(asked).out / "export.json").read_text())
    assert said["prepared"].startswith("ctr-denoised")
    assert said["prepared"].endswith("by-id, centre-each:1")


def table_of(path: Path) -> list[Sample]:
    frame = pd.read_parquet(path)
    card = load_card(registry.find("converters", "pyskl").toml)
    return [sample_of(row, card) for row in frame.to_dict("records")]


def test_pandas_reads_rows_that_are_the_samples_bit_for_bit(stores: dict[str, Path], tmp_path: Path) -> None:
    done = export(Request(stores["pyskl"], "parquet", out=tmp_path / "a.parquet"))
    store = open_store(stores["pyskl"])
    assert all(same(one, other) for one, other in zip(table_of(done.out), store, strict=True))


def test_floats_are_split_by_bytes_and_packed(stores: dict[str, Path], tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    done = export(Request(stores["pyskl"], "parquet", out=tmp_path / "a.parquet"))
    group = parquet.ParquetFile(done.out).metadata.row_group(0)
    columns = {group.column(at).path_in_schema: group.column(at) for at in range(group.num_columns)}
    assert "BYTE_STREAM_SPLIT" in columns["keypoints.list.element"].encodings
    assert {column.compression for column in columns.values()} == {"ZSTD"}


def test_duckdb_counts_the_samples_of_a_class(stores: dict[str, Path], tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="DuckDB is not installed")
    done = export(Request(stores["pyskl"], "parquet", out=tmp_path / "a.parquet"))
    found = duckdb.sql(f"select label, count(*), sum(len(keypoints)) from '{done.out}' group by label order by label")
    store = open_store(stores["pyskl"])
    counts = store.table.groupby("label").size()
    values = store.table.assign(values=store.table.n_poses * 34).groupby("label")["values"].sum()
    expected = [(label, counts[label], values[label]) for label in sorted(counts.index)]
    assert found.fetchall() == expected


def test_a_folder_for_the_hub_holds_every_sample_once_and_names_its_parts(
    stores: dict[str, Path], tmp_path: Path
) -> None:
    done = export(Request(stores["pyskl"], "hf", out=tmp_path / "hub"))
    files = sorted((done.out / "data").iterdir())
    ids = [name for file in files for name in pd.read_parquet(file, columns=["sample_id"]).sample_id]
    assert sorted(ids) == list(open_store(stores["pyskl"]).ids)
    readme = (done.out / "README.md").read_text()
    assert readme.startswith("---\npretty_name: ")
    for words in ('- config_name: "xsub"\n  default: true', '- config_name: "xview"', '- config_name: "all"'):
        assert words in readme
    assert "Made up, no recording" in readme
    described = json.loads((done.out / "croissant.json").read_text())
    assert {one["contentUrl"] for one in described["distribution"][:-1]} == {f"data/{file.name}" for file in files}
    assert described["distribution"][-1]["includes"] == "data/*.parquet"
    assert "containedIn" not in described["distribution"][-1]  # a reader would look for files within the files


def test_hugging_face_opens_the_folder(stores: dict[str, Path], tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    done = export(Request(stores["pyskl"], "hf", out=tmp_path / "hub"))
    found = datasets.load_dataset(str(done.out), cache_dir=str(tmp_path / "cache"))
    assert {part: len(rows) for part, rows in found.items()} == {"train": 8, "test": 8}


def test_croissant_validates(stores: dict[str, Path], tmp_path: Path) -> None:
    croissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed")
    done = export(Request(stores["pyskl"], "hf", out=tmp_path / "hub"))
    found = croissant.Dataset(jsonld=str(done.out / "croissant.json"))
    assert not found.metadata.ctx.issues.errors
    ids = [row["samples/sample_id"].decode() for row in found.records("samples")]
    assert sorted(ids) == list(open_store(stores["pyskl"]).ids)


def test_every_form_is_there_whole_or_not_at_all(stores: dict[str, Path], tmp_path: Path) -> None:
    for form in FORMS:
        done = export(Request(stores["pyskl"], form, out=tmp_path / form))
        with pytest.raises(UsageError, match="Replace it with --overwrite always"):
            export(Request(stores["pyskl"], form, out=done.out))
        assert export(Request(stores["pyskl"], form, out=done.out, overwrite=True)).bytes == done.bytes
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FORMS)


def test_wrong_names_are_refused_with_the_nearest(stores: dict[str, Path], tmp_path: Path) -> None:
    for asked, words in (
        (Request(stores["pyskl"], "pyskel"), "Did you mean 'pyskl'"),
        (Request(stores["pyskl"], "ctrgcn", out=tmp_path / "x", protocol="xsubb"), "Did you mean 'xsub'"),
    ):
        with pytest.raises(UsageError, match=words):
            export(asked)
    assert not list(tmp_path.iterdir())
