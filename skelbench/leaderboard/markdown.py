"""Text that stays what it is inside a Markdown table, whoever wrote it."""

import re
import unicodedata
from collections.abc import Sequence

_SPECIAL = re.compile(r"[\\|`*\[\]~!#$]|(?<![^\W_])_|_(?![^\W_])")  # an underscore inside a word is harmless

_TOGETHER = re.compile(r" (?=±)|(?<=±) |(?<=\bn) (?==)|(?<==) (?=\d)|(?<=\d) (?=to \d)|(?<=\d to) (?=\d)")


def plain(text: str) -> str:
    """One line without control characters: blanks instead of them, runs of blanks joined."""
    visible = "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in text)
    return " ".join(visible.split())


def escape(text: str) -> str:
    """Text for a table cell or a paragraph, with nothing left that Markdown or HTML would read as markup."""
    harmless = plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(lambda found: "\\" + found[0], harmless)


def unbroken(text: str) -> str:
    """The same with blanks at which no line ends between numbers that belong together."""
    return _TOGETHER.sub("\u00a0", text)


def code(text: str) -> str:
    """Text as a code span outside of tables, fenced by more backticks than it holds in a row."""
    line = plain(text)
    fence = "`" * (max(map(len, re.findall("`+", line)), default=0) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: frozenset[str] = frozenset()) -> list[str]:
    """Lines of a table; cells are escaped already, and columns empty in all rows are left out.

    Args:
        head: Titles.
        rows: Cells, as many as titles.
        right: Titles of the columns that are set flush right.

    Returns:
        The lines, empty when there are no rows.
    """
    if not rows:
        return []
    kept = [place for place in range(len(head)) if any(row[place] for row in rows)]
    rule = ["--:" if head[place] in right else "---" for place in kept]
    lines = [[head[place] for place in kept], rule, *([row[place] or "–" for place in kept] for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]
