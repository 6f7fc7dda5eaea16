"""What a store's README says of its poses is what can be counted in it."""

from pathlib import Path
from typing import Any

import numpy as np

from skelbench.store.block import block_of
from skelbench.store.reader import open_store
from skelbench.store.tally import Tally


def test_missing_joints_and_persons_are_counted(make_card: Any, make_sample: Any) -> None:
    card = make_card()
    tally = Tally(card.layout.joints)
    assert (tally.missing, tally.persons) == ("none", "none")
    first, second = make_sample("a", 4, n_frames=10), make_sample("b", 4, n_frames=10)
    first.frame[:] = [0, 0, 3, 3]
    second.frame[:] = [0, 1, 2, 2]
    first.keypoints[:, 1] = np.nan
    first.keypoints[0, 0, 0] = np.nan  # it is there: another channel says where
    tally.add(block_of([first], card))
    tally.add(block_of([second], card))
    joints = card.layout.joints
    assert tally.missing == f"{4 / (8 * len(joints)):.2%}; most often {joints[1]}, 50.00%"
    assert tally.persons == "0 in 75.00%, 1 in 10.00%, 2 in 15.00%"


def test_the_readme_of_a_store_says_so(store_path: Path) -> None:
    text = (store_path / "README.md").read_text(encoding="utf-8")
    store = open_store(store_path)
    tally = Tally(store.card.layout.joints)
    for sample in store.samples(range(len(store))):
        tally.add(block_of([sample], store.card))
    assert f"| persons in a frame | {tally.persons} of frames |" in text
    assert f"| joints that are missing | {tally.missing} |" in text
