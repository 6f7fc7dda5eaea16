"""Looks at files of any kind: which data set they are, which format, and for unknown data a draft of a card."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from skelbench import registry
from skelbench.card_draft import Draft
from skelbench.convert.planning import load_converter
from skelbench.convert.workers import read_item
from skelbench.draft import draft
from skelbench.errors import FINDINGS, USAGE, RawFormatError
from skelbench.formats import (
    alphapose,
    bvh,
    coco_keypoints,
    kinect_text,
    lcrnet,
    matlab,
    mmpose,
    names,
    numpy_files,
    openpose,
    own_tables,
    strict_json,
)  # fmt: skip
from skelbench.formats.detections import Detections
from skelbench.formats.own import Options
from skelbench.skeletons import layout_names, load_layout
from skelbench.sources.source import Source, open_source

OWN = "own"  # the converter that takes any data by a card
_MAX_FILE = 1 << 30  # bytes of a member that is looked into
_TRIED = 3  # items of a set that are read to see whether they really are its own, and files of a kind that are parsed
_JOINTS = tuple(sorted({len(load_layout(name).joints) for name in layout_names()}))


@dataclass(frozen=True)
class Match:
    """A data set that the files may be."""

    name: str  # of the converter
    items: int  # that it would read
    rejects: int  # that it knows, but cannot read
    problem: str = ""  # why the first ones could not be read; empty when one could


@dataclass(frozen=True)
class Look:
    """What was found."""

    path: Path
    members: int
    size: int  # bytes together
    endings: Mapping[str, int]  # how many members have each
    refused: tuple[tuple[str, str], ...]  # members that are never read, and why
    sets: tuple[Match, ...]  # the likeliest first
    formats: Mapping[str, str]  # of a few members: what they are
    draft: Draft | None  # of unknown data that `convert own` could read
    undrafted: tuple[str, ...]  # why there is none


def look(path: Path) -> Look:
    """Look at a file, folder or archive.

    Args:
        path: It is read and not changed; archives are not unpacked.

    Returns:
        What it is.

    Raises:
        UsageError: If there is no such path, or it is no archive although its name says so.
    """
    source = open_source([path], max_file=_MAX_FILE)
    sets = tuple(sorted(_sets(path), key=lambda match: (bool(match.problem), -match.items, match.name)))
    formats = {}
    data = [one for one in source.paths if not any(part.startswith(".") for part in one.split("/"))]
    for ending, paths in _by_ending(data).items():
        for one in paths[:_TRIED]:
            formats[one] = _format(source, one, ending)
    known = next((match.name for match in sets if not match.problem), "")
    why = [f"it is {known}, which `skelbench convert {known}` reads"] if known else list[str]()
    drafted = None if known else draft(source, data, why)
    return Look(
        path=path,
        members=len(source.paths),
        size=sum(map(source.size, source.paths)),
        endings=dict(Counter(PurePosixPath(one).suffix.lower() or "(none)" for one in source.paths).most_common(12)),
        refused=source.refused,
        sets=sets,
        formats=formats,
        draft=drafted,
        undrafted=() if drafted else tuple(dict.fromkeys(why)),
    )


def _sets(path: Path) -> list[Match]:
    """All registered sets whose plan finds something."""
    found = []
    for name in registry.names("converters"):
        if name == OWN:
            continue
        try:
            match = _match(name, path)
        except (*USAGE, *FINDINGS):
            continue  # what the plan of this set refuses is not this set
        if match is not None:
            found.append(match)
    return found


def _match(name: str, path: Path) -> Match | None:
    """What a set's converter makes of the files; None when nothing."""
    converter = load_converter(name, None)
    source = open_source([path], max_file=converter.max_file)
    items = list(converter.module.plan(source, converter.card))
    fit = [item for item in items if item.reject is None]
    if not fit:
        return None
    problem = ""
    for item in fit[:: max(1, len(fit) // _TRIED)][:_TRIED]:
        outcome = read_item(converter, source, item)
        if outcome.sample is not None:
            return Match(name, len(fit), len(items) - len(fit))
        problem = problem or (outcome.reject.reason if outcome.reject else "")
    return Match(name, len(fit), len(items) - len(fit), problem)


def _by_ending(paths: list[str]) -> dict[str, list[str]]:
    """Members by their ending, in lower case."""
    found: dict[str, list[str]] = {}
    for path in paths:
        found.setdefault(PurePosixPath(path).suffix.lower(), []).append(path)
    return found


def _format(source: Source, path: str, ending: str) -> str:
    """What one member is."""
    try:
        data = source.read(path)
        return _DESCRIBE.get(ending, _other)(data, names.file_name(path))
    except RawFormatError as error:
        return f"cannot be read: {str(error).removeprefix(f'{names.file_name(path)}: ')[:160]}"


def _bvh(data: bytes, name: str) -> str:
    """A BVH file."""
    found = bvh.parse(data, name)
    return f"BVH: {len(found.joints)} joints and ends, {len(found.motion)} frames of {found.frame_time:g} s"


def _kinect(data: bytes, name: str) -> str:
    """A text of the Kinect."""
    found = kinect_text.parse(data, name)
    frames = len(set(found.frame.tolist()))
    return f"Kinect text of NTU RGB+D: {found.keypoints.shape[1]} joints, {frames} frames with people"


def _array(data: bytes, name: str) -> str:
    """NumPy's files."""
    if name.lower().endswith(".npy"):
        array = numpy_files.npy(data, name)
        return f"NumPy array {array.shape} of {array.dtype}"
    arrays = numpy_files.npz(data, name)
    return "NumPy arrays " + ", ".join(f"{key} {array.shape} {array.dtype}" for key, array in arrays.items())


def _table(data: bytes, name: str) -> str:
    """CSV or Parquet."""
    try:
        table = own_tables.frame_of(data, name, lambda header: {}, name)
    except RawFormatError:
        table = own_tables.frame_of(data, name, lambda header: {}, name, Options(encoding="cp1252"))
    shown = ", ".join(map(str, table.columns[:8])) + (", ..." if len(table.columns) > 8 else "")
    return f"table of {len(table)} rows and {len(table.columns)} columns: {shown}"


def _matlab(data: bytes, name: str) -> str:
    """A MATLAB file."""
    return f"MATLAB variables {', '.join(matlab.variables(data, name))}"


def _pickle(data: bytes, name: str) -> str:
    """A pickle, which is not run."""
    return "Python pickle, which is never run here; PYSKL's annotation pickle converts by `convert pyskl`"


def _json(data: bytes, name: str) -> str:
    """JSON of a detector, or of somebody's own."""
    found = strict_json.parse(data, name)
    for title, parse in _DETECTORS.items():
        for joints in _JOINTS:
            try:
                detections = parse(data, joints, name)
            except RawFormatError:
                continue
            if len(detections.frame):
                return f"{title}: {joints} joints, {len(detections.frame)} poses"
    if isinstance(found, dict):
        return f"JSON object with {', '.join(list(found)[:8]) or 'nothing'}"
    return f"JSON list of {len(found)}" if isinstance(found, list) else "JSON of a single value"


def _other(data: bytes, name: str) -> str:
    """Anything else."""
    if data[:2] == b"\x80\x04" or data[:2] == b"\x80\x02":
        return _pickle(data, name)
    if data[:2] == b"\x1f\x8b":
        return "packed by gzip"
    sample = data[:4096]
    return "text" if sample and b"\0" not in sample and sample.isascii() else "unknown" if sample else "empty"


_DETECTORS: dict[str, Callable[[bytes, int, str], Detections]] = {
    "COCO keypoint results": coco_keypoints.parse, "AlphaPose": alphapose.parse, "LCR-Net": lcrnet.parse,
    "MMPose": lambda data, joints, where: mmpose.parse(data, joints, 2, where),
    "OpenPose": lambda data, joints, where: openpose.parse({0: (data, where)}, joints),
}  # fmt: skip
_DESCRIBE: dict[str, Callable[[bytes, str], str]] = {
    ".bvh": _bvh, ".skeleton": _kinect, ".npy": _array, ".npz": _array, ".csv": _table, ".tsv": _table,
    ".parquet": _table, ".mat": _matlab, ".json": _json, ".pkl": _pickle, ".pickle": _pickle,
}  # fmt: skip
