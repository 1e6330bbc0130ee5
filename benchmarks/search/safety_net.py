"""Narrowing's safety net: the chain in a space from which the best was cut away on purpose.

    python -m benchmarks.search.safety_net FOLDER [--budgets 10,25] [--seeds 3] [--since second] [--workers auto]

FOLDER holds LCBench's surrogate, as for benchmarks.search; only its public tasks are run. Each number keeps the half of
its scale in which the best config known does not lie: of seven numbers, a 128th of the space. The phase --since and
those behind it are handed that for their narrowed space, whatever they find; the coarse phase has seen the whole.
Side by side: the default chain's net, which is a share of the short trainings from outside and whole trainings that
look everywhere; each strand of it alone; neither; production's own narrowing; and no narrowing at all.

Each run is kept as it ends, in OUT/runs.jsonl, and is not done again: give another OUT, or delete it, once a method has
changed.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from itertools import product
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.search import methods, report, runs
from benchmarks.search.__main__ import checked, listed, n_workers
from benchmarks.search.curves import PUBLIC, Curves, Measure
from benchmarks.synthetic import numbers
from hone.errors import UserError
from hone.seeds import derive
from hone.space import Domain, Float, Int, SearchSpace
from hone.trial import Config, Result

STUDIES = {"second": ("search_random", "search_bayes"), "third": ("search_bayes",)}
"""The studies behind which the space is cut, by the phase that it is cut for first."""


class Arm(NamedTuple):
    """One way to run the chain. bayes, hyperband: what is not the default. space: what a phase hands on."""

    bayes: Mapping[str, object]
    hyperband: Mapping[str, object]
    space: str  # narrowed | whole | cut


INSIDE = {"outside": 0.0}
ARMS = {
    "not narrowed": Arm({}, {}, "whole"),
    "narrowed as ever": Arm({}, {}, "narrowed"),
    "cut, the default net": Arm({}, {}, "cut"),
    "cut, outside = 0": Arm(INSIDE, INSIDE, "cut"),
    "cut, whole = 0": Arm({}, {"whole": 0}, "cut"),
    "cut, both 0": Arm(INSIDE, {**INSIDE, "whole": 0}, "cut"),
}


def cut(space: SearchSpace, best: Config) -> SearchSpace:
    """Return of each number the half of its scale in which a config does not lie."""
    domains: dict[str, Domain] = {}
    for name, domain in space.domains.items():
        if not isinstance(domain, Float | Int):
            continue
        below = domain.encode(best[name]) >= 0.5
        low, high = domain.decode(0.0 if below else 0.5), domain.decode(0.5 if below else 1.0)
        if isinstance(domain, Int):  # an odd number of values has a middle, which may be the best
            value = int(best[name])
            low, high = (low, min(high, value - 1)) if below else (max(low, value + 1), high)
        domains[name] = type(domain)(low, high, domain.log)
    return space.with_domains(domains)


def chain(
    measure: Measure, space: SearchSpace, budget: float, seed: int, *, arm: Arm, best: Config, since: str
) -> None:
    """The default chain, but for an arm's params and the space that it hands on."""

    def narrowed(before: SearchSpace, results: Sequence[Result], keep: float) -> SearchSpace:
        if arm.space == "whole":
            return space
        if arm.space == "cut" and results and results[0].trial.study in STUDIES[since]:
            return cut(space, best)
        return methods.by_results(before, results, keep)

    methods.chained(
        methods.params(derive(seed, "chain"), arm.bayes, arm.hyperband),
        space,
        budget,
        lambda strategy: methods.play(methods.last_value(strategy), measure),
        narrowed_by=narrowed,
    )


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(help=__doc__)
def main(
    folder: Annotated[Path, typer.Argument(help="The surrogate's folder.", show_default=False)],
    tasks: Annotated[str, typer.Option(help="Names of public tasks.")] = ",".join(PUBLIC),
    budgets: Annotated[str, typer.Option(help="In whole trainings.")] = "10,25",
    seeds: Annotated[int, typer.Option(min=1, help="How many.")] = 3,
    since: Annotated[
        str, typer.Option(help="The phase that is handed the cut space first: second or third.")
    ] = "second",
    workers: Annotated[str, typer.Option(help="Processes side by side; auto is one for each core.")] = "auto",
    out: Annotated[Path, typer.Option(help="Folder for runs and table.")] = Path("benchmarks/results/safety_net"),
) -> None:
    try:
        chosen = checked("--tasks", listed("--tasks", tasks), list(PUBLIC))
        (phase,) = checked("--since", [since], list(STUDIES))
        paid = numbers("--budgets", budgets, at_least=1)
        code = compare(Curves(folder), chosen, paid, seeds, phase, n_workers(workers), out)
    except (UserError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    raise typer.Exit(code)


def compare(
    curves: Curves, tasks: list[str], budgets: list[float], seeds: int, since: str, workers: int, out: Path
) -> int:
    """Do the runs that are not there yet, seed by seed; print and write what all come to; return 1 if any failed."""
    names = {f"{arm} ({since})": arm for arm in ARMS}
    order = product(range(seeds), budgets, tasks, names)
    wanted = [runs.Job(name, task, seed, budget) for seed, budget, task, name in order]
    store = runs.Store(out / "runs.jsonl")
    there = {run.job for run in store.read()}
    lacking = sorted({job.task for job in wanted if job not in there})
    with runs.pool(workers) as pool:
        climbed = dict(zip(lacking, pool.map(curves.climbed, lacking), strict=True))

        def submit(job: runs.Job) -> Future[runs.Run]:
            best, *bounds = climbed[job.task]
            method = partial(chain, arm=ARMS[names[job.method]], best=best, since=since)
            return pool.submit(runs.execute, job, curves, tuple(bounds), budgets, method)

        found, n_failed = runs.completed(wanted, store, submit)
    table, about = report.rows(list(found.values()), list(names), budgets), report.about(wanted)
    shown, console = Table(*report.header(budgets), title=about, caption=report.STATED), Console()
    for row in table:
        shown.add_row(*report.cells(row))
    console.width = console.width if console.is_terminal else 120
    console.print(shown)
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{since}.md").write_text(report.markdown(table, budgets, about))
    return 1 if n_failed else 0


if __name__ == "__main__":
    app()
