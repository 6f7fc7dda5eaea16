"""From one layout to another: every joint of the target is a joint of the source, a mean of joints, or missing.

Mappings stand in the file of their target, as `[from.<source>]`. `neck = ["left shoulder", "right shoulder"]` is a
mean, in which a joint named twice counts twice; a joint that is left out is missing. `"* ankle" = "* foot"` stands for
both sides, `"*" = "*"` for every joint that bears the same name in both. Joints named outright come first, then
patterns in their order, each for what is still open; `[]` keeps a joint missing in spite of a later pattern.
`[variants.<name>.<source>]` holds what a variant of that mapping has otherwise.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float32

from skelbench.errors import CardError, UsageError, nearest
from skelbench.skeletons import LAYOUTS, Layout, layout_from, layout_names
from skelbench.toml import read_toml

_LONGEST = 3  # mappings that one is composed of

Share: TypeAlias = tuple[int, Fraction]  # a joint of the source, and its weight in a mean


@dataclass(frozen=True)
class JointMapping:
    """How the joints of one layout are made from those of another."""

    source: Layout
    target: Layout
    rows: tuple[tuple[Share, ...], ...]  # of each target joint what it is the mean of, by place; empty for missing
    via: tuple[str, ...] = ()  # layouts between the two, where it is composed

    @property
    def missing(self) -> tuple[str, ...]:
        """Joints of the target that stay missing."""
        return tuple(name for name, row in zip(self.target.joints, self.rows, strict=True) if not row)

    @property
    def means(self) -> tuple[str, ...]:
        """Joints of the target that are means, and so lie where nothing was seen."""
        return tuple(name for name, row in zip(self.target.joints, self.rows, strict=True) if len(row) > 1)

    @property
    def unused(self) -> tuple[str, ...]:
        """Joints of the source that are in none of the target's."""
        used = {joint for row in self.rows for joint, _ in row}
        return tuple(name for joint, name in enumerate(self.source.joints) if joint not in used)

    @property
    def exact(self) -> bool:
        """Whether every joint is one of the source: nothing is averaged, nothing missing."""
        return all(len(row) == 1 for row in self.rows)

    @property
    def path(self) -> str:
        """Source, layouts between, target."""
        return " -> ".join((self.source.name, *self.via, self.target.name))

    @property
    def digest(self) -> str:
        """SHA-256 of what it does: of all that depends on a mapping, the names of files and layouts do not count."""
        target = [self.target.joints, self.target.parents, self.target.pairs]
        rows = [[(joint, str(weight)) for joint, weight in row] for row in self.rows]
        return hashlib.sha256(json.dumps([self.source.joints, target, rows]).encode()).hexdigest()

    @cached_property
    def _gather(self) -> tuple[np.ndarray, tuple[tuple[np.ndarray, np.ndarray, np.ndarray], ...]]:
        """Of each target joint its first source joint; then the means of each size: where, of what, how heavy."""
        first = np.array([row[0][0] if row else 0 for row in self.rows])
        sizes = sorted({len(row) for row in self.rows if len(row) != 1})
        groups = []
        for size in sizes:
            where = [place for place, row in enumerate(self.rows) if len(row) == size]
            joints = [[joint for joint, _ in self.rows[place]] for place in where]
            weights = [[float(weight) for _, weight in self.rows[place]] for place in where]
            groups.append((np.array(where), np.array(joints, np.int64), np.array(weights)))
        return first, tuple(groups)


def apply_mapping(
    mapping: JointMapping, keypoints: Float32[np.ndarray, "*axes joints channels"]
) -> Float32[np.ndarray, "*axes targets channels"]:
    """Make the target's joints.

    Args:
        mapping: From the layout of the keypoints.
        keypoints: Any unit; NaN = missing.

    Returns:
        The joints of the target, same unit. A mean in which a joint is missing is missing: one shoulder is no neck, and
        a mean over what happens to be there would jump as joints come and go. Joints that the mapping leaves out are
        NaN throughout.

    Raises:
        CardError: If the keypoints have another number of joints than the source.
    """
    _check_count(mapping, keypoints.shape[-2])
    first, groups = mapping._gather
    mapped: np.ndarray = np.take(keypoints, first, -2)  # twice as fast as an index
    for where, joints, weights in groups:
        total = np.nan if weights.shape[1] == 0 else np.zeros((*keypoints.shape[:-2], len(where), keypoints.shape[-1]))
        for part in range(weights.shape[1]):
            total += np.take(keypoints, joints[:, part], -2) * weights[:, part, None]
        mapped[..., where, :] = total
    return mapped


