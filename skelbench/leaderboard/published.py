"""What papers printed: one CSV for each document, so that ours can stand beside theirs.

A value belongs beside a run of ours when data set, protocol, evaluation, labels, model, method, streams and metric
agree. Rows that map to nothing of ours keep empty fields, and what the document says in `as_printed`.
"""

import csv
from collections.abc import Iterator
from decimal import Decimal
from importlib import resources
from importlib.resources.abc import Traversable
from io import StringIO
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from skelbench import metrics
from skelbench.card import explain
from skelbench.errors import UsageError, nearest

Share: TypeAlias = Annotated[float, Field(gt=0, le=1)]

PLAIN = metrics.PLAIN | {"mse", "parameters", ""}  # all other metrics are shares, printed in percent


class Published(BaseModel, frozen=True, extra="forbid"):
    """One printed number."""

    paper: str  # name of the CSV without extension
    dataset: str  # our names; empty where there is none of ours
    protocol: str
    evaluation: Literal["", "supervised", "finetune", "linear", "zero-shot"]
    model: str  # of the configuration that ours implements; ablations are left empty
    method: str
    streams: str  # `joint+bone`: one network; `fuse:joint,bone`: scores of several added; empty: not stated, or no pose
    labels: Annotated[
        Share | None, BeforeValidator(lambda text: text or None)
    ]  # share of the training labels; None: all
    pretraining: str  # in the document's words; empty: from scratch
    poses: str  # where they are not the data set's own: another pose source
    metric: str  # our name, or empty
    value: Decimal  # as printed, in percent where the metric is a share
    selected: Literal["last", "best-on-test", "unknown"]  # as the document says, or its authors' code does
    document: str
    table: str
    as_printed: str  # row label, setting, input, training data; data set, split and metric where no field holds them
    note: str


def load_published(folder: Path | None = None) -> tuple[Published, ...]:
    """Read every published number.

    Args:
        folder: A folder of CSV files; those that skelbench brings when None.

    Returns:
        The rows, by file name, then in the order of the file.

    Raises:
        UsageError: If there is no such folder, or a row does not hold what its columns say, naming file and line.
    """
    if folder is not None and not folder.is_dir():
        raise UsageError(f"No folder {folder}; expected one of published values (*.csv).")
    place: Traversable = resources.files("skelbench.published") if folder is None else folder
    files = sorted((item for item in place.iterdir() if item.name.endswith(".csv")), key=lambda item: item.name)
    return tuple(row for item in files for row in _rows(item))


def _rows(item: Traversable) -> Iterator[Published]:
    """The rows of one file."""
    columns = [name for name in Published.model_fields if name != "paper"]
    try:
        table = csv.DictReader(StringIO(item.read_text(encoding="utf-8")), strict=True, restkey="", restval="")
        wrong = next(iter(set(table.fieldnames or ()) ^ set(columns)), None)
        if wrong is not None:
            raise UsageError(f"{item}: column '{wrong}' is unknown or missing. {nearest(wrong, columns)}")
        for row in table:
            yield Published.model_validate({"paper": item.name.removesuffix(".csv"), **row})
    except ValidationError as error:
        raise UsageError(f"{item}, line {table.line_num}: {explain(error, Published)}") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise UsageError(f"{item}: not a table in UTF-8: {error}.") from error
