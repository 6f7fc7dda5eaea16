"""The works that are measured, and skelbench's ways to do them."""

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import fixtures, idioms
from benchmarks.measure import Done, Timed, Way, Work, emptied

FAST = ("numba", "isal", "orjson")
FEW, MANY = 300, 1200  # clips
READINGS = 20  # of a store, since one takes no time
SIZES = (300, 1000, 3000, 10_000)  # clips


def _megabytes(folder: Path) -> float:
    """Size of the raw data."""
    return sum(path.stat().st_size for path in folder.rglob("*.skeleton")) / 1e6


def _converted(raw: Path, name: str, out: Path, workers: int = 1) -> Any:
    """Convert raw data into a store."""
    from skelbench.convert.engine import Request, convert

    return convert(Request(name, (raw,), out, workers=workers, overwrite="always"))


def _prepared(store: Path, workers: int | None = None) -> Any:
    """All samples of a store by the list `ctr`."""
    from skelbench.prepare.sets import prepare_set
    from skelbench.store.reader import open_store

    opened = open_store(store)
    return prepare_set(opened, range(len(opened)), ["ctr"], None, workers=workers)


def to_trainable(raw: Path, *, workers: int = 1) -> Timed:
    """Raw data to verified store to prepared arrays; warmed up on the same data, once."""
    out = raw.with_name("store")

    def work() -> Done:
        """Convert and prepare."""
        _converted(raw, "ntu60", emptied(out), workers)
        prepared = _prepared(out)
        return Done(len(prepared), _megabytes(raw), digest=lambda: digest_of(padded(prepared)))

    work()
    return work


def padded(prepared: Any) -> Iterator[np.ndarray]:
    """Prepared clips as the field keeps them: (300, 150), two bodies side by side, zeros where nobody is."""
    for place in range(len(prepared)):
        clip = _clip(prepared, place)
        one = np.zeros((idioms.FRAMES, idioms.SLOTS, idioms.JOINTS * 3), np.float32)
        one[: clip.shape[1], : len(clip)] = clip.reshape(*clip.shape[:2], -1).transpose(1, 0, 2)
        yield one.reshape(idioms.FRAMES, -1)


def _clip(prepared: Any, place: int) -> np.ndarray:
    """One prepared sample: persons, frames, joints, channels, as many as the field keeps; 0 for what is missing."""
    persons, frames, first = (int(each[place]) for each in (prepared.persons, prepared.frames, prepared.first))
    block = prepared.keypoints[first : first + persons * frames]
    clip = block.reshape(persons, frames, *block.shape[1:]).swapaxes(2, 3)
    kept: np.ndarray = np.nan_to_num(clip[: idioms.SLOTS, : idioms.FRAMES])
    return kept


def digest_of(clips: Iterable[np.ndarray]) -> str:
    """A digest of clips in any order; a zero has no sign."""
    each = sorted(hashlib.sha256((clip + np.float32(0)).tobytes()).hexdigest() for clip in clips)
    return hashlib.sha256("".join(each).encode()).hexdigest()


def _trainable_by_idiom(raw: Path) -> Timed:
    """Raw data to padded arrays as the field does."""
    out = raw.with_name("idiom")
    return lambda: Done(idioms.trainable(raw, emptied(out)), _megabytes(raw))


def _inflate_alone(raw: Path) -> Timed:
    """Unpacking a zip with ISA-L and nothing else: what no reader of it can pass."""
    from skelbench.sources.zips import list_zip, read_zip

    archive = raw / "ntu60.zip"
    members = list_zip(archive)[0]

    def work() -> Done:
        """Unpack."""
        return Done(len(members), sum(len(read_zip(archive, member)) for member in members) / 1e6)

    return work


def _to_store(raw: Path, *, workers: int = 1, warm: bool = True) -> Timed:
    """A folder or a zip to a verified store."""
    out = raw.with_name("store")
    files = raw.with_name(raw.name + "-files")
    size = _megabytes(files if files.is_dir() else raw)

    def work() -> Done:
        """Convert."""
        report = _converted(raw, "ntu60", emptied(out), workers)
        return Done(report.samples, size)

    if warm:
        work()
    return work


