"""What many trials cost beside their training: seconds a trial, memory, and disk, as their number grows.

    python -m benchmarks.load [--trials 1250 2500 5000 10000] [--batch 64]
    python -m benchmarks.load --search 125 250 500

The first runs the coarse phase as a whole, journal, checkpoints, MLflow and parquet included, over trials as small as
can be: one epoch of a network of eight units on 60 rows. It ends when MLflow has everything. Time is linear if seconds
a trial stay the same. The second runs all three phases of a search with the default family on 1,000 rows, with about so
many trials in all, and reads ten times a second what the checkpoints in .work take, and the memory of all processes
(proportional set sizes). Each size runs in a process of its own.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import yaml
from sklearn.datasets import make_classification

from tasks import trials
from tasks.executors import WorkerPool
from tasks.params import load_params
from tasks.reporting import NullReporter
from tasks.run import run_stage
from tasks.tracking import NullTracker, open_tracker

ROOT = Path(__file__).parents[1]
MIB = 2**20
SEARCHES = ("search_random", "search_bayes", "search_hyperband")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, nargs="+", default=[1250, 2500, 5000, 10_000])
    parser.add_argument("--batch", type=int, default=64, help="trials a generation")
    parser.add_argument("--search", type=int, nargs="+", help="trials of a whole search, instead")
    parser.add_argument("--work", nargs=3, metavar=("FOLDER", "PART", "N"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.work:
        root, part, n = Path(chosen.work[0]), chosen.work[1], int(chosen.work[2])
        return load(root, n, chosen.batch) if part == "load" else search(root, n)
    part = "search" if chosen.search else "load"
    for n in chosen.search or chosen.trials:
        with tempfile.TemporaryDirectory() as folder:
            command = ["-m", "benchmarks.load", "--work", folder, part, str(n), "--batch", str(chosen.batch)]
            if subprocess.run([sys.executable, *command], cwd=ROOT).returncode:
                return 1
    return 0


def load(root: Path, n: int, batch: int) -> int:
    """Print what n tiny trials cost."""
    changes: dict[str, Any] = {
        "split.validation": 0.25,
        "train.epochs": 1,
        "budget.epochs": 10.0 * n,
        "search.space": {"units_1": 8, "n_layers": 1, "embedding": "none", "batch_size": 64},
        "search.random.trials": n,
        "search.random.epochs": 1,
        "search.bayes.epochs": 1,
        "search.hyperband.min_epochs": 1,
        "search.random.batch": batch,
    }
    make_project(root, 100, changes)
    pool = WorkerPool(2)
    for name in ("ingest", "split", "budget"):
        run_stage(root, name, reporter=NullReporter(), tracker=NullTracker(), executor=pool)
    list(pool.map(_warm, range(8)))
    tracker = open_tracker(root, load_params(root).tracking, print, patience=3600)
    started = time.perf_counter()
    run_stage(root, "search_random", reporter=NullReporter(), tracker=tracker, executor=pool)
    stage = time.perf_counter() - started
    tracker.close()
    whole = time.perf_counter() - started
    pool.shutdown()
    results = trials.read(root / "artifacts" / "search_random" / "trials.parquet")
    trained = sum(result.seconds for result in _journal(root))
    print(
        f"{len(results):>6} trials: {whole:6.1f} s, {1000 * whole / len(results):.2f} ms a trial"
        f" (the stage {1000 * stage / len(results):.2f}, training alone on 2 workers"
        f" {500 * trained / len(results):.2f}); this process {psutil.Process().memory_info().rss / MIB:,.0f} MiB",
        flush=True,
    )
    return 0


def search(root: Path, n: int) -> int:
    """Print the peaks of disk and memory of a search of about n trials."""
    epochs = 12.0
    changes: dict[str, Any] = {
        "train.epochs": 18,
        "budget.epochs": epochs * n / 2,
        "search.random.epochs": 2,
        "search.random.trials": n // 10,
        "search.bayes.epochs": 2,
        "search.bayes.trials": n // 3,
        "search.hyperband.min_epochs": 2,
        "search.space": {"embedding": "none"},
    }
    make_project(root, 1000, changes)
    pool = WorkerPool(2)
    for name in ("ingest", "split", "budget"):
        run_stage(root, name, reporter=NullReporter(), tracker=NullTracker(), executor=pool)
    peaks = {"disk": 0, "files": 0, "memory": 0}
    done = threading.Event()
    watching = threading.Thread(target=watch, args=(root, peaks, done.wait), daemon=True)
    watching.start()
    started, count = time.perf_counter(), 0
    for name in SEARCHES:
        run_stage(root, name, reporter=NullReporter(), tracker=NullTracker(), executor=pool)
        results = trials.read(root / "artifacts" / name / "trials.parquet")
        count += len(results)
    seconds = time.perf_counter() - started
    done.set()
    watching.join()
    pool.shutdown()
    journals = sum(file.stat().st_size for file in root.glob(".work/*/*.jsonl"))
    print(
        f"{count:>5} trials in {seconds:.0f} s: checkpoints in .work at most {peaks['disk'] / MIB:.1f} MiB"
        f" in {peaks['files']} files, journals {journals / MIB:.2f} MiB,"
        f" memory at most {peaks['memory'] / MIB:,.0f} MiB",
        flush=True,
    )
    return 0


def watch(root: Path, peaks: dict[str, int], wait: Callable[[float], bool]) -> None:
    """Keep the peaks until `wait` returns true."""
    while not wait(0.1):
        sizes = []
        for file in root.glob(".work/*/checkpoints/*.safetensors"):
            try:
                sizes.append(file.stat().st_size)
            except FileNotFoundError:
                continue
        peaks["disk"], peaks["files"] = max(peaks["disk"], sum(sizes)), max(peaks["files"], len(sizes))
        try:
            family = [psutil.Process(), *psutil.Process().children(recursive=True)]
            peaks["memory"] = max(peaks["memory"], sum(member.memory_full_info().pss for member in family))
        except psutil.Error:
            continue


def make_project(root: Path, rows: int, changes: dict[str, Any]) -> None:
    """Write a project with a generated table, and params changed by dotted key."""
    for name in ("params.yaml", "dvc.yaml", "requirements.lock"):
        shutil.copy(ROOT / name, root / name)
    for name in ("hone", "tasks"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    content = yaml.safe_load((root / "params.yaml").read_text())
    for key, value in {"data.source": "data/raw/table.csv", "data.target": "y", **changes}.items():
        *sections, last = key.split(".")
        section = content
        for name in sections:
            section = section[name]
        section[last] = value
    (root / "params.yaml").write_text(yaml.safe_dump(content))
    x, y = make_classification(rows, 6, random_state=0)
    (root / "data" / "raw").mkdir(parents=True)
    pd.DataFrame(x).add_prefix("x").assign(y=y).to_csv(root / "data" / "raw" / "table.csv", index=False)


def _journal(root: Path) -> list[Any]:
    from tasks import journal

    return journal.read(next(root.glob(".work/search_random-*/search_random.jsonl")))


def _warm(number: int) -> int:
    import hone.training.train  # noqa: F401  (imported before the clock starts)

    return number


if __name__ == "__main__":
    sys.exit(main())
