import gzip
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelbench.card import Card, TargetCard
from skelbench.errors import CardError, SplitError, UsageError
from skelbench.registry import names
from skelbench.sample import Sample
from skelbench.skeletons import load_layout
from skelbench.split import Split, load_protocols, resolve
from skelbench.store.reader import Store, open_store
from skelbench.store.schema import Origin, RawDigest
from skelbench.store.writer import write_store

CLASSES = ("walk", "sit", "stand", "throw")
HEAD = 'title = "Standard"\nsource = "ours"\n'
TARGETS = {
    "label": TargetCard(classes=CLASSES),
    "tags": TargetCard(kind="multi", classes=("left", "right", "both")),
    "quality": TargetCard(kind="score"),
}

Resolve = Callable[..., Split]


def card_of(name: str = "tiny") -> Card:
    return Card(
        name=name,
        title="Tiny",
        layout=load_layout("penn13"),
        channels=("u", "v"),
        units={"u": "pixel", "v": "pixel"},
        fps=30,
        pose_source="drawn",
        persons=2,
        targets=TARGETS,
        licence="none",
        obtain="here",
        citation="none",
        raw="nothing",
    )


def row(number: int, label: int = 0, **columns: Any) -> Sample:
    targets = {"label": label, "tags": (1, 0, -1), "quality": 0.5} | {
        name: columns.pop(name) for name in ("tags", "quality") if name in columns
    }
    return Sample(
        sample_id=f"s{number:03}",
        n_frames=1,
        frame=np.zeros(0, np.uint32),
        person=np.zeros(0, np.int64),
        keypoints=np.zeros((0, 13, 2), np.float32),
        score=None,
        targets=targets,
        segments=(),
        meta=columns,
    )


@pytest.fixture
def on(tmp_path: Path) -> Resolve:
    """Resolve a protocol, given as TOML, on a store of the samples given."""

    def resolved(samples: list[Sample], toml: str, protocol: str | None = None) -> Split:
        origin = Origin(
            converter="tiny", skelbench="0", request="0", raw=RawDigest(files=0, bytes=0, sha256="0" * 64), planned=0
        )
        folder = tmp_path / "store"
        lengths = [0] * len(samples)
        write_store(folder, card_of(), origin, samples=samples, lengths=lengths, rejects=[])
        return resolve(open_store(folder), protocol, splits=str(split_file(tmp_path, toml)))

    return resolved


def split_file(folder: Path, toml: str) -> Path:
    path = folder / "tiny.toml"
    path.write_text(toml if "[protocols." in toml else f"[protocols.one]\n{HEAD}{toml}", encoding="utf-8")
    return path


def ids(folder: Path, name: str, listed: list[str]) -> None:
    (folder / name).write_bytes(gzip.compress("\n".join(listed).encode()))


