from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelbench import registry
from skelbench.blocks import Block, conflicts, read_card
from skelbench.data.types import DataRecipe
from skelbench.errors import RecipeError, UsageError
from skelbench.optimise import OptimRecipe
from skelbench.recipe import DEFAULTS, Ask, Resolved, default_choice, parse_override, resolve

NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self, spec, *, width: int = 4) -> None:
        super().__init__()
        self.out_channels = spec.channels

    def forward(self, x, slot):
        return x
"""


def ask(
    model: str = "lite", *overrides: str, dataset: str = "nw_ucla", method: str = "supervised", recipe: str = "default"
) -> Resolved:
    question = Ask(
        dataset=dataset, protocol="xview", model=model, method=method, recipe=recipe, overrides=overrides,
        prepare=("by-id", "centre-first:0"),
    )  # fmt: skip
    return resolve(question)


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "mynet.py"
    path.write_text(NET)
    return path


def write(path: Path, text: str) -> None:
    path.with_suffix(".toml").write_text(text)


def test_the_defaults_set_every_key() -> None:
    keys = {
        *(f"data.{name}" for name in DataRecipe.model_fields),
        *(f"optim.{name}" for name in OptimRecipe.model_fields),
    }
    first = read_card(DEFAULTS).recipe[0]
    assert set(first.values) == keys
    assert first.when == {}


def test_every_value_says_layer_and_source() -> None:
    found = ask("lite", "optim.lr=0.2").settings
    assert found["optim.lr"].layer == "-o"
    assert found["optim.clip"].layer == "runner"
    assert found["optim.epochs"].layer == "models/lite.toml when {dataset = nw_ucla}"
    assert found["model.kernel"].layer == "models/lite.py"
    assert all(setting.layer and setting.source for setting in found.values())
    assert list(found) == sorted(found)


def test_the_settings_are_what_the_run_gets() -> None:
    resolved = ask("lite", "model.kernel=3")
    assert resolved.model.values["kernel"] == resolved.settings["model.kernel"].value == 3
    assert resolved.optim.epochs == resolved.settings["optim.epochs"].value == 80


def test_a_model_named_by_path_runs_on_every_set_with_the_defaults(net: Path) -> None:
    resolved = ask(str(net), dataset="never_heard_of")
    assert resolved.model.name == "mynet"
    assert resolved.settings["data.prepare"].layer == "card"
    assert resolved.settings["optim.lr"].layer == "runner"
    small = ask(str(net), dataset="never_heard_of", recipe="small")
    assert (small.data.frames, small.optim.epochs) == (32, 15)


def test_more_conditions_win_and_a_tie_goes_to_the_method(net: Path, tmp_path: Path) -> None:
    method = tmp_path / "mymethod.py"
    method.write_text(
        "from torch import nn\nclass Way(nn.Module):\n    def __init__(self, encoder, task, spec): super().__init__()\n"
        "    def fit(self, batches): ...\n    def predict(self, batch): ...\n"
    )
    write(net, '[[recipe]]\nwhen = {}\nsource = "a"\noptim.lr = 1\noptim.clip = 1\noptim.epochs = 1\n'
               '[[recipe]]\nwhen = { dataset = "x", model = "mynet" }\nsource = "b"\noptim.clip = 3\n')  # fmt: skip
    write(method, '[[recipe]]\nwhen = {}\nsource = "c"\noptim.lr = 2\n'
                  '[[recipe]]\nwhen = { dataset = ["x", "y"] }\nsource = "d"\noptim.clip = 2\n')  # fmt: skip
    found = ask(str(net), dataset="x", method=str(method)).settings
    assert (found["optim.lr"].value, found["optim.lr"].source) == (2.0, "c")
    assert (found["optim.clip"].value, found["optim.clip"].source) == (3.0, "b")
    assert found["optim.epochs"].value == 1


def test_a_file_beats_the_blocks_and_an_override_beats_the_file(net: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('source = "a dream"\n[optim]\nlr = 0.5\nclip = 2\n')
    resolved = ask(str(net), "optim.lr=0.25", recipe=str(path))
    assert resolved.recipe == "mine"
    assert (resolved.optim.lr, resolved.optim.clip) == (0.25, 2.0)
    assert resolved.settings["optim.clip"].source == "a dream"


def test_of_a_reference_recipe_only_its_own_blocks_count(net: Path) -> None:
    write(net, '[[recipe]]\nwhen = { dataset = "x" }\nsource = "ours"\noptim.clip = 9\n'
               '[[recipe]]\nwhen = { recipe = "reference", dataset = "x" }\nsource = "A"\noptim.lr = 3\n')  # fmt: skip
    found = ask(str(net), dataset="x", recipe="reference").settings
    assert found["optim.lr"].source == "A"
    assert found["optim.clip"].layer == "runner"
    with pytest.raises(RecipeError, match=r"No recipe 'reference' for mynet with supervised on y"):
        ask(str(net), dataset="y", recipe="reference")


def test_a_recipe_that_no_block_names_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"No recipe 'smal' for lite .* Did you mean 'small'"):
        ask(recipe="smal")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("optim.lrr=1", "-o: unknown key 'optim.lrr'. Did you mean 'optim.lr'"),
        ("lr=1", "unknown key 'lr'. Did you mean 'optim.lr'"),
        ("model.kernle=3", "unknown key 'model.kernle'. Did you mean 'model.kernel'"),
        ("optim.lr=fast", "-o: optim.lr: .*number; found 'fast'"),
        ("optim.lr=nan", "finite"),
        ("method.label_smoothing=nan", "'method.label_smoothing' is nan: expected finite"),
        ("method.label_smoothing=-1e400", "'method.label_smoothing' is -inf"),
        ("data.frames=99999999999999999999", "data.frames: .*less than or equal to 1000000"),
        ("data.batch=99999999999999999999", "data.batch: .*less than or equal to 1000000"),
        ("optim.epochs=1.5", "-o: optim.epochs: .*integer"),
        ("optim.epochs=-1", "greater than or equal to 0"),
        ("optim.momentum=1", "less than 1"),
        ("optim.name=adam", "'sgd' or 'adamw'"),
        ("data.batch=0", "greater than or equal to 1"),
        ("data.batch='many'", "-o: data.batch"),
        ("optim.groups=[{ match = ['*'], decay = 1 }]", "unknown key 'groups.0.decay'"),
        ("optim.lr", "expected key=value"),
        ("=1", "expected key=value"),
        ("optim.lr=", "expected key=value"),
        ("optim.lr=[1", "not TOML"),
        ("optim.lr=1\noptim.clip=1", "more than one value"),
    ],
)
def test_a_wrong_override_is_named(override: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        ask("lite", override)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a.b=1", 1), ("a.b = 0.5", 0.5), ("a.b=true", True), ("a.b=adamw", "adamw"), ("a.b='x y'", "x y"),
        ('a.b=["by-id", "first:2"]', ["by-id", "first:2"]), ("a.b=1e-4", 1e-4), ("a.b=resample:1", "resample:1"),
    ],
)  # fmt: skip
def test_overrides_are_toml_and_bare_words(text: str, value: object) -> None:
    assert parse_override(text) == ("a.b", value)


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=40))
def test_any_text_is_an_override_or_a_recipe_error(text: str) -> None:
    try:
        key, _ = parse_override(text)
    except RecipeError:
        return
    assert key


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[recipe]", "cannot be read as TOML"),
        (".".join("a" * 200) + " = 1", "nested too deeply"),
        ('tittle = "x"', "unknown key 'tittle'. Did you mean 'title'"),
        ('[[recipe]]\nwhen = { dataset = "x" }', "'recipe.0.source' is missing"),
        ('[[recipe]]\nwhen = { data = "x" }\nsource = "a"', "recipe.0.when"),
        ('[[recipe]]\nwhen = {}\nsource = "a"\noptimm.lr = 1', "unknown key 'recipe.0.optimm'. Did you mean 'optim'"),
        ('[[recipe]]\nwhen = {}\nsource = "a"\noptim.lrr = 1', "models/mynet.toml when {}: unknown key 'optim.lrr'"),
        ("title = '''\xff'''", None),
    ],
)
def test_a_wrong_toml_beside_a_model_is_named(net: Path, text: str, words: str | None) -> None:
    if words is None:
        net.with_suffix(".toml").write_bytes(text.encode("latin-1"))
        words = "cannot be read as TOML"
    else:
        write(net, text)
    with pytest.raises(RecipeError, match=words):
        ask(str(net))


def test_a_recipe_file_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"nowhere.toml: cannot be read"):
        ask(recipe="nowhere.toml")
    path = tmp_path / "odd.toml"
    path.write_text("[optimm]\nlr = 1\n")
    with pytest.raises(RecipeError, match=r"'optimm' is no section of a recipe. Did you mean 'optim'"):
        ask(recipe=str(path))


def test_a_section_that_is_no_table_is_named(tmp_path: Path) -> None:
    path = tmp_path / "flat.toml"
    path.write_text("optim = 3\n")
    with pytest.raises(RecipeError, match=r"flat.toml: 'optim' is 3, expected a table such as \[optim\]"):
        ask(recipe=str(path))


def test_blocks_of_equal_rank_may_not_disagree(net: Path) -> None:
    blocks = [
        Block(when={"dataset": "x"}, source="a", optim={"lr": 1}),
        Block(when={"recipe": "small"}, source="b", optim={"lr": 2}),
        Block(when={"dataset": "y"}, source="c", optim={"lr": 3}),
        Block(when={"dataset": "x", "recipe": "small"}, source="d", optim={"lr": 4}),
    ]
    assert len(conflicts(blocks)) == 2  # small may meet x, and may meet y
    assert conflicts(blocks[::2]) == []
    write(net, '[[recipe]]\nwhen = { dataset = "x" }\nsource = "a"\noptim.lr = 1\n'
               '[[recipe]]\nwhen = { recipe = "small" }\nsource = "b"\noptim.lr = 2\n')  # fmt: skip
    with pytest.raises(RecipeError, match=r"'optim.lr' is set by when .* of equal rank"):
        ask(str(net), dataset="x", recipe="small")


def test_a_method_brings_its_model_and_nothing_brings_lite() -> None:
    assert default_choice(None, None) == ("lite", "supervised")
    assert default_choice(None, "posestats") == ("identity", "posestats")
    assert default_choice("lite", None) == ("lite", "supervised")
    with pytest.raises(UsageError, match=r"No 'postats' in skelbench.methods. Did you mean 'posestats'"):
        default_choice(None, "postats")


@pytest.mark.parametrize("recipe", ["default", "small"])
@pytest.mark.parametrize("dataset", ["nw_ucla", "penn_action", "ntu60", "ntu120", "another"])
@pytest.mark.parametrize("method", registry.names("methods"))
def test_every_method_has_a_recipe_for_every_set(method: str, dataset: str, recipe: str) -> None:
    model, _ = default_choice(None, method)
    assert ask(model, dataset=dataset, method=method, recipe=recipe).settings