def _json_by_idiom(raw: Path) -> Timed:
    """JSON files as the field's loaders read them."""

    def work() -> Done:
        """Read."""
        clips, digest = idioms.json_clips(next(raw.glob("*.zip")))
        return Done(clips, digest=lambda: digest)

    return work


def _json(raw: Path) -> Timed:
    """JSON files by the converter, checked in every respect."""
    from skelbench import registry
    from skelbench.card import load_card
    from skelbench.sources.source import open_source

    plugin = registry.find("converters", "nw_ucla")
    module, card = registry.load(plugin), load_card(plugin.toml)
    source = open_source([raw], max_file=1 << 30)
    items = sorted(module.plan(source, card), key=lambda item: item.paths)

    def work() -> Done:
        """Read."""
        digest = hashlib.sha256()
        for item in items:
            digest.update(module.read(source, item, card).keypoints.tobytes())
        return Done(len(items), digest=digest.hexdigest)

    return work


def store_of(raw: Path) -> tuple[Path, Any]:
    """A store of the raw data, made where it is missing, and its clips prepared by `ctr`."""
    store = raw.with_name("store")
    if not store.is_dir():
        _converted(raw, "ntu60", store)
    return store, _prepared(store)


def _dense(raw: Path) -> tuple[Path, np.ndarray]:
    """A store of the raw data, and its clips padded as the field keeps them: (N, C, T, V, M)."""
    store, prepared = store_of(raw)
    dense = np.zeros((len(prepared), 3, idioms.FRAMES, idioms.JOINTS, idioms.SLOTS), np.float32)
    for place in range(len(prepared)):
        clip = _clip(prepared, place)
        dense[place, :, : clip.shape[1], :, : len(clip)] = clip.transpose(3, 1, 2, 0)
    return store, dense


def _feeder_by_idiom(raw: Path, *, frames: int = 64, bone: bool = False) -> Timed:
    """One clip at a time."""
    import torch

    torch.set_num_threads(1)
    _, dense = _dense(raw)
    order = [place % len(dense) for place in range(640)]
    return lambda: Done(idioms.feed(dense, order, frames=frames, bone=bone, rng=np.random.default_rng(0)))


def feeder(raw: Path, *, frames: int = 64, bone: bool = False) -> Timed:
    """Batches of 64, made whole, in a process that keeps freed memory, as every run does."""
    import torch

    from skelbench.data.batches import part_data, recipe_spec
    from skelbench.data.types import DataRecipe, Items
    from skelbench.freed import freed_memory_kept
    from skelbench.store.reader import open_store

    torch.set_num_threads(1)
    folder, prepared = store_of(raw)
    store = open_store(folder)
    recipe = DataRecipe(
        prepare=("ctr",),
        frames=frames,
        clips=(("resample:0.5-1", "rotate:0.3", "stream"),),
        streams=("bone",) if bone else ("joint",),
        batch=64,
    )
    spec = recipe_spec(recipe, store.card.layout, channels=3, slots=2)
    items = Items(store.ids, np.zeros(len(store), np.int64), "single")
    part = part_data(prepared, items, recipe, spec)
    epochs = itertools.count()

    @freed_memory_kept()
    def work() -> Done:
        """Feed a few thousand clips."""
        fed = 0
        while fed < 6400:
            for batch in part.train_batches(0, 0, next(epochs), 10**6):
                fed += len(batch.index)
        return Done(fed)

    work()
    return work


def _scripts_like(raw: Path) -> Timed:
    """Preparing the padded way: everything a frame at a time, from texts that are in memory."""
    clips = [idioms.read_bodies(path)[1] for path in sorted(raw.rglob("*.skeleton"))]

    def work() -> Done:
        """Choose, pad and centre."""
        for bodies in clips:
            idioms.pad(bodies, np.zeros((idioms.FRAMES, idioms.SLOTS * idioms.JOINTS * 3), np.float32))
        return Done(len(clips))

    return work


def _preparer(raw: Path) -> Timed:
    """Preparing from a store."""
    store, _ = _dense(raw)
    return lambda: Done(len(_prepared(store)))


def _padded_file(raw: Path) -> Path:
    """The padded file of a store's clips."""
    file = raw.with_name("padded.npz")
    if not file.is_file():
        np.savez(file, x=_dense(raw)[1])
    return file


