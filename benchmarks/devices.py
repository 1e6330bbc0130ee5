"""Epochs a minute on each device that this machine has: one trial at a time, and several that share the device.

    python -m benchmarks.devices [--rows 20000] [--columns 20] [--epochs 5] [--workers 1,4,8] [--families mlp,tabm]

Each family's default config, batches as Hone chooses them for a table of that size, trained by `hone.training.train`
in production's pool of processes; every worker trains one trial. A first, short training starts the workers and is not
counted. On CUDA once with every kernel asked for by itself, and once with steps that are recorded and replayed
(hone/training/graphs.py), as Hone does.
Says whether `train.device: cuda` pays for such a table, and how many `workers` should share the device.
"""

import argparse
import sys
import time
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from rich.table import Table
from sklearn.datasets import make_classification

from hone import models
from hone.data import problem as problems
from hone.data import schema
from hone.data.preprocessing import Arrays
from hone.data.problem import Problem
from hone.training import graphs
from hone.training.train import Settings, TrainingData, train
from hone.trial import State
from tasks import trainables
from tasks.executors import WorkerPool

GRAPHS = graphs.FEWEST_STEPS


@dataclass(frozen=True)
class Work:
    """Trains one trial; small to send to a worker, which makes the rows itself, once."""

    family: str
    device: str
    rows: int
    columns: int
    epochs: int
    recorded: bool = True

    def __call__(self, number: int) -> float:
        """Return the validation rows' ROC AUC after the best epoch."""
        takes = models.FAMILIES[self.family].takes
        data = pictures(self.rows) if takes == "pictures" else table(self.rows, self.columns)
        graphs.FEWEST_STEPS = GRAPHS if self.recorded else sys.maxsize
        config = models.fitted(models.default_space(self.family), data.inputs, len(data.train)).default
        settings = Settings(epochs=self.epochs, metric="roc_auc", gradient_clip=1.0, device=self.device)
        outcome, _ = train(config, self.family, data, settings, resource=self.epochs, seed=number)
        if outcome.state is not State.COMPLETE:
            raise RuntimeError(f"{self.family} on {self.device}: {outcome.error}")
        return -outcome.objective


@lru_cache(maxsize=1)
def table(rows: int, columns: int) -> TrainingData:
    """Return a generated table, of which a fifth validates."""
    x, y = make_classification(rows, columns, n_informative=columns // 2, flip_y=0.05, random_state=0)
    frame = pd.DataFrame(x.astype(np.float32)).add_prefix("x").assign(y=y)
    training, validation = frame.iloc[: rows * 4 // 5], frame.iloc[rows * 4 // 5 :]
    return trainables.encoded(training, validation, schema.infer(frame, "y"), problems.infer(frame["y"]), "quantile")


@lru_cache(maxsize=1)
def pictures(n: int) -> TrainingData:
    """Return generated pictures, 32 by 32, brighter on the left or on the right; a fifth validates."""
    random = np.random.default_rng(0)
    y = np.arange(n) % 2
    x = random.integers(0, 200, (n, 3, 32, 32), dtype=np.uint8)
    for label in (0, 1):
        x[y == label, :, :, 16 * label : 16 * (label + 1)] += 20
    problem = Problem(task="binary", target="class", metric="roc_auc", classes=("left", "right"), positive_index=1)
    rows = Arrays(x, np.empty((n, 0), dtype=np.int64), y.astype(np.int64))
    training, validation = rows.take(np.arange(n * 4 // 5)), rows.take(np.arange(n * 4 // 5, n))
    inputs = models.inputs_of(training, problem, ())
    return TrainingData(train=training, validation=validation, problem=problem, inputs=inputs)


def main() -> int:
    families = [name for name in models.FAMILIES if name != "auto"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--workers", default="1,4,8", help="how many trials share a device, one figure each")
    parser.add_argument("--families", default=",".join(families))
    chosen = parser.parse_args()
    devices = ["cpu", *(["cuda, step by step", "cuda"] if torch.cuda.is_available() else [])]
    counts = [int(text) for text in chosen.workers.split(",")]
    shown = Table(*["family", *(f"{device}, {count} at once" for device in devices for count in counts), "ROC AUC"])
    for family in chosen.families.split(","):
        row, scores = [family], dict[str, float]()
        for device in devices:
            for count in counts:
                speed, scores[device] = measure(family, device, count, chosen)
                row.append(f"{speed:,.0f}")
                print(f"{family} on {device}, {count} at once: {speed:,.0f} epochs a minute", flush=True)
        shown.add_row(*row, " ".join(f"{score:.4f}" for score in scores.values()))
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA device"
    console = Console(width=140)
    console.print(f"{chosen.rows:,} rows, {chosen.columns} columns, epochs a minute of all trials together; {name}")
    console.print(shown)
    return 0


def measure(family: str, device: str, count: int, chosen: argparse.Namespace) -> tuple[float, float]:
    """Return epochs a minute of `count` trials at once, and the first one's score."""
    pool = WorkerPool(count)
    work = partial(Work, family, device.partition(",")[0], chosen.rows, chosen.columns, recorded="," not in device)
    list(pool.map(work(1), range(count)))
    started = time.perf_counter()
    scores = list(pool.map(work(chosen.epochs), range(count)))
    seconds = time.perf_counter() - started
    pool.shutdown()
    return 60 * count * chosen.epochs / seconds, scores[0]


if __name__ == "__main__":
    sys.exit(main())
