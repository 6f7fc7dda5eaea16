"""The whole way by the command line, on made-up data."""

import json
import shutil
from pathlib import Path

import pytest

from skelbench.cli import cli

SAMPLES = 72


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with raw/ and data/ of made-up NW-UCLA recordings, made once by the command line."""
    folder = tmp_path_factory.mktemp("made")
    for line in (
        f"synth nw_ucla --samples {SAMPLES} --zip --out {folder}/raw/nw_ucla",
        f"convert nw_ucla --raw {folder}/raw/nw_ucla/nw_ucla.zip --out {folder}/data/nw_ucla",
    ):
        cli.main(line.split(), standalone_mode=False)
    return folder


@pytest.fixture
def twin(made) -> Path:
    """The store at data/nw_ucla of the test's own folder, its raw files at raw/nw_ucla."""
    shutil.copytree(made, ".", dirs_exist_ok=True)
    return Path("data/nw_ucla")


def test_a_stranger_gets_from_raw_files_to_a_board(skelbench, twin) -> None:
    assert skelbench("verify", twin).out.startswith("data/nw_ucla: whole")
    said = skelbench("run", "--dataset", "nw_ucla", "--method", "centroid", "--seeds", 3)
    assert said.code == 0
    assert said.out.count("done: top1") == 3
    said = skelbench("leaderboard")
    assert said.out.split() == ["leaderboards/README.md", "leaderboards/synthetic/nw_ucla-xview.md"]
    text = Path("leaderboards/synthetic/nw_ucla-xview.md").read_text()
    assert "The recordings are made up" in text
    assert "| centroid |" in text
    assert skelbench("leaderboard", "--check").code == 0


def test_json_has_its_documented_keys(skelbench, twin) -> None:
    said = json.loads(skelbench("convert", "nw_ucla", "--raw", "raw/nw_ucla", "--out", "data/two", "--json").out)
    assert said.keys() >= {"store", "samples", "rejects", "fingerprint", "official", "seconds"}
    info = json.loads(skelbench("info", "data/two", "--json").out)
    assert info.keys() >= {"samples", "rejects", "classes", "fingerprint"}
    assert (info["samples"], info["fingerprint"]) == (said["samples"], said["fingerprint"])
    assert {one["level"] for one in json.loads(skelbench("verify", "data/two", "--json").out)} == {"remark"}
    network = json.loads(skelbench("info", "lite", "--dataset", "nw_ucla", "--json").out)
    assert network["parameters"] == 78914
    assert network["gflops"] > 0
    runs = json.loads(skelbench("run", "--dataset", "nw_ucla", "--method", "majority", "--json").out)
    assert runs[0].keys() >= {"record", "state", "metrics"}
    assert runs[0]["metrics"]["top1"]["n"] > 0
    assert all("name" in row for row in json.loads(skelbench("list", "runs", "--json").out))
    assert "leaderboards/README.md" in json.loads(skelbench("leaderboard", "--json").out)


def test_a_command_given_twice_says_that_it_is_done(skelbench, twin) -> None:
    assert "done already" in skelbench("convert", "nw_ucla", "--raw", "raw/nw_ucla/nw_ucla.zip").out
    first = skelbench("run", "--dataset", "nw_ucla", "--method", "majority")
    again = skelbench("run", "--dataset", "nw_ucla", "--method", "majority")
    assert "done already" not in first.out
    assert "identity-majority-joint seed 0: done already: top1" in again.out


def test_a_record_is_repeated_as_it_is(skelbench, twin) -> None:
    said = json.loads(skelbench("run", "--dataset", "nw_ucla", "--method", "centroid", "--json").out)
    again = json.loads(skelbench("run", "--from", said[0]["record"], "--overwrite", "always", "--json").out)
    assert again[0]["metrics"] == said[0]["metrics"]
    said = skelbench("run", "--from", said[0]["record"], "--model", "lite")
    assert said.code == 2
    assert "leave --model out" in said.err


def test_a_dry_run_prints_every_value_with_layer_and_source_and_leaves_nothing(skelbench, twin) -> None:
    before = sorted(Path().rglob("*"))
    said = skelbench("run", "--dataset", "nw_ucla", "--dry-run", "-o", "optim.lr=0.05")
    assert said.code == 0
    row = next(line for line in said.out.splitlines() if line.startswith("optim.lr "))
    assert row.split()[1:3] == ["0.05", "-o"]
    assert "78,914 parameters" in said.out
    assert sorted(Path().rglob("*")) == before


def test_a_dry_run_of_a_conversion_writes_nothing(skelbench, twin) -> None:
    said = skelbench("convert", "nw_ucla", "--raw", "raw/nw_ucla", "--out", "data/other", "--dry-run")
    assert said.code == 0
    assert f"{SAMPLES} items" in said.out
    assert not Path("data/other").exists()


def test_a_changed_byte_is_a_finding_and_exit_code_1(skelbench, twin) -> None:
    file = twin / "poses-000.h5"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    said = skelbench("verify", "nw_ucla")
    assert said.code == 1
    assert "poses-000.h5" in said.out


def test_a_board_that_differs_from_its_records_is_exit_code_1(skelbench, twin) -> None:
    skelbench("run", "--dataset", "nw_ucla", "--method", "majority")
    skelbench("leaderboard")
    Path("leaderboards/README.md").write_text("<!-- Made by hand -->")
    said = skelbench("leaderboard", "--check")
    assert said.code == 1
    assert "README.md is not what the records say" in said.out


