"""Sets of detectors' poses on real files and lists; of these only names, counts and digests stand here."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from skelbench import registry
from skelbench.card import Card, load_card
from skelbench.raw import RawItem
from skelbench.sample import Sample, same
from skelbench.sources.source import open_source
from skelbench.split import load_protocols
from skelbench.store.check import sample_problem
from skelbench.synthetic.raw import InMemory

pytestmark = pytest.mark.real


def of(name: str) -> tuple[object, Card]:
    plugin = registry.find("converters", name)
    return registry.load(plugin), load_card(plugin.toml)


def converted(name: str, folder: Path, **options: object) -> Iterator[tuple[RawItem, Sample]]:
    """All samples of a folder, each held against its card and the law of `write`."""
    module, card = of(name)
    card = card.model_copy(update={"options": {**card.options, **options}})
    source = open_source([folder], max_file=int(card.max_file_mb * 1e6))
    for item in module.plan(source, card):  # type: ignore[attr-defined]
        if item.reject is not None:
            continue
        sample = module.read(source, item, card)  # type: ignore[attr-defined]
        assert not sample_problem(sample, card)
        files = dict(module.write(sample, card))  # type: ignore[attr-defined]
        if hasattr(module, "write_shared"):
            files |= dict(module.write_shared([sample], card))
        (again,) = (one for one in module.plan(InMemory(files), card) if one.reject is None)  # type: ignore[attr-defined]
        assert same(module.read(InMemory(files), again, card), sample), item.sample_id  # type: ignore[attr-defined]
        yield item, sample


@pytest.mark.parametrize(
    ("protocol", "lists", "counts"),
    [
        ("cs", (["train_CS", "validation_CS"], ["test_CS"]), (10685, 5444)),
        ("cv1", (["train_CV1"], ["test_CV1"]), (1877, 1901)),
        ("cv2", (["train_CV2"], ["test_CV2"]), (7806, 1901)),
    ],
)
def test_smarthome_rules_give_the_owners_lists(
    real_data: Path, protocol: str, lists: tuple[list[str], list[str]], counts: tuple[int, int]
) -> None:
    module, card = of("smarthome")
    folder = real_data / "smarthome" / "splits"
    listed = {name: (folder / f"{name}.txt").read_text().split() for name in ("train_CS", "validation_CS", "test_CS")}
    clips = {name.replace(".mp4", ".json"): b"" for names in listed.values() for name in names}
    items = list(module.plan(InMemory(clips), card))  # type: ignore[attr-defined]
    assert len(items) == card.official.planned == 16129
    assert not [item for item in items if item.reject]
    rule = load_protocols("smarthome")[protocol]
    unscored = {item.sample_id for item in items if item.meta["activity"] == "Pour.Fromcup"}
    assert len(unscored) == 14
    assert rule.official is not None
    parts = zip((rule.train, rule.test), lists, counts, (rule.official.train, rule.official.test), strict=True)
    for columns, names, count, official in parts:
        wanted = {line.removesuffix(".mp4") for name in names for line in (folder / f"{name}.txt").read_text().split()}
        assert isinstance(columns, dict)
        found = {
            item.sample_id
            for item in items
            if all(item.meta[column] in values for column, values in columns.items())
            and (not rule.classes or item.meta["activity"] in rule.classes)
        }
        assert found == wanted
        assert len(wanted) == count
        assert len(wanted - unscored) == official


def test_smarthome_classes_have_the_published_numbers_of_clips(real_data: Path) -> None:
    folder = real_data / "smarthome" / "splits"
    listed = [
        line for part in ("train", "validation", "test") for line in (folder / f"{part}_CS.txt").read_text().split()
    ]
    found = Counter(line.split("_")[0] for line in listed)
    _, card = of("smarthome")
    assert [found[name] for name in card.targets["label"].classes] == [
        378, 380, 178, 579, 96, 45, 341, 325, 2241, 65, 617, 216, 444, 833, 181, 416, 64, 76, 62, 56, 276, 59, 107,
        942, 1116, 344, 396, 451, 49, 4070, 712,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("estimator", "frames", "empty"), [("LCRNet", 1379, 0), ("Alphapose", 1380, 0), ("OP", 1380, 4)]
)
def test_the_demo_clip_of_smarthome_is_read_as_each_estimator_saw_it(
    real_data: Path, estimator: str, frames: int, empty: int
) -> None:
    ((item, sample),) = converted("smarthome", real_data / "smarthome" / "ssta_demo", estimator=estimator)
    assert item.sample_id == "WatchTV_p02_r03_v05_c05"
    assert sample.targets == {"label": 30}
    assert (sample.n_frames, sample.n_frames - len(sample.frame)) == (frames, empty)
    assert np.isnan(sample.keypoints[..., 2:]).all()


def test_kinetics_skeleton_is_read_as_listed(real_data: Path) -> None:
    module, card = of("kinetics_skeleton")
    folder = real_data / "kinetics_skeleton"
    items = list(module.plan(open_source([folder], max_file=1 << 26), card))  # type: ignore[attr-defined]
    assert len(items) == 19906
    reasons = Counter(str(item.reject) for item in items)
    assert reasons["listed without a skeleton"] == 19906 - 19796
    assert reasons["None"] == 4
    found = [sample for _, sample in converted("kinetics_skeleton", folder)]
    assert [(s.sample_id, s.n_frames, s.targets["label"]) for s in found] == [
        ("__NrybzYzUg", 299, 0),
        ("__U_scuxNlQ", 299, 58),
        ("__u6odV5hrI", 299, 207),
        ("__vOysOPoCY", 249, 207),
    ]
    assert {sample.meta["part"] for sample in found} == {"val"}
    names = (folder / "label_name.txt").read_text().splitlines()
    assert list(card.targets["label"].classes) == names
