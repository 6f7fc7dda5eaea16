"""One run of one seed and fold with everything about it settled, and how it tells where it stands."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from skelbench.blocks import Head
from skelbench.initial import Source
from skelbench.mapping import JointMapping
from skelbench.recipe import Resolved
from skelbench.skeletons import Layout
from skelbench.split import Split
from skelbench.store.reader import Store

Phase: TypeAlias = Literal["prepare", "check", "train", "test", "end"]


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One stage of a run, settled."""

    store: Store
    split: Split  # parts already thinned: by a limit, to few labels; `test` is what is scored of the last stage
    resolved: Resolved
    labels: float | None  # share of the training labels
    init: Source | Literal["previous"] | None  # a file, the stage before, or random weights
    head: Head
    freeze: tuple[str, ...]
    given: Mapping[str, str]  # how data set, protocols, model, method and init were named
    mappings: tuple[JointMapping, ...] = ()  # of the prepare list, from the data's layout to that of the model

    @property
    def layout(self) -> Layout:
        """The joints that the model sees."""
        return self.mappings[-1].target if self.mappings else self.store.card.layout


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One run of one seed and fold."""

    stages: tuple[Planned, ...]  # the last is scored
    evaluation: str
    key: str
    tunes: str | None  # key of the same run on all training data, where it is scored on validation
    seed: int
    folder: Path
    device: str  # auto | cpu | cuda | cuda:N
    precision: str  # 32-true | bf16-mixed
    devices: int = 1  # processes on a node that train together
    limit: int | None  # samples a part
    oracle: bool  # whether the part that is scored is looked at after every epoch
    command: str  # that repeats it
    files: Mapping[str, str] = field(default_factory=dict)  # digests of the files it names, by path as given
    notes: tuple[str, ...] = ()  # what people should know before it begins
    code: str = ""  # version of the code that runs it

    @property
    def last(self) -> Planned:
        """The stage that is scored."""
        return self.stages[-1]

    @property
    def split(self) -> Split:
        """The split that is scored."""
        return self.last.split

    @property
    def fold(self) -> int | None:
        """The fold that is scored."""
        return self.split.fold

    @property
    def resolved(self) -> Resolved:
        """The recipe of the stage that is scored."""
        return self.last.resolved

    @property
    def plan(self) -> tuple[int, ...]:
        """Epochs of all stages."""
        return tuple(stage.resolved.optim.epochs for stage in self.stages)

    @property
    def name(self) -> str:
        """What people call it."""
        chosen, ask = self.resolved, self.resolved.ask
        streams = "+".join(chosen.data.streams)
        where = f"{ask.dataset}/{ask.protocol} {chosen.model.name}-{chosen.method.name}-{streams}"
        return f"{where} seed {self.seed}" + ("" if self.fold is None else f" fold {self.fold}")


@dataclass(frozen=True)
class Progress:
    """Where a run stands."""

    run: str  # name of the cell
    phase: Phase
    done: int = 0  # epochs, in training, all stages together
    total: int = 0
    text: str = ""


Sink: TypeAlias = Callable[[Progress], None]
