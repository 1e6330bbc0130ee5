"""Children that die with their parent, and a note of which process works on which flow run."""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

from tasks.project import SERVED_BY

NOTES = ".work/flows"
LONGEST_START = 60.0
"""Seconds within which a process has come to its work; one that is older did something else before."""

# The kernel keeps the death signal across exec. The second check is for a parent that died before the first line.
_DIE_WITH_PARENT = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != int(sys.argv[1]):
        os._exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


@contextlib.contextmanager
def child(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a running process; it is ended on leaving, and by the kernel if this process is killed.

    command: starts with the path of an executable. Call it from the main thread: to the kernel, the thread that
    starts a process is its parent. Ctrl-C does not reach the child, so it can serve until everybody else is done.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", _DIE_WITH_PARENT, str(os.getpid()), *command], start_new_session=True, **options
    )
    try:
        yield process
    finally:
        end([psutil.Process(process.pid)] if process.poll() is None else [])
        process.wait()


def end_children(*, but: int | None = None) -> None:
    """End every process below this one, whoever started it, but the one of that number."""
    end(_children(but))


def ask_children_to_end(*, but: int | None = None) -> None:
    """Send SIGTERM to the processes that this one has started, but the one of that number, and do not wait."""
    for process in _children(but):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()


def _children(but: int | None) -> list[psutil.Process]:
    return [process for process in psutil.Process().children() if process.pid != but]


def end(processes: Sequence[psutil.Process], patience: float = 10) -> None:
    """Ask processes and all below them to end, wait, and kill those that did not, the lowest first."""
    family: list[psutil.Process] = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            family += [process, *(below for below in process.children(recursive=True) if below not in family)]
    family = [process for process in family if not _cleans_up(process)]
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    for process in reversed(psutil.wait_procs(family, timeout=patience)[1]):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def die_with_server() -> None:
    """In a run that `hone serve` started: have the kernel kill this process when the serving one dies."""
    parent = os.environ.get(SERVED_BY)
    if parent is None or sys.platform != "linux":
        return
    if os.getppid() == int(parent):
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    if not psutil.pid_exists(int(parent)):
        os._exit(1)


def _cleans_up(process: psutil.Process) -> bool:
    """Return whether this is multiprocessing's tracker: deaf to signals, and gone when those it cleans up after are."""
    with contextlib.suppress(psutil.Error):
        return any("multiprocessing.resource_tracker" in part for part in process.cmdline())
    return False


def began() -> float:
    """Return when this process started, in seconds of `time.monotonic`; now, if that is long ago or cannot be told."""
    age = time.time() - psutil.Process().create_time()  # below zero if the clock was set back
    return time.monotonic() - (age if 0 <= age <= LONGEST_START else 0.0)


@contextlib.contextmanager
def noted(root: Path, name: str, **more: str) -> Iterator[None]:
    """Keep a note, as long as the body lasts, that this process is at work on `name`. A kill leaves it behind."""
    path = root / NOTES / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    own = {"pid": os.getpid(), "started": psutil.Process().create_time(), **more}
    path.write_text(json.dumps(own), encoding="utf-8")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def note(root: Path, name: str) -> dict[str, Any] | None:
    """Return the note about `name` if the process that wrote it is alive; else None."""
    try:
        content: dict[str, Any] = json.loads((root / NOTES / f"{name}.json").read_text(encoding="utf-8"))
        process = psutil.Process(content["pid"])
        # A number is given out again; a number together with its start is not.
        return content if abs(process.create_time() - content["started"]) < 1 and process.status() != "zombie" else None
    except (OSError, ValueError, KeyError, TypeError, psutil.Error):
        return None


def notes(root: Path) -> list[str]:
    """Return the names of all notes, of processes alive and dead."""
    return sorted(path.stem for path in (root / NOTES).glob("*.json"))


def forget(root: Path, name: str) -> None:
    """Delete the note about `name`."""
    (root / NOTES / f"{name}.json").unlink(missing_ok=True)
