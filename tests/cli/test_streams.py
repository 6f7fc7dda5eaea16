"""What a verb meets on the other side of its streams: pipes that close, encodings that lack letters."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CALL = "import sys; from skelbench.cli import main; sys.argv[0] = 'skelbench'; main()"


def ended(*arguments: str, **changes: str) -> subprocess.CompletedProcess[bytes]:
    """A verb in a process of its own."""
    command = [sys.executable, "-c", CALL, *arguments]
    return subprocess.run(command, capture_output=True, env={**os.environ, **changes}, check=False)


def test_a_reader_that_has_had_enough_is_no_error() -> None:
    shell = 'set -o pipefail; "$0" -c "$1" info aihub_fitness | head -c 10'
    told = subprocess.run(["bash", "-c", shell, sys.executable, CALL], capture_output=True, check=False)
    assert told.returncode in (0, 141)  # 141 where the system ends it by SIGPIPE
    assert told.stderr == b""
    assert told.stdout == b"name      "


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_is_json_in_every_encoding(encoding: str) -> None:
    said = ended("info", "aihub_fitness", "--json", PYTHONIOENCODING=encoding)
    assert (said.returncode, said.stderr) == (0, b"")
    assert "척추의 중립" in str(json.loads(said.stdout.decode(encoding)))


def test_what_the_encoding_lacks_is_escaped() -> None:
    said = ended("info", "aihub_fitness", PYTHONIOENCODING="latin-1")
    assert (said.returncode, said.stderr) == (0, b"")
    assert "\\ucc99\\ucd94" in said.stdout.decode("latin-1")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_said_in_words() -> None:
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-c", CALL, "list", "models"]
        said = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    assert (said.returncode, said.stderr) == (
        1,
        b"error: no space left on the device. Free some and repeat the command.\n",
    )


def test_names_that_the_system_cannot_write_are_one_clear_error(tmp_path) -> None:
    raw = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    said = ended("synth", "aihub_fitness_3d", "--samples", "1", "--out", str(tmp_path / "raw"), **raw)
    assert said.returncode == 1
    assert b"not to be written in ascii, the encoding of this environment. Set LC_ALL=C.UTF-8" in said.stderr
    assert not (tmp_path / "raw").exists()
