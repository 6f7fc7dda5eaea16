"""All pictures of one sample: a strip, an animation, a page that plays it, and perhaps a recording for Rerun."""

import re
from collections.abc import Sequence
from pathlib import Path

from skelbench.card import Card
from skelbench.figures.player import page
from skelbench.figures.rerun import write_rerun
from skelbench.figures.scene import scene
from skelbench.figures.style import short
from skelbench.figures.view import draw_view
from skelbench.prepare.run import check_prepare, prepare, prepared_layout
from skelbench.record import write_whole
from skelbench.sample import Sample
from skelbench.store.reader import Store

_TITLE = 70  # letters of a label in a title


def draw_sample(
    store: Store, sample: Sample, steps: Sequence[str], out: Path, *, moments: int = 8, rerun: bool = False
) -> list[Path]:
    """Draw a sample, and beside it what a prepare list makes of it.

    Args:
        store: Its set.
        sample: The sample.
        steps: Prepare steps or lists; none for the recording alone.
        out: Folder to write to, made where it is missing.
        moments: Pictures in the strip.
        rerun: Whether to write a recording for the viewer Rerun too.

    Returns:
        What was written: PNG, GIF, HTML, and `.rrd`; the same bytes each time.

    Raises:
        UsageError: If there is no such step, or Rerun is not installed.
        RunError: If the sample cannot be prepared.
    """
    card = store.card
    title = f"{sample.sample_id}, {short(label_of(sample, card, next(iter(card.targets))), _TITLE)}"
    shown = [(sample.sample_id, prepare(sample, check_prepare(()), card.layout), card.layout)]
    if steps:
        listed = check_prepare(steps)
        after = prepare(sample, listed, card.layout)
        shown.append((f"after {', '.join(listed)}", after, prepared_layout(listed, card.layout)))
    names = [title, *(name for name, _, _ in shown[1:])]
    scenes = [scene(one, layout, card.channels, name) for (_, one, layout), name in zip(shown, names, strict=True)]
    stem = out / (re.sub(r"[^\w.-]", "_", sample.sample_id)[:120] or "sample")
    html = stem.with_name(f"{stem.name}.html")
    written = [*draw_view(scenes, card.fps, stem, moments=moments), html]
    write_whole(html, page(scenes, card.fps, facts_of(store, sample), segments_of(sample, card)).encode())
    if rerun:
        written.append(write_rerun(shown, card.channels, stem.with_name(f"{stem.name}.rrd")))
    return written


def label_of(sample: Sample, card: Card, target: str) -> str:
    """What a label of a sample says, for people."""
    value, known = sample.targets[target], card.targets[target]
    if isinstance(value, tuple):
        there = [name for name, one in zip(known.classes, value, strict=False) if one == 1]
        return ", ".join(there) or "none of the classes"
    if known.kind == "score":
        return f"{target} {value:g}"
    return known.classes[int(value)] if 0 <= int(value) < len(known.classes) else "unlabelled"


def facts_of(store: Store, sample: Sample) -> dict[str, str]:
    """What is known of a sample, for people: its labels, length and columns."""
    card = store.card
    seconds = f"{sample.n_frames:,} ({sample.n_frames / card.fps:,.1f} s at {card.fps:g} per second)"
    return {
        "set": store.path.name,
        **({"recording": "made up, of nobody"} if store.info.origin.synthetic else {}),
        **{name: short(label_of(sample, card, name), 160) for name in card.targets},
        "frames": seconds,
        "joints": f"{len(card.layout.joints)} ({card.layout.name})",
        **{name: short(str(value), 60) for name, value in sample.meta.items()},
    }


def segments_of(sample: Sample, card: Card) -> list[tuple[int, int, str]]:
    """What is marked in an untrimmed sample: start, end (half open) and the name of the class."""
    classes = next(iter(card.targets.values())).classes
    return [
        (start, end, classes[label] if 0 <= label < len(classes) else str(label))
        for start, end, label in sample.segments
    ]
