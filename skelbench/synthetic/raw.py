"""Raw twins: synthetic samples in the very form in which a data set's owner hands it out.

The files come from the converter's own `write`. A marker among them says that nobody was recorded.
"""

import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import BinaryIO, TypeVar

import numpy as np

from skelbench import __version__, registry
from skelbench.card import Card, load_card
from skelbench.errors import UsageError
from skelbench.formats.names import MARKER
from skelbench.sample import Sample
from skelbench.synthetic.cast import sharing
from skelbench.synthetic.generate import sample_at, stage_of

Parsed = TypeVar("Parsed")
Files = dict[str, bytes]

_REFUSED = 100  # names in a row that the owner does not use: then there are no more
_SHARE = 0.02  # of the files that each defect of whole files falls on, one at least
_DATE = (1980, 1, 1, 0, 0, 0)  # of members of the zip, which shall not depend on the day


@dataclass(frozen=True)
class Written:
    """What was written."""

    out: Path  # folder
    samples: int  # without the defects of whole files
    files: int  # the marker and the archive itself not counted
    bytes: int  # of these files, before they are packed
    defects: Mapping[str, int]  # how many files have each defect


class InMemory:
    """Raw files that were never on a disk; implements `skelbench.raw.RawSource`."""

    paths: tuple[str, ...]

    def __init__(self, files: Mapping[str, bytes]) -> None:
        """Hold files by path."""
        self.paths = tuple(sorted(files))
        self._files = files

    def where(self, path: str) -> str:
        """Name a member for people."""
        return path

    def read(self, path: str) -> bytes:
        """Read a member whole."""
        return self._files[path]

    def open(self, path: str) -> BinaryIO:
        """Open a member for reading."""
        return io.BytesIO(self._files[path])

    def once(self, path: str, parse: Callable[[bytes], Parsed]) -> Parsed:
        """Parse a member."""
        return parse(self._files[path])

    def once_mapped(self, path: str, parse: Callable[[memoryview], Parsed]) -> Parsed:
        """Parse a member."""
        return parse(memoryview(self._files[path]))


def twins(
    module: ModuleType, card: Card, *, samples: int, seed: int, defects: bool = False
) -> Iterator[tuple[Sample, Files]]:
    """Make samples and the raw files that hold them.

    Args:
        module: A converter.
        card: Its card, with `[synth]`.
        samples: How many; those that share raw files, such as the views of one file, count as one.
        seed: Of everything that is drawn.
        defects: Whether some samples have the faults of real recordings.

    Yields:
        A sample, as the converter's `settle` leaves it where there is one, and its files by path; files of lists that
        all samples share are `shared_files`. Names that the converter's plan refuses, such as those of an owner's
        list of unusable clips, are left out.

    Raises:
        UsageError: If the card has no `[synth]`, or there are too few names.
    """
    for members, files in _groups(module, card, samples=samples, seed=seed, defects=defects):
        for sample in members:
            yield sample, files


def _groups(
    module: ModuleType, card: Card, *, samples: int, seed: int, defects: bool
) -> Iterator[tuple[list[Sample], Files]]:
    """The samples that share raw files, usually one, and these files."""
    stage = stage_of(card, samples, seed)
    size = sharing(stage.cast.synth)
    index = made = refused = 0
    while made < samples:
        places = range(index * size, index * size + size)
        members = [settled(module, card, sample_at(stage, place, defects=defects)) for place in places]
        files = written(module, card, members)
        index += 1
        whole = InMemory({**files, **shared_files(module, card, members)})
        if all(item.reject is None for item in module.plan(whole, card)):
            made, refused = made + 1, 0
            yield members, files
        elif (refused := refused + 1) == _REFUSED:
            raise UsageError(f"Only {made} of {samples} samples of '{card.name}' have a name that its owner uses.")


def written(module: ModuleType, card: Card, members: Sequence[Sample]) -> Files:
    """Raw files of samples that share them.

    Args:
        module: A converter; where samples share files, its `write_together(samples, card)` writes those of several,
            and `write` those that hold one sample alone.
        card: Its card.
        members: All samples of the same files.

    Returns:
        Content by path.
    """
    if len(members) == 1:
        return dict(module.write(members[0], card))
    return dict(module.write_together(members, card))


def settled(module: ModuleType, card: Card, sample: Sample) -> Sample:
    """The nearest sample that a data set's raw form can hold.

    Args:
        module: A converter; its `settle(sample, card)`, where it has one, knows what depends on what: labels on a
            name's codes, coordinates on distances. It gives back unchanged what it gave before.
        card: Its card.
        sample: Any sample of the card's shape.

    Returns:
        A sample that `write` can write and `read` reads back unchanged.
    """
    return module.settle(sample, card) if hasattr(module, "settle") else sample


def shared_files(module: ModuleType, card: Card, samples: Iterable[Sample]) -> Files:
    """Raw files that belong to no single sample: lists of names, classes or labels.

    Args:
        module: A converter; its `write_shared(samples, card)`, where it has one, yields paths and contents.
        card: Its card.
        samples: All of the twin; their poses are not needed.

    Returns:
        Content by path; none where every file belongs to one sample.
    """
    if not hasattr(module, "write_shared"):
        return {}
    return dict(module.write_shared(map(head, samples), card))


