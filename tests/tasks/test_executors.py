"""Workers compute on one thread, and never outlive the process that started them."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import BrokenExecutor, Future, wait

import psutil
import pytest

from tasks.executors import WorkerPool, count


def threads() -> tuple[int, str | None]:
    import torch

    return torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")


def test_a_worker_computes_on_one_thread():
    pool = WorkerPool(1)
    try:
        assert pool.submit(threads).result() == (1, "1")
    finally:
        pool.shutdown()


def modules() -> tuple[int, bool]:
    return os.getpid(), "hone.training.train" in sys.modules


def test_workers_that_are_warmed_up_have_what_they_need_before_they_are_asked():
    with WorkerPool(2) as pool:
        pool.warm_up()
        workers = {worker.pid for worker in psutil.Process().children()}
        assert len(workers) >= 2
        pid, loaded = pool.submit(modules).result()
    assert pid in workers
    assert loaded


def test_workers_are_warmed_up_in_place_of_those_that_were_killed():
    with WorkerPool(1) as pool:
        future = pool.submit(time.sleep, 60)
        while not future.running():
            time.sleep(0.05)
        pool.kill()
        with pytest.raises(BrokenExecutor):
            future.result()
        pool.warm_up()
        assert pool.submit(modules).result()[1]


def test_auto_is_one_worker_for_each_core_this_process_may_use():
    assert count("auto") == len(os.sched_getaffinity(0))
    assert count(3) == 3


def test_workers_die_with_a_parent_that_is_killed():
    code = (
        "from tasks.executors import WorkerPool\n"
        "import time\n"
        "if __name__ == '__main__':\n"
        "    pool = WorkerPool(2)\n"
        "    [f.result() for f in [pool.submit(time.sleep, 0.1) for _ in range(4)]]\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout.readline() == "ready\n"
    children = psutil.Process(parent.pid).children(recursive=True)
    assert len(children) >= 2
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 20
    while any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children):
        assert time.monotonic() < deadline, "workers outlived their parent"
        time.sleep(0.1)


def test_killed_workers_do_not_finish_their_work():
    pool = WorkerPool(1)
    future = pool.submit(time.sleep, 60)
    while not future.running():
        time.sleep(0.05)
    started = time.monotonic()
    pool.kill()
    pool.shutdown()
    assert time.monotonic() - started < 30
    assert isinstance(future.exception(), BrokenExecutor)


def test_the_end_waits_for_what_was_submitted():
    pool = WorkerPool(1)
    futures = [pool.submit(time.sleep, 0.2) for _ in range(3)]
    pool.shutdown()
    assert [future.exception() for future in futures] == [None] * 3


def pid_after(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def test_a_worker_that_dies_at_the_end_does_not_hold_up_the_others():
    pool = WorkerPool(2)
    wait([pool.submit(time.sleep, 0.2) for _ in range(4)])
    longer, first = pool.submit(pid_after, 1.0), pool.submit(pid_after, 0.0)
    wait([longer])
    time.sleep(0.2)  # until it too waits for work, and for the queue's lock, which the other one holds
    assert longer.result() != first.result()
    os.kill(first.result(), signal.SIGKILL)
    ended = threading.Thread(target=pool.shutdown, daemon=True)
    ended.start()
    ended.join(60)
    assert not ended.is_alive()


def test_a_pool_that_was_interrupted_as_it_started_ends_without_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(thread: threading.Thread) -> None:
        raise KeyboardInterrupt

    pool = WorkerPool(1)
    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pool.submit(os.getpid)
    monkeypatch.undo()
    pool.shutdown(cancel_futures=True)


def test_a_worker_that_starts_does_not_hear_of_ctrl_c(capfd: pytest.CaptureFixture[str]) -> None:
    with WorkerPool(1) as pool:
        future = pool.submit(os.getpid)
        (worker,) = pool._pool._processes
        while not future.done():
            os.kill(worker, signal.SIGINT)
            time.sleep(0.02)
        assert future.result() == worker
    assert capfd.readouterr().err == ""


def test_a_ctrl_c_is_raised_once_a_worker_has_been_started(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[bool] = []
    with WorkerPool(1) as pool, monkeypatch.context() as patched:
        stop = threading.Event()
        other = threading.Thread(target=stop.wait)  # the kernel gives the signal to this one
        other.start()

        def slow(*_: object) -> Future[None]:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.2)
            started.append(True)
            return Future()

        patched.setattr(pool._pool, "submit", slow)
        with pytest.raises(KeyboardInterrupt):
            pool.submit(os.getpid)
        stop.set()
        other.join()
        pool._unfinished.clear()
    assert started
