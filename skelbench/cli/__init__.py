"""The command line: one module a verb, no logic."""

import errno
import io
import sys

import click

from skelbench.cli.verbs import VERBS, Verbs
from skelbench.errors import FINDINGS, USAGE

__all__ = ["INTERRUPTED", "VERBS", "cli", "main"]

INTERRUPTED = 130  # what a shell expects of a process that Ctrl-C ended


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Start with `skelbench demo`. Each verb explains itself: skelbench VERB --help",
)
@click.version_option(package_name="skelbench")
@click.option("-v", "--verbose", is_flag=True, help="Say more on stderr; show tracebacks.")
@click.option("-q", "--quiet", is_flag=True, help="Errors only on stderr, no progress.")
def cli(verbose: bool, quiet: bool) -> None:
    """Any skeleton data set in, comparable numbers out."""
    from skelbench.cli import output

    output.configure(verbose=verbose, quiet=quiet)


def main() -> None:
    """Entry point: run a verb; errors become one clear message and an exit code (2 usage, 1 findings)."""
    _escape()
    stdout = sys.stdout
    try:
        code = cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt) as stop:  # click wraps the one into the other
        said = str(stop.__cause__ or stop)  # how far it got, where the verb knows
        click.echo(said or "Stopped. Give the same command again to go on.", err=True)
        code = INTERRUPTED
    except USAGE as error:
        code = _say(error, 2)
    except FINDINGS as error:
        code = _say(error, 1)
    except SystemExit:
        if sys.stdout is stdout:
            raise
        code = 0  # the reader of a pipe, such as `head`, had enough: click puts another stdout there and leaves
    except (OSError, UnicodeEncodeError) as error:
        code = _say(_of_system(error), 1, error)
    except Exception as error:
        code = _say(RuntimeError(f"{type(error).__name__}: {error} (a bug; `skelbench -v ...` shows where)"), 1, error)
    sys.exit(code if isinstance(code, int) else 0)


def _escape() -> None:
    """Print what the terminal's encoding lacks, such as odd names of files, as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None where it was closed before the start
            stream.reconfigure(errors="backslashreplace")


def _of_system(error: OSError | UnicodeEncodeError) -> OSError:
    """What the system refused, said with the name of the file."""
    if isinstance(error, UnicodeEncodeError):  # of such a name: what is printed is escaped
        told = f"{error.object[:80]!a}: not to be written in {error.encoding}, the encoding of this environment"
        return OSError(f"{told}. Set LC_ALL=C.UTF-8 or PYTHONUTF8=1.")
    if error.errno == errno.ENOSPC:  # the writers of Arrow and NumPy do not say where
        where = f"{error.filename}: " if error.filename else ""
        return OSError(f"{where}no space left on the device. Free some and repeat the command.")
    return OSError(f"{error.filename}: {error.strerror}." if error.filename and error.strerror else str(error))


def _say(error: Exception, code: int, cause: Exception | None = None) -> int:
    """Print an error on stderr, with its traceback after --verbose."""
    import logging

    if logging.getLogger("skelbench").isEnabledFor(logging.DEBUG):
        logging.getLogger("skelbench").debug("", exc_info=cause or error)
    click.echo(click.style("error: ", fg="red") + str(error), err=True)
    return code
