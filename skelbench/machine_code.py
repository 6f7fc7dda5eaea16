"""Functions as machine code, by numba; only modules that the extra `fast` stands behind import this one."""

import inspect
from collections.abc import Callable
from typing import TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """The function as machine code, kept on the disk; what a checker of types has put around it goes.

    Sums and products are made in the order that is written, and division by 0 gives what IEEE 754 says.
    """
    plain = inspect.unwrap(function)
    try:
        code = numba.njit(cache=True, nogil=True, error_model="numpy")(plain)
    except RuntimeError:  # no folder may be written: it is compiled in each process
        code = numba.njit(nogil=True, error_model="numpy")(plain)
    return cast(Function, code)


def inlined(function: Function) -> Function:
    """A part of compiled functions, put where it is called."""
    return cast(Function, numba.njit(nogil=True, inline="always", error_model="numpy")(inspect.unwrap(function)))
