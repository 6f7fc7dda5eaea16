"""What the design says about the shape of the code, held against the code."""

import ast
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOW = [
    # the ground floor
    "errors toml layouts skeletons mapping sample card registry steps raw workspace limit world norms",
    "crew freed garbage machine_code passing",  # processes, memory, compiled functions
    "protocols",
    "formats",
    "converters",
    "sources",
    "store",
    "convert",
    "guess",
    "card_draft",
    "draft_arrays",
    "draft",
    "look",
    "split",
    "subset",
    "survey",
    "contents",
    "audit",
    "desk",
    "prepare",
    "data",
    "models",
    "methods",
    "metrics",
    "detection",
    "bootstrap",
    "optimise",
    "freeze",
    "blocks",
    "recipe",
    "record",
    "standing",
    "initial",
    "resume",
    "evaluate",
    "stitch",
    "train",
    "provenance",
    "scored",
    "fusion",
    "fuse",
    "compare",
    "figures",
    "preflight",
    "cell",
    "processes",
    "leaks",
    "parts",
    "trail",
    "stages",
    "execute",
    "request",
    "plan",
    "run",
    "worker",
    "leaderboard",
    "synthetic",
    "export",
    "api",
    "cli",
]
PLACE = {name: place or -1 for place, names in enumerate(FLOW) for name in names.split()}
FACADE = "skelbench/__init__.py"  # hands out `skelbench.open`, which imports inside the function


def modules() -> list[Path]:
    folders = [ROOT / "skelbench", ROOT / "converters"]
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def part_of(path: Path) -> str:
    relative = path.relative_to(ROOT)
    return "converters" if relative.parts[0] == "converters" else relative.parts[1].removesuffix(".py")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def plugins() -> set[str]:
    """Names of models and methods."""
    folders = (ROOT / "skelbench" / kind for kind in ("models", "methods"))
    return {toml.stem for folder in folders for toml in folder.glob("*.toml")}


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= (
                {f"{node.module}.{name.name}" for name in node.names} if node.module == "skelbench" else {node.module}
            )
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
    return {name.split(".")[1] for name in found if name.startswith("skelbench.")}


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_from_its_left(path: Path) -> None:
    if str(path.relative_to(ROOT)) == FACADE:
        return
    here = part_of(path)
    assert here in PLACE, f"{path} has no place in the flow"
    for other in imports(path) - {here, "__version__"}:
        assert PLACE[other] < PLACE[here] or (PLACE[other] == PLACE[here] == -1), (
            f"{here} imports {other}, to its right"
        )


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_plug_in_is_imported_statically(path: Path) -> None:
    for node in ast.walk(tree(path)):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{name.name}" for name in node.names] + [node.module]
        for name in names:
            assert not name.startswith("skelbench.converters")
            parts = name.split(".")
            assert not (
                parts[:2] in (["skelbench", "models"], ["skelbench", "methods"])
                and parts[2:3]
                and parts[2] in plugins()
            )


def test_the_listed_packages_are_the_packages_there_are() -> None:
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    there = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "skelbench").rglob("__init__.py")}
    mapped = {"skelbench.converters", "skelbench.splits", "skelbench.published"}
    assert set(setup["packages"]) == there | mapped
    for package, folder in setup["package-dir"].items():
        assert (ROOT / folder / "__init__.py").is_file(), package


def test_no_function_bears_the_name_of_a_subpackage() -> None:
    subpackages = {path.parent.name for path in (ROOT / "skelbench").glob("*/__init__.py")}
    functions = ast.walk(tree(ROOT / FACADE))
    assert not subpackages & {node.name for node in functions if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_functions_are_short_documented_and_take_few_arguments(path: Path) -> None:
    for node in ast.walk(tree(path)):
        if not isinstance(node, ast.FunctionDef):
            continue
        body = node.body[1:] if ast.get_docstring(node) else node.body
        length = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
        assert length <= 40, f"{node.name} has {length} lines"
        public = not node.name.startswith("_") and node.col_offset in (0, 4)
        assert ast.get_docstring(node) or not public, f"{node.name} has no docstring"
        verb = path.parent.name == "cli" and node.name == "command"  # click passes one keyword for each option
        assert verb or not (public and node.args.kwarg), f"{node.name} takes **kwargs"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_is_too_long(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 500
