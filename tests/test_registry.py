import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from skelbench import registry
from skelbench.errors import UsageError

MODEL = "def build():\n    return 7\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stranger's installed package with a folder of models, announced by an entry point."""
    folder = tmp_path / "stranger" / "nets"
    folder.mkdir(parents=True)
    for init in (folder.parent / "__init__.py", folder / "__init__.py"):
        init.write_text("")
    (folder / "mynet.py").write_text(MODEL)
    (folder / "mynet.toml").write_text('title = "Mine"\n')
    (folder / "helper.py").write_text("raise RuntimeError('listing must not import')\n")
    for name in [name for name in sys.modules if name.split(".")[0] == "stranger"]:
        monkeypatch.delitem(sys.modules, name)  # of another test, whose files lay elsewhere
    monkeypatch.syspath_prepend(str(tmp_path))
    point = EntryPoint("any", "stranger.nets", "skelbench.models")
    monkeypatch.setattr(registry, "entry_points", lambda group: EntryPoints([point]).select(group=group))
    return folder


def test_a_module_without_a_toml_is_no_plug_in(package: Path) -> None:
    assert "mynet" in registry.names("models")
    assert "helper" not in registry.names("models")


def test_listing_imports_nothing(package: Path) -> None:
    registry.names("models")
    assert "stranger.nets.mynet" not in sys.modules


def test_a_plug_in_of_another_package_loads_by_name(package: Path) -> None:
    assert registry.load(registry.find("models", "mynet"), ("build",)).build() == 7


def test_what_comes_from_outside_is_known_and_its_source_has_a_digest(package: Path) -> None:
    mine, own = registry.find("models", "mynet"), registry.find("models", "lite")
    assert (mine.foreign, own.foreign) == (True, False)
    before = registry.digest(mine)
    (package / "mynet.py").write_text(MODEL + "# changed\n")
    assert registry.digest(mine) != before


def test_a_path_works_where_a_name_does(tmp_path: Path) -> None:
    path = tmp_path / "alone.py"
    path.write_text(MODEL)
    module = registry.load(registry.find("models", str(path)))
    assert module.build() == 7
    assert registry.load(registry.find("models", str(path))) is module


def test_an_unknown_name_is_met_with_the_nearest(package: Path) -> None:
    with pytest.raises(UsageError, match=r"No 'mynett' in skelbench\.models\. Did you mean 'mynet'"):
        registry.find("models", "mynett")


def test_a_missing_file_is_named() -> None:
    with pytest.raises(UsageError, match=r"No file \./nowhere\.py"):
        registry.find("models", "./nowhere.py")


@pytest.mark.parametrize(("kind", "name"), [("converters", "mine.toml"), ("splits", "mine.py")])
def test_a_file_of_another_kind_is_refused(kind: registry.Kind, name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    with pytest.raises(UsageError, match=rf"{name}: expected the path of a \.(py|toml) file"):
        registry.find(kind, str(tmp_path / name))


def test_a_name_longer_than_any_path_is_no_file() -> None:
    with pytest.raises(UsageError, match="No file xxx"):
        registry.find("models", "x" * 5000 + ".py")


def test_a_file_that_does_not_import_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("import nothing_of_that_name\n")
    with pytest.raises(UsageError, match=r"broken\.py: cannot be imported: ModuleNotFoundError"):
        registry.load(registry.find("models", str(path)))


def test_a_module_that_lacks_its_interface_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "half.py"
    path.write_text("def plan():\n    return []\n")
    with pytest.raises(UsageError, match="defines no 'read'"):
        registry.load(registry.find("converters", str(path)), ("plan", "read"))


def test_the_digest_of_a_file_follows_its_content(tmp_path: Path) -> None:
    path = tmp_path / "net.py"
    path.write_text(MODEL)
    before = registry.digest(registry.find("models", str(path)))
    path.write_text(MODEL + "# changed\n")
    assert registry.digest(registry.find("models", str(path))) != before


def test_an_entry_point_to_a_package_that_is_gone_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("any", "gone.nets", "skelbench.models")
    monkeypatch.setattr(registry, "entry_points", lambda group: EntryPoints([point]).select(group=group))
    with pytest.raises(UsageError, match=r"'gone\.nets', which is not installed"):
        registry.names("models")