def test_a_model_in_a_file_of_its_own_trains(skelbench, twin) -> None:
    Path("mynet.py").write_text(
        "from torch import nn\n\n\nclass Net(nn.Module):\n"
        "    def __init__(self, spec, *, width: int = 8) -> None:\n"
        "        super().__init__()\n        self.out_channels = width\n"
        "        self.conv = nn.Conv2d(spec.channels, width, 1)\n\n"
        "    def forward(self, x, slot):\n        return self.conv(x).relu()\n"
    )
    said = skelbench(
        "run", "--dataset", "nw_ucla", "--model", "./mynet.py", "--recipe", "small", "-o", "optim.epochs=2"
    )
    assert said.code == 0
    assert "mynet-supervised-joint seed 0: done" in said.out
    wrong = skelbench("run", "--dataset", "nw_ucla", "--model", "./mynet.py", "-o", "model.widht=9")
    assert wrong.code == 2
    assert "Did you mean 'model.width'" in wrong.err


def test_a_model_that_prints_leaves_stdout_to_the_document(skelbench, twin) -> None:
    Path("loud.py").write_text(
        "from torch import nn\n\nprint('imported')\n\n\nclass Net(nn.Module):\n    def __init__(self, spec) -> None:\n"
        "        super().__init__()\n        self.out_channels = spec.channels\n\n"
        "    def forward(self, x, slot):\n        print('at work')\n        return x\n"
    )
    asked = ("run", "--dataset", "nw_ucla", "--model", "./loud.py", "--recipe", "small", "-o", "optim.epochs=1")
    said = skelbench(*asked, "--json")
    assert json.loads(said.out)[0]["state"] == "done"
    assert "imported" in said.err
    assert "at work" in said.err


def test_a_run_stopped_before_it_began_says_so(skelbench, twin, monkeypatch) -> None:
    def stop(*given) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("skelbench.run.plan_runs", stop)
    said = skelbench("run", "--dataset", "nw_ucla")
    assert said.code == 130
    assert "Stopped. Give the same command again to go on" in said.err


WRONG = [
    (("list", "datasetz"), "Did you mean 'datasets'"),
    (("info", "litte"), "Did you mean 'lite'"),
    (("convert", "ntu6", "--raw", "x"), "Did you mean 'ntu60'"),
    (("convert", "ntu60", "--raw", "nowhere.zip"), "nowhere.zip"),
    (("convert", "ntu60"), "Missing option '--raw'"),
    (("convert", "ntu60", "--raw", "data/nw_ucla"), "Nothing to convert"),
    (("convert", "nw_ucla", "--raw", "raw/nw_ucla", "--limit", "9"), "--overwrite always"),
    (("convert", "nw_ucla", "--raw", "raw/nw_ucla", "--card", "none.toml", "--out", "data/x"), "none.toml"),
    (("convert", "nw_ucla", "--raw", "raw/nw_ucla", "--workers", "0"), "--workers"),
    (("synth", "ntu600"), "Did you mean 'ntu60'"),
    (("synth", "nw_ucla"), "not empty"),
    (("synth", "nw_ucla", "--samples", "0"), "--samples"),
    (("verify", "nowhere"), "No store 'nowhere'"),
    (("run",), "--dataset"),
    (("run", "--dataset", "nw_ucl"), "Did you mean 'nw_ucla'"),
    (("run", "--dataset", "nw_ucla", "--protocol", "xveiw"), "Did you mean 'xview'"),
    (("run", "--dataset", "nw_ucla", "--model", "lit"), "Did you mean 'lite'"),
    (("run", "--dataset", "nw_ucla", "--model", "./none.py"), "No file ./none.py"),
    (("run", "--dataset", "nw_ucla", "--method", "posestat"), "Did you mean 'posestats'"),
    (("run", "--dataset", "nw_ucla", "--streams", "bones"), "Did you mean 'bone'"),
    (("run", "--dataset", "nw_ucla", "--recipe", "smal"), "Did you mean 'small'"),
    (("run", "--dataset", "nw_ucla", "-o", "optim.lrr=1"), "Did you mean 'optim.lr'"),
    (("run", "--dataset", "nw_ucla", "-o", "optim.lr"), "expected key=value"),
    (("run", "--dataset", "nw_ucla", "-o", "optim.lr=fast"), "optim.lr"),
    (("run", "--dataset", "nw_ucla", "-o", 'data.prepare=["by-id", "centre:1"]'), "No step|no step"),
    (("run", "--dataset", "nw_ucla", "--device", "gpu"), "Known: auto, cpu, cuda"),
    (("run", "--dataset", "nw_ucla", "--precision", "16"), "Known: 32-true"),
    (("run", "--dataset", "nw_ucla", "--seeds", "2", "--seed", "1"), "give one of them"),
    (("run", "--from", "none.json"), "No file none.json; expected a record.json"),
    (("leaderboard", "--check", "--publish"), "give one of them"),
    (("leaderboard",), "record"),
    (("demo", "--samples", "3"), "--samples"),
]


@pytest.mark.parametrize(
    ("arguments", "words"), WRONG, ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_wrong_input_is_exit_code_2_and_says_what_to_do(skelbench, twin, arguments, words) -> None:
    said = skelbench(*arguments)
    assert said.code == 2, said
    assert any(word in said.err for word in words.split("|")), said.err
    assert "Traceback" not in said.err
