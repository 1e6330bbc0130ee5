"""What a run would cost, before it is spent: the searches are rehearsed without training, and an epoch is timed."""

import contextlib
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from flows import processes
from hone.space import price_of
from hone.training.checkpoint import Checkpoint
from hone.trial import Result, State, Trial
from tasks import (
    budget,
    checkpoints,
    files,
    held_out,
    ingest,
    pictures,
    search_bayes,
    search_hyperband,
    search_random,
    split,
    start_from,
    trainables,
    trials,
    warm_start,
    wording,
)
from tasks.allowance import FILE, Allowance, shortened
from tasks.executors import WorkerPool, count
from tasks.params import Params, load_params
from tasks.reporting import NullReporter, Reporter, duration
from tasks.stage import Stage
from tasks.tracking import NullTracker
from tasks.trainables import TrainTrial

ASIDE = "plan-"
SEARCHES = {"search_random": search_random, "search_bayes": search_bayes, "search_hyperband": search_hyperband}


@dataclass(frozen=True)
class Cost:
    """What one phase spends. epochs: over all training rows. rungs: (epochs they end at, trials), shortest first."""

    phase: str
    trials: int
    epochs: float
    rungs: tuple[tuple[int, int], ...] = ()


def plan(root: Path, reporter: Reporter) -> None:
    """Report trials, epochs, rungs and about how long it takes, phase by phase. Leaves nothing behind.

    `flows.check.refuse` has passed the params and data.
    """
    began = processes.began()  # a run takes about as long to where it measures
    params = load_params(root)
    with _elsewhere(root, params) as place:
        reporter.message("timing a few epochs …")
        with WorkerPool(count(params.execution.workers)) as pool:
            measured = budget.measure(_stage(place, params, "budget", pool, began))
        written = budget.written_down(root / budget.LOCK, _stage(place, params, "budget", _Untrained()))
        allowed = Allowance(params.budget.epochs)
        if params.budget.time_limit is not None:
            allowed = written or budget.pays_for(params, measured)
        costs = rehearse(place, params, allowed)
    each = budget.wall_seconds(params, measured, allowed)
    reporter.table(
        f"Without early stopping, on {wording.plural(measured.workers, 'worker')},"
        f" {measured.seconds(params, allowed):.2g} s an epoch of one",
        ("phase", "trials", "epochs", "time", "trials to epoch"),
        [
            (cost.phase, str(cost.trials), f"{cost.epochs:.0f}", duration(cost.epochs * each), _rungs(cost))
            for cost in costs
        ],
    )
    whole = duration(budget.seconds_for(params, measured, allowed))
    reporter.message(
        f"all of it: about {whole}, of which {duration(measured.start_up)} are start-up, tracking and report;"
        " most whole trainings stop early"
    )
    if allowed.training is not None:
        reporter.message(
            f"the limit of {params.budget.time_limit} pays for {allowed.epochs:.0f} epochs of search,"
            f" in trainings of up to {allowed.training}"
        )
    if (too_long := budget.overrun(params, measured, allowed)) is not None:
        reporter.warning(too_long)


def rehearse(place: Path, params: Params, allowed: Allowance) -> list[Cost]:
    """Return what each phase of a run costs if no training stops early, by running the searches without training.

    place: a folder that holds a split, and is written to.
    """
    files.write_json(place.joinpath(*FILE), allowed.to_json())
    for name, search in SEARCHES.items():
        search.run(_stage(place, params, name, _Untrained()))
    results = [result for name in SEARCHES for result in trials.read(place / "artifacts" / name / "trials.parquet")]
    results += trials.read(place / "artifacts" / "search_hyperband" / "replay.parquet")
    phases = dict.fromkeys(result.trial.study for result in results)
    params = shortened(params, allowed)
    networks = budget.final_networks(params, params.retrain.seeds)
    return [
        Cost("baseline", params.baseline.networks, float(params.baseline.networks * params.train.epochs)),
        *(_cost(phase, [result for result in results if result.trial.study == phase]) for phase in phases),
        Cost("retrain", networks, float(networks * params.train.epochs)),
    ]


def _cost(phase: str, results: list[Result]) -> Cost:
    rungs = Counter(result.trial.resource for result in results)
    return Cost(phase, len(results), sum(result.cost for result in results), tuple(sorted(rungs.items())))


def _rungs(cost: Cost) -> str:
    return ", ".join(f"{count} to {epochs}" for epochs, count in cost.rungs)


@contextlib.contextmanager
def _elsewhere(root: Path, params: Params) -> Iterator[Path]:
    """Yield a folder with a fresh split of the project's table, gone afterwards."""
    work = root / ".work"
    work.mkdir(exist_ok=True)
    for former in work.glob(f"{ASIDE}*"):  # of a command that was killed
        if not psutil.pid_exists(int(former.name.split("-")[1])):
            shutil.rmtree(former, ignore_errors=True)
    with contextlib.ExitStack() as stack:
        stack.callback(_remove_if_empty, work)
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"{ASIDE}{os.getpid()}-", dir=work)))
        (place / "data" / "raw").mkdir(parents=True)
        for path in (root / "data" / "raw").iterdir() if (root / "data" / "raw").exists() else ():
            if path.name != "ingested":
                (place / "data" / "raw" / path.name).symlink_to(path.resolve())
        for folder in (warm_start.FOLDER, start_from.FOLDER):
            if (root / folder).exists():
                (place / folder).symlink_to((root / folder).resolve())
        if root.joinpath(*pictures.FOLDER).exists():  # decoded already
            (place / pictures.FOLDER[0]).mkdir()
            place.joinpath(*pictures.FOLDER).symlink_to(root.joinpath(*pictures.FOLDER).resolve())
        for name, run in (("ingest", ingest.run), ("split", split.run)):
            run(_stage(place, params, name, _Untrained()))
        yield place


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def _stage(place: Path, params: Params, name: str, executor: Executor, began: float | None = None) -> Stage:
    return Stage(
        name=name,
        root=place,
        params=params,
        fingerprint="plan",
        pipeline="plan",
        executor=executor,
        tracker=NullTracker(),
        reporter=NullReporter(),
        began=began,
    )


class _Untrained(Executor):
    """Answers for trainings that do not take place: each a little better than the last, so that none stops early."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Return a future that is done, with the result of the trial that `fn` should have trained."""
        assert isinstance(fn, TrainTrial)
        future: Future[Any] = Future()
        future.set_result(self._result(fn, *args))
        return future

    def _result(self, trainable: TrainTrial, trial: Trial) -> Result:
        behind = checkpoints.read((trainable.store, *trainable.former), trial.parent) if trial.parent else None
        before = behind.info["epoch"] if behind is not None and behind.info["rows"] == trial.rows else 0
        if trial.origin == "replay":
            problem, n_rows = (
                trainables.read_problem(trainable.split),
                trainables.n_held_out(trainable.split, trial.fold),
            )
            shape = (1, n_rows) if problem.classes is None else (1, n_rows, problem.n_classes)
            held_out.write(trainable.store, trial.key, np.ones(shape, dtype=np.float32))
        else:
            checkpoints.write(
                trainable.store, trial.key, Checkpoint({}, {"epoch": trial.resource, "seed": 0, "rows": trial.rows})
            )
        objective = -1.0 - trial.number
        n_folds = trainable.n_folds if trial.origin != "replay" else 1
        return Result(
            trial=trial,
            state=State.COMPLETE,
            objective=objective,
            curve=(objective,) * trial.resource,
            best_epoch=trial.resource,
            cost=(trial.resource - before) * trial.rows * n_folds * price_of(trainable.prices, trial.config),
        )


if __name__ == "__main__":
    from flows import cli

    cli.run(["plan", *sys.argv[1:]])
