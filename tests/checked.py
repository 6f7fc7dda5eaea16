"""Types and shapes of every function of skelbench are checked in every test, at a price that thousands can pay.

jaxtyping's own import hook opens a table of axis names and checks twice on every call, also of functions that take no
array (7 us a call in place of 0.3), and has whatever a module imports, such as all of torch, compiled anew. Here a
function is checked once by beartype, and within a table of axis names only where it names axes.
"""

import ast
import functools
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from types import CodeType, ModuleType
from typing import Any, ForwardRef, get_args
from unittest import mock

from beartype import BeartypeConf, beartype
from jaxtyping import AbstractArray, TypeCheckError, jaxtyped

MARK = "__checked__"  # name of the decorator in the modules
TYPES = beartype(conf=BeartypeConf(violation_type=TypeCheckError))
TAG = "checked1"  # of the compiled files: another number when `marked` changes


def checked(thing: Any) -> Any:
    """A function whose arguments and result are checked; of a dataclass, those of making one."""
    if inspect.isclass(thing):
        if "__init__" in vars(thing) and hasattr(thing, "__dataclass_fields__"):
            thing.__init__ = checked(thing.__init__)  # type: ignore[misc]
        return thing
    if isinstance(thing, classmethod | staticmethod):
        return type(thing)(checked(thing.__func__))
    if isinstance(thing, property):
        return property(*(each and checked(each) for each in (thing.fget, thing.fset, thing.fdel)))
    parts = [part for hint in getattr(thing, "__annotations__", {}).values() for part in parts_of(hint)]
    axes = any(inspect.isclass(part) and issubclass(part, AbstractArray) for part in parts)
    if any(isinstance(part, str | ForwardRef) for part in parts) or (axes and inspect.isgeneratorfunction(thing)):
        return jaxtyped(thing, typechecker=TYPES)  # knows what to make of names that stand for nothing yet
    return among_axes(TYPES(thing)) if axes else TYPES(thing)


def parts_of(hint: Any) -> Iterator[Any]:
    """A type and the types in it."""
    yield hint
    for part in hint if isinstance(hint, list) else get_args(hint):
        yield from parts_of(part)


def among_axes(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function within which an axis of one name has one length."""

    @functools.wraps(function)
    def called(*args: Any, **named: Any) -> Any:
        with jaxtyped("context"):
            return function(*args, **named)

    return called


def marked(tree: ast.Module) -> ast.Module:
    """A module with the decorator: next to a function, and around a class after all others."""
    for node in ast.walk(tree):
        mark = ast.Name(MARK, ast.Load())
        if isinstance(node, ast.FunctionDef):
            node.decorator_list.append(ast.copy_location(mark, node))
        elif isinstance(node, ast.ClassDef):
            node.decorator_list.insert(0, ast.copy_location(mark, node))
    return tree


class Loader(importlib.machinery.SourceFileLoader):
    """Compiles with the decorator; what it compiled is kept beside what Python itself does."""

    def source_to_code(self, data: Any, path: Any, *, _optimize: int = -1) -> CodeType:  # type: ignore[override]
        """Compile a module."""
        tree = marked(ast.parse(importlib.util.decode_source(data), path))
        code: CodeType = compile(tree, path, "exec", dont_inherit=True, optimize=_optimize)
        return code

    def get_code(self, fullname: str) -> CodeType | None:
        """Find what was compiled before, or compile."""
        kept = functools.partial(importlib.util.cache_from_source, optimization=TAG)
        with mock.patch("importlib._bootstrap_external.cache_from_source", kept):
            return super().get_code(fullname)

    def exec_module(self, module: ModuleType) -> None:
        """Run a module that knows the decorator."""
        setattr(module, MARK, checked)
        super().exec_module(module)


class Finder(importlib.abc.MetaPathFinder):
    """Finds the modules of a package as the finders behind it do, and loads them with the decorator."""

    def __init__(self, package: str) -> None:
        """Keep the name."""
        self._package = package

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find a module."""
        if fullname.split(".")[0] != self._package:
            return None
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if type(spec.loader) is importlib.machinery.SourceFileLoader:
                    spec.loader = Loader(spec.loader.name, spec.loader.path)
                return spec
        return None


def install(package: str) -> None:
    """Check all that is imported of a package from now on."""
    if package in sys.modules:
        raise RuntimeError(f"{package} is already imported; import it after its checks are in place.")
    sys.meta_path.insert(0, Finder(package))
