"""Epochs a minute: Hone's training loop beside a plain one with a DataLoader, and beside Ray Tune running that one.

    python -m benchmarks.training [--rows 20000] [--trials 4] [--epochs 10] [--short 64] [--repeats 3]

All train the same network (20 numbers, two hidden layers of 128, dropout, two classes) with AdamW, a cosine schedule,
clipped gradients and batches of 256, on the same 80 % of the rows, and score the others by ROC AUC after each epoch.
Hone's is `hone.training.train` in production's pool of two workers, over rows in production's files. The plain loop is
what people write: `DataLoader(TensorDataset)`, `loss.item()` each step. It runs twice: trial after trial on torch's own
threads, and in a pool of two processes of one thread each. In each round the three take turns, start-up not counted.

Then `short` trials of 3 epochs each, with a learning rate of its own: Hone's, its pool's start included, beside Ray
Tune's `Tuner.fit` with one CPU a trial, its `ray.init` not included. Ray is not among Hone's packages:
`pip install -e '.[peers]'`; without it this part is left out.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import make_classification
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from hone import models
from hone.data import problem as problems
from hone.data import schema as schemas
from hone.training.train import Settings, train
from hone.trial import State
from tasks import encoded, trainables
from tasks.executors import ONE_THREAD, WorkerPool

ROOT = Path(__file__).parents[1]
BATCH, WIDTH, COLUMNS, SHORT = 256, 128, 20, 3
RATES = np.geomspace(5e-4, 5e-3, 64).tolist()


@dataclass(frozen=True)
class Hone:
    """Trains one trial as production does. folder: of the encoded rows."""

    folder: Path
    epochs: int

    def __call__(self, rate: float) -> float:
        """Return the validation rows' ROC AUC after the best epoch."""
        data = encoded.shared(self.folder, _nothing)
        config = {
            **models.default_space("mlp").default,
            "batch_size": BATCH,
            "units_1": WIDTH,
            "units_2": WIDTH,
            "embedding": "none",
            "learning_rate": rate,
        }
        settings = Settings(epochs=self.epochs, metric="roc_auc", gradient_clip=1.0)
        outcome, _ = train(config, "mlp", data, settings, resource=self.epochs, seed=0)
        assert outcome.state is State.COMPLETE
        return -outcome.objective


@dataclass(frozen=True)
class Plain:
    """Trains one trial as people write it. path: of the same rows, as NumPy arrays."""

    path: Path
    epochs: int

    def __call__(self, rate: float, report: Callable[[float], object] = lambda score: None) -> float:
        """Return the validation rows' ROC AUC after the last epoch; `report` is given each epoch's."""
        rows = {name: torch.from_numpy(array) for name, array in np.load(self.path).items()}
        loader = DataLoader(TensorDataset(rows["x"], rows["y"]), batch_size=BATCH, shuffle=True)
        validation = DataLoader(TensorDataset(rows["x_validation"], rows["y_validation"]), batch_size=BATCH)
        model = nn.Sequential(
            *(nn.Linear(COLUMNS, WIDTH), nn.ReLU(), nn.Dropout(0.1)),
            *(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Dropout(0.1)),
            nn.Linear(WIDTH, 2),
        )
        optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=1e-2)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.epochs * len(loader))
        criterion = nn.CrossEntropyLoss()
        score = 0.0
        for _ in range(self.epochs):
            model.train()
            total = 0.0
            for x, y in loader:
                optimizer.zero_grad()
                loss = criterion(model(x), y)
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                scheduler.step()
                total += loss.item()
            model.eval()
            with torch.no_grad():
                probabilities = torch.cat([model(x).softmax(1)[:, 1] for x, _ in validation])
            score = float(roc_auc_score(rows["y_validation"], probabilities))
            report(score)
        return score


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=10, help="of each of these trials")
    parser.add_argument("--short", type=int, default=64, help=f"trials of {SHORT} epochs; 0: none")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--work", nargs=2, metavar=("WHAT", "FOLDER"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.work:
        what, folder = chosen.work[0], Path(chosen.work[1])
        print(json.dumps(_in_turn(folder, chosen) if what == "plain" else _ray(folder, chosen.short)))
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_rows(folder, chosen.rows)
        loops(folder, chosen)
        if chosen.short:
            short_trials(folder, chosen)
    return 0


