"""What every converter promises, tested on all that there are: a new file is tested the moment it exists."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from types import ModuleType

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skelbench import registry
from skelbench.card import Card, load_card
from skelbench.errors import RawFormatError
from skelbench.formats.names import MARKER
from skelbench.raw import RawItem
from skelbench.sample import Sample, same
from skelbench.store.check import sample_problem
from skelbench.synthetic.raw import Files, InMemory, head, settled, shared_files, twins


@dataclass(frozen=True)
class Dataset:
    module: ModuleType
    card: Card
    twins: list[tuple[Sample, Files]]  # a few with their own files, some with the faults of real recordings

    def files(self) -> Files:
        own = {path: content for _, files in self.twins for path, content in files.items()}
        return own | self.shared(*(sample for sample, _ in self.twins))

    def shared(self, *samples: Sample) -> Files:
        return shared_files(self.module, self.card, samples)

    def write(self, sample: Sample) -> Files:
        return dict(self.module.write(sample, self.card))

    def plan(self, files: Files) -> list[RawItem]:
        return list(self.module.plan(InMemory(files), self.card))

    def read(self, files: Files, sample_id: str) -> Sample:
        (item,) = (item for item in self.plan(files) if item.sample_id == sample_id)
        assert item.reject is None
        found = self.module.read(InMemory(files), item, self.card)
        assert isinstance(found, Sample)
        return found

    def read_or_refuse(self, files: Files) -> None:
        """Files that cannot show what is wrong with them are read as another recording, or refused."""
        try:
            for item in self.plan(files):
                if item.reject is None:
                    assert not sample_problem(self.module.read(InMemory(files), item, self.card), self.card)
        except RawFormatError:
            return

    def unsealed(self, path: str) -> bool:
        globs = self.card.synth.unsealed if self.card.synth else ()
        return any(fnmatch(path, glob) for glob in globs)


@pytest.fixture(scope="module", params=registry.names("converters"))
def dataset(request: pytest.FixtureRequest) -> Dataset:
    plugin = registry.find("converters", request.param)
    module, card = registry.load(plugin, ("plan", "read", "write")), load_card(plugin.toml)
    made = [twin for flag in (False, True) for twin in twins(module, card, samples=8, seed=int(flag), defects=flag)]
    return Dataset(module, card, list({sample.sample_id: (sample, files) for sample, files in made}.values()))


def test_a_card_says_what_its_users_must_know(dataset: Dataset) -> None:
    card = dataset.card
    for name in ("title", "pose_source", "licence", "obtain", "citation", "raw"):
        assert getattr(card, name).strip(), name
    assert card.fps > 0
    assert card.persons >= 1
    assert card.official.planned != 0
    assert card.official.source, "who says how many there are, or why nobody does"
    for target in card.targets.values():
        assert len(set(target.classes)) == len(target.classes)
        assert target.title
        assert target.source


def test_plan_finds_what_write_made(dataset: Dataset) -> None:
    found = {item.sample_id: item for item in dataset.plan(dataset.files())}
    assert found.keys() == {sample.sample_id for sample, _ in dataset.twins}
    for sample, files in dataset.twins:
        assert found[sample.sample_id].reject is None
        assert set(found[sample.sample_id].paths) <= files.keys() | dataset.shared(sample).keys()


def test_plan_leaves_out_what_no_owner_hands_out(dataset: Dataset) -> None:
    files = dataset.files()
    others = {MARKER: b"{}", "README.txt": b"", "LICENSE": b""}
    for path, content in files.items():
        folder, _, name = path.rpartition("/")
        others |= {f"{folder}/._{name}": content, f"__MACOSX/{folder}/{name}": content}
    assert dataset.plan({**files, **others}) == dataset.plan(files)


def test_what_is_written_reads_back(dataset: Dataset) -> None:
    for sample, files in dataset.twins:
        assert same(dataset.read(files | dataset.shared(sample), sample.sample_id), sample), sample.sample_id


def test_reading_twice_gives_the_same(dataset: Dataset) -> None:
    sample, files = dataset.twins[0]
    files = files | dataset.shared(sample)
    assert same(dataset.read(files, sample.sample_id), dataset.read(files, sample.sample_id))


def test_writing_depends_on_the_sample_alone(dataset: Dataset) -> None:
    for sample, files in dataset.twins[:3]:
        assert dataset.write(sample) == dataset.write(sample)
        assert dataset.write(sample).keys() == files.keys()
        assert dataset.shared(sample) == dataset.shared(head(sample))


def test_settling_twice_is_settling_once(dataset: Dataset) -> None:
    for sample, _ in dataset.twins:
        assert same(settled(dataset.module, dataset.card, sample), sample)


def test_samples_fit_their_card(dataset: Dataset) -> None:
    for sample, _ in dataset.twins:
        assert not sample_problem(sample, dataset.card)
        assert set(sample.meta) == set(dataset.card.columns), "every column of samples.parquet is explained in the card"
        assert sample.frame.tolist() == sorted(sample.frame.tolist())


def test_an_empty_source_has_no_items(dataset: Dataset) -> None:
    assert dataset.plan({}) == []


def test_a_file_with_another_name_becomes_a_reject_that_says_so(dataset: Dataset) -> None:
    if dataset.card.synth and dataset.card.synth.any_name:
        return
    for path, content in dataset.files().items():
        folder, _, name = path.rpartition("/")
        for item in dataset.plan({f"{folder}/copy of {name}": content}):
            assert item.reject
            assert "copy of" in item.reject


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_a_cut_file_is_refused_by_name(dataset: Dataset, share: float) -> None:
    for sample, files in dataset.twins[:4]:
        whole = files | dataset.shared(sample)
        for path, content in whole.items():
            cut = whole | {path: content[: int(share * len(content))]}
            if path not in files or dataset.unsealed(path):
                dataset.read_or_refuse(cut)
            else:
                with pytest.raises(RawFormatError, match=re.escape(path)):
                    dataset.read(cut, sample.sample_id)


@pytest.mark.parametrize(
    "content", [b"", b"\x00" * 1000, b"\xff\xfe" * 500, b"[" * 100_000, b"1\n" * 1000, b"PK\x03\x04" * 50]
)
def test_a_file_of_another_kind_is_refused_by_name(dataset: Dataset, content: bytes) -> None:
    sample, files = dataset.twins[0]
    whole = files | dataset.shared(sample)
    for path in whole:
        if path not in files or dataset.unsealed(path):
            dataset.read_or_refuse(whole | {path: content})
        else:
            with pytest.raises(RawFormatError, match=re.escape(path)):
                dataset.read(whole | {path: content}, sample.sample_id)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_with_other_bytes_in_it_is_read_or_refused(dataset: Dataset, data: st.DataObject) -> None:
    sample, files = data.draw(st.sampled_from(dataset.twins))
    whole = files | dataset.shared(sample)
    path = data.draw(st.sampled_from(sorted(whole)))
    at = data.draw(st.integers(0, max(0, len(whole[path]) - 1)))
    other, lost = data.draw(st.binary(max_size=4)), data.draw(st.integers(0, 200))
    dataset.read_or_refuse({**whole, path: whole[path][:at] + other + whole[path][at + lost :]})


def other_recording(sample: Sample, card: Card, persons: list[list[int]], seed: int) -> Sample:
    """The sample with other content: for each frame the people in it, any finite coordinates, NaN and scores."""
    bodies = [len(frame) for frame in persons]
    shape = sum(bodies), len(card.layout.joints), len(card.channels)
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2**32, shape, dtype=np.uint32)
    bits[bits & 0x7F800000 == 0x7F800000] = 0x7FC00000  # NaN instead of infinities and signalling NaN
    keypoints, score = bits.view(np.float32), None
    if card.score:
        confidence = card.synth is not None and card.synth.scored == "confidence"
        score = rng.random(shape[:2], np.float32) if confidence else rng.integers(0, 2, shape[:2]).astype(np.float32)
        if not confidence:
            keypoints[score == 0] = np.nan
    frames = len(bodies)
    return replace(
        sample,
        segments=tuple((start % frames, frames, label) for start, _, label in sample.segments),
        n_frames=frames,
        frame=np.repeat(np.arange(len(bodies)), bodies).astype(np.uint32),
        person=np.array([person for frame in persons for person in frame], np.int64),
        keypoints=keypoints,
        score=score,
    )


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_recording_reads_back_bit_for_bit(dataset: Dataset, data: st.DataObject) -> None:
    card = dataset.card
    if card.synth is not None and card.synth.tracked:
        frame = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=card.persons)
    elif card.synth is not None and card.synth.people == "any":
        frame = st.lists(st.just(-1), max_size=card.persons)
    else:
        frame = st.just([-1])
    persons, seed = data.draw(st.lists(frame, min_size=1, max_size=4)), data.draw(st.integers(0, 2**32))
    sample = settled(dataset.module, card, other_recording(dataset.twins[0][0], card, persons, seed))
    assert same(dataset.read(dataset.write(sample) | dataset.shared(sample), sample.sample_id), sample)


def protocols() -> Iterator[tuple[str, str, dict[str, object]]]:
    for name, plugin in registry.plugins("splits").items():
        for protocol, table in tomllib.loads(plugin.toml.read_text(encoding="utf-8"))["protocols"].items():
            yield name, protocol, table


@pytest.mark.parametrize(
    ("name", "protocol", "table"), list(protocols()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_protocol_names_what_its_data_set_has(name: str, protocol: str, table: dict[str, object]) -> None:
    card = load_card(registry.find("converters", name).toml)
    target = table.get("target", next(iter(card.targets)))
    assert target in card.targets
    folds = {"folds": {table["folds"]["by"]: ()}} if "folds" in table else {}  # type: ignore[index]
    for rule in (table.get("train"), table.get("test"), dict.fromkeys(table.get("disjoint", ())), *folds.values()):  # type: ignore[call-overload]
        if isinstance(rule, dict):
            assert rule.keys() <= card.columns.keys() | card.targets.keys()
    assert set(table.get("classes", ())) <= set(card.targets[str(target)].classes)  # type: ignore[call-overload]


def labelled(name: str) -> bool:
    targets = load_card(registry.find("converters", name).toml).targets.values()
    return any(target.classes or target.kind == "score" for target in targets)


def test_every_data_set_with_labels_has_a_protocol() -> None:
    assert set(registry.names("splits")) >= {name for name in registry.names("converters") if labelled(name)}
