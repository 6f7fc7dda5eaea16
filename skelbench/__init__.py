"""Any skeleton data set in, comparable numbers out."""

from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skelbench.api import Dataset

__version__ = version("skelbench")


def open(name: str) -> "Dataset":
    """Open a data set by the name of its store in the data folder, or by the store's path; see `skelbench.api`."""
    from skelbench.api import open_dataset  # here, so that `import skelbench` loads neither torch nor pandas

    return open_dataset(name)
