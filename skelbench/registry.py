"""The folder is the registry: plug-ins are files, named without being imported.

A plug-in is a module with a TOML of the same name beside it (`splits` are TOML alone). Other packages
add folders through entry points of the groups `skelbench.converters`, `skelbench.splits`,
`skelbench.models` and `skelbench.methods`, whose value is the dotted name of a package. A path to a
file works wherever a name does.
"""

import hashlib
import importlib
import importlib.util
import os
import sys
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Literal, TypeAlias

from skelbench.errors import UsageError, nearest
from skelbench.workspace import expanded

Kind: TypeAlias = Literal["converters", "splits", "models", "methods"]
KINDS: tuple[Kind, ...] = ("converters", "splits", "models", "methods")


@dataclass(frozen=True)
class Plugin:
    """One plug-in, found and not yet imported."""

    kind: Kind
    name: str  # the file name without extension
    toml: Path  # card, splits or recipes; of a module given by path it may not exist
    module: str  # dotted name, or the path of a .py file; empty for splits

    @property
    def foreign(self) -> bool:
        """Whether it comes from outside skelbench, whose version then does not tell which code it is."""
        return not self.module.startswith("skelbench.")


def plugins(kind: Kind) -> dict[str, Plugin]:
    """All plug-ins of a kind, by name, sorted; those of skelbench itself win over others of the same name."""
    found: dict[str, Plugin] = {}
    for package in _packages(kind):
        found = _in(package, kind) | found
    return dict(sorted(found.items()))


def names(kind: Kind) -> list[str]:
    """Names of all plug-ins of a kind, sorted."""
    return list(plugins(kind))


def find(kind: Kind, name: str) -> Plugin:
    """Look a plug-in up by name or by path.

    Args:
        kind: What to look for.
        name: A registered name, or the path of a `.py` file (for splits: of a `.toml` file).

    Returns:
        The plug-in.

    Raises:
        UsageError: If there is none, with the nearest name.
    """
    if name.endswith((".py", ".toml")) or "/" in name:
        path = expanded(name).resolve()
        suffix = ".toml" if kind == "splits" else ".py"
        if not os.path.isfile(path):  # noqa: PTH113 - a Path raises when the name is too long
            raise UsageError(
                f"No file {name[:200]}; expected the path of a {suffix} file for '{kind}', or a registered name."
            )
        if path.suffix != suffix:
            raise UsageError(f"{name}: expected the path of a {suffix} file for '{kind}', or a registered name.")
        return Plugin(kind, path.stem, path.with_suffix(".toml"), "" if kind == "splits" else str(path))
    own = _in(f"skelbench.{kind}", kind)
    known = own if name in own else plugins(kind)  # to ask what else is installed takes longer than all the rest
    if name not in known:
        ending = ".toml file (--splits)" if kind == "splits" else ".py file"
        raise UsageError(f"No '{name}' in skelbench.{kind}. {nearest(name, known)} The path of a {ending} works too.")
    return known[name]


def load(plugin: Plugin, functions: tuple[str, ...] = ()) -> ModuleType:
    """Import a plug-in and check its interface.

    Args:
        plugin: A converter, model or method.
        functions: Names that the module must define.

    Returns:
        The module.

    Raises:
        UsageError: If the file does not import, or lacks one of the functions.
    """
    try:
        module = (
            _from_path(Path(plugin.module)) if plugin.module.endswith(".py") else importlib.import_module(plugin.module)
        )
    except (Exception, SystemExit) as error:  # whatever a stranger's file raises on import
        raise UsageError(f"{plugin.module}: cannot be imported: {type(error).__name__}: {error}") from error
    for function in functions:
        if not callable(getattr(module, function, None)):
            raise UsageError(f"{plugin.module}: defines no '{function}', which every one of {plugin.kind} must.")
    return module


def digest(plugin: Plugin) -> str:
    """SHA-256 of the module's source, for run keys of models and methods from outside skelbench."""
    if plugin.module.endswith(".py"):
        return hashlib.sha256(Path(plugin.module).read_bytes()).hexdigest()
    spec = importlib.util.find_spec(plugin.module)
    if spec is None or spec.origin is None:
        raise UsageError(f"{plugin.module}: has no source file.")
    return hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()


def _from_path(path: Path) -> ModuleType:
    """Import a file under a name of its own, once per process."""
    name = f"skelbench_file_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}_{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"not a Python file: {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _in(package: str, kind: Kind) -> dict[str, Plugin]:
    """The plug-ins of a package, by name."""
    found: dict[str, Plugin] = {}
    alone = kind == "splits"
    for folder in _folders(package):
        for toml in sorted(folder.glob("*.toml")):
            if alone or toml.with_suffix(".py").is_file():
                module = "" if alone else f"{package}.{toml.stem}"
                found.setdefault(toml.stem, Plugin(kind, toml.stem, toml, module))
    return found


def _packages(kind: Kind) -> list[str]:
    """Dotted names of the packages that hold plug-ins of a kind, skelbench's own first."""
    others = sorted({point.value for point in entry_points(group=f"skelbench.{kind}")})
    return [f"skelbench.{kind}", *others]


def _folders(package: str) -> list[Path]:
    """Where a package lies, without importing it."""
    try:
        spec = importlib.util.find_spec(package)
    except ModuleNotFoundError:
        spec = None
    if spec is None:
        raise UsageError(f"The entry point names the package '{package}', which is not installed.")
    return [Path(folder) for folder in spec.submodule_search_locations or ()]
