"""What one trial may take of time and memory: a guard against trainings that hang or leak.

The clock and the allocator are no part of what makes a run reproducible, so a limit must lie far above what any sound
trial takes; a limit that is the same everywhere is `train.limits.weights`, which counts.
"""

import contextlib
import faulthandler
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

GRACE = 10.0
"""Seconds after which a training that does not heed its time limit ends with its process."""
PAUSE = 0.2


@dataclass(frozen=True)
class Limits:
    """seconds: of one trial. bytes: resident in memory of the process that trains it. None: no limit."""

    seconds: float | None = None
    bytes: int | None = None


class LimitError(Exception):
    """A trial took more than it may."""


class _OutOfTime(BaseException):
    """No `except Exception` of a person's own code is to swallow it."""


@contextlib.contextmanager
def enforced(limits: Limits) -> Iterator[None]:
    """Do the work of a trial within its limits, in a process that does nothing else.

    Raises LimitError when its time is up. Work that does not let itself be interrupted, or takes too much memory, ends
    the process: what it has taken would weigh on the next trial.
    """
    with _memory(limits.bytes), _time(limits.seconds):
        yield


@contextlib.contextmanager
def _time(seconds: float | None) -> Iterator[None]:
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    running = True

    def end(number: int, frame: FrameType | None) -> None:
        if running:
            raise _OutOfTime

    with open(os.devnull, "w") as nowhere:
        # It needs no turn in Python, which C code that hangs would never give.
        faulthandler.dump_traceback_later(seconds + GRACE, exit=True, file=nowhere)
        before = signal.signal(signal.SIGALRM, end)
        signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
        try:
            try:
                yield
            finally:
                running = False
        except _OutOfTime:
            raise LimitError(f"took longer than {seconds:g} s, its limit (train.limits.time)") from None
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
            faulthandler.cancel_dump_traceback_later()


@contextlib.contextmanager
def _memory(most: int | None) -> Iterator[None]:
    statm = Path("/proc/self/statm")
    if most is None or not statm.exists():  # no such file but on Linux
        yield
        return
    page, done = os.sysconf("SC_PAGE_SIZE"), threading.Event()

    def watch() -> None:
        while not done.wait(PAUSE):
            if int(statm.read_text().split()[1]) * page > most:
                os._exit(1)

    watching = threading.Thread(target=watch, name="memory", daemon=True)
    watching.start()
    try:
        yield
    finally:
        done.set()
        watching.join()
