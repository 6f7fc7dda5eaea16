"""What an export works on: the store, its parts by protocol, and what must be said about the result."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from skelbench.errors import SplitError, UsageError
from skelbench.prepare.run import prepared_layout, preparer
from skelbench.skeletons import Layout
from skelbench.split import Split, resolve, store_protocols
from skelbench.store.reader import Store


@dataclass(frozen=True)
class Job:
    """One export."""

    store: Store
    out: Path  # file or folder, still under its temporary name
    splits: Mapping[str, Split]  # by protocol, the default first
    steps: tuple[str, ...]  # prepare list of the forms that hold blocks
    frames: int  # length of blocks
    persons: int  # places in blocks
    asked: bool = False  # whether the user named the one protocol
    said: list[str] = field(default_factory=list)  # what a reader of the result must know

    @property
    def layout(self) -> Layout:
        """The joints of blocks."""
        return prepared_layout(self.steps, self.store.card.layout)

    def only_split(self) -> Split:
        """The one split of forms that hold one, of one class a sample: the first such, unless the user names one.

        Raises:
            UsageError: If the store has none.
        """
        fit = [split for split in self.splits.values() if self.is_single(split.target)]
        if not fit:
            raise UsageError(self.refusal())
        return fit[0]

    def is_single(self, target: str) -> bool:
        """Whether a label is one class a sample, which is all that the forms of training code can say."""
        return self.store.card.targets[target].kind == "single"

    def refusal(self) -> str:
        """Why a form of one class a sample and two parts cannot hold this store, and what to do."""
        name = self.store.info.name
        if self.splits:
            target = next(iter(self.splits.values())).target
            why = f"'{target}' is not one class a sample, which is all that this form can say."
        elif self.said:
            why = f"No protocol of '{name}' can be written, and this form needs two parts. {' '.join(self.said[:2])}"
        else:
            why = f"'{name}' has no protocol, and this form needs two parts."
        return f"{why} `--to parquet` and `--to hf` hold every set."

    def blocks(self, places: Sequence[int], cut: Callable[[int, int], None]) -> Iterator[np.ndarray]:
        """Samples as blocks: frames, persons, joints, channels; float32, what is missing is 0.

        Args:
            places: Of the store.
            cut: Called with the frames and persons that a sample has beyond the block.

        Yields:
            One block a sample.
        """
        make = preparer(self.steps, self.store.card.layout)
        for sample in self.store.samples(places):
            prepared = make(sample)
            values = np.nan_to_num(prepared.keypoints, nan=0.0)
            persons, frames = values.shape[:2]
            block = np.zeros((self.frames, self.persons, *values.shape[2:]), np.float32)
            block[:frames, :persons] = values[: self.persons, : self.frames].transpose(1, 0, 2, 3)
            cut(max(0, frames - self.frames), max(0, persons - self.persons))
            yield block


def splits_of(store: Store, protocol: str | None) -> tuple[dict[str, Split], list[str]]:
    """Resolve the protocols that an export names.

    Args:
        store: The data set.
        protocol: One of its protocols; None for all that are one fixed split.

    Returns:
        Splits by name, and what must be said: which protocols are left out, and why.

    Raises:
        UsageError: If there is no such protocol.
        SplitError: If the one that was asked for does not hold on this store.
    """
    if protocol is not None:
        split = resolve(store, protocol)
        folds = [f"The test part is fold 1 of {split.folds} of '{protocol}'."] if split.folds else []
        return {protocol: split}, folds
    try:
        known = store_protocols(store)
    except UsageError:
        return {}, [f"'{store.info.name}' has no protocols, so nothing says what trains and what is scored."]
    found: dict[str, Split] = {}
    said: list[str] = []
    for name, card in known.items():
        if card.folds is not None:
            said.append(f"The protocol '{name}' has folds and is left out; name it with --protocol for its first fold.")
            continue
        try:
            found[name] = resolve(store, name)
        except SplitError as error:
            said.append(f"The protocol '{name}' does not hold on this store and is left out: {error}")
    return found, said