def write_rows(folder: Path, rows: int) -> None:
    """Write the rows as Hone's workers share them, and as NumPy arrays."""
    x, y = make_classification(rows, COLUMNS, n_informative=10, flip_y=0.05, random_state=0)
    frame = pd.DataFrame(x).add_prefix("x").assign(y=y)
    problem, schema = problems.infer(frame["y"]), schemas.infer(frame, "y")
    n = rows * 4 // 5
    data = trainables.encoded(frame.iloc[:n], frame.iloc[n:], schema, problem, "standard")
    encoded.shared(folder / "rows", lambda: data)
    assert data.validation is not None
    np.savez(
        folder / "rows.npz",
        x=data.train.x_num,
        y=data.train.y,
        x_validation=data.validation.x_num,
        y_validation=data.validation.y,
    )


def loops(folder: Path, chosen: argparse.Namespace) -> None:
    """Print epochs a minute of the three, round by round, and the ratios of their medians."""
    rates = RATES[: chosen.trials]
    hone, plain = Hone(folder / "rows", chosen.epochs), Plain(folder / "rows.npz", chosen.epochs)
    pool = WorkerPool(2)
    list(pool.map(Hone(folder / "rows", 1), rates[:2]))
    list(pool.map(Plain(folder / "rows.npz", 1), rates[:2]))
    speeds: dict[str, list[float]] = {"Hone": [], "plain, torch's threads": [], "plain, two processes": []}
    for number in range(chosen.repeats):
        seconds = {
            "Hone": _timed(lambda: list(pool.map(hone, rates))),
            "plain, torch's threads": _elsewhere("plain", folder, chosen)["seconds"],
            "plain, two processes": _timed(lambda: list(pool.map(plain, rates))),
        }
        for name, taken in seconds.items():
            speeds[name].append(60 * len(rates) * chosen.epochs / taken)
        print(f"round {number + 1}, epochs a minute: " + _listed({name: found[-1] for name, found in speeds.items()}))
    pool.shutdown()
    medians = {name: statistics.median(found) for name, found in speeds.items()}
    print(f"{chosen.rows:,} rows, batch {BATCH}, width {WIDTH}, epochs a minute, medians: {_listed(medians)}")
    for name in list(medians)[1:]:
        print(f"Hone / {name}: {medians['Hone'] / medians[name]:.2f}", flush=True)


def short_trials(folder: Path, chosen: argparse.Namespace) -> None:
    """Print epochs a minute of many short trials, Hone's and Ray Tune's."""

    def work() -> None:
        pool = WorkerPool(2)
        list(pool.map(Hone(folder / "rows", SHORT), RATES[: chosen.short]))
        pool.shutdown()

    if importlib.util.find_spec("ray") is None:
        print("Ray Tune is not installed: pip install -e '.[peers]'")
        return
    epochs = SHORT * chosen.short
    found = {"Hone": _timed(work), "Ray Tune": _elsewhere("ray", folder, chosen)["seconds"]}
    speeds = {name: 60 * epochs / seconds for name, seconds in found.items()}
    print(f"{chosen.short} trials of {SHORT} epochs, epochs a minute: {_listed(speeds)}")
    print(f"Hone / Ray Tune: {speeds['Hone'] / speeds['Ray Tune']:.2f}")


def _in_turn(folder: Path, chosen: argparse.Namespace) -> dict[str, float]:
    plain = Plain(folder / "rows.npz", chosen.epochs)
    Plain(folder / "rows.npz", 1)(RATES[0])
    return {"seconds": _timed(lambda: [plain(rate) for rate in RATES[: chosen.trials]])}


def _ray(folder: Path, trials: int) -> dict[str, float]:
    import ray
    from ray import tune

    plain = Plain(folder / "rows.npz", SHORT)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    tuner = tune.Tuner(
        tune.with_resources(
            lambda config: plain(config["rate"], lambda score: tune.report({"score": score})), {"cpu": 1}
        ),
        param_space={"rate": tune.grid_search(RATES[:trials])},
        run_config=tune.RunConfig(storage_path=str(folder / "ray"), verbose=0),
    )
    results: list[Any] = []
    seconds = _timed(lambda: results.extend(tuner.fit()))
    assert len(results) == trials
    assert all(result.error is None for result in results)
    ray.shutdown()
    return {"seconds": seconds}


def _elsewhere(what: str, folder: Path, chosen: argparse.Namespace) -> dict[str, float]:
    """Return what a process of its own printed last, whose torch takes as many threads as it likes."""
    options = {"--trials": chosen.trials, "--epochs": chosen.epochs, "--short": chosen.short}
    command = [sys.executable, "-m", "benchmarks.training", "--work", what, str(folder)]
    command += [text for option, value in options.items() for text in (option, str(value))]
    environment = {name: value for name, value in os.environ.items() if name not in ONE_THREAD}
    environment |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _listed(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:,.0f}" for name, value in values.items())


def _nothing() -> Any:
    raise AssertionError("the rows are there")


if __name__ == "__main__":
    sys.exit(main())
