"""What Hone costs on top of training: one search stage against the bare training of the same trials.

    python -m benchmarks.overhead [--stage search_bayes] [--rows 4000 10000] [--repeats 3] [--workers 2]

Each size is a generated table: 20 numeric columns, two classes. A trial on 4,000 rows takes half a second, so
short that what it costs besides training shows most; 10,000 rows are a more ordinary table. `--rows 0` takes
scikit-learn's digits.

Both sides train the same trials on the same rows in the same pool, in turn, in one process; pool and tracker are
open already, as in a flow, which opens them once for all its stages. The stage also proposes, waits for whole
generations, keeps a journal and checkpoints, writes its outs and logs every trial to MLflow, until MLflow has it all;
the bare side calls `train` and nothing else.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml
from sklearn.datasets import make_classification

from hone.data.preprocessing import Scaling
from hone.seeds import derive
from hone.training.train import Settings, train
from hone.trial import Trial
from tasks import trainables, trials
from tasks.executors import WorkerPool
from tasks.params import load_params
from tasks.reporting import NullReporter
from tasks.run import run_stage
from tasks.tracking import Entry, MlflowTracker, NullTracker, SpoolingTracker, Tracker

ROOT = Path(__file__).parents[1]
BEFORE = {
    "search_random": ("ingest", "split", "budget"),
    "search_bayes": ("ingest", "split", "budget", "search_random"),
    "search_hyperband": ("ingest", "split", "budget", "search_random", "search_bayes"),
}


@dataclass(frozen=True)
class Bare:
    """Trains one trial and keeps nothing."""

    split: Path
    rows: Path
    family: str
    scaling: Scaling
    settings: Settings
    seed: int

    def __call__(self, trial: Trial) -> float:
        data = trainables.load(self.split, self.rows, self.scaling, trial.fold)
        outcome, _ = train(
            trial.config,
            self.family,
            data,
            self.settings,
            resource=trial.resource,
            seed=derive(self.seed, trial.study, trial.number),  # as in the stage, or it would stop at other epochs
            rows=trial.rows,
        )
        return outcome.objective


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stage", choices=("search_random", "search_bayes"), default="search_bayes")
    parser.add_argument("--rows", type=int, nargs="+", default=[4_000, 10_000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    for rows in chosen.rows:
        with tempfile.TemporaryDirectory() as folder:
            compare(Path(folder), chosen.stage, rows, chosen.repeats, chosen.workers)
    return 0


def compare(root: Path, stage: str, rows: int, repeats: int, workers: int) -> None:
    """Print wall times side by side and their ratio."""
    for name in ("params.yaml", "dvc.yaml", "requirements.lock"):
        shutil.copy(ROOT / name, root / name)
    for name in ("hone", "tasks"):
        shutil.copytree(ROOT / name, root / name)
    content = yaml.safe_load((root / "params.yaml").read_text())
    content["execution"]["workers"] = workers
    if rows:
        x, y = make_classification(rows, 20, n_informative=10, flip_y=0.05, random_state=0)
        (root / "data" / "raw").mkdir(parents=True)
        pd.DataFrame(x).add_prefix("x").assign(y=y).to_csv(root / "data" / "raw" / "table.csv", index=False)
        content["data"].update(source="data/raw/table.csv", target="y")
    (root / "params.yaml").write_text(yaml.safe_dump(content))

    ratios = []
    pool = WorkerPool(workers)
    try:
        for name in (*BEFORE[stage], stage):  # the stage itself once uncounted, so that both sides find it warm
            run_stage(root, name, reporter=NullReporter(), tracker=NullTracker(), executor=pool)
        asked = [result.trial for result in trials.read(root / "artifacts" / stage / "trials.parquet")]
        for repeat in range(repeats):
            shutil.rmtree(root / ".work")  # or the stage would find its work done
            tracker = opened(root, repeat)
            whole = timed(lambda tracker=tracker: tracked(root, stage, tracker, pool))
            alone = timed(lambda: bare(root, asked, pool))
            ratios.append(whole / alone)
            print(
                f"round {repeat + 1}: {stage} {whole:.2f} s, bare training of its {len(asked)} trials {alone:.2f} s,"
                f" ratio {ratios[-1]:.3f}",
                flush=True,
            )
    finally:
        pool.shutdown()
    table = f"{rows:,} rows" if rows else "digits"
    print(f"{stage}, {table}, {workers} workers: median ratio {statistics.median(ratios):.3f} over {repeats} rounds")


def opened(root: Path, repeat: int) -> Tracker:
    """Return a tracker with a database of its own, which is there already: what MLflow has seen it skips."""
    store = MlflowTracker(root, f"sqlite:///round-{repeat}.db", "hone")
    store.log(Entry(key="warm-up", kind="pipeline", name="warm-up", status="finished"))
    return SpoolingTracker(store, root / ".work" / "spool" / "mlflow.jsonl", name="mlflow")


def tracked(root: Path, stage: str, tracker: Tracker, pool: WorkerPool) -> None:
    run_stage(root, stage, reporter=NullReporter(), tracker=tracker, executor=pool)
    tracker.close()


def bare(root: Path, asked: list[Trial], pool: WorkerPool) -> None:
    params = load_params(root)
    split = root / "data" / "split"
    settings = trainables.settings(params, trainables.read_problem(split))
    list(
        pool.map(
            Bare(split, root / ".work" / "bare", params.model.family, params.data.scaling, settings, params.seed), asked
        )
    )


def timed(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
