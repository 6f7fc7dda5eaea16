"""Any skeleton data set in, comparable numbers out."""

from importlib.metadata import version

__version__ = version("skelbench")
