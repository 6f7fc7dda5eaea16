"""Both phases of PKU-MMD on made files: bodies that are absent, rows of labels as the owner has them."""

import numpy as np
import pytest

from skelbench import registry
from skelbench.card import load_card
from skelbench.errors import RawFormatError
from skelbench.raw import RawItem
from skelbench.sample import Sample
from skelbench.synthetic.raw import Files, InMemory

PLUGINS = {name: registry.find("converters", name) for name in ("pku_mmd1", "pku_mmd2")}
MODULES = {name: registry.load(plugin) for name, plugin in PLUGINS.items()}
CARDS = {name: load_card(plugin.toml) for name, plugin in PLUGINS.items()}


def bodies(*there: tuple[bool, bool]) -> bytes:
    """A frame for each pair: joints at 1 for the first body, 2 for the second, 0 where it is not there."""
    return "".join(
        " ".join([f"{float(one):.6f}"] * 75 + [f"{2.0 * two:.6f}"] * 75) + " \n" for one, two in there
    ).encode()


def items(files: Files, name: str = "pku_mmd1") -> list[RawItem]:
    return list(MODULES[name].plan(InMemory(files), CARDS[name]))


def read(labels: bytes | None, content: bytes = bodies(*[(True, False)] * 10), name: str = "pku_mmd1") -> Sample:
    sample_id = {"pku_mmd1": "0012-L", "pku_mmd2": "A01N12-L"}[name]
    files = {f"Skeleton/{sample_id}.txt": content} | ({} if labels is None else {f"Label/{sample_id}.txt": labels})
    (item,) = items(files, name)
    assert item.reject is None
    sample = MODULES[name].read(InMemory(files), item, CARDS[name])
    assert isinstance(sample, Sample)
    return sample


def test_names_say_which_video_who_and_from_where() -> None:
    (item,) = items({"a/0012-M.txt": b""})
    assert item.meta == {"video": 12, "camera": "M", "take": "0012"}
    (item,) = items({"A05N07-R.txt": b""}, "pku_mmd2")
    assert item.meta == {"scene": 5, "subject": 7, "camera": "R", "take": "A05N07"}


def test_the_owners_lists_are_no_videos() -> None:
    assert items({"cross-subject.txt": b"", "cross_view_v2.txt": b"", "0001-L.txt": b""})[0].sample_id == "0001-L"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"0012-X.txt": b""}, "the name '0012-X' is not NNNN-V.txt"),
        ({"Label/0012-L.txt": b"1,2,3,2"}, "a list of actions without a text of bodies"),
        ({"a/0012-L.txt": b"", "b/0012-L.txt": b""}, "2 files of this name"),
    ],
)
def test_what_cannot_be_paired_is_rejected(files: Files, words: str) -> None:
    (item,) = items(files)
    assert words in str(item.reject)


def test_absent_bodies_have_no_pose_and_a_second_one_alone_stays_the_second() -> None:
    sample = read(None, bodies((True, False), (False, False), (True, True), (False, True)))
    assert sample.n_frames == 4
    assert sample.frame.tolist() == [0, 2, 2, 3, 3]
    assert [float(np.nanmax(pose)) if not np.isnan(pose).all() else None for pose in sample.keypoints] == [
        1,
        1,
        2,
        None,
        2,
    ]
    assert (sample.person == -1).all()


def test_frames_are_counted_from_one_in_the_first_phase_and_from_nought_in_the_second() -> None:
    assert read(b"1,1,4,2\n").segments == ((0, 3, 0),)
    assert read(b"1,0,4,2\n", name="pku_mmd2").segments == ((0, 4, 0),)


def test_rows_that_name_the_end_first_are_turned_and_those_without_a_frame_are_counted() -> None:
    sample = read(b"3, 8, 5, 1\r\n\r\n7,2,2,2\n9,10,99,2\n9,50,60,2\n")
    assert sample.segments == ((4, 7, 2), (9, 10, 8))
    assert sample.meta["left_out"] == 2
    label = sample.targets["label"]
    assert isinstance(label, tuple)
    assert [k for k, on in enumerate(label) if on] == [2, 8]


@pytest.mark.parametrize(
    "labels", [b"3,5,8,2\r\n", b"3 5 8 2\n", b"3\t5\t8\t2\n", b" 3 , 5,8 ,2 \n\n", b"3;5;8;2\n", b"\xef\xbb\xbf3,5,8,2"]
)
def test_lists_may_have_other_separators(labels: bytes) -> None:
    assert read(labels).segments == ((4, 7, 2),)


def test_a_video_without_a_list_is_unlabelled_and_one_without_an_action_is_not() -> None:
    assert set(np.unique(read(None).targets["label"])) == {-1}
    assert set(np.unique(read(b"\n").targets["label"])) == {0}


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (b"", "Label/0012-L.txt: an empty file"),
        (b"1,2\n", "line 1: b'1,2', expected action,start,end"),
        (b"1,2,3,2\n1,2.5,3\n", "line 2"),
        (b"1,,2,3\n", "line 1"),
        (b"1,2,3,2,4\n", "line 1"),
        (b"52,1,3,2\n", "action 52, which this set does not have"),
        (b"\xff\xfe\n", "line 1"),
    ],
)
def test_lists_of_another_form_are_refused_by_line(labels: bytes, words: str) -> None:
    with pytest.raises(RawFormatError, match=words):
        read(labels)


def test_the_second_phase_lacks_ten_actions() -> None:
    assert len(CARDS["pku_mmd2"].targets["label"].classes) == len(CARDS["pku_mmd2"].options["codes"]) == 41
    with pytest.raises(RawFormatError, match="action 12, which"):
        read(b"12,1,3,2\n", name="pku_mmd2")
    assert read(b"13,1,3,2\n", name="pku_mmd2").segments[0][2] == CARDS["pku_mmd2"].targets["label"].classes.index(
        "hand waving"
    )


def test_a_body_of_zeros_cannot_be_written() -> None:
    sample = read(b"1,1,4,2\n")
    sample.keypoints[0] = 0
    with pytest.raises(ValueError, match="at most two bodies, and a body has a joint"):
        dict(MODULES["pku_mmd1"].write(sample, CARDS["pku_mmd1"]))
