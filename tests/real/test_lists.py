"""Official lists of FineGym and NTU RGB+D, as converters join them with poses; of these only counts stand here."""

import io
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from skelbench import registry
from skelbench.card import load_card
from skelbench.formats import numpy_files
from skelbench.sample import same
from skelbench.sources.source import open_source
from skelbench.synthetic.raw import InMemory

pytestmark = pytest.mark.real


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("finegym99", {"v1.0": 20484, "v1.1": 26320 - 20484, "val": 8521}),
        ("finegym288", {"v1.0": 22671, "v1.1": 29334 - 22671, "val": 9646}),
    ],
)
def test_finegym_lists_have_their_official_counts(
    real_data: Path, tmp_path: Path, name: str, counts: dict[str, int]
) -> None:
    plugin = registry.find("converters", name)
    module, card = registry.load(plugin), load_card(plugin.toml)
    lists = open_source([real_data / "finegym"], max_file=1 << 24)
    missing = {item.sample_id: item.reject for item in module.plan(lists, card)}
    assert len(missing) == card.official.planned
    assert Counter(str(reject).split("'")[1] for reject in missing.values()) == counts
    (tmp_path / "poses").mkdir()
    chosen = sorted(missing)[::1000]
    for sample_id in chosen:
        content = numpy_files.render_npy(np.ones((3, 17, 3), np.float32))
        (tmp_path / "poses" / f"{sample_id}.npy").write_bytes(content)
    both = open_source([real_data / "finegym", tmp_path / "poses"], max_file=1 << 24)
    items = {item.sample_id: item for item in module.plan(both, card) if item.reject is None}
    assert sorted(items) == chosen
    for item in items.values():
        sample = module.read(both, item, card)
        files = dict(module.write(sample, card)) | dict(module.write_shared(iter([sample]), card))
        (again,) = module.plan(InMemory(files), card)
        assert same(module.read(InMemory(files), again, card), sample)


def test_names_of_an_npz_are_rebuilt_from_the_official_list(real_data: Path, tmp_path: Path) -> None:
    plugin = registry.find("converters", "ctrgcn_npz")
    module, card = registry.load(plugin), load_card(plugin.toml)
    statistics = open_source([real_data / "ntu" / "statistics"], max_file=1 << 24)
    listed = module._listed(statistics, card)
    assert {part: len(names) for part, names in listed.items()} == {"train": 40091, "test": 16487}
    arrays = {}
    for part, names in listed.items():
        arrays[f"x_{part}"] = np.zeros((len(names), 1, 150), np.float32)
        arrays[f"y_{part}"] = np.array([int(name[-3:]) - 1 for name in names])
    file = io.BytesIO()
    np.savez(file, **arrays)
    (tmp_path / "NTU60_CS.npz").write_bytes(file.getvalue())
    both = open_source([real_data / "ntu" / "statistics", tmp_path], max_file=1 << 26)
    items = list(module.plan(both, card))
    assert Counter(item.meta["part"] for item in items) == {"train": 40091, "test": 16487}
    assert len({item.sample_id for item in items}) == card.official.planned
    assert {item.meta["named"] for item in items} == {"by the official list"}
