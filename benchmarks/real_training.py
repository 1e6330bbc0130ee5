"""The search on real training: epochs that it needs to reach the score that others reach with a whole budget.

    python -m benchmarks.real_training [--sets digits,classes,friedman1] [--seeds 5] [--budget 1200] [--workers auto]

Networks of the family mlp are trained on three sets as production trains them: on the split of the stage `split`, with
checkpoints continued and early stopping; an epoch is paid for if it was run. All methods have the same budget, in
epochs over all training rows, and begin with the default config: the default chain of params.yaml; random search; and
Optuna's TPE as it comes, in batches of 8. The latter two train to the end. Seeds vary search and training; the split
stays.

The target is the best validation score of any of a peer's trials within the budget, set by set and seed by seed. It is
reached when the first trial ends that scores as well or better: scores of few rows tie. A ratio is the budget over
the epochs needed; its geometric mean over seeds has a t interval on the log. Who never reaches a target counts as if
the last epoch had done it: a ratio of 1, so that the mean is an upper bound, marked ≤, and its interval but a hint. A
peer may be lucky early: the last column has, in the budget's place, the epochs in which the peer itself came to its
score. For all sets together, a seed's logs are averaged over them. Validation scores are what the search maximises:
they say how fast it is, and not how good its winner is.

Each run is kept as it ends, in OUT/runs.jsonl (its budget in epochs, its trace in objectives: scores, negated where
larger is better), and is not done again: give another OUT, or delete it, once a method has changed.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Annotated

import numpy as np
import optuna
import pandas as pd
import typer
from optuna.trial import TrialState
from rich.console import Console
from rich.table import Table
from scipy import stats
from sklearn import datasets

from benchmarks.generated import frame
from benchmarks.search import methods, peers, runs
from benchmarks.search.__main__ import checked, listed, n_workers
from hone import metrics, models
from hone.errors import UserError
from hone.search.proposals import TOLERANCE
from hone.search.uniform import Uniform
from hone.seeds import derive
from hone.space import SearchSpace
from hone.training.checkpoint import Checkpoint
from hone.training.train import TrainingData, train
from hone.trial import Result, State, Trial
from tasks import split, tables, trainables
from tasks.params import Params, parse_params, search_space

DEFAULTS = Params()
FAMILY, WHOLE = DEFAULTS.model.family, DEFAULTS.train.epochs
PEERS = ("random", "tpe")
HEADER = ("set", "method", "its score", "seeds that reach", "the score of", "budget / epochs", "peer's own / epochs")


SETS: dict[str, Callable[[], pd.DataFrame]] = {
    "digits": lambda: tables.load_sklearn("sklearn:digits")[0],
    "classes": lambda: frame(
        *datasets.make_classification(
            3000, 20, n_informative=10, n_clusters_per_class=4, class_sep=0.8, flip_y=0.05, random_state=0
        )
    ),
    "friedman1": lambda: frame(*datasets.make_friedman1(2000, n_features=10, noise=1.0, random_state=0)),
}


@cache
def data(name: str) -> TrainingData:
    """Return a set's training and validation rows, as the stages make them; its test rows stay sealed."""
    found = split.check_frame(SETS[name](), "target", DEFAULTS)
    training, validation = (found.frame.iloc[rows] for rows in (found.split.train, found.split.validation))
    return trainables.encoded(training, validation, found.schema, found.problem, DEFAULTS.data.scaling)


@dataclass
class Trainer:
    """A trainable that keeps its checkpoints, what it has spent, and the best objective so far after each trial."""

    data: TrainingData
    seed: int
    spent: float = 0.0
    trace: runs.Points = field(default_factory=list)
    _checkpoints: dict[str, Checkpoint] = field(default_factory=dict)

    def __call__(self, trial: Trial) -> Result:
        """Return the trial's result, as production would."""
        outcome, checkpoint = train(
            trial.config,
            FAMILY,
            self.data,
            trainables.settings(DEFAULTS, self.data.problem),
            resource=trial.resource,
            seed=derive(self.seed, trial.study, trial.number),
            rows=trial.rows,
            checkpoint=None if trial.parent is None else self._checkpoints[trial.parent],
        )
        if checkpoint is not None:
            self._checkpoints[trial.key] = checkpoint
        cost = outcome.epochs_run * trial.rows
        self.spent += cost
        self.trace.append((self.spent, min(outcome.objective, self.trace[-1][1] if self.trace else math.inf)))
        return Result(
            trial=trial,
            state=outcome.state,
            objective=outcome.objective,
            curve=outcome.curve,
            best_epoch=outcome.best_epoch,
            cost=cost,
            error=outcome.error,
        )


def chain(trainer: Trainer, space: SearchSpace, budget: float, seed: int) -> None:
    methods.chained(parse_params({"seed": seed}), space, budget, lambda each: methods.play(each, trainer))


def random(trainer: Trainer, space: SearchSpace, budget: float, seed: int) -> None:
    methods.play(Uniform(study="random", space=space, seed=seed, budget=budget, resource=WHOLE), trainer)


