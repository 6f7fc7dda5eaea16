"""Laws: what is written is what is read, however it is cut, and the fingerprint is the content's alone."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from skelbench.card import TargetCard
from skelbench.sample import Sample, same
from skelbench.store.reader import open_store
from skelbench.store.verify import verify_store

JOINTS, CHANNELS = 3, 2
TEXT = st.text(max_size=6)  # hypothesis draws no halves of surrogate pairs unless asked
NAMES = st.text(min_size=1, max_size=6)
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
KINDS = {"text": TEXT, "int": st.integers(-(2**63), 2**63 - 1), "number": NUMBERS}
FLOATS = st.floats(width=32, allow_infinity=False) | st.just(-0.0)
PERSONS = st.integers(-1, 5) | st.integers(-(2**63), 2**63 - 1)
TARGETS = {
    "label": TargetCard(classes=("walk", "sit")),
    "faults": TargetCard(kind="multi", classes=("x", "y", "z")),
    "quality": TargetCard(kind="score"),
}
LABELS = {
    "label": st.integers(-1, 1),
    "faults": st.tuples(*[st.integers(-1, 1)] * 3),
    "quality": st.floats(allow_nan=False, allow_infinity=False),
}


# The strategies draw fields, and the tests build samples of them: checks of types, which are on, use `random`,
# which hypothesis forbids within a strategy.


@st.composite
def sample_fields(draw: st.DrawFn, sample_id: str, card: dict[str, Any], columns: dict[str, str]) -> dict[str, Any]:
    n_frames = draw(st.integers(0, 4))
    poses = draw(st.integers(0, 6)) if n_frames else 0
    spans = st.tuples(st.integers(0, max(n_frames - 1, 0)), st.integers(1, 4), st.integers(0, 1))
    segments = draw(st.lists(spans, max_size=3)) if n_frames else []
    scores = hnp.arrays(np.float32, (poses, JOINTS), elements=FLOATS) if card["score"] else st.none()
    return {
        "sample_id": sample_id,
        "n_frames": n_frames,
        "frame": draw(hnp.arrays(np.uint32, poses, elements=st.integers(0, max(n_frames - 1, 0)))),
        "person": draw(hnp.arrays(np.int64, poses, elements=PERSONS)),
        "keypoints": draw(hnp.arrays(np.float32, (poses, JOINTS, CHANNELS), elements=FLOATS)),
        "score": draw(scores | st.none()),
        "targets": {name: draw(LABELS[name]) for name in card["targets"]},
        "segments": tuple((start, min(start + length, n_frames), label) for start, length, label in segments),
        "meta": {name: draw(KINDS[kind]) for name, kind in columns.items() if draw(st.booleans())},
    }


@st.composite
def sets(draw: st.DrawFn) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    targets = draw(st.lists(st.sampled_from(sorted(TARGETS)), min_size=1, unique=True))
    score = draw(st.sampled_from(["", "how sure"]))
    card = {"targets": {name: TARGETS[name] for name in targets}, "score": score, "columns": {}}
    taken = {"sample_id", "scored", "n_frames", "n_poses", "offset", *TARGETS}
    names = NAMES.filter(lambda name: name not in taken)
    columns = draw(st.dictionaries(names, st.sampled_from(sorted(KINDS)), max_size=3))
    ids = sorted(draw(st.sets(NAMES, max_size=5)), key=str.encode)
    return card, [draw(sample_fields(sample_id, card, columns)) for sample_id in ids]


@settings(deadline=None, max_examples=50)
@given(drawn=sets(), shard_bytes=st.sampled_from([1, 100, 300, 2 << 30]))
def test_what_is_written_is_what_is_read(make_card: Any, write: Any, drawn: Any, shard_bytes: int) -> None:
    card, written = make_card(**drawn[0]), [Sample(**fields) for fields in drawn[1]]
    with tempfile.TemporaryDirectory() as folder:
        whole, cut, again = (Path(folder) / name for name in ("whole", "cut", "again"))
        info = write(whole, written, card)
        cut_info = write(cut, written, card, shard_bytes=shard_bytes)
        read = list(open_store(cut))
        assert len(read) == len(written)
        assert all(same(one, other) for one, other in zip(written, read, strict=True))
        assert verify_store(cut) == []
        assert cut_info.fingerprint == info.fingerprint
        assert (cut / "samples.parquet").read_bytes() == (whole / "samples.parquet").read_bytes()
        write(again, read, card)
        assert {path.name: path.read_bytes() for path in again.iterdir()} == {
            path.name: path.read_bytes() for path in whole.iterdir()
        }


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_one_flipped_bit_anywhere_is_found_and_its_file_named(sound_store: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(path.name for path in sound_store.iterdir())))
    path = sound_store / name
    sound = path.read_bytes()
    flipped = bytearray(sound)
    flipped[data.draw(st.integers(0, len(sound) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(flipped)
    try:
        assert [finding.file for finding in verify_store(sound_store)] == [name]
    finally:
        path.write_bytes(sound)
