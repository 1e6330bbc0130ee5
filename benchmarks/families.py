"""What an epoch of each family's default config takes, beside mlp's: the prices that `family: auto` searches by.

    python -m benchmarks.families [--rows 2000 20000] [--epochs 3]

Generated tables of 12 numeric columns, one thread; the processor's time, so that other work on the machine counts less.
"""

import argparse
import statistics
import sys
import time

import numpy as np
import pandas as pd
from sklearn.datasets import make_friedman1

from hone import models
from hone.data import problem as problems
from hone.data import schema
from hone.training.train import Settings, TrainingData, train
from tasks.trainables import encoded

FAMILIES = ("mlp", "realmlp", "tabm", "resnet", "ft_transformer")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[2_000, 20_000])
    parser.add_argument("--epochs", type=int, default=3)
    chosen = parser.parse_args()
    ratios: dict[str, list[float]] = {family: [] for family in FAMILIES}
    for rows in chosen.rows:
        data = table(rows)
        seconds = {family: per_epoch(data, family, chosen.epochs) for family in FAMILIES}
        for family, taken in seconds.items():
            ratios[family].append(taken / seconds["mlp"])
            print(
                f"{rows:>7,} rows, {family:<15} {taken:6.3f} s an epoch, {ratios[family][-1]:5.1f} times mlp's",
                flush=True,
            )
    for family, found in ratios.items():
        price = models.default_space("auto").price({"family": family})
        print(f"{family:<15} mean ratio {statistics.fmean(found):5.1f}, price {price:g}")
    return 0


def table(rows: int) -> TrainingData:
    x, y = make_friedman1(rows + 500, 12, noise=1.0, random_state=0)
    frame = pd.DataFrame(x).add_prefix("x").assign(y=np.round(y, 3))
    problem = problems.infer(frame["y"])
    train_rows, validation = frame.iloc[:rows], frame.iloc[rows:]
    return encoded(train_rows, validation, schema.infer(train_rows, "y"), problem, "standard")


def per_epoch(data: TrainingData, family: str, epochs: int) -> float:
    space = models.fitted(models.default_space(family), data.inputs, len(data.train))
    settings = Settings(epochs=54, metric=data.problem.metric, gradient_clip=1.0)
    train(space.default, family, data, settings, resource=1, seed=0)  # what happens once is no part of an epoch
    started = time.process_time()
    train(space.default, family, data, settings, resource=epochs, seed=0)
    return (time.process_time() - started) / epochs


if __name__ == "__main__":
    sys.exit(main())