def apply_to_score(
    mapping: JointMapping, score: Float32[np.ndarray, "*axes joints"]
) -> Float32[np.ndarray, "*axes targets"]:
    """Carry the confidence over.

    Args:
        mapping: From the layout of the scores.
        score: Of every joint; NaN where none is given.

    Returns:
        Of every joint of the target: a mean is as sure as the least sure of its joints; NaN for missing joints.

    Raises:
        CardError: If there are scores of another number of joints than the source has.
    """
    _check_count(mapping, score.shape[-1])
    first, groups = mapping._gather
    mapped: np.ndarray = score[..., first]
    for where, joints, _ in groups:
        mapped[..., where] = score[..., joints].min(-1) if joints.shape[1] else np.nan
    return mapped


def compose(first: JointMapping, then: JointMapping) -> JointMapping:
    """One mapping that does what two do after each other.

    Weights are exact fractions, so that composing is associative; on arrays the two ways differ by the rounding of the
    step between, and by nothing where no mean is taken.

    Args:
        first: From the source.
        then: From the target of the first.

    Returns:
        From the source of the first to the target of the second. A mean with a part that is missing between is missing.

    Raises:
        CardError: If the second does not begin where the first ends.
    """
    if first.target.joints != then.source.joints:
        raise CardError(f"A mapping to '{first.target.name}' is not followed by one from '{then.source.name}'.")
    rows = []
    for row in then.rows:
        parts = [(first.rows[joint], weight) for joint, weight in row]
        whole = all(inner for inner, _ in parts)
        shares = [(joint, weight * share) for inner, weight in parts for joint, share in inner]
        rows.append(_collected(shares) if whole else ())
    via = (*first.via, first.target.name, *then.via)
    return JointMapping(first.source, then.target, tuple(rows), via)


def identity(layout: Layout) -> JointMapping:
    """The mapping of a layout onto itself."""
    return JointMapping(layout, layout, tuple(((joint, Fraction(1)),) for joint in range(len(layout.joints))))


def find_mapping(source: Layout, target: str, variant: str = "") -> JointMapping:
    """Find how the joints of a layout become those of another.

    In this order: the layout itself; the mapping that the target's file has; for a layout that skelbench does not
    bring, joints of the same names, if none lacks; the shortest chain of these over layouts that skelbench brings, of
    equally short ones the one with the fewest joints missing, then the fewest means, then by name.

    Args:
        source: Layout of the data.
        target: Name of a layout, or the path of its file.
        variant: Of the mapping in the target's file; only of that between the two.

    Returns:
        The mapping.

    Raises:
        CardError: If there is no such layout, or its file is wrong.
        UsageError: If there is no such mapping, naming the joints that lack.
    """
    book = _brought().get(target) or _read(target)
    if variant:
        return _variant(source, book, variant)
    if _same(source, book.layout):
        return identity(source)
    books = {**_brought(), book.layout.name: book}
    chains = [[identity(source)]]
    for _ in range(_LONGEST):
        chains = [
            [*chain, step] for chain in chains for step in _steps(chain[-1].target, books) if _is_new(chain, step)
        ]
        found = [_chained(chain[1:]) for chain in chains if chain[-1].target == book.layout]
        if found:
            return min(found, key=lambda mapping: (len(mapping.missing), len(mapping.means), mapping.path))
    raise UsageError(_lacking(source, book))


def loss(mapping: JointMapping) -> str:
    """What a mapping loses, in a line: joints that stay missing, those that are means, those of the source unused."""
    parts = (("missing", mapping.missing), ("averaged", mapping.means), ("unused", mapping.unused))
    told = [f"{len(names)} {word} ({', '.join(names)})" for word, names in parts if names]
    return f"{mapping.path}: {'; '.join(told) or 'every joint of both'}"


