"""What Hone costs on top of training: one search stage against the bare training of the same trials.

    python -m benchmarks.overhead [--stage search_bayes] [--repeats 3] [--workers 2]

Both sides start a pool of their own of the same kind and train the same trials on the same rows, in turn, in one
process. The stage also proposes, waits for whole generations, keeps a journal and checkpoints, writes its outs and
logs every trial to MLflow; the bare side calls `train` and nothing else.
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

import yaml

from hone.data.preprocessing import Scaling
from hone.seeds import derive
from hone.training.train import Settings, train
from hone.trial import Trial
from tasks import trainables, trials
from tasks.executors import WorkerPool
from tasks.params import load_params
from tasks.reporting import NullReporter
from tasks.run import run_stage
from tasks.tracking import MlflowTracker, NullTracker, SpoolingTracker

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
    family: str
    scaling: Scaling
    settings: Settings
    seed: int

    def __call__(self, trial: Trial) -> float:
        data = trainables.load(self.split, "bare", self.scaling, trial.fold)
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
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return compare(Path(folder), chosen.stage, chosen.repeats, chosen.workers)


def compare(root: Path, stage: str, repeats: int, workers: int) -> int:
    """Print wall times side by side and their ratio; return 0."""
    for name in ("params.yaml", "dvc.yaml", "requirements.lock"):
        shutil.copy(ROOT / name, root / name)
    for name in ("hone", "tasks"):
        shutil.copytree(ROOT / name, root / name)
    content = yaml.safe_load((root / "params.yaml").read_text())
    content["execution"]["workers"] = workers
    (root / "params.yaml").write_text(yaml.safe_dump(content))
    pool = WorkerPool(workers)
    for name in BEFORE[stage]:
        run_stage(root, name, reporter=NullReporter(), tracker=NullTracker(), executor=pool)
    pool.shutdown()

    times: dict[str, list[float]] = {"stage": [], "bare": []}
    for repeat in range(repeats):
        times["stage"].append(timed(lambda: whole(root, stage, workers)))
        shutil.rmtree(root / ".work")  # or the next one would find its work done
        results = trials.read(root / "artifacts" / stage / "trials.parquet")
        times["bare"].append(timed(lambda results=results: bare(root, [r.trial for r in results], workers)))
        print(
            f"round {repeat + 1}: {stage} {times['stage'][-1]:.2f} s, bare training of its {len(results)} trials"
            f" {times['bare'][-1]:.2f} s, ratio {times['stage'][-1] / times['bare'][-1]:.3f}",
            flush=True,
        )
    ratios = [a / b for a, b in zip(times["stage"], times["bare"], strict=True)]
    print(f"{stage}, {workers} workers: median ratio {statistics.median(ratios):.3f} over {repeats} rounds")
    return 0


def whole(root: Path, stage: str, workers: int) -> None:
    params = load_params(root)
    tracker = SpoolingTracker(
        MlflowTracker(root, None, params.tracking.experiment), root / ".work" / "spool" / "mlflow.jsonl", name="mlflow"
    )
    pool = WorkerPool(workers)
    try:
        run_stage(root, stage, reporter=NullReporter(), tracker=tracker, executor=pool)
    finally:
        tracker.close()
        pool.shutdown()


def bare(root: Path, asked: list[Trial], workers: int) -> None:
    params = load_params(root)
    split = root / "data" / "split"
    settings = trainables.settings(params, trainables.read_problem(split))
    trainable = Bare(split, params.model.family, params.data.scaling, settings, params.seed)
    pool = WorkerPool(workers)
    try:
        list(pool.map(trainable, asked))
    finally:
        pool.shutdown()


def timed(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
