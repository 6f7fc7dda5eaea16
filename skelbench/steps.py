"""Named steps with arguments, as recipes write them: `"centre-first:1"`, `"rotate:0.3"`, `"resample:0.5-1,64"`."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from skelbench.errors import RecipeError, nearest


@dataclass(frozen=True)
class Span:
    """A closed range, written `low-high`; a single number is a range of one value."""

    low: float
    high: float


@dataclass(frozen=True)
class Step:
    """A step by name, its arguments still text."""

    name: str
    arguments: tuple[str, ...]


def parse_step(text: str) -> Step:
    """Split `name:argument,argument`."""
    name, _, rest = text.partition(":")
    return Step(name.strip(), tuple(part.strip() for part in rest.split(",")) if rest else ())


def bind(text: str, known: Mapping[str, Callable[..., Any]], skip: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Find the function of a step and convert its arguments by the function's annotations.

    Args:
        text: A step as written in a recipe.
        known: The functions there are, by step name.
        skip: Leading parameters of the function that the caller fills.

    Returns:
        The function and the values for its parameters after the first `skip`; defaults are left out.

    Raises:
        RecipeError: If no function has the name, an argument has the wrong form, or their number is wrong.
    """
    step = parse_step(text)
    if step.name not in known:
        raise RecipeError(f"No step '{step.name}' (in '{text}'). {nearest(step.name, known)}")
    function = known[step.name]
    hints = get_type_hints(function)
    parameters = list(inspect.signature(function).parameters.values())[skip:]
    required = sum(parameter.default is parameter.empty for parameter in parameters)
    if not required <= len(step.arguments) <= len(parameters):
        wanted = ", ".join(parameter.name for parameter in parameters) or "no arguments"
        raise RecipeError(f"Step '{text}': {len(step.arguments)} arguments, expected {wanted}.")
    values = []
    for parameter, argument in zip(parameters, step.arguments, strict=False):
        try:
            values.append(_convert(argument, hints[parameter.name]))
        except ValueError as error:
            raise RecipeError(f"Step '{text}': {parameter.name} is '{argument}': {error}.") from error
    return function, tuple(values)


def _convert(text: str, wanted: Any) -> Any:
    """One argument from text."""
    if wanted is Span:
        low, _, high = text.partition("-")
        return Span(float(low), float(high or low))
    if get_origin(wanted) is Literal:
        if text not in get_args(wanted):
            raise ValueError(f"expected {' or '.join(get_args(wanted))}")
        return text
    options = [wanted] if isinstance(wanted, type) else list(getattr(wanted, "__args__", ()))
    for option in (int, float, str):
        if option in options:
            return option(text)
    raise ValueError(f"cannot be read as {wanted}")
