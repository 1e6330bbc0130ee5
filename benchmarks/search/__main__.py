"""Measure search methods on published learning curves: regret against epochs spent.

    python -m benchmarks.search FOLDER --tasks public --methods chain,tpe --budgets 10,25,50,100 --seeds 10

FOLDER holds LCBench's surrogate of YAHPO Gym's data. Budgets are in whole trainings of 52 epochs. Each run is kept as
it ends, in OUT/runs.jsonl, and is not done again: give another OUT, or delete it, once a method has changed.

The default chain, Hone's classic Hyperband and the naive chain share their budget out, so they are run once for each.
Random search and the peers do the same whatever the budget is: they are run once, for the largest, and read off their
trace at the smaller ones.
"""

import difflib
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from benchmarks.search import peers, report, runs
from benchmarks.search.curves import PUBLIC, Curves
from benchmarks.synthetic import numbers
from hone.errors import UserError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(help=__doc__)
def main(
    folder: Annotated[Path, typer.Argument(help="The surrogate's folder.", show_default=False)],
    tasks: Annotated[str, typer.Option(help="public, judging, or names.")] = "public",
    methods: Annotated[str, typer.Option(help=f"Of: {', '.join(runs.ALL)}.")] = "chain,random,tpe",
    budgets: Annotated[str, typer.Option(help="In whole trainings.")] = "10,25,50,100",
    seeds: Annotated[int, typer.Option(min=1, help="How many.")] = 10,
    first_seed: Annotated[int, typer.Option(min=0)] = 0,
    margin: Annotated[float, typer.Option(min=0, max=0.4, help="Share of each scale cut off at its ends.")] = 0.0,
    noise: Annotated[float, typer.Option(min=0, help="Points of noise on each observation.")] = 0.0,
    workers: Annotated[str, typer.Option(help="Processes side by side; auto is one for each core.")] = "auto",
    out: Annotated[Path, typer.Option(help="Folder for runs, table and plot.")] = Path("benchmarks/results/search"),
) -> None:
    try:
        curves = Curves(folder)
        code = measure(
            curves,
            chosen_tasks(curves, tasks),
            chosen_methods(methods),
            numbers("--budgets", budgets, at_least=1),
            range(first_seed, first_seed + seeds),
            margin,
            noise,
            n_workers(workers),
            out,
        )
    except (UserError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    raise typer.Exit(code)


def listed(option: str, text: str) -> list[str]:
    """Return the parts between commas, each once."""
    parts = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not parts:
        raise UserError(f"{option}: {text!r} names nothing; give names or numbers with commas between them")
    return parts


def checked(option: str, names: list[str], known: list[str]) -> list[str]:
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"use some of {', '.join(known)}"
            raise UserError(f"{option} {name}: there is none of that name; {hint}")
    return names


def chosen_tasks(curves: Curves, text: str) -> list[str]:
    if text == "public":
        return list(PUBLIC)
    if text == "judging":
        return [task for task in curves.tasks if task not in PUBLIC]
    return checked("--tasks", listed("--tasks", text), list(curves.tasks))


def chosen_methods(text: str) -> list[str]:
    names = checked("--methods", listed("--methods", text), list(runs.ALL))
    peers.check_installed(names)
    return names


def n_workers(text: str) -> int:
    if text == "auto":
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not text.isdigit() or int(text) < 1:
        raise UserError(f"--workers {text}: give auto, or a number from 1")
    return int(text)


def measure(
    curves: Curves,
    tasks: list[str],
    methods: list[str],
    budgets: list[float],
    seeds: range,
    margin: float,
    noise: float,
    workers: int,
    out: Path,
) -> int:
    """Do the runs that are not there yet, print and write what all of them amount to; return 1 if any failed."""
    console = Console()
    if not console.is_terminal:
        console.width = 120
    out.mkdir(parents=True, exist_ok=True)
    store = runs.Store(out / "runs.jsonl")
    known = store.read()
    wanted = runs.jobs(methods, tasks, seeds, budgets, margin, noise)
    todo = [job for job in wanted if not runs.done(job, known)]
    failures = []
    if todo:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with (
            runs.pool(min(workers, max(len(todo), len(tasks)))) as pool,
            Progress(*columns, TimeRemainingColumn(), console=console) as progress,
        ):
            line = progress.add_task("bounds", total=len(todo))
            bounds = runs.all_bounds(curves, tasks, out / "bounds.json", pool)
            progress.update(line, description="runs")
            begun = {pool.submit(runs.execute, job, curves, bounds[job.task], budgets): job for job in todo}
            for run in runs.settled(begun):
                if isinstance(run, runs.Run):
                    store.append(run)
                    known.append(run)
                else:
                    failures.append(run)
                    console.print(f"failed: {run}", style="red", markup=False, highlight=False)
                progress.advance(line)
    found = [run for job in wanted if (run := runs.done(job, known))]
    table = report.rows(found, methods, budgets)
    about = report.about(wanted)
    shown = Table(title=about, caption=report.STATED)
    for i, name in enumerate(report.header(budgets)):
        shown.add_column(name, justify="right" if i else "left")
    for row in table:
        shown.add_row(*report.cells(row))
    console.print(shown)
    (out / "table.md").write_text(report.markdown(table, budgets, about))
    report.plot(out / "regret.html", found, methods, budgets)
    console.print(f"{len(todo) - len(failures)} new runs of {len(wanted)}; table.md and regret.html are in {out}")
    return 1 if failures else 0


if __name__ == "__main__":
    app()
