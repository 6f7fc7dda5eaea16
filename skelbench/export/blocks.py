"""`--to ctrgcn` and `--to stgcn`: padded blocks, as training code keeps them."""

import io
import json
import zipfile
from collections.abc import Callable, Sequence

import numpy as np

from skelbench.export.job import Job
from skelbench.formats import plain_pickle_out
from skelbench.split import Split

_DATE = (1980, 1, 1, 0, 0, 0)  # of the members, which shall not depend on the day


class _Lost:
    """What blocks could not hold."""

    def __init__(self) -> None:
        self.clips = self.frames = self.persons = 0

    def __call__(self, frames: int, persons: int) -> None:
        """Take note of one clip."""
        self.clips += bool(frames or persons)
        self.frames += frames
        self.persons += persons

    def say(self, job: Job) -> None:
        """Say it, if there is anything."""
        if self.clips:
            job.said.append(
                f"{self.clips:,} clips did not fit into {job.frames} frames and {job.persons} persons: {self.frames:,} "
                f"frames and {self.persons:,} persons are cut off (--frames, --persons)."
            )


def write_npz(job: Job) -> None:
    """Write `x_train`, `y_train`, `x_test`, `y_test` as the feeder of CTR-GCN reads them, and names beside them.

    Args:
        job: Its first protocol is written; labels are the protocol's.

    Raises:
        UsageError: If the store has no protocol of one class a sample.

    Source: Uason-Chen/CTR-GCN, feeders/feeder_ntu.py.
    """
    split, lost = _split(job), _Lost()
    values = job.persons * len(job.layout.joints) * len(job.store.card.channels)
    with zipfile.ZipFile(job.out, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for part, places in (("train", split.train), ("test", split.test)):
            with archive.open(_member(f"x_{part}"), "w", force_zip64=True) as file:
                _header(file.write, (len(places), job.frames, values))
                for block in job.blocks(places, lost):
                    file.write(block.tobytes())
            labels, names = _labels(job, split, places), [job.store.ids[at] for at in places]
            _array(archive, f"y_{part}", np.eye(len(split.classes))[labels])
            _array(archive, f"names_{part}", np.array(names, f"<U{max(map(len, names), default=1)}"))
        _array(archive, "prepared", np.array([_prepared(job)]))
    lost.say(job)
    job.said.append(f"Parts of '{split.name}'. Prepared: {_prepared(job)}. Names stand in names_train, names_test.")


def write_pairs(job: Job) -> None:
    """Write `<part>_data_joint.npy` and `<part>_label.pkl` as the feeders of ST-GCN and 2s-AGCN read them.

    Args:
        job: Its first protocol is written, the test part as `val`; labels are the protocol's.

    Raises:
        UsageError: If the store has no protocol of one class a sample.

    Source: yysijie/st-gcn, feeder/feeder.py; lshiwjx/2s-AGCN, feeders/feeder.py.
    """
    split, lost = _split(job), _Lost()
    shape = len(job.store.card.channels), job.frames, len(job.layout.joints), job.persons
    job.out.mkdir()
    for part, places in (("train", split.train), ("val", split.test)):
        with (job.out / f"{part}_data_joint.npy").open("wb") as file:
            _header(file.write, (len(places), *shape))
            for block in job.blocks(places, lost):
                file.write(np.ascontiguousarray(block.transpose(3, 0, 2, 1)).tobytes())
        with (job.out / f"{part}_label.pkl").open("wb") as file:
            plain_pickle_out.dump(([job.store.ids[at] for at in places], _labels(job, split, places)), file)
    said: dict[str, object] = {
        "dataset": job.store.info.name,
        "fingerprint": job.store.info.fingerprint,
        "protocol": split.name,
    }
    said |= {"prepared": _prepared(job), "classes": list(split.classes), "channels": list(job.store.card.channels)}
    (job.out / "export.json").write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    lost.say(job)
    job.said.append(
        f"Parts of '{split.name}'. Prepared: {_prepared(job)} (see export.json). Zeros follow a clip's end."
    )


def _split(job: Job) -> Split:
    """The split to write; what was said of other protocols does not matter here."""
    split = job.only_split()
    if not job.asked:
        job.said.clear()
    if job.store.card.score:
        job.said.append(f"The score is not written; channels: {', '.join(job.store.card.channels)}.")
    return split


def _labels(job: Job, split: Split, places: Sequence[int]) -> list[int]:
    """Labels as the protocol counts them."""
    labels = job.store.table[split.target].to_numpy()
    return [split.index[int(labels[at])] for at in places]


def _prepared(job: Job) -> str:
    """What was done to the poses, before they came into the store and now."""
    before = job.store.card.prepared
    return "; ".join(filter(None, [before, ", ".join(job.steps)]))


def _header(write: Callable[[bytes], object], shape: tuple[int, ...]) -> None:
    """The beginning of a .npy file of float32."""
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, header)
    write(buffer.getvalue())


def _member(name: str) -> zipfile.ZipInfo:
    """How an array stands in an archive."""
    member = zipfile.ZipInfo(f"{name}.npy", _DATE)
    member.external_attr = 0o644 << 16
    return member


def _array(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    """A small array as a member."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=False)
    archive.writestr(_member(name), buffer.getvalue())
