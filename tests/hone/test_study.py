"""The loop: what is asked depends on results alone, whatever happens to the workers."""

import os
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from hone.parallel import WORKER_DIED
from hone.search.strategy import Strategy
from hone.study import _longest_first, generations
from hone.trial import History, Result, State, Trial, results_of
from tasks.executors import WorkerPool


@dataclass(frozen=True)
class Climb(Strategy):
    """Asks for three points around the best so far, four times."""

    def ask(self, history: History) -> list[Trial]:
        if len(history) == 4:
            return []
        best = min(results_of(history), key=lambda r: r.objective, default=None)
        x = best.trial.config["x"] if best else 10.0
        first = 3 * len(history)
        return [
            Trial(study="climb", number=first + i, generation=len(history), config={"x": x + d}, resource=2)
            for i, d in enumerate((-1.0, 0.0, 1.0))
        ]


def square(trial: Trial) -> Result:
    time.sleep(random.random() / 100)  # so that results arrive in any order
    return Result(trial=trial, state=State.COMPLETE, objective=trial.config["x"] ** 2, cost=2)


def deadly(trial: Trial) -> Result:
    if trial.number == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return square(trial)


def raising(trial: Trial) -> Result:
    if trial.number % 2:
        raise MemoryError("no room\nfor this")
    return square(trial)


@dataclass(frozen=True)
class Uneven(Strategy):
    """Asks for trials of uneven length: by epochs, batch size, rows, and what a parent has done already."""

    def ask(self, history: History) -> list[Trial]:
        if len(history) == 2:
            return []
        first = 5 * len(history)
        shapes = ((6, 128, 1.0), (6, 16, 1.0), (18, 16, 1.0), (12, 16, 1.0), (6, 12, 0.5))
        return [
            Trial(
                study="uneven",
                number=first + i,
                generation=len(history),
                config={"x": 1.0, "batch_size": size},
                resource=epochs,
                rows=rows,
                parent="uneven-0003" if history and epochs == 18 else None,
            )
            for i, (epochs, size, rows) in enumerate(shapes)
        ]


def objectives(history):
    return [(r.trial, r.objective, r.state) for r in results_of(history)]


def test_the_longest_trials_of_a_generation_start_first_and_results_are_in_order():
    started = []

    def noting(trial: Trial) -> Result:
        started.append(trial.number)
        return square(trial)

    with ThreadPoolExecutor(1) as pool:
        history = list(generations(Uneven(), noting, pool))
    assert started == [2, 3, 1, 4, 0, 8, 6, 7, 9, 5]  # 7 has 6 epochs of 18 to go
    assert [result.trial.number for result in results_of(history)] == list(range(10))


@pytest.mark.parametrize("size", ["large", 0, None, True])
def test_a_batch_size_that_is_no_size_does_not_matter(size):
    trial = Trial(study="odd", number=0, generation=0, config={"batch_size": size}, resource=2)
    assert _longest_first([trial], []) == [trial]


def test_any_number_of_workers_gives_the_same_history():
    histories = []
    for workers in (1, 3):
        with ThreadPoolExecutor(workers) as pool:
            histories.append(list(generations(Climb(), square, pool)))
    assert objectives(histories[0]) == objectives(histories[1])
    assert min(r.objective for r in results_of(histories[0])) == 36.0  # one step of 1 a generation, from 10 to 6


def test_finished_trials_are_not_run_again():
    with ThreadPoolExecutor(1) as pool:
        whole = list(generations(Climb(), square, pool))
        ran = []
        finished = [*results_of(whole)[:4], results_of(whole)[5]]
        resumed = list(generations(Climb(), square, pool, finished=finished, on_result=ran.append))
    assert objectives(resumed) == objectives(whole)
    assert sorted(r.trial.number for r in ran) == [4, 6, 7, 8, 9, 10, 11]


def test_a_finished_result_of_another_study_is_run_again():
    stranger = Result(
        trial=Trial(study="climb", number=0, generation=0, config={"x": -99.0}, resource=2), state=State.COMPLETE
    )
    with ThreadPoolExecutor(1) as pool:
        whole = list(generations(Climb(), square, pool))
        assert objectives(generations(Climb(), square, pool, finished=[stranger])) == objectives(whole)


def test_a_worker_that_dies_costs_its_own_trial_only():
    pool = WorkerPool(2)
    try:
        results = results_of(list(generations(Climb(), deadly, pool)))
    finally:
        pool.shutdown()
    assert len(results) == 12
    assert {r.trial.number: r.error for r in results if r.state is State.FAILED} == {4: WORKER_DIED}


def test_an_exception_is_a_failed_result():
    with ThreadPoolExecutor(2) as pool:
        results = results_of(list(generations(Climb(), raising, pool)))
    failed = [r for r in results if r.state is State.FAILED]
    assert len(failed) == 6
    assert {r.error for r in failed} == {"MemoryError: no room for this"}
