"""`--to hf`: a folder that `datasets.load_dataset(path)` opens, one configuration a protocol, with croissant.json.

No recording is written twice: files hold the samples that stand in the same parts of all protocols, and each
configuration names the files of its parts.

Source: Hugging Face, "Manual configuration" of data sets; MLCommons, Croissant format specification 1.0.
"""

import hashlib
import json
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from skelbench.export import tables
from skelbench.export.job import Job
from skelbench.store.reader import Store

Stands: TypeAlias = tuple[tuple[str, str], ...]  # protocols and the part in which a sample stands

_SHARD = 400 << 20  # bytes of poses in a file
_WHOLE = "samples"  # the one part of that configuration; "all" has a meaning of its own to load_dataset
_TYPES = {
    **{"string": "sc:Text", "int64": "sc:Integer", "int32": "sc:Integer", "double": "sc:Float", "float": "sc:Float"},
    **{"uint32": "sc:Integer", "int8": "sc:Integer", "bool": "sc:Boolean"},
}
_README = """\
---
{front}
---

# {title}

{synthetic}{samples:,} samples, {joints} joints, {channels}; poses: {poses}. Made by skelbench {version} from a store \
with the fingerprint `{fingerprint}`.

**Terms of the data: {licence}** Read them before this folder goes anywhere; it holds the poses themselves.

Each row is a sample. `keypoints` holds its poses one after the other, each {joints} joints × {count} channels in one \
list; `frame` and `person` say of which frame and person each pose is (-1 where the source gives no id); missing is \
NaN.

    import numpy as np
    from datasets import load_dataset

    rows = load_dataset("path/of/this/folder", split="{part}")
    poses = np.array(rows[0]["keypoints"], np.float32).reshape(-1, {joints}, {count})

| configuration | what it is |
|---|---|
{table}

Joints: {names}.

{classes}

Cite: {citation}
"""


def write(job: Job) -> None:
    """Write the folder: `data/*.parquet`, README.md with the configurations, croissant.json.

    Args:
        job: All its protocols become configurations; one more holds all samples.
    """
    folder = job.out / "data"
    folder.mkdir(parents=True)
    parts = _parts(job)
    files = {key: list(_write_group(job.store, folder, key, places)) for key, places in _groups(job, parts).items()}
    configs = _configs(parts, files)
    (job.out / "README.md").write_text(_readme(job, configs), encoding="utf-8")
    croissant = json.dumps(_croissant(job, sorted(folder.iterdir())), indent=1, ensure_ascii=False)
    (job.out / "croissant.json").write_text(croissant + "\n", encoding="utf-8")
    job.said.append(f"Configurations: {', '.join(configs)}; the first is load_dataset's default.")


def _parts(job: Job) -> dict[str, list[str]]:
    """For each protocol the part in which every sample stands; empty for none."""
    found: dict[str, list[str]] = {}
    for name, split in job.splits.items():
        own = [""] * len(job.store)
        for part, places in (("train", split.train), ("test", split.test)):
            for place in places:
                own[place] = part
        found[name] = own
    return found


def _groups(job: Job, parts: Mapping[str, Sequence[str]]) -> dict[Stands, list[int]]:
    """Samples by the parts in which they stand."""
    found: dict[Stands, list[int]] = {}
    for place in range(len(job.store)):
        key = tuple((name, own[place]) for name, own in parts.items() if own[place])
        found.setdefault(key, []).append(place)
    return dict(sorted(found.items()))


def _write_group(store: Store, folder: Path, key: Stands, places: Sequence[int]) -> Iterator[str]:
    """Write samples into files of some hundred megabytes; their paths in the folder."""
    size = tables.pose_size(store)
    poses = store.table["n_poses"].to_numpy()[list(places)]
    number = np.cumsum(poses) * size // _SHARD
    slug = "_".join(f"{name}-{part}" for name, part in key) or "rest"
    name = slug if len(slug) < 150 else hashlib.sha256(slug.encode()).hexdigest()[:16]
    for at, shard in enumerate(np.unique(number)):
        path = folder / f"{name}-{at:05d}.parquet"
        tables.write_rows(path, store, [place for place, one in zip(places, number, strict=True) if one == shard])
        yield f"data/{path.name}"


def _configs(
    parts: Mapping[str, Sequence[str]], files: Mapping[Stands, Sequence[str]]
) -> dict[str, dict[str, list[str]]]:
    """By configuration and split, the files."""
    found: dict[str, dict[str, list[str]]] = {}
    for name in parts:
        for part in ("train", "test"):
            marked = [paths for key, paths in files.items() if (name, part) in key]
            found.setdefault(name, {})[part] = [path for paths in marked for path in paths]
    found[_all(parts)] = {_WHOLE: [path for paths in files.values() for path in paths]}
    return found


def _all(names: Container[str]) -> str:
    """Name of the configuration of all samples."""
    return "all" if "all" not in names else "all-samples"


