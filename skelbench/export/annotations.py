"""`--to pyskl`: one annotation pickle as PYSKL and MMAction2 read it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from skelbench.errors import UsageError
from skelbench.export.job import Job
from skelbench.formats import plain_pickle_out, pyskl
from skelbench.prepare.prepared import by_id
from skelbench.sample import Sample
from skelbench.split import Split


def write(job: Job) -> None:
    """Write `{"split": ..., "annotations": [...]}`, one annotation after the other.

    Args:
        job: Of channels u v x y z the image's are taken where there are any. Of a protocol that the user named, its
            samples are written with labels as it counts them; else all samples with labels as the card counts them,
            and the protocols of that label.

    Raises:
        UsageError: If the label is not one class a sample, or the poses are neither 2-D nor 3-D.
    """
    target = _target(job)
    axes, names = _axes(job.store.card.channels), job.store.ids
    splits = {name: split for name, split in job.splits.items() if split.target == target}
    written: dict[str, object] = {}
    for name, parts in splits.items():
        prefix = f"{name}_" if len(splits) > 1 else ""
        written |= {
            f"{prefix}train": [names[at] for at in parts.train],
            f"{prefix}val": [names[at] for at in parts.test],
        }
    index = splits[next(iter(splits))].index if job.asked else None
    places = _places(job)
    with job.out.open("wb") as file:
        stream = plain_pickle_out.Stream(file)
        stream.entry("split", written)
        stream.entries("annotations", _entries(job, axes, places, target, index))
        stream.close()
    _say(job, splits, target)
    job.said.append(f"Splits: {', '.join(written) or 'none'}. Values are float32, channels {_named(job, axes)}.")


def _target(job: Job) -> str:
    """The label: that of the protocol which the user named, else the card's first.

    Raises:
        UsageError: If it is not one class a sample.
    """
    singles = [name for name in job.store.card.targets if job.is_single(name)]
    wanted = next(iter(job.splits.values())).target if job.asked else next(iter(job.store.card.targets))
    if wanted not in singles:
        others = [name for name, split in job.splits.items() if split.target in singles]
        hint = f" `--protocol {others[0]}` has one." if others else ""
        said = f"'{wanted}' is not one class a sample, which is all that this form can say."
        raise UsageError(f"{said}{hint} `--to parquet` and `--to hf` hold every set.")
    return wanted


def _places(job: Job) -> Sequence[int]:
    """The samples that are written: all, or those of the protocol that the user named."""
    if not job.asked:
        return range(len(job.store))
    split = next(iter(job.splits.values()))
    return sorted({*split.train, *split.test})


def _say(job: Job, splits: Mapping[str, Split], target: str) -> None:
    """Say which protocols are left out, and which count the classes otherwise."""
    if job.asked:
        job.said.append(f"{len(job.store) - len(_places(job)):,} samples are in no part of the protocol and left out.")
        return
    for name, split in job.splits.items():
        if name not in splits:
            job.said.append(f"The protocol '{name}' asks for '{split.target}', not '{target}', and is left out.")
        elif any(label != place for label, place in split.index.items()):
            job.said.append(
                f"Labels are the card's; the protocol '{name}' counts {len(split.classes)} classes in an order of its "
                f"own: --protocol {name} writes those."
            )


def _entries(
    job: Job, axes: tuple[int, ...], places: Sequence[int], target: str, index: Mapping[int, int] | None
) -> Iterator[dict[str, object]]:
    """One annotation a sample; a missing joint is 0, with score 0 in the image plane."""
    plane = len(axes) == 2
    shares = str(job.store.card.units[job.store.card.channels[axes[0]]]).startswith("image ")
    for sample in job.store.samples(places):
        one = _by_place(replace(sample, keypoints=np.ascontiguousarray(sample.keypoints[..., axes])))
        missing = np.isnan(one.keypoints).any(axis=2)
        score = np.ones(missing.shape, np.float32) if one.score is None else np.nan_to_num(one.score, nan=0.0)
        score[missing] = 0
        values = np.where(missing[..., None], np.float32(0), one.keypoints)
        size = (1, 1) if shares else tuple(_whole(sample.meta.get(name)) for name in ("width", "height"))
        label = int(str(sample.targets[target]))
        yield pyskl.entry(
            replace(one, keypoints=values, score=score if plane else None),
            label=label if index is None else index[label],
            size=(size[0], size[1]) if plane else (0, 0),
            half=False,
        )


def _by_place(sample: Sample) -> Sample:
    """The sample with persons as places in order of first appearance, as `by-id` groups them."""
    marked = replace(
        sample,
        keypoints=np.arange(1, len(sample.frame) + 1, dtype=np.float64).astype(np.float32)[:, None, None],
        score=None,
    )
    grouped = by_id(marked).keypoints[:, :, 0, 0]
    place, at = np.nonzero(~np.isnan(grouped))
    person = np.empty(len(sample.frame), np.int64)
    person[grouped[place, at].astype(np.int64) - 1] = place
    return replace(sample, person=person)


def _axes(channels: tuple[str, ...]) -> tuple[int, ...]:
    """Which channels are taken: u v where they are there, else x y z."""
    for wanted in (("u", "v"), ("x", "y", "z"), ("x", "y")):
        if set(wanted) <= set(channels):
            return tuple(channels.index(name) for name in wanted)
    raise UsageError(f"The channels {', '.join(channels)} are neither u, v nor x, y, z.")


def _named(job: Job, axes: tuple[int, ...]) -> str:
    """The channels that are taken, for people."""
    return ", ".join(job.store.card.channels[at] for at in axes)


def _whole(value: object) -> int:
    """A side of the image; 0 where it is not told."""
    return value if isinstance(value, int) and value > 0 else 0
