"""One part of a stage's data, prepared and on the device."""

import time
from dataclasses import dataclass, replace
from typing import Literal

import torch

from skelbench.cell import Planned
from skelbench.data.batches import PartData, part_data, recipe_spec
from skelbench.data.targets import part_items, task_of
from skelbench.data.types import InputSpec, Items, Task
from skelbench.preflight import check_finite, check_targets
from skelbench.prepare import person_slots, prepare_set

CACHE = ".cache"  # of prepared samples, beside the store


@dataclass(frozen=True)
class Parts:
    """What a stage trains on and what it is scored on."""

    task: Task
    train: PartData
    test: PartData  # of an earlier stage, the training part: its test part is not touched
    train_items: Items  # all of them, also where only a batch was prepared
    test_items: Items
    seconds: float  # preparing

    @property
    def spec(self) -> InputSpec:
        """What the clips look like."""
        return self.train.spec

    @property
    def outputs(self) -> int:
        """Columns of the logits."""
        return 1 if self.task.kind == "score" else len(self.task.classes)

    @property
    def left_out(self) -> tuple[str, ...]:
        """A sentence on the persons that have no slot, if there are any."""
        lost = self.train.left_out + (self.test.left_out if self.test is not self.train else 0)
        return (f"{lost} persons beyond the {self.spec.slots} slots are left out",) if lost else ()


def stage_parts(stage: Planned, device: torch.device, *, scored: bool, few: bool = False) -> Parts:
    """Prepare the parts of a stage and stand them on the device.

    Args:
        stage: Its store, split and recipe.
        device: Where batches are made.
        scored: Whether this is the stage that is scored; of the others the test part is not read.
        few: Only a batch of each, to see whether it works at all.

    Returns:
        The parts.

    Raises:
        RunError: If a part is empty, a label out of range, or a coordinate infinite.
        RecipeError: If the recipe cannot be carried out on this data.
    """
    began = time.perf_counter()
    names: tuple[Literal["train", "test"], ...] = ("train", "test") if scored else ("train",)
    items = {part: part_items(stage.store, stage.split, part) for part in names}
    train, test = items["train"], items.get("test", items["train"])
    task = task_of(stage.split, train)
    check_targets(task, train.target, test.target, ids=(*train.ids, *test.ids))
    recipe = stage.resolved.data
    slots = person_slots(recipe.prepare, stage.store.card.persons)
    spec = recipe_spec(recipe, stage.layout, channels=len(stage.store.card.channels), slots=slots)
    cache, count = (None, recipe.batch) if few else (stage.store.path.parent / CACHE, None)  # a look leaves nothing
    data: dict[str, PartData] = {}
    for part in names:
        chosen = replace(items[part], ids=items[part].ids[:count], target=items[part].target[:count])
        places = getattr(stage.split, part)[:count]
        data[part] = part_data(prepare_set(stage.store, places, recipe.prepare, cache), chosen, recipe, spec, device)
        check_finite(data[part])
    return Parts(task, data["train"], data.get("test", data["train"]), train, test, time.perf_counter() - began)
