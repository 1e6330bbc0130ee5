"""Whether cross-validation or reshuffled splits as the objective find configs that are better on unseen rows.

    python -m benchmarks.resampling [--configs 16] [--workers 1] [--again]

On 160 rows of each set (scikit-learn's and generated ones) the default config of the family mlp and points of a Sobol'
sequence are trained on each of five folds, and twice on all 160 rows, to be scored after each epoch on the set's other
rows, which no search sees. From these curves searches are put together, so that there can be many: each tries the
configs in an order of its own, the default first, until its epochs are spent.

holdout     all configs are scored on one fold, the same for all
reshuffled  each config is scored on one fold, drawn for it
folds       each config is scored on the five folds, and pays for each that it was trained on; one that is clearly
            beaten by the best before it is left off, by the rule of the product

A search ends with the config whose curve has the best value, trained to the epoch where it has it; there are no replays
of finalists, so that what is measured is the objective alone. Its loss is the RMSE or 1 less the metric, on the unseen
rows, the mean over the two trainings. A gain is holdout's mean loss less that of the method, in percent of holdout's; ±
is the standard error over the sets. What was trained is kept in OUT, and not trained again unless `--again`.
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

from benchmarks.portfolio import GENERATED, candidates
from hone.data import problem as problems
from hone.data import schema, splitting
from hone.data.splitting import SplitIndices
from hone.seeds import derive, numpy_generator
from hone.training.cross_validation import clearly_beaten
from hone.training.train import Settings, train
from hone.trial import State, best_epoch, mean_curve, padded
from tasks import tables, trainables

FAMILY, ROWS, MOST_UNSEEN, EPOCHS, PATIENCE = "mlp", 160, 1000, 18, 6
N_FOLDS, N_NETWORKS, N_SEARCHES = 5, 2, 400
BUDGETS = (5, 10, 80)  # in whole trainings; the last pays for all configs on all folds
SETS = {
    "diabetes": lambda: tables.load_sklearn("sklearn:diabetes")[0],
    **GENERATED,
    "breast_cancer": lambda: tables.load_sklearn("sklearn:breast_cancer")[0],
    "digits": lambda: tables.load_sklearn("sklearn:digits")[0],
}
Curve = Sequence[float]


def trained(name: str, n_configs: int) -> dict[str, Any]:
    """Return a set's curves: of each config, those on the folds, and those on unseen rows."""
    started = time.process_time()
    frame = SETS[name]().sample(frac=1.0, random_state=0).reset_index(drop=True)
    known, unseen = frame.iloc[:ROWS], frame.iloc[ROWS : ROWS + MOST_UNSEEN]
    problem = problems.infer(frame["target"])
    columns = schema.infer(known, "target")
    method = "random" if problem.task == "regression" else "stratified"
    nothing = np.array([], dtype=np.int64)
    whole = SplitIndices(np.arange(ROWS), nothing, nothing, method)  # type: ignore[arg-type]

    def data(training: pd.DataFrame, scored: pd.DataFrame) -> trainables.TrainingData:
        return trainables.encoded(training, scored, columns, problem, "standard")

    folds = splitting.folds(known, whole, problem, k=N_FOLDS)
    splits = [data(*(known.iloc[rows] for rows in splitting.fold_rows(folds, fold))) for fold in range(N_FOLDS)]
    final = data(known, unseen)
    curves = []
    for number, config in enumerate(candidates(FAMILY, n_configs - 1)):
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
        "metric": problem.metric,
        "task": problem.task,
        "configs": curves,
        "seconds": round(time.process_time() - started),
    }


def searched(configs: Sequence[dict[str, Any]], method: str, budget: float, seed: int) -> tuple[float, int, int]:
    """Return the objective on unseen rows of what a search finds, how many configs it tried and left off."""
    random = numpy_generator(seed, "search")  # the same order and split for every method
    order = [0, *(1 + random.permutation(len(configs) - 1))]
    fixed = int(random.integers(N_FOLDS))
    spent, n_tried, n_pruned = 0, 0, 0
    best: tuple[float, int, int] | None = None
    bar: tuple[float, ...] = ()
    for position in order:
        if spent + EPOCHS * (N_FOLDS if method == "folds" else 1) > budget * EPOCHS and best is not None:
            break
        n_tried += 1
        own = configs[position]["splits"]
        if method == "folds":
            n = next((m for m in range(1, N_FOLDS) if clearly_beaten([min(c) for c in own[:m]], bar)), N_FOLDS)
            spent += sum(map(len, own[:n]))
            if n < N_FOLDS:
                n_pruned += 1
                continue
            curve: Curve = mean_curve(own)
        else:
            curve = own[fixed if method == "holdout" else int(random.integers(N_FOLDS))]
            spent += len(curve)
        epoch = best_epoch(curve)
        if best is None or curve[epoch - 1] < best[0]:
            best = curve[epoch - 1], epoch, position
            if method == "folds":
                bar = tuple(c[epoch - 1] for c in padded(own))
    assert best is not None
    _, epoch, position = best
    return float(np.mean([c[epoch - 1] for c in configs[position]["unseen"]])), n_tried, n_pruned


def report(found: Sequence[dict[str, Any]]) -> list[str]:
    """Return the lines that say what each method brings."""
    lines = [
        f"{len(found)} sets ({', '.join(one['set'] for one in found)}), {N_SEARCHES} searches each; "
        f"gain over holdout at equal epochs, in % of its loss on unseen rows",
        "| budget | method | configs tried | left off | gain | better on |",
    ]
    for budget in BUDGETS:
        losses: dict[str, list[float]] = {}
        for method in ("holdout", "folds", "reshuffled"):
            tried, pruned = 0, 0
            losses[method] = []
            for one in found:
                outcomes = [searched(one["configs"], method, budget, seed) for seed in range(N_SEARCHES)]
                y = float(np.mean([objective for objective, _, _ in outcomes]))
                losses[method].append(y if one["task"] == "regression" else 1 + y)
                tried += sum(n for _, n, _ in outcomes)
                pruned += sum(n for _, _, n in outcomes)
            gains = 100 * (1 - np.array(losses[method]) / np.array(losses["holdout"]))
            error = gains.std(ddof=1) / len(gains) ** 0.5 if len(gains) > 1 else float("nan")
            gain = "" if method == "holdout" else f"{gains.mean():+.1f} ± {error:.1f}"
            better = "" if method == "holdout" else f"{(gains > 0).sum()} of {len(gains)}"
            lines.append(
                f"| {budget}×{EPOCHS} | {method} | {tried / N_SEARCHES / len(found):.1f}"
                f" | {pruned / max(tried, 1):.0%} | {gain} | {better} |"
            )
    return lines


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(help=__doc__)
def main(
    configs: Annotated[int, typer.Option(min=8)] = 16,
    workers: Annotated[int, typer.Option(min=1)] = 1,
    again: Annotated[bool, typer.Option("--again")] = False,
    out: Annotated[Path, typer.Option()] = Path("benchmarks/results/resampling.jsonl"),
) -> None:
    found = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() and not again else []
    missing = [name for name in SETS if name not in {one["set"] for one in found}]
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        for one in pool.map(trained, missing, [configs] * len(missing)):
            found.append(one)
            out.write_text("".join(json.dumps(each) + "\n" for each in found))
    print("\n".join(report(found)))


if __name__ == "__main__":
    app()
