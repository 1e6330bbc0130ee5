"""Where trials run: a pool of processes that heals itself, dies with its parent and computes on one thread each."""

import contextlib
import ctypes
import importlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from concurrent.futures import wait as wait_for
from multiprocessing import resource_tracker
from typing import Any, Literal, TypeVar

T = TypeVar("T")

# Read when a worker loads NumPy and torch; set later they have no effect.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def count(workers: int | Literal["auto"]) -> int:
    """Return the number of worker processes: as asked, or one for each core that this process may use."""
    if workers != "auto":
        return workers
    # Not every system says which cores a process may use (macOS does not).
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class WorkerPool(Executor):
    """Processes that train. When one dies, its pool breaks; the next submission starts a new pool."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._pool = self._start()
        self._unfinished: set[Future[Any]] = set()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Return a future of ``fn(*args, **kwargs)``; it raises BrokenExecutor if its worker dies."""
        with _without_ctrl_c():
            try:
                future = self._pool.submit(fn, *args, **kwargs)
            except BrokenExecutor:
                self._pool.shutdown(wait=False)
                self._pool = self._start()
                future = self._pool.submit(fn, *args, **kwargs)
        self._unfinished.add(future)
        future.add_done_callback(self._unfinished.discard)
        return future

    def warm_up(self) -> None:
        """Start the workers now, and not when there is something to train; returns at once."""
        for _ in range(self._workers):
            self.submit(_import_what_trains)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers, once they have done what was submitted unless that is cancelled."""
        if wait and not cancel_futures:
            wait_for(list(self._unfinished))
        if wait or cancel_futures:
            # Asked to end by themselves, all would wait for ever for one that dies while it holds the queue's lock.
            self.kill()
        with contextlib.suppress(RuntimeError):  # Ctrl-C came before the pool's thread was started: nothing to join
            self._pool.shutdown(wait=wait, cancel_futures=cancel_futures)

    def kill(self) -> None:
        """End the workers at once, whatever they are doing."""
        for worker in list((self._pool._processes or {}).values()):  # which has no public name before Python 3.14
            worker.kill()

    def _start(self) -> ProcessPoolExecutor:
        os.environ.update(ONE_THREAD)  # spawned workers inherit it
        return ProcessPoolExecutor(
            self._workers,
            # A fork would copy torch's thread pools and locks in whatever state they are in.
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_prepare_worker,
            initargs=(os.getpid(),),
        )


@contextlib.contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Have processes that are started here not hear of Ctrl-C: before `_prepare_worker` it would show a traceback."""
    resource_tracker.ensure_running()  # which leaves signals unblocked when it begins
    heard: list[int] = []
    is_main = threading.current_thread() is threading.main_thread()
    # Another thread may get the signal, which Python then raises in this one: half a start is none.
    handler = signal.signal(signal.SIGINT, lambda number, _: heard.append(number)) if is_main else None
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if is_main:
            signal.signal(signal.SIGINT, handler if handler is not None else signal.SIG_DFL)
        if heard:
            signal.raise_signal(signal.SIGINT)


def _import_what_trains() -> None:
    importlib.import_module("tasks.trainables")


def _prepare_worker(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)
    import torch

    torch.set_num_threads(1)
