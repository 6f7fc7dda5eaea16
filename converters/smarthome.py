"""Toyota Smarthome, trimmed clips: LCR-Net's poses, one JSON file a clip, or one estimator's as NumPy files."""

import re
from collections.abc import Iterator

from skelbench.card import Card
from skelbench.errors import nearest
from skelbench.formats import names, pose_files
from skelbench.raw import RawItem, RawSource
from skelbench.sample import MetaValue

NAME = re.compile(
    r"(?P<activity>[A-Za-z]+(?:\.[A-Za-z]+)?)_p(?P<subject>\d{2})_r(?P<repetition>\d{2})_v(?P<video>\d{2})"
    r"_c(?P<camera>\d{2})(?:_pose3d\.json|\.json|_(?P<estimator>[A-Za-z]+)2d\.npz)",
    re.ASCII,
)
EXPECTED = "Activity_pNN_rNN_vNN_cNN.json (or _pose3d.json): person, repetition, video, camera"

# An activity that the owner's papers do not score has no label.
read, write, settle = pose_files.read, pose_files.write, pose_files.settle


def plan(raw: RawSource, card: Card) -> Iterator[RawItem]:
    """Name the clips of a source.

    Args:
        raw: A folder or archive of `.json` files, or of `.npz` files.
        card: Its options hold the activities, subjects, cameras, and whose `.npz` files are read.

    Yields:
        One item a file; files with another name, activity, subject, camera or estimator are rejects.
    """
    for path in sorted((*names.members(raw, ".json"), *names.members(raw, ".npz"))):
        match = NAME.fullmatch(names.file_name(path))
        if match is None:
            sample_id = names.stem(path)
            yield RawItem(sample_id, (path,), reject=f"the name '{sample_id}' is not {EXPECTED}")
            continue
        found = match.groupdict()
        estimator, activity = found.pop("estimator"), found.pop("activity")
        meta: dict[str, MetaValue] = {name: int(digits) for name, digits in found.items()}
        width, height = card.options["image"]
        take = f"{activity}_p{found['subject']}_r{found['repetition']}_v{found['video']}"
        meta |= {"activity": activity, "take": take, "width": width, "height": height}
        if activity in card.targets["label"].classes:
            meta["label"] = card.targets["label"].classes.index(activity)  # for `read`, and to spread a limit over
        yield RawItem(f"{take}_c{found['camera']}", (path,), meta, _reject(meta, estimator, card))


def _reject(meta: dict[str, MetaValue], estimator: str | None, card: Card) -> str | None:
    """Why a clip is not read."""
    known = (*card.targets["label"].classes, *card.options["unscored"])
    if meta["activity"] not in known:
        return f"activity '{str(meta['activity'])[:40]}'. {nearest(str(meta['activity'])[:40], known)}"
    for column in ("subject", "camera"):
        if meta[column] not in card.options[f"{column}s"]:
            return f"{column} {meta[column]}, expected one of {', '.join(map(str, card.options[f'{column}s']))}"
    if estimator not in (None, card.options["estimator"]):
        return (
            f"poses by {estimator}, this card reads those by {card.options['estimator']}: another estimator is another "
            "store, made with a card whose options.estimator names it"
        )
    return None
