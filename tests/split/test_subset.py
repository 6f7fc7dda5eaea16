"""Folds, few labels, and validation parts, on stores made of columns alone."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skelbench.card import Card, TargetCard
from skelbench.errors import CardError, SplitError, UsageError
from skelbench.sample import Sample
from skelbench.skeletons import load_layout
from skelbench.split import Split, resolve, resolve_folds
from skelbench.store.reader import Store, open_store
from skelbench.store.schema import Origin, RawDigest
from skelbench.store.writer import write_store
from skelbench.subset import carve, few_labels, limited

HEAD = '[protocols.one]\ntitle = "Standard"\nsource = "ours"\n'
REST = 'train = { part = [0] }\ntest = "rest"\n'
TARGETS = {
    "label": TargetCard(classes=("walk", "sit", "stand")),
    "tags": TargetCard(kind="multi", classes=("left", "right")),
    "quality": TargetCard(kind="score"),
}
CARD = Card(
    name="tiny", title="Tiny", layout=load_layout("penn13"), channels=("u", "v"), units={"u": "pixel", "v": "pixel"},
    fps=30, pose_source="drawn", persons=2, targets=TARGETS, licence="none", obtain="here", citation="none", raw="none",
)  # fmt: skip

Made = Callable[..., Store]


def row(number: int, label: int, **columns: Any) -> Sample:
    targets = {"label": label, "tags": (int(label == 0), int(label < 2)), "quality": float(number)}
    return Sample(
        sample_id=f"s{number:04}",
        n_frames=1,
        frame=np.zeros(0, np.uint32),
        person=np.zeros(0, np.int64),
        keypoints=np.zeros((0, 13, 2), np.float32),
        score=None,
        targets=targets,
        segments=(),
        meta={"part": 0, **columns},
    )


@pytest.fixture
def store(tmp_path: Path) -> Made:
    numbers = count()

    def made(samples: list[Sample]) -> Store:
        folder = tmp_path / f"store{next(numbers)}"
        raw = RawDigest(files=0, bytes=0, sha256="0" * 64)
        origin = Origin(converter="tiny", skelbench="0", request="0", raw=raw, planned=0)
        write_store(folder, CARD, origin, samples=samples, lengths=[0] * len(samples), rejects=[])
        return open_store(folder)

    return made


@pytest.fixture
def split_file(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        path = tmp_path / "tiny.toml"
        path.write_text(HEAD + text)
        return str(path)

    return write


def people(persons: int = 5, each: int = 6) -> list[Sample]:
    return [row(place, place % 3, subject=place // each, take=f"t{place // 2}") for place in range(persons * each)]


def subjects(store: Store, places: tuple[int, ...]) -> set[int]:
    return set(store.table["subject"].iloc[list(places)].tolist())


@pytest.mark.parametrize(("number", "sizes"), [(None, [6] * 5), (2, [18, 12]), (5, [6] * 5)])
def test_folds_share_no_value_and_score_each_sample_once(
    store: Made, split_file: Callable[[str], str], number: int | None, sizes: list[int]
) -> None:
    made = store(people())
    more = "" if number is None else f", count = {number}"
    folds = resolve_folds(made, splits=split_file(f'folds = {{ by = "subject"{more} }}'))
    assert [len(split.test) for split in folds] == sizes
    assert [(split.fold, split.folds) for split in folds] == [(place, len(sizes)) for place in range(len(sizes))]
    assert Counter(place for split in folds for place in split.test) == Counter(range(30))
    for split in folds:
        assert not subjects(made, split.train) & subjects(made, split.test)
        assert len(split.train) + len(split.test) == 30
    assert len({split.digest for split in folds}) == 1


def test_folds_may_be_named_by_the_source(store: Made, split_file: Callable[[str], str]) -> None:
    made = store(people())
    path = split_file('folds = { by = "subject", groups = [[0, 3], [1, 2]] }')
    first, second = resolve_folds(made, splits=path)
    assert (subjects(made, first.test), subjects(made, second.test)) == ({0, 3}, {1, 2})
    assert first.left_out == 6  # of the fifth subject
    assert resolve(made, splits=path, fold=1) == second
    assert resolve(made, splits=path) == first
    with pytest.raises(UsageError, match="no fold 2; there are the folds 0 to 1"):
        resolve(made, splits=path, fold=2)
    assert resolve(made, splits=split_file('folds = { by = "subject" }')).digest != first.digest


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ('folds = { by = "subjct" }', SplitError, "no column 'subjct'. Did you mean 'subject'"),
        ('folds = { by = "subject", count = 9 }', SplitError, "5 subjects for 9 folds"),
        ('folds = { by = "subject", groups = [[0], [7, 9]] }', SplitError, "no sample has the subject 7, 9"),
        ('folds = { by = "subject", count = 1 }', CardError, "greater than or equal to 2"),
        ('folds = { by = "subject", count = 2, groups = [[0], [1]] }', CardError, "either a count or groups"),
        ('folds = { by = "subject", groups = [[0], [0]] }', CardError, "share no value"),
        ('folds = { by = "subject" }\ntrain = { subject = [0] }', CardError, "either rules or lists or folds"),
    ],
)
def test_folds_that_cannot_be_made_are_refused(
    store: Made, split_file: Callable[[str], str], text: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        resolve(store(people()), splits=split_file(text))


def test_rules_narrow_what_a_fold_trains_and_scores(store: Made, split_file: Callable[[str], str]) -> None:
    made = store([replace(one, meta={**one.meta, "part": at % 2}) for at, one in enumerate(people())])
    parts = made.table["part"]
    text = 'folds = { by = "subject" }\ntrain = { part = [0] }\ntest = { part = [1] }'
    folds = resolve_folds(made, splits=split_file(text))
    for split in folds:
        assert set(parts.iloc[list(split.train)]) == {0}
        assert set(parts.iloc[list(split.test)]) == {1}
        assert not subjects(made, split.train) & subjects(made, split.test)
    assert len({split.digest for split in folds}) == 1
    assert sorted(at for split in folds for at in split.test) == [at for at, part in enumerate(parts) if part == 1]


def test_a_fixed_split_has_no_folds(store: Made, split_file: Callable[[str], str]) -> None:
    made = store([*people(), row(90, 0, subject=9, take="x", part=1)])
    path = split_file(REST)
    assert len(resolve_folds(made, splits=path)) == 1
    with pytest.raises(UsageError, match="no fold 0; there is one fixed split"):
        resolve(made, splits=path, fold=0)


@pytest.fixture
def whole(store: Made, split_file: Callable[[str], str]) -> Callable[..., tuple[Store, Split]]:
    """A store whose test part is one sample, and all others train."""

    def made(samples: list[Sample], target: str = "label") -> tuple[Store, Split]:
        table = store([*samples, row(9000, 0, subject=900, take="last", part=1)])
        return table, resolve(table, splits=split_file(f'{REST}target = "{target}"\n'))

    return made


def test_the_first_whole_subjects_make_the_validation_part(whole: Callable[..., tuple[Store, Split]]) -> None:
    table, split = whole(people())
    carved = carve(table, split)
    assert len(subjects(table, carved.test)) == 1
    assert not subjects(table, carved.test) & subjects(table, carved.train)
    assert sorted((*carved.train, *carved.test)) == list(split.train)
    assert not set(split.test) & {*carved.train, *carved.test}
    assert carved.carved.startswith("validation: subject ")
    assert carve(table, split) == carved
    assert carved.digest == split.digest


def test_without_two_subjects_takes_are_held_out_then_shares_of_classes(
    whole: Callable[..., tuple[Store, Split]],
) -> None:
    alone = [row(place, place % 3, subject=0, take=f"t{place // 2}") for place in range(30)]
    table, split = whole(alone)
    carved = carve(table, split)
    takes = [set(table.table["take"].iloc[list(part)]) for part in (carved.train, carved.test)]
    assert not takes[0] & takes[1]
    assert len(carved.test) == 6
    table, split = whole([row(place, place % 3, subject=0, take="one") for place in range(30)])
    carved = carve(table, split)
    assert Counter(table.table["label"].iloc[list(carved.test)]) == {0: 2, 1: 2, 2: 2}
    assert carved.carved == "validation: 20% of each class of the training part, 6 of 30 samples"


def test_no_class_loses_all_its_training_samples(whole: Callable[..., tuple[Store, Split]]) -> None:
    """Each class is shown by one subject alone, so no subject can be given away."""
    table, split = whole([row(place, place // 10, subject=place // 10, take="one") for place in range(30)])
    carved = carve(table, split)
    assert set(table.table["label"].iloc[list(carved.train)]) == {0, 1, 2}
    assert "of each class" in carved.carved
    table, split = whole([row(0, 0, subject=0, take="a"), row(1, 1, subject=0, take="a")])
    with pytest.raises(SplitError, match="2 training samples, too few"):
        carve(table, split)


@pytest.mark.parametrize("target", ["label", "tags", "quality"])
def test_few_labels_are_nested_for_every_kind_of_target(whole: Callable[..., tuple[Store, Split]], target: str) -> None:
    table, split = whole(people(4, 15), target)
    parts = [set(few_labels(table, split, share, 7).train) for share in (0.05, 0.1, 0.3, 1.0)]
    assert parts[0] < parts[1] < parts[2] < parts[3]
    assert parts[3] == set(split.train)
    assert few_labels(table, split, None, 7) is split
    assert len(parts[1]) == 6
    if target != "quality":  # 20 samples of each class
        assert Counter(table.table["label"].iloc[sorted(parts[1])]) == {0: 2, 1: 2, 2: 2}


def test_any_two_shares_are_nested(whole: Callable[..., tuple[Store, Split]]) -> None:
    table, split = whole([row(place, min(place % 7, 2), subject=0, take="one") for place in range(50)])
    rng = np.random.default_rng(0)
    for seed in range(5):
        shares = np.sort(rng.random(8) * 0.999 + 0.001).tolist()
        kept = [set(few_labels(table, split, share, seed).train) for share in shares]
        assert all(small <= large for small, large in pairwise(kept))
        assert all({table.table["label"][place] for place in part} == {0, 1, 2} for part in kept)


def test_a_limit_thins_both_parts(whole: Callable[..., tuple[Store, Split]]) -> None:
    table, split = whole(people())
    thin = limited(table, split, 6)
    assert Counter(table.table["label"].iloc[list(thin.train)]) == {0: 2, 1: 2, 2: 2}
    assert thin.test == split.test
    assert limited(table, split, None) is split
