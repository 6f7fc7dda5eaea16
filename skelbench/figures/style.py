"""How figures look: one font, colours that colour-blind readers tell apart, the same bytes for the same numbers.

Nothing here touches matplotlib's global state: figures are made without pyplot, and settings hold only inside
`drawing`.
"""

import io
import math
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font

# Okabe and Ito's palette, https://jfly.uni-koeln.de/color/
BLUE, ORANGE, RED, GREEN, SKY = "#0072B2", "#E69F00", "#D55E00", "#009E73", "#56B4E9"
INK, GREY, LIGHT = "#222222", "#666666", "#DDDDDD"
LONGEST = 44  # letters of a class name that are shown

_SETTINGS: dict[Any, Any] = {
    **{"font.family": "DejaVu Sans", "font.size": 9.0, "text.parse_math": False, "text.color": INK},
    **{"axes.edgecolor": GREY, "axes.labelcolor": INK, "axes.spines.top": False, "axes.spines.right": False},
    **{"axes.linewidth": 0.8, "axes.unicode_minus": True, "xtick.color": GREY, "ytick.color": GREY},
    **{"xtick.labelcolor": INK, "ytick.labelcolor": INK, "legend.frameon": False, "legend.fontsize": 8.0},
    **{"svg.hashsalt": "skelbench", "svg.fonttype": "path", "figure.dpi": 100.0, "savefig.dpi": 150.0},
    **{"savefig.bbox": "tight", "savefig.pad_inches": 0.2, "path.simplify": False},
}
# Fonts with the letters of Chinese, Japanese and Korean that systems bring along; the font above has none of them.
_FURTHER = (
    *("Noto Sans CJK KR", "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans KR", "NanumGothic", "Malgun Gothic"),
    *("Apple SD Gothic Neo", "Microsoft YaHei", "PingFang SC", "Hiragino Sans", "Yu Gothic", "WenQuanYi Micro Hei"),
)
_METADATA = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}  # no date, no version


@contextmanager
def drawing() -> Iterator[None]:
    """Our settings, and as before afterwards."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS | {"font.family": [_SETTINGS["font.family"], *_further()]})
        yield


def panels(width: float, *heights: float, gap: float = 0.75) -> tuple[Figure, list[Axes]]:
    """Axes of a size in inches, one below the other; labels and titles may reach beyond, the paper grows with them.

    Args:
        width: Of all, in inches.
        heights: Of each, from the top.
        gap: Between two, in inches.

    Returns:
        The figure and its axes.
    """
    whole = sum(heights) + gap * (len(heights) - 1)
    figure = Figure(figsize=(width, whole))
    top, made = whole, []
    for height in heights:
        made.append(figure.add_axes((0.0, (top - height) / whole, 1.0, height / whole)))
        top -= height + gap
    return figure, made


def title(axes: Axes, text: str, below: str = "", *, above: float = 0.0) -> None:
    """A title flush with the left edge of the axes, and a smaller line below it.

    Args:
        axes: What it is the title of.
        text: What the figure shows.
        below: Of which run, with its result.
        above: Points to leave free between axes and titles.
    """
    low = 8 + above
    for line, size, weight, colour, height in (
        (below, 8.5, "normal", GREY, low),
        (text, 11.5, "bold", INK, low + (14 if below else 0)),
    ):
        axes.annotate(
            line,
            xy=(0, 1),
            xycoords="axes fraction",
            xytext=(0, height),
            textcoords="offset points",
            fontsize=size,
            fontweight=weight,
            color=colour,
            annotation_clip=False,
        )


def image(figure: Figure, form: str) -> bytes:
    """A figure as PNG or SVG, the same bytes each time."""
    sink = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # in names of others: a box
        figure.savefig(sink, format=form, metadata=_METADATA[form])
    return sink.getvalue()


def short(name: str, longest: int = LONGEST) -> str:
    """A name on one line, cut where it is too long."""
    visible = "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in name)
    line = " ".join(visible.split())
    return line if len(line) <= longest else f"{line[: longest - 1].rstrip()}…"


def drawn(name: str, longest: int = LONGEST) -> str:
    """A name as `short` makes it; empty where this machine has no font with all of its letters."""
    line = short(name, longest)
    return line if all(ord(letter) in _letters() for letter in line) else ""


@cache
def _further() -> tuple[str, ...]:
    """The further fonts that this machine has."""
    there = {font.name for font in font_manager.fontManager.ttflist}
    return tuple(name for name in _FURTHER if name in there)


@cache
def _letters() -> frozenset[int]:
    """Code points that can be drawn."""
    fonts = (font_manager.findfont(name) for name in (_SETTINGS["font.family"], *_further()))
    return frozenset().union(*(FT2Font(font).get_charmap() for font in fonts))


def wilson(hits: int, of: int) -> tuple[float, float]:
    """95 % interval of a share.

    Source: Wilson, Probable Inference, the Law of Succession, and Statistical Inference, JASA 1927.
    """
    if of == 0:
        return 0.0, 1.0
    z = 1.959964
    share, widen = hits / of, z * z / of
    centre = (share + widen / 2) / (1 + widen)
    half = z * math.sqrt(share * (1 - share) / of + widen / (4 * of)) / (1 + widen)
    return centre - half, centre + half
