"""Learns the portfolios: for each model family a few configs, one of which is good on most tables.

    python -m benchmarks.portfolio [--configs 40] [--size 4] [--workers 2] [--relearn]

Some configs of a Sobol' sequence over a family's own space, and its default, are trained once to the end on each set:
the four that scikit-learn ships and six that it generates. A score counts by its regret, 0 for a set's best config and
1 for the median one or worse. Greedily (Feurer et al., Efficient and Robust Automated Machine Learning, 2015, and
Auto-Sklearn 2.0, 2022, section 3.1), the config is taken that lowers most the mean over sets of the best regret so far,
the default's to begin with; the mean of a minimum being submodular, that is within 1 - 1/e of the best choice there is.

Whether it helps is said by leaving out each set in turn: a portfolio learned on the others, beside as many configs of
the Sobol' sequence, taken blindly. Both come after the default.

What was measured, and of which configs, goes to benchmarks/results/portfolio.json and is not measured again unless
`--relearn`; what was learned, to hone/models/portfolios.py.
"""

import json
import math
import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Annotated, Any, NamedTuple

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import numpy as np
import pandas as pd
import typer
from sklearn import datasets

from hone import metrics, models
from hone.data import problem as problems
from hone.data import schema
from hone.errors import UserError
from hone.search.sobol import sobol
from hone.seeds import derive
from hone.space import SearchSpace
from hone.training.train import Settings, TrainingData, train
from hone.trial import Config, Value
from tasks import files, tables, trainables

MEASURED = Path(__file__).parent / "results" / "portfolio.json"
LEARNED = Path(__file__).parents[1] / "hone" / "models" / "portfolios.py"
EPOCHS, PATIENCE, CLIP = 27, 8, 1.0
MOST_ROWS = 400  # to learn from; as many at least are scored on, where the set has them
N_GENERATED = 1200
DIGITS = 3  # significant ones of a number in a config: people read these
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


def frame(x: np.ndarray, y: np.ndarray) -> pd.DataFrame:
    """Return rows as a table with the column `target`."""
    return pd.DataFrame(x, columns=[f"x{i}" for i in range(x.shape[1])]).assign(target=y)


def _classes(**options: float) -> pd.DataFrame:
    return frame(*datasets.make_classification(n_samples=N_GENERATED, random_state=0, **options))


def _moons() -> pd.DataFrame:
    x, y = datasets.make_moons(n_samples=N_GENERATED, noise=0.25, random_state=0)
    return frame(np.column_stack([x, np.random.default_rng(0).standard_normal((len(x), 6))]), y)


def _binned() -> pd.DataFrame:
    """Return classes that hang on categories: each column is cut into six unordered parts."""
    table = _classes(n_features=10, n_informative=6, n_classes=3, n_clusters_per_class=2, flip_y=0.05)
    for name in [column for column in table.columns if column != "target"][:7]:
        table[name] = pd.qcut(table[name], 6, labels=list("fbdaec")).astype(str)
    return table


FAMILIES = ("mlp", "resnet")
SKLEARN = ("digits", "wine", "breast_cancer", "diabetes")
GENERATED = {
    "wide": lambda: _classes(n_features=30, n_informative=8, n_redundant=4, class_sep=0.8, flip_y=0.1),
    "clusters": lambda: _classes(n_features=12, n_informative=8, n_classes=5, n_clusters_per_class=3, flip_y=0.01),
    "moons": _moons,
    "binned": _binned,
    "linear": lambda: frame(
        *datasets.make_regression(n_samples=N_GENERATED, n_features=25, n_informative=8, noise=20.0, random_state=0)
    ),
    "friedman1": lambda: frame(*datasets.make_friedman1(n_samples=N_GENERATED, noise=1.0, random_state=0)),
}
SETS = (*SKLEARN, *GENERATED)


