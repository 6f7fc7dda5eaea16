"""Options that several verbs share."""

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, TypeVar

import click

from skelbench.cli.output import STDOUT

Command = TypeVar("Command", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)


def json_option(command: Command) -> Command:
    """`--json`: one document on stdout instead of text."""
    text = "Print one JSON document on stdout."
    return click.option("--json", "as_json", is_flag=True, help=text, callback=_keep_stdout)(command)


def dry_run_option(command: Command) -> Command:
    """`--dry-run`: say what would happen."""
    return click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")(command)


def overwrite_option(command: Command) -> Command:
    """`--overwrite never|always`."""
    choice = click.Choice(["never", "always"])
    text = "What to do where a result of another request stands."
    return click.option("--overwrite", type=choice, default="never", show_default=True, help=text)(command)


def _keep_stdout(context: click.Context, parameter: click.Parameter, wanted: bool) -> bool:
    """Leave stdout to the document: what a stranger's model prints goes to stderr."""
    if wanted:
        context.meta[STDOUT] = sys.stdout
        context.with_resource(redirect_stdout(sys.stderr))
    return wanted
