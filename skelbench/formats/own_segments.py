"""Untrimmed recordings of a stranger: what is shown when, by a label a frame or by a table with a row an action."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from skelbench.card import Card
from skelbench.errors import RawFormatError, nearest
from skelbench.formats import own, own_tables
from skelbench.formats.own import Clip, Options
from skelbench.sample import Segment


@dataclass(frozen=True)
class Action:
    """One row of a table of segments, as it stands there."""

    label: str
    start: float
    end: float
    row: int  # counted from 1


def table(data: bytes, name: str, options: Options, where: str) -> dict[str, tuple[Action, ...]]:
    """Read a table with a row an action.

    Args:
        data: CSV or Parquet.
        name: The file's name.
        options: Names of the columns; the id stands in that of `options.id`, in `id`, or in the first.
        where: Name of the file, for messages.

    Returns:
        The actions of each id, in their order.

    Raises:
        RawFormatError: If a column is missing, or a start or an end is no number.
    """

    def numeric(header: Sequence[str]) -> Mapping[str, str]:
        """The columns of numbers."""
        for option in ("start", "end"):
            column = getattr(options, option)
            if column not in header:
                raise RawFormatError(f"{where}: no column '{column}' (options.{option}). {nearest(column, header)}")
        return {options.start: "start", options.end: "end"}

    rows = own_tables.frame_of(data, name, numeric, where, options)
    if options.label not in rows:
        raise RawFormatError(
            f"{where}: no column '{options.label}' (options.label). {nearest(options.label, map(str, rows.columns))}"
        )
    column = next((one for one in (options.id, "id", "sample_id") if one in rows), str(rows.columns[0]))
    found: dict[str, list[Action]] = {}
    columns = (rows[one].tolist() for one in (column, options.label, options.start, options.end))
    for row, (sample_id, label, start, end) in enumerate(zip(*columns, strict=True), 1):
        if not (math.isfinite(start) and math.isfinite(end)):
            raise RawFormatError(f"{where}, row {row}: start {start:g} and end {end:g}, expected numbers.")
        found.setdefault(own.text_of(sample_id), []).append(Action(own.text_of(label), start, end, row))
    return {sample_id: tuple(actions) for sample_id, actions in found.items()}


def of_actions(
    actions: Sequence[Action], n_frames: int, card: Card, options: Options, where: str
) -> tuple[Segment, ...]:
    """The segments of a sample by its rows.

    Args:
        actions: Its rows. Frames are counted from `options.first_frame` and the last one is part of an action;
            seconds are counted from 0, and the frame in which they end is not.
        n_frames: Of the sample.
        card: Classes, and frames per second.
        options: What start and end are.
        where: Name of the table, for messages.

    Returns:
        Segments in the order of the rows.

    Raises:
        RawFormatError: If a row ends before it starts, lies outside the recording, or names no class.
    """
    target, found = next(iter(card.targets)), list[Segment]()
    for action in actions:
        here = f"{where}, row {action.row}"
        if options.time == "seconds":
            start, end = round(action.start * card.fps), round(action.end * card.fps)
        else:
            start, end = (math.floor(one) - options.first_frame for one in (action.start, action.end + 1))
        if not 0 <= start < end or start >= n_frames:
            raise RawFormatError(
                f"{here}: {action.start:g} to {action.end:g} {options.time} (options.time), expected a start before "
                f"its end, within the {n_frames} frames of the recording ({n_frames / card.fps:.1f} s)."
            )
        labels = own.several(action.label, options)
        found += [(start, min(end, n_frames), own.class_of(one, card, options, target, here)) for one in labels]
    return tuple(found)


def of_frames(clip: Clip, card: Card, options: Options, where: str) -> tuple[Segment, ...]:
    """The segments of a clip whose frames have labels: runs of frames with one.

    Args:
        clip: Its `labelled` says what rows or frames show.
        card: Classes.
        options: Labels that mean none.
        where: File and sample, for messages.

    Returns:
        Segments in the order in which they begin.

    Raises:
        RawFormatError: If a label is no class, or rows of one frame have different ones.
    """
    if clip.labelled is None:
        return ()
    target = next(iter(card.targets))
    frames, texts = clip.labelled
    if frames.size and not 0 <= int(frames.min()) <= int(frames.max()) < clip.n_frames:
        raise RawFormatError(f"{where}: labels of frames up to {frames.max()}, but there are {clip.n_frames} frames.")
    on = np.zeros((clip.n_frames, len(card.targets[target].classes)), bool)
    known: dict[int, object] = {}
    classes: dict[str, list[int]] = {}
    for frame, value in zip(frames.tolist(), texts, strict=True):
        text = own.text_of(value)
        if known.setdefault(frame, text) != text:
            raise RawFormatError(
                f"{where}, frame {frame}: is '{str(known[frame])[:40]}' in one row, '{text[:40]}' in another."
            )
        if text not in classes:
            classes[text] = [own.class_of(one, card, options, target, where) for one in own.several(value, options)]
        on[frame, classes[text]] = True
    edges = np.diff(on.astype(np.int8), axis=0, prepend=0, append=0)
    found = []
    for label in np.flatnonzero(on.any(axis=0)).tolist():
        starts, ends = np.flatnonzero(edges[:, label] == 1), np.flatnonzero(edges[:, label] == -1)
        found += [(start, end, label) for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
    return tuple(sorted(found))
