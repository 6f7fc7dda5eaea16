import json
import math
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelbench import record
from skelbench.errors import RunError
from skelbench.metrics import Metric
from skelbench.record import MAX_BYTES, Record, Value, read_record, record_text, schema_text, write_record

REPOSITORY = Path(__file__).parents[2]


def table(**changes: Any) -> dict[str, Any]:
    """The fields of a small record."""
    stage = {
        **{"dataset": "nw_ucla", "protocol": "xview", "part": "train", "target": "label", "labels": None},
        **{"model": "lite", "method": "supervised", "streams": ["joint"]},
        "values": {"optim.lr": {"value": 0.1, "layer": "-o", "source": "ours"}},
    }
    trail = {
        **{"dataset": "nw_ucla", "fingerprint": "b" * 64, "pose_source": "Kinect v1", "synthetic": None},
        **{"raw_sha256": "c" * 64, "converter": "nw_ucla", "limit": None},
    }
    split = {"protocol": "xview", "digest": "d" * 64, "train": 1020, "test": 464, "left_out": 0, "official": []}
    return {
        **{"schema_version": 1, "state": "done", "key": "a" * 64, "seed": 0, "fold": None, "dataset": "nw_ucla"},
        **{"protocol": "xview", "evaluation": "supervised", "labels": None, "model": "lite", "method": "supervised"},
        **{"streams": ["joint"], "recipe": "default", "stages": [stage], "data": [trail], "split": split},
        **{"evaluated": "e" * 64, "classes": ["drop", "sit"], "primary": "top1", "chance": 0.5, "parameters": 80_000},
        "metrics": {"top1": {"value": 0.9131, "n": 464}, "confusion": {"n": 464, "per_class": [[1, 2], [3, 4]]}},
        **{"gflops": 0.2, "epochs": 80, "seconds": {"train": 1.5, "test": 0.1, "prepare": 0.0}, "device": "cpu"},
        **{"environment": {"python": "3.11"}, "code_version": "0.1.0", "command": "skelbench run --dataset nw_ucla"},
        **{"predictions_sha256": None, "checkpoint_sha256": None, "messages": []},
        **changes,
    }


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "record.json"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_a_record_reads_back_as_it_was(tmp_path: Path) -> None:
    one = Record.model_validate(table())
    write_record(tmp_path / "new" / "record.json", one)
    assert read_record(tmp_path / "new" / "record.json") == one
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["record.json"]


@settings(max_examples=100, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_kept_to_the_last_bit(number: float) -> None:
    one = Record.model_validate(table(chance=number, metrics={"top1": {"value": number, "n": 1}}))
    found = json.loads(record_text(one))
    for value in (found["chance"], found["metrics"]["top1"]["value"]):
        assert math.copysign(1, value) == math.copysign(1, number)
        assert value == number


def test_the_text_does_not_depend_on_the_order_of_settings() -> None:
    stage = table()["stages"][0]
    values = {f"optim.{name}": {"value": name, "layer": "-o", "source": "ours"} for name in "abc"}
    stages = [[{**stage, "values": dict(order)}] for order in (values.items(), reversed(values.items()))]
    one, other = (record_text(Record.model_validate(table(stages=stage))) for stage in stages)
    assert one == other


def test_lists_of_numbers_take_one_line() -> None:
    assert "\n   [1, 2],\n" in record_text(Record.model_validate(table())).replace("    [1", "   [1")


def test_a_write_that_fails_leaves_the_old_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "record.json"
    write_record(path, Record.model_validate(table()))
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(record.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_record(path, Record.model_validate(table(seed=1)))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_kill_left_half_written_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    (tmp_path / ".record.json.draft").write_bytes(b"half")
    write_record(path, Record.model_validate(table()))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_setting_that_is_not_finite_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        Value(value=number, layer="-o", source="ours")


def test_a_metric_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        Metric(value=math.nan, n=3)


def test_the_schema_in_docs_is_that_of_the_model() -> None:
    path = REPOSITORY / "docs" / "record.schema.json"
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found == json.loads(schema_text()), "write schema_text() of skelbench.record into it"


def test_a_record_fits_the_schema_and_a_wrong_one_does_not() -> None:
    schema = json.loads(schema_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(record_text(Record.model_validate(table()))), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(table(state="perhaps"), schema)


def test_every_field_of_the_schema_is_described() -> None:
    schema = json.loads(schema_text())
    for model in [schema, *schema["$defs"].values()]:
        for name, field in model.get("properties", {}).items():
            assert field.get("description"), name


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe{", "cannot be read"),
        (b"{" * 100_000, "not JSON"),
        (b"[" * 100_000 + b"]" * 100_000, "not JSON"),
        (b"[]", "no whole number 'schema_version'"),
        (b"{}", "no whole number 'schema_version'"),
        (b'{"schema_version": true}', "no whole number 'schema_version'"),
        (b'{"schema_version": 2}', "schema_version 2, this skelbench reads 1. Update skelbench"),
        (b'{"schema_version": 0}', "schema_version 0, this skelbench reads 1. Run its command again"),
        (b'{"schema_version": 1, "schema_version": 1}', "a key occurs twice"),
        (b'{"schema_version": 1, "chance": NaN}', "NaN is not a number of JSON"),
        (b'{"schema_version": 1, "chance": 1e400}', "1e400 is not finite"),
        (b'{"schema_version": 1' + b"0" * 5000 + b"}", "not JSON"),
        (b'{"schema_version": 1}', "the key '.*' is missing"),
    ],
)
def test_a_file_that_is_no_record_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(RunError, match=message) as raised:
        read_record(path)
    assert str(path) in str(raised.value)
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sead": 1}, "unknown key 'sead'. Did you mean 'seed'"),
        ({"seed": "1"}, "seed: .* found '1'"),
        ({"seed": -1}, "seed: "),
        ({"key": "../../etc"}, "key: "),
        ({"key": "A" * 64}, "key: "),
        ({"labels": 5}, "labels: "),
        ({"streams": []}, "streams: "),
        ({"state": "perhaps"}, "state: .*'diverged'"),
        ({"model": "\ud800"}, "model|it: "),
        ({"metrics": {"top1": {"value": 0.5, "n": 1, "m": 2}}}, "unknown key 'metrics.top1.m'"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(RunError, match=message):
        read_record(written(tmp_path, json.dumps(table(**change))))


def test_a_huge_file_is_refused_without_reading_it_whole(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    with path.open("wb") as file:
        file.truncate(100 << 30)  # a hole: it takes no space
    with pytest.raises(RunError, match=f"more than {MAX_BYTES >> 20} MiB"):
        read_record(path)


@pytest.mark.parametrize("name", ["", "absent.json"])
def test_a_folder_and_a_missing_file_are_no_record(tmp_path: Path, name: str) -> None:
    with pytest.raises(RunError, match="no such file"):
        read_record(tmp_path / name)


def test_synthetic_data_anywhere_makes_the_record_synthetic() -> None:
    real = table()["data"][0]
    made = {**real, "synthetic": {"generator": "skelbench", "seed": 0}}
    assert not Record.model_validate(table()).synthetic
    assert Record.model_validate(table(data=[real, made])).synthetic
