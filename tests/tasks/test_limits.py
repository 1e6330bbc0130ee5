"""A trial that hangs or leaks is ended, and costs no other trial; a network that is too large is refused by count."""

import contextlib
import time
from concurrent.futures import BrokenExecutor
from dataclasses import replace

import pytest

from hone.errors import MachineError, UserError
from hone.parallel import reason, settle
from hone.trial import State
from tasks import checkpoints, limits, trainables
from tasks.executors import WorkerPool
from tasks.journal import Journal
from tasks.limits import LimitError, Limits, enforced
from tasks.params import parse_params
from tests.tasks.test_trainables import prepared, trial


def work(what: str) -> str:
    with enforced(Limits(seconds=1.0, bytes=600 * 2**20)):
        if what == "hangs":
            while True:
                try:
                    time.sleep(60)
                except Exception:  # as people write it
                    continue
        if what == "leaks":
            kept = []
            while True:
                kept.append(bytearray(32 * 2**20))
                time.sleep(0.02)
        return what


def test_what_hangs_or_leaks_fails_and_the_others_are_kept():
    pool = WorkerPool(2)
    try:
        found = dict(settle(work, ["a", "hangs", "b", "leaks", "c"], pool))
        assert {name: found[name] for name in "abc"} == {"a": "a", "b": "b", "c": "c"}
        assert isinstance(found["hangs"], LimitError)
        assert reason(found["hangs"]) == "LimitError: took longer than 1 s, its limit (train.limits.time)"
        assert isinstance(found["leaks"], BrokenExecutor)
        assert pool.submit(work, "again").result() == "again"
    finally:
        pool.shutdown()


def deaf(seconds: float) -> None:
    import signal

    limits.GRACE = 0.5
    with enforced(Limits(seconds=seconds)):
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])  # as C code that never comes back
        time.sleep(60)


def test_what_does_not_heed_its_limit_ends_with_its_process():
    pool = WorkerPool(1)
    started = time.monotonic()
    try:
        with pytest.raises(BrokenExecutor):
            pool.submit(deaf, 0.2).result(timeout=30)
    finally:
        pool.shutdown()
    assert time.monotonic() - started < 30


def test_nothing_is_left_behind_within_the_limits():
    import faulthandler
    import signal

    before = signal.getsignal(signal.SIGALRM)
    with enforced(Limits(seconds=30, bytes=2**40)):
        pass
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    faulthandler.cancel_dump_traceback_later()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"time": "soon"}, "train.limits.time: 'soon' is not a duration"),
        ({"time": "0s"}, "train.limits.time: '0s' must be longer"),
        ({"memory": "4 gigs"}, "train.limits.memory: '4 gigs' is not a size"),
        ({"memory": "10MB"}, "train.limits.memory: '10MB' is less than a worker takes"),
        ({"weights": 0}, "train.limits.weights: 0 must be"),
    ],
)
def test_limits_that_cannot_be_are_named(given, said):
    with pytest.raises(UserError, match=said):
        parse_params({"train": {"limits": given}})


def test_limits_are_read_in_seconds_and_bytes():
    params = parse_params({"train": {"limits": {"time": "1h30m", "memory": "1.5GiB"}}, "execution": {"disk": "20MB"}})
    assert params.train.limits.parsed == Limits(5400.0, 1610612736)


def test_the_limits_of_a_trial_do_not_count_what_is_trained_again_before_it(tmp_path, monkeypatch):
    trainable = replace(prepared(tmp_path, {}), limits=Limits(seconds=3600))
    first = trainable(trial(0, 2))
    Journal(tmp_path / "s.jsonl").append(first)
    checkpoints.keep(trainable.store, "s", [])
    within: list[str] = []
    depth = 0

    @contextlib.contextmanager
    def counted(given):
        nonlocal depth
        assert given == trainable.limits
        depth += 1
        assert depth == 1
        within.append("a training")
        yield
        depth -= 1

    monkeypatch.setattr(trainables, "enforced", counted)
    assert trainable(trial(1, 4, parent=first.trial.key)).state is State.COMPLETE
    assert len(within) == 2


def test_what_cannot_be_trained_again_within_its_limits_stops_the_run_and_fails_no_trial(tmp_path, monkeypatch):
    trainable = replace(prepared(tmp_path, {}), limits=Limits(seconds=3600))
    first = trainable(trial(0, 2))
    Journal(tmp_path / "s.jsonl").append(first)
    checkpoints.keep(trainable.store, "s", [])

    @contextlib.contextmanager
    def too_short(given):
        yield
        raise LimitError("took longer than 1 s, its limit (train.limits.time)")

    monkeypatch.setattr(trainables, "enforced", too_short)
    with pytest.raises(MachineError, match=r"s-0000 is gone, and training it again took longer than 1 s"):
        trainable(trial(1, 4, parent=first.trial.key))