SIX = [row(number, number % 2, subject=number // 2, camera=number % 3, take=f"t{number}") for number in range(6)]


def test_a_rule_picks_the_samples_whose_columns_all_match(on: Resolve) -> None:
    split = on(SIX, "train = { subject = [0, 1], camera = [0, 1] }\ntest = { subject = [2] }")
    assert split.train == (0, 1, 3)
    assert split.test == (4, 5)
    assert split.left_out == 1
    assert split.notes == ("left out: 1 sample that no part names",)
    assert (split.dataset, split.name, split.target, split.classes) == ("tiny", "one", "label", CLASSES)


def test_a_rule_may_name_classes_so_that_few_are_scored_of_all_that_are_known(on: Resolve) -> None:
    samples = [row(number, number % 4, subject=number // 4) for number in range(8)]
    split = on(samples, 'train = { subject = [0] }\ntest = { subject = [1], label = ["throw", "sit"] }')
    assert (split.train, split.test, split.classes) == ((0, 1, 2, 3), (5, 7), CLASSES)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ('label = ["trow"]', r"the target 'label' has no class 'trow'\. Did you mean 'throw'"),
        ("label = [3]", "the target 'label' has no class '3'"),
        ('tags = ["left"]', "the target 'tags', of which a sample has no single class"),
    ],
)
def test_a_rule_of_other_classes_is_refused(on: Resolve, rule: str, words: str) -> None:
    with pytest.raises(SplitError, match=words):
        on(SIX, f"train = {{ subject = [0] }}\ntest = {{ {rule} }}")


@pytest.mark.parametrize(("train", "test"), [("{ subject = [1] }", '"rest"'), ('"rest"', "{ subject = [0, 2] }")])
def test_the_rest_is_everybody_else(on: Resolve, train: str, test: str) -> None:
    split = on(SIX, f"train = {train}\ntest = {test}")
    assert split.train == (2, 3)
    assert split.test == (0, 1, 4, 5)


def test_lists_name_the_samples(on: Resolve, tmp_path: Path) -> None:
    ids(tmp_path, "tiny-a.txt.gz", ["s003", "s001", "elsewhere"])
    ids(tmp_path, "tiny-b.txt.gz", ["s000", ""])
    split = on(SIX, 'list = { train = "tiny-a.txt.gz", test = "tiny-b.txt.gz" }')
    assert (split.train, split.test) == ((1, 3), (0,))
    assert "train: 2 of the 3 samples of tiny-a.txt.gz are in the store" in split.notes


def test_the_first_protocol_is_the_default(on: Resolve, tmp_path: Path) -> None:
    toml = f'[protocols.b]\n{HEAD}train = {{ subject = [0] }}\ntest = "rest"\n'
    toml += f'[protocols.a]\n{HEAD}train = {{ subject = [1] }}\ntest = "rest"\n'
    assert on(SIX, toml).name == "b"
    assert list(load_protocols(str(tmp_path / "tiny.toml"))) == ["b", "a"]


def test_classes_pick_and_order_labels(on: Resolve) -> None:
    samples = [row(number, number % 4, subject=number // 4) for number in range(8)]
    split = on(samples, 'classes = ["throw", "sit"]\ntrain = { subject = [0] }\ntest = "rest"')
    assert split.classes == ("throw", "sit")
    assert split.index == {3: 0, 1: 1}
    assert (split.train, split.test, split.left_out) == ((1, 3), (5, 7), 4)
    assert "left out: 4 samples of classes that the protocol leaves out" in split.notes


def test_samples_without_a_label_leave_both_parts(on: Resolve) -> None:
    samples = [row(number, -1 if number == 2 else 0, subject=number % 2) for number in range(6)]
    split = on(samples, "train = { subject = [0] }\ntest = { subject = [1] }")
    assert (split.train, split.left_out) == ((0, 4), 1)
    assert "left out: 1 sample without a label" in split.notes


def test_several_labels_count_when_one_is_known(on: Resolve) -> None:
    tags = [(1, 0, 0), (-1, -1, -1), (0, -1, -1), (-1, 1, -1)]
    samples = [row(number, subject=number // 4, tags=tags[number % 4]) for number in range(8)]
    toml = 'target = "tags"\nclasses = ["right", "both"]\ntrain = { subject = [0] }\ntest = "rest"'
    split = on(samples, toml)
    assert split.train == (0, 3)
    assert split.left_out == 4


def test_a_score_that_is_missing_leaves_the_sample_out(on: Resolve) -> None:
    quality = [0.5, float("nan"), 1.0, 2.0]
    samples = [row(number, subject=number // 2, quality=quality[number]) for number in range(4)]
    split = on(samples, 'target = "quality"\ntrain = { subject = [0] }\ntest = "rest"')
    assert (split.train, split.test, split.classes) == ((0,), (2, 3), ())


def test_what_the_parts_must_not_share_is_refused_with_its_values(on: Resolve) -> None:
    with pytest.raises(SplitError, match="tiny one: the parts share subject 1, 2, which they must not"):
        on(SIX, 'train = { camera = [0, 1] }\ntest = { camera = [2] }\ndisjoint = ["camera", "subject"]')


def test_what_else_the_parts_share_is_a_note(on: Resolve) -> None:
    samples = [row(number, camera=number % 2, take=f"t{number // 2}", subject=7) for number in range(8)]
    split = on(samples, 'train = { camera = [0] }\ntest = "rest"\ndisjoint = ["camera"]')
    assert split.notes == ("the parts share 1 subject", "the parts share 4 takes")


def test_a_sample_in_both_parts_is_refused(on: Resolve) -> None:
    with pytest.raises(SplitError, match=r"3 samples \(s001, s003, s005\) in both parts"):
        on([row(number, camera=number % 2) for number in range(6)], "train = { camera = [0, 1] }\ntest = {camera=[1]}")


def test_only_scored_samples_can_leak(on: Resolve) -> None:
    samples = [row(0, 0, subject=1, camera=0), row(1, 0, subject=2, camera=1), row(2, -1, subject=1, camera=1)]
    split = on(samples, 'train = { camera = [0] }\ntest = { camera = [1] }\ndisjoint = ["subject"]')
    assert split.test == (1,)


@pytest.mark.parametrize(
    ("official", "said"),
    [
        ("{ train = 2, test = 4 }", ()),
        ("{ train = 40091, test = 4 }", ("train 2 of 40,091: the store is partial",)),
        ("{ train = 1, test = 5 }", ("train 2 of 1: the store holds more", "test 4 of 5: the store is partial")),
    ],
)
def test_official_counts_are_compared_in_words(on: Resolve, official: str, said: tuple[str, ...]) -> None:
    split = on(SIX, f'train = {{ subject = [1] }}\ntest = "rest"\nofficial = {official}')
    assert split.official == said


def test_an_empty_part_says_what_the_store_has(on: Resolve) -> None:
    with pytest.raises(SplitError, match=r"no sample for test. The store has camera 0, 1, 2, subject 0, 1, 2"):
        on(SIX, "train = { subject = [0] }\ntest = { camera = [9] }")


def test_an_empty_store_is_refused(on: Resolve) -> None:
    with pytest.raises(SplitError, match="no column 'subject'"):
        on([], 'train = { subject = [0] }\ntest = "rest"')


@pytest.mark.parametrize("toml", ['train = { subjekt = [0] }\ntest = "rest"', 'disjoint = ["subjekt"]\n'])
def test_a_column_that_the_store_lacks_is_refused_with_the_nearest(on: Resolve, toml: str) -> None:
    rules = "" if "train" in toml else 'train = { subject = [0] }\ntest = "rest"\n'
    with pytest.raises(SplitError, match=r"no column 'subjekt'. Did you mean 'subject'\?"):
        on(SIX, rules + toml)


@pytest.mark.parametrize(
    ("rule", "said"), [('subject = ["1"]', "holds numbers, the rule names text"), ("take = [1]", "holds text")]
)
def test_a_rule_of_the_wrong_type_is_refused(on: Resolve, rule: str, said: str) -> None:
    with pytest.raises(SplitError, match=said):
        on(SIX, f'train = {{ {rule} }}\ntest = "rest"')


def test_samples_without_a_value_match_no_rule(on: Resolve) -> None:
    samples = [row(0, subject=1), row(1), row(2, subject=2)]
    split = on(samples, "train = { subject = [1] }\ntest = { subject = [2] }")
    assert (split.train, split.test) == ((0,), (2,))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('target = "lable"', r"no target 'lable'. Did you mean 'label'\?"),
        ('classes = ["walk", "standing"]', r"no class 'standing'. Did you mean 'stand'\?"),
    ],
)
def test_a_target_or_class_that_the_set_lacks_is_refused(on: Resolve, line: str, said: str) -> None:
    with pytest.raises(SplitError, match=said):
        on(SIX, f'train = {{ subject = [1] }}\ntest = "rest"\n{line}')


def test_an_unknown_protocol_is_refused_with_the_nearest(on: Resolve) -> None:
    with pytest.raises(UsageError, match=r"No protocol 'won' of 'tiny'. Did you mean 'one'\?"):
        on(SIX, 'train = { subject = [1] }\ntest = "rest"', "won")


def test_a_set_without_a_split_file_is_refused() -> None:
    store = FakeStore(pd.DataFrame(), "nobodys")
    with pytest.raises(UsageError, match=r"No 'nobodys' in skelbench\.splits"):
        resolve(store)


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("train = {", "not TOML"),
        ("", "a protocol needs train and test"),
        ('train = "rest"\ntest = "rest"', "cannot both be the rest"),
        ('train = {}\ntest = "rest"', "a rule must name a column"),
        ('train = { a = [1] }\ntest = "rest"\nlist = { train = "a", test = "b" }', "either rules or lists"),
        ('train = { a = [1] }\ntest = "rest"\ndisjont = []', r"unknown key .*disjont'. Did you mean 'disjoint'\?"),
        ('train = { a = [1] }\ntest = "rest"\nclasses = ["x", "x"]', "classes must differ"),
        ('train = { a = [1] }\ntest = "rest"\nofficial = { train = 3 }', "official.test' is missing"),
        ('train = { a = 1 }\ntest = "rest"', "found 1"),
        (f'[protocols."../up"]\n{HEAD}train = {{ a = [1] }}\ntest = "rest"', "should match pattern"),
    ],
)
def test_a_file_that_does_not_say_what_it_must_is_refused(tmp_path: Path, toml: str, said: str) -> None:
    with pytest.raises(CardError, match=said):
        load_protocols(str(split_file(tmp_path, toml)))


def test_a_file_without_protocols_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text("[protocols]\n")
    with pytest.raises(CardError, match="protocols"):
        load_protocols(str(tmp_path / "x.toml"))


@pytest.mark.parametrize("name", ["../a.txt.gz", "/etc/a.txt.gz", "sub/a.txt.gz", "a.txt", "", ".."])
def test_a_list_lies_beside_its_protocol(on: Resolve, name: str) -> None:
    with pytest.raises(CardError, match=r"must be the name of a .txt.gz file beside"):
        on(SIX, f'list = {{ train = "{name}", test = "{name}" }}')


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"no gzip", "not a gzipped list"),
        (gzip.compress(b"s001\ns002", mtime=0)[:-9], "not a gzipped list"),
        (gzip.compress(b"\xff\xfe", mtime=0), "not a gzipped list"),
        (gzip.compress(b"s001\ns002\ns001", mtime=0), "'s001' stands in it twice"),
        (None, "no list"),
    ],
)
def test_a_damaged_list_is_refused(on: Resolve, tmp_path: Path, data: bytes | None, said: str) -> None:
    if data is not None:
        (tmp_path / "a.txt.gz").write_bytes(data)
    with pytest.raises(CardError, match=said):
        on(SIX, 'list = { train = "a.txt.gz", test = "a.txt.gz" }')


def test_a_list_beyond_all_measure_is_refused(on: Resolve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skelbench.split._LARGEST_LIST", 10)
    ids(tmp_path, "a.txt.gz", ["s001", "s002", "s003"])
    with pytest.raises(CardError, match=r"a\.txt\.gz: more than 0 MB of ids"):
        on(SIX, 'list = { train = "a.txt.gz", test = "a.txt.gz" }')


def test_synthetic_samples_are_not_counted_against_the_official_ones(tmp_path: Path) -> None:
    store = FakeStore(pd.DataFrame({"label": [0, 1], "subject": [1, 2]}))
    store.info.origin.synthetic = {"seed": 0}
    path = split_file(tmp_path, 'train = { subject = [1] }\ntest = "rest"\nofficial = { train = 9, test = 9 }')
    assert resolve(store, splits=str(path)).official == ()


def test_the_digest_follows_protocol_classes_and_ids_only(on: Resolve, tmp_path: Path) -> None:
    rule = 'train = { subject = [1] }\ntest = "rest"\n'
    store_split = on(SIX, rule)
    store = open_store(tmp_path / "store")

    def digest(toml: str) -> str:
        return resolve(store, splits=str(split_file(tmp_path, toml))).digest

    assert digest(f'{rule}disjoint = ["subject"]\nmetric = "macro_f1"') == store_split.digest
    assert digest("train = { subject = [1] }\ntest = { subject = [0, 2] }") == store_split.digest
    assert digest('train = { subject = [2] }\ntest = "rest"') != store_split.digest
    assert digest(f'{rule}classes = ["sit", "walk"]') != store_split.digest
    assert digest(f"[protocols.two]\n{HEAD}{rule}") != store_split.digest


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(-1, 3), st.integers(0, 4)), min_size=1, max_size=30), st.sets(st.integers(0, 4)))
def test_every_sample_is_in_one_part_or_left_out(rows: list[tuple[int, int]], subjects: set[int]) -> None:
    table = pd.DataFrame(rows, columns=["label", "subject"])
    store = FakeStore(table)
    toml = Path("tiny.toml")
    split_file(Path(), f'train = {{ subject = {sorted(subjects)} }}\ntest = "rest"\ndisjoint = ["subject"]')
    path = str(toml.absolute())
    labelled = {subject in subjects for label, subject in rows if label >= 0}
    if labelled != {True, False}:
        with pytest.raises(SplitError, match="no sample for"):
            resolve(store, splits=path)
        return
    split = resolve(store, splits=path)
    assert not set(split.train) & set(split.test)
    assert len(split.train) + len(split.test) + split.left_out == len(rows)
    assert all(rows[place][0] >= 0 for place in (*split.train, *split.test))
    assert {rows[place][1] for place in split.train} <= subjects


