r"""A board as LaTeX: tables for a paper, by booktabs, in plain ASCII that any LaTeX of this century sets.

Letters with accents become accent commands, and what a text font has no letter for becomes its number, `[U+4E2D]`:
what is exported never stops a compilation, whoever gave a model its name.
"""

import re
import unicodedata
from collections.abc import Sequence

from skelbench.leaderboard import cells, columns
from skelbench.leaderboard.collect import Board, Table
from skelbench.leaderboard.columns import Grid
from skelbench.leaderboard.markdown import plain
from skelbench.leaderboard.published import Published

MARK = "% Made by `skelbench leaderboard --latex` from records; changes by hand are lost."
PACKAGES = r"% Needs \usepackage{booktabs} and \usepackage{graphicx}; a table wider than the page is scaled down to it."

_SIGNS = {
    **{"\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "#": r"\#", "$": r"\$", "%": r"\%", "&": r"\&", "_": r"\_"},
    **{"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}"},
    **{"|": r"\textbar{}", '"': r"{\char34}", "'": r"{\char39}", "`": r"{\char96}"},
    **{"[": "{[}", "*": "{*}"},  # after the end of a row they would be read as its arguments
    **{"–": "--", "—": "---", "‘": "{`}", "’": "{'}", "“": "{``}", "”": "{''}", "…": r"\ldots{}"},
    **{"±": r"$\pm$", "×": r"$\times$", "−": "$-$", "·": r"$\cdot$", "→": r"$\to$", "≤": r"$\leq$", "≥": r"$\geq$"},
    **{"µ": r"$\mu$", "°": r"$^{\circ}$", "²": "$^{2}$", "³": "$^{3}$", "ß": r"\ss{}", "ı": r"\i{}", "§": r"\S{}"},
    **{"æ": r"\ae{}", "Æ": r"\AE{}", "œ": r"\oe{}", "Œ": r"\OE{}", "ø": r"\o{}", "Ø": r"\O{}", "ł": r"\l{}"},
    "Ł": r"\L{}",
}
_ACCENTS = {
    **{"\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u", "\u0307": "."},
    **{"\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0327": "c"},
}
_MINUS = re.compile(r"(?<![\w.)-])-(?=\d)")
_LIGATURE = re.compile(r"(?<=-)(?=-)|(?<=,)(?=,)")  # where two signs would be drawn as one


def board_latex(board: Board, published: Sequence[Published]) -> str:
    """The tables of one data set and protocol.

    Args:
        board: Its tables.
        published: Every printed value there is; those that belong here are picked, none for synthetic recordings.

    Returns:
        LaTeX for `input`, in ASCII, the same for the same records.
    """
    parts = [
        _tables(board, place, part, columns.picked(board, part, published))
        for place, part in enumerate(board.tables, start=1)
    ]
    return "\n\n".join(["\n".join([MARK, PACKAGES]), *parts]) + "\n"


def escape(text: str) -> str:
    """Text that LaTeX sets as it is: no command, no argument, no end of a cell or line is left in it."""
    parts = _LIGATURE.split(unicodedata.normalize("NFC", _MINUS.sub("−", plain(text))))
    return "{}".join("".join(map(_letter, part)) for part in parts)


def _letter(letter: str) -> str:
    """One character in ASCII."""
    if letter in _SIGNS:
        return _SIGNS[letter]
    if letter.isascii():
        return letter
    parts = unicodedata.normalize("NFD", letter)
    if len(parts) == 2 and parts[0].isascii() and parts[0].isalpha() and parts[1] in _ACCENTS:
        return f"\\{_ACCENTS[parts[1]]}{{{parts[0]}}}"
    return f"{{[}}U+{ord(letter):04X}]"


def _tables(board: Board, place: int, part: Table, published: Sequence[Published]) -> str:
    """Two floating tables, results and what they cost, and the commands that repeat their rows."""
    title = f"{columns.board_title(board)}: {columns.title(part)}"
    label = re.sub(r"[^a-z0-9]+", "-", f"{columns.board_title(board)} {place}".lower())
    ranked = columns.results(part, published).without([*map(cells.metric_title, columns.secondary(part)), "key"])
    caption = ". ".join([title, *filter(None, [columns.about(part).rstrip(".")])])
    lines = [
        *_float(caption, label, ranked),
        *_float(f"{title}. Further metrics and costs", f"{label}-costs", columns.costs(part)),
    ]
    notes = [f"{cells.key(row)}: {cells.command(row)}" for row in part.rows]
    shown = {value.paper: value.document for row in part.rows for value in cells.matching(row, published)}
    notes += [f"{paper}: {document}" for paper, document in sorted(shown.items())]
    return "\n".join([*lines, *(f"% {_comment(note)}" for note in notes)])


def _float(caption: str, label: str, grid: Grid) -> list[str]:
    """One floating table as wide as the page at most."""
    lines = [
        r"\begin{table*}",
        r"  \centering\small",
        rf"  \caption{{{escape(caption)}.}}",
        rf"  \label{{tab:{label}}}",
    ]
    lines += [r"  \resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"]
    return [*lines, *_tabular(grid), "  }", r"\end{table*}"]


def _tabular(grid: Grid) -> list[str]:
    """The rows of a grid between rules."""
    aligned = "".join("r" if grid.head[place] in grid.right else "l" for place in grid.kept)
    head, *rows = [
        " & ".join(escape(line[place]) or "--" for place in grid.kept) + r" \\" for line in (grid.head, *grid.rows)
    ]
    lines = [rf"\begin{{tabular}}{{{aligned}}}", r"  \toprule", f"  {head}", r"  \midrule"]
    lines += [*(f"  {row}" for row in rows), r"  \bottomrule", r"\end{tabular}%"]
    return [f"    {line}" for line in lines]


def _comment(text: str) -> str:
    """Text in a comment, which ends with its line."""
    return plain(text).encode("ascii", "backslashreplace").decode()
