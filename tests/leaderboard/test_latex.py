import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelbench.errors import UsageError
from skelbench.leaderboard.boards import build, check
from skelbench.leaderboard.latex import escape

Keep = Callable[..., Path]
Fused = Callable[..., dict[str, Any]]
COMMAND = re.compile(r"\\(?:[a-zA-Z]+|[^a-zA-Z])")
MATH = re.compile(r"\$(?:-|\\[a-z]+|\^\{(?:2|3|\\circ)\})\$")
KNOWN = {
    *(
        r"\begin",
        r"\end",
        r"\centering",
        r"\small",
        r"\caption",
        r"\label",
        r"\resizebox",
        r"\ifdim",
        r"\width",
        r"\linewidth",
    ),
    *(r"\else", r"\fi", r"\toprule", r"\midrule", r"\bottomrule", r"\\", r"\pm", r"\char"),
    *(r"\textless", r"\textgreater", r"\textbackslash", r"\textasciitilde", r"\textasciicircum", r"\textbar"),
    *(rf"\{sign}" for sign in "_%&#${}'`^\"~=.urHvc"),
}


def tex(folder: Path, name: str = "nw_ucla-xview.tex") -> str:
    build(folder / "runs", folder / "records", folder / "boards", tex=True)
    return (folder / "boards" / name).read_text(encoding="ascii")


def depth_at_end(text: str) -> int:
    """How many groups stay open; fails where one is closed that was not opened."""
    depth = 0
    for sign in re.sub(r"\\[\\{}]", "", text):
        depth += (sign == "{") - (sign == "}")
        assert depth >= 0
    return depth


def strict(text: str) -> None:
    """Hold a file against what LaTeX would stumble over."""
    code = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert code.isascii()
    assert depth_at_end(code) == 0
    opened: list[str] = []
    for what, name in re.findall(r"\\(begin|end)\{([a-z*]+)\}", code):
        if what == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert not opened
    for body in re.findall(r"\\begin\{tabular\}(.*?)\\end\{tabular\}", code, re.DOTALL):
        columns = len(re.sub(r"[{}]", "", body.splitlines()[0]))
        lines = [line for line in body.splitlines() if line.endswith(r" \\")]
        assert len(lines) >= 2
        assert {len(re.findall(r"(?<!\\)&", line)) + 1 for line in lines} == {columns}
        assert not any(re.match(r"\s*[\[*]", line) for line in lines)
    bare = MATH.sub("", COMMAND.sub(lambda sign: "" if sign[0] == r"\$" else sign[0], code))
    assert not set("^_#$") & set(COMMAND.sub("", bare))
    assert all(line.endswith("%") for line in COMMAND.sub("", code).splitlines() if "%" in line)


def test_a_board_becomes_tables_of_booktabs(tmp_path: Path, keep: Keep) -> None:
    for seed in range(3):
        keep(seed=seed, top1=0.9 + seed / 100, model="ctrgcn", interval=(0.85, 0.95))
    text = tex(tmp_path)
    strict(text)
    assert set(COMMAND.findall(text)) <= KNOWN | {r"\usepackage"}
    assert r"\caption{nw\_ucla, xview: supervised, all labels. 464 test samples, 10 classes. Primary metric" in text
    assert r"1 & ctrgcn & supervised & joint & default & 91.00 $\pm$ 2.48 (n = 3) & 85.00 to 95.00 & 94.6 (best" in text
    assert r"94.6 (best-on-test; cacl, Table 2) & $-$3.60 (best-on-test) \\" in text
    assert r"  ctrgcn & supervised & joint & default & 50.00 & 79,306 & 0.0213 & 3.2 min & cpu \\" in text
    assert "% ffffffff: skelbench run --dataset nw_ucla\n" in text
    assert "% cacl: Class-aware contrastive learning" in text


def test_every_table_of_a_board_is_there_with_a_label_of_its_own(tmp_path: Path, keep: Keep) -> None:
    keep()
    keep(labels=0.05, model="posestats")
    text = tex(tmp_path)
    strict(text)
    assert re.findall(r"\\label\{(.*?)\}", text) == [
        *("tab:nw-ucla-xview-1", "tab:nw-ucla-xview-1-costs", "tab:nw-ucla-xview-2", "tab:nw-ucla-xview-2-costs")
    ]
    assert r"supervised, 5 \% of the labels" in text


