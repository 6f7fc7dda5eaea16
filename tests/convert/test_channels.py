"""`--channels` keeps some channels of the raw data; `refine` completes a card from them."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from skelbench.cli import main
from skelbench.convert import Request, convert
from skelbench.errors import UsageError
from skelbench.store.reader import open_store
from skelbench.store.verify import verify_store
from skelbench.synthetic.raw import write_raw


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw") / "smarthome"
    write_raw("smarthome", folder, samples=12, seed=3, archive=False, defects=False)
    return folder


def made(raw: Path, out: Path, channels: tuple[str, ...], workers: int = 1) -> str:
    convert(Request("smarthome", (raw,), out, channels=channels, workers=workers))
    return open_store(out).info.fingerprint


def test_a_store_of_some_channels_holds_these_and_nothing_else_less(raw: Path, tmp_path: Path) -> None:
    all_of_it, plane = made(raw, tmp_path / "all", ()), made(raw, tmp_path / "plane", ("v", "u"))
    assert all_of_it != plane
    whole, store = open_store(tmp_path / "all"), open_store(tmp_path / "plane")
    assert store.card.channels == ("u", "v")
    assert store.card.units == {"u": "pixel", "v": "pixel"}
    for one, other in zip(whole, store, strict=True):
        assert np.array_equal(one.keypoints[..., :2], other.keypoints, equal_nan=True)
        assert (one.meta, one.targets) == (other.meta, other.targets)
    assert not verify_store(tmp_path / "plane")


def test_workers_keep_the_same_channels(raw: Path, tmp_path: Path) -> None:
    one = made(raw, tmp_path / "one", ("x", "y", "z"))
    assert made(raw, tmp_path / "two", ("x", "y", "z"), workers=2) == one
    assert open_store(tmp_path / "two")[0].keypoints.shape[2] == 3


def test_naming_all_channels_is_naming_none(raw: Path, tmp_path: Path) -> None:
    assert made(raw, tmp_path / "one", ()) == made(raw, tmp_path / "two", ("u", "v", "x", "y", "z"))


def test_the_channels_are_part_of_the_request(raw: Path, tmp_path: Path) -> None:
    made(raw, tmp_path / "one", ("u", "v"))
    with pytest.raises(UsageError, match="holds a store that is made from other raw data, card"):
        made(raw, tmp_path / "one", ())
    with pytest.raises(UsageError, match=r"--channels: no 'w' in 'smarthome'\. Known: u, v, x, y, z"):
        made(raw, tmp_path / "two", ("u", "w"))


def test_the_command_line_takes_a_list(
    raw: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        sys, "argv", ["skelbench", "convert", "smarthome", "--raw", str(raw), "--channels", "u, v", "--json"]
    )
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    assert open_store(Path(json.loads(capsys.readouterr().out)["store"])).card.channels == ("u", "v")
