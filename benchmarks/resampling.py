"""Whether cross-validation as the objective finds configs that are better on unseen rows.

    python -m benchmarks.resampling [--rows 160] [--configs 16] [--sets diabetes,wide,…] [--workers 1]

On so many rows of each set (scikit-learn's and generated ones) the default config of the family mlp and points of a
Sobol' sequence are trained on each of five folds, and twice on all of them, to be scored after each epoch on the set's
other rows, which no search sees. From these curves searches are put together, so that there can be many: each tries the
configs in an order of its own, the default first, until its epochs are spent.

holdout  all configs are scored on one fold, the same for all
folds    each config is scored on the five folds, and pays for each that it was trained on; one that is clearly
         beaten by the best before it is left off, by the rule of the product

A search ends in one of two ways. alone: with the config whose curve has the best value, trained to the epoch where it
has it: the objective has to find both. finalists: the three best configs and the default are compared over the five
folds, at a cost that is not counted and the same for both, as the product does with `split.folds: 5`; the best mean
says which config wins, and its epoch. The loss is the RMSE or 1 less the metric, on the unseen rows, the mean over the
two trainings. A gain is holdout's mean loss less that of folds, in percent of holdout's; ± is the standard error over
the sets; holdout's own line has what comparing finalists gains over not doing so. Configs are drawn blindly: a
surrogate may make more, or less, of an objective with less noise.

What was trained is kept in OUT and not trained again: delete it once trainings have changed.
"""

import json
import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated, Any

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import numpy as np
import pandas as pd
import typer

from benchmarks import generated
from hone import models
from hone.data import problem as problems
from hone.data import schema, splitting
from hone.data.splitting import SplitIndices
from hone.search.sobol import sobol
from hone.seeds import derive, numpy_generator
from hone.training.cross_validation import clearly_beaten
from hone.training.train import Settings, train
from hone.trial import Config, State, Value, best_epoch, mean_curve, padded
from tasks import tables, trainables

FAMILY, MOST_UNSEEN, EPOCHS, PATIENCE = "mlp", 1000, 18, 6
N_FOLDS, N_NETWORKS, N_SEARCHES, N_FINALISTS = 5, 2, 200, 3
ENDS = ("alone", "finalists")
BUDGETS = (5, 10, 80)  # in whole trainings; the last pays for all configs on all folds
DIGITS = 3  # significant ones of a number in a config
SETS = {
    "diabetes": lambda: tables.load_sklearn("sklearn:diabetes")[0],
    **generated.TABLES,
    "breast_cancer": lambda: tables.load_sklearn("sklearn:breast_cancer")[0],
    "digits": lambda: tables.load_sklearn("sklearn:digits")[0],
}
Curve = Sequence[float]
Array = np.ndarray


def candidates(n: int) -> list[Config]:
    """Return the default, then n configs spread over the family's space."""
    space = models.without(models.default_space(FAMILY), "target_transform")
    points = sobol(space, 0)
    drawn = [{name: rounded(value) for name, value in next(points).items()} for _ in range(n)]
    return [space.default, *(config for config in drawn if space.contains(config))]


def rounded(value: Value) -> Value:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def trained(name: str, n_rows: int, n_configs: int) -> dict[str, Any]:
    """Return a set's curves: of each config, those on the folds, and those on unseen rows."""
    started = time.process_time()
    frame = SETS[name]().sample(frac=1.0, random_state=0).reset_index(drop=True)
    known, unseen = frame.iloc[:n_rows], frame.iloc[n_rows : n_rows + MOST_UNSEEN]
    problem = problems.infer(frame["target"])
    columns = schema.infer(known, "target")
    method = "random" if problem.task == "regression" else "stratified"
    nothing = np.array([], dtype=np.int64)
    whole = SplitIndices(np.arange(n_rows), nothing, nothing, method)  # type: ignore[arg-type]

    def data(training: pd.DataFrame, scored: pd.DataFrame) -> trainables.TrainingData:
        return trainables.encoded(training, scored, columns, problem, "standard")

    folds = splitting.folds(known, whole, problem, k=N_FOLDS)
    splits = [data(*(known.iloc[rows] for rows in splitting.fold_rows(folds, fold))) for fold in range(N_FOLDS)]
    final = data(known, unseen)
    curves = []
    for number, config in enumerate(candidates(n_configs - 1)):
        found = []
        for i, rows in enumerate([*splits, *[final] * N_NETWORKS]):
            patience = PATIENCE if i < len(splits) else 0
            given = Settings(epochs=EPOCHS, metric=problem.metric, patience=patience, gradient_clip=1.0)
            seed = derive(0, "resampling", name, number, i)
            outcome, _ = train(config, FAMILY, rows, given, resource=EPOCHS, seed=seed)
            found.append([round(y, 6) for y in outcome.curve] if outcome.state is State.COMPLETE else None)
        if None not in found:  # a config that diverges anywhere is left out for all methods alike
            curves.append({"splits": found[: len(splits)], "unseen": found[len(splits) :]})
    return {
        "set": name,
        "rows": n_rows,
        "metric": problem.metric,
        "task": problem.task,
        "configs": curves,
        "seconds": round(time.process_time() - started),
    }


