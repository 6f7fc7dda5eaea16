"""Whether two functions do the same: those of a module, and those that a function makes anew at each call.

A converter hands `once` a function that it has just made of what it knows: `functools.partial`, a lambda, a closure.
Two such are one function where their code is one, and all that they are bound to is.
"""

from dataclasses import fields, is_dataclass
from functools import partial
from types import CodeType, FunctionType, MethodType

from pydantic import BaseModel

_PLAIN = (str, bytes, bool, int, float, complex, CodeType)


def alike(one: object, other: object) -> bool:
    """Say whether nothing tells two functions apart, or two values that functions are bound to.

    Args:
        one: Functions of Python, `functools.partial` and methods are compared by their code and what they are bound to;
            containers, data classes and pydantic's models by what they hold; plain values by type and value.
        other: The same.

    Returns:
        Whether they are the same. Anything else equals itself alone, and so does what holds itself.
    """
    try:
        return _alike(one, other)
    except RecursionError:
        return False


def _alike(one: object, other: object) -> bool:
    """See `alike`."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if type(one) in _PLAIN:
        return one == other and (bool(one) or repr(one) == repr(other))  # 0.0 is not -0.0
    mine, others = _parts(one), _parts(other)
    return mine is not None and others is not None and len(mine) == len(others) and all(map(_alike, mine, others))


def _parts(value: object) -> list[object] | None:
    """All that makes a value what it is, besides its type; None where that is not known."""
    if isinstance(value, FunctionType):
        cells = value.__closure__ or ()
        try:
            bound = [cell.cell_contents for cell in cells]
        except ValueError:  # a name that has no value yet
            return None
        return [value.__module__, value.__code__, value.__defaults__, value.__kwdefaults__, *bound]
    if isinstance(value, MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, partial):
        return [value.func, value.args, value.keywords]
    if isinstance(value, BaseModel):
        return [vars(value)]
    if is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, field.name) for field in fields(value)]
    if isinstance(value, (tuple, list)):
        return list(value)
    return list(value.items()) if isinstance(value, dict) else None