def mappings_into(name: str) -> list[JointMapping]:
    """The mappings that the file of a registered layout has, without variants, sorted by source.

    Raises:
        CardError: If there is no such layout, or its file is wrong.
    """
    book = _brought().get(name) or _read(name)
    return [_written(_brought()[source].layout, book, book.tables[source]) for source in sorted(book.tables)]


def mappings_from(source: Layout) -> list[JointMapping]:
    """How a layout becomes each other one that skelbench brings, those left out to which there is no way."""
    found = []
    for name in layout_names():
        try:
            mapping = find_mapping(source, name)
        except UsageError:
            continue
        if not _same(source, mapping.target):
            found.append(mapping)
    return found


def variants_of(name: str) -> dict[str, tuple[str, ...]]:
    """The variants that the file of a registered layout has: by name the sources for which there is one.

    Raises:
        CardError: If there is no such layout, or its file is wrong.
    """
    return {variant: tuple(sorted(tables)) for variant, tables in sorted(_read(name).variants.items())}


class _Book(NamedTuple):
    """A file of a layout."""

    layout: Layout
    tables: dict[str, dict[str, Any]]  # by source
    variants: dict[str, dict[str, dict[str, Any]]]  # by name, then by source
    where: str


def _read(target: str) -> _Book:
    """Read the layout of a name or a path, with its mappings."""
    path = LAYOUTS / f"{target}.toml"
    if target.endswith(".toml"):
        path = Path(target).expanduser()
    elif target not in layout_names():
        told = "A layout of your own is named by the path of its file, which ends in .toml."
        raise CardError(f"No layout {target[:80]!r}. {nearest(target[:80], layout_names())} {told}")
    table = read_toml(path)
    tables, variants = table.get("from", {}), table.get("variants", {})
    nested = variants.values() if isinstance(variants, dict) else [None]
    if not _of_tables(tables) or not all(_of_tables(one) for one in nested):
        raise CardError(f"{path}: expected tables such as [from.coco17] and [variants.wrists.coco17].")
    return _Book(layout_from(table, path.stem, str(path)), tables, variants, str(path))


@cache
def _brought() -> Mapping[str, _Book]:
    """The layouts that skelbench brings by name; their files do not change while it runs."""
    return {name: _read(name) for name in layout_names()}


@cache
def _known(source: Layout, target: str) -> JointMapping:
    """A mapping between layouts that skelbench brings, as the target's file has it."""
    book = _brought()[target]
    return _written(source, book, book.tables[source.name])


def _of_tables(value: object) -> bool:
    """Whether something holds tables only."""
    return isinstance(value, dict) and all(isinstance(inner, dict) for inner in value.values())


def _same(one: Layout, other: Layout) -> bool:
    """Whether two layouts are one, whatever their files say of their source."""
    return (one.name, one.joints, one.parents) == (other.name, other.joints, other.parents)


def _variant(source: Layout, book: _Book, variant: str) -> JointMapping:
    """The variant of a mapping that a file has."""
    if variant not in book.variants:
        raise UsageError(f"Layout '{book.layout.name}' has no variant '{variant}'. {nearest(variant, book.variants)}")
    changes = book.variants[variant].get(source.name)
    if changes is None:
        known = ", ".join(sorted(book.variants[variant]))
        raise UsageError(
            f"The variant '{variant}' of the layout '{book.layout.name}' is for {known}, not for '{source.name}'."
        )
    return _written(source, book, {**changes, **_without(book.tables.get(source.name, {}), changes)})