def _readme(job: Job, configs: Mapping[str, Mapping[str, Sequence[str]]]) -> str:
    """The page, its front matter first."""
    from skelbench import __version__

    card, info = job.store.card, job.store.info
    first = next(iter(configs))
    rows = [f"| `{name}` | {job.splits[name].protocol.title} |" for name in job.splits]
    classes = [
        f"{name}: " + ", ".join(f"{place} {one}" for place, one in enumerate(target.classes)) + "."
        for name, target in card.targets.items()
        if target.classes
    ]
    return _README.format(
        front="\n".join(_front(job, configs)),
        title=card.title,
        synthetic="**Made up, no recording.** " if info.origin.synthetic else "",
        samples=info.samples,
        joints=len(card.layout.joints),
        channels=", ".join(f"{channel} in {card.units[channel]}" for channel in card.channels),
        count=len(card.channels),
        poses=card.poses,
        version=__version__,
        fingerprint=info.fingerprint,
        licence=card.licence,
        part=next(iter(configs[first])),
        table="\n".join([*rows, f"| `{_all(job.splits)}` | every sample, in one part |"]),
        names=", ".join(card.layout.joints),
        classes="\n\n".join(classes),
        citation=card.citation,
    )


def _front(job: Job, configs: Mapping[str, Mapping[str, Sequence[str]]]) -> Iterator[str]:
    """The front matter in YAML; texts stand in JSON's quotes, which YAML reads."""
    yield f"pretty_name: {json.dumps(job.store.card.title, ensure_ascii=False)}"
    yield "license: other"
    yield f"license_name: {json.dumps(_slug(job.store.info.name) + '-terms')}"
    yield "tags: [skeleton, pose, action-recognition, skelbench]"
    yield "configs:"
    for place, (name, parts) in enumerate(configs.items()):
        yield f"- config_name: {json.dumps(name)}"
        if place == 0:
            yield "  default: true"
        yield "  data_files:"
        for part, paths in parts.items():
            yield f"  - split: {part}"
            yield "    path:"
            yield from (f"    - {json.dumps(path)}" for path in paths)


def _croissant(job: Job, files: Sequence[Path]) -> dict[str, Any]:
    """The description in Croissant's vocabulary."""
    card, info = job.store.card, job.store.info
    objects = [
        {
            "@type": "cr:FileObject",
            "@id": f"data/{path.name}",
            "name": f"data/{path.name}",
            "contentUrl": f"data/{path.name}",
            "encodingFormat": "application/x-parquet",
            "sha256": _digest(path),
        }
        for path in files
    ]
    together: dict[str, Any] = {
        "@type": "cr:FileSet",
        "@id": "rows",
        "name": "rows",
        "encodingFormat": "application/x-parquet",
    }
    together |= {"includes": "data/*.parquet"}  # of the folder itself: within a file, readers would look for members
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": _slug(info.name),
        "description": f"{card.title}: {info.samples} samples of {len(card.layout.joints)} joints; {card.poses}.",
        "license": card.licence,
        "citeAs": card.citation,
        "url": _url(card.obtain),
        "version": "1.0.0",
        "distribution": [*objects, together],
        "recordSet": [
            {"@type": "cr:RecordSet", "@id": "samples", "name": "samples", "field": list(_fields(job.store))}
        ],
    }


def _fields(store: Store) -> Iterator[dict[str, Any]]:
    """One field a column; those of structures are left to the files' own schema."""
    for field in tables.schema_of(store):
        listed = str(field.type).startswith("list<")
        kind = str(field.type.value_type if listed else field.type)
        if kind not in _TYPES:
            continue
        one: dict[str, Any] = {"@type": "cr:Field", "@id": f"samples/{field.name}", "name": field.name}
        one |= {"description": _meaning(store, field.name), "dataType": _TYPES[kind]}
        if listed:
            one |= {"isArray": True, "arrayShape": "-1"}
        yield one | {"source": {"fileSet": {"@id": "rows"}, "extract": {"column": field.name}}}


def _meaning(store: Store, name: str) -> str:
    """What a column says."""
    card = store.card
    own = {
        "sample_id": "the owner's name of the clip",
        "n_frames": "frames recorded, those without a pose included",
        "frame": "frame of each pose, counted from 0",
        "person": "the source's id of each pose's person; -1 where it gives none",
        "keypoints": f"poses x {len(card.layout.joints)} joints x {len(card.channels)} numbers; NaN = missing",
        "score": card.score,
    }
    if name in card.targets:
        return card.targets[name].title or name
    return own.get(name) or card.columns.get(name) or name


def _digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _slug(name: str) -> str:
    """A name of letters, digits and hyphens."""
    return re.sub(r"[^A-Za-z0-9-]+", "-", name).strip("-") or "data"


def _url(text: str) -> str:
    """The first address in a text, else one that says that there is none."""
    found = re.search(r"https?://[^\s,;)]+", text)
    return found[0] if found else "https://github.com/skelbench/skelbench"


_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "equivalentProperty": "cr:equivalentProperty",
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
    "isArray": "cr:isArray",
    "arrayShape": "cr:arrayShape",
}
