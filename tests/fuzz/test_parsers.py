"""The same for parsers that no raw twin goes through: detectors' files, tables and arrays of a stranger."""

import importlib.util
import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from skelbench.card import load_card
from skelbench.errors import RawFormatError
from skelbench.formats import (
    alphapose,
    coco_keypoints,
    csv_table,
    mmpose,
    numpy_files,
    openpose,
    own_arrays,
    own_tables,
    strict_json,
)
from skelbench.formats.detections import Detections
from skelbench.formats.own import options_of
from skelbench.registry import find

JOINTS, FRAMES = 17, 6
Parse = Callable[[bytes], object]


def beside(name: str) -> ModuleType:
    """A module of this folder: tests are no package."""
    spec = importlib.util.spec_from_file_location(f"fuzz_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FUZZ = beside("test_fuzz")


def detections(channels: int) -> Detections:
    rng = np.random.default_rng(0)
    return Detections(
        n_frames=FRAMES,
        frame=np.repeat(np.arange(FRAMES, dtype=np.uint32), 2),
        person=np.tile(np.array([0, 1], np.int64), FRAMES),
        keypoints=rng.normal(size=(2 * FRAMES, JOINTS, channels)).astype(np.float32),
        score=rng.random((2 * FRAMES, JOINTS)).astype(np.float32),
    )


def table(name: str) -> tuple[bytes, Parse]:
    """A wide table of a stranger, as CSV or Parquet."""
    card = load_card(find("converters", "own").toml)
    options = options_of(card)
    rng = np.random.default_rng(0)
    columns = {
        options.coordinates.format(joint=joint, channel=channel, index=place, number=place + 1): rng.normal(size=FRAMES)
        for place, joint in enumerate(card.layout.joints)
        for channel in card.channels
    }
    frame = pd.DataFrame({"id": ["a"] * FRAMES, "frame": range(FRAMES), "label": ["x"] * FRAMES, **columns})

    def parse(data: bytes) -> object:
        numeric = lambda header: own_tables.columns_used(header, card, options, "f")  # noqa: E731
        return own_tables.clips(own_tables.frame_of(data, name, numeric, "f"), card, options, "f")

    if name.endswith(".csv"):
        return frame.to_csv(index=False).encode(), parse
    sink = io.BytesIO()
    frame.to_parquet(sink)
    return sink.getvalue(), parse


def arrays(name: str) -> tuple[bytes, Parse]:
    """A clip as an array of a stranger."""
    card = load_card(find("converters", "own").toml)
    options = options_of(card).model_copy(update={"axes": "TVC"})
    values = np.random.default_rng(0).normal(size=(FRAMES, len(card.layout.joints), len(card.channels)))
    content = {
        "clip.npy": lambda: numpy_files.render_npy(values),
        "clip.npz": lambda: numpy_files.render_npz({"poses": values}, packed=True),
        "clip.json": lambda: json.dumps({"keypoints": values.tolist()}).encode(),
    }[name]()
    return content, lambda data: own_arrays.clips(data, name, card, options, "f")


def parsers() -> dict[str, tuple[bytes, Parse]]:
    image, space = detections(2), detections(3)
    return {
        "openpose": (openpose.render(image)[0], lambda data: openpose.parse({0: (data, "f")}, JOINTS)),
        "alphapose": (alphapose.render(image), lambda data: alphapose.parse(data, JOINTS, "f")),
        "coco": (coco_keypoints.render(image), lambda data: coco_keypoints.parse(data, JOINTS, "f")),
        "mmpose": (mmpose.render(space), lambda data: mmpose.parse(data, JOINTS, 3, "f")),
        "strict_json": (mmpose.render(space), lambda data: strict_json.parse(data, "f")),
        "csv_table": (
            csv_table.render_numbers(space.keypoints[:, :, 0].astype(np.float64)),
            lambda data: csv_table.numbers(data, JOINTS, "f"),
        ),
        **{name: table(name) for name in ("wide.csv", "wide.parquet")},
        **{name: arrays(name) for name in ("clip.npy", "clip.npz", "clip.json")},
    }


@pytest.mark.parametrize("name", list(parsers()))
def test_a_damaged_file_is_read_or_refused_soon_and_in_little_memory(name: str) -> None:
    content, parse = parsers()[name]
    parse(content)
    refused = 0
    for number in range(FUZZ.COUNT):
        damaged = FUZZ.mutate(content, random.Random(f"{name} {FUZZ.SEED} {number}"))
        with FUZZ.bounded():
            try:
                parse(damaged)
            except RawFormatError:
                refused += 1
            except BaseException as error:
                raise AssertionError(f"{name}, seed {FUZZ.SEED}, number {number}: {error!r:.300}") from error
    print(f"{name}: {FUZZ.COUNT} damaged files: {refused} refused")  # noqa: T201  (the long run reports its counts)