def head(sample: Sample) -> Sample:
    """A sample without its poses."""
    score = None if sample.score is None else sample.score[:0].copy()  # a copy, not a view that keeps the whole
    frame, person = sample.frame[:0].copy(), sample.person[:0].copy()
    return replace(sample, frame=frame, person=person, keypoints=sample.keypoints[:0].copy(), score=score)


def write_raw(name: str, out: Path, *, samples: int, seed: int, archive: bool, defects: bool) -> Written:
    """Write the raw twin of a data set; the folder exists whole or not at all.

    Args:
        name: A converter, by name or path.
        out: A folder that is empty or does not exist.
        samples: How many, those that share raw files counted once.
        seed: Of everything that is drawn; the same arguments give the same bytes.
        archive: Whether the files are packed into `<name>.zip`, which then is all the folder holds.
        defects: Whether some samples have the faults of real recordings, and some files are damaged.

    Returns:
        What was written.

    Raises:
        UsageError: If there is no such converter, its card has no `[synth]`, there are too few names, or the
            folder is not empty.
        OSError: If the disk is full or the folder cannot be written.
    """
    plugin = registry.find("converters", name)
    module, card = registry.load(plugin, ("plan", "write")), load_card(plugin.toml)
    if samples < 1:
        raise UsageError(f"{samples} samples were asked for, expected 1 or more.")
    out = out.resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not empty. Name another folder, or empty it first.")
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.partial-{os.getpid()}")
    try:
        with _Sink(partial, f"{card.name}.zip" if archive else "") as sink:
            spoilt: dict[str, int] = {}
            heads: dict[str, Sample] = {}
            whole = 0
            for defect, members, files in _files(module, card, samples=samples, seed=seed, defects=defects):
                sink.add(files)
                heads |= {sample.sample_id: head(sample) for sample in members}
                whole += 0 if defect else len(members)
                if defect:
                    spoilt[defect] = spoilt.get(defect, 0) + len(files)
            sink.add(shared_files(module, card, heads.values()))
            said = {"generator": f"skelbench {__version__}", "set": card.name, "samples": whole, "seed": seed}
            made = Written(out, whole, sink.files, sink.bytes, spoilt)
            sink.add({MARKER: json.dumps({**said, "defects": spoilt if defects else None}, indent=1).encode()})
        partial.rename(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return made


def _files(
    module: ModuleType, card: Card, *, samples: int, seed: int, defects: bool
) -> Iterator[tuple[str, list[Sample], Files]]:
    """The samples of a twin with their files and the defect of whole files that these have, or none."""
    each = max(1, round(samples * _SHARE)) if defects else 0
    rng = np.random.default_rng([seed, samples])
    made = _groups(module, card, samples=samples + each * len(_DAMAGES), seed=seed, defects=defects)
    for at, (members, files) in enumerate(made):
        if at < samples:
            yield "", members, files
        else:
            defect, damage = list(_DAMAGES.items())[(at - samples) // each]
            yield defect, members, {path: damage(content, rng) for path, content in files.items()}
        if at < each:
            renamed = {path: _renamed(path, f"copy of {PurePosixPath(path).name}") for path in files}
            yield "bad name", members, {renamed[path]: content for path, content in files.items()}
        if at == 0 and defects:
            for name in card.synth.refused if card.synth else ():
                listed = settled(module, card, replace(members[0], sample_id=name))
                yield "listed as unusable", [listed], dict(module.write(listed, card))


def _renamed(path: str, name: str) -> str:
    """A path with another file name."""
    return str(PurePosixPath(path).with_name(name))


def _cut(content: bytes, rng: np.random.Generator) -> bytes:
    """A file whose end is lost."""
    return content[: int(len(content) * rng.uniform(0.2, 0.95))]


def _emptied(content: bytes, rng: np.random.Generator) -> bytes:
    """A file that holds nothing."""
    return b""


def _overwritten(content: bytes, rng: np.random.Generator) -> bytes:
    """A file of the right size and name that holds noise."""
    return rng.bytes(len(content))


_DAMAGES = {"cut": _cut, "empty": _emptied, "noise": _overwritten}


class _Sink:
    """A folder that files are written into, or packed into one zip."""

    def __init__(self, folder: Path, archive: str) -> None:
        """Make the folder, and the zip where it has a name."""
        folder.mkdir()
        self._folder = folder
        self._zip = zipfile.ZipFile(folder / archive, "x", zipfile.ZIP_DEFLATED) if archive else None
        self.files = self.bytes = 0

    def __enter__(self) -> "_Sink":
        return self

    def __exit__(self, *problem: object) -> None:
        if self._zip:
            self._zip.close()

    def add(self, files: Files) -> None:
        """Write files by path."""
        for path, content in files.items():
            if self._zip:
                member = zipfile.ZipInfo(path, _DATE)  # of no particular day: same arguments, same bytes
                member.external_attr = 0o644 << 16
                self._zip.writestr(member, content, zipfile.ZIP_DEFLATED)
            else:
                target = self._folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("xb") as file:
                    file.write(content)
            self.files, self.bytes = self.files + 1, self.bytes + len(content)
