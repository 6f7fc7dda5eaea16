"""Layouts as `list` and `info` show them: joints, bones, mirror pairs, mappings and what these lose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from skelbench.cli import output

if TYPE_CHECKING:
    from skelbench.mapping import JointMapping
    from skelbench.skeletons import Layout


def rows() -> list[dict[str, Any]]:
    """Every layout with its counts, and the layouts from which its file has a mapping."""
    from skelbench.mapping import mappings_into
    from skelbench.skeletons import layout_names, load_layout

    found = []
    for name in layout_names():
        layout = load_layout(name)
        sources = ", ".join(mapping.source.name for mapping in mappings_into(name))
        counts = {"joints": len(layout.joints), "pairs": len(layout.pairs)}
        found.append({"name": name, **counts, "mappings from": sources, "source": layout.source})
    return found


def document(name: str) -> dict[str, Any]:
    """All that is known of a layout, for JSON.

    Args:
        name: Of a layout that skelbench brings.

    Returns:
        Its joints with parents and mirror partners; mappings from others, as its file has them; and ways to others,
        with what each loses.
    """
    from skelbench.mapping import mappings_from, mappings_into, variants_of
    from skelbench.skeletons import load_layout, mirror

    layout = load_layout(name)
    partners = mirror(layout).tolist()
    return {
        "name": name,
        "source": layout.source,
        "centre": layout.joints[layout.centre],
        "joints": [
            {
                "index": index,
                "joint": joint,
                "parent": layout.joints[parent] if parent >= 0 else "",
                "mirror": layout.joints[partners[index]] if partners[index] != index else "",
            }
            for index, (joint, parent) in enumerate(zip(layout.joints, layout.parents, strict=True))
        ],
        "pairs": [[layout.joints[left], layout.joints[right]] for left, right in layout.pairs],
        "from": [_mapping(mapping) for mapping in mappings_into(name)],
        "to": [_mapping(mapping) for mapping in mappings_from(layout)],
        "variants": {variant: list(sources) for variant, sources in variants_of(name).items()},
    }


def show(name: str) -> None:
    """Print a layout: its bones as a tree with mirror partners, and what mappings lose."""
    from skelbench.mapping import loss, mappings_from, mappings_into, variants_of
    from skelbench.skeletons import load_layout

    layout = load_layout(name)
    joints, pairs, root = len(layout.joints), len(layout.pairs), layout.joints[layout.centre]
    counts = f"{joints} in {pairs} mirror pairs and {joints - 2 * pairs} without a partner"
    output.pairs({"name": name, "joints": counts, "root": root, "source": layout.source})
    click.echo("\nbones (mirror partner)")
    click.echo("\n".join(tree(layout)))
    variants = [f"{variant}, from {source}" for variant, sources in variants_of(name).items() for source in sources]
    for title, mappings in (("from", mappings_into(name)), ("to", mappings_from(layout))):
        if mappings:
            click.echo(f"\nmappings {title} other layouts, and what they lose")
            click.echo("\n".join(f"  {loss(mapping)}" for mapping in mappings))
    if variants:
        click.echo(f"\nvariants: {'; '.join(variants)}; as in --layout {name},{variants[0].partition(',')[0]}")


def tree(layout: Layout) -> list[str]:
    """The bones as lines of text, each joint below its parent.

    Args:
        layout: Joints and parents.

    Returns:
        Lines such as `├── 5 left elbow  (6 right elbow)`.
    """
    from skelbench.skeletons import mirror

    partners = mirror(layout).tolist()
    lines: list[str] = []
    waiting = [(joint, "", "", "") for joint, parent in enumerate(layout.parents) if parent < 0][::-1]
    while waiting:
        joint, before, branch, inside = waiting.pop()
        other = partners[joint]
        partner = f"  ({other} {layout.joints[other]})" if other != joint else ""
        lines.append(f"{before}{branch}{joint} {layout.joints[joint]}{partner}")
        children = [child for child, parent in enumerate(layout.parents) if parent == joint]
        last = children[-1:]
        waiting += [
            (child, before + inside, "└── " if [child] == last else "├── ", "    " if [child] == last else "│   ")
            for child in reversed(children)
        ]
    return lines


def _mapping(mapping: JointMapping) -> dict[str, Any]:
    """A mapping with plain values: of each joint what it is made of, with weights, and what is lost."""
    made = {
        joint: {mapping.source.joints[place]: str(weight) for place, weight in row}
        for joint, row in zip(mapping.target.joints, mapping.rows, strict=True)
    }
    return {
        "source": mapping.source.name,
        "via": list(mapping.via),
        "target": mapping.target.name,
        "joints": made,
        "missing": list(mapping.missing),
        "means": list(mapping.means),
        "unused": list(mapping.unused),
    }
