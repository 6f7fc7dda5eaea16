"""What converters of exchange files share: one file holds many clips, and a source holds one file or several."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from skelbench.errors import RawFormatError
from skelbench.formats import names
from skelbench.raw import RawItem, RawSource

Parsed = TypeVar("Parsed")


def opened(
    raw: RawSource,
    paths: Sequence[str],
    parse: Callable[[str], Parsed],
    named: Callable[[str], str] = names.stem,
) -> Iterator[tuple[str, Parsed | RawItem]]:
    """Open the files of a source, of which one may be damaged.

    Args:
        raw: The source.
        paths: Members that hold clips.
        parse: Opens one.
        named: What to call a file that cannot be opened.

    Yields:
        Each member, and what is in it; of several a damaged one is a reject.

    Raises:
        RawFormatError: If the only file is damaged.
    """
    for path in paths:
        try:
            found = parse(path)
        except RawFormatError as error:
            if len(paths) == 1:
                raise
            yield path, RawItem(named(path), (path,), reject=str(error).replace(raw.where(path), path))
            continue
        yield path, found