def tpe(trainer: Trainer, space: SearchSpace, budget: float, seed: int) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.enqueue_trial(space.default)
    number = 0
    while n := min(peers.BATCH, int((budget - trainer.spent + TOLERANCE) // WHOLE)):
        for asked, config in [(trial, peers.suggested(trial, space)) for trial in (study.ask() for _ in range(n))]:
            given = Trial(study="tpe", number=number, generation=number // peers.BATCH, config=config, resource=WHOLE)
            result, number = trainer(given), number + 1
            if result.state is State.COMPLETE:
                study.tell(asked, result.objective)
            else:
                study.tell(asked, state=TrialState.FAIL)


METHODS = {"chain": chain, "random": random, "tpe": tpe}


def execute(job: runs.Job) -> runs.Run:
    """Return what a job comes to; with the same job, the same but for the seconds."""
    rows, started = data(job.task), time.process_time()
    space = models.without_idle(search_space(DEFAULTS), rows.inputs)
    trainer, seed = Trainer(rows, job.seed), derive(job.seed, job.method, job.task)
    METHODS[job.method](trainer, space, job.budget, seed)
    assert trainer.spent <= job.budget + TOLERANCE, f"{job.method} spent {trainer.spent:g} epochs"
    return runs.Run(job, runs.thinned(trainer.trace), trainer.spent, time.process_time() - started)


def needed(run: runs.Run, target: float) -> float:
    """Return the epochs after which a run had an objective; infinity if it never had."""
    return next((spent for spent, best in run.trace if best <= target), math.inf)


def ratio(logs: np.ndarray, bound: bool) -> str:
    """Return the geometric mean of ratios, with its 95 % interval, by their logs [seeds, sets]."""
    own = logs.mean(axis=1)
    half = stats.t.ppf(0.975, len(own) - 1) * own.std(ddof=1) / len(own) ** 0.5 if len(own) > 1 else math.nan
    text = ", ".join(f"{math.exp(own.mean() + side):.2f}" for side in (-half, half))
    return f"{'≤ ' if bound else ''}{math.exp(own.mean()):.2f}" + (f" [{text}]" if len(own) > 1 else "")


def compared(known: dict[runs.Job, runs.Run], sets: Sequence[str], method: str, peer: str, budget: float) -> list[str]:
    """Return a row of the table, over the seeds for which a method and its peer have run on all these sets."""
    seeds = [
        seed
        for seed in sorted({job.seed for job in known})
        if all(runs.Job(each, name, seed, budget) in known for each in (method, peer) for name in sets)
    ]
    if not seeds:
        return []
    own, others = ([[known[runs.Job(m, n, s, budget)] for n in sets] for s in seeds] for m in (method, peer))
    pairs = [list(zip(*both, strict=True)) for both in zip(own, others, strict=True)]
    epochs = np.array([[needed(run, other.trace[-1][1]) for run, other in pair] for pair in pairs])
    peers = np.array([[needed(other, other.trace[-1][1]) for _, other in pair] for pair in pairs])
    reached, counted = np.isfinite(epochs), np.minimum(epochs, budget)
    score = ""
    if len(sets) == 1:
        metric = data(sets[0]).problem.metric
        score = f"{metric} {np.mean([metrics.value(metric, run.trace[-1][1]) for (run,) in own]):.4f}"
    ratios = [ratio(np.log(above / counted), not reached.all()) for above in (budget, peers)]
    return [sets[0] if len(sets) == 1 else "all", method, score, f"{reached.sum()} of {reached.size}", peer, *ratios]


def measure(sets: list[str], names: list[str], seeds: int, budget: float, workers: int, out: Path) -> int:
    """Do the runs that are not there yet, seed by seed; print and write what all come to; return 1 if any failed."""
    wanted = [runs.Job(method, name, seed, budget) for seed, name, method in product(range(seeds), sets, names)]
    with runs.pool(workers) as pool:
        found, n_failed = runs.completed(wanted, runs.Store(out / "runs.jsonl"), partial(pool.submit, execute))
    groups = [[name] for name in sets] + ([sets] if len(sets) > 1 else [])
    asked = [(group, name, peer) for group in groups for name in names for peer in PEERS if peer in names]
    rows = [row for group, name, peer in asked if name != peer and (row := compared(found, group, name, peer, budget))]
    about = f"{len(found)} of {len(wanted)} runs of {budget:g} epochs; geometric means over seeds, 95 % intervals"
    shown, console = Table(*HEADER, title=about), Console()
    for row in rows:
        shown.add_row(*row)
    console.width = console.width if console.is_terminal else 140
    console.print(shown)
    out.mkdir(parents=True, exist_ok=True)
    lines = [HEADER, ["---"] * len(HEADER), *rows]
    (out / "table.md").write_text(f"{about}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines))
    return 1 if n_failed else 0


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(help=__doc__)
def main(
    sets: Annotated[str, typer.Option(help=f"Of: {', '.join(SETS)}.")] = ",".join(SETS),
    names: Annotated[str, typer.Option("--methods", help=f"Of: {', '.join(METHODS)}.")] = ",".join(METHODS),
    seeds: Annotated[int, typer.Option(min=1, help="How many.")] = 5,
    budget: Annotated[float, typer.Option(min=3 * WHOLE, help="Epochs of each run.")] = DEFAULTS.budget.epochs,
    workers: Annotated[str, typer.Option(help="Processes side by side; auto is one for each core.")] = "auto",
    out: Annotated[Path, typer.Option(help="Folder for runs and table.")] = Path("benchmarks/results/real_training"),
) -> None:
    try:
        chosen = checked("--sets", listed("--sets", sets), list(SETS))
        asked = checked("--methods", listed("--methods", names), list(METHODS))
        code = measure(chosen, asked, seeds, budget, n_workers(workers), out)
    except (UserError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    raise typer.Exit(code)


if __name__ == "__main__":
    app()
