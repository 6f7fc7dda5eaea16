"""`--to pyskl`: one annotation pickle as PYSKL and MMAction2 read it."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from skelbench.errors import UsageError
from skelbench.export.job import Job
from skelbench.formats import plain_pickle_out, pyskl
from skelbench.prepare.prepared import by_id
from skelbench.sample import Sample


def write(job: Job) -> None:
    """Write `{"split": ..., "annotations": [...]}`, one annotation after the other.

    Args:
        job: Labels are the card's. Of channels u v x y z the image's are taken where there are any.

    Raises:
        UsageError: If the first target is not one class a sample, or the poses are neither 2-D nor 3-D.
    """
    if job.store.card.targets[job.target].kind != "single":
        raise UsageError(f"'{job.target}' is not one class a sample, which is all that this form can say.")
    axes, names = _axes(job.store.card.channels), job.store.ids
    split: dict[str, object] = {}
    for name, parts in job.splits.items():
        prefix = f"{name}_" if len(job.splits) > 1 else ""
        split |= {f"{prefix}train": [names[at] for at in parts.train], f"{prefix}val": [names[at] for at in parts.test]}
    with job.out.open("wb") as file:
        stream = plain_pickle_out.Stream(file)
        stream.entry("split", split)
        stream.entries("annotations", _entries(job, axes))
        stream.close()
    job.said.append(f"Splits: {', '.join(split) or 'none'}. Values are float32, channels {_named(job, axes)}.")


def _entries(job: Job, axes: tuple[int, ...]) -> Iterator[dict[str, object]]:
    """One annotation a sample; a missing joint is 0, with score 0 in the image plane."""
    plane = len(axes) == 2
    for sample in job.store:
        one = _by_place(replace(sample, keypoints=np.ascontiguousarray(sample.keypoints[..., axes])))
        missing = np.isnan(one.keypoints).any(axis=2)
        score = np.ones(missing.shape, np.float32) if one.score is None else np.nan_to_num(one.score, nan=0.0)
        score[missing] = 0
        values = np.where(missing[..., None], np.float32(0), one.keypoints)
        size = tuple(_whole(sample.meta.get(name)) for name in ("width", "height"))
        yield pyskl.entry(
            replace(one, keypoints=values, score=score if plane else None),
            label=int(str(sample.targets[job.target])),
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