def searched(
    configs: Sequence[dict[str, Any]], method: str, budget: float, seed: int
) -> tuple[dict[str, float], int, int]:
    """Return the objective on unseen rows at each end of a search, how many configs it tried and left off."""
    random = numpy_generator(seed, "search")  # the same order and split for every method
    order = [0, *(1 + random.permutation(len(configs) - 1))]
    fixed = int(random.integers(N_FOLDS))
    spent, n_tried = 0, 0
    scored: list[tuple[float, int, int]] = []  # best value, its epoch, position
    bar: tuple[float, ...] = ()
    for position in order:
        if spent + EPOCHS * (N_FOLDS if method == "folds" else 1) > budget * EPOCHS and scored:
            break
        n_tried += 1
        own = configs[position]["splits"]
        if method == "folds":
            n = next((m for m in range(1, N_FOLDS) if clearly_beaten([min(c) for c in own[:m]], bar)), N_FOLDS)
            spent += sum(map(len, own[:n]))
            if n < N_FOLDS:
                continue
            curve: Curve = mean_curve(own)
        else:
            curve = own[fixed]
            spent += len(curve)
        epoch = best_epoch(curve)
        if method == "folds" and (not scored or curve[epoch - 1] < min(scored)[0]):
            bar = tuple(c[epoch - 1] for c in padded(own))
        scored.append((curve[epoch - 1], epoch, position))
    finalists = {0, *(position for _, _, position in sorted(scored)[:N_FINALISTS])}
    means = {position: mean_curve(configs[position]["splits"]) for position in finalists}
    winner = min(finalists, key=lambda position: (min(means[position]), position))
    ends = {"alone": min(scored)[1:], "finalists": (best_epoch(means[winner]), winner)}
    unseen = {
        end: float(np.mean([c[epoch - 1] for c in configs[position]["unseen"]]))
        for end, (epoch, position) in ends.items()
    }
    return unseen, n_tried, n_tried - len(scored)


def report(found: Sequence[dict[str, Any]]) -> list[str]:
    """Return the lines that say what each method brings."""
    lines = [
        f"{found[0]['rows']} rows of {len(found)} sets ({', '.join(one['set'] for one in found)}), {N_SEARCHES}"
        " searches each; gain over holdout at equal epochs, in % of its loss on unseen rows (sets with a gain)",
        "| budget | method | configs tried | left off | alone | finalists compared over folds |",
    ]
    for budget in BUDGETS:
        holdout: dict[str, Array] = {}
        for method in ("holdout", "folds"):
            all_sets = [[searched(one["configs"], method, budget, seed) for seed in range(N_SEARCHES)] for one in found]
            tried, left_off = (np.mean([[each[i] for each in one] for one in all_sets]) for i in (1, 2))
            cells = []
            for end in ENDS:
                means = np.array([np.mean([unseen[end] for unseen, _, _ in one]) for one in all_sets])
                losses = means + np.array([one["task"] != "regression" for one in found])
                if method == "holdout":
                    holdout[end] = losses
                    cells.append("" if end == "alone" else f"{gain(losses, holdout['alone'])} over alone")
                else:
                    cells.append(gain(losses, holdout[end]))
            lines.append(
                f"| {budget}×{EPOCHS} | {method} | {tried:.1f} | {left_off / tried:.0%} | {' | '.join(cells)} |"
            )
    return lines


def gain(losses: Array, holdout: Array) -> str:
    """Return the mean gain over the sets, its standard error, and on how many there is one."""
    gains = 100 * (1 - losses / holdout)
    error = gains.std(ddof=1) / len(gains) ** 0.5 if len(gains) > 1 else float("nan")
    return f"{gains.mean():+.1f} ± {error:.1f} ({(gains > 0).sum()} of {len(gains)})"


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(help=__doc__)
def main(
    rows: Annotated[int, typer.Option(min=50)] = 160,
    configs: Annotated[int, typer.Option(min=8)] = 16,
    sets: Annotated[str, typer.Option(help=f"Of: {', '.join(SETS)}.")] = ",".join(SETS),
    workers: Annotated[int, typer.Option(min=1)] = 1,
    out: Annotated[Path, typer.Option()] = Path("benchmarks/results/resampling.jsonl"),
) -> None:
    kept = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    there = {(one["rows"], one["set"]) for one in kept}
    asked = [name for name in SETS if name in sets.split(",")]
    out.parent.mkdir(parents=True, exist_ok=True)
    missing = [name for name in asked if (rows, name) not in there]
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        for one in pool.map(trained, missing, [rows] * len(missing), [configs] * len(missing)):
            kept.append(one)
            out.write_text("".join(json.dumps(each) + "\n" for each in kept))
    print("\n".join(report([one for one in kept if one["rows"] == rows and one["set"] in asked])))


if __name__ == "__main__":
    app()
