"""The README.md of a store: what a stranger who finds the folder must know."""

from collections.abc import Mapping

from skelbench.card import Card
from skelbench.store.schema import FORMAT, Origin, pose_arrays

_TEXT = """\
# {title}

{synthetic}Skeletons from {pose_source}, in the skelbench format {format}.

| | |
|---|---|
| samples | {samples:,} |
| frames | {frames:,} at {fps:g} per second |
| frames of a sample | {lengths} |
| poses (one person in one frame) | {poses:,} |
| persons in a frame | {persons} of frames |
| joints that are missing | {missing} |
| raw items that became no sample | {rejects:,} (rejects.parquet says why) |
| joints | {joints} |
| channels | {channels} |
| targets | {targets} |
| samples of a class | {balance} |
| converted by | skelbench {version}, converter `{converter}` |
| data fingerprint | `{fingerprint}` |

## Opening it

    import skelbench
    store = skelbench.open("path/of/this/folder")
    sample = store[0]  # keypoints (poses, joints, channels), frame, person, targets, meta

Without skelbench: `samples.parquet` has one row a sample. Its poses are rows `offset` to `offset + n_poses` of the
arrays {arrays} in `poses-000.h5` and the following shards, laid end to end. Missing joints are NaN.
`dataset.json` holds the whole card and the SHA-256 of every file; `skelbench verify` checks them.

## Terms

Licence: {licence}

Obtained from: {obtain}

Please cite: {citation}
"""
_SYNTHETIC = (
    "**These are not recordings.** The motion was computed; no number measured on it says anything of people.\n\n"
)


def readme(card: Card, origin: Origin, counts: Mapping[str, int | str], fingerprint: str) -> str:
    """Describe a store for people; the same store gives the same text.

    Args:
        card: The set's card.
        origin: How it was made.
        counts: `samples`, `frames`, `poses` and `rejects`; in words `lengths`, `balance`, `missing` and
            `persons`, of frames, classes, joints, and persons in a frame.
        fingerprint: Digest of its content.

    Returns:
        Markdown.
    """
    layout = card.layout
    targets = [
        f"{name} ({len(target.classes)} classes)" if target.classes else name for name, target in card.targets.items()
    ]
    return _TEXT.format(
        title=card.title,
        synthetic=_SYNTHETIC if origin.synthetic else "",
        pose_source=card.poses,
        format=FORMAT,
        fps=card.fps,
        joints=f"{len(layout.joints)} (layout {layout.name})",
        channels=", ".join(f"{channel} in {card.units[channel]}" for channel in card.channels),
        targets=", ".join(targets),
        version=origin.skelbench,
        converter=origin.converter,
        fingerprint=fingerprint,
        arrays=", ".join(f"`{name}`" for name in pose_arrays(card, 0)),
        licence=card.licence,
        obtain=card.obtain,
        citation=card.citation,
        **counts,
    )
