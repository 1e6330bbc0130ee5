"""Commands as forked processes: everything is imported once, and a command starts in a hundredth of a second.

Whoever forks must have imported only: threads of torch's, DVC's or MLflow's would not be there in the child.
"""

import atexit
import contextlib
import ctypes
import faulthandler
import importlib
import io
import logging
import multiprocessing
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

MARK = "HONE_CHAOS_CASE"
Hook = Callable[[], None]


@dataclass(frozen=True)
class Ended:
    """How a command ended. code: its exit code, or minus the signal that ended it; None: it was still at work."""

    code: int | None
    log: str


class Command:
    """A command at work, in a session of its own. seconds: how long it has been."""

    def __init__(self, pid: int, log: Path, mark: str) -> None:
        self.pid = pid
        self._log = log
        self._mark = mark
        self._status: int | None = None
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    @property
    def is_over(self) -> bool:
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._status = os.waitstatus_to_exitcode(status) if pid else None
        return self._status is not None

    def wait(self, patience: float) -> Ended:
        """Return how it ended; a process that is still at work then shows where it hangs, and is killed."""
        end = time.monotonic() + patience
        while not self.is_over:
            if time.monotonic() > end:
                self.signal(signal.SIGUSR1, group=False)  # faulthandler's
                time.sleep(0.5)
                self.signal(signal.SIGKILL)
                while not self.is_over:
                    time.sleep(0.01)
                return Ended(None, self._log.read_text(errors="replace"))
            time.sleep(0.01)
        return Ended(self._status, self._log.read_text(errors="replace"))

    def wait_until(self, condition: Callable[[], bool], patience: float = 60) -> bool:
        """Return whether a condition came to hold before the command ended."""
        end = time.monotonic() + patience
        while not self.is_over and time.monotonic() < end:
            if condition():
                return True
            time.sleep(0.005)
        return False

    def signal(self, number: int, *, group: bool = True) -> None:
        """Send a signal to the process, or to its whole group."""
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self.pid, number)

    def workers(self) -> list[psutil.Process]:
        """Return the processes that train."""
        with contextlib.suppress(psutil.Error):
            own = psutil.Process(self.pid).cmdline()
            found = psutil.Process(self.pid).children()
            return [one for one in found if (line := _line(one)) == own or "spawn_main" in " ".join(line)]
        return []

    def left(self) -> list[str]:
        """Return what is still alive of the command's session, or carries its mark in the environment."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, ProcessLookupError, PermissionError):
                if process.status() == psutil.STATUS_ZOMBIE or process.pid == os.getpid():
                    continue
                if os.getsid(process.pid) == self.pid or process.environ().get(MARK) == self._mark:
                    found.append(f"{process.pid} {' '.join(process.cmdline())[:120]}")
        return found


def start(
    work: Callable[[], int],
    *,
    root: Path,
    log: Path,
    environment: Mapping[str, str],
    hooks: Sequence[Hook] = (),
    spawn: bool = False,
) -> Command:
    """Return a process that does the work in a folder. hooks: called in it before.

    spawn: its workers are new processes, as they are in production. Otherwise they are forks of it, as importing torch
    takes a worker two seconds; the hooks hold for them then.
    """
    begun, tell = os.pipe()
    mark = environment[MARK]
    pid = os.fork()
    if not pid:
        try:
            os.setsid()
            os.close(begun)
            _become(root, log, environment, spawn)
            for hook in hooks:
                hook()
            os.write(tell, b"!")
            os.close(tell)
            _end(work())
        except BaseException:
            traceback.print_exc()
            os._exit(70)
    os.close(tell)
    select.select([begun], [], [], 60)
    os.close(begun)
    return Command(pid, log, mark)


def preload() -> None:
    """Import what commands import while they work."""
    for name in (
        "torch",
        "sklearn.ensemble",
        "sklearn.linear_model",
        "optuna",
        "mlflow.tracking",
        "mlflow.pyfunc",
        "mlflow.store.tracking.sqlalchemy_store",
        "mlflow.store.model_registry.sqlalchemy_store",
        "dvc.repo",
        "dvc.repo.reproduce",
        "dvc.stage.cache",
        "flows.cli",
        "flows.tune",
        "flows.leftovers",
        *(f"tasks.{name}" for name in ("ingest", "split", "budget", "baseline", "retrain", "evaluate", "report")),
        *(f"tasks.search_{name}" for name in ("random", "bayes", "hyperband")),
    ):
        importlib.import_module(name)


def _become(root: Path, log: Path, environment: Mapping[str, str], spawn: bool) -> None:
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb", closefd=False), line_buffering=True)
    sys.stderr = io.TextIOWrapper(os.fdopen(2, "wb", closefd=False), line_buffering=True)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(root)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    if not spawn:
        real = multiprocessing.get_context

        def context(method: str | None = None) -> Any:
            return real("fork" if method == "spawn" else method)

        multiprocessing.get_context = context  # type: ignore[assignment]
        os.register_at_fork(after_in_child=_as_if_new)


def _as_if_new() -> None:
    """Have a fork answer signals as a new process does: the pool ends its workers by SIGTERM when one has died."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(code: int) -> None:
    """End as `terminal.leave` does, and then an interpreter: threads are waited for, who asked for it is called."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        threading._shutdown()  # type: ignore[attr-defined]
    except Exception:  # an interpreter says so, and goes on: a fork waits for threads that only its parent has
        traceback.print_exc()
    atexit._run_exitfuncs()
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
