"""The peers' own scripts, unmodified, beside skelbench: raw NTU texts to what training reads, and clips to batches.

python -m benchmarks.peers --ctrgcn DIR --stgcn DIR --agcn DIR --pyskl DIR [--raw DIR]

Each DIR is a checkout of the authors' repository. Their scripts run as they are, each chain in a process of its own;
what they import and no longer exists (`np.int`, mmcv's `dump`) is stood in for, and imports are not timed. CTR-GCN's
arrays must equal those of skelbench's list `ctr`, bit for bit.
"""

import argparse
import contextlib
import importlib
import io
import json
import os
import pickle
import runpy
import shutil
import sys
import tempfile
import types
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.__main__ import table
from benchmarks.fixtures import kinect_texts
from benchmarks.measure import Done, Measured, Timed, Way, Work, emptied, rounds, run_here
from benchmarks.works import FAST, digest_of, feeder, padded, store_of, to_trainable

CHAIN = ("get_raw_skes_data.py", "get_raw_denoised_data.py", "seq_transformation.py")


def _ctrgcn(repository: Path, raw: Path) -> Timed:
    """Three scripts: bodies, denoised bodies, padded arrays of both protocols."""
    folder = emptied(raw.with_name("ctrgcn")) / "data" / "ntu"
    (folder / "raw_data").mkdir(parents=True)
    for script in CHAIN:
        shutil.copy(repository / "data" / "ntu" / script, folder)
    texts = folder.parent / "nturgbd_raw" / "nturgb+d_skeletons"
    texts.parent.mkdir()
    texts.symlink_to(_texts(raw))
    _statistics(folder / "statistics", sorted(path.stem for path in _texts(raw).iterdir()))
    for module in ("h5py", "sklearn.model_selection"):
        importlib.import_module(module)

    def work() -> Done:
        """Run them."""
        for script in CHAIN:
            _script(folder / script, folder)
        return _done(raw, lambda: digest_of(_arrays(folder / "NTU60_CS.npz")))

    return work


def _stgcn(repository: Path, raw: Path) -> Timed:
    """One script, which parses everything once a protocol."""
    tools = repository / "tools"
    utils = types.ModuleType("utils")  # its own `__init__` wants OpenCV
    utils.__path__ = [str(tools / "utils")]
    sys.modules["utils"] = utils
    return _gendata(tools / "ntu_gendata.py", repository, raw)


def _agcn(repository: Path, raw: Path) -> Timed:
    """One script, with a turn of every frame of every body."""
    return _gendata(repository / "data_gen" / "ntu_gendata.py", repository, raw)


def _gendata(script: Path, repository: Path, raw: Path) -> Timed:
    """A script that takes the folders from its command line."""
    out = emptied(raw.with_name("gendata"))
    out.mkdir()
    (out / "ignored.txt").write_text("")
    sys.path[:0] = [str(repository), str(script.parent)]
    options = ["--data_path", str(_texts(raw)), "--ignored_sample_path", str(out / "ignored.txt")]

    def work() -> Done:
        """Run it."""
        _script(script, out, *options, "--out_folder", str(out))
        return _done(raw)

    return work


def _pyskl(repository: Path, raw: Path) -> Timed:
    """One script; it keeps 16 bits of every number."""
    folder = emptied(raw.with_name("pyskl"))
    folder.mkdir()
    (folder / "nturgb+d_skeletons").symlink_to(_texts(raw))
    (folder / "ntu120_missing.txt").write_text("")
    mmcv, smp = types.ModuleType("mmcv"), types.ModuleType("pyskl.smp")
    vars(mmcv)["dump"] = lambda thing, name: Path(name).write_bytes(pickle.dumps(thing))
    vars(smp)["mrlines"] = lambda name: Path(name).read_text().splitlines()
    sys.modules |= {"mmcv": mmcv, "pyskl": types.ModuleType("pyskl"), "pyskl.smp": smp}

    def work() -> Done:
        """Run it."""
        _script(repository / "tools" / "data" / "ntu_preproc.py", folder)
        return _done(raw)

    return work


PEERS: dict[str, Callable[[Path, Path], Timed]] = {
    "ctrgcn": _ctrgcn, "stgcn": _stgcn, "agcn": _agcn, "pyskl": _pyskl,
}  # fmt: skip
FEEDS: Mapping[str, Mapping[str, Any]] = {"feed": {}, "feed-bone": {"bone": True}, "feed-300": {"frames": 300}}


def _ctrgcn_feeder(repository: Path, raw: Path, *, frames: int = 64, bone: bool = False) -> Timed:
    """Its feeder of NTU RGB+D, as its configurations of training have it, and torch's own way to make batches."""
    import torch
    from torch.utils.data import default_collate

    torch.set_num_threads(1)
    file = raw.with_name("padded.npz")
    if not file.is_file():
        clips = np.stack(list(padded(store_of(raw)[1])))
        labels = np.eye(60, dtype=np.float32)[np.arange(len(clips)) % 60]
        np.savez(file, x_train=clips, y_train=labels, x_test=clips[:1], y_test=labels[:1])
    sys.path.insert(0, str(repository))
    _as_it_was()
    tools: Any = importlib.import_module("feeders.tools")
    tools.np = types.SimpleNamespace(**{**vars(np), "floor": _floor})
    make: Any = importlib.import_module("feeders.feeder_ntu").Feeder
    fed = make(str(file), window_size=frames, p_interval=[0.5, 1], random_rot=True, bone=bone)

    def work() -> Done:
        """Feed some batches."""
        for begin in range(0, 640, 64):
            default_collate([fed[place % len(fed)] for place in range(begin, begin + 64)])
        return Done(640)

    return work


