import subprocess
import sys

import pytest

from skelbench.cli import VERBS

HEAVY = ("torch", "pandas", "numpy", "pyarrow", "h5py", "pydantic", "scipy", "sklearn", "matplotlib")


def loaded_after(code: str) -> set[str]:
    """Heavy packages that a fresh interpreter has loaded after some code."""
    text = f"import sys\n{code}\nprint(*(name for name in {HEAVY!r} if name in sys.modules))"
    run = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    return set(run.stdout.splitlines()[-1].split()) if run.stdout.splitlines() else set()


def calling(verb: str) -> str:
    """Code that calls skelbench and goes on."""
    return (
        f"import sys\nsys.argv = ['skelbench', {verb!r}]\nfrom skelbench.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass"
    )


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_with_an_example(skelbench, verb) -> None:
    said = skelbench(verb, "--help")
    assert said.code == 0
    assert f"skelbench {verb}" in said.out.split("Example", 1)[1]


def test_the_help_names_every_verb_and_loads_nothing_heavy(skelbench) -> None:
    said = skelbench("--help")
    assert said.code == 0
    assert all(f"  {verb} " in said.out for verb in VERBS)
    assert loaded_after(calling("--help")) == set()


def test_importing_skelbench_loads_nothing_heavy() -> None:
    assert loaded_after("import skelbench") == set()


def test_listing_loads_no_torch() -> None:
    assert "torch" not in loaded_after(calling("list"))


def test_an_unknown_verb_is_met_with_the_nearest(skelbench) -> None:
    said = skelbench("covnert", "ntu60")
    assert said.code == 2
    assert "Did you mean 'convert'" in said.err


def test_an_unknown_option_is_met_with_the_nearest(skelbench) -> None:
    said = skelbench("convert", "ntu60", "--rwa", "x")
    assert said.code == 2
    assert "--raw" in said.err
