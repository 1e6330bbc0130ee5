"""Runs of methods on tasks: what is to be done, in processes side by side, and the file that keeps what was done."""

import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.search.curves import EPOCHS, Array, Curves, Measure
from benchmarks.search.methods import METHODS, Method
from benchmarks.search.peers import PEERS
from hone.errors import UserError
from hone.parallel import reason
from hone.trial import Config

ALL: dict[str, Method] = {**METHODS, **PEERS}
ANY_BUDGET = {"random", *PEERS} - {"naive_chain"}
"""Methods that do the same whatever the budget is: one run, at the largest, is read off at the smaller ones."""

PACE = {"gp": 20.0, "chain": 10.0, "hyperband": 3.0, "hyperband_pruner": 2.0, "naive_chain": 2.0, "random": 0.1}
"""Rough times relative to one another; they only decide what is started first."""

MOST_POINTS = 200
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
Points = list[tuple[float, float]]


@dataclass(frozen=True, order=True)
class Job:
    """One run. budget: in whole trainings. margin: share of each scale that is cut off at its ends."""

    method: str
    task: str
    seed: int
    budget: float
    margin: float = 0.0
    noise: float = 0.0


@dataclass(frozen=True)
class Run:
    """What a job came to.

    trace: epochs spent and the regret from there on, where it changes. spent: epochs in all. seconds: processor time
    of the method itself, without the surrogate's.
    """

    job: Job
    trace: Points
    spent: float
    seconds: float

    def regret(self, budget: float) -> float:
        """Return the regret after so many whole trainings' epochs; 100, a bad random config's, before the first."""
        return next((regret for spent, regret in reversed(self.trace) if spent <= budget * EPOCHS), 100.0)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON, from which `from_json` makes an equal run."""
        return {**asdict(self.job), "spent": self.spent, "seconds": round(self.seconds, 3), "trace": self.trace}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Run":
        """Return the run that `to_json` described."""
        job = Job(**{name: data[name] for name in Job.__dataclass_fields__})
        return cls(job, [(spent, regret) for spent, regret in data["trace"]], data["spent"], data["seconds"])


def jobs(
    methods: Sequence[str],
    tasks: Sequence[str],
    seeds: Sequence[int],
    budgets: Sequence[float],
    margin: float = 0.0,
    noise: float = 0.0,
) -> list[Job]:
    """Return all jobs, those that last longest first."""
    found = [
        Job(method, task, seed, budget, margin, noise)
        for method in methods
        for budget in ([max(budgets)] if method in ANY_BUDGET else budgets)
        for task in tasks
        for seed in seeds
    ]
    return sorted(found, key=lambda job: -PACE.get(job.method, 1.0) * job.budget)


def done(job: Job, runs: Iterable[Run]) -> Run | None:
    """Return the run that answers a job: its own, or a longer one where the method does not mind the budget."""
    for run in runs:
        other = run.job
        same = (other.method, other.task, other.seed, other.margin, other.noise) == (
            job.method,
            job.task,
            job.seed,
            job.margin,
            job.noise,
        )
        enough = other.budget >= job.budget if job.method in ANY_BUDGET else other.budget == job.budget
        if same and enough:
            return run
    return None


class Store:
    """A file of runs, a line each, that can be read whatever became of the process that wrote it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[Run]:
        """Return the runs; a last line that was torn is cut off. UserError if another line is no run."""
        if not self.path.exists():
            return []
        content = self.path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            with self.path.open("r+b") as file:
                file.truncate(len(whole))
        runs = []
        for number, line in enumerate(whole.decode().splitlines(), 1):
            try:
                runs.append(Run.from_json(json.loads(line)))
            except (ValueError, KeyError, TypeError):
                raise UserError(f"{self.path}, line {number}: this is no run; remove the line, or the file") from None
        return runs

    def append(self, run: Run) -> None:
        """Add a run at once."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps(run.to_json()) + "\n")


class Clocked:
    """A task's curves, and the processor time that they took: what a method itself costs is the rest."""

    def __init__(self, curves: Curves) -> None:
        self.curves, self.seconds = curves, 0.0

    def curve(self, task: str, config: Config) -> Array:
        """Return a config's curve."""
        started = time.process_time()
        try:
            return self.curves.curve(task, config)
        finally:
            self.seconds += time.process_time() - started


def thinned(trace: Points, keep: Sequence[float] = ()) -> Points:
    """Return the points of a trace at which the regret changes, at most 200 of them.

    What holds at the epochs in `keep` is there to the bit; between them, points are left out evenly if need be.
    """
    changes = [point for i, point in enumerate(trace) if i == 0 or point[1] != trace[i - 1][1]]
    if len(changes) <= MOST_POINTS:
        return changes
    fixed = {0, *(max(i for i, (spent, _) in enumerate(changes) if spent <= at) for at in keep if at >= changes[0][0])}
    n = MOST_POINTS - len(fixed)
    fixed |= {round(i * (len(changes) - 1) / (n - 1)) for i in range(n)}
    return [changes[i] for i in sorted(fixed)]


def execute(
    job: Job, curves: Curves, bounds: tuple[float, float], budgets: Sequence[float], method: Method | None = None
) -> Run:
    """Return what a job comes to; with the same arguments, the same but for the seconds.

    method: the job's, where it is none of `ALL`.
    """
    best, worst = bounds
    clocked = Clocked(curves)
    measure = Measure(clocked, job.task, best, worst, seed=job.seed, noise=job.noise)  # type: ignore[arg-type]
    started = time.process_time()
    (method or ALL[job.method])(measure, curves.space(job.margin), job.budget * EPOCHS, job.seed)
    seconds = time.process_time() - started - clocked.seconds
    assert measure.spent <= job.budget * EPOCHS + 1e-6, f"{job.method} spent {measure.spent:g} epochs"
    return Run(job, thinned(measure.trace, [budget * EPOCHS for budget in budgets]), measure.spent, seconds)


@contextmanager
def pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Give a pool of fresh processes that compute on one thread each; leaving it early drops what has not begun."""
    os.environ.update(dict.fromkeys(THREADS, "1"))  # NumPy reads it when it is imported: before a worker starts
    executor = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_one_thread)
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)


def _one_thread() -> None:
    import torch
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)
    torch.set_num_threads(1)


def all_bounds(curves: Curves, tasks: Sequence[str], path: Path, executor: ProcessPoolExecutor) -> dict[str, Any]:
    """Return the best and worst accuracies of tasks; they are looked for once and kept in a file."""
    try:
        known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    except ValueError:
        raise UserError(f"{path}: this is no JSON; remove the file, and it is made anew") from None
    missing = [task for task in tasks if task not in known]
    if missing:
        known.update(zip(missing, executor.map(curves.bounds, missing), strict=True))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n")
    return known


def settled(futures: Mapping[Future[Run], Job]) -> Iterator[Run | str]:
    """Yield the run of each job as it ends, or in one line why it has none."""
    for future in as_completed(futures):
        error = future.exception()
        if isinstance(error, UserError):
            raise error
        if isinstance(error, Exception):
            job = futures[future]
            yield f"{job.method}, task {job.task}, seed {job.seed}, budget {job.budget:g}: {reason(error)}"
        else:
            yield future.result()


def completed(wanted: Sequence[Job], store: Store, submit: Callable[[Job], Future[Run]]) -> tuple[dict[Job, Run], int]:
    """Do the runs that a store lacks, in their order; return all that are wanted and there, and how many failed.

    What fails is printed, and the others go on.
    """
    known, n_failed = {run.job: run for run in store.read()}, 0
    for run in settled({submit(job): job for job in wanted if job not in known}):
        if isinstance(run, Run):
            store.append(run)
            known[run.job] = run
        else:
            n_failed += 1
            print(f"failed: {run}", flush=True)
    return {job: known[job] for job in wanted if job in known}, n_failed
