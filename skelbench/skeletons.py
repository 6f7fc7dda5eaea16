"""Joints and bones: what a layout is, and the arrays that follow from one."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64

from skelbench.errors import CardError, nearest
from skelbench.toml import read_toml

LAYOUTS = Path(__file__).parent / "layouts"
_NAME = re.compile(r"[\w-]{1,80}")  # of a file in a known folder, never a path
_MOST_JOINTS = 1000  # of one body in a file: hands and faces have fewer, and a chain of more takes long to check


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The joints of a skeleton and the bones between them."""

    name: str
    joints: tuple[str, ...]  # names in the order of the joint axis
    parents: tuple[int, ...]  # index of each joint's parent; -1 at the root, of each body one
    pairs: tuple[tuple[int, int], ...]  # left and right joints that a mirror swaps
    source: str  # where names and bones come from

    @property
    def bodies(self) -> int:
        """Skeletons side by side on the joint axis, see `joined`; each has a root."""
        return self.parents.count(-1)

    @property
    def centre(self) -> int:
        """Index of the root of the graph, of the first body's; not the joint on which a prepare list centres."""
        return self.parents.index(-1)

    def __post_init__(self) -> None:
        """Refuse what is not a tree over the joints, or pairs that do not pair.

        Raises:
            CardError: If parents, pairs or names contradict each other.
        """
        problem = _problem(self)
        if problem:
            raise CardError(f"Layout '{self.name}': {problem}")


def load_layout(name: str, beside: Path | None = None) -> Layout:
    """Read a layout by name.

    Args:
        name: A file name in `skelbench/layouts/` without `.toml`.
        beside: A further folder to look in, such as that of the card that names the layout.

    Returns:
        The layout.

    Raises:
        CardError: If there is no such layout, or its file does not fit together.
    """
    folders = [LAYOUTS, *([beside] if beside else [])]
    for folder in folders if _NAME.fullmatch(name) else ():
        path = folder / f"{name}.toml"
        if path.is_file():
            return layout_from(read_toml(path), path.stem, str(path))
    hint = f"{nearest(name[:80], layout_names())} A card may also write its layout in place."
    raise CardError(f"No layout {name[:80]!r}. {hint}")


def layout_names() -> list[str]:
    """Names of the layouts that skelbench brings, sorted."""
    return sorted(path.stem for path in LAYOUTS.glob("*.toml"))


def layout_from(table: dict[str, object], name: str, where: str) -> Layout:
    """Build a layout from a TOML table.

    Args:
        table: Keys `joints`, `parents`, `pairs`, `source`; mappings, `from` and `variants`, are read by `mapping`.
        name: Name of the layout.
        where: File that holds the table, for messages.

    Returns:
        The layout.

    Raises:
        CardError: If a key is missing, unknown or of the wrong type.
    """
    known = {"name", "joints", "parents", "pairs", "source", "from", "variants"}
    for key in table.keys() - known:
        raise CardError(f"{where}: unknown key '{key}'. {nearest(key, known)}")
    joints, parents, pairs = (table.get(key) for key in ("joints", "parents", "pairs"))
    if not (isinstance(joints, list) and isinstance(parents, list) and isinstance(pairs, list)):
        raise CardError(
            f"{where}: a layout needs the lists joints, parents and pairs; found {', '.join(sorted(table))}."
        )
    if len(joints) > _MOST_JOINTS:
        raise CardError(f"{where}: {len(joints):,} joints, expected at most {_MOST_JOINTS:,}.")
    if parents.count(-1) > 1:
        raise CardError(f"{where}: parents must be joint indices with one root of -1, found {parents}.")
    try:
        return Layout(
            name=str(table.get("name", name)),
            joints=tuple(str(joint) for joint in joints),
            parents=tuple(map(_index, parents)),
            pairs=tuple(_pair(pair) for pair in pairs),
            source=str(table.get("source", "")),
        )
    except (TypeError, ValueError) as error:
        raise CardError(f"{where}: {error}") from error


def mirror(layout: Layout) -> Int64[np.ndarray, " joints"]:
    """Joint order of the skeleton seen in a mirror; indexing the joint axis with it swaps left and right."""
    order = np.arange(len(layout.joints))
    for left, right in layout.pairs:
        order[[left, right]] = right, left
    return order


def parents_or_self(layout: Layout) -> Int64[np.ndarray, " joints"]:
    """Parent of each joint, the root its own: `x - x[..., parents, :]` is the bone stream with 0 at the root."""
    parents = np.array(layout.parents)
    return np.where(parents < 0, np.arange(parents.size), parents)


def joined(layout: Layout, bodies: int) -> Layout:
    """Stand several skeletons side by side on the joint axis.

    Args:
        layout: One skeleton.
        bodies: How many, 1 or more.

    Returns:
        A layout in which no bone and no mirror pair goes from one body to another; joints of the second body on are
        named `2:head` and so on.
    """
    if bodies == 1:
        return layout
    count, every = len(layout.joints), range(bodies)
    names = [f"{body + 1}:{name}" if body else name for body in every for name in layout.joints]
    parents = [parent + body * count if parent >= 0 else -1 for body in every for parent in layout.parents]
    pairs = [(left + body * count, right + body * count) for body in every for left, right in layout.pairs]
    return replace(
        layout,
        name=f"{layout.name} x {bodies}",
        joints=tuple(names),
        parents=tuple(parents),
        pairs=tuple(pairs),
    )


def adjacency(layout: Layout) -> Float32[np.ndarray, "3 joints joints"]:
    """Self, inward (child to parent) and outward edges, each column divided by its sum.

    Source: the three subsets of 2s-AGCN and CTR-GCN (Shi et al., CVPR 2019, section 3.2).
    """
    count = len(layout.joints)
    inward = np.zeros((count, count), np.float32)
    for child, parent in enumerate(layout.parents):
        if parent >= 0:
            inward[child, parent] = 1
    subsets = np.stack([np.eye(count, dtype=np.float32), inward, inward.T])
    normed: np.ndarray = subsets / np.maximum(subsets.sum(1, keepdims=True), 1)
    return normed


def _index(value: object) -> int:
    """A joint index as TOML has it; no float, text or boolean."""
    if type(value) is not int:
        raise TypeError(f"parents and pairs hold joint indices, found {value!r:.40}.")
    return value


def _pair(value: object) -> tuple[int, int]:
    """Two joint indices."""
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise TypeError(f"pairs hold two joint indices each, found {value!r:.40}.")
    return _index(value[0]), _index(value[1])


def _problem(layout: Layout) -> str:
    """The first contradiction in a layout, or an empty string."""
    count = len(layout.joints)
    if count == 0 or len(set(layout.joints)) != count:
        return "joint names must be there and differ from each other."
    if len(layout.parents) != count:
        return f"{len(layout.parents)} parents for {count} joints."
    if layout.bodies < 1 or not all(-1 <= parent < count for parent in layout.parents):
        return f"parents must be joint indices with one root of -1, found {layout.parents}."
    for joint in range(count):
        ancestor, steps = joint, 0
        while ancestor >= 0 and steps <= count:
            ancestor, steps = layout.parents[ancestor], steps + 1
        if ancestor >= 0:
            return f"joint {joint} is its own ancestor."
    paired = [joint for pair in layout.pairs for joint in pair]
    if len(set(paired)) != len(paired) or not all(0 <= joint < count for joint in paired):
        return f"pairs must be joint indices, each at most once, found {layout.pairs}."
    return ""
