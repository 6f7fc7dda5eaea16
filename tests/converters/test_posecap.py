import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from skelbench import registry
from skelbench.card import load_card
from skelbench.convert import Request, convert
from skelbench.errors import RawFormatError, StoreError
from skelbench.formats import numpy_files
from skelbench.raw import Feature, RawItem
from skelbench.store.features import feature_folder, read_feature, write_feature
from skelbench.store.reader import open_store
from skelbench.synthetic.raw import InMemory, write_raw

PLUGIN = registry.find("converters", "posecap")
MODULE, CARD = registry.load(PLUGIN), load_card(PLUGIN.toml)
CLIP = b'{"frames": [[], []]}'
LIST = "posecap_train_label.json"


def plan(files: dict[str, bytes]) -> list[RawItem]:
    return list(MODULE.plan(InMemory(files), CARD))


def features(files: dict[str, bytes]) -> dict[str, Feature]:
    return {feature.name: feature for feature in MODULE.features(InMemory(files), CARD)}


def vectors(**arrays: Any) -> bytes:
    return numpy_files.render_npz(arrays)


def test_a_clip_without_a_label_is_kept_unlabelled() -> None:
    files = {"posecap_train/a.b-1.json": CLIP}
    (item,) = plan(files)
    sample = MODULE.read(InMemory(files), item, CARD)
    assert sample.targets == {"label": -1}
    assert sample.meta == {"part": "train", "take": "a.b-1"}


def test_rejects_say_what_is_wrong() -> None:
    assert "neither in a folder" in str(plan({"a.json": CLIP})[0].reject)
    assert "is not of letters" in str(plan({"posecap_val/a b.json": CLIP})[0].reject)
    listed = {LIST: json.dumps({"a": {"label_index": 811}, "b": {"label_index": 0}}).encode()}
    found = {item.sample_id: item.reject for item in plan({"posecap_train/a.json": CLIP, **listed})}
    assert found["a"] == "label 811, expected 0 to 810"
    assert "there is no file of it" in str(found["b"])


def test_captions_of_all_parts_are_one_table() -> None:
    files = {
        f"x/posecap_{part}_captions.json": json.dumps({part: {"text": f"é {part}"}}).encode()
        for part in ("train", "val")
    }
    found = features(files)["captions"]
    assert dict(zip(found.ids, found.values, strict=True)) == {"train": "é train", "val": "é val"}
    assert features({}) == {}


def test_vectors_keep_their_names() -> None:
    values = np.arange(6).reshape(2, 3).astype(np.float64)
    found = features({"embeddings/clip-b32.npz": vectors(ids=np.array(["b", "a"]), values=values)})["clip-b32"]
    assert found.ids == ("b", "a")
    assert isinstance(found.values, np.ndarray)
    assert (found.values == values).all()


@pytest.mark.parametrize(
    ("path", "content", "words"),
    [
        ("posecap_val_captions.json", b"[]", "holds a list"),
        ("posecap_val_captions.json", b'{"a": "text"}', "'a': no 'text'"),
        ("posecap_val_captions.json", b'{"a": {"text": 5}}', "'a': no 'text'"),
        ("posecap_val_captions.json", b'{"a": {"text": "\\ud800"}}', "half a character"),
        ("embeddings/x.npz", b"PK", "embeddings/x.npz"),
        ("embeddings/x.npz", vectors(ids=np.array(["a"])), "expected the arrays 'ids'"),
        ("embeddings/x.npz", vectors(ids=np.array([1]), values=np.ones((1, 2))), "expected the arrays 'ids'"),
        ("embeddings/x.npz", vectors(ids=np.array(["a"]), values=np.ones((2, 2))), "1 ids for values of"),
        ("embeddings/x.npz", vectors(ids=np.array(["a", "a"]), values=np.ones((2, 2))), "none twice"),
        ("embeddings/x.npz", vectors(ids=np.array(["a"]), values=np.ones((1, 2), int)), "int64"),
        ("embeddings/x.npz", vectors(ids=np.array(["a"]), values=np.full((1, 2), np.inf)), "infinite"),
    ],
)
def test_damaged_texts_and_vectors_are_refused_by_name(path: str, content: bytes, words: str) -> None:
    with pytest.raises(RawFormatError, match=words):
        features({path: content})


def test_feature_tables_stand_beside_the_store_with_their_own_digest(tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "data" / "posecap"
    write_raw("posecap", raw, samples=8, seed=0, archive=False, defects=True)
    convert(Request("posecap", (raw,), out))
    store, folder = open_store(out), feature_folder(out)
    assert folder == tmp_path / "data" / "features" / "posecap"
    assert sorted(path.name for path in folder.iterdir()) == ["captions.parquet", "made.parquet"]
    captions, made = (read_feature(folder / f"{name}.parquet") for name in ("captions", "made"))
    assert captions.ids == made.ids == tuple(store.ids)
    assert captions.values[0] == f"A person performs the action {store[0].targets['label']}."
    assert isinstance(made.values, np.ndarray)
    assert made.values.shape == (len(store), 8)
    assert not (out / "captions.parquet").exists()


def test_rows_come_in_the_order_of_the_store_and_only_of_its_samples(tmp_path: Path) -> None:
    path = tmp_path / "features" / "set" / "f.parquet"
    feature = Feature("f", ("c", "a", "x"), np.array([[1, np.nan], [2, 5], [3, 6]], np.float32), "somebody")
    assert write_feature(path, feature, ["a", "b", "c"], "0" * 64) == 2
    found = read_feature(path)
    assert found.ids == ("a", "c")
    assert np.array_equal(found.values, np.array([[2, 5], [1, np.nan]], np.float32), equal_nan=True)
    before = path.read_bytes()
    write_feature(path, feature, ["a", "b", "c"], "0" * 64)
    assert path.read_bytes() == before
    assert [other.name for other in path.parent.iterdir()] == ["f.parquet"]


@pytest.mark.parametrize(
    ("feature", "words"),
    [
        (Feature("a/b", (), (), ""), "letters, digits"),
        (Feature("sample_id", (), (), ""), "letters, digits"),
        (Feature("f", ("a", "a"), ("x", "y"), ""), "2 ids, 1 of them different"),
        (Feature("f", ("a",), ("x", "y"), ""), "for 2 values"),
        (Feature("f", ("a",), np.ones((1, 0), np.float32), ""), r"shape \(1, 0\)"),
    ],
)
def test_features_that_do_not_fit_are_refused(tmp_path: Path, feature: Feature, words: str) -> None:
    with pytest.raises(StoreError, match=words):
        write_feature(tmp_path / "f.parquet", feature, ["a"], "0" * 64)


def test_a_damaged_feature_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    with pytest.raises(StoreError, match="no feature table"):
        read_feature(path)
    path.write_bytes(b"PAR1 nothing")
    with pytest.raises(StoreError, match="no feature table"):
        read_feature(path)
    write_feature(path, Feature("f", ("a",), ("text",), ""), ["a"], "0" * 64)

    table = pq.read_table(path)
    pq.write_table(table.set_column(1, "f", [["other"]]).replace_schema_metadata(table.schema.metadata), path)
    with pytest.raises(StoreError, match="was changed after it was written"):
        read_feature(path)