def _all_from_padded(raw: Path) -> Timed:
    """Load the padded file and touch all of it."""
    file = _padded_file(raw)

    def work() -> Done:
        """Read."""
        read = 0
        for _ in range(READINGS):
            with np.load(file) as loaded:
                clips = loaded["x"]
            clips.sum(dtype=np.float64)
            read += len(clips)
        return Done(read)

    return work


def _all_from_store(raw: Path) -> Timed:
    """Open a store and touch every pose of it."""
    from skelbench.store.reader import open_store

    store, _ = _dense(raw)

    def work() -> Done:
        """Read."""
        read = 0
        for _ in range(READINGS):
            opened = open_store(store)
            for sample in opened:
                sample.keypoints.sum(dtype=np.float64)
            read += len(opened)
        return Done(read)

    return work


def _kinect(clips: int, archive: bool = False) -> Callable[[Path], None]:
    """How to make Kinect texts."""
    return partial(fixtures.kinect_texts, clips=clips, archive=archive)


def _raw_works() -> Iterator[Work]:
    """From raw data on."""
    yield Work(
        name="trainable",
        what=f"{FEW} NTU texts → store, verified and digested → prepared by `ctr`",
        items="clips",
        make=_kinect(FEW),
        ways=(
            Way("idiom", _trainable_by_idiom),
            Way("base", to_trainable, without=FAST),
            Way("fast", to_trainable),
        ),
        limit="1,423 MB/s, a C kernel that parses and does nothing else",
    )
    yield Work(
        name="zip",
        what=f"{MANY:,} NTU texts in a zip → store, verified and digested",
        items="clips",
        make=_kinect(MANY, archive=True),
        ways=(
            Way("inflate alone", _inflate_alone),
            Way("fast", _to_store),
            Way("fast, two processes", partial(_to_store, workers=2), cores=2),
        ),
        limit="inflating alone: 1",
    )
    yield Work(
        name="processes",
        what=f"{MANY:,} NTU texts → store → prepared, by one process and by two",
        items="clips",
        make=_kinect(MANY),
        ways=(Way("one", to_trainable), Way("two", partial(to_trainable, workers=2), cores=2)),
        limit="2",
    )
    yield Work(
        name="json",
        what="400 JSON files of NW-UCLA in a zip → arrays",
        items="clips",
        make=fixtures.ucla_zip,
        ways=(Way("idiom", _json_by_idiom), Way("base", _json, without=FAST), Way("fast", _json)),
        limit="pysimdjson: 9 × the standard library",
    )


def _store_works() -> Iterator[Work]:
    """From a store on."""
    yield Work(
        name="prepare",
        what=f"{FEW} clips prepared by `ctr`",
        items="clips",
        make=_kinect(FEW),
        ways=(Way("idiom", _scripts_like), Way("base", _preparer)),
        limit="reading the store",
    )
    yield Work(
        name="read",
        what=f"{FEW} clips, every value touched, {READINGS} times",
        items="clips",
        make=_kinect(FEW),
        ways=(Way("idiom", _all_from_padded), Way("base", _all_from_store)),
        limit="memory",
    )
    for name, frames, bone in (("feed", 64, False), ("feed-bone", 64, True), ("feed-300", 300, False)):
        yield Work(
            name=name,
            what=f"training clips: crop, resize to {frames}, turn{', bones' if bone else ''}, batches of 64",
            items="clips",
            make=_kinect(FEW),
            ways=(
                Way("idiom", partial(_feeder_by_idiom, frames=frames, bone=bone)),
                Way("base", partial(feeder, frames=frames, bone=bone)),
            ),
            limit="105,000 clips/s, a compiled kernel",
        )


WORKS = {work.name: work for work in (*_raw_works(), *_store_works())}


def _growth() -> Iterator[Work]:
    """One work at growing sizes; the clock runs from cold, as for a user."""
    for clips in SIZES:
        yield Work(
            name=f"growth-{clips}",
            what=f"{clips:,} NTU texts → store",
            items="clips",
            make=_kinect(clips),
            ways=(
                Way("one process", partial(_to_store, warm=False)),
                Way("two processes", partial(_to_store, workers=2, warm=False), cores=2),
            ),
            limit="",
        )


GROWTH = {work.name: work for work in _growth()}
