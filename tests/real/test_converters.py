"""The converters on real recordings; of these only names, counts and digests stand here."""

import gzip
import io
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat

from skelbench import registry
from skelbench.card import Card, load_card
from skelbench.formats import kinect_text, matlab
from skelbench.sample import Sample, same
from skelbench.sources.source import open_source
from skelbench.store.check import sample_problem
from skelbench.synthetic.raw import InMemory

pytestmark = pytest.mark.real

WHERE = {"ntu60": "ntu/nturgb+d_skeletons", "nw_ucla": "nw_ucla/all_sqe.zip", "penn_action": "penn_action/labels.zip"}


def converted(name: str, folder: Path) -> Iterator[tuple[Sample, Card]]:
    """All samples of a set, each held against its card and every tenth against the law of `write`."""
    plugin = registry.find("converters", name)
    module, card = registry.load(plugin), load_card(plugin.toml)
    source = open_source([folder / WHERE[name]], max_file=int(card.max_file_mb * 1e6))
    for place, item in enumerate(module.plan(source, card)):
        assert item.reject is None, item
        sample = module.read(source, item, card)
        if place % 10 == 0:
            files = dict(module.write(sample, card))
            (again,) = module.plan(InMemory(files), card)
            assert same(module.read(InMemory(files), again, card), sample), item.sample_id
        assert not sample_problem(sample, card)
        yield sample, card


def plain(text: str) -> tuple[list[int], list[int], np.ndarray]:
    """A `.skeleton` file by `float` alone: frames, ids, coordinates."""
    lines = iter(text.splitlines())
    frames, ids, values = [], [], []
    for frame in range(int(next(lines))):
        for _ in range(int(next(lines))):
            ids.append(int(next(lines).split()[0]))
            frames.append(frame)
            values.append(
                [[np.float32(float(one)) for one in next(lines).split()[:3]] for _ in range(int(next(lines)))]
            )
    assert not any(line.strip() for line in lines)
    return frames, ids, np.array(values, np.float32)


def test_ntu_files_agree_with_float(real_data: Path) -> None:
    files = sorted((real_data / WHERE["ntu60"]).glob("*.skeleton"))
    assert files
    for path in files:
        for content in (path.read_bytes(), path.read_bytes().replace(b"\r\n", b"\n")):
            clip = kinect_text.parse(content, path.name)
            frames, ids, values = plain(content.decode("ascii"))
            assert clip.frame.tolist() == frames
            assert clip.person.tolist() == ids
            assert clip.keypoints.tobytes() == values.tobytes()


@pytest.mark.parametrize("name", ["ntu60", "ntu120"])
def test_ntu_lists_are_those_of_the_owners(real_data: Path, name: str) -> None:
    lists = {
        "ntu60": "ntu/statistics/samples_with_missing_skeletons.txt",
        "ntu120": "ntu120/statistics/NTU_RGBD120_samples_with_missing_skeletons.txt",
    }
    plugin = registry.find("converters", name)
    module, card = registry.load(plugin), load_card(plugin.toml)
    shipped = set(gzip.decompress(module.INCOMPLETE.read_bytes()).decode().split())
    listed = set((real_data / lists[name]).read_text().split())
    assert len(listed) == card.official.rejects
    assert listed <= shipped
    if name == "ntu120":
        assert listed == shipped


@pytest.mark.parametrize(
    ("name", "column", "train", "counts"),
    [
        ("ntu60", "subject", "xsub", (40091, 16487)),
        ("ntu60", "camera", "xview", (37646, 18932)),
        pytest.param("ntu120", "subject", "xsub", (63026, 50919), marks=pytest.mark.slow),
        pytest.param("ntu120", "setup", "xset", (54468, 59477), marks=pytest.mark.slow),
    ],
)
def test_ntu_protocols_have_the_official_counts(
    real_data: Path, name: str, column: str, train: str, counts: tuple[int, int]
) -> None:

    folder = {"ntu60": "ntu", "ntu120": "ntu120"}[name]
    names = (
        gzip.decompress((real_data / folder / "statistics" / "skes_available_name.txt.gz").read_bytes())
        .decode()
        .split()
    )
    plugin = registry.find("converters", name)
    module, card = registry.load(plugin), load_card(plugin.toml)
    items = list(module.plan(InMemory({f"{one}.skeleton": b"" for one in names}), card))
    assert not any(item.reject for item in items)
    assert card.official.planned == len(items) + (card.official.rejects or 0)
    rule = tomllib.loads(registry.find("splits", name).toml.read_text())["protocols"][train]
    found = Counter(item.meta[column] in rule["train"][column] for item in items)
    assert (found[True], found[False]) == counts == (rule["official"]["train"], rule["official"]["test"])


def test_ntu_samples_are_whole(real_data: Path) -> None:
    for sample, _ in converted("ntu60", real_data):
        assert len(sample.frame) >= sample.n_frames > 0


def test_nw_ucla_has_its_official_counts(real_data: Path) -> None:
    samples = [sample for sample, _ in converted("nw_ucla", real_data)]
    assert len(samples) == 1484
    assert Counter(sample.meta["camera"] for sample in samples) == {1: 516, 2: 504, 3: 464}
    labels = Counter(sample.targets["label"] for sample in samples)
    assert [labels[label] for label in range(10)] == [150, 152, 141, 173, 148, 149, 142, 142, 145, 142]
    assert [sample.sample_id for sample in samples if sample.n_frames == 1] == ["a02_s09_e04_v02", "a02_s09_e04_v03"]
    assert max(sample.n_frames for sample in samples) == 201
    parts = [{s.meta["take"] for s in samples if (s.meta["camera"] == 3) == test} for test in (False, True)]
    assert len(parts[0] & parts[1]) == 458  # takes that both parts of the protocol see


def test_penn_action_has_its_official_counts(real_data: Path) -> None:
    train, labels, frames, hidden, joints = Counter[object](), Counter[str](), 0, 0, 0
    for sample, card in converted("penn_action", real_data):
        train[sample.meta["train"]] += 1
        labels[card.targets["label"].classes[int(str(sample.targets["label"]))]] += 1
        frames += sample.n_frames
        assert sample.score is not None
        hidden, joints = hidden + int((sample.score == 0).sum()), joints + sample.score.size
    assert train == {1: 1258, -1: 1068}
    assert frames == 163_841
    assert round(hidden / joints, 2) == 0.22
    assert labels == {
        "baseball_pitch": 167, "baseball_swing": 173, "bench_press": 140, "bowl": 220, "clean_and_jerk": 88,
        "golf_swing": 166, "jump_rope": 82, "jumping_jacks": 112, "pullup": 199, "pushup": 211, "situp": 100,
        "squat": 231, "strum_guitar": 94, "tennis_forehand": 157, "tennis_serve": 186,
    }  # fmt: skip


def test_matlab_files_are_read_as_scipy_reads_them(real_data: Path) -> None:

    source = open_source([real_data / WHERE["penn_action"]], max_file=1 << 26)
    for path in source.paths[::7]:
        content = source.read(path)
        expected = loadmat(io.BytesIO(content))
        for name, value in matlab.variables(content, path).items():
            assert np.array_equal([value] if isinstance(value, str) else value, expected[name])
