"""Untrimmed sets on real files; of these only names, counts and digests stand here."""

import gzip
import tomllib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from skelbench import registry
from skelbench.card import load_card
from skelbench.formats import intervals, number_rows
from skelbench.sample import same
from skelbench.sources.source import open_source
from skelbench.store.check import sample_problem
from skelbench.synthetic.raw import InMemory

pytestmark = pytest.mark.real


def test_pku_bodies_are_read_as_float_reads_them(real_data: Path) -> None:
    content = (real_data / "pku_mmd/A10N08-L.txt").read_bytes()
    expected = np.array([float(field) for field in content.split()], np.float32).reshape(-1, 150)
    assert expected.shape == (1040, 150)
    for text in (content, content.replace(b"\n", b"\r\n"), content.replace(b" ", b"  ")):
        assert number_rows.rows(text, 150, "x").tobytes() == expected.tobytes()


def test_a_pku_video_is_whole_and_reads_back(real_data: Path) -> None:
    plugin = registry.find("converters", "pku_mmd2")
    module, card = registry.load(plugin), load_card(plugin.toml)
    source = open_source([real_data / "pku_mmd"], max_file=int(card.max_file_mb * 1e6))
    (item,) = module.plan(source, card)
    sample = module.read(source, item, card)
    assert not sample_problem(sample, card)
    assert (sample.n_frames, len(sample.frame), item.meta["subject"]) == (1040, 1768, 8)
    files = dict(module.write(sample, card))
    (again,) = module.plan(InMemory(files), card)
    assert same(module.read(InMemory(files), again, card), sample)


def test_pku_protocols_are_the_owners_lists(real_data: Path) -> None:
    rules = tomllib.loads(registry.find("splits", "pku_mmd1").toml.read_text())["protocols"]
    for name, file in (("cs", "cross-subject.txt"), ("cv", "cross-view.txt")):
        lines = (real_data / "pku_mmd" / file).read_text().split("\n")
        train, test = ([one.strip() for one in lines[at].split(",") if one.strip()] for at in (1, 3))
        official = rules[name]["official"]
        assert (len(train), len(test)) == (official["train"], official["test"])
        if name == "cs":
            assert {int(one[:4]) for one in test} == set(rules["cs"]["test"]["video"])
            assert not {int(one[:4]) for one in train} & set(rules["cs"]["test"]["video"])
        else:
            assert {one[-1] for one in train} == set(rules["cv"]["train"]["camera"])
            assert {one[-1] for one in test} == set(rules["cv"]["test"]["camera"])


def test_tsu_annotations_have_the_official_counts(real_data: Path) -> None:
    rules = tomllib.loads(registry.find("splits", "tsu").toml.read_text())["protocols"]
    for name, column, digits in (("cs", "subject", slice(1, 3)), ("cv", "camera", slice(7, 9))):
        path = real_data / f"tsu/smarthome_{name.upper()}_51.json"
        videos = intervals.annotations(path.read_bytes(), 51, path.name)
        assert sum(len(video.actions) for video in videos.values()) == 41_288
        kept = [
            intervals.segments(video.actions, lambda start, end: (int(start) + 1, int(end)), int(video.duration))
            for video in videos.values()
        ]
        # seven end where they start, 13 one frame later
        assert (sum(len(found) for found, _ in kept), sum(left for _, left in kept)) == (41_268, 20)
        parts = Counter(video.subset for video in videos.values())
        official = rules[name]["official"]
        assert (parts["training"], parts["testing"]) == (official["train"], official["test"])
        for video_id, video in videos.items():
            part = {"training": "train", "testing": "test"}[video.subset]
            assert int(video_id[digits]) in rules[name][part][column]


def test_a_tsu_video_is_whole_and_reads_back(real_data: Path) -> None:
    plugin = registry.find("converters", "tsu")
    module, card = registry.load(plugin), load_card(plugin.toml)
    source = open_source([real_data / "tsu"], max_file=int(card.max_file_mb * 1e6))
    items = list(module.plan(source, card))
    assert Counter(item.reject for item in items) == {None: 1, "annotated, but there is no file of its poses": 535}
    (item,) = (item for item in items if item.reject is None)
    sample = module.read(source, item, card)
    assert not sample_problem(sample, card)
    assert (sample.n_frames, len(sample.frame), len(sample.segments)) == (34_520, 16_440, 81)
    files = dict(module.write(sample, card)) | dict(module.write_shared([sample], card))
    (again,) = module.plan(InMemory(files), card)
    assert same(module.read(InMemory(files), again, card), sample)


def test_charades_annotations_have_the_official_counts(real_data: Path) -> None:
    plugin = registry.find("converters", "charades")
    module, card = registry.load(plugin), load_card(plugin.toml)
    source = open_source([real_data / "charades"], max_file=int(card.max_file_mb * 1e6))
    items = list(module.plan(source, card))
    assert len(items) == card.official.planned
    videos = intervals.annotations((real_data / "charades/charades.json.gz").read_bytes(), 157, "charades.json.gz")
    assert gzip.decompress((real_data / "charades/charades.json.gz").read_bytes())
    assert Counter(video.subset for video in videos.values()) == {"training": 7985, "testing": 1863}
    assert sum(len(video.actions) for video in videos.values()) == 66_500
    assert sum(not video.actions for video in videos.values()) == 223
