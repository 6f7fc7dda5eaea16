"""The verbs by name, each in the module of its name; not in the package, where `list` is one of these modules."""

import importlib

import click

from skelbench.errors import nearest

VERBS = (
    *("list", "info", "convert", "synth", "verify", "view", "run", "fuse", "compare", "leaderboard", "export", "demo"),
)


class Verbs(click.Group):
    """The verbs, each in the module of its name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs in the order of a user's work."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """Import one verb."""
        if cmd_name not in VERBS:
            raise click.UsageError(f"No verb '{cmd_name}'. {nearest(cmd_name, VERBS)}", ctx)
        command: click.Command = importlib.import_module(f"skelbench.cli.{cmd_name}").command
        return command