def test_names_cannot_break_out_of_latex_either(tmp_path: Path, keep: Keep) -> None:
    evil = "a&b\\\\ \\input{/etc/passwd} }{ % $x^2$ #1 _~^\n\\end{tabular} [x] *y é ł 中 \u202e \"q\" 'r' `s` --x ,,"
    keep(model=evil, command=f"run {evil}", recipe="[2cm]")
    text = tex(tmp_path)
    strict(text)
    assert r"\textbackslash{}input\{/etc/passwd\}" in text
    assert r"\'{e} \l{} {[}U+4E2D]" in text
    assert "-{}-x ,{}," in text


def test_synthetic_tables_stand_apart_and_say_so(tmp_path: Path, keep: Keep) -> None:
    keep(model="ctrgcn", synthetic={"generator": "skelbench", "seed": 0})
    text = tex(tmp_path, "synthetic/nw_ucla-xview.tex")
    strict(text)
    assert r"\caption{Synthetic: nw\_ucla, xview:" in text
    assert "94.6" not in text


def test_fusions_and_incomplete_rows_fit_too(tmp_path: Path, keep: Keep, fused: Fused) -> None:
    keep(**fused("joint", "bone", model="ctrgcn", controls=[("joint", 0.92)]))
    keep(model="posestats", limit=64)
    text = tex(tmp_path)
    strict(text)
    assert "fuse:joint,bone & default & 90.00 (n = 1) & 92.00 (2 seeds of joint)" in text
    assert "-{}-limit 64" in text


@settings(max_examples=300, deadline=None)
@given(st.text())
def test_whatever_a_cell_says_it_is_text(text: str) -> None:
    strict("\n".join([r"\begin{tabular}{l}", r"  head \\", rf"  {escape(text)} \\", r"\end{tabular}"]))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("nw_ucla", r"nw\_ucla"),
        ("-0.60", "$-$0.60"),
        ("0.5-1", "0.5-1"),
        ("2s-AGCN", "2s-AGCN"),
        ("± – ×", r"$\pm$ -- $\times$"),
        ("Žižek Müller", r"\v{Z}i\v{z}ek M\"{u}ller"),
    ],
)
def test_ordinary_text_reads_as_it_should(text: str, shown: str) -> None:
    assert escape(text) == shown


def test_latex_is_written_on_demand_and_kept_up_from_then_on(tmp_path: Path, keep: Keep) -> None:
    runs, records, out = (tmp_path / name for name in ("runs", "records", "boards"))
    keep()
    build(runs, records, out)
    assert not list(out.rglob("*.tex"))
    assert check(runs, records, out, tex=True) == [f"{out / 'nw_ucla-xview.tex'} is missing."]
    build(runs, records, out, tex=True)
    assert check(runs, records, out) == []
    before = (out / "nw_ucla-xview.tex").read_bytes()
    keep(seed=1)
    assert f"{out / 'nw_ucla-xview.tex'} is not what the records say." in check(runs, records, out)
    build(runs, records, out)
    assert check(runs, records, out) == []
    assert (out / "nw_ucla-xview.tex").read_bytes() != before


def test_stale_latex_goes_and_that_of_others_stays(tmp_path: Path, keep: Keep) -> None:
    path = keep()
    tex(tmp_path)
    (tmp_path / "boards" / "paper.tex").write_text("mine")
    path.unlink()
    keep(dataset="penn_action", key="7" * 64)
    built = build(tmp_path / "runs", tmp_path / "records", tmp_path / "boards")
    assert tmp_path / "boards" / "nw_ucla-xview.tex" in built.removed
    assert (tmp_path / "boards" / "paper.tex").read_text() == "mine"
    (tmp_path / "boards" / "penn_action-xview.tex").write_text("mine")
    with pytest.raises(UsageError, match=r"penn_action-xview\.tex was not made by this command"):
        tex(tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX on this machine")
def test_latex_sets_it(tmp_path: Path, keep: Keep, fused: Fused) -> None:
    keep(model="evil & \\ {} $ % # _ ~ ^ é ł 中 \u202e \" ' ` < > | [x] *", top1=0.5)
    keep(**fused("joint", "bone", model="ctrgcn", controls=[("joint", 0.92)]))
    tex(tmp_path)
    text = r"\documentclass[twocolumn]{article}\usepackage{booktabs}\usepackage{graphicx}\begin{document}"
    (tmp_path / "paper.tex").write_text(text + r"\input{boards/nw_ucla-xview.tex}\end{document}")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout
