"""The one loop that joins a strategy and a trainable; production, tests and benchmarks share it."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor

from hone.parallel import reason, settle
from hone.search.strategy import Strategy
from hone.trial import Generation, History, Result, State, Trial, results_of

Trainable = Callable[[Trial], Result]
Step = Callable[[int, Callable[[], list[Result]]], list[Result]]


def generations(
    strategy: Strategy,
    trainable: Trainable,
    executor: Executor,
    *,
    finished: Iterable[Result] = (),
    on_result: Callable[[Result], None] = lambda result: None,
    step: Step = lambda index, work: work(),
) -> Iterator[Generation]:
    """Yield generations, asked and told as a whole, until the strategy asks for nothing more.

    finished: results of an earlier run of the same study, in any order; what it had done is not done again. A
    result whose trial is not the one that is asked for now belongs to another study and is passed over.
    on_result: called in this process with each new result as it arrives, in whatever order that is; everything
    else is in order of number. step: called with a generation's index and the work of evaluating it, which it
    must do and return; it lets a caller show, time or repeat a generation.

    What is asked depends on results and never on timing, so any number of workers gives the same history.
    Raises MachineError if a trial did.
    """
    known = {result.trial.number: result for result in finished}
    history: list[Generation] = []
    while trials := strategy.ask(history):
        results = {
            trial.number: known[trial.number]
            for trial in trials
            if trial.number in known and known[trial.number].trial == trial
        }
        missing = _longest_first([trial for trial in trials if trial.number not in results], history)

        def evaluate(missing: list[Trial] = missing) -> list[Result]:
            new = []
            for result in _evaluate(missing, trainable, executor):
                on_result(result)
                new.append(result)
            return new

        results.update({result.trial.number: result for result in step(len(history), evaluate)})
        history.append(Generation(len(history), tuple(results[trial.number] for trial in trials)))
        yield history[-1]


def _longest_first(trials: list[Trial], history: History) -> list[Trial]:
    """Return trials by the batches that they train on, so that the last of a generation is not a long one.

    It is a guess, and a wrong one costs time and no result.
    """
    epochs = {result.trial.key: result.trial.resource for result in results_of(history)}

    def batches(trial: Trial) -> float:
        new = trial.resource - (epochs.get(trial.parent, 0) if trial.parent else 0)
        size = trial.config.get("batch_size")
        # In a person's own space it may be anything.
        return new * trial.rows / (size if isinstance(size, int | float) and size > 0 else 1)

    return sorted(trials, key=batches, reverse=True)


def _evaluate(trials: list[Trial], trainable: Trainable, executor: Executor) -> Iterator[Result]:
    """Yield a result for every trial, as they arrive; an exception becomes a failed result: the study goes on.

    Not so a MachineError, which `settle` raises: a full disk is no reason to avoid a config.
    """
    for trial, outcome in settle(trainable, trials, executor):
        if isinstance(outcome, Exception):
            yield Result(trial=trial, state=State.FAILED, error=reason(outcome))
        else:
            yield outcome