class FakeStore(Store):
    """A store that is only its table, for sizes and laws that files would slow down."""

    def __init__(self, table: pd.DataFrame, name: str = "tiny") -> None:
        self._rows_of = table
        self._names = tuple(f"s{place:07}" for place in range(len(table)))
        self.info = SimpleNamespace(name=name, card=card_of(name), origin=SimpleNamespace(synthetic=None, shard=None))

    def __len__(self) -> int:
        return len(self._rows_of)

    @property
    def table(self) -> pd.DataFrame:
        return self._rows_of

    @property
    def ids(self) -> tuple[str, ...]:
        return self._names


def test_a_million_samples_are_split_in_seconds(tmp_path: Path) -> None:
    drawn = np.random.default_rng(0)
    count = 1_000_000
    table = pd.DataFrame(
        {
            "label": drawn.integers(-1, 4, count),
            "subject": drawn.integers(0, 100, count),
            "take": pd.Series(np.arange(count) // 3).map("t{}".format),
        }
    )
    path = split_file(tmp_path, f'train = {{ subject = {list(range(50))} }}\ntest = "rest"\ndisjoint = ["subject"]')
    began = time.process_time()
    split = resolve(FakeStore(table), splits=str(path))
    assert time.process_time() - began < 20  # 2 s alone on a quiet core
    assert len(split.train) + len(split.test) + split.left_out == count


@pytest.mark.parametrize("name", names("splits"))
def test_every_split_file_reads_and_names_its_source(name: str) -> None:
    for protocol in load_protocols(name).values():
        assert protocol.title
        assert protocol.source
        assert protocol.metric
