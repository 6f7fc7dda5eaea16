"""Exports: a store in the files that others' code reads."""

from skelbench.export.forms import FORMS, Exported, Request, export

__all__ = ["FORMS", "Exported", "Request", "export"]
