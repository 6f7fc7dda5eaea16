import json

import pytest

from skelbench.cli.compare import _points


def test_two_runs_are_set_against_each_other(skelbench, scored_run) -> None:
    a, b = (
        str([scored_run(name=name, seed=seed, skill=skill).parent.parent for seed in range(3)][-1])
        for name, skill in (("a", 0.5), ("b", 4.0))
    )
    said = skelbench("compare", a, b)
    assert said.code == 0, said.err
    for words in (
        "B - A",
        "interval over 9 subjects",
        "over seeds",
        "B is better",
        "McNemar",
        "class 0",
        "what differs",
    ):
        assert words in said.out
    found = json.loads(skelbench("compare", a, b, "--json").out)
    assert found.keys() >= {"metric", "difference", "interval", "over", "mcnemar", "classes", "differs", "better"}
    assert found["better"] == "B"
    same = skelbench("compare", a, a)
    assert "not told apart" in same.out
    assert "nothing differs" in same.out


@pytest.mark.parametrize(
    ("value", "text"), [(-1e-17, "+0.00 points"), (-0.0104, "-1.04 points"), (None, "not defined")]
)
def test_a_difference_of_nothing_has_no_minus(value: float | None, text: str) -> None:
    assert _points(value, "top1") == text


def test_one_seed_a_side_says_that_it_is_one(skelbench, scored_run) -> None:
    a, b = (str(scored_run(name=name, subjects=(1,) * 60)) for name in "ab")
    said = skelbench("compare", a, b)
    assert "no interval: 1 subjects" in said.out
    assert "what other seeds would give is not known" in said.out


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"samples": 61}, "other samples"), ({"classes": 5}, "other classes"), (None, "No run nothing")],
)
def test_what_cannot_be_compared_is_exit_code_2(skelbench, scored_run, changes, words) -> None:
    one = scored_run()
    other = "nothing" if changes is None else scored_run(name="b", **changes)
    said = skelbench("compare", one, other)
    assert said.code == 2
    assert words in said.err
