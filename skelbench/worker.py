"""One of several processes that `processes.supervise` has started: its part of one run."""

import os
import pickle
import signal
import sys
import threading
import traceback
from typing import BinaryIO, NoReturn

from skelbench.errors import FINDINGS, USAGE
from skelbench.plan import plan_runs
from skelbench.processes import Order, seat
from skelbench.run import run_cell


def main() -> NoReturn:
    """Take the order from standard input, carry it out, and tell on standard output how it goes.

    Standard input stays open as long as the process that gave the order lives; this one ends with it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that gave the order decides
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a model prints is no answer
    order: Order = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_the_giver, daemon=True).start()
    try:
        cell = plan_runs(order.request)[order.place]
        if cell.key != order.key:
            raise RuntimeError("the run has changed since it was planned: its recipe, data or code")
        result = run_cell(cell, order.request.overwrite, lambda step: _tell(answers, "progress", step), seat())
        if result is not None:
            _tell(answers, "result", result)
    except Exception as error:  # whatever it is, it is told
        ours = isinstance(error, (*USAGE, *FINDINGS))
        text = str(error) if ours else f"{type(error).__name__}: {error}"
        _tell(answers, "error", (ours, text, traceback.format_exc()))
        _leave(1)
    _leave(0)


def _tell(answers: BinaryIO, kind: str, content: object) -> None:
    """Send a message."""
    pickle.dump((kind, content), answers)
    answers.flush()


def _end_with_the_giver() -> None:
    """Wait for the end of standard input."""
    sys.stdin.buffer.read()
    os._exit(1)


def _leave(code: int) -> NoReturn:
    """End at once: the others may be waiting for this process, which would hold up an orderly end."""
    sys.stderr.flush()
    os._exit(code)
