"""Ten thousand trials on a thousand workers, simulated: how busy they are, and what the strategy itself costs.

    python -m benchmarks.simulation [--trials 10000] [--workers 1000] [--ratios 1,2] [--seconds-per-epoch 4]

The strategy is the one that production refines with, asked through the same loop; only the batch is larger: `ratios`
times the workers. Generations are synchronous, as in production: one begins when the former's last trial has ended
and the strategy has proposed. Within one, whichever worker is free takes the next trial in order of number.

A trial takes as long as in life: its new epochs, times seconds an epoch that depend on the config (small batches and
wide or deep networks are slower: 0.1 to 7 times the middle config's), times a log-normal factor for the machine (sigma
0.25). One in fifty is a straggler, three times as slow; one in a hundred fails somewhere on its way. Objectives cost
nothing to compute. The strategy's own time is real: processor time of one thread on the machine that simulates.
"""

import heapq
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import typer
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from benchmarks.search.curves import Immediate
from benchmarks.synthetic import LCBENCH, Ask, Synthetic, numbers, production, timed
from hone.errors import UserError
from hone.search.strategy import Strategy
from hone.seeds import numpy_generator
from hone.study import generations
from hone.trial import Config, Result, State, Trial

SIGMA = 0.25
STRAGGLERS, SLOWER = 0.02, 3.0
FAILURES = 0.01
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


def pace(config: Config) -> float:
    """Return how long an epoch of a config takes, as a multiple of a middle one's."""
    value = {name: float(config[name]) for name in ("batch_size", "max_units", "num_layers")}
    return math.sqrt(90 / value["batch_size"] * value["max_units"] / 256) * (1 + value["num_layers"]) / 4


@dataclass
class Life:
    """A trainable that takes no time, and notes how long each trial would have taken.

    durations: seconds, by a trial's key.
    """

    trainable: Synthetic
    seconds_per_epoch: float
    seed: int
    durations: dict[str, float] = field(default_factory=dict)
    _reached: dict[str, int] = field(default_factory=dict)

    def __call__(self, trial: Trial) -> Result:
        """Return the trial's result; its cost counts new epochs only."""
        generator = numpy_generator(self.seed, trial.key, "duration")
        epochs = float(trial.resource - self._reached.get(trial.parent or "", 0))
        factor = pace(trial.config) * generator.lognormal(0.0, SIGMA)
        if generator.random() < STRAGGLERS:
            factor *= SLOWER
        fails, share = generator.random() < FAILURES, generator.random()
        if fails:
            epochs *= share
            result = Result(trial=trial, state=State.FAILED, cost=epochs, error="simulated")
        else:
            result = replace(self.trainable(trial), cost=epochs)
            self._reached[trial.key] = trial.resource
        self.durations[trial.key] = epochs * self.seconds_per_epoch * factor
        return result


@dataclass(frozen=True)
class Shares:
    """Where the workers' time went, in worker-seconds, and how long it took, in seconds.

    busy: training. waiting: done, while another of the generation still trained. idle: without a trial in the
    generation. asking: while the strategy proposed.
    """

    busy: float = 0.0
    waiting: float = 0.0
    idle: float = 0.0
    asking: float = 0.0
    seconds: float = 0.0

    def plus(self, other: "Shares") -> "Shares":
        """Return both together, one behind the other."""
        return Shares(**{name: getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__})


def played(durations: Sequence[float], workers: int, asking: float) -> Shares:
    """Return what becomes of one generation: asked for, then trained in order by whoever is free."""
    ends = [0.0] * min(workers, len(durations))
    for duration in durations:
        heapq.heapreplace(ends, ends[0] + duration)
    last = max(ends, default=0.0)
    return Shares(
        busy=math.fsum(durations),
        waiting=math.fsum(last - end for end in ends),
        idle=(workers - len(ends)) * last,
        asking=workers * asking,
        seconds=asking + last,
    )


def simulate(strategy: Strategy, life: Life, n_trials: int, workers: int) -> tuple[Shares, list[Ask], list[Result]]:
    """Return where the time of a study of so many trials went, its asks, and its results."""
    strategy, asks = timed(strategy)
    total, results = Shares(), []
    for generation in generations(strategy, life, Immediate()):
        results += generation.results
        durations = [life.durations[result.trial.key] for result in generation.results]
        total = total.plus(played(durations, workers, asks[-1].seconds))
        if len(results) >= n_trials:
            break
    return total, asks, results


@app.command(help=__doc__)
def main(
    trials: Annotated[int, typer.Option(min=1)] = 10_000,
    workers: Annotated[int, typer.Option(min=1)] = 1_000,
    ratios: Annotated[str, typer.Option(help="Trials of a generation, as multiples of the workers.")] = "1,2",
    seconds_per_epoch: Annotated[float, typer.Option(min=0.001, help="Of a middle config.")] = 4.0,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    try:
        multiples = numbers("--ratios", ratios, at_least=1 / workers)
    except UserError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    table = Table(title=f"{trials:,} trials on {workers:,} workers, {seconds_per_epoch:g} s an epoch")
    for i, name in enumerate(ROWS):
        table.add_column(name, justify="right" if i else "left")
    console = Console()
    if not console.is_terminal:
        console.width = 160
    with threadpool_limits(1):
        for multiple in multiples:
            batch = min(round(multiple * workers), trials)
            life = Life(Synthetic(LCBENCH, seed), seconds_per_epoch, seed)
            texts = row(*simulate(production(batch, seed), life, trials, workers), workers)
            table.add_row(f"{multiple:g}x", *texts)
            typer.echo(f"batch {batch:,}: {texts[0]} trials, asking took {texts[-4]} s", err=True)
    console.print(table)


ROWS = (
    "batch",
    "trials (failed)",
    "generations",
    "busy",
    "waiting for the last",
    "without a trial",
    "waiting for the strategy",
    "hours",
    "asking: total s",
    "ms a trial",
    "longest s",
    "best",
)


def row(total: Shares, asks: Sequence[Ask], results: Sequence[Result], workers: int) -> list[str]:
    """Return a row's texts, behind its name."""
    whole = workers * total.seconds
    seconds = math.fsum(ask.seconds for ask in asks)
    failed = sum(result.state is State.FAILED for result in results)
    best = min(result.objective for result in results)
    return [
        f"{len(results):,} ({failed})",
        f"{len(asks)}",
        *(f"{share / whole:.1%}" for share in (total.busy, total.waiting, total.idle, total.asking)),
        f"{total.seconds / 3600:.2f}",
        f"{seconds:.1f}",
        f"{1000 * seconds / len(results):.1f}",
        f"{max(ask.seconds for ask in asks):.1f}",
        f"{best:.4f}",
    ]


if __name__ == "__main__":
    app()
