"""What runs amount to: a table of regrets, as text for people and as Markdown, and a plot."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.search.curves import EPOCHS
from benchmarks.search.runs import ANY_BUDGET, Job, Run

STATED = "Mean regret over tasks, then over seeds, ± the standard error over seeds; the last column is processor time."
N_POINTS = 200  # of a line


@dataclass(frozen=True)
class Row:
    """A method's regrets by budget, each with its standard error (None from one seed), and seconds a run."""

    method: str
    regrets: tuple[tuple[float, float | None], ...]
    seconds: float


def by_seed(runs: Sequence[Run], budget: float, n_tasks: int) -> dict[int, float]:
    """Return each seed's mean regret over its tasks, of those seeds that have them all: where none has failed."""
    regrets: dict[int, list[float]] = {}
    for run in runs:
        regrets.setdefault(run.job.seed, []).append(run.regret(budget))
    return {seed: statistics.fmean(own) for seed, own in sorted(regrets.items()) if len(own) == n_tasks}


def chosen(runs: Sequence[Run], budget: float) -> list[Run]:
    """Return a method's runs that tell of a budget: those made for it, or all where the budget does not matter."""
    return [run for run in runs if run.job.method in ANY_BUDGET or run.job.budget == budget]


def rows(runs: Sequence[Run], methods: Sequence[str], budgets: Sequence[float]) -> list[Row]:
    """Return a row for each method that has, at every budget, at least one seed's runs on all tasks."""
    n_tasks = len({run.job.task for run in runs})
    found = []
    for method in methods:
        own = [run for run in runs if run.job.method == method]
        regrets = []
        for budget in budgets:
            means = list(by_seed(chosen(own, budget), budget, n_tasks).values())
            if not means:
                break
            error = statistics.stdev(means) / len(means) ** 0.5 if len(means) > 1 else None
            regrets.append((statistics.fmean(means), error))
        else:
            last = chosen(own, max(budgets))
            found.append(Row(method, tuple(regrets), statistics.fmean(run.seconds for run in last)))
    return found


def cells(row: Row) -> list[str]:
    """Return a row's texts."""
    regrets = [f"{mean:.2f}" + (f" ± {error:.2f}" if error is not None else "") for mean, error in row.regrets]
    return [row.method, *regrets, f"{row.seconds:.1f}"]


def header(budgets: Sequence[float]) -> list[str]:
    """Return the columns' names."""
    return ["method", *(f"{budget:g}×{EPOCHS}" for budget in budgets), f"seconds at {max(budgets):g}×{EPOCHS}"]


def markdown(found: Sequence[Row], budgets: Sequence[float], about: str) -> str:
    """Return the table, under what it is about."""
    lines = [header(budgets), ["---", *["---:"] * (len(budgets) + 1)], *map(cells, found)]
    return f"{about}\n{STATED}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def about(todo: Sequence[Job]) -> str:
    """Return in words what was run."""
    n_tasks, seeds = len({job.task for job in todo}), {job.seed for job in todo}
    job = todo[0]
    margin = f", {job.margin:.0%} of each scale cut off at its ends" if job.margin else ""
    noise = f", {job.noise:g} points of noise on each observation" if job.noise else ""
    return f"{n_tasks} tasks, {len(seeds)} seeds from {min(seeds)}{margin}{noise}."


def plot(path: Path, runs: Sequence[Run], methods: Sequence[str], budgets: Sequence[float]) -> None:
    """Write the mean regret against epochs spent, as a page with its script beside it.

    A method that minds its budget has a line for its largest one, and a point for each.
    """
    import plotly.graph_objects as go
    from plotly.colors import qualitative

    figure = go.Figure()
    for i, method in enumerate(methods):
        own = [run for run in runs if run.job.method == method]
        last = chosen(own, max(budgets))
        if not last:
            continue
        style = {"legendgroup": method, "name": method}
        color = qualitative.D3[i % len(qualitative.D3)]
        start = max(run.trace[0][0] for run in last)
        epochs = np.geomspace(start, max(budgets) * EPOCHS, N_POINTS)
        means = [statistics.fmean(run.regret(at / EPOCHS) for run in last) for at in epochs]
        figure.add_scatter(x=epochs, y=means, mode="lines", line={"color": color, "shape": "hv"}, **style)
        if method not in ANY_BUDGET:
            ends = [statistics.fmean(run.regret(budget) for run in chosen(own, budget)) for budget in budgets]
            figure.add_scatter(
                x=[budget * EPOCHS for budget in budgets],
                y=ends,
                mode="markers",
                marker={"color": color},
                showlegend=False,
                **style,
            )
    figure.update_xaxes(type="log", title="epochs spent")
    figure.update_yaxes(type="log", title="mean regret")
    figure.update_layout(template="plotly_white")
    figure.write_html(path, include_plotlyjs="directory")