def _floor(values: Any) -> Any:
    """A number where an array of one is given: `int` took such arrays for numbers when the feeder was written."""
    return np.floor(values).item() if np.size(values) == 1 else np.floor(values)


def _texts(raw: Path) -> Path:
    """The folder in which the texts themselves lie."""
    return next(raw.rglob("*.skeleton")).parent


def _done(raw: Path, digest: Callable[[], str] | None = None) -> Done:
    """All clips of the raw data."""
    files = list(raw.rglob("*.skeleton"))
    return Done(len(files), sum(path.stat().st_size for path in files) / 1e6, digest)


def _statistics(folder: Path, names: list[str]) -> None:
    """The lists that CTR-GCN keeps of the data set's files, for those that are here."""
    folder.mkdir()
    (folder / "skes_available_name.txt").write_text("\n".join(names))
    for file, letter in (("setup", "S"), ("camera", "C"), ("performer", "P"), ("replication", "R"), ("label", "A")):
        numbers = [int(name[name.index(letter) + 1 : name.index(letter) + 4]) for name in names]
        (folder / f"{file}.txt").write_text("\n".join(map(str, numbers)))


def _arrays(file: Path) -> Iterator[np.ndarray]:
    """Clips of a padded file, 300 frames each."""
    with np.load(file) as arrays:
        for part in (arrays["x_train"], arrays["x_test"]):
            for clip in part:
                yield np.concatenate([clip, np.zeros((max(300 - len(clip), 0), clip.shape[1]), np.float32)])[:300]


def _script(path: Path, folder: Path, *arguments: str) -> None:
    """Run a script as `python path` would, in a folder."""
    _as_it_was()
    sys.argv = [str(path), *arguments]
    before = Path.cwd()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            runpy.run_path(str(path), run_name="__main__")
    finally:
        os.chdir(before)


def _as_it_was() -> None:
    """Give NumPy the names that it had when the scripts were written, and want no screen."""
    for name, kind in (("int", int), ("float", float), ("bool", bool), ("string_", np.bytes_)):
        if name not in vars(np):
            setattr(np, name, kind)
    os.environ["MPLBACKEND"] = "agg"


def _works(given: dict[str, Path], make: Callable[[Path], object]) -> Iterator[Work]:
    """The chains that were given beside skelbench's, and CTR-GCN's feeder."""
    named = [word for name, path in given.items() for word in (f"--{name}", str(path))]
    child = ("benchmarks.peers", *named, "--one")
    yield Work(
        name="peers",
        what="NTU texts → what training reads",
        items="clips",
        make=make,
        ways=(
            *(Way(name, partial(PEERS[name], path)) for name, path in given.items()),
            Way("base", to_trainable, without=FAST),
            Way("fast", to_trainable),
        ),
        limit="1,423 MB/s, a C kernel that parses and does nothing else",
        child=child,
    )
    for name, how in FEEDS.items() if "ctrgcn" in given else ():
        yield Work(
            name=f"peers-{name}",
            what=f"{name}: clips → batches of 64",
            items="clips",
            make=make,
            ways=(
                Way("ctrgcn", partial(_ctrgcn_feeder, given["ctrgcn"], **how)),
                Way("base", partial(feeder, **how), without=FAST),
            ),
            limit="105,000 clips/s, a compiled kernel",
            child=child,
        )


def main() -> None:
    """Measure, or run one way."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    for name in PEERS:
        parser.add_argument(f"--{name}", type=Path, metavar="DIR", help="a checkout of the authors' repository")
    parser.add_argument("--raw", type=Path, help="a folder of .skeleton files; default: 300 are made")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=3, metavar=("WORK", "WAY", "RAW"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    given = {name: path.resolve() for name in PEERS if (path := getattr(asked, name))}
    if not given:
        parser.error(f"no repository was given; expected one at least of --{', --'.join(PEERS)}")
    if asked.one:
        name, wanted, raw = asked.one
        ways = next(work.ways for work in _works(given, lambda _: None) if work.name == name)
        way = next(way for way in ways if way.name == wanted)
        sys.stdout.write(json.dumps(run_here(way, Path(raw))) + "\n")
        return
    source = asked.raw and asked.raw.resolve()
    make = partial(shutil.copytree, source) if source else partial(kinect_texts, clips=300)
    works = {work.name: work for work in _works(given, make)}
    measured: list[Measured] = []
    with tempfile.TemporaryDirectory(prefix="skelbench-peers-") as folder:
        for name, work in works.items():
            measured += rounds(work, Path(folder) / name, asked.rounds, lambda line: sys.stderr.write(line + "\n"))
    sys.stdout.write(table(measured, works))


if __name__ == "__main__":
    main()
