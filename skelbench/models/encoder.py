"""What an encoder is, how it is found in its file, and how its hyper-parameters are read from its signature."""

import inspect
import json
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Protocol, get_type_hints, runtime_checkable

from jaxtyping import Float, Int64
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from skelbench.errors import RecipeError, UsageError, nearest


@runtime_checkable
class Encoder(Protocol):
    """A network without its head: an `nn.Module` built as `(spec, *, typed hyper-parameters)`.

    It may also have `fit(batches)`, called once before the first step, and `CHECKPOINT`, which says how the names in
    its authors' checkpoints become ours (`skelbench/models/checkpoint.py`).
    """

    out_channels: int  # features of the output

    def __call__(
        self, x: Float[Tensor, "rows channels frames joints"], slot: Int64[Tensor, " rows"]
    ) -> Float[Tensor, "rows features out_frames out_joints"]:
        """Map clips to features.

        Args:
            x: Clips, one row for each person; finite.
            slot: Person slot of each row.

        Returns:
            Features; frames and joints may be fewer.
        """


def encoder_class(module: ModuleType) -> type[nn.Module]:
    """Find the encoder in a model's module: its one public `nn.Module` whose first parameter is `spec`.

    Args:
        module: What `registry.load` gave for a model.

    Returns:
        The class.

    Raises:
        UsageError: If there is none or more than one.
    """
    return the_class(module, ("spec",), "encoder")


def the_class(module: ModuleType, leading: tuple[str, ...], what: str) -> type[nn.Module]:
    """Find the one public `nn.Module` of a module whose constructor begins with given parameters.

    Args:
        module: An imported plug-in.
        leading: Names of the first parameters after `self`.
        what: What is looked for, for messages.

    Returns:
        The class.

    Raises:
        UsageError: If there is none or more than one.
    """
    found = [
        value
        for name, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, nn.Module)
        and value.__module__ == module.__name__
        and not name.startswith("_")
        and tuple(inspect.signature(value).parameters)[: len(leading)] == leading
    ]
    if len(found) == 1:
        return found[0]
    names = ", ".join(cls.__name__ for cls in found) or "none"
    raise UsageError(
        f"{module.__file__ or module.__name__}: {len(found)} classes that could be the {what} ({names}); expected one "
        f"public nn.Module with __init__(self, {', '.join(leading)}, *, hyper-parameters)."
    )


def hyper_parameters(cls: type[nn.Module]) -> dict[str, Any]:
    """The hyper-parameters of an encoder or method by name, with their defaults; `inspect.Parameter.empty` for none."""
    parameters = inspect.signature(cls).parameters.values()
    return {parameter.name: parameter.default for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}


def check_hyper_parameters(cls: type[nn.Module], given: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Hold values from a recipe against the signature of the class that will get them.

    Args:
        cls: An encoder or a method.
        given: Values by name, as TOML or JSON gives them (lists for tuples).
        prefix: `model` or `method`, for messages.

    Returns:
        A value of the annotated type for every hyper-parameter, defaults filled in.

    Raises:
        RecipeError: If a name is unknown, a value has the wrong type, or one without default is missing.
    """
    known = hyper_parameters(cls)
    hints = get_type_hints(cls.__init__)
    for name in given:
        if name not in known:
            raise RecipeError(f"unknown key '{prefix}.{name}' of {cls.__name__}. {nearest(name, known)}")
    values = {}
    for name, default in known.items():
        if name not in given and default is inspect.Parameter.empty:
            raise RecipeError(f"'{prefix}.{name}' of {cls.__name__} has no default: set it with -o {prefix}.{name}=...")
        values[name] = _converted(given[name], hints.get(name, Any), f"{prefix}.{name}") if name in given else default
    return values


def _converted(value: Any, hint: Any, key: str) -> Any:
    """A value read strictly as the annotated type; JSON's rules make a list a tuple and a whole number a float."""
    try:
        return TypeAdapter(hint).validate_json(json.dumps(value, allow_nan=False), strict=True)
    except (ValueError, TypeError) as error:
        reason = "expected finite numbers" if isinstance(error, ValueError) else str(error)
        if isinstance(error, ValidationError):
            reason = error.errors(include_url=False)[0]["msg"]
        raise RecipeError(f"'{key}' is {value!r}: {reason}.") from error
