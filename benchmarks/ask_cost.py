"""What proposing a trial costs, on one core: Hone's own strategy beside Optuna's TPE and Gaussian process.

    python -m benchmarks.ask_cost [--observed 50,100,200,500]

Batches of 8, objectives that cost nothing. Hone's is a whole study: its row for n observed trials is the mean over all
trials that it proposed between 0.8 n and n, the fits of its hyperparameters included, which come whenever the trials
have grown by a seventh. Optuna's samplers keep nothing between generations, so each is timed on a history of n
whole trainings, three times. All is processor time of one thread: other work on the machine does not count.
"""

import os
import time
from collections.abc import Iterator
from typing import Annotated

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import torch
import typer
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from benchmarks.search.curves import Immediate
from benchmarks.synthetic import LCBENCH, Synthetic, numbers, production, timed
from hone.errors import UserError
from hone.models import FAMILIES
from hone.search.bayes import Bayesian
from hone.search.surrogate import Sampler
from hone.search.uniform import Uniform
from hone.space import SearchSpace
from hone.study import generations
from hone.trial import Generation, results_of
from tasks.params import Params

BATCH = 8
EPOCHS = Params().train.epochs
SPACES = {"LCBench, 7 parameters": LCBENCH, f"mlp, {FAMILIES['mlp'].space.dimension} parameters": FAMILIES["mlp"].space}
REPEATS = 3
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(help=__doc__)
def main(observed: Annotated[str, typer.Option(help="Numbers of observed trials.")] = "50,100,200,500") -> None:
    try:
        sizes = [int(number) for number in numbers("--observed", observed, at_least=40)]
    except UserError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    table = Table(title="Milliseconds per proposed trial, one core")
    table.add_column("space, strategy")
    for n in sizes:
        table.add_column(f"{n} observed", justify="right")
    with threadpool_limits(1):
        torch.set_num_threads(1)
        for name, space in SPACES.items():
            table.add_row(f"{name}: Hone's", *freeze_thaw(space, sizes))
            for sampler in ("tpe", "gp"):
                table.add_row(f"{name}: Optuna's {sampler.upper()}", *optuna(space, sizes, sampler))
    console = Console()
    if not console.is_terminal:
        console.width = 140
    console.print(table)


def freeze_thaw(space: SearchSpace, sizes: list[int]) -> Iterator[str]:
    """Yield the milliseconds per trial of one study that passes all sizes, and the largest generation's."""
    strategy, asks = timed(production(BATCH, seed=0, space=space))
    before = []
    history: list[Generation] = []
    for generation in generations(strategy, Synthetic(space), Immediate()):
        history.append(generation)
        before.append(len(results_of(history)))  # observed when the next generation is asked for
        if before[-1] >= max(sizes):
            break
    for n in sizes:
        within = [ask for ask, seen in zip(asks[1:], before, strict=False) if 0.8 * n <= seen <= n]
        mean = sum(ask.seconds for ask in within) / sum(ask.n_trials for ask in within)
        most = max(ask.seconds / ask.n_trials for ask in within)
        yield f"{1000 * mean:.1f} (at most {1000 * most:.0f})"


def optuna(space: SearchSpace, sizes: list[int], sampler: Sampler) -> Iterator[str]:
    """Yield the milliseconds per trial of Optuna's sampler on histories of whole random trainings."""
    source = Uniform(study="ask_cost", space=space, seed=0, budget=EPOCHS * max(sizes), resource=EPOCHS, batch=BATCH)
    history = list(generations(source, Synthetic(space), Immediate()))
    for n in sizes:
        known = history[: n // BATCH]
        total = 0.0
        for seed in range(REPEATS):
            strategy = Bayesian(
                study="ask_cost",
                space=space,
                full_space=space,
                prior=(),
                seed=seed,
                budget=1e6,
                resource=EPOCHS,
                batch=BATCH,
                sampler=sampler,
            )
            started = time.process_time()
            strategy.ask(known)
            total += time.process_time() - started
        yield f"{1000 * total / REPEATS / BATCH:.1f}"


if __name__ == "__main__":
    app()