def _without(table: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a table that a variant leaves as they are."""
    return {key: value for key, value in table.items() if key not in changes}


def _steps(source: Layout, books: Mapping[str, _Book]) -> Iterator[JointMapping]:
    """The mappings that begin at a layout: those written, and those by name where skelbench does not bring it."""
    brought = source.name in books and _same(source, books[source.name].layout)
    for name in sorted(books):
        book = books[name]
        if source.name in book.tables and (brought or source.name not in books):  # not of another that bears its name
            known = book is _brought().get(name)
            yield _known(source, name) if known else _written(source, book, book.tables[source.name])
        elif not brought and set(book.layout.joints) <= set(source.joints):
            yield _written(source, book, {"*": "*"})


def _is_new(chain: Sequence[JointMapping], step: JointMapping) -> bool:
    """Whether a chain was not yet where a step goes."""
    return all(step.target.name != one.target.name for one in chain)


def _chained(chain: Sequence[JointMapping]) -> JointMapping:
    """One mapping for all of a chain."""
    whole = chain[0]
    for step in chain[1:]:
        whole = compose(whole, step)
    return whole


def _lacking(source: Layout, book: _Book) -> str:
    """What to say where there is no way."""
    lacks = [name for name in book.layout.joints if name not in source.joints]
    named = f"'{source.name}' lacks {_listed(lacks)}" if lacks else "all names are there, but may mean other joints"
    return (
        f"No mapping from the layout '{source.name}' to '{book.layout.name}': {named}. Write [from.{source.name}] into "
        f"a copy of {book.where} and name that by its path: a line a joint, such as "
        'neck = ["left shoulder", "right shoulder"].'
    )


def _listed(names: Iterable[str]) -> str:
    """Names in quotes."""
    return ", ".join(f"'{name}'" for name in names)


def _written(source: Layout, book: _Book, table: Mapping[str, Any]) -> JointMapping:
    """A mapping as a file has it.

    Raises:
        CardError: If it names a joint that one of the layouts lacks, or means nothing.
    """
    where = f"{book.where}, [from.{source.name}]"
    rows: dict[str, tuple[Share, ...]] = {}
    patterns = [key for key in table if "*" in key]
    for key in [key for key in table if "*" not in key]:
        if key not in book.layout.joints:
            raise CardError(f"{where}: '{key}' is no joint of '{book.layout.name}'. {nearest(key, book.layout.joints)}")
        rows[key] = _row(source, _parts(table[key], key, where), key, where)
    for key in patterns:
        found = dict(_matches(source, book.layout, key, _parts(table[key], key, where)))
        if not found:
            raise CardError(f"{where}: '{key}' fits no joint of '{book.layout.name}' that '{source.name}' has.")
        rows = found | rows
    return JointMapping(source, book.layout, tuple(rows.get(name, ()) for name in book.layout.joints))


def _parts(value: object, key: str, where: str) -> tuple[str, ...]:
    """The names of joints of an entry; none for a joint that is missing."""
    names = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else (None,)
    if not all(isinstance(name, str) for name in names):
        found = f"{value!r}"
        raise CardError(f"{where}: '{key}' is {found[:60]}, expected the name of a joint or a list of names.")
    return tuple(str(name) for name in names)


def _row(source: Layout, names: Sequence[str], key: str, where: str) -> tuple[Share, ...]:
    """The weights of an entry; a name that stands twice counts twice."""
    for name in names:
        if name not in source.joints:
            raise CardError(
                f"{where}: '{key}' is made of '{name}', no joint of '{source.name}'. {nearest(name, source.joints)}"
            )
    return _collected([(source.joints.index(name), Fraction(1, len(names))) for name in names])


def _matches(source: Layout, target: Layout, key: str, names: Sequence[str]) -> Iterator[tuple[str, tuple[Share, ...]]]:
    """The target joints that a pattern stands for, where the source has all that it names."""
    before, _, after = key.partition("*")
    for joint in target.joints:
        if len(joint) >= len(before) + len(after) and joint.startswith(before) and joint.endswith(after):
            middle = joint[len(before) : len(joint) - len(after)]
            filled = [name.replace("*", middle) for name in names]
            if all(name in source.joints for name in filled):
                yield joint, _row(source, filled, key, "")


def _collected(shares: Iterable[Share]) -> tuple[Share, ...]:
    """Shares by joint, each joint once."""
    weights: dict[int, Fraction] = {}
    for joint, weight in shares:
        weights[joint] = weights.get(joint, Fraction(0)) + weight
    return tuple(sorted(weights.items()))


def _check_count(mapping: JointMapping, joints: int) -> None:
    """Refuse arrays of another layout."""
    if joints != len(mapping.source.joints):
        raise CardError(f"{joints} joints, expected the {len(mapping.source.joints)} of '{mapping.source.name}'.")
