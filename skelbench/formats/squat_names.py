"""Names of the Squat set: what folder and file name say of a video, whatever form its poses have.

The folder names the defects of a squat, joined by `+` where there are several (our form: the owners publish videos of
one defect only); the file name says on which day it was recorded.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from skelbench.card import Card
from skelbench.formats import names
from skelbench.raw import RawItem, RawSource
from skelbench.sample import MetaValue, Sample, TargetValue

_NAME = re.compile(r"(?:(?P<problem>[a-z_+]+)-)?(?P<date>\d{4})_squat_\d{6}\.\w{3,4}", re.ASCII)
_EXPECTED = "MMDD_squat_NNNNNN: day of recording, number"
_JOIN = "+"


def plan(raw: RawSource, card: Card, suffixes: Sequence[str], others: Mapping[str, str]) -> Iterator[RawItem]:
    """Name the videos of a source.

    Args:
        raw: A folder or archive of files that lie, at any depth, in folders named by their defects.
        card: Its `options.defects` hold the folder of each class, `options.good` that of none, `options.spelling` other
            spellings.
        suffixes: Endings of the files that hold poses.
        others: Of those that belong to another set, and what to say of them.

    Yields:
        One item a file, named by the file; where two folders have files of one name, by folder and file. Files with
        another name, in no such folder, or of another set are rejects.
    """
    found: dict[str, list[RawItem]] = defaultdict(list)
    for suffix in suffixes:
        for path in names.members(raw, suffix):
            item = _item(path, raw.where(path), card)
            found[item.sample_id].append(item)
    for sample_id, items in found.items():
        alone = len({item.meta.get("problem") for item in items if item.reject is None}) < 2
        for item in items:
            unique = sample_id if alone or item.reject else f"{item.meta['problem']}-{sample_id}"
            yield replace(item, sample_id=unique, meta=_of_take(item.meta, unique))
    for suffix, reason in others.items():
        for path in names.members(raw, suffix):
            yield RawItem(names.stem(path), (path,), reject=reason)


def _item(path: str, where: str, card: Card) -> RawItem:
    """One file by its name, and the nearest folder of its full path that names defects."""
    sample_id, match = names.stem(path), _NAME.fullmatch(names.file_name(path))
    if match is None:
        return RawItem(sample_id, (path,), reject=f"the name '{sample_id}' is not {_EXPECTED}")
    known = (_canonical(part.lower(), card) for part in reversed(where.split("/")[:-1]))
    problem = next((name for name in known if name), "")
    named = match["problem"] and _canonical(match["problem"], card)
    if not problem or (match["problem"] and named != problem):
        listed = ", ".join([card.options["good"], *card.options["defects"]])
        return RawItem(sample_id, (path,), reject=f"it lies in no folder that says the defect: {listed}")
    codes = problem.split(_JOIN)
    problems = 0 if problem == card.options["good"] else len(codes)
    counted = all(code in card.options["counted"] for code in codes)
    meta = {"date": match["date"], "problem": problem, "problems": problems, "counted": int(counted)}
    return RawItem(sample_id, (path,), meta)


def targets(meta: Mapping[str, MetaValue], card: Card) -> dict[str, TargetValue]:
    """The defects of a video: 1 where its folder names them; all zeros for a good squat."""
    codes = str(meta["problem"]).split(_JOIN)
    return {"defects": tuple(int(code in codes) for code in card.options["defects"])}


def folder(sample: Sample, card: Card) -> str:
    """The folder of a video.

    Raises:
        ValueError: If the labels contradict it, or its day the name.
    """
    meta = sample.meta
    fits = f"{meta['date']}_squat_" in sample.sample_id and sample.targets == targets(meta, card)
    if not fits or _canonical(str(meta["problem"]), card) != meta["problem"]:
        raise ValueError(f"{sample.sample_id}: name, labels and the folder '{meta['problem']}' contradict each other.")
    return str(meta["problem"])


def settle(sample: Sample, card: Card) -> Sample:
    """A sample of one whole pose in every frame, with the labels of its folder."""
    path = f"{sample.meta['problem']}/{sample.sample_id}.json"
    meta = _of_take(_item(path, path, card).meta, sample.sample_id)
    keypoints = sample.keypoints.copy()
    keypoints[np.isnan(keypoints).any(axis=(1, 2))] = np.nan
    return replace(sample, keypoints=keypoints, meta=meta, targets=targets(meta, card))


def _of_take(meta: Mapping[str, MetaValue], sample_id: str) -> dict[str, MetaValue]:
    """What is known of a video, with its take: the video itself."""
    return {**meta, "take": sample_id} if meta else {}


def _canonical(name: str, card: Card) -> str:
    """Folders of defects in the order of the classes, in the owners' spelling; empty where it is no such folder."""
    spelling, order = card.options["spelling"], card.options["defects"]
    codes = {spelling.get(code, code) for code in name.split(_JOIN)}
    if codes == {card.options["good"]}:
        return str(card.options["good"])
    return _JOIN.join(code for code in order if code in codes) if codes <= set(order) else ""
