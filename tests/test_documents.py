"""What the documents say is tried: their commands run, their Python runs, their tables are those of the boards."""

import inspect
import re
import shlex
import shutil
from pathlib import Path

import pytest

from skelbench.blocks import StageTable
from skelbench.cli import cli
from skelbench.data.clips import OPERATIONS, SAMPLING
from skelbench.data.types import DataRecipe
from skelbench.optimise import OptimRecipe
from skelbench.prepare.run import GROUPINGS, ON_LAYOUT
from skelbench.prepare.steps import STEPS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RAW = {"ntu60": "nturgbd_skeletons_s001_to_s017.zip", "nw_ucla": "all_sqe.zip", "penn_action": "labels.zip"}
FAST = "-o optim.epochs=1 -o data.batch=8"  # of a training: whether it runs, not what it reaches


def fences(page: Path, language: str) -> list[str]:
    return [text for name, text in FENCE.findall(page.read_text(encoding="utf-8")) if name == language]


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    """Made-up raw data under the names that the documents use, and the stores made from them."""
    folder = tmp_path_factory.mktemp("raw")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, file in RAW.items():
            cli.main(["synth", name, "--samples", "72", "--zip", "--out", name], standalone_mode=False)
            shutil.move(folder / name / f"{name}.zip", folder / file)
            cli.main(["convert", name, "--raw", file], standalone_mode=False)
    return folder


@pytest.fixture
def desk(raw) -> None:
    """The test's own folder as a reader's: the raw data, the stores, and the models, methods and recipes shown."""
    shutil.copytree(raw, ".", dirs_exist_ok=True)
    for text in fences(ROOT / "CONTRIBUTING.md", "python"):
        named = re.match(r"# (\w+\.py)\n", text)
        assert named, text
        Path(named[1]).write_text(text)
    for text in fences(ROOT / "docs" / "recipes.md", "toml"):
        named = re.match(r"# (\w+\.toml)\n", text)
        assert named, text
        Path(named[1]).write_text(text)


def test_every_command_in_the_documents_runs(desk, capsys) -> None:
    lines = [line for page in PAGES for text in fences(page, "") for line in text.splitlines()]
    commands = list(dict.fromkeys(line.split("#")[0].strip() for line in lines if line.startswith("skelbench ")))
    assert len(commands) >= 8
    for command in commands:
        words = shlex.split(command)[1:]
        if words[0] == "demo":
            continue  # `make demo` is run by CI
        if words[0] == "run" and "--dry-run" not in words and "--method" not in words:
            words += shlex.split(FAST)
        assert not cli.main(words, standalone_mode=False), command


@pytest.mark.parametrize("page", [page for page in PAGES if fences(page, "python")], ids=lambda page: page.name)
def test_the_python_in_the_documents_runs(desk, page, capsys) -> None:
    for text in fences(page, "python"):
        made_up = re.sub(r'data\["\w+"\]', "data[0]", text)  # the ids of real recordings are not there
        exec(compile(made_up, str(page), "exec"), {})


def test_every_step_is_documented_in_its_own_words() -> None:
    text = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    steps = {
        **GROUPINGS,
        **STEPS,
        **ON_LAYOUT,
        **SAMPLING,
        **{name: operation.draw for name, operation in OPERATIONS.items()},
    }
    for name, function in steps.items():
        arguments = ",".join(list(inspect.signature(function).parameters)[1:])
        shown = f"{name}:{arguments}" if arguments else name
        assert f"| `{shown}` | {(inspect.getdoc(function) or '').splitlines()[0]} |" in text


def test_every_key_of_a_recipe_and_of_a_stage_is_documented() -> None:
    text = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    keys = [f"data.{name}" for name in DataRecipe.model_fields] + [f"optim.{name}" for name in OptimRecipe.model_fields]
    for key in (*keys, *StageTable.model_fields):
        assert re.search(rf"^\|.*`{re.escape(key)}`.*\|", text, re.MULTILINE), key


def test_every_number_in_the_readme_table_stands_on_a_board() -> None:
    pages = [ROOT / "README.md", *(ROOT / "leaderboards").glob("*.md")]
    readme, *tables = [page.read_text(encoding="utf-8").replace("\u00a0", " ") for page in pages]
    boards = "\n".join(tables)
    rows = [line for line in readme.splitlines() if re.match(r"\| .*\d ±", line)]
    assert rows
    for row in rows:
        cells = [cell.strip(" *") for cell in row.strip("|").split("|")]
        assert any(all(f"| {cell} " in line for cell in cells if cell) for line in boards.splitlines()), row
