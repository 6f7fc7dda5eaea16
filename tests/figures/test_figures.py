import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import BboxBase
from PIL import Image
from scipy import stats

from skelbench.errors import RunError
from skelbench.figures import contents, draw, style
from skelbench.figures.calibration import reliability
from skelbench.figures.classes import Bar, bars
from skelbench.figures.confusion import matrix, most_confused
from skelbench.figures.curves import Epoch, curves
from skelbench.figures.draw import read_log
from skelbench.figures.style import drawing, image, short, wilson
from skelbench.record import read_record

ABOUT = "ntu60 xsub  ·  ctrgcn supervised joint, seed 0  ·  top1 88.88 % of 16487 test samples"
LINE = {"epoch": 0, "epochs": 3, "loss": 1.5, "parts": {"cross_entropy": 1.5}, "lr": 0.1, "seconds": 1.0}


@pytest.fixture(autouse=True)
def styled():
    with drawing():
        yield


def log(path: Path, *lines: dict) -> Path:
    file = path.with_name("log.jsonl")
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def confused(classes: int) -> tuple[np.ndarray, list[str]]:
    """Counts with some confusion, and names, some of them long."""
    rng = np.random.default_rng(classes)
    counts = np.diag(rng.integers(5, 300, classes)) + (rng.random((classes, classes)) < 0.1) * 7
    words = ("drink water", "put on a hat/cap", "use a fan (with hand or paper)/feeling warm and then some more of it")
    return counts, [f"{words[k % 3]}" for k in range(classes)]


def undrawn(axes: Axes) -> Iterator[Text]:
    """Labels of ticks beyond the ends of an axis, which matplotlib keeps and does not draw."""
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        for tick in axis.get_major_ticks():
            if not low - 1e-9 <= tick.get_loc() <= high + 1e-9:
                yield from (tick.label1, tick.label2)


Placed = list[tuple[str, BboxBase]]


def texts(figure: Figure) -> Placed:
    """Every visible text with its box on the paper."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    outside = {label for axes in figure.findobj(Axes) for label in undrawn(axes)}
    found = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    found = [text for text in found if text not in outside]
    boxes = [(text.get_text(), text.get_window_extent(canvas.get_renderer()), text.get_rotation()) for text in found]
    return [(name, box) for name, box, turned in boxes if turned in (0, 90)]  # a tilted box says nothing


def overlapping(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of texts that lie on each other by more than a hair."""
    return clashes(texts(figure))


def clashes(placed: Placed) -> list[tuple[str, str]]:
    """Pairs of boxes that overlap, by their names."""
    low = np.array([[box.x0, box.y0] for _, box in placed]) + 0.6
    high = np.array([[box.x1, box.y1] for _, box in placed]) - 0.6
    both = np.ones((len(placed), len(placed)), bool)
    for axis in (0, 1):
        both &= (low[:, None, axis] < high[None, :, axis]) & (low[None, :, axis] < high[:, None, axis])
    return [(placed[a][0], placed[b][0]) for a, b in np.argwhere(np.triu(both, 1))]


@pytest.mark.parametrize("classes", [2, 15, 20, 21, 25, 26, 60, 160])  # around where the drawing changes
def test_no_text_lies_on_another_in_a_confusion_matrix(classes: int) -> None:
    counts, names = confused(classes)
    assert overlapping(matrix(counts, names, ABOUT)) == []


def test_classes_whose_long_names_begin_alike_are_told_apart() -> None:
    names = [f"take a very long look at something that lies on the table, {end}" for end in "abc"]
    counts = np.full((3, 3), 4)
    listed = most_confused(counts, names, ABOUT)
    assert listed is not None
    made = [Bar(name, k, 0.5, 12) for k, name in enumerate(names)]
    ranked = bars(made, what="recall", mean=None, chance=None, about=ABOUT)
    for figure, count in ((matrix(counts, names, ABOUT), 3), (listed, 6), (ranked, 3)):
        labels = [tick.get_text() for axes in figure.findobj(Axes) for tick in axes.get_yticklabels()]
        assert len({label for label in labels if "take a very" in label}) == count


