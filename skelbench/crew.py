"""Other processes that help this one for a while."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import TypeVar, TypeVarTuple

Given = TypeVarTuple("Given")
Result = TypeVar("Result")
Piece = TypeVar("Piece")

_AHEAD = 3  # pieces under way, for each process; as many again wait to be taken


@dataclass(frozen=True)
class Crew:
    """Some processes that wait for work."""

    count: int  # besides this one; 0 where nobody helps
    pool: ProcessPoolExecutor

    def submit(self, function: Callable[[*Given], Result], *args: *Given) -> "Future[Result]":
        """Have a function of a module called by one of them.

        A process may be started here: it must not see a Ctrl-C before it can ignore it.
        """
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return self.pool.submit(function, *args)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def start(self) -> None:
        """Have them start, if they have not: copies of this process must be made before other threads run in it."""
        if self.count:
            self.submit(os.getpid)


def work_through(
    pieces: Iterator[Piece], here: Callable[[Piece], Result], there: Callable[[Piece], Result], helpers: Crew
) -> Iterator[Result]:
    """Do pieces of work, in this process and in those of a crew.

    The others are kept busy; what is done is taken in order, and while the next is not done this process does a piece.

    Args:
        pieces: Of the work.
        here: Does a piece in this process.
        there: Does it in another one; pieces, results and this are pickled.
        helpers: The others; may be none.

    Yields:
        The results, in the order of the pieces; only a few are held at once.

    Raises:
        BrokenProcessPool: If one of the others dies.
    """
    waiting: deque[Future[Result]] = deque()
    while True:
        while sum(not piece.done() for piece in waiting) < helpers.count * _AHEAD:
            piece = next(pieces, None)
            if piece is None:
                break
            waiting.append(helpers.submit(there, piece))
        piece = None
        if not (waiting and waiting[0].done()) and len(waiting) < (helpers.count + 1) * _AHEAD:
            piece = next(pieces, None)
        if piece is not None:
            waiting.append(_finished(here(piece)))
        elif waiting:
            yield waiting[0].result()
            waiting.popleft()
        else:
            return


def _finished(result: Result) -> "Future[Result]":
    """Work that was done here, as if by another process."""
    done: Future[Result] = Future()
    done.set_result(result)
    return done


@contextmanager
def crew(count: int) -> Iterator[Crew]:
    """Have processes that no interrupt reaches; when they are left early their work is dropped.

    They start with the first piece of work: as copies of this process, with all that it has loaded by then, where no
    other thread runs in it; see `way_to_start`. They end when it ends, even by a kill.

    Args:
        count: How many, besides this one; none where it is not above 0.

    Yields:
        What hands out the work; a process that dies makes its futures raise `BrokenProcessPool`.
    """
    before = set(multiprocessing.active_children())
    context = multiprocessing.get_context(way_to_start())
    pool = ProcessPoolExecutor(max(count, 1), context, initializer=_start)
    try:
        yield Crew(max(count, 0), pool)
    except BaseException:
        _stop(set(multiprocessing.active_children()) - before)
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def way_to_start() -> str:
    """How to start a process: as a copy of this one, at once, where that is safe; `spawn` or `fork`.

    A copy holds only the thread that made it: what another thread had locked would stay so. The monitor of tqdm
    locks nothing that others need.
    """
    threads = {type(thread).__name__ for thread in threading.enumerate()} - {"_MainThread", "TMonitor"}
    return "spawn" if threads or "fork" not in multiprocessing.get_all_start_methods() else "fork"


def _start() -> None:
    """Leave Ctrl-C to the main process, and end when that one is gone, even by a kill."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a copy has the handler of the process it was made from
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    """Wait for the main process to end, then end this one: nobody else would."""
    wait([sentinel])
    os._exit(1)


def _stop(processes: set[BaseProcess]) -> None:
    """End processes whose results nobody wants."""
    for process in processes:
        process.terminate()