@cache
def data(name: str) -> TrainingData:
    """Return a set's rows, about half of them to learn from, at most MOST_ROWS."""
    if name in SKLEARN:
        frame, target = tables.load_sklearn(f"sklearn:{name}")
    else:
        frame, target = GENERATED[name](), "target"
    frame = frame.sample(frac=1.0, random_state=0).reset_index(drop=True)
    n = min(len(frame) // 2, MOST_ROWS)
    training, validation = frame.iloc[:n], frame.iloc[n:]
    problem = problems.infer(frame[target])
    return trainables.encoded(training, validation, schema.infer(training, target), problem, "standard")


class Job(NamedTuple):
    family: str
    name: str
    number: int
    config: Config


def measure(job: Job) -> float | None:
    """Return the objective of one whole training; None if it diverged."""
    rows = data(job.name)
    given = Settings(epochs=EPOCHS, metric=rows.problem.metric, patience=PATIENCE, gradient_clip=CLIP)
    seed = derive(0, "portfolio", job.name, job.number)
    outcome, _ = train(job.config, job.family, rows, given, resource=EPOCHS, seed=seed)
    return round(outcome.objective, 6) if math.isfinite(outcome.objective) else None


def rounded(value: Value) -> Value:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def candidates(family: str, n: int) -> list[Config]:
    """Return the default, then n configs spread over the family's space."""
    space = models.without(models.default_space(family), "target_transform")
    points = sobol(space, 0)
    drawn = [{name: rounded(value) for name, value in next(points).items()} for _ in range(n)]
    return [space.default, *(config for config in drawn if space.contains(config))]


def regrets(objectives: list[list[float | None]]) -> np.ndarray:
    """Return the regret of each config on each set, [n_configs, n_sets], of objectives [n_sets][n_configs]."""
    columns = []
    for column in objectives:
        y = np.array([math.inf if value is None else value for value in column])
        best, median = float(y.min()), float(np.median(y))
        columns.append(np.minimum((y - best) / ((median - best) or 1.0), 1.0))
    return np.column_stack(columns)


def greedy(regret: np.ndarray, size: int) -> list[int]:
    """Return the rows, the default's (0) left out, that lower most the mean over sets of the best regret so far."""
    best, chosen = regret[0], list[int]()
    for _ in range(size):
        means = np.minimum(regret, best).mean(axis=1)
        means[[0, *chosen]] = math.inf
        chosen.append(int(means.argmin()))
        best = np.minimum(best, regret[chosen[-1]])
    return chosen


def blind(regret: np.ndarray, k: int) -> float:
    """Return the expected best regret of the default (row 0 of [n_configs]) and k others drawn without looking."""
    others, n = np.sort(regret[1:]), len(regret) - 1
    chances = [math.comb(n - 1 - i, k - 1) / math.comb(n, k) for i in range(n)]  # of the i-th best being the least
    return float(np.minimum(others, regret[0]) @ chances)


def left_out(regret: np.ndarray, size: int) -> list[tuple[float, float, float]]:
    """Return for each set the regret of the default, of it and a blind choice, of it and the others' portfolio."""
    found = []
    for i in range(regret.shape[1]):
        chosen = greedy(np.delete(regret, i, axis=1), size)
        found.append((float(regret[0, i]), blind(regret[:, i], size), float(regret[[0, *chosen], i].min())))
    return found


def known(content: dict[str, Any]) -> dict[str, dict[str, list[float | None]]]:
    """Return the objectives that were measured, by family and set.

    Raises UserError if they are of other configs than are drawn today, with which they have nothing to do.
    """
    for family, each in content["families"].items():
        if each["tried"] != candidates(family, content["configs"]):
            raise UserError(
                f"{MEASURED.name}: families.{family}.tried: not the {len(each['tried'])} configs that are drawn today,"
                " since the space or the sequence has changed; measure anew with --relearn"
            )
    return {family: each["objectives"] for family, each in content["families"].items()}


def learned_without(family: str, names: Sequence[str], space: SearchSpace) -> list[Config]:
    """Return a family's portfolio as it would be, had nothing been learned on some sets; what space lacks left out."""
    content = json.loads(MEASURED.read_text())
    measured, objectives = content["families"][family], known(content)[family]
    regret = regrets([objectives[name] for name in SETS if name not in names])
    chosen = [measured["tried"][i] for i in greedy(regret, len(measured["chosen"]))]
    here = [{name: value for name, value in config.items() if name in space.domains} for config in chosen]
    return [config for config in here if space.contains(config)]


def source(learned: dict[str, list[Config]]) -> str:
    lines = [
        '"""The portfolios: configs that are tried right after the default, the most useful first.',
        "",
        "Learned by `python -m benchmarks.portfolio`, which writes this file; what it measured, and what the",
        "portfolios gain on sets that they were not learned on, is in benchmarks/results/portfolio.json.",
        '"""',
        "",
        "from collections.abc import Mapping",
        "",
        "from hone.trial import Config",
        "",
        "PORTFOLIOS: Mapping[str, tuple[Config, ...]] = {",
    ]
    for family, configs in learned.items():
        lines.append(f'    "{family}": (')
        for config in configs:
            lines += ["        {", *(f'            "{k}": {json.dumps(v)},' for k, v in config.items()), "        },"]
        lines.append("    ),")
    return "\n".join([*lines, "}", ""])


@app.command(help=__doc__)
def main(configs: int = 40, size: int = 4, workers: int = 2, relearn: Annotated[bool, typer.Option()] = False) -> None:
    if relearn or not MEASURED.exists():
        started, measured = time.perf_counter(), {}
        with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
            for family in FAMILIES:
                tried = candidates(family, configs)
                jobs = [Job(family, name, i, config) for name in SETS for i, config in enumerate(tried)]
                found = list(pool.map(measure, jobs, chunksize=8))
                rows = [found[i * len(tried) : (i + 1) * len(tried)] for i in range(len(SETS))]
                measured[family] = dict(zip(SETS, rows, strict=True))
        print(f"{workers} workers trained for {(time.perf_counter() - started) / 60:.1f} minutes")
    else:
        content = json.loads(MEASURED.read_text())
        configs, measured = content["configs"], known(content)
    learned, families = {}, {}
    for family, objectives in measured.items():
        tried, regret = candidates(family, configs), regrets([objectives[name] for name in SETS])
        chosen = greedy(regret, size)
        learned[family] = [tried[i] for i in chosen]
        print(f"{family}: {size} configs behind the default; mean regret over {len(SETS)} sets, each left out in turn")
        sizes = {}
        for k in range(1, size + 1):
            default, blindly, portfolio = np.array(left_out(regret, k)).T
            gain = blindly - portfolio
            error = float(gain.std(ddof=1) / math.sqrt(len(gain)))
            sizes[k] = {
                "default": round(float(default.mean()), 4),
                "blind": round(float(blindly.mean()), 4),
                "portfolio": round(float(portfolio.mean()), 4),
                "gain_standard_error": round(error, 4),
            }
            print(
                f"  {k}: default {default.mean():.3f}, with {k} Sobol' points {blindly.mean():.3f},"
                f" with the portfolio {portfolio.mean():.3f}; gain {gain.mean():+.3f} ± {error:.3f}"
            )
        families[family] = {"chosen": chosen, "left_out": sizes, "objectives": objectives, "tried": tried}
    metric = {name: data(name).problem.metric for name in SETS}
    assert all(name in metrics.METRICS for name in metric.values())
    command = "python -m benchmarks.portfolio"
    files.write_json(MEASURED, {"command": command, "configs": configs, "metrics": metric, "families": families})
    files.write_text(LEARNED, source(learned))


if __name__ == "__main__":
    app()