@pytest.mark.parametrize("classes", [2, 15, 60, 61, 120, pytest.param(400, marks=pytest.mark.slow)])
def test_no_text_lies_on_another_among_the_classes(classes: int) -> None:
    _, names = confused(classes)
    made = [Bar(name, k, k / classes, 10 + k, 1 - k / classes, 10 * k // classes) for k, name in enumerate(names)]
    figure = bars(made, what="recall", mean=0.5, chance=1 / classes, about=ABOUT)
    placed = texts(figure)
    assert clashes(placed) == []
    assert sum(name.endswith(")") and "(" in name for name, _ in placed) >= classes


@pytest.mark.parametrize("classes", [3, 60])
def test_no_text_lies_on_another_in_the_list_of_confusions(classes: int) -> None:
    counts, names = confused(classes)
    counts[0, 1] = 50
    figure = most_confused(counts, names, ABOUT)
    assert figure is not None
    assert overlapping(figure) == []


@pytest.mark.parametrize("epochs", [1, 2, 65, 300])
@pytest.mark.parametrize("watched", [{}, {"top1": 0.8, "nll": 0.4}])
def test_no_text_lies_on_another_beside_the_learning_curves(epochs: int, watched: dict) -> None:
    parts = {"cross_entropy": 0.4, "contrast": 0.2}
    lines = [Epoch(min(1, epoch // 40), 2 / (epoch + 1), parts, 0.1 * 0.9**epoch, watched) for epoch in range(epochs)]
    assert overlapping(curves(lines, ABOUT)) == []


def test_no_text_lies_on_another_in_the_calibration() -> None:
    rng = np.random.default_rng(0)
    target = rng.integers(0, 5, 200)
    assert overlapping(reliability(2 * np.eye(5)[target] + rng.normal(size=(200, 5)), target, ABOUT)) == []


def test_every_class_is_named_at_60_and_120() -> None:
    for classes in (60, 120):
        counts, _ = confused(classes)
        figure = matrix(counts, [f"action {k}" for k in range(classes)], ABOUT)
        placed = texts(figure)
        assert clashes(placed) == []
        shown = {name for name, _ in placed}
        assert {f"{k}  action {k} ({counts[k].sum()})" for k in range(classes)} <= shown
        sizes = [text.get_fontsize() for text in figure.axes[0].get_yticklabels()]
        assert min(sizes) >= 6


def test_all_figures_of_a_run_stand_beside_its_record(scored_run) -> None:
    path = scored_run()
    log(path, LINE, {**LINE, "epoch": 1, "loss": 1.0})
    drawn = draw(path)
    names = ("learning", "confusion", "confused", "classes", "calibration")
    assert drawn.written == tuple(
        path.parent / "figures" / f"{name}.{form}" for name in names for form in ("png", "svg")
    )
    assert drawn.left == ()
    for file in drawn.written:
        if file.suffix == ".png":
            with Image.open(file) as picture:
                assert min(picture.size) > 200
        else:
            assert file.read_text().startswith("<?xml")


def test_the_same_run_gives_the_same_bytes(scored_run, tmp_path) -> None:
    path = scored_run()
    log(path, LINE)
    first = {file.name: file.read_bytes() for file in draw(path).written}
    second = {file.name: file.read_bytes() for file in draw(path, tmp_path / "again").written}
    assert first == second
    assert not any(b"matplotlib" in content[:600] for name, content in first.items() if name.endswith("png"))


def test_a_published_record_gives_what_it_holds(scored_run, tmp_path) -> None:
    path = scored_run()
    published = tmp_path / "lite-seed0.json"
    published.write_bytes(path.read_bytes())
    drawn = draw(published)
    assert [file.name for file in drawn.written if file.suffix == ".png"] == [
        "confusion.png",
        "confused.png",
        "classes.png",
    ]
    assert drawn.written[0].parent == tmp_path / "lite-seed0-figures"
    assert drawn.left == (
        "learning: no log.jsonl beside the record",
        "calibration: no predictions.parquet beside the record",
    )


def test_other_kinds_of_targets_have_figures_of_their_own(scored_run) -> None:
    rng = np.random.default_rng(1)
    multi = scored_run(name="m", target=rng.choice([0.0, 1.0, np.nan], (60, 4)).astype(np.float32))
    score = scored_run(name="s", target=rng.normal(size=60).astype(np.float32))
    assert [file.name for file in draw(multi).written] == ["classes.png", "classes.svg"]
    assert [file.name for file in draw(score).written] == ["scores.png", "scores.svg"]


def test_a_run_without_an_error_has_no_confusions_to_list(scored_run) -> None:
    drawn = draw(scored_run(skill=50.0))
    assert "confused: nothing was confused" in drawn.left


def test_a_run_that_is_not_done_is_not_drawn(scored_run) -> None:
    with pytest.raises(RunError, match="state failed; there is nothing to draw"):
        draw(scored_run(state="failed", metrics={}))


def test_names_that_markup_or_fonts_trip_over_are_drawn(scored_run) -> None:
    counts, _ = confused(4)
    names = ["costs $5 and $6", "tabs\tand\nlines", "喝水", "x" * 300]
    assert len(image(matrix(counts, names, ABOUT), "png")) > 1000
    assert short(names[1]) == "tabs and lines"
    assert len(short(names[3])) == 44


def test_a_log_of_stages_is_read_in_their_order(tmp_path) -> None:
    path = log(
        tmp_path / "record.json", LINE, {**LINE, "stage": 1, "watched": {"top1": 0.5}}, {**LINE, "watched": None}
    )
    epochs = read_log(path)
    assert [epoch.stage for epoch in epochs] == [0, 0, 1]
    assert epochs[-1].watched == {"top1": 0.5}


def test_a_line_cut_short_by_a_kill_is_left_out_and_other_damage_is_named(tmp_path) -> None:
    path = log(tmp_path / "record.json", LINE, LINE)
    path.write_text(path.read_text()[:-20])
    assert len(read_log(path)) == 1
    for damage in ('{"loss": "low"}\n', "[1]\n", '{"loss": NaN, "lr": 0.1}\n', "{}\n"):
        path.write_text(damage + json.dumps(LINE) + "\n")
        with pytest.raises(RunError, match=r"log\.jsonl, line 1: no epoch of a training"):
            read_log(path)


@pytest.mark.parametrize(("hits", "of"), [(0, 5), (5, 5), (3, 17), (120, 121)])
def test_the_interval_of_a_share_is_wilsons(hits: int, of: int) -> None:
    theirs = stats.binomtest(hits, of).proportion_ci(method="wilson")
    assert wilson(hits, of) == pytest.approx((theirs.low, theirs.high), abs=1e-6)
    assert wilson(0, 0) == (0, 1)


def test_matplotlibs_own_settings_are_left_alone(scored_run) -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    with drawing():
        pass
    assert dict(mpl.rcParams) == before
    assert read_record(scored_run()).state == "done"


def test_a_name_without_a_font_for_its_letters_is_a_number_in_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(style, "_further", lambda: ())
    style._letters.cache_clear()
    try:
        assert style.drawn("drink water") == "drink water"
        assert style.drawn("척추의 중립") == ""
        rows = [{"class": "squat", "samples": 3}, {"class": "척추의 중립", "samples": 2}]
        (axes,) = contents.classes("own", "label", rows).axes
        assert [label.get_text() for label in axes.get_yticklabels()] == ["squat", "class 1"]
    finally:
        style._letters.cache_clear()
