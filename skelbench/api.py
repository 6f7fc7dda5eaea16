"""From Python: a data set by name, its samples, splits and batches, for a loop of one's own."""

from collections.abc import Iterator
from typing import Literal

import torch

from skelbench.card import Card
from skelbench.data.batches import part_data, recipe_spec
from skelbench.data.targets import part_items
from skelbench.data.types import Batch, DataRecipe
from skelbench.prepare import person_slots, prepare_set, prepared_layout
from skelbench.recipe import Ask, default_choice, resolve
from skelbench.sample import Sample
from skelbench.split import Split
from skelbench.split import resolve as resolve_split
from skelbench.store.reader import Store, open_store
from skelbench.workspace import store_path


class Dataset:
    """A store with what follows from it."""

    store: Store  # everything on disk: `table`, `info`, `rejects()`

    def __init__(self, store: Store) -> None:
        self.store = store

    @property
    def card(self) -> Card:
        """Identity, geometry and provenance of the set."""
        return self.store.card

    @property
    def ids(self) -> tuple[str, ...]:
        """The id of every sample, in order."""
        return self.store.ids

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, key: int | str) -> Sample:
        """One sample by place or by id; raises IndexError or KeyError where there is none."""
        return self.store[key]

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.store)

    def split(self, protocol: str | None = None, *, fold: int | None = None) -> Split:
        """Resolve a protocol.

        Args:
            protocol: Its name; the set's first where none is given.
            fold: Of a cross-validation the fold that is scored; the first where none is given.

        Returns:
            Places of the samples of both parts, classes, digest, and what differs from the official counts.

        Raises:
            SplitError: If the parts share what they must not, or one is empty.
            UsageError: If there is no such protocol or fold.
        """
        return resolve_split(self.store, protocol, fold=fold)

    def batches(
        self,
        recipe: str | DataRecipe = "default",
        *,
        part: Literal["train", "test"] = "train",
        protocol: str | Split | None = None,
        seed: int = 0,
        epoch: int = 0,
    ) -> Iterator[Batch]:
        """Cut a part into batches on the CPU, as `skelbench run` would.

        Args:
            recipe: The data section of a recipe, or the name of one of `lite`'s.
            part: `train` comes shuffled and augmented, `test` in order, every sample once.
            protocol: Its name, or what `split` gave; the set's first where none is given.
            seed: Of the training part's draws.
            epoch: Counted from 0; each has draws of its own, whatever was drawn before.

        Returns:
            Batches, made as they are asked for; `batch.clips[0].x` is (R, C, T, V), one row a person, and
            `batch.target` the labels.

        Raises:
            RecipeError: If the recipe is unknown or does not fit the set.
            SplitError: As `split`.
        """
        split = protocol if isinstance(protocol, Split) else self.split(protocol)
        data = recipe if isinstance(recipe, DataRecipe) else self._recipe(recipe, split.name)
        places = split.train if part == "train" else split.test
        slots = person_slots(data.prepare, self.card.persons)
        layout = prepared_layout(data.prepare, self.card.layout)
        spec = recipe_spec(data, layout, channels=len(self.card.channels), slots=slots)
        prepared = prepare_set(self.store, places, data.prepare, self.store.path.parent / ".cache")
        fed = part_data(prepared, part_items(self.store, split, part), data, spec, torch.device("cpu"))
        return fed.train_batches(seed, 0, epoch, epoch + 1) if part == "train" else fed.batches()

    def _recipe(self, name: str, protocol: str) -> DataRecipe:
        """The data section of a named recipe."""
        model, method = default_choice(None, None)
        dataset, prepare = self.store.info.name, self.card.prepare
        ask = Ask(dataset=dataset, protocol=protocol, model=model, method=method, recipe=name, prepare=prepare)
        return resolve(ask).data


def open_dataset(name: str) -> Dataset:
    """Open a data set.

    Args:
        name: The name of a store in the data folder, or the path of one.

    Returns:
        The data set; only its dataset.json has been read.

    Raises:
        UsageError: If there is no such store, saying how to make one.
        StoreError: If it is damaged, or of another version.
    """
    return Dataset(open_store(store_path(name)))
