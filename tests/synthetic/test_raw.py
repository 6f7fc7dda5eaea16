import hashlib
import json
import zipfile
from pathlib import Path

import pytest

from skelbench import registry
from skelbench.card import load_card
from skelbench.errors import RawFormatError, UsageError
from skelbench.sources.source import open_source
from skelbench.synthetic.cast import sharing
from skelbench.synthetic.raw import InMemory, Written, twins, write_raw


def made(
    out: Path, name: str = "ntu60", *, samples: int = 8, seed: int = 0, archive: bool = False, defects: bool = False
) -> Written:
    return write_raw(name, out, samples=samples, seed=seed, archive=archive, defects=defects)


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def outcome(name: str, raw: Path) -> tuple[int, int]:
    """How many items of a source can be read, and how many are refused, such as those whose id was there before."""
    plugin = registry.find("converters", name)
    module, card = registry.load(plugin), load_card(plugin.toml)
    source, bad = open_source([raw], max_file=1 << 26), 0
    found: set[str] = set()
    for item in module.plan(source, card):
        try:
            if item.reject or item.sample_id in found:
                raise RawFormatError(item.reject or "twice")
            module.read(source, item, card)
            found.add(item.sample_id)
        except RawFormatError:
            bad += 1
    return len(found), bad


def shared_by(name: str) -> int:
    """How many samples share a raw file."""
    card = load_card(registry.find("converters", name).toml)
    assert card.synth
    return sharing(card.synth)


@pytest.mark.parametrize("name", registry.names("converters"))
def test_a_packed_twin_reads_like_its_original(tmp_path: Path, name: str) -> None:
    written = made(tmp_path / "twin", name, archive=True)
    assert (written.samples, written.defects) == (8 * shared_by(name), {})
    assert outcome(name, tmp_path / "twin") == (8 * shared_by(name), 0)


@pytest.mark.parametrize("name", registry.names("converters"))
def test_defects_are_refused_and_the_rest_is_whole(tmp_path: Path, name: str) -> None:
    written = made(tmp_path / "twin", name, defects=True)
    assert written.defects.keys() >= {"cut", "empty", "noise", "bad name"}
    good, bad = outcome(name, tmp_path / "twin")
    assert good == 8 * shared_by(name)
    assert 3 <= bad <= sum(written.defects.values()) * shared_by(name)
    assert written.files == sum(path.is_file() for path in (tmp_path / "twin").rglob("*")) - 1  # the marker


@pytest.mark.parametrize("archive", [False, True])
def test_the_same_arguments_give_the_same_bytes(tmp_path: Path, archive: bool) -> None:
    for at, seed in enumerate((1, 1, 2)):
        made(tmp_path / str(at), seed=seed, archive=archive, defects=True)
    assert digests(tmp_path / "0") == digests(tmp_path / "1")
    assert digests(tmp_path / "0") != digests(tmp_path / "2")


def test_a_marker_says_that_nobody_was_recorded(tmp_path: Path) -> None:
    made(tmp_path / "folder", seed=3)
    made(tmp_path / "zip", seed=3, archive=True)
    text = (tmp_path / "folder" / "SYNTHETIC.json").read_bytes()
    found = json.loads(text)
    assert found["generator"].startswith("skelbench ")
    assert (found["set"], found["seed"], found["samples"]) == ("ntu60", 3, 8)
    assert [path.name for path in (tmp_path / "zip").iterdir()] == ["ntu60.zip"]
    with zipfile.ZipFile(tmp_path / "zip" / "ntu60.zip") as packed:
        assert packed.read("SYNTHETIC.json") == text


def test_names_on_the_owners_list_are_left_out() -> None:
    plugin = registry.find("converters", "ntu60")
    module, card = registry.load(plugin), load_card(plugin.toml)
    files = {path: data for _, found in twins(module, card, samples=150, seed=3) for path, data in found.items()}
    assert len(files) == 150  # the enumeration has a listed name among the first 150 of this seed
    assert all(item.reject is None for item in module.plan(InMemory(files), card))


def test_an_empty_folder_is_filled_and_any_other_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    made(tmp_path / "out", samples=1)
    before = digests(tmp_path)
    with pytest.raises(UsageError, match="out is not empty"):
        made(tmp_path / "out", samples=1)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file is not empty"):
        made(tmp_path / "file", samples=1)
    assert before.items() <= digests(tmp_path).items()


def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("skelbench.synthetic.raw._Sink.add", full)
    with pytest.raises(OSError, match="No space left"):
        made(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "samples", "words"),
    [
        ("ntu6", 8, "No 'ntu6' in skelbench.converters. Did you mean 'ntu60'"),
        ("ntu60", 0, "0 samples were asked for, expected 1 or more"),
        ("nw_ucla", 4000, "its names tell 3300 apart"),
    ],
)
def test_wrong_wishes_are_refused(tmp_path: Path, name: str, samples: int, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        made(tmp_path / "out", name, samples=samples)
    assert list(tmp_path.iterdir()) == []


def test_names_run_out_with_a_clear_error() -> None:
    plugin = registry.find("converters", "penn_action")
    module, card = registry.load(plugin), load_card(plugin.toml)
    assert card.synth
    card = card.model_copy(update={"synth": card.synth.model_copy(update={"sample_id": "x{index}"})})
    with pytest.raises(UsageError, match="Only 0 of 2 samples of 'penn_action' have a name that its owner uses"):
        list(twins(module, card, samples=2, seed=0))
