"""Errors a user can act on: where, what was found, what was expected, what to do next."""

import difflib
from collections.abc import Iterable


class UsageError(ValueError):
    """A wrong name, argument or path in what the user typed. Exit code 2."""


class CardError(ValueError):
    """A card, layout or split file that does not say what it must. Exit code 2."""


class RecipeError(ValueError):
    """A recipe with an unknown key, a value of the wrong type, or parts that do not fit. Exit code 2."""


class SplitError(ValueError):
    """A protocol that does not hold on a store: a leak, an unknown id, an empty part. Exit code 2."""


class LeakError(SplitError):
    """A protocol whose parts share what they must not, or a sample. Exit code 2."""


class RawFormatError(ValueError):
    """One raw file that is not what its format says; the engine turns it into a reject."""


class StoreError(ValueError):
    """A store that is damaged, of another version, or in use. Exit code 1."""


class RunError(ValueError):
    """A run that stopped: divergence, unusable input, a model and method that do not fit. Exit code 1."""


USAGE = (UsageError, CardError, RecipeError, SplitError)  # exit code 2
FINDINGS = (RawFormatError, StoreError, RunError)  # exit code 1


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which known name was probably meant, and which there are.

    Args:
        name: What was found.
        known: The names that would have been right, in any order.

    Returns:
        `"Did you mean 'ntu60'? Known: ntu120, ntu60."`, without the question when nothing is near.
    """
    names = sorted(known)
    match = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    question = f"Did you mean '{match[0]}'? " if match else ""
    return f"{question}Known: {', '.join(names) if names else 'none'}."
